"""Which services there are: the one table of their builders."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.kit.module import Context, Module
from services.kit.rpc.server import MAX_INGEST_BYTES, MAX_REQUEST_BYTES

Builder = Callable[[Context], Module]

# A process imports only what it serves: `coterie serve profile` loads no segment core.


def _identity(context: Context) -> Module:
    from services.identity.module import build  # noqa: PLC0415

    return build(context)


def _profile(context: Context) -> Module:
    from services.profile.module import build  # noqa: PLC0415

    return build(context)


def _segmentation(context: Context) -> Module:
    from services.segmentation.module import build  # noqa: PLC0415

    return build(context)


def _messaging(context: Context) -> Module:
    from services.messaging.module import build  # noqa: PLC0415

    return build(context)


def _journey(context: Context) -> Module:
    from services.journey.module import build  # noqa: PLC0415

    return build(context)


BUILDERS: Mapping[str, Builder] = {
    "identity": _identity,
    "profile": _profile,
    "segmentation": _segmentation,
    "messaging": _messaging,
    "journey": _journey,
}
"""In the order in which they start; a service asks only those before it."""


def request_limit(service: str) -> int:
    """Return how large a request to the service may be."""
    return MAX_INGEST_BYTES if service == "profile" else MAX_REQUEST_BYTES
