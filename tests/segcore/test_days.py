"""Days of zones from tables, beside the calendar of the reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore import calendar
from segcore._days import Days, anniversary, anniversary_from, days_of, spans_of
from segcore.calendar import DAY_MS, HOUR_MS, day_of, zone_named

ZONES = (
    "UTC",
    "Europe/Paris",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Antarctica/Casey",
    "Asia/Manila",
    "Australia/Lord_Howe",
)
FIRST_MS = -2_300_000_000_000
LAST_MS = 7_400_000_000_000


def found(name: str) -> Days:
    days = days_of(name)
    assert days is not None
    return days


def edges(name: str) -> list[int]:
    zone = zone_named(name)
    assert zone is not None
    return [start for start, _ in spans_of(zone)[1:]] or [0]


EDGES = {name: edges(name) for name in ZONES}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ZONES), st.data())
def test_a_day_is_that_of_the_calendar(name: str, data: st.DataObject) -> None:
    zone = zone_named(name)
    assert zone is not None
    near = st.sampled_from(EDGES[name]).flatmap(lambda ms: st.integers(ms - DAY_MS, ms + DAY_MS))
    instant_ms = data.draw(near | st.sampled_from(EDGES[name]) | st.integers(FIRST_MS, LAST_MS))
    day = found(name).day(instant_ms)
    assert day == calendar.local_date(instant_ms, zone)
    for step in (-1, 0, 1):
        assert found(name).first_ms(day + step) == calendar.first_ms(day + step, zone)


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.integers(FIRST_MS, LAST_MS), st.integers(-3, 40))
def test_a_day_is_reached_at_its_first_instant_to_come(
    name: str, after_ms: int, ahead: int
) -> None:
    days = found(name)
    reached = days.reach(days.day(after_ms) + ahead, after_ms)
    assert reached > after_ms
    assert days.day(reached) >= days.day(after_ms) + ahead
    assert reached == after_ms + 1 or days.day(reached - 1) < days.day(after_ms) + ahead


def test_a_day_that_was_left_out_begins_with_the_next() -> None:
    apia = found("Pacific/Apia")
    left_out = day_of(2011, 12, 30)
    assert apia.first_ms(left_out) == apia.first_ms(left_out + 1)
    assert apia.day(apia.first_ms(left_out) - 1) == left_out - 1


def test_a_day_may_begin_at_one_o_clock() -> None:
    paulo = found("America/Sao_Paulo")
    spring = day_of(2018, 11, 4)
    assert paulo.first_ms(spring) == spring * DAY_MS + 3 * HOUR_MS
    assert paulo.first_ms(spring + 1) - paulo.first_ms(spring) == 23 * HOUR_MS


def test_a_day_comes_twice_where_clocks_go_back_over_midnight() -> None:
    johns = found("America/St_Johns")
    evening = day_of(2006, 10, 28)
    back_ms = johns.step_back(johns.first_ms(evening))
    assert back_ms is not None
    assert [johns.day(back_ms + ms) for ms in (-1, 0, HOUR_MS)] == [
        evening + 1,
        evening,
        evening + 1,
    ]
    assert johns.step_back(4_000_000_000_000) is None


def test_a_name_of_no_zone_has_no_days() -> None:
    assert days_of("Nowhere/At_All") is None
    assert days_of("../UTC") is None
    assert days_of("Europe/Paris") is days_of("Europe/Paris")


@given(st.integers(-800_000, 800_000), st.integers(-300, 4000))
def test_a_date_comes_round_in_each_year_but_its_own(born: int, year: int) -> None:
    expected = calendar.anniversary_in(born, year)
    if expected is not None:
        assert anniversary(born, year) == expected


@given(st.integers(-40_000, 40_000), st.integers(-20_000, 40_000))
def test_the_next_anniversary_is_the_first_from_today_on(born: int, today: int) -> None:
    year = calendar.year_month_day(today)[0]
    coming = [calendar.anniversary_in(born, each) for each in range(year, year + 4)]
    expected = min(day for day in coming if day is not None and day >= today)
    assert anniversary_from(born, today) == expected


@pytest.mark.parametrize(("year", "month", "day"), [(2000, 2, 29), (2001, 2, 28), (2004, 2, 29)])
def test_29_february_counts_on_28_in_other_years(year: int, month: int, day: int) -> None:
    assert anniversary(day_of(1996, 2, 29), year) == day_of(year, month, day)
