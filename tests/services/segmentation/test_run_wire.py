"""A run of events tells what its events tell one by one, byte for byte; so are its records."""

from itertools import groupby

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.transitions_pb2 import TransitionPack
from segcore import Engine
from segcore.rule import Aggregate, Expression, Fold, InAudience, Not, Rows, Scope
from segcore.rule_json import to_json
from services.kit.freshness import Freshness
from services.kit.log.port import Record
from services.kit.telemetry import Tracing
from services.segmentation import acts, saved, wire
from services.segmentation.domain import Cause
from services.segmentation.partition import Partition
from services.segmentation.stage import Memberships

HOUR = 3_600_000
PARTITION = 3
VISITED = Aggregate(Rows(Scope.EVENT, ("visit",), last_ms=HOUR), Fold.EXISTS)
RULES: dict[str, Expression] = {
    "visitors": VISITED,
    "looked-at-shoes": Aggregate(Rows(Scope.ITEM, ("view",), last_ms=2 * HOUR), Fold.EXISTS),
    "elsewhere": Not(InAudience("visitors")),
}

visits = st.tuples(
    st.integers(1, 4),
    st.sampled_from(["visit", "view"]),
    st.integers(0, HOUR),
    st.sampled_from(["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
)


def defined() -> list[Fact]:
    """Return the facts by which all rules go live."""
    facts = []
    for audience_id, rule in RULES.items():
        proposed = Fact(log_time_ms=1, received_ms=1)
        proposed.audience_proposal.audience_id = audience_id
        proposed.audience_proposal.version = 1
        proposed.audience_proposal.rule_json = to_json(rule)
        live = Fact(log_time_ms=1, received_ms=1)
        live.audience_activation.audience_id, live.audience_activation.version = audience_id, 1
        facts += [proposed, live]
    return facts


def packs(drawn: list[list[tuple[int, str, int, str]]]) -> list[FactPack]:
    """Return the definitions, and a pack for each list of events, log time going on."""
    found = [FactPack(inbound_seq=1, facts=defined())]
    now_ms, count, known = 1, 0, set[int]()
    for index, fact in enumerate(found[0].facts):
        fact.index = index
    for seq, visits_of_pack in enumerate(drawn, 2):
        pack = FactPack(inbound_seq=seq)
        for index, (ordinal, kind, waited_ms, traceparent) in enumerate(visits_of_pack):
            now_ms += waited_ms
            count += 1
            fact = Fact(index=index, log_time_ms=now_ms, received_ms=now_ms)
            fact.profile_id, fact.traceparent = PARTITION << 32 | ordinal, traceparent
            if ordinal not in known:
                pack.facts.add().CopyFrom(fact)
                pack.facts[-1].identity_assigned.identity.namespace = "crm"
                known.add(ordinal)
            fact.event.event_id, fact.event.type = f"event-{count}", kind
            if kind == "view":
                fact.event.items.add(sku=f"shoe-{count}")
            pack.facts.append(fact)
        now_ms += HOUR // 2
        pack.facts.add(index=len(visits_of_pack), log_time_ms=now_ms).tick.SetInParent()
        found.append(pack)
    return found


def one_by_one(partition: Partition, pack: FactPack, seq: int) -> TransitionPack:
    """Apply a pack fact by fact, as messages: the twin of what the stage does."""
    answer = TransitionPack(facts_seq=seq, inbound_seq=pack.inbound_seq)
    for index, facts in groupby(pack.facts, lambda fact: fact.index):
        found = list(facts)
        flips = partition.engine.advance(found[0].log_time_ms, found[0].HasField("tick"))
        due = partition.told(flips, Cause.CLOCK, "")
        wire.add_transitions(answer, due, PARTITION, index, "")
        acts.apply_input(partition, found, answer)
    partition.note_next_due()
    partition.facts_seq = seq
    partition.inbound_seq = partition.settled_seq = pack.inbound_seq
    answer.log_time_ms = partition.log_time_ms
    return answer


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(st.lists(visits, max_size=12), max_size=4))
def test_a_run_tells_what_its_events_tell_one_by_one(
    drawn: list[list[tuple[int, str, int, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("run")
    stage = Memberships(PARTITION, directory, Freshness(4), Tracing(), lambda _payload: 1)
    stage.restore()
    twin = Partition(PARTITION, Engine(None, PARTITION))
    for seq, pack in enumerate(packs(drawn), 1):
        record = Record(seq, pack.SerializeToString(), seq)
        told = stage.apply([record])[0][0].payload
        expected = one_by_one(twin, pack, seq).SerializeToString(deterministic=True)
        assert TransitionPack.FromString(told) == TransitionPack.FromString(expected)
        assert told == expected
    found, expected_rows = (each.records for each in (stage.partition, twin))
    assert found.capture() == expected_rows.capture()
    assert dict(found.journal.store.contents()) == dict(expected_rows.journal.store.contents())
    saved.write(directory, saved.capture(stage.partition))
    restored = saved.read(directory, PARTITION)
    assert restored is not None
    assert saved.state_hash(restored) == saved.state_hash(stage.partition)
