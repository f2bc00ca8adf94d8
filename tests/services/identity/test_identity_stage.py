"""What one inbound record gives in the facts logs."""

import pytest
from identity_stages import (
    START_MS,
    Workplace,
    attributes,
    event,
    identity,
    link,
    outcome,
    tick,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.log.v1.facts_pb2 import Fact
from coterie.log.v1.inbound_pb2 import Inbound
from services.identity.packs import KINDS
from services.kit.errors import Unavailable
from services.kit.ids import derive_id
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry, Fenced
from services.kit.telemetry import Tracing


def bodies(facts: list[Fact]) -> list[str | None]:
    return [fact.WhichOneof("body") for fact in facts]


def test_an_event_becomes_a_fact_of_its_profile_after_its_identities(place: Workplace) -> None:
    facts = place.take(event("e1", "ecid:D", "crm:A"))
    assert bodies(facts) == ["identity_assigned", "identity_assigned", "event"]
    assert {fact.profile_id for fact in facts} == {1}
    assert facts[0].identity_assigned.identity == identity("crm:A")
    assert facts[2].event == event("e1", "ecid:D", "crm:A").event
    assert (facts[2].input_id, facts[2].index, facts[2].log_time_ms) == ("e1", 0, START_MS)


def test_an_attribute_that_can_be_no_identifier_links_nobody(place: Workplace) -> None:
    assert bodies(place.take(attributes("c1", "crm:A", email="a\0b")))[1:] == ["attributes"]
    assert bodies(place.take(attributes("c2", "crm:A", email="x" * 257))) == ["attributes"]
    assert bodies(place.take(attributes("c3", "crm:A", email="a@b"))) == [
        "identity_assigned",
        "attributes",
    ]


def test_a_fact_came_with_its_primary_identifier_else_the_highest(place: Workplace) -> None:
    highest, primary, missing = (
        place.take(event("e1", "ecid:D", "crm:A"))[-1],
        place.take(event("e2", "ecid:D", "crm:A", primary="ecid"))[-1],
        place.take(event("e3", "ecid:D", "crm:A", primary="phone"))[-1],
    )
    assert [fact.came_with for fact in (highest, primary, missing)] == [
        identity("crm:A"),
        identity("ecid:D"),
        identity("crm:A"),
    ]


def test_a_merge_comes_before_the_fact_that_caused_it(place: Workplace) -> None:
    place.take(event("e1", "ecid:D"), event("e2", "crm:A"))
    facts = place.take(event("e3", "crm:A"), event("e4", "crm:A", "ecid:D"))
    assert bodies(facts) == ["event", "profiles_merged", "event"]
    assert [fact.profile_id for fact in facts] == [2, 2, 2]
    merged = facts[1].profiles_merged
    assert merged.merged_profile_id == 1
    assert merged.merge_id == derive_id("merge", "2", "1", "2", "1")


def test_what_became_of_a_message_follows_its_person(place: Workplace) -> None:
    place.take(event("e1", "ecid:D"), event("e2", "crm:A"))
    (fact,) = place.take(outcome("m1", 1))
    assert (bodies([fact]), fact.profile_id) == (["message_outcome"], 1)
    place.take(event("e3", "crm:A", "ecid:D"))
    (fact,) = place.take(outcome("m2", 1))
    assert fact.profile_id == 2
    assert place.take(outcome("m2", 1), outcome("m3", 99)) == []


def test_a_moved_identifier_tells_who_held_it(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "ecid:D"))
    facts = place.take(event("e2", "crm:B", "ecid:D"))
    assert bodies(facts) == ["identity_assigned", "identity_assigned", "event"]
    assert facts[1].identity_assigned.identity == identity("ecid:D")
    assert facts[1].identity_assigned.former_profile_id == 1


def test_an_input_id_counts_once_for_ever(place: Workplace) -> None:
    place.take(event("e1", "crm:A"), event("e1", "crm:B"))
    assert bodies(place.take(event("e1", "crm:C"))) == []
    place.tables()
    place.restart()
    assert bodies(place.take(event("e1", "crm:D"), event("e2", "crm:A"))) == ["event"]
    assert place.derivation.duplicates == 1


