"""The estimate of what a business needs is near what an engine takes that is filled."""

import random

from click.testing import CliRunner

from segcore import Engine, Event, PropertyValue
from segcore._resident import leaves
from segcore.rule import MICRO, Aggregate, Compare, Comparison, Fold, Kind, Literal, Rows, Scope
from segcore.rule_json import to_json
from services.host.capacity import Load, needs
from services.host.cli import coterie
from services.segmentation.domain import Definition
from services.segmentation.memory import MemoryUse
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition

PEOPLE = 2_000
EVENTS = 20_000
T0 = 1_767_268_800_000
DAY = 86_400_000


def test_the_history_takes_what_is_estimated() -> None:
    engine = Engine()
    engine.advance(T0, False)  # noqa: FBT003  inclusive
    for number in range(EVENTS):
        values: dict[str, PropertyValue] = {"total": float(number), "channel": "store"}
        event_id = f"{number:036}"
        happened = Event(event_id, "purchase", T0, T0, "crm:x", values, ())
        engine.add_event(number % PEOPLE + 1, happened)
    kept = sum(len(content) for content in engine.dump().values())
    load = Load(PEOPLE, EVENTS, 0, 0, 0.0, 0.0, 0, 2, 0.0)
    estimated = sum(each.mapped for each in needs(load))
    assert 0.7 * kept < estimated < 1.5 * kept


def bought(least: int, days: int) -> str:
    """Return the rule of those who bought so often in so many days."""
    rows = Rows(Scope.EVENT, ("purchase",), last_ms=days * DAY)
    most = Literal(least * MICRO, Kind.NUMBER)
    return to_json(Compare(Comparison.GE, Aggregate(rows, Fold.COUNT), most))


def test_counts_timers_and_members_take_what_is_estimated() -> None:
    partition, audiences, draw = Partition(0), 12, random.Random(7)
    partition.pass_time(T0, inclusive=False)
    for place in range(audiences):
        rule = bought(place % 4 + 1, 30 + place)
        partition.propose(Definition(f"a{place}", 1, "A", "", rule, 1, "r"))
        partition.activate(f"a{place}", 1)
    for number in range(EVENTS):
        now_ms = T0 + number * DAY // 2_000
        partition.pass_time(now_ms, inclusive=False)
        happened = Event(f"e{number}", "purchase", now_ms, now_ms, "crm:x", {}, ())
        partition.add_event(draw.randrange(1, PEOPLE), happened)
    found = leaves(partition.engine)
    share = sum(people for _, people, _ in found) / len(found) / PEOPLE
    changes = len(partition.records.journal) / EVENTS
    load = Load(PEOPLE, EVENTS, audiences, len(found), share, changes, 0, 0, 0.0)
    estimated = {each.kind: each for each in needs(load)}
    used = {
        each.kind: each.resident_bytes
        for each in MemoryUse(Overview(lambda: [partition])).count().uses
    }
    counts = sum(size for kind, size in used.items() if kind.startswith("clauses/"))
    assert 0.4 * counts < estimated["counts and windows"].resident < 2.5 * counts
    sets = used["members"] + used["bits of clauses and audiences"]
    assert 0.4 * sets < estimated["members and clauses"].resident < 2.5 * sets
    rows = len(partition.records.journal.store.columns["rows"].to_bytes())
    assert rows <= estimated["when and why"].mapped < 1.2 * rows


def test_what_is_asked_for_is_printed_with_a_sum() -> None:
    arguments = ["capacity", "--profiles", "1000000", "--events-per-day", "100000"]
    result = CliRunner().invoke(coterie, arguments)
    assert result.exit_code == 0
    assert result.output.splitlines()[-2].split()[0] == "all"


def test_a_thousand_audiences_of_ten_million_people_are_within_twenty_gibibytes() -> None:
    events, audiences = 50_000_000, 1_000
    load = Load(10_000_000, events, audiences, 500, 0.04, 25.0, 9, 4, 1.0, 1.5)
    assert sum(each.resident for each in needs(load)) < 20 << 30
