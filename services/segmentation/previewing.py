"""What a rule comes to that nobody has saved: exact size, overlap with audiences, a sample."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from segcore.rule import Expression
from segcore.select import sample_of
from services.kit.ids import profile_id
from services.segmentation.definitions import references_in
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition
from services.segmentation.selection import Progress, select

STEP = 0.05
"""Share of the work between two messages: twenty are enough for a bar."""


@dataclass(frozen=True, slots=True)
class PreviewWanted:
    """What is to be computed of an unsaved rule; without `at_ms` as of now."""

    rule_text: str
    audience_ids: tuple[str, ...]
    sample_size: int
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule comes to; `overlaps` are (size, shared) of the audiences asked for."""

    member_count: int
    profile_count: int
    sample: tuple[int, ...]
    overlaps: tuple[tuple[int, int], ...]
    time_ms: int
    revision: str


class Previews:
    """The use case of who writes a rule; previews are made on threads of their own."""

    def __init__(self, selectors: Executor, overview: Overview) -> None:
        self._overview = overview
        self._selectors = selectors

    async def preview(self, wanted: PreviewWanted) -> AsyncIterator[float | Preview]:
        """Yield how far the computation has come, and at last what the rule comes to."""
        self._overview.check_present(wanted.at_ms, "time")
        rule = await asyncio.to_thread(self._overview.compile, wanted.rule_text)
        for each in sorted({*references_in(rule), *wanted.audience_ids}):
            self._overview.active(each)
        partitions = self._overview.partitions()
        parts: list[Preview] = []
        for partition in partitions:
            steps = self._steps(partition, rule, wanted)
            async for step in steps:
                if isinstance(step, Preview):
                    parts.append(step)
                else:
                    yield (len(parts) + step) / len(partitions)
        yield _united(parts, wanted.sample_size)

    async def _steps(
        self, partition: Partition, rule: Expression, wanted: PreviewWanted
    ) -> AsyncIterator[float | Preview]:
        """Yield shares of the work in one partition as they are done, then what it comes to."""
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[float | None] = asyncio.Queue()

        def progress(share: float) -> None:
            loop.call_soon_threadsafe(told.put_nowait, share)

        part = loop.run_in_executor(self._selectors, _part, partition, rule, wanted, progress)
        part.add_done_callback(lambda _: told.put_nowait(None))
        yield 0.0
        last = 0.0
        while (share := await told.get()) is not None:
            if share >= last + STEP:
                last = share
                yield share
        yield await part


def _part(
    partition: Partition, rule: Expression, wanted: PreviewWanted, progress: Progress
) -> Preview:
    """Return what a rule comes to in one partition."""
    found = select(
        partition, rule, wanted.at_ms, audience_ids=wanted.audience_ids, progress=progress
    )
    members = found.members
    sampled = sample_of(array("I", members), wanted.sample_size)
    return Preview(
        len(members),
        found.people_count,
        tuple(sorted(profile_id(partition.number, it) for it in sampled)),
        tuple((len(each), each.intersection_cardinality(members)) for each in found.audiences),
        found.log_time_ms if wanted.at_ms is None else wanted.at_ms,
        f"{partition.number}:{found.facts_seq}",
    )


def _united(parts: Sequence[Preview], sample_size: int) -> Preview:
    sizes = zip(*(part.overlaps for part in parts), strict=True)
    return Preview(
        sum(part.member_count for part in parts),
        sum(part.profile_count for part in parts),
        tuple(each for part in parts for each in part.sample)[:sample_size],
        tuple((sum(all_ for all_, _ in each), sum(both for _, both in each)) for each in sizes),
        max(part.time_ms for part in parts),
        ",".join(part.revision for part in parts),
    )
