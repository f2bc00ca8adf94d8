"""Instants: milliseconds UTC inside, `Timestamp` in messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(at_ms: int) -> Timestamp:
    """Return milliseconds as a message; the way back is its own `ToMilliseconds`.

    >>> timestamp(-1).ToMilliseconds()
    -1
    """
    seconds, rest_ms = divmod(at_ms, 1000)
    return Timestamp(seconds=seconds, nanos=rest_ms * 1_000_000)
