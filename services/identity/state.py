"""What the stage has in memory: the graph, the log's time, and what is not in the tables yet.

One thread changes it; others read it under its lock, which is taken for one change at a time.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from segcore._fact_writer import FactPart
from segcore._inbound import InboundReader
from services.identity.domain.changes import Divided, Erased, JournalEntry
from services.identity.domain.graph import Graph
from services.identity.domain.limits import Limits
from services.identity.domain.linking import Linked, Linker
from services.identity.domain.log_time import LogTime
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.domain.transit import Crossing, Waiting


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not change while a deployment runs."""

    namespaces: Namespaces
    partitions: int
    limits: Limits


class KnownIds(NamedTuple):
    """Which of some inputs of one kind the tables know."""

    kind: int
    saved: AbstractSet[str]


class State:
    """Everything that a replay of the inbound log gives back."""

    def __init__(self, rules: Rules, graph: Graph, time: LogTime, waiting: Waiting) -> None:
        self.graph = graph
        self.time = time
        self.waiting = waiting
        self.unsaved_journal: list[JournalEntry] = []
        self.unsaved_erasures: list[Erased] = []
        self.unsaved_inputs: defaultdict[int, set[str]] = defaultdict(set)
        self.lock = threading.Lock()
        self._namespaces = rules.namespaces
        self._linker = Linker(graph, rules.namespaces, rules.limits)

    def pass_events(
        self, reader: InboundReader, start: int, ids: KnownIds, parts: list[FactPart]
    ) -> int:
        """Write the facts of events that change nothing; return the first input that may.

        Those are events of people who are known, where nobody waits for anything.
        """
        if not self.waiting.is_idle:
            return start
        time = self.time
        place = reader.pass_events(
            start,
            self.graph.holders,
            self._namespaces.ranks,
            self.unsaved_inputs[ids.kind],
            ids.saved,
            time.now_ms,
            time.limit_ms,
            parts,
        )
        time.now_ms = reader.now_ms
        return place

    def link(
        self, given: Sequence[Identifier], derived: Sequence[Identifier], *, rejoins: bool = False
    ) -> Linked:
        """Link the identifiers of one input; return whose it is and what changed."""
        holder = self.graph.common_holder((*given, *derived) if derived else given)
        if holder is not None:
            return Linked(holder, ())
        with self.lock:
            return self._linker.link(given, derived, rejoins=rejoins)

    def unlink(self, identifiers: Sequence[Identifier]) -> Divided | None:
        """Make identifiers of one profile a profile of their own; None where that cannot be."""
        leaving = list(dict.fromkeys(identifiers))
        holder = self.graph.common_holder(leaving)
        if holder is None or len(leaving) == len(self.graph.identifiers_of(holder)):
            return None
        with self.lock:
            return self.graph.divide(holder, leaving)

    def unite(self, crossing: Crossing) -> int:
        """Make one profile of two; return the id under which the other partition's is taken in."""
        with self.lock:
            self.graph.merge(crossing.winner, crossing.loser)
            return self.graph.add_guest(crossing.winner)

    def erase(self, profile_id: int) -> None:
        """Let a live profile be nobody, and its journal be empty."""
        with self.lock:
            erased = self.graph.erase(profile_id)
        self.unsaved_erasures.append(erased)
        self.unsaved_journal = [one for one in self.unsaved_journal if not erased.concerns(one)]

    @property
    def unsaved_count(self) -> int:
        """How many inputs the tables do not know yet."""
        return sum(map(len, self.unsaved_inputs.values()))

    def state_hash(self) -> str:
        """Return a digest that a replay, in whatever pieces, gives again."""
        waiting = hashlib.blake2b(self.waiting.describe().encode(), digest_size=16).hexdigest()
        time = f"{self.time.now_ms}-{self.time.last_tick_ms}"
        return f"{self.graph.state_hash()}-{time}-{waiting}"

    def clear_unsaved(self) -> None:
        """Say that all of it is in the tables."""
        self.unsaved_journal = []
        self.unsaved_erasures = []
        self.unsaved_inputs = defaultdict(set)
        self.graph.clear_touched()
        self.waiting.clear_touched()
