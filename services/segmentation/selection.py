"""Who a rule that is not saved holds for, in one partition, while inputs go on.

The answer is that of one instant: the one at which the question was asked under the partition's
lock. From then on the lock is held for a slice of the work at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroaring import BitMap

from segcore._bits import Bits
from segcore._selection import OutgrownError
from segcore.engine import Engine
from segcore.frozen import FrozenQuestion
from segcore.rule import Expression
from segcore.select import select_bits
from services.segmentation.definitions import renamed
from services.segmentation.partition import Partition

Progress = Callable[[float], None]

TRIES = 3
"""After so many the lock is held until there is an answer: the state was read back, or grew."""


class ReplacedError(Exception):
    """The partition's state was read back while a question was asked of the former one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Who a rule holds for at one instant, and what else was so at it."""

    members: BitMap
    people_count: int
    audiences: tuple[BitMap, ...]
    log_time_ms: int
    facts_seq: int


def select(
    partition: Partition,
    rule: Expression,
    at_ms: int | None,
    *,
    audience_ids: Iterable[str] = (),
    progress: Progress | None = None,
) -> Answer:
    """Return whom a rule holds for now, or held for at `at_ms` by the rules of now.

    With it come the members that audiences have now. `progress` is told the share of the work that
    is done, on this thread.
    """
    for _ in range(TRIES):
        try:
            return _answer(partition, rule, at_ms, audience_ids, progress)
        except (OutgrownError, ReplacedError):
            continue
    with partition.lock:
        bound = renamed(rule, partition.versions.builds.current)
        found = select_bits(partition.engine, bound, at_ms, progress)
        return _with_the_rest(partition, found, audience_ids)


def _answer(
    partition: Partition,
    rule: Expression,
    at_ms: int | None,
    audience_ids: Iterable[str],
    progress: Progress | None,
) -> Answer:
    with partition.lock:
        engine = partition.engine
        bound = renamed(rule, partition.versions.builds.current)
        with _asked(engine, bound, at_ms) as question:
            now = _with_the_rest(partition, Bits(), audience_ids)
            found = question.answer(_resting(partition, engine), progress)
    return Answer(_people(found), now.people_count, now.audiences, now.log_time_ms, now.facts_seq)


@contextmanager
def _asked(engine: Engine, rule: Expression, at_ms: int | None) -> Iterator[FrozenQuestion]:
    question = engine.ask(rule, at_ms)
    try:
        yield question
    finally:
        engine.close(question)


def _resting(partition: Partition, engine: Engine) -> Callable[[Callable[[], Any] | None], Any]:
    """Return what lets others have the partition between two slices."""

    def rest(work: Callable[[], Any] | None) -> Any:
        partition.lock.release()
        try:
            done = None if work is None else work()
        finally:
            partition.lock.acquire()
        if partition.engine is not engine:
            raise ReplacedError
        return done

    return rest


def _with_the_rest(partition: Partition, found: Bits, audience_ids: Iterable[str]) -> Answer:
    """Return members with what else is so now."""
    return Answer(
        _people(found),
        partition.engine.profile_count,
        tuple(partition.members(each) for each in audience_ids),
        partition.log_time_ms,
        partition.facts_seq,
    )


def _people(bits: Bits) -> BitMap:
    return BitMap.deserialize(bits.to_portable())
