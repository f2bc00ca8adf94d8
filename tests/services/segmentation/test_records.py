"""When and why memberships changed: the columns are a dictionary, however they came to be."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from services.segmentation import record_table
from services.segmentation.domain import Cause, Change
from services.segmentation.record_table import Columns, RecordTable
from services.segmentation.records import Records, Swap

changes = st.builds(
    Change,
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 50),
    st.sampled_from(Cause),
    st.text(max_size=5),
    st.integers(1, 9),
)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 12), st.none() | changes)), st.randoms())
def test_a_table_is_a_dictionary(
    puts: list[tuple[int, Change | None]], chance: random.Random
) -> None:
    table, expected = RecordTable(), dict[int, Change]()
    for ordinal, record in puts:
        table.put(ordinal, record)
        expected.pop(ordinal, None)
        if record is not None:
            expected[ordinal] = record
        if chance.random() < 0.3:
            table.columns()
    found = {each: table.get(each) for each in range(14) if table.get(each) is not None}
    assert found == expected
    assert table.people() == BitMap(expected)
    sections = table.columns().sections("r")
    assert sections == Columns.of(expected).sections("r")
    assert RecordTable(Columns.load(sections, "r")).columns().sections("r") == sections


def test_many_records_are_joined_now_and_then() -> None:
    table = RecordTable()
    count = 3 * record_table.RECENT
    for ordinal in range(count, 0, -1):
        table.put(ordinal, Change(ordinal, 0, Cause.EVENT, f"event-{ordinal}", 1))
    assert table.get(7) == Change(7, 0, Cause.EVENT, "event-7", 1)
    assert len(table.people()) == count
    assert table.memory_bytes() < count * 45


def test_what_a_swap_moved_is_known_until_something_of_the_persons_own_happens() -> None:
    records = Records()
    records.keep("a", 2, Change(5, 0, Cause.EVENT, "e", 1))
    records.swap("a", Swap(1, 10, BitMap([1]), BitMap()))
    records.swap("a", Swap(2, 20, BitMap([3]), BitMap([1, 2])))
    assert records.find("a", 1) == Change(10, 20, Cause.DEFINITION, "", 2)
    assert records.find("a", 2) == Change(5, 20, Cause.DEFINITION, "", 2)
    assert records.find("a", 3) == Change(20, 0, Cause.DEFINITION, "", 2)
    assert records.find("a", 4) is None
    records.drop_person(1)
    assert [audience_id for audience_id, _ in records.of(1)] == []
