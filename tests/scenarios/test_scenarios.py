"""Every scenario holds as far as it ever held, with one partition and with four."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.scenarios.__main__ import files_of, play_file
from tests.scenarios.ledger import LEDGER, Ledger
from tests.scenarios.loading import HERE, SHARED
from tests.scenarios.report import table

FILES = files_of([SHARED, HERE / "stories"] if SHARED.is_dir() else [HERE / "stories"])


def _name(file: Path) -> str:
    return file.stem


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("file", FILES, ids=_name)
def test_a_scenario_holds_as_far_as_it_ever_held(file: Path, partitions: int) -> None:
    played = play_file(file, partitions)
    assert all(verdict.state != "fails" for verdict in played.verdicts), table([played])
    lost = Ledger.read(LEDGER).lost(played)
    assert lost == [], f"held once, and holds no more: {lost}\n{table([played])}"


def test_the_shared_scenarios_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED.is_dir():
        said = f"only our own scenarios are played: the shared ones are not at {SHARED}"
        with capsys.disabled():
            sys.stderr.write(f"\nSKIPPED: {said}\n")
        pytest.skip(said)
    assert files_of([SHARED])
