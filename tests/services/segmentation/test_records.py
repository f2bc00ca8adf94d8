"""When and why memberships changed: a journal tells what a dictionary would, and takes less."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from segcore._flips import RECORD
from segcore._journal import Journal
from services.segmentation import domain
from services.segmentation.domain import Cause, Change
from services.segmentation.records import Records, Swap

AUDIENCES = ("a", "b", "c")
PEOPLE = 5
DIGEST_EVERY = 3


def event_id(place: int) -> str:
    return f"event-{place}"


class Twin:
    """The records as a plain dictionary: what each happening makes of each person's."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int], Change] = {}
        self.numbers: dict[int, int] = {}

    def add(self, audience_id: str, ordinal: int, *, entered: bool, change: Change) -> int:
        self.move(audience_id, ordinal, entered=entered, change=change)
        self.numbers[ordinal] = self.numbers.get(ordinal, 0) + 1
        return self.numbers[ordinal]

    def move(self, audience_id: str, ordinal: int, *, entered: bool, change: Change) -> None:
        moved = domain.entered if entered else domain.exited
        former = self.known.get((audience_id, ordinal))
        why = (change.cause, change.cause_id, change.version)
        self.known[audience_id, ordinal] = moved(former, change.enter_ms, *why)

    def drop_person(self, ordinal: int) -> None:
        self.numbers.pop(ordinal, None)
        self.known = {key: it for key, it in self.known.items() if key[1] != ordinal}

    def drop_audience(self, audience_id: str) -> None:
        self.known = {key: it for key, it in self.known.items() if key[0] != audience_id}


changes = st.builds(
    Change,
    st.integers(0, 50),
    st.integers(0, 50),
    st.sampled_from(Cause),
    st.sampled_from(["", "x", "cause-ü"]),
    st.integers(1, 3),
)
audiences, people = st.sampled_from(AUDIENCES), st.integers(1, PEOPLE)
steps = st.one_of(
    st.tuples(st.just("add"), audiences, people, st.booleans(), changes),
    st.tuples(st.just("keep"), audiences, people, st.booleans(), changes),
    st.tuples(st.just("swap"), audiences, st.sets(people), st.sets(people), changes),
    st.tuples(st.just("drop person"), people),
    st.tuples(st.just("drop audience"), audiences),
    st.just(("save",)),
)


def play(records: Records, twin: Twin, step: Sequence[object]) -> Records:
    """Take one step on both sides; return the records to go on with."""
    match step:
        case ("add", str(audience_id), int(ordinal), bool(entered), Change() as change):
            event = 7 if change.cause is Cause.EVENT else None
            given = (change.enter_ms, change.cause, change.cause_id, event)
            number = records.add(audience_id, change.version, ordinal, entered, *given)
            cause_id = event_id(7) if event else change.cause_id
            told = replace(change, cause_id=cause_id)
            assert number == twin.add(audience_id, ordinal, entered=entered, change=told)
        case ("keep", str(audience_id), int(ordinal), bool(member), Change() as change):
            records.keep(audience_id, ordinal, change, member=member)
            twin.known[audience_id, ordinal] = change
        case ("swap", str(audience_id), set(entered), set(exited), Change() as change):
            exited -= entered
            sets = BitMap(entered), BitMap(exited)
            records.swap(audience_id, Swap(change.version, change.enter_ms, *sets))
            why = replace(change, cause=Cause.DEFINITION, cause_id="")
            for ordinal in entered | exited:
                twin.move(audience_id, ordinal, entered=ordinal in entered, change=why)
        case ("drop person", int(ordinal)):
            records.drop_person(ordinal)
            twin.drop_person(ordinal)
        case ("drop audience", str(audience_id)):
            records.drop_audience(audience_id)
            twin.drop_audience(audience_id)
        case _:
            return read_back(records)
    return records


def read_back(records: Records) -> Records:
    """Return the records as they are after a snapshot."""
    journal = Journal(None, DIGEST_EVERY)
    journal.store.load(records.journal.store.dump())
    restored = Records(event_id, journal)
    restored.restore(json.loads(json.dumps(records.capture())), 8)
    return restored


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40))
def test_records_are_what_a_dictionary_of_them_is(drawn: list[tuple[object, ...]]) -> None:
    records, twin = Records(event_id, Journal(None, DIGEST_EVERY)), Twin()
    for step in drawn:
        records = play(records, twin, step)
        for ordinal in range(PEOPLE + 2):
            expected = {each: twin.known.get((each, ordinal)) for each in AUDIENCES}
            assert {each: records.find(each, ordinal) for each in AUDIENCES} == expected
            assert dict(records.of(ordinal)) == {k: v for k, v in expected.items() if v}
            assert records.journal.number(ordinal) == twin.numbers.get(ordinal, 0)


def test_what_a_swap_moved_is_known_until_something_of_the_persons_own_happens() -> None:
    records = Records(event_id)
    records.keep("a", 2, Change(5, 0, Cause.EVENT, "e", 1), member=True)
    records.swap("a", Swap(1, 10, BitMap([1]), BitMap()))
    records.swap("a", Swap(2, 20, BitMap([3]), BitMap([1, 2])))
    assert records.find("a", 1) == Change(10, 20, Cause.DEFINITION, "", 2)
    assert records.find("a", 2) == Change(5, 20, Cause.DEFINITION, "", 2)
    assert records.find("a", 3) == Change(20, 0, Cause.DEFINITION, "", 2)
    assert records.find("a", 4) is None
    records.drop_person(1)
    assert [audience_id for audience_id, _ in records.of(1)] == []


def run_of(
    *flips: tuple[int, int, int, int, bool, bool],
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return flips as (instant, rank, ordinal, place of the event, entered, clock)."""
    return np.array(list(flips), RECORD)


def test_a_run_is_kept_as_its_changes_one_by_one() -> None:
    flips = run_of(
        (10, 1, 3, 0, True, False), (11, 0, 3, 1, True, True), (11, 2, 4, 1, True, False)
    )
    whole, single = Records(event_id), Records(event_id)
    for records in (whole, single):
        assert [records.label(each, 1) for each in AUDIENCES] == [1, 2, 3]
    numbers = whole.add_run(flips, np.array([1, 0, 3], np.uint32), 40)
    assert numbers.tolist() == [0, 1, 1]
    entered = True
    assert single.add("a", 1, 3, entered, 11, Cause.CLOCK) == 1
    assert single.add("c", 1, 4, entered, 11, Cause.EVENT, event=41) == 1
    assert dict(whole.journal.store.contents()) == dict(single.journal.store.contents())
    assert whole.find("c", 4) == Change(11, 0, Cause.EVENT, "event-41", 1)


def test_a_change_takes_28_bytes_of_a_file_and_a_person_12_of_memory(tmp_path: Path) -> None:
    journal, people, changes_each = Journal(tmp_path), 50_000, 8
    records = Records(event_id, journal)
    records.label("a", 1)
    for at_ms in range(changes_each):
        flips = np.zeros(people, RECORD)
        flips["ordinal"], flips["at_ms"] = np.arange(1, people + 1), at_ms
        flips["entered"] = at_ms % 2 == 0
        records.add_run(flips, np.array([1], np.uint32), 0)
    resident, mapped = journal.memory()
    assert resident < 1.6 * 12 * people + 1000
    assert mapped < 2.1 * 28 * people * changes_each
    assert records.find("a", people) == Change(6, 7, Cause.EVENT, "event-0", 1)
