"""Plays one file and asserts that nothing fails and nothing that held is lost."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.__main__ import files_of, play_file
from tests.scenarios.ledger import LEDGER, Ledger
from tests.scenarios.loading import HERE, SHARED
from tests.scenarios.report import table

FILES = files_of([*([SHARED] if SHARED.is_dir() else []), HERE / "stories"])
NAMES = [file.stem for file in FILES]


def check(file: Path, partitions: int) -> None:
    """Raise AssertionError, with the table of the file, unless it holds as far as it ever held."""
    played = play_file(file, partitions)
    assert all(verdict.state != "fails" for verdict in played.verdicts), table([played])
    lost = Ledger.read(LEDGER).lost(played)
    assert lost == [], f"held once, and holds no more: {lost}\n{table([played])}"
