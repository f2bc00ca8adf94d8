"""Intake on a log in memory: what it refuses, what it makes of the rest, and in which order."""

from __future__ import annotations

import asyncio

import pytest
from profile_inputs import EMAIL, IN, T0, attributes, consent, event, input_of, stamp
from profile_intake import Intake

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2
from services.kit.errors import DomainError, Exhausted, InvalidArgument, Unavailable
from services.profile import limits
from services.profile.intake import Receipt

PERSONAL = "ada@example.org"


def _event(event_id: str, received: int | None = None) -> pb.IngestInput:
    return input_of(event(event_id), received=received)


def test_a_batch_becomes_one_record_with_ids_stamps_and_trace() -> None:
    intake = Intake()
    receipt = intake.take(
        _event("e-1"),
        input_of(attributes({"tier": "gold"}), "c-1"),
        input_of(consent({EMAIL: IN}), "c-2"),
        input_of(change_pb2.CatalogItem(sku="s"), "c-3"),
    )
    assert receipt == Receipt(revision=1, accepted=4)
    (pack,) = intake.records
    assert [one.input_id for one in pack.inputs] == ["e-1", "c-1", "c-2", "c-3"]
    bodies = [one.WhichOneof("body") for one in pack.inputs]
    assert bodies == ["event", "attributes", "consent", "catalog_item"]
    assert {(one.received_ms, one.traceparent) for one in pack.inputs} == {(T0, "trace")}
    assert pack.inputs[0].event == event("e-1")


def test_a_change_without_an_id_gets_one_of_its_own() -> None:
    intake = Intake()
    intake.take(input_of(attributes({"a": True})), input_of(attributes({"a": True})))
    first, second = (one.input_id for one in intake.inbound())
    assert first
    assert first != second


def test_each_bad_input_is_refused_alone() -> None:
    intake = Intake()
    receipt = intake.take(
        _event("e-0"),
        input_of(event("e-1", who=[])),
        _event("e-2"),
        input_of(event("e-3", properties={"total": PERSONAL})),
        pb.IngestInput(),
        input_of(attributes({"a": True}), change_id="c" * 129),
        _event("e-6"),
    )
    assert [one.input_id for one in intake.inbound()] == ["e-0", "e-2", "e-6"]
    assert receipt.accepted == 3
    assert [(one.index, one.input_id, one.error.reason) for one in receipt.refused] == [
        (1, "e-1", "NO_IDENTITY"),
        (3, "e-3", "SCHEMA_CONFLICT"),
        (4, "", "INVALID_FIELD"),
        (5, "", "INVALID_FIELD"),
    ]
    assert PERSONAL not in "".join(one.error.message for one in receipt.refused)


def test_a_batch_of_bad_inputs_alone_appends_nothing() -> None:
    intake = Intake()
    receipt = intake.take(input_of(event("e-1", who=[])))
    assert (receipt.revision, receipt.accepted, len(receipt.refused)) == (0, 0, 1)
    assert intake.records == []


def test_repeated_ids_in_a_batch_all_go_to_the_log() -> None:
    intake = Intake()
    assert intake.take(_event("e"), _event("e")).accepted == 2


def test_a_thousand_inputs_are_a_batch_and_one_more_are_not() -> None:
    intake = Intake()
    most = [_event(f"e-{n}") for n in range(1000)]
    assert intake.take(*most).accepted == 1000
    with pytest.raises(InvalidArgument) as caught:
        intake.take(*most, _event("one more"))
    assert caught.value.reason == "TOO_MANY"
    assert caught.value.metadata == {"limit": "1000", "found": "1001"}
    with pytest.raises(InvalidArgument):
        intake.take()
    assert len(intake.records) == 1


def test_a_large_batch_is_split_into_records_of_two_mebibytes() -> None:
    intake = Intake()
    heavy = {f"p{n}": "x" * 1024 for n in range(10)}
    receipt = intake.take(*(input_of(event(f"e-{n}", properties=heavy)) for n in range(500)))
    assert receipt.revision == len(intake.records) > 1
    assert all(pack.ByteSize() <= limits.PACK_BYTES for pack in intake.records)
    assert [one.input_id for one in intake.inbound()] == [f"e-{n}" for n in range(500)]


def test_fields_of_a_later_version_do_not_enter_the_log_unchecked() -> None:
    intake = Intake()
    sent = event("e-1")
    sent.MergeFromString(bytes([0xFA, 0x3E, 3]) + b"new")
    intake.take(input_of(sent))
    assert intake.inbound()[0].event.SerializeToString() == event("e-1").SerializeToString()


