"""What people see of a load: the live table, plain lines, plots and words."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from services.host.load.live import HEAD, LiveLines, LiveTable, milliseconds, row
from services.host.load.options import LoadOptions
from services.host.load.plots import HEIGHT, WIDTH, Scale, histogram, lines
from services.host.load.record import INGEST, VISIBLE, Recorder
from services.host.load.schedule import SECOND_US
from services.host.load.summary import figure

OPTIONS = LoadOptions(rate=2000, duration_s=3, warmup_s=1)


def _recorder() -> Recorder:
    recorder = Recorder(3 * SECOND_US)
    for number in range(-10, 30):
        due_us = number * SECOND_US // 10
        recorder.asked(INGEST, due_us, 200)
        recorder.answered(INGEST, due_us, due_us + 4000 + 100 * number, 200)
        recorder.took(VISIBLE, due_us, 7000)
    recorder.failed(INGEST, 2 * SECOND_US, "UNAVAILABLE")
    return recorder


def test_a_second_is_a_row_of_figures() -> None:
    assert dict(zip(HEAD[:5], row(1, _recorder(), 7), strict=False)) == {
        "second": "1",
        "asked/s": "2,000",
        "accepted/s": "2,000",
        "ingest p50": "5.41 ms",
        "p99": "5.90 ms",
    }
    assert row(2, _recorder(), 7)[-2:] == ["7", "1"]
    assert row(9, _recorder(), 0) == ["9", "0", "0", *"------", "0", "0"]


def test_a_terminal_gets_a_table_that_is_drawn_anew_and_a_file_gets_lines() -> None:
    screen, file = io.StringIO(), io.StringIO()
    recorder = _recorder()
    with LiveTable(Console(file=screen, force_terminal=True, width=130), OPTIONS) as table:
        table.note("looking for the services")
        for number in range(-1, 3):
            table.second(number, recorder, 1)
    assert "2,000 events/s for 3 s after 1 s, seed 1, run 1" in screen.getvalue()
    assert screen.getvalue().count("accepted/s") == 5
    with LiveLines(Console(file=file), OPTIONS) as plain:
        plain.note("looking for the services")
        for number in range(-1, 3):
            plain.second(number, recorder, 1)
    said = file.getvalue().splitlines()
    assert [line.split()[0] for line in said[2:]] == ["second", "-1", "0", "1", "2"]
    assert len({len(line) for line in said[2:]}) == 1


points = st.lists(st.tuples(st.integers(-100, 100_000), st.integers(0, 1 << 40)), max_size=30).map(
    sorted
)


@settings(deadline=None)
@given(points, points, st.booleans())
def test_a_plot_of_anything_is_well_formed_and_within_its_frame(
    one: list[tuple[int, int]],
    two: list[tuple[int, int]],
    log: bool,  # noqa: FBT001  hypothesis gives it so
) -> None:
    text = lines({"a < b": one, "c": two}, y_label=milliseconds, what="a & b", log=log)
    _check(text)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 1000)), max_size=20))
def test_a_histogram_of_anything_is_well_formed(found: list[tuple[int, int]]) -> None:
    buckets = [[least, least + least // 128, count] for least, count in sorted(dict(found).items())]
    _check(histogram(buckets, x_label=milliseconds, what="h"))


def _check(text: str) -> None:
    root = ET.fromstring(f"<div>{text}</div>")  # noqa: S314  our own text
    for line in root.iter("polyline"):
        for place in (line.get("points") or "").split():
            x, y = map(float, place.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
    for bar in root.iter("rect"):
        assert float(bar.get("width") or -1) >= 0
        assert float(bar.get("height") or -1) >= 0


@settings(deadline=None)
@given(st.floats(1e-3, 1e9), st.floats(1.0, 1e6), st.booleans())
def test_an_axis_has_some_ticks_and_no_crowd(least: float, times: float, log: bool) -> None:  # noqa: FBT001  so too
    scale = Scale(least, least * times, 0, 100, log)
    ticks = scale.ticks()
    assert ticks == sorted(ticks)
    assert len(ticks) <= 10
    assert all(least * 0.999 <= each <= least * times * 1.001 for each in ticks)
    assert ticks or times < 10


def test_a_percentile_of_too_few_is_not_said() -> None:
    track = {"latency_us": {"count": 99, "p50": 1000, "p99": 9000, "max": 9000}}
    assert (figure(track, "p50"), figure(track, "p99"), figure(track, "max")) == (
        "1.00 ms",
        "-",
        "9.00 ms",
    )
