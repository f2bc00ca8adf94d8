"""Two logs read as one: the pairs are the same however far either log is ahead of the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.log.paired import Paired, PairedLog
from services.kit.log.port import Entry, Record
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database


def pair_of_logs() -> tuple[Database, SqlLog, SqlLog]:
    database = Database("sqlite://")
    create_logs(database)
    return database, SqlLog(database, "facts-0"), SqlLog(database, "intents-0")


def shape(pairs: list[Record]) -> list[tuple[int, list[bytes]]]:
    return [
        (pair.seq, [each.payload for each in pair.derived])
        for pair in pairs
        if isinstance(pair, Paired)
    ]


def read_all(source: PairedLog, after: int, limit: int) -> list[Record]:
    found: list[Record] = []
    while more := source.read(found[-1].seq if found else after, limit):
        found += more
    return found


@given(
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    limit=st.integers(1, 5),
    start=st.integers(0, 12),
)
def test_each_record_comes_with_all_that_was_derived_from_it(
    counts: list[int], cuts: list[int], limit: int, start: int
) -> None:
    database, primary, derived = pair_of_logs()
    source = PairedLog(primary, derived)
    expected = [
        (seq, [b"%d.%d" % (seq, number) for number in range(count)])
        for seq, count in enumerate(counts, 1)
    ]
    for seq, _ in expected:
        primary.append([Entry(b"fact %d" % seq)])
    written = 0
    seen: list[Record] = []
    for until in [*sorted(min(cut, len(counts)) for cut in cuts), len(counts)]:
        entries = [Entry(text, seq) for seq, made in expected[written:until] for text in made]
        if until > written:
            # As a relay does: the end of what it covers is always said.
            if not entries or entries[-1].source < until:
                entries.append(Entry(b"", until))
            derived.append(entries)
            written = until
        seen += read_all(source, seen[-1].seq if seen else 0, limit)
    told = [(seq, [text for text in made if text]) for seq, made in shape(seen)]
    assert told == expected
    fresh = read_all(PairedLog(primary, derived), min(start, len(counts)), limit)
    again = [(seq, [text for text in made if text]) for seq, made in shape(fresh)]
    assert again == expected[start:]
    database.close()


def test_nothing_is_given_before_the_derived_log_has_come_as_far() -> None:
    database, primary, derived = pair_of_logs()
    source = PairedLog(primary, derived)
    primary.append([Entry(b"one"), Entry(b"two")])
    assert source.read(0) == []
    assert not source.wait(0, 0.0)
    assert source.last_seq() == 0
    derived.append([Entry(b"of one", 1)])
    assert source.wait(0, 0.0)
    assert shape(source.read(0)) == [(1, [b"of one"])]
    assert source.read(1) == []
    assert source.last_seq() == 1
    database.close()


def test_a_hold_keeps_both_logs_back() -> None:
    database, primary, derived = pair_of_logs()
    source = PairedLog(primary, derived)
    primary.append([Entry(b"one"), Entry(b"two"), Entry(b"three")])
    derived.append([Entry(b"a", 1), Entry(b"b", 1), Entry(b"c", 3)])
    source.hold("journey-0", 2)
    assert primary.trim(3) == 2
    assert derived.trim(3) == 2
    assert shape(source.read(2)) == [(3, [b"c"])]
    database.close()


def test_of_what_nothing_was_derived_yet_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, primary, derived = pair_of_logs()
    source = PairedLog(primary, derived)
    primary.append([Entry(b"fact %d" % seq) for seq in range(1, 31)])
    asked: list[int] = []
    read = primary.read

    def noting(after_seq: int, limit: int = 100) -> list[Record]:
        asked.append(limit)
        return read(after_seq, limit)

    monkeypatch.setattr(primary, "read", noting)
    assert source.read(0, 32) == []
    assert asked == []
    derived.append([Entry(b"", 3)])
    assert [pair.seq for pair in source.read(0, 32)] == [1, 2, 3]
    assert asked == [3]
    database.close()
