"""What the partitions of this process hold together: definitions, people, positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from pyroaring import BitMap

from segcore.rule import Expression
from services.kit.errors import FailedPrecondition, InvalidArgument, NotFound
from services.kit.ids import ordinal_of, partition_of, profile_id
from services.kit.rules import compile_rule
from services.segmentation import wire
from services.segmentation.definitions import Definitions
from services.segmentation.domain import Audience, Definition, Difference, State, Version
from services.segmentation.partition import Partition

SAMPLE = 20
"""How many of those who would enter or leave by a version are shown."""


class Partitions(Protocol):
    """The states of all partitions of this process, as they are now."""

    def __call__(self) -> Sequence[Partition]:
        """Return them in order of their numbers."""


class Overview:
    """Reads over all partitions. Each reads its facts at its own speed."""

    def __init__(self, partitions: Partitions) -> None:
        self.partitions = partitions

    @property
    def _library(self) -> Definitions:
        return self.partitions()[0].versions.library

    def definitions(self) -> list[Definition]:
        """Return the version in use of each audience."""
        return self._library.in_use()

    def versions(self, audience_id: str) -> list[Definition]:
        """Return all versions of an audience, newest first; raises NotFound."""
        self.known(audience_id)
        return self._library.versions(audience_id)

    def is_collected(self, definition: Definition) -> bool:
        """Tell whether a version is of a publication whose members are not kept any more."""
        return self._library.is_collected(definition)

    def newest(self, audience_id: str) -> int:
        """Return the last version's number, also of an audience that is no more."""
        return self._library.newest(audience_id)

    def users(self, audience_id: str) -> list[str]:
        """Return the names of all that refers to an audience."""
        return self._library.users(audience_id)

    def reaches(self, references: frozenset[str], audience_id: str) -> bool:
        """Tell whether a rule with these references leads, by whatever way, to an audience."""
        return self._library.reaches(references, audience_id)

    def find(self, audience_id: str) -> Definition | None:
        """Return the version in use as far as all partitions have come; None where there is none.

        While a swap reaches one after the other it is the former version still.
        """
        everywhere = [each.definitions.get(audience_id) for each in self.partitions()]
        first = everywhere[0]
        if first is None:
            return None
        live = [each for each in everywhere if each is not None and each.state is State.ACTIVE]
        if len(live) < len(everywhere):
            return first.proposed()
        return min(live, key=lambda each: each.version)

    def known(self, audience_id: str) -> Definition:
        """Return the version in use; raises NotFound."""
        definition = self.find(audience_id)
        if definition is None:
            message = f"there is no audience `{audience_id}`"
            raise NotFound("AUDIENCE_NOT_FOUND", message, {"audience": audience_id})
        return definition

    def active(self, audience_id: str) -> Definition:
        """Return the live version; raises NotFound, and FailedPrecondition before there is one."""
        definition = self.known(audience_id)
        if definition.state is not State.ACTIVE:
            message = f"audience `{audience_id}` is still being built from the history; try again"
            raise FailedPrecondition("AUDIENCE_BACKFILLING", message, {"audience": audience_id})
        return definition

    def compile(self, rule_text: str) -> Expression:
        """Return the checked rule; raises InvalidArgument with the place of each mistake."""
        audiences = frozenset(each.audience_id for each in self.definitions() if not each.owner)
        extensions = tuple(self.partitions()[0].extensions)
        return compile_rule(rule_text, wire.vocabulary(extensions, audiences))

    def read(self, audience_id: str) -> Audience:
        """Return an audience with its size; raises NotFound."""
        definition = self.known(audience_id)
        count, progress = 0, 1.0
        for partition in self.partitions():
            with partition.lock:
                if definition.state is State.ACTIVE:
                    count += len(partition.members(audience_id))
                else:
                    progress = min(progress, partition.build_progress)
        coming = self.next_version(audience_id)
        return Audience(definition, progress, count, coming, self.newest(audience_id))

    def next_version(self, audience_id: str) -> Version | None:
        """Return the version that is built beside the one in use, with what it would change."""
        partitions = self.partitions()
        definition = partitions[0].versions.library.pending.get(audience_id)
        if definition is None:
            return None
        progress, parts = 1.0, []
        for partition in partitions:
            with partition.lock:
                if partition.versions.is_ready(audience_id, definition.version):
                    parts.append((partition, *partition.versions.difference(audience_id)))
                else:
                    progress = min(progress, partition.build_progress)
        ready = len(parts) == len(partitions)
        return Version(definition, progress, _difference(parts) if ready else None)

    @contextmanager
    def found(self, person: int) -> Iterator[tuple[Partition, int]]:
        """Hold the partition in which a person is now, also one who left for another; say as whom.

        Raises NotFound.
        """
        partitions = self.partitions()
        while True:
            number, ordinal = partition_of(person), ordinal_of(person)
            if number >= len(partitions) or not partitions[number].knows(ordinal):
                raise NotFound("PROFILE_NOT_FOUND", "who: there is no profile with that id")
            partition = partitions[number]
            with partition.lock:
                ordinal = partition.current(ordinal)
                if ordinal not in partition.departures:
                    if not partition.is_there(ordinal):
                        raise NotFound("PROFILE_NOT_FOUND", "who: there is no profile with that id")
                    yield partition, ordinal
                    return
            person = partition.departures[ordinal]

    @contextmanager
    def held(self) -> Iterator[Sequence[Partition]]:
        """Hold all partitions, each as of its position, as long as nothing is computed for long."""
        partitions = self.partitions()
        with ExitStack() as stack:
            for partition in partitions:
                stack.enter_context(partition.lock)
            yield partitions

    def check_present(self, at_ms: int | None, field: str) -> None:
        """Raise InvalidArgument for an instant to which log time has not come."""
        now_ms = max(each.log_time_ms for each in self.partitions())
        if at_ms is not None and not 0 <= at_ms <= now_ms:
            message = f"{field}: expected a time from 1970 to the present of the log"
            raise InvalidArgument("TIME_IN_FUTURE", message, {"field": field})


def revision_of(partitions: Sequence[Partition]) -> str:
    """Return the facts positions of partitions that are held."""
    return ",".join(f"{each.number}:{each.facts_seq}" for each in partitions)


def _difference(parts: Sequence[tuple[Partition, BitMap, BitMap]]) -> Difference:
    return Difference(
        sum(len(entering) for _, entering, _ in parts),
        sum(len(leaving) for _, _, leaving in parts),
        sample([(partition, entering) for partition, entering, _ in parts], SAMPLE),
        sample([(partition, leaving) for partition, _, leaving in parts], SAMPLE),
    )


def sample(parts: Sequence[tuple[Partition, BitMap]], limit: int) -> tuple[int, ...]:
    """Return the first profile ids of some people, ascending."""
    found: list[int] = []
    for partition, people in parts:
        wanted = limit - len(found)
        found += [profile_id(partition.number, each) for each in people[:wanted]]
    return tuple(found)
