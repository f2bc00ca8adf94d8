"""Files become events: in time order, with stable ids, and no bad row loses a good one."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import event_pb2, value_pb2
from services.host.definitions.document import DocumentError
from services.host.replay.mapped import MappedFile
from services.host.replay.mapping_file import read_mapping
from services.host.replay.source import SourceError

ROWS = """\
id: {derive: row}
type: {column: what, values: {view: product_view, buy: purchase}}
time: {column: at, zone: UTC}
identities: {crm: who}
items: {sku: sku, price: price, quantity: pieces}
properties:
  shop: {column: shop, kind: text}
"""
ORDERS = """\
id: {column: order, prefix: o-}
type: purchase
time: {column: at, format: "%d/%m/%Y %H:%M", zone: Europe/Paris}
identities: {loyalty: who}
group_by: order
items: {sku: sku, quantity: pieces, amount: paid}
properties:
  total: {column: paid, kind: number, fold: sum}
  lines: {fold: count}
"""
HEAD = "at,what,who,sku,price,pieces,shop"


def write(folder: Path, *lines: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


BORN = """\
id: {derive: row}
type: signup
time: {column: at, zone: UTC}
identities: {crm: who}
properties:
  born: {column: born, kind: date}
"""


def events(source: MappedFile) -> list[event_pb2.Event]:
    count = source.prepare()
    found = []
    last_ms = 0
    for one in source.inputs():
        assert one.time_ms >= last_ms
        last_ms = one.time_ms
        event = pb.IngestInput.FromString(one.body).event
        assert event.occurred_time.ToMilliseconds() == one.time_ms
        found.append(event)
    assert len(found) == count
    return found


def ids(found: Sequence[event_pb2.Event]) -> list[str]:
    return [event.event_id for event in found]


def test_a_row_becomes_an_event(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD, "2026-01-01T10:00:00.250Z,buy,7,shoe,12.5,2, north ")
    (event,) = events(MappedFile(path, read_mapping("m", ROWS)))
    assert event.type == "purchase"
    assert [(i.namespace, i.value) for i in event.identities] == [("crm", "7")]
    assert event.occurred_time.ToMilliseconds() == 1_767_261_600_250
    assert [(i.sku, i.price, i.quantity) for i in event.items] == [("shoe", 12.5, 2.0)]
    assert event.properties["shop"].text == "north"


def test_what_a_cell_does_not_say_the_event_does_not_say(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD, "2026-01-01T10:00:00Z,view,7,shoe,,,", "2026-01-01,view,7,,,,")
    second, first = events(MappedFile(path, read_mapping("m", ROWS)))
    assert not second.items
    assert not first.items[0].HasField("price")
    assert not first.items[0].HasField("quantity")
    assert not first.properties


def test_rows_come_out_in_time_order_and_equal_times_as_they_stand(tmp_path: Path) -> None:
    rows = [f"2026-01-0{day}T10:00:00Z,view,7,{day}{turn},,," for turn in "ab" for day in (3, 1, 2)]
    found = events(MappedFile(write(tmp_path, HEAD, *rows), read_mapping("m", ROWS)))
    assert [event.items[0].sku for event in found] == ["1a", "1b", "2a", "2b", "3a", "3b"]


def test_derived_ids_stay_the_same_when_the_file_grows(tmp_path: Path) -> None:
    row, other = "2026-01-02,view,7,shoe,1,,", "2026-01-01,view,8,shoe,1,,"
    mapping = read_mapping("m", ROWS)
    (alone,) = ids(events(MappedFile(write(tmp_path, HEAD, row), mapping)))
    assert alone == "row-c54f731cb0b7a2aae1a71b55885340cc"
    grown = ids(events(MappedFile(write(tmp_path, HEAD, other, row), mapping)))
    assert grown[1] == alone
    assert grown[0] != alone


def test_exact_repeats_are_kept_apart(tmp_path: Path) -> None:
    row = "2026-01-02,view,7,shoe,1,,"
    path = write(tmp_path, HEAD, row, row, row)
    first, second, third = ids(events(MappedFile(path, read_mapping("m", ROWS))))
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_exact_repeats_can_be_dropped(tmp_path: Path) -> None:
    row = "2026-01-02,view,7,shoe,1,,"
    mapping = read_mapping("m", ROWS.replace("derive: row", "derive: row, repeats: drop"))
    source = MappedFile(write(tmp_path, HEAD, row, row, row), mapping)
    assert len(events(source)) == 1
    assert source.tally.left_out["exact repeats, dropped"] == 2


def test_rows_of_one_order_become_one_event(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "order,at,who,sku,pieces,paid",
        "A,02/01/2026 10:00,7,milk,3,1.00",
        "B,01/01/2026 09:30,8,salt,1,0.5",
        "A,02/01/2026 10:00,7,fuel,0,2.61",
        "A,02/01/2026 10:00,7,bag,0,0",
    )
    source = MappedFile(path, read_mapping("m", ORDERS))
    b, a = events(source)
    assert (b.event_id, a.event_id) == ("o-B", "o-A")
    assert b.occurred_time.ToMilliseconds() == 1_767_256_200_000  # 09:30 in Paris
    # A line of nothing that cost something counts as one; one that cost nothing stays nothing.
    lines = [(i.sku, i.quantity, i.price) for i in a.items]
    assert lines == [("milk", 3.0, 0.333333), ("fuel", 1.0, 2.61), ("bag", 0.0, 0.0)]
    assert a.properties["total"].number == 3.61
    assert a.properties["lines"].number == 3
    assert (source.tally.happenings, source.tally.lines, source.tally.rows) == (2, 4, 4)


BAD = {
    "at is no such time (iso)": "yesterday,view,7,shoe,1,,",
    "at is empty (iso)": ",view,7,shoe,1,,",
    "what has a value that the mapping does not name": "2026-01-01,stare,7,shoe,1,,",
    "no identifier: who empty": "2026-01-01,view, ,shoe,1,,",
    "price is no number": "2026-01-01,view,7,shoe,cheap,,",
    "pieces is not between -9000000000 and 9000000000": "2026-01-01,view,7,shoe,1,1e10,",
    "expected 7 cells": "2026-01-01,view,7",
    "shop is longer than 1024 characters": f"2026-01-01,view,7,shoe,1,,{'x' * 1025}",
}


def test_bad_rows_are_counted_by_reason_and_lose_no_good_one(tmp_path: Path) -> None:
    good = "2026-01-01,view,7,shoe,1,,"
    rows = [line for bad in BAD.values() for line in (good, bad)]
    source = MappedFile(write(tmp_path, HEAD, *rows), read_mapping("m", ROWS))
    assert len(events(source)) == len(BAD)
    assert set(source.tally.rejections.counts) == set(BAD)
    assert source.tally.rows == 2 * len(BAD)
    for number, reason in enumerate(BAD):
        assert source.tally.rejections.lines[reason] == [3 + 2 * number]


def test_a_row_that_is_no_text_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        f"{HEAD}\n2026-01-01,view,7,".encode() + b"\xff\xfe" + b",1,,\n2026-01-01,view,7,a,1,,\n"
    )
    source = MappedFile(path, read_mapping("m", ROWS))
    assert len(events(source)) == 1
    assert source.tally.rejections.counts == {"the row is not UTF-8": 1}


def test_only_the_first_lines_are_remembered(tmp_path: Path) -> None:
    rows = ["2026-01-01,view,7,shoe,1,,"] + ["x,view,7,shoe,1,,"] * 9
    source = MappedFile(write(tmp_path, HEAD, *rows), read_mapping("m", ROWS))
    source.prepare()
    (lines,) = source.tally.rejections.lines.values()
    assert lines == [3, 4, 5, 6, 7]
    assert source.tally.rejections.total == 9


def test_filters_leave_rows_out_and_count_them(tmp_path: Path) -> None:
    where = ROWS + "where:\n  - {column: shop, not_in: [test]}\n  - {column: sku, present: true}\n"
    path = write(
        tmp_path,
        HEAD,
        "2026-01-01,view,7,shoe,,,test",
        "2026-01-01,view,7,,,,",
        "2026-01-01,buy,7,a,,,",
    )
    source = MappedFile(path, read_mapping("m", where))
    assert [event.type for event in events(source)] == ["purchase"]
    assert sorted(source.tally.left_out) == [
        "left out by `where` on shop",
        "left out by `where` on sku",
    ]


@pytest.mark.parametrize(("form", "instant"), [("epoch_s", 1e12), ("epoch_ms", -7e13)])
def test_a_number_that_is_no_time_of_any_year_is_rejected(
    tmp_path: Path, form: str, instant: float
) -> None:
    mapping = read_mapping("m", ROWS.replace("column: at,", f"column: at, format: {form},"))
    path = write(tmp_path, HEAD, f"{instant},view,7,a,,,", "86400000,view,7,a,,,")
    source = MappedFile(path, mapping)
    assert len(events(source)) == 1
    assert source.tally.rejections.lines == {f"at is no such time ({form})": [2]}


def test_a_quoted_cell_may_span_lines(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD, '2026-01-01,view,7,"a\nb",,,', "x,view,7,a,,,")
    source = MappedFile(path, read_mapping("m", ROWS))
    assert [event.items[0].sku for event in events(source)] == ["a\nb"]
    assert source.tally.rejections.lines["at is no such time (iso)"] == [4]


def test_a_gzipped_file_and_a_parquet_file_give_the_same_events(tmp_path: Path) -> None:
    rows = [f"2026-01-0{n}T10:00:00+00:00,view,{n},shoe,1.5,," for n in range(1, 6)]
    text = "\n".join([HEAD, *rows]) + "\n"
    with gzip.open(tmp_path / "rows.csv.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    mapping = read_mapping("m", ROWS)
    plain = [e.SerializeToString() for e in events(MappedFile(write(tmp_path, text), mapping))]
    zipped = MappedFile(tmp_path / "rows.csv.gz", mapping)
    assert [e.SerializeToString() for e in events(zipped)] == plain


def test_a_parquet_file_is_read_with_its_types(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    times = pa.array([1_767_261_600_250_999_000, None], pa.timestamp("ns"))
    columns = {"at": times, "what": ["buy", "buy"], "who": [7, 8], "sku": ["a", "b"]}
    columns |= {"price": [1.25, 2.0], "pieces": [None, 3], "shop": [None, "x"]}
    parquet.write_table(pa.table(columns), tmp_path / "rows.parquet")
    source = MappedFile(tmp_path / "rows.parquet", read_mapping("m", ROWS))
    (event,) = events(source)
    assert event.occurred_time.ToMilliseconds() == 1_767_261_600_250
    assert event.identities[0].value == "7"
    assert event.items[0].price == 1.25
    assert source.tally.rejections.lines == {"at is empty (iso)": [2]}


def test_a_missing_column_is_named_with_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, "at,what,who,sku,cost,pieces,shop")
    with pytest.raises(DocumentError) as raised:
        MappedFile(path, read_mapping("m.yaml", ROWS))
    message = str(raised.value)
    assert message == (
        "m.yaml: items: expected a column 'price' in rows.csv,"
        " found only at, what, who, sku, cost, pieces, shop"
    )


def test_a_limit_takes_the_first_events_in_time(tmp_path: Path) -> None:
    rows = [f"2026-01-0{day},view,7,{day},,," for day in (3, 1, 2)]
    source = MappedFile(write(tmp_path, HEAD, *rows), read_mapping("m", ROWS), limit=2)
    assert [event.items[0].sku for event in events(source)] == ["1", "2"]
    assert source.span_ms() == (1_767_225_600_000, 1_767_312_000_000)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    mapping = read_mapping("m", ROWS)
    for name, message in {
        "nowhere.csv": "expected a file, found nothing",
        "rows.xlsx": "expected a name that ends with",
        "empty.csv": "expected the names of the columns",
        "none.parquet": "no Parquet file",
    }.items():
        if name != "nowhere.csv":
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(SourceError, match=message):
            MappedFile(tmp_path / name, mapping)


def test_a_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(
        "\n".join([HEAD, *(f"2026-01-01,view,{n},a,,," for n in range(9))]).encode()
    )
    (tmp_path / "rows.csv.gz").write_bytes(whole[:-12])
    with pytest.raises(SourceError, match="breaks off here"):
        MappedFile(tmp_path / "rows.csv.gz", read_mapping("m", ROWS)).prepare()


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"found none among 1 rows; at is no such time \(iso\)"):
        MappedFile(write(tmp_path, HEAD, "x,y,z,,,,"), read_mapping("m", ROWS)).prepare()


def test_a_day_of_the_calendar_is_read_as_iso_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path, "at,who,born", "2026-03-01T00:00:00Z,ada,1992-02-29")
    (found,) = events(MappedFile(path, read_mapping("m", BORN)))
    assert found.properties["born"].date == value_pb2.Date(year=1992, month=2, day=29)
