"""Histograms, schedules and records of a load: held to plain lists."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.host.load.draws import Draws, mix64
from services.host.load.histogram import PERCENTILES, Histogram, bounds_of, bucket_of
from services.host.load.options import LoadOptions, OptionError
from services.host.load.record import INGEST, Recorder
from services.host.load.schedule import SECOND_US, arrivals_us

values = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200)


@settings(deadline=None)
@given(st.integers(0, 1 << 62))
def test_a_value_lies_in_its_bucket_and_the_bucket_is_narrow(value: int) -> None:
    least, greatest = bounds_of(bucket_of(value))
    assert least <= value <= greatest
    assert greatest - least <= value / 128
    assert bucket_of(greatest) == bucket_of(value)
    assert bucket_of(greatest + 1) == bucket_of(value) + 1


@settings(deadline=None)
@given(values, st.sampled_from([*PERCENTILES, 0.1, 25.0, 100.0]))
def test_a_percentile_is_the_value_of_that_rank_or_one_part_in_128_more(
    given_values: list[int], percent: float
) -> None:
    histogram = Histogram()
    for value in given_values:
        histogram.add(value)
    rank = max(1, math.ceil(len(given_values) * percent / 100 - 1e-9))
    exact = sorted(given_values)[rank - 1]
    assert exact <= histogram.percentile(percent) <= exact + exact / 128
    assert histogram.greatest == max(given_values)
    assert histogram.percentile(100) == max(given_values)


@settings(deadline=None)
@given(values, values)
def test_two_histograms_together_are_the_one_of_all_values(one: list[int], two: list[int]) -> None:
    first, second, whole = Histogram(), Histogram(), Histogram()
    for histogram, part in ((first, one), (second, two), (whole, one + two)):
        for value in part:
            histogram.add(value)
    first.include(second)
    assert list(first.buckets()) == list(whole.buckets())
    assert (first.count, first.mean(), first.greatest) == (
        whole.count,
        whole.mean(),
        whole.greatest,
    )


def test_nothing_measured_is_zero_and_a_clock_that_ties_counts_as_zero() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.mean(), histogram.greatest) == (0, 0.0, 0)
    histogram.add(-3)
    assert (histogram.count, histogram.percentile(50)) == (1, 0)


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 62), rate=st.floats(0.1, 300), until=st.integers(0, 2 * SECOND_US))
def test_arrivals_ascend_end_in_time_and_follow_from_the_seed(
    seed: int, rate: float, until: int
) -> None:
    times = list(arrivals_us(seed, 1, rate, until))
    assert times == sorted(times)
    assert all(0 <= each < until for each in times)
    assert times == list(arrivals_us(seed, 1, rate, until))
    longer = list(arrivals_us(seed, 1, rate, until + SECOND_US))
    assert longer[: len(times)] == times


@settings(deadline=None)
@given(st.integers(0, 1 << 62))
def test_arrivals_come_at_the_rate_that_was_asked(seed: int) -> None:
    count = sum(1 for _ in arrivals_us(seed, 11, 500.0, 2 * SECOND_US))
    assert abs(count - 1000) < 8 * math.sqrt(1000)


def test_there_is_nothing_to_send_at_no_rate() -> None:
    assert list(arrivals_us(1, 1, 0.0, SECOND_US)) == []


@settings(deadline=None)
@given(st.integers(0, 1 << 62), st.integers(1, 1 << 32))
def test_draws_stay_within_their_limits(seed: int, limit: int) -> None:
    draws = Draws(seed, 1, 2)
    assert 0 <= draws.unit() < 1
    assert 0 <= draws.below(limit) < limit
    assert 0 <= draws.skewed(limit) < limit
    assert 3 <= draws.between(3, 5) <= 5


def test_draws_of_other_places_differ_and_the_small_are_the_likely() -> None:
    assert (
        len({Draws(1, stream, index).bits() for stream in range(30) for index in range(30)}) > 890
    )
    assert mix64(0) == 0
    found = Counter(Draws(7, 1, index).skewed(10) for index in range(10_000))
    assert 2900 < found[0] < 3500
    assert 300 < found[9] < 800


def test_the_warm_up_shows_in_the_seconds_alone() -> None:
    recorder = Recorder(2 * SECOND_US)
    for due in (-SECOND_US, 0, 2 * SECOND_US - 1, 2 * SECOND_US):
        recorder.asked(INGEST, due, 10)
        recorder.answered(INGEST, due, due + 1000, 10)
    track = recorder.tracks[INGEST]
    assert (track.calls, track.units, track.answered, track.accepted) == (2, 20, 2, 20)
    assert track.in_time == 10
    assert {each: one.asked for each, one in track.seconds.items()} == {-1: 10, 0: 10, 1: 10, 2: 10}
    assert track.latency.percentile(50) == 1000
    recorder.failed(INGEST, -1, "UNAVAILABLE")
    assert not track.errors
    recorder.failed(INGEST, 1, "UNAVAILABLE")
    recorder.refused(1, ["INVALID_FIELD"])
    assert (dict(track.errors), dict(track.refused)) == ({"UNAVAILABLE": 1}, {"INVALID_FIELD": 1})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("rate", 0), ("rate", math.nan), ("duration_s", math.inf), ("batch", 1001)),
        *(("profiles", 0), ("run", "Üb"), ("seed", -1), ("probes", -1), ("label", "x" * 101)),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(option: str, value: object) -> None:
    flag = option.removesuffix("_s")
    with pytest.raises(OptionError, match=f"--{flag}: expected .*, found "):
        LoadOptions(**{option: value})  # type: ignore[arg-type]  # that is the point


def test_reads_need_something_to_read() -> None:
    with pytest.raises(OptionError, match="--reads: expected 0 where --audiences is 0"):
        LoadOptions(audiences=0)
    assert LoadOptions(audiences=0, reads=0).total_s == 35