def test_a_full_backlog_refuses_all_but_consent() -> None:
    intake = Intake()
    for n in range(11):
        intake.take(_event(f"e-{n}"))
    with pytest.raises(Exhausted) as caught:
        intake.take(_event("e-11"))
    assert caught.value.reason == "BACKLOG_FULL"
    assert caught.value.metadata == {"lag": "11", "limit": "10"}
    receipt = intake.take(_event("e-12"), input_of(consent({EMAIL: IN}), "c-1"))
    assert [(one.index, one.error.reason) for one in receipt.refused] == [(0, "BACKLOG_FULL")]
    assert intake.inbound()[-1].input_id == "c-1"
    intake.applied_seq = 2
    assert intake.take(_event("e-13")).accepted == 1


def test_one_input_taken_alone_raises_what_is_wrong_with_it() -> None:
    intake = Intake()
    with pytest.raises(InvalidArgument, match="identities"):
        asyncio.run(intake.gateway.take_one(input_of(attributes({"a": True}, who=[]))))
    assert asyncio.run(intake.gateway.take_one(input_of(attributes({"a": True})))) == 1


def test_a_caller_that_leaves_does_not_end_what_was_begun() -> None:
    async def run() -> int:
        intake = Intake(gate=asyncio.Event())
        call = asyncio.create_task(intake.gateway.take_one(_event("e-1")))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert intake.gate is not None
        intake.gate.set()
        await intake.gateway.drain()
        return len(intake.records)

    assert asyncio.run(run()) == 1


def test_the_machines_clock_lets_nobody_set_time() -> None:
    receipt = Intake().take(_event("e-1", received=T0))
    assert [one.error.reason for one in receipt.refused] == ["CLOCK_NOT_VIRTUAL"]


def test_stamps_do_not_run_back_with_the_machines_clock() -> None:
    intake = Intake(now_ms=T0 + 5)
    intake.take(_event("e-1"))
    intake.clock.__init__(T0)  # type: ignore[misc]  # the machine's clock was set back
    intake.take(_event("e-2"))
    assert intake.stamps() == [5, 5]


def test_virtual_time_goes_on_with_a_tick_just_before_each_later_stamp() -> None:
    intake = Intake(virtual=True)
    intake.take(_event("a", T0 + 10), _event("b", T0 + 10), _event("c", T0 + 500))
    assert intake.stamps() == [-9, 10, 10, -499, 500]
    assert len(intake.records) == 1
    assert intake.clock.now_ms() == T0 + 500


def test_a_virtual_stamp_in_the_past_is_the_last_stamp() -> None:
    intake = Intake(virtual=True)
    intake.take(_event("a", T0 + 10), _event("late", T0 - 5000), _event("none"))
    assert intake.stamps() == [-9, 10, 10, 10]


def test_virtual_time_follows_the_ticks_of_the_clock() -> None:
    intake = Intake(virtual=True)
    intake.clock.move_to(T0 + 1000)
    intake.take(_event("a"), _event("b", T0 + 1000))
    assert intake.stamps() == [1000, 1000]


def test_a_refused_input_does_not_move_virtual_time() -> None:
    intake = Intake(virtual=True)
    intake.take(input_of(event("bad", who=[]), received=T0 + 10), _event("good", T0 + 3))
    assert intake.stamps() == [-2, 3]


def test_an_event_is_held_against_its_own_virtual_receipt() -> None:
    intake = Intake(virtual=True)
    day = limits.FUTURE_MS
    ahead = event("e", occurred_time=stamp(T0 + day + 10))
    assert intake.take(input_of(ahead)).refused[0].error.reason == "TIME_IN_FUTURE"
    assert intake.take(input_of(ahead, received=T0 + 10)).accepted == 1


def test_ticks_count_as_inputs_of_a_record() -> None:
    intake = Intake(virtual=True)
    intake.take(*(_event(f"e-{n}", T0 + 10 * n + 10) for n in range(1000)))
    assert [len(pack.inputs) for pack in intake.records] == [1000, 1000]


def test_after_a_failed_append_the_tick_is_said_again() -> None:
    intake = Intake(virtual=True, failure=Unavailable("UNAVAILABLE", "the disk is full"))
    with pytest.raises(Unavailable):
        intake.take(_event("a", T0 + 10))
    intake.failure = None
    intake.take(_event("a", T0 + 10), _event("b", T0 + 10))
    assert intake.stamps() == [-9, 10, 10]


def test_every_refusal_has_a_reason_that_the_api_knows() -> None:
    from services.kit.rpc.status import to_error  # noqa: PLC0415  # only here

    receipt = Intake().take(_event("e", T0), input_of(event("", who=[])), pb.IngestInput())
    errors: list[DomainError] = [one.error for one in receipt.refused]
    assert all(to_error(error).reason for error in errors)
