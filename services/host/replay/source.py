"""What can be replayed: inputs in time order, what rules may say of them, what was rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from coterie.type.v1 import schema_pb2
from services.host.replay.wire import Input

SHOWN_LINES = 5
"""How many line numbers a reason keeps: enough to look at, few enough to print."""


class SourceError(Exception):
    """The source cannot be replayed at all: what was found, what was expected, where."""


@dataclass(slots=True)
class Rejections:
    """Rows that could not be read as events: how many by reason, and where the first few are."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, line: int) -> None:
        """Count one row."""
        self.counts[reason] += 1
        shown = self.lines.setdefault(reason, [])
        if len(shown) < SHOWN_LINES:
            shown.append(line)

    def extend(self, other: Rejections) -> None:
        """Count all of another's rows as well."""
        self.counts.update(other.counts)
        for reason, lines in other.lines.items():
            shown = self.lines.setdefault(reason, [])
            shown.extend(lines[: SHOWN_LINES - len(shown)])

    @property
    def total(self) -> int:
        """Return how many rows there are."""
        return self.counts.total()


@dataclass(slots=True)
class Tally:
    """What a source has read, for the report. `happenings` counts what its `noun` names.

    `lines` are order lines; `notes` are sentences about decisions that the data asked for.
    """

    rows: int = 0
    happenings: int = 0
    lines: int = 0
    rejections: Rejections = field(default_factory=Rejections)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """Data that can be replayed. The same source always gives the same inputs in the same order."""

    @property
    def noun(self) -> str:
        """Return what `tally.happenings` counts, in the plural."""

    @property
    def name(self) -> str:
        """Return what the source is called, for people."""

    @property
    def fingerprint(self) -> str:
        """Return a text that differs for data or a mapping that would give other inputs."""

    @property
    def namespaces(self) -> frozenset[str]:
        """Return the namespaces of the identifiers."""

    @property
    def tally(self) -> Tally:
        """Return what was read so far."""

    def schema(self) -> schema_pb2.Schema:
        """Return what rules may say of the inputs."""

    def prepare(self) -> int:
        """Read as far as is needed to know the order; return how many inputs there are.

        Raises SourceError.
        """

    def span_ms(self) -> tuple[int, int]:
        """Return the time of the first and of the last input; after `prepare`."""

    def inputs(self) -> Iterator[Input]:
        """Yield the inputs, times never running back; after `prepare`."""
