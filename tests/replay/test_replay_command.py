"""The command says what it needs, in one line, before it touches anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from services.host.cli import coterie
from services.host.replay.ledger import FILE, Ledger, LedgerError, open_ledger, write_ledger


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("event_time,user_id\n2026-01-01,7\n")
    (tmp_path / "m.yaml").write_text(
        "id: {derive: x}\ntype: seen\ntime: {column: event_time, zone: UTC}\n"
        "identities: {crm: user_id}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a SOURCE (completejourney, or a file) or --demo"),
        (["rows.csv"], "expected --mapping for rows.csv; see docs/replay.md"),
        (["rows.csv", "--demo"], "--demo plays completejourney; leave out 'rows.csv'"),
        (["completejourney", "--mapping", "m.yaml"], "--mapping is for files"),
        (["rows.csv", "--mapping", "no.yaml"], "no.yaml: "),
        (["no.csv", "--mapping", "m.yaml"], "no.csv: expected a file, found nothing"),
        (["rows.csv", "--mapping", "storefront"], "storefront.yaml: type: expected a column"),
        (["rows.csv", "--mapping", "m.yaml", "--audiences", "no.yaml"], "no.yaml: "),
        (["rows.csv", "--mapping", "m.yaml", "--limit", "0"], "0 is not in the range x>=1"),
    ],
)
def test_a_mistake_is_one_clear_line(files: Path, arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(coterie, ["replay", *arguments])
    assert found.exit_code != 0
    assert message in found.output
    assert "Traceback" not in found.output
    assert not (files / "replay-data").exists()


def test_a_small_file_is_played_from_the_command_line(files: Path) -> None:
    (files / "a.yaml").write_text('audiences:\n  - {id: seen, rule: events("seen").exists()}\n')
    arguments = ["replay", "rows.csv", "--mapping", "m.yaml", "--audiences", "a.yaml"]
    first = CliRunner().invoke(coterie, arguments, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert "Played 1 events of rows.csv, 2026-01-01 to 2026-01-01" in first.output
    again = CliRunner().invoke(coterie, arguments, catch_exceptions=False)
    assert "1 of the inputs lie before that and are repeats, 0 are not" in again.output
    assert "Nothing has changed" in again.output


def test_a_wrong_rule_is_refused_with_its_place(files: Path) -> None:
    (files / "a.yaml").write_text('audiences:\n  - {id: seen, rule: events("sold").exists()}\n')
    arguments = ["replay", "rows.csv", "--mapping", "m.yaml", "--audiences", "a.yaml"]
    found = CliRunner().invoke(coterie, arguments, catch_exceptions=False)
    assert found.exit_code == 1
    assert "audience 'seen' was refused: " in found.output


def test_a_directory_of_another_replay_is_refused(tmp_path: Path) -> None:
    write_ledger(tmp_path, Ledger("a.csv", "one"))
    assert open_ledger(tmp_path, "a.csv", "one") == Ledger("a.csv", "one")
    with pytest.raises(LedgerError, match=r"holds a replay of a\.csv, and this is b\.csv"):
        open_ledger(tmp_path, "b.csv", "two")


def test_a_live_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"")
    with pytest.raises(LedgerError, match="give it a directory of its own"):
        open_ledger(tmp_path, "a.csv", "one")


def test_a_broken_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(LedgerError, match="no file of a replay"):
        open_ledger(tmp_path, "a.csv", "one")


def test_rejected_rows_are_told_with_their_lines(files: Path) -> None:
    with (files / "rows.csv").open("a") as file:
        file.write("2026-01-02,8\nyesterday,9\n2026-01-02\n")
    found = CliRunner().invoke(coterie, ["replay", "rows.csv", "--mapping", "m.yaml"])
    assert "Played 2 events" in found.output
    assert "2 of 4 rows were rejected:" in found.output
    assert "1  event_time is no such time (iso) (line 4)" in found.output
    assert "1  expected 2 cells (line 5)" in found.output
