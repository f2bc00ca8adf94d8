"""Log lines: one JSON object each, to stderr. Events with names and counts, never personal data."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from services.kit.clock import Clock, SystemClock

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logs(level: str, stream: TextIO | None = None, clock: Clock | None = None) -> None:
    """Send log lines of `level` and above to `stream`, else stderr; libraries' from warnings on."""
    out = stream or sys.stderr
    clock = clock or SystemClock()

    def stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        instant = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
        event["time"] = instant.isoformat(timespec="milliseconds")
        return event

    shared: list[Any] = [structlog.processors.add_log_level, stamp]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_exception_text,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _without_exception_text(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep the type of a library's exception and drop its text, which may hold what people sent."""
    failure = event.pop("exc_info", None)
    if isinstance(failure, tuple) and failure[0] is not None:
        event["error"] = failure[0].__qualname__
    return event
