"""The witnesses of entries in a run of events: those of the reference at the instant of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.transitions_pb2 import CHANGE_ENTERED, Transition, TransitionPack
from segcore.evaluation import Moment
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    All,
    AnyOf,
    Compare,
    Comparison,
    Expression,
    Fold,
    Follow,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)
from segcore.rule_json import to_json
from segcore.witnesses import witness_rows
from services.kit.freshness import Freshness
from services.kit.log.port import Record
from services.kit.telemetry import Tracing
from services.segmentation import acts
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition
from services.segmentation.stage import Memberships

START = 100
SKU = ItemField("sku", Kind.TEXT)


def items(kind: str, last: int | None = None, *follows: Follow, keyed: bool = False) -> Rows:
    return Rows(
        Scope.ITEM, (kind,), last_ms=last, key=SKU if keyed else None, follows=tuple(follows)
    )


def exists(rows: Rows) -> Aggregate:
    return Aggregate(rows, Fold.EXISTS)


def at_least(count: int, rows: Rows, fold: Fold = Fold.COUNT) -> Compare:
    return Compare(Comparison.GE, Aggregate(rows, fold), Literal(count * MICRO, Kind.NUMBER))


UNBOUGHT = items("view", None, Follow(items("buy", keyed=True), 5, absent=True), keyed=True)
RULES: dict[str, Expression] = {
    "viewers": at_least(2, items("view", 10)),
    "unbought": exists(UNBOUGHT),
    "buyers": exists(Rows(Scope.EVENT, ("buy",), last_ms=8)),
    "either": AnyOf(
        (InAudience("viewers"), All((exists(items("buy")), Not(InAudience("unbought")))))
    ),
    "recent": All((InAudience("buyers"), exists(items("view", 20)))),
    "quiet": All(
        (
            exists(items("view")),
            Compare(
                Comparison.GE,
                Age(Aggregate(items("buy"), Fold.LATEST)),
                Literal(7, Kind.SPAN),
            ),
            AnyOf((Not(InAudience("recent")), exists(items("buy", 12)))),
        )
    ),
}


@dataclass(frozen=True)
class Step:
    """What comes next: an event of somebody, so much after the one before, or a tick."""

    after_ms: int
    ordinal: int
    kind: str
    skus: str
    late_ms: int


steps = st.builds(
    Step,
    st.sampled_from((0, 0, 1, 2, 4, 9, 13)),
    st.sampled_from((1, 2)),
    st.sampled_from(("view", "view", "buy", "tick")),
    st.sampled_from(("a", "b", "ab", "aab")),
    st.sampled_from((0, 0, 0, 3, 6)),
)


def facts_of(drawn: list[Step]) -> list[Fact]:
    found = []
    now_ms = START
    for index, step in enumerate(drawn):
        now_ms += step.after_ms
        fact = Fact(index=index, log_time_ms=now_ms, received_ms=now_ms)
        if step.kind == "tick":
            fact.tick.SetInParent()
        else:
            fact.profile_id = step.ordinal
            fact.event.event_id, fact.event.type = f"e{index}", step.kind
            fact.event.occurred_time.FromMilliseconds(now_ms - step.late_ms)
            for sku in step.skus:
                fact.event.items.add(sku=sku, quantity=1)
        found.append(fact)
    return found


def defined(partition: Partition) -> None:
    partition.pass_time(START, inclusive=False)
    for name, rule in RULES.items():
        definition = Definition(name, 1, name, "text", to_json(rule), START, f"req-{name}")
        partition.propose(definition)
        partition.activate(name, 1)


def by_reference(partition: Partition, entered: Transition) -> list[tuple[str, str]]:
    """Return the rows by which somebody is in an audience that the person just entered."""
    rule = RULES[entered.audience_id]
    moment = Moment(
        partition.engine.history(entered.profile_id),
        entered.at_ms,
        lambda each: partition.is_member(each, entered.profile_id),
        partition.engine.settled or entered.at_ms < partition.engine.now_ms,
        profile_id=entered.profile_id,
    )
    rows = witness_rows(rule, moment)
    return [(row.event.event_id, "" if row.item is None else row.item.sku) for row in rows]


def one_by_one(facts: list[Fact]) -> TransitionPack:
    """Return what facts lead to that are applied alone, time passing by the millisecond."""
    partition = Partition(0)
    defined(partition)
    answer = TransitionPack()
    for fact in facts:
        for now_ms in range(partition.engine.now_ms, fact.log_time_ms):
            step = Fact(index=fact.index, log_time_ms=now_ms + 1, received_ms=now_ms + 1)
            _apply(partition, step, answer)
        _apply(partition, fact, answer)
    return answer


def _apply(partition: Partition, fact: Fact, answer: TransitionPack) -> None:
    """Apply a fact, and hold the witnesses of who enters by it to the reference."""
    known = len(answer.transitions)
    acts.apply_input(partition, [fact], answer)
    for each in answer.transitions[known:]:
        if each.change == CHANGE_ENTERED and each.audience_id != "buyers":
            found = [(row.event_id, row.sku) for row in each.witnesses]
            assert found == by_reference(partition, each)
        else:
            assert not each.witnesses


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=16))
def test_a_run_finds_the_witnesses_that_there_were_at_each_entry(drawn: list[Step]) -> None:
    facts = facts_of(drawn)
    with TemporaryDirectory() as directory:
        stage = Memberships(0, Path(directory), Freshness(), Tracing(), lambda _payload: 1)
        stage.restore()
        defined(stage.partition)
        pack = FactPack(inbound_seq=1, facts=facts)
        (entry,) = stage.apply([Record(1, pack.SerializeToString(), 1)])[0]
    told, wanted = TransitionPack.FromString(entry.payload), one_by_one(facts)
    for each in wanted.transitions:
        each.facts_seq = 1
    assert list(told.transitions) == list(wanted.transitions)
