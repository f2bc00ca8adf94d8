"""The task that builds audiences: it outlives failures, and goes live in the order of the log."""

import asyncio
from collections.abc import Sequence

import pytest

from coterie.log.v1.inbound_pb2 import InboundPack
from segcore.rule import Aggregate, Fold, Rows, Scope
from segcore.rule_json import to_json
from services.kit.errors import Exhausted
from services.segmentation import builder
from services.segmentation.builder import Builder
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition

RULE = to_json(Aggregate(Rows(Scope.EVENT, ("visit",)), Fold.EXISTS))


def propose(partition: Partition, *audience_ids: str) -> None:
    for each in audience_ids:
        partition.propose(Definition(each, 1, each, "text", RULE, 1, f"req-{each}"))


class Inbound:
    """Takes activations; the first `failures` appends fail."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[str] = []
        self.took = asyncio.Event()

    async def append(self, payload: bytes) -> int:
        if self.failures:
            self.failures -= 1
            raise Exhausted("BACKLOG_FULL", "too much waits to be stored")
        (one,) = InboundPack.FromString(payload).inputs
        self.taken.append(one.audience_activation.audience_id)
        self.took.set()
        return len(self.taken)


async def build(partitions: Sequence[Partition], inbound: Inbound) -> None:
    """Run the task until it ends or an activation is in the log."""
    made = Builder(lambda: partitions, inbound.append, lambda: 1)
    task = asyncio.create_task(made.run())
    taken = asyncio.create_task(inbound.took.wait())
    made.wake()
    await asyncio.wait({task, taken}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    taken.cancel()
    await asyncio.gather(task, taken, return_exceptions=True)


def test_an_append_that_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "RETRY_S", 0.0)
    partition, inbound = Partition(0), Inbound(failures=2)
    propose(partition, "vip")
    asyncio.run(build([partition], inbound))
    assert inbound.taken == ["vip"]


def test_nothing_goes_live_before_what_was_proposed_before_it() -> None:
    first, second, inbound = Partition(0), Slow("parent"), Inbound()
    propose(first, "parent", "child")
    propose(second, "parent", "child")

    async def look_once() -> None:
        await Builder(lambda: [first, second], inbound.append, lambda: 1)._build_all()

    asyncio.run(look_once())
    assert inbound.taken == []


class Slow(Partition):
    """A partition that is seen without one of its definitions: its stage was there a moment ago."""

    def __init__(self, unseen: str) -> None:
        super().__init__(1)
        self._unseen = unseen

    def build(self, rows: int) -> bool:
        done = super().build(rows)
        self.definitions.pop(self._unseen, None)
        return done
