"""What `coterie up` and `coterie status` print: plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

NOTHING = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with aligned columns.

    >>> print(table(["service", "state"], [["identity", "serving"]]))
      service   state
      identity  serving
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip_longest(*lines, fillvalue="")]
    return "\n".join("  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def instant(time_ms: int | None) -> str:
    """Return a time as people read it.

    >>> instant(1_700_000_000_500)
    '2023-11-14 22:13:20 UTC'
    """
    if not time_ms:
        return NOTHING
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