def test_input_ids_of_different_kinds_do_not_meet(place: Workplace) -> None:
    place.take(event("same", "crm:A"))
    assert bodies(place.take(attributes("same", "crm:A", tier="gold"))) == ["attributes"]


def test_an_input_without_an_id_is_never_a_repetition(place: Workplace) -> None:
    place.take(attributes("", "crm:A", tier="gold"))
    assert bodies(place.take(attributes("", "crm:A", tier="gold"))) == ["attributes"]


def test_a_link_gives_no_fact_of_its_own(place: Workplace) -> None:
    assert bodies(place.take(link("l1", "crm:A", "ecid:D"))) == ["identity_assigned"] * 2
    assert [len(pack.facts) for pack in place.packs()] == [2]
    assert place.take(link("l2", "crm:A", "ecid:D")) == []
    assert len(place.packs()) == 2


def test_an_attribute_named_like_a_namespace_is_linked(place: Workplace) -> None:
    place.take(attributes("a1", "crm:A", email="a@x", tier="gold"))
    facts = place.take(event("e1", "email:a@x"))
    assert [fact.profile_id for fact in facts] == [1]


def test_an_attribute_that_cannot_be_an_identifier_is_only_an_attribute(place: Workplace) -> None:
    cleared = attributes("a1", "crm:A")
    cleared.attributes.attributes["email"].SetInParent()
    long = attributes("a2", "crm:A", email="x" * 257)
    number = attributes("a3", "crm:A")
    number.attributes.attributes["email"].number = 7
    facts = place.take(cleared, long, number)
    assert bodies(facts) == ["identity_assigned", *["attributes"] * 3]


def test_an_event_of_nobody_is_kept_and_anything_else_of_nobody_dropped(place: Workplace) -> None:
    facts = place.take(event("e1"), attributes("a1", tier="gold"), link("l1"))
    assert [(fact.profile_id, fact.input_id) for fact in facts] == [(0, "e1")]
    assert not facts[0].HasField("came_with")
    assert place.derivation.ownerless == 3


def test_an_input_of_an_unknown_kind_is_passed_over(place: Workplace) -> None:
    assert bodies(place.take(Inbound(input_id="x"), event("e1", "crm:A")))[-1] == "event"


def test_a_tick_is_for_every_partition_and_moves_log_time() -> None:
    place = Workplace(partitions=3)
    place.take(tick(START_MS))
    for partition in range(3):
        (pack,) = place.packs(partition)
        assert bodies(list(pack.facts)) == ["tick"]
        assert (pack.facts[0].profile_id, pack.facts[0].log_time_ms) == (0, START_MS)
    place.close()


def test_definitions_schema_and_catalog_are_for_every_partition() -> None:
    place = Workplace(partitions=2)
    inputs = [Inbound(input_id=f"i{number}") for number in range(4)]
    inputs[0].catalog_item.sku = "S"
    inputs[1].schema.SetInParent()
    inputs[2].audience_proposal.audience_id = "vip"
    inputs[3].audience_activation.audience_id = "vip"
    expected = ["catalog_item", "schema", "audience_proposal", "audience_activation"]
    assert bodies(place.take(*inputs, partition=1)) == expected
    assert place.payloads()[0] == place.payloads()[1]
    place.close()


def test_facts_go_to_the_partition_of_their_profile_and_no_other() -> None:
    place = Workplace(partitions=4)
    for number in range(40):
        place.feed(event(f"e{number}", f"crm:{number}"))
    place.feed(link("l1", "crm:1"))
    place.run()
    packs = [place.packs(partition) for partition in range(4)]
    owners = [{fact.profile_id >> 32 for pack in log for fact in pack.facts} for log in packs]
    assert owners == [{0}, {1}, {2}, {3}]
    assert sum(len(pack.facts) > 0 for log in packs for pack in log) == 40
    for log in packs[1:]:
        assert all(pack.facts for pack in log[:-1])
        assert (log[-1].inbound_seq, len(log[-1].facts)) == (41, 0)


def test_the_first_partition_has_something_of_every_record() -> None:
    place = Workplace(partitions=4)
    for pack in range(20):
        place.feed(event(f"e{pack}", f"crm:{pack}"))
    place.run()
    assert [pack.inbound_seq for pack in place.packs(0)] == list(range(1, 21))
    place.close()
    place.close()


