"""Which provider takes what: as the configuration says, by the URL's scheme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from services.messaging.domain.lanes import PROVIDER_NAMES, Lane
from services.messaging.providers.folder import FolderProvider
from services.messaging.providers.http import HttpProvider
from services.messaging.providers.port import Provider
from services.messaging.providers.smtp import SmtpProvider


def open_providers(urls: Mapping[str, str], letters: Path) -> dict[Lane, Provider]:
    """Return a provider for each lane; `letters` takes what the configuration does not name."""
    folder = FolderProvider(letters)
    return {
        lane: _open(urls[name]) if name in urls else folder for lane, name in PROVIDER_NAMES.items()
    }


def _open(url: str) -> Provider:
    if urlsplit(url).scheme in {"smtp", "smtps"}:
        return SmtpProvider(url)
    return HttpProvider(url)
