"""What definitions do to one partition: build a version beside the live one, swap it in, remove it.

What depends on an audience that is swapped is built anew over it and swapped in the same step, so
that no reader sees a child ahead of its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyroaring import BitMap

from segcore import Engine
from services.segmentation.builds import Builds
from services.segmentation.definitions import Definitions, references_of
from services.segmentation.domain import Definition, State
from services.segmentation.records import Records, Swap


@dataclass(frozen=True, slots=True)
class Moved:
    """Everybody who entered or left one audience by a definition."""

    audience_id: str
    version: int
    entered: bool
    people: BitMap


class Versions:
    """The definitions of one partition, and the engine's audiences that stand for them."""

    def __init__(self, engine: Callable[[], Engine], records: Records) -> None:
        self._engine = engine
        self._records = records
        self.library = Definitions()
        self.builds = Builds(engine)

    def propose(self, definition: Definition) -> None:
        """Begin to build a version over the history; one that does not fit any more is none."""
        if not self.library.admits(definition):
            return
        audience_id = definition.audience_id
        engine_id = self.builds.add(definition)
        if audience_id in self.library.current:
            discarded = self.builds.pending.get(audience_id)
            self.builds.pending[audience_id] = engine_id
            if discarded is not None:
                self.builds.drop([discarded])
        else:
            self.builds.show(audience_id, engine_id)
        self.library.propose(definition)

    def unready(self) -> bool:
        """Tell whether some version has yet to go live by itself, or to be ready."""
        return any(
            each.automatic or not self.is_ready(each.audience_id, each.version)
            for each in self.library.unbuilt()
        )

    def is_ready(self, audience_id: str, version: int) -> bool:
        """Tell whether this is the next version and its members are known."""
        definition = self.library.pending.get(audience_id)
        # Who tells of progress asks without the lock: it may be about to go live.
        engine_id = self.builds.pending.get(audience_id)
        return (
            definition is not None
            and definition.version == version
            and engine_id is not None
            and self.builds.is_evaluated(engine_id)
        )

    def make_ready(self, audience_id: str, version: int) -> None:
        """Compute the members of a next version, unless what it refers to is not live yet."""
        definition = self.library.pending.get(audience_id)
        if definition is None or definition.version != version:
            return
        current = self.library.current
        references = references_of(definition.rule_json)
        if all(current[each].state is State.ACTIVE for each in references):
            self.builds.evaluate(self.builds.pending[audience_id], version)

    def difference(self, audience_id: str) -> tuple[BitMap, BitMap]:
        """Return who would enter and who would leave by the next version, which is ready."""
        coming = self._engine().members(self.builds.pending[audience_id])
        present = self.builds.members(audience_id)
        return coming - present, present - coming

    def activate(self, audience_id: str, version: int, at_ms: int) -> list[Moved]:
        """Swap a version in, complete, with all that depends on it; say who moved by that.

        The first version of an audience always says so, even if nobody is in it.
        """
        definition = self.library.coming(audience_id, version)
        if definition is None:
            return []
        if self.library.current[audience_id] == definition:
            return self._open(definition, at_ms)
        affected = [audience_id, *self.library.dependants(audience_id)]
        before = {each: self.builds.members(each) for each in affected}
        engine_id = self.builds.pending.pop(audience_id)
        self.builds.evaluate(engine_id, version)
        self.library.activate(definition, at_ms)
        self._records.label(audience_id, version)
        replaced = [self.builds.show(audience_id, engine_id), *self._rebuild(affected)]
        self.builds.drop([each for each in reversed(replaced) if each is not None])
        return [one for each in affected for one in self._swap(each, before[each], at_ms)]

    def delete(self, audience_id: str) -> list[Moved]:
        """Remove an audience, unless something refers to it; its members leave."""
        definition = self.library.current.get(audience_id)
        if definition is None or self.library.users(audience_id):
            return []
        members = self.builds.members(audience_id)
        self.library.remove(audience_id)
        self.builds.remove(audience_id)
        self._records.drop_audience(audience_id)
        return [Moved(audience_id, definition.version, False, members)]  # noqa: FBT003  entered

    def _open(self, definition: Definition, at_ms: int) -> list[Moved]:
        audience_id, version = definition.audience_id, definition.version
        members = self.builds.evaluate(self.builds.current[audience_id], version)
        self.library.activate(definition, at_ms)
        self._records.swap(audience_id, Swap(version, at_ms, BitMap(members), BitMap()))
        return [Moved(audience_id, version, True, members)]  # noqa: FBT003  entered

    def _rebuild(self, swapped: list[str]) -> Iterator[str | None]:
        """Build what depends on the first of these over those that are there now.

        The others are its dependants, parents first. Yields what is replaced.
        """
        current, pending = self.library.current, self.library.pending
        for audience_id in swapped[1:]:
            definition = current[audience_id]
            engine_id = self.builds.add(definition)
            if definition.state is State.ACTIVE:
                self.builds.evaluate(engine_id, definition.version)
            yield self.builds.show(audience_id, engine_id)
        for audience_id, definition in pending.items():
            if not references_of(definition.rule_json).isdisjoint(swapped):
                yield self.builds.pending[audience_id]
                self.builds.pending[audience_id] = self.builds.add(definition)

    def _swap(self, audience_id: str, before: BitMap, at_ms: int) -> Iterator[Moved]:
        """Compare an audience with what it was; keep and say what changed."""
        definition = self.library.current[audience_id]
        if definition.state is not State.ACTIVE:
            return
        now = self.builds.members(audience_id)
        entered, exited = now - before, before - now
        version = definition.version
        if entered or exited:
            self._records.swap(audience_id, Swap(version, at_ms, entered, exited))
        for people, way in ((entered, True), (exited, False)):
            if people:
                yield Moved(audience_id, version, way, people)
