"""What a rule comes to that nobody has saved: exact size, overlap with audiences, a sample."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from segcore.rule import Expression
from services.kit.ids import profile_id
from services.segmentation.definitions import references_in
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition
from services.segmentation.selection import select

SELECTORS = 1
"""One at a time: a preview uses all that one core has, and live traffic waits for it."""


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
    """The use case of who writes a rule."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._selectors = ThreadPoolExecutor(SELECTORS, thread_name_prefix="preview")

    async def preview(self, wanted: PreviewWanted) -> AsyncIterator[float | Preview]:
        """Yield how far the computation has come, and at last what the rule comes to."""
        self._overview.check_present(wanted.at_ms, "time")
        rule = await asyncio.to_thread(self._overview.compile, wanted.rule_text)
        for each in sorted({*references_in(rule), *wanted.audience_ids}):
            self._overview.active(each)
        loop = asyncio.get_running_loop()
        partitions = self._overview.partitions()
        parts: list[Preview] = []
        for partition in partitions:
            yield len(parts) / len(partitions)
            part = loop.run_in_executor(self._selectors, _part, partition, rule, wanted)
            parts.append(await part)
        yield _united(parts, wanted.sample_size)


def _part(partition: Partition, rule: Expression, wanted: PreviewWanted) -> Preview:
    """Return what a rule comes to in one partition."""
    with partition.lock:
        members = select(partition, rule, wanted.at_ms)
        others = [partition.members(each) for each in wanted.audience_ids]
        return Preview(
            len(members),
            len(partition.everybody()),
            tuple(profile_id(partition.number, it) for it in members[: wanted.sample_size]),
            tuple((len(each), each.intersection_cardinality(members)) for each in others),
            partition.log_time_ms if wanted.at_ms is None else wanted.at_ms,
            f"{partition.number}:{partition.facts_seq}",
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
