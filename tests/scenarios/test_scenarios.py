"""Every scenario holds as far as it ever held."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.scenarios.holding import FILES, NAMES, check
from tests.scenarios.loading import SHARED


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_scenario_holds_as_far_as_it_ever_held(file: Path) -> None:
    check(file, 1)


def test_the_shared_scenarios_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED.is_dir():
        said = f"only our own scenarios are played: the shared ones are not at {SHARED}"
        with capsys.disabled():
            sys.stderr.write(f"\nSKIPPED: {said}\n")
        pytest.skip(said)
    assert len(FILES) > len(list(SHARED.glob("*.yaml"))) > 0
