"""Which provider takes what: as the configuration says, by the URL's scheme."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from services.messaging.domain.lanes import PROVIDER_NAMES, Lane
from services.messaging.providers.http import HttpProvider
from services.messaging.providers.port import Provider
from services.messaging.providers.smtp import SmtpProvider


def open_providers(urls: Mapping[str, str]) -> dict[Lane, Provider]:
    """Return a provider for each lane that the configuration names."""
    lanes = {name: lane for lane, name in PROVIDER_NAMES.items()}
    return {lanes[name]: _open(url) for name, url in urls.items()}


def _open(url: str) -> Provider:
    if urlsplit(url).scheme in {"smtp", "smtps"}:
        return SmtpProvider(url)
    return HttpProvider(url)
