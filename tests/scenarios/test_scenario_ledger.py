"""What held may not be lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.ledger import Ledger, Loss
from tests.scenarios.playing import Played
from tests.scenarios.report import failed, table
from tests.scenarios.scenario import Claim, Scenario
from tests.scenarios.verdict import HOLDS, Verdict, fails, not_yet


def _played(*verdicts: Verdict) -> Played:
    claims = [Claim(i, "sent", {"campaign": f"c{i}"}, None, f"f:{i}") for i in range(len(verdicts))]
    scenario = Scenario("tiny", "Tiny", "UTC", (), (), (), {}, {}, {}, {}, (), claims, 0)
    return Played(scenario, 4, verdicts)


def test_an_expectation_that_held_is_lost_when_it_fails_and_when_it_is_tried_no_more() -> None:
    ledger = Ledger({}).updated([_played(HOLDS, HOLDS, fails("x"))], allow_loss=False)
    assert ledger.lost(_played(HOLDS, HOLDS, HOLDS)) == []
    assert ledger.lost(_played(fails("x"), not_yet("y"), HOLDS)) == [0, 1]


def test_the_ledger_takes_what_is_new_and_drops_nothing_unless_that_is_said(tmp_path: Path) -> None:
    ledger = Ledger({}).updated([_played(HOLDS, not_yet("y"))], allow_loss=False)
    with pytest.raises(Loss, match="tiny, partitions 4: 0"):
        ledger.updated([_played(not_yet("y"), HOLDS)], allow_loss=False)
    ledger.updated([_played(not_yet("y"), HOLDS)], allow_loss=True).write(tmp_path / "l.json")
    assert Ledger.read(tmp_path / "l.json").held == {"tiny": {"4": frozenset({1})}}


def test_the_table_counts_and_tells_failures_and_what_is_missing() -> None:
    run = _played(HOLDS, fails("nobody"), not_yet("offers"), not_yet("offers"))
    told = table([run])
    assert "tiny               4      1      1        2" in told
    assert 'expected  sent {"campaign": "c1"}' in told
    assert "found     nobody" in told
    assert "2  offers: tiny" in told
    assert failed([run])
    assert not failed([_played(HOLDS, not_yet("offers"))])
