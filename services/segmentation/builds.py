"""Which audience of the engine stands for which version of ours.

The engine's audiences never change: each version is one, and so is each rebuild of what refers to
an audience that was swapped. What the engine says of those that are not live is nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pyroaring import BitMap

from segcore import Engine
from segcore.rule_json import from_json
from services.segmentation.definitions import renamed
from services.segmentation.domain import Definition


class Builds:
    """The engine's names. `current` and `pending` are by audience, as in `Definitions`."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self.current: dict[str, str] = {}
        self.pending: dict[str, str] = {}
        self.count = 0
        self._audience_of: dict[str, str] = {}
        self._evaluated: set[str] = set()

    def restore(self, current: Mapping[str, str], pending: Mapping[str, str], count: int) -> None:
        """Take the names that were kept, over an engine that was loaded."""
        self.current, self.pending, self.count = dict(current), dict(pending), count
        audiences = self._engine().audiences()
        self._evaluated = {each.audience_id for each in audiences if each.active}
        self._audience_of = {it: each for each, it in current.items()}

    def audience_of(self, engine_id: str) -> str | None:
        """Return the audience that an engine's one is now; None for what nobody sees."""
        return self._audience_of.get(engine_id)

    def add(self, definition: Definition) -> str:
        """Begin to build a version, over the audiences as they are now; return its name."""
        engine_id = definition.audience_id
        if any(each.audience_id == engine_id for each in self._engine().audiences()):
            self.count += 1
            engine_id = f"{definition.audience_id}#{self.count}"
        rule = renamed(from_json(definition.rule_json), self.current)
        self._engine().add_audience(engine_id, definition.version, rule)
        return engine_id

    def show(self, audience_id: str, engine_id: str) -> str | None:
        """Let an engine's audience be the one that callers see; return the one that it was."""
        former = self.current.get(audience_id)
        if former is not None:
            self._audience_of.pop(former, None)
        self.current[audience_id] = engine_id
        self._audience_of[engine_id] = audience_id
        return former if former != engine_id else None

    def is_evaluated(self, engine_id: str) -> bool:
        """Tell whether the members are known."""
        return engine_id in self._evaluated

    def evaluate(self, engine_id: str, version: int) -> BitMap:
        """Finish a build; return the members."""
        if engine_id in self._evaluated:
            return self._engine().members(engine_id)
        members = self._engine().activate(engine_id, version)
        self._evaluated.add(engine_id)
        return members

    def members(self, audience_id: str) -> BitMap:
        """Return the members of what callers see; nobody where it was never built."""
        engine_id = self.current.get(audience_id, "")
        return self._engine().members(engine_id) if engine_id in self._evaluated else BitMap()

    def remove(self, audience_id: str) -> None:
        """Let go of all that stands for an audience."""
        engine_ids = [each.pop(audience_id, "") for each in (self.pending, self.current)]
        self.drop([each for each in engine_ids if each])

    def drop(self, engine_ids: Iterable[str]) -> None:
        """Let go of audiences of the engine, of which nothing that stays is built on one."""
        for each in engine_ids:
            self._audience_of.pop(each, None)
            self._evaluated.discard(each)
            self._engine().remove_audience(each)
