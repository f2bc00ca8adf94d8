"""Columns are rows: the same inputs, the same refusals, and a column of a wrong form says where."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_inputs import T0, value
from profile_intake import Intake
from profile_world import World, reason_of, running

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import columns_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import event_pb2
from segcore.rule import Kind
from services.host.event_columns import Lines, event_columns
from services.kit.clock import ManualClock
from services.kit.errors import Exhausted, InvalidArgument
from services.profile.checks import DeclaredKinds, check_event
from services.profile.column_packs import sheet
from services.profile.columns import check_way, expand
from tests.fuzz import column_writing

TEXTS = st.sampled_from(["a", "a", "shoe", "shoe", "é", "x" * 128, "", "x" * 300, "nul\0", "u\x1f"])
DECLARED = DeclaredKinds({}, {"total": Kind.NUMBER, "flag": Kind.FLAG, "date": Kind.TEXT})
PROPERTIES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "time": st.datetimes(timezones=st.just(dt.UTC)).map(
        lambda each: each.replace(microsecond=each.microsecond // 1000 * 1000)
    ),
    "date": st.dates(),
    "list": st.lists(TEXTS, max_size=3).map(tuple),
}


@st.composite
def events(draw: st.DrawFn) -> list[event_pb2.Event]:
    """Draw rows, each with a part of what a row may have."""
    return [draw(event(number)) for number in range(draw(st.integers(1, 6)))]


@st.composite
def event(draw: st.DrawFn, number: int) -> event_pb2.Event:
    drawn = event_pb2.Event(event_id=f"event-{number}", type=draw(TEXTS))
    for namespace in ("crm", "email"):
        if draw(st.booleans()):
            drawn.identities.add(namespace=namespace, value=draw(TEXTS))
    if draw(st.booleans()):
        drawn.occurred_time.FromMilliseconds(draw(st.integers(-5, T0)))
    for name, values in PROPERTIES.items():
        if draw(st.booleans()):
            plain = draw(values)
            if isinstance(plain, dt.datetime):
                drawn.properties[name].time.FromDatetime(plain)
            else:
                drawn.properties[name].CopyFrom(value(plain))
    for _ in range(draw(st.integers(0, 2))):
        line = drawn.items.add(sku=draw(TEXTS), category=draw(TEXTS))
        if draw(st.booleans()):
            line.price = draw(PROPERTIES["number"])
        if draw(st.booleans()):
            line.quantity = draw(PROPERTIES["number"])
    return drawn


def columns_of(rows: list[event_pb2.Event]) -> columns_pb2.EventColumns:
    """Return the columns of rows, by the helper that callers use."""
    lines = [line for row in rows for line in row.items]
    return event_columns(
        [row.event_id for row in rows],
        [row.type for row in rows],
        {name: [_identity(row, name) for row in rows] for name in ("crm", "email")},
        occurred=[
            row.occurred_time.ToMilliseconds() if row.HasField("occurred_time") else None
            for row in rows
        ],
        properties={name: [_plain(row, name) for row in rows] for name in PROPERTIES},
        lines=Lines(
            counts=[len(row.items) for row in rows],
            skus=[line.sku for line in lines],
            categories=[line.category or None for line in lines],
            prices=[line.price if line.HasField("price") else None for line in lines],
            quantities=[line.quantity if line.HasField("quantity") else None for line in lines],
        ),
    )


def _identity(row: event_pb2.Event, namespace: str) -> str | None:
    return next((each.value for each in row.identities if each.namespace == namespace), None)


def _plain(row: event_pb2.Event, name: str) -> object:
    if name not in row.properties:
        return None
    kept = row.properties[name]
    match kept.WhichOneof("kind"):
        case "time":
            return kept.time.ToDatetime(dt.UTC)
        case "date":
            return dt.date(kept.date.year, kept.date.month, kept.date.day)
        case "texts":
            return list(kept.texts.values)
        case kind:
            return getattr(kept, str(kind))


@settings(max_examples=100, deadline=None)
@given(rows=events())
def test_rows_that_went_through_columns_are_the_same_rows(rows: list[event_pb2.Event]) -> None:
    assert [each.event for each in expand(columns_of(rows))] == rows


def _packed(rows: list[event_pb2.Event]) -> tuple[inbound_pb2.InboundPack, list[tuple[int, str]]]:
    """Return the record of the rows that pass, and the others with why, as intake does."""
    pack, refused = inbound_pb2.InboundPack(), []
    for index, row in enumerate(rows):
        try:
            check_event(row, T0, DECLARED)
        except InvalidArgument as error:
            refused.append((index, error.message))
        else:
            pack.inputs.add(input_id=row.event_id, received_ms=T0, traceparent="t", event=row)
    return pack, refused


@settings(max_examples=300, deadline=None)
@given(rows=events())
def test_what_is_written_at_once_is_what_rows_become(rows: list[event_pb2.Event]) -> None:
    pack, refused = _packed(rows)
    written = sheet(columns_of(rows), T0, DECLARED)
    assert np.flatnonzero(~written.sound).tolist() == [index for index, _ in refused]
    assert inbound_pb2.InboundPack.FromString(written.payload(T0, "t")) == pack


@settings(max_examples=100, deadline=None)
@given(rows=events())
def test_intake_takes_and_refuses_columns_as_rows(rows: list[event_pb2.Event]) -> None:
    by_row, by_column = Intake(declared=DECLARED), Intake(declared=DECLARED)
    first = by_row.take(*[pb.IngestInput(event=row) for row in rows])
    second = by_column.take_columns(columns_of(rows))
    assert by_column.records == by_row.records
    assert [(each.index, each.input_id, each.error.message) for each in second.refused] == [
        (each.index, each.input_id, each.error.message) for each in first.refused
    ]
    assert (second.revision, second.accepted) == (first.revision, first.accepted)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_broken_columns_are_to_the_kernel_what_they_are_to_rows(seed: int) -> None:
    column_writing.run(packs=4, changes=4, seed=seed)


def test_columns_that_say_when_they_are_received_go_by_rows() -> None:
    columns = _whole()
    columns.received_time_ms = np.array([T0 + 5, T0 + 9], "<i8").tobytes()
    columns.identities[0].values.codes = bytes(8)
    intake = Intake(virtual=True)
    assert intake.take_columns(columns).accepted == 2
    inputs = [each for pack in intake.records for each in pack.inputs]
    assert [each.received_ms for each in inputs] == [T0 + 4, T0 + 5, T0 + 8, T0 + 9]


def test_columns_larger_than_a_record_become_several() -> None:
    ids = [f"event-{number}" for number in range(1000)]
    notes = {f"note-{each}": ["x" * 1000] * 1000 for each in range(3)}
    columns = event_columns(ids, "view", {"crm": ["1"] * 1000}, properties=notes)
    intake = Intake()
    assert intake.take_columns(columns).accepted == 1000
    assert len(intake.records) > 1
    assert [each.input_id for pack in intake.records for each in pack.inputs] == ids


def test_a_full_backlog_refuses_columns() -> None:
    intake = Intake()
    for _ in range(11):
        intake.take_columns(_whole())
    with pytest.raises(Exhausted):
        intake.take_columns(_whole())


def test_arrays_do_as_well_as_lists() -> None:
    count = 3
    columns = event_columns(
        [f"event-{number}" for number in range(count)],
        "purchase",
        {"crm": np.array(["1", "2", "1"])},
        occurred=np.array(["2026-01-01", "NaT", "2026-01-02T00:00:00.5"], "datetime64[ms]"),
        properties={
            "total": np.array([1.5, 2.0, -3.0]),
            "count": np.array([1, 2, 3]),
            "new": np.array([True, False, True]),
            "due": np.array(["2026-02-01", "NaT", "2026-02-03"], "datetime64[D]"),
            "seen": np.array(["2026-02-01T12", "NaT", "2026-02-03T12"], "datetime64[s]"),
        },
        lines=Lines(counts=np.array([0, 2, 0]), skus=["a", "b"], quantities=np.array([1.0, 2.0])),
    )
    rows = [each.event for each in expand(columns)]
    assert [row.occurred_time.ToJsonString() for row in rows] == [
        "2026-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-01-02T00:00:00.500Z",
    ]
    assert [row.HasField("occurred_time") for row in rows] == [True, False, True]
    assert [sorted(row.properties) for row in rows] == [
        ["count", "due", "new", "seen", "total"],
        ["count", "new", "total"],
        ["count", "due", "new", "seen", "total"],
    ]
    assert rows[2].properties["count"].number == 3
    assert rows[2].properties["due"].date.day == 3
    assert rows[2].properties["seen"].time.ToJsonString() == "2026-02-03T12:00:00Z"
    assert [len(row.items) for row in rows] == [0, 2, 0]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"types": ["a"]}, ValueError),
        ({"properties": {"a": [1.0, "x"]}}, TypeError),
        ({"properties": {"a": [object(), None]}}, TypeError),
        ({"occurred": [dt.datetime(2026, 1, 1), None]}, TypeError),  # noqa: DTZ001  no zone
        ({"lines": Lines(counts=[1, 1], skus=["a"])}, ValueError),
    ],
)
def test_the_helper_refuses_what_is_no_column(
    wrong: dict[str, Any], error: type[Exception]
) -> None:
    given: dict[str, Any] = {"types": "view", "identities": {"crm": ["1", "2"]}}
    with pytest.raises(error, match="expected"):
        event_columns(["a", "b"], **{**given, **wrong})


def _whole() -> columns_pb2.EventColumns:
    return event_columns(
        ["a", "b"],
        ["view", "buy"],
        {"crm": ["1", None]},
        occurred=[T0, None],
        properties={"n": [1.0, None], "t": ["x", "y"], "d": [None, dt.date(2026, 1, 1)]},
        lines=Lines(counts=[1, 1], skus=["s", "s"], prices=[1.0, None]),
    )


def _broken(field: str, content: Any) -> columns_pb2.EventColumns:
    """Return whole columns with one field, by its path, replaced."""
    columns: Any = _whole()
    *way, last = field.split(".")
    holder = columns
    for part in way:
        holder = holder[int(part)] if part.isdigit() else getattr(holder, part)
    if isinstance(content, list):
        del getattr(holder, last)[:]
        getattr(holder, last).extend(content)
    else:
        setattr(holder, last, content)
    return columns


CODE_9 = (9).to_bytes(4, "little")
NO_CODE = b"\xff" * 4


@pytest.mark.parametrize(
    ("field", "content", "place"),
    [
        ("row_count", 0, "columns.row_count"),
        ("row_count", 1001, "columns.row_count"),
        ("row_count", 3, "columns.event_ids"),
        ("types.codes", b"", "columns.types.codes"),
        ("types.codes", bytes(4) + CODE_9, "columns.types.codes[1]"),
        ("types.codes", bytes(4) + NO_CODE, "columns.types.codes[1]"),
        ("identities.0.values.codes", CODE_9 * 2, "columns.identities[0].values.codes[0]"),
        ("occurred_time_ms", b"123", "columns.occurred_time_ms"),
        ("occurred_time_ms", b"\xff" * 8 + b"\x7f" * 8, "columns.occurred_time_ms[1]"),
        ("received_time_ms", b"1", "columns.received_time_ms"),
        ("properties.0.present", b"12", "columns.properties[0].present"),
        ("properties.0.numbers", b"1234567", "columns.properties[0].numbers"),
        ("properties.0.flags", b"\2\0", "columns.properties[0].flags[0]"),
        ("properties.0.times_ms", b"\x7f" * 16, "columns.properties[0].times_ms[0]"),
        ("properties.1.texts.codes", CODE_9 * 2, "columns.properties[1].texts.codes[0]"),
        ("properties.1.name", "n", "columns.properties[1].name"),
        ("properties.2.dates", b"\x7f" * 8, "columns.properties[2].dates[1]"),
        ("items.row_ends", b"\2\0\0\0\1\0\0\0", "columns.items.row_ends[1]"),
        ("items.row_ends", b"\1\0\0\0\3\0\0\0", "columns.items.skus.codes"),
        ("items.row_ends", b"\xff" * 8, "columns.items.row_ends"),
        ("items.prices", b"1", "columns.items.prices"),
    ],
)
def test_a_column_of_a_wrong_form_is_refused_by_its_place(
    field: str, content: Any, place: str
) -> None:
    columns = _broken(field, content)
    for read in (expand, lambda each: sheet(each, T0, DeclaredKinds())):
        if read is not expand and field == "received_time_ms":
            continue  # such a batch goes by rows
        with pytest.raises(InvalidArgument) as refusal:
            read(columns)
        assert refusal.value.message.startswith(f"{place}: expected")


def test_a_property_without_values_is_refused() -> None:
    columns = _whole()
    columns.properties[0].ClearField("numbers")
    with pytest.raises(InvalidArgument, match=r"columns.properties\[0\]: expected values"):
        expand(columns)


def test_too_many_columns_are_refused() -> None:
    columns = _whole()
    for number in range(64):
        columns.properties.add(name=f"p{number}", numbers=bytes(16))
    with pytest.raises(InvalidArgument) as refusal:
        expand(columns)
    assert refusal.value.reason == "TOO_MANY"


def test_a_batch_is_rows_or_columns() -> None:
    check_way(pb.IngestBatchRequest(inputs=[pb.IngestInput()]))
    check_way(pb.IngestBatchRequest(columns=_whole()))
    with pytest.raises(InvalidArgument, match="either"):
        check_way(pb.IngestBatchRequest(inputs=[pb.IngestInput()], columns=_whole()))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_columns_of_any_bytes_are_refused_or_expanded(data: st.DataObject) -> None:
    columns = _whole()
    anything = st.binary(max_size=20)
    for column in (columns.types, columns.identities[0].values, columns.items.skus):
        if data.draw(st.booleans()):
            column.codes = data.draw(anything)
    columns.items.row_ends = data.draw(st.one_of(anything, st.just(columns.items.row_ends)))
    columns.occurred_time_ms = data.draw(anything)
    columns.properties[0].present = data.draw(anything)
    try:
        assert len(expand(columns)) == 2
    except InvalidArgument as error:
        assert "columns." in error.message  # noqa: PT017  what it says is the claim


def test_columns_reach_the_log_as_rows_do_and_a_bad_row_loses_no_good_one(data_dir: Path) -> None:
    columns = _whole()
    rows = pb.IngestRequest(inputs=expand(columns))
    wrong = _broken("types.codes", CODE_9 * 2)

    async def story(world: World) -> None:
        requests = [rows, pb.IngestRequest(columns=columns), pb.IngestRequest(columns=wrong)]
        call = world.stub.Ingest(iter(requests))
        by_row, by_column = await call.read(), await call.read()
        assert isinstance(by_row, pb.IngestResponse)
        assert isinstance(by_column, pb.IngestResponse)
        assert by_row.accepted_count == by_column.accepted_count == 1
        assert by_row.refused == by_column.refused
        assert [(each.index, each.input_id) for each in by_row.refused] == [(1, "b")]
        with pytest.raises(grpc.aio.AioRpcError, match=r"columns.types.codes\[0\]") as refusal:
            await call.read()
        assert reason_of(refusal.value) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        packs = [
            inbound_pb2.InboundPack.FromString(each.payload) for each in world.inbound.read(0, 9)
        ]
        assert len(packs) == 2
        assert packs[0] == packs[1]

    async def run() -> None:
        async with asyncio.timeout(20), running(data_dir, ManualClock(T0)) as world:
            await story(world)

    asyncio.run(run())
