"""Local days, worked out by hand: 23 and 25 hours, zones, anniversaries and 29 February."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.calendar import (
    anniversary_in,
    day_edges,
    day_of,
    first_ms,
    local_date,
    year_month_day,
    zone_named,
)
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import Value, evaluate, next_change_ms
from segcore.rule import (
    MICRO,
    Aggregate,
    Anniversary,
    Attribute,
    Expression,
    Fold,
    Kind,
    Rows,
    Scope,
)

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
born = Anniversary(Attribute("born", Kind.DATE))
joined = Anniversary(Attribute("joined", Kind.TIME))


def utc(text: str) -> int:
    return (datetime.fromisoformat(text + "+00:00") - EPOCH) // timedelta(milliseconds=1)


def today(days: int) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, ("a",), calendar_days=days), Fold.COUNT)


def person(*times: int, **attributes: PropertyValue) -> History:
    events = (Event(str(time), "a", time, time, "crm:1", {}) for time in times)
    return History(tuple(events), (AttributeChange(attributes, 0),))


def value_of(expression: Expression, history: History, now: str, zone: str = "UTC") -> Value:
    return evaluate(expression, history, utc(now), lambda _: False, zone=zone)


def next_of(expression: Expression, history: History, now: str, zone: str = "UTC") -> int | None:
    return next_change_ms(expression, history, utc(now), lambda _: False, zone=zone)


@pytest.mark.parametrize(
    ("zone", "day", "first", "hours"),
    [
        (PARIS, date(2024, 3, 31), "2024-03-30T23:00", 23),
        (PARIS, date(2024, 10, 27), "2024-10-26T22:00", 25),
        (PARIS, date(2024, 7, 1), "2024-06-30T22:00", 24),
        (NEW_YORK, date(2024, 3, 10), "2024-03-10T05:00", 23),
        (NEW_YORK, date(2024, 11, 3), "2024-11-03T04:00", 25),
        ("UTC", date(2024, 2, 29), "2024-02-29T00:00", 24),
        ("Asia/Kathmandu", date(2024, 1, 1), "2023-12-31T18:15", 24),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00", 23),
        ("America/Sao_Paulo", date(2018, 2, 17), "2018-02-17T02:00", 25),
    ],
)
def test_a_local_day_begins_at_its_first_instant(
    zone: str, day: date, first: str, hours: int
) -> None:
    found = zone_named(zone)
    assert found is not None
    number = (day - date(1970, 1, 1)).days
    begin_ms = first_ms(number, found)
    assert begin_ms == utc(first)
    assert (local_date(begin_ms - 1, found), local_date(begin_ms, found)) == (number - 1, number)
    assert first_ms(number + 1, found) - begin_ms == hours * 3_600_000
    assert day_edges(number, found) == [begin_ms, begin_ms + hours * 3_600_000]


def test_a_day_that_clocks_step_back_into_comes_in_two_pieces() -> None:
    # St John's went back from 00:01 to 23:01 of the day before.
    zone = zone_named("America/St_Johns")
    assert zone is not None
    day = day_of(2010, 11, 7)
    first, back, again = (utc(f"2010-11-07T0{at}") for at in ("2:30", "2:31", "3:30"))
    assert day_edges(day, zone)[:3] == [first, back, again]
    assert first_ms(day, zone) == first


def test_a_day_that_was_left_out_begins_with_the_next() -> None:
    zone = zone_named("Pacific/Apia")
    assert zone is not None
    left_out = day_of(2011, 12, 30)
    assert first_ms(left_out, zone) == first_ms(left_out + 1, zone) == utc("2011-12-30T10:00")
    assert day_edges(left_out, zone) == []


def test_names_of_no_zone_give_none() -> None:
    for name in ("", "Paris", "europe/paris", "../UTC", "Europe", "/etc/localtime", "localtime"):
        assert zone_named(name) is None


@given(st.dates(date(1850, 1, 1), date(2300, 1, 1)), st.sampled_from((PARIS, NEW_YORK, "UTC")))
def test_dates_and_instants_agree(day: date, name: str) -> None:
    zone = zone_named(name)
    assert zone is not None
    number = (day - date(1970, 1, 1)).days
    assert year_month_day(number) == (day.year, day.month, day.day)
    assert day_of(day.year, day.month, day.day) == number
    begin_ms = first_ms(number, zone)
    assert local_date(begin_ms, zone) == number
    assert local_date(begin_ms - 1, zone) == number - 1
    if 1900 < day.year < 2200:
        local = (EPOCH + timedelta(milliseconds=begin_ms)).astimezone(zone)
        assert local.date() == day


def test_calendar_days_end_with_the_local_day() -> None:
    at_ms = utc("2024-03-30T23:00")
    history = person(at_ms)
    assert value_of(today(1), history, "2024-03-30T23:30", PARIS) == MICRO
    assert value_of(today(1), history, "2024-03-31T21:59:59", PARIS) == MICRO
    assert value_of(today(1), history, "2024-03-31T22:00", PARIS) == 0
    assert next_of(today(1), history, "2024-03-31T12:00", PARIS) == utc("2024-03-31T22:00")
    assert value_of(today(1), person(at_ms - 1), "2024-03-30T23:30", PARIS) == 0
    assert value_of(today(2), person(at_ms - 1), "2024-03-30T23:30", PARIS) == MICRO
    assert next_of(today(2), person(at_ms - 1), "2024-03-30T23:30", PARIS) == utc(
        "2024-03-31T22:00"
    )


def test_seven_calendar_days_over_the_end_of_summer_time() -> None:
    history = person(utc("2024-10-27T03:59"), utc("2024-10-28T04:00"))
    assert value_of(today(7), history, "2024-11-03T04:59", NEW_YORK) == MICRO
    assert next_of(today(7), history, "2024-11-03T04:59", NEW_YORK) == utc("2024-11-04T05:00")


def test_the_day_is_that_of_the_horizon() -> None:
    history = person(utc("2024-06-01T12:00"))
    midnight = utc("2024-06-02T00:00")
    before = evaluate(today(1), history, midnight, lambda _: False, settled=False)
    assert (before, evaluate(today(1), history, midnight, lambda _: False)) == (MICRO, 0)


def test_the_zone_is_the_attribute_where_it_names_one() -> None:
    at_ms = utc("2024-06-01T22:30")
    now = "2024-06-01T23:30"
    assert value_of(today(1), person(at_ms, zone="Asia/Tokyo"), now) == MICRO
    assert value_of(today(1), person(at_ms, zone=PARIS), "2024-06-02T21:59") == MICRO
    assert value_of(today(1), person(at_ms, zone="Nowhere"), "2024-06-02T00:00", PARIS) == MICRO
    assert value_of(today(1), person(at_ms, zone=1.0), "2024-06-02T00:00") == 0
    with pytest.raises(ValueError, match="zone"):
        value_of(today(1), person(at_ms), now, "Nowhere")


@pytest.mark.parametrize(
    ("day", "now", "holds"),
    [
        (date(2000, 5, 17), "2024-05-17T00:00", True),
        (date(2000, 5, 17), "2024-05-16T23:59:59.999", False),
        (date(2000, 5, 17), "2024-05-18T00:00", False),
        (date(2024, 5, 17), "2024-05-17T12:00", False),
        (date(2025, 5, 17), "2024-05-17T12:00", True),
        (date(2000, 2, 29), "2024-02-29T12:00", True),
        (date(2000, 2, 29), "2024-02-28T12:00", False),
        (date(2000, 2, 29), "2023-02-28T12:00", True),
        (date(2000, 2, 29), "2023-03-01T00:00", False),
        (date(2000, 2, 29), "2100-02-28T12:00", True),
        (date(2001, 2, 28), "2024-02-29T12:00", False),
        (date(2001, 2, 28), "2024-02-28T12:00", True),
    ],
)
def test_an_anniversary_is_the_day_and_month(
    day: date,
    now: str,
    holds: bool,  # noqa: FBT001
) -> None:
    assert value_of(born, person(born=day), now) is holds


def test_an_anniversary_begins_and_ends_with_the_local_day() -> None:
    history = person(born=date(2000, 3, 31), zone=PARIS)
    begin, end = utc("2024-03-30T23:00"), utc("2024-03-31T22:00")
    assert next_of(born, history, "2024-03-01T00:00") == begin
    assert next_of(born, history, "2024-03-31T00:00") == end
    assert next_of(born, history, "2024-03-31T22:00") == utc("2025-03-30T22:00")
    leap = person(born=date(2000, 2, 29))
    assert next_of(born, leap, "2023-02-28T12:00") == utc("2023-03-01T00:00")
    assert next_of(born, leap, "2023-03-01T00:00") == utc("2024-02-29T00:00")
    own_year = person(born=date(2025, 6, 1))
    assert next_of(born, own_year, "2024-06-02T00:00") == utc("2026-06-01T00:00")


def test_the_anniversary_of_a_time_is_that_of_its_local_day() -> None:
    at_ms = utc("2000-06-01T22:30")
    assert value_of(joined, person(joined=at_ms, zone=PARIS), "2024-06-02T12:00") is True
    assert value_of(joined, person(joined=at_ms), "2024-06-01T12:00") is True
    assert value_of(joined, person(joined=at_ms), "2024-06-02T12:00") is False


def test_nothing_known_has_no_anniversary() -> None:
    assert value_of(born, person(), "2024-06-01T12:00") is False
    assert value_of(born, person(born="2000-06-01"), "2024-06-01T12:00") is False
    assert next_of(born, person(), "2024-06-01T12:00") is None


def test_the_day_of_an_anniversary_in_a_year() -> None:
    leap = day_of(2000, 2, 29)
    assert anniversary_in(leap, 2000) is None
    assert anniversary_in(leap, 2004) == day_of(2004, 2, 29)
    assert anniversary_in(leap, 1900) == day_of(1900, 2, 28)
