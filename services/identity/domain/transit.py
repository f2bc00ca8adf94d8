"""Merges across partitions on their way, and the inputs that wait for them.

A merge takes a while: the partition that is left hands the person over first. Until then nothing
more happens to either of the two, nor to anybody whom a waiting input names: what is said of a
person happens in the order in which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.identity.domain.graph import Graph
from services.identity.domain.namespaces import Identifier

HANDING_OVER = ("segmentation", "messaging", "journey", "profile")
"""The services of the partition that is left which have to hand the person over."""

Place = tuple[int, int]
"""An inbound record, and the index of an input in it: the order of arrival."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Two profiles of two partitions that are to be one: `loser` becomes part of `winner`."""

    winner: int
    loser: int


@dataclass(frozen=True, slots=True)
class Transit:
    """One such merge on its way. Input id and trace are those of the input that caused it."""

    merge_id: str
    begun: Place
    crossing: Crossing
    input_id: str
    traceparent: str
    handoffs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every service has handed the person over."""
        return all(service in self.handoffs for service in HANDING_OVER)

    @property
    def size(self) -> int:
        """How many bytes the person takes along."""
        return sum(map(len, self.handoffs.values()))


@dataclass(frozen=True, slots=True)
class Parked:
    """An input that waits, as it came, with its stamp and with whom it names.

    `named` are its identifiers; who is named by a profile id is `profile_id`, else that is 0.
    """

    place: Place
    stamp_ms: int
    content: bytes
    named: tuple[Identifier, ...]
    profile_id: int = 0


class Waiting:
    """What is on its way, and who has to wait. Whoever changes the graph asks first."""

    def __init__(self) -> None:
        self.transits: dict[str, Transit] = {}
        self.parked: dict[Place, Parked] = {}
        self.touched_transits: dict[str, None] = {}
        self.touched_parked: dict[Place, None] = {}
        self._people: set[int] = set()
        self._strangers: set[Identifier] = set()
        self.is_stirred = False

    @property
    def oldest_seq(self) -> int:
        """The inbound record of the oldest input that waits, 0 where none does."""
        return next(iter(self.parked))[0] if self.parked else 0

    @property
    def count(self) -> int:
        """How many merges are on their way, and inputs wait."""
        return len(self.transits) + len(self.parked)

    @property
    def is_idle(self) -> bool:
        """Whether nobody is on the way, and nobody has to wait."""
        return not (self.transits or self.parked or self._people or self._strangers)

    def concerns(self, graph: Graph, named: Iterable[Identifier], profile_id: int = 0) -> bool:
        """Tell whether an input that names these has to wait."""
        if not self._people and not self._strangers:
            return False
        if profile_id and graph.live(profile_id) in self._people:
            return True
        return any(one in self._strangers or graph.holder(one) in self._people for one in named)

    def begin(self, transit: Transit) -> None:
        """Note a merge that begins."""
        self._put(transit)
        self._people |= {transit.crossing.winner, transit.crossing.loser}

    def hand_over(self, merge_id: str, service: str, state: bytes) -> None:
        """Note what a service hands over; what nobody waits for is dropped."""
        transit = self.transits.get(merge_id)
        if transit is None or service not in HANDING_OVER or service in transit.handoffs:
            return
        self._put(replace(transit, handoffs={**transit.handoffs, service: state}))
        self.is_stirred |= self.transits[merge_id].is_complete

    def end(self, merge_id: str) -> None:
        """Let a merge be done."""
        del self.transits[merge_id]
        self.touched_transits[merge_id] = None

    def park(self, graph: Graph, parked: Parked) -> None:
        """Let an input wait, and all that is said later of anybody whom it names."""
        self.parked[parked.place] = parked
        self.touched_parked[parked.place] = None
        self.block(graph, parked)

    def release(self, place: Place) -> None:
        """Let an input wait no more."""
        del self.parked[place]
        self.touched_parked[place] = None

    def recount(self) -> None:
        """Let nobody wait but who is on the way; for each input that waits on, say `block`."""
        self._people = {
            one
            for transit in self.transits.values()
            for one in (transit.crossing.winner, transit.crossing.loser)
        }
        self._strangers = set()

    def load(self, graph: Graph, transits: Iterable[Transit], parked: Sequence[Parked]) -> None:
        """Take in what a store holds, once the graph is there."""
        in_order = sorted(transits, key=lambda one: one.begun)
        self.transits = {transit.merge_id: transit for transit in in_order}
        self.parked = {one.place: one for one in sorted(parked, key=lambda one: one.place)}
        self.recount()
        for one in self.parked.values():
            self.block(graph, one)
        self.is_stirred = bool(self.parked)

    def clear_touched(self) -> None:
        """Say that all of it is stored."""
        self.touched_transits.clear()
        self.touched_parked.clear()

    def describe(self) -> str:
        """Return all of it in one text, the same for the same."""
        transits = sorted(map(repr, self.transits.values()))
        return "\n".join((*transits, *map(repr, self.parked.values())))

    def _put(self, transit: Transit) -> None:
        self.transits[transit.merge_id] = transit
        self.touched_transits[transit.merge_id] = None

    def block(self, graph: Graph, parked: Parked) -> None:
        """Let everybody wait whom an input names that waits."""
        for one in parked.named:
            holder = graph.holder(one)
            if holder is None:
                self._strangers.add(one)
            else:
                self._people.add(holder)
        holder = graph.live(parked.profile_id) if parked.profile_id else None
        if holder is not None:
            self._people.add(holder)