def test_a_stamp_ahead_of_the_last_tick_is_bounded_in_the_fact(place: Workplace) -> None:
    facts = place.take(tick(START_MS), event("e1", "crm:A", at_ms=START_MS + 60_000))
    assert (facts[-1].received_ms, facts[-1].log_time_ms) == (START_MS + 2_000, START_MS + 2_000)
    late = place.take(event("e2", "crm:A", at_ms=START_MS - 500))[-1]
    assert (late.received_ms, late.log_time_ms) == (START_MS - 500, START_MS + 2_000)


def test_the_trace_of_an_input_goes_on_with_its_fact(place: Workplace) -> None:
    message = event("e1", "crm:A")
    message.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert {fact.traceparent for fact in place.take(message)} == {message.traceparent}


def test_a_pack_that_cannot_be_read_is_set_aside_and_stops_nobody(place: Workplace) -> None:
    place.feed(event("e1", "crm:A"))
    place.inbound.append([Entry(b"\xff\xff\xff")])
    place.feed(event("e2", "crm:A"))
    failures = 0
    while place.stage.position < 3 and failures < 9:
        try:
            place.stage.step(32)
        except Exception:  # noqa: BLE001  # as the runner does
            failures += 1
    assert place.stage.dead_letters == 1
    assert [record.dead_letter for record in place.records()] == [False, True, False]
    assert [len(pack.facts) for pack in place.packs()] == [2, 0, 1]


def test_readers_learn_how_far_the_facts_are(place: Workplace) -> None:
    place.take(event("e1", "crm:A"))
    place.take(event("e2", "crm:A"))
    assert place.freshness.position == 2


def test_a_second_owner_of_the_tables_is_found_out(place: Workplace) -> None:
    first = place.store
    place.take(event("e1", "crm:A"))
    state = place.derivation.state
    place.restart()
    with pytest.raises(Fenced):
        first.save(state, 1)


def test_before_the_tables_are_read_nothing_is_answered(place: Workplace) -> None:
    place.stage.recover()
    fresh = type(place.derivation)(
        place.store, place.derivation._rules, place.freshness, place.tracing
    )
    with pytest.raises(Unavailable):
        _ = fresh.state


def test_the_facts_of_the_largest_pack_are_within_the_limit_of_an_append(
    place: Workplace,
) -> None:
    wide = "\N{MUSICAL SYMBOL G CLEF}"
    inputs = []
    for number in range(1_000):
        message = event(f"{number:04}" + wide * 124)
        for index in range(16):
            message.event.identities.add(namespace=f"n{index}", value=f"{number}-" + "v" * 50)
        inputs.append(message)
    assert 1_900_000 < sum(message.ByteSize() for message in inputs) < 2_097_152
    facts = place.take(*inputs)
    assert len(facts) == 17_000
    (record,) = place.records()
    assert not record.dead_letter
    assert len(record.payload) < APPEND_LIMIT_BYTES
    assert (facts[-2].input_id, facts[-1].input_id) == ("", inputs[-1].input_id)


def test_a_pack_is_one_span_linked_to_its_sampled_inputs() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    place = Workplace(tracing=Tracing(provider))
    sampled = event("e1", "crm:A")
    sampled.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    place.take(sampled, event("e2", "crm:A"))
    place.take(event("e3", "crm:A"))
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["identity.pack"] * 2
    linked = [[f"{link.context.span_id:x}" for link in span.links] for span in spans]
    assert linked == [["b7ad6b7169203331"], []]
    place.close()


def test_the_kinds_of_inputs_keep_the_numbers_that_the_tables_hold() -> None:
    assert KINDS == {
        "event": 10,
        "attributes": 11,
        "consent": 12,
        "link": 13,
        "catalog_item": 14,
        "schema": 15,
        "audience_proposal": 16,
        "audience_activation": 17,
        "tick": 18,
        "message_outcome": 19,
        "journey_publication": 20,
        "journey_stop": 21,
        "template_publication": 22,
        "handoff": 23,
        "unlink": 24,
        "erasure": 25,
        "audience_deletion": 30,
        "audience_member": 31,
    }
