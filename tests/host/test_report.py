"""The tables of `coterie up` and `coterie status`."""

from __future__ import annotations

from services.host import report


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert report.table(["a", "b"], [["long", "x"], ["", "y"]]).splitlines() == [
        "  a     b",
        "  long  x",
        "        y",
    ]


def test_no_time_is_a_dash() -> None:
    assert report.instant(None) == report.instant(0) == "-"
