"""A replay that is killed again and again ends as one that was left alone."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.host.replay.ledger import FILE
from tests.replay.inspection import Found
from tests.replay.playing import look

PEOPLE = 150
ROWS = 12_000
RECORDS = (18, 12)
"""After how many more records to kill: there are some ten of definitions, then two a batch."""
MAPPING = """\
id: {derive: row}
type: {column: what, values: {view: product_view, buy: purchase}}
time: {column: at, zone: UTC}
identities: {crm: who}
items: {sku: sku, price: price}
"""
AUDIENCES = """\
audiences:
  - {id: active, rule: 'events("product_view").last(days(2)).count() >= 3'}
  - {id: buyers, rule: 'events("purchase").last(days(7)).exists()'}
  - {id: spenders, rule: 'items("purchase").last(days(20)).sum(item.price * item.quantity) >= 100'}
  - {id: just-looking, rule: 'audience("active") && !audience("buyers")'}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    chance = random.Random(7)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    lines = ["at,what,who,sku,price"]
    for _ in range(ROWS):
        at = begin + timedelta(seconds=chance.randrange(60 * 24 * 3600))
        what = "buy" if chance.random() < 0.1 else "view"
        who, sku = chance.randrange(PEOPLE), chance.randrange(30)
        lines.append(f"{at.isoformat()},{what},{who},s{sku},{chance.randrange(1, 60)}.99")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "mapping.yaml").write_text(MAPPING)
    (folder / "audiences.yaml").write_text(AUDIENCES)
    return folder


def start(files: Path, data_dir: Path) -> subprocess.Popen[str]:
    code = "from services.host.cli import main; main()"
    options = {"--mapping": files / "mapping.yaml", "--audiences": files / "audiences.yaml"}
    options["--data"] = data_dir
    named = [str(part) for option in options.items() for part in option]
    return subprocess.Popen(
        [sys.executable, "-c", code, "replay", str(files / "rows.csv"), *named],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def finish(files: Path, data_dir: Path) -> str:
    process = start(files, data_dir)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return printed


def kill_after(files: Path, data_dir: Path, records: int) -> None:
    """Kill the replay as soon as its inbound log has so many more records."""
    wanted = inbound_records(data_dir) + records
    process = start(files, data_dir)
    deadline = time.monotonic() + 120
    while inbound_records(data_dir) < wanted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)  # it is another process: nothing can wake us
    process.send_signal(signal.SIGKILL)
    process.communicate()


def inbound_records(data_dir: Path) -> int:
    """Return where the inbound log ends, 0 before there is one."""
    try:
        with closing(sqlite3.connect(f"file:{data_dir / 'log.db'}?mode=ro", uri=True)) as log:
            found = log.execute("SELECT last_seq FROM logs WHERE name = 'inbound'").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found[0]) if found else 0


@pytest.fixture(scope="module")
def whole(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    data_dir = tmp_path_factory.mktemp("whole") / "data"
    finish(files, data_dir)
    return look(data_dir, "crm", [str(who) for who in range(PEOPLE)])


def test_a_replay_killed_twice_ends_as_one_left_alone(
    files: Path, whole: Found, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    for records in RECORDS:
        kill_after(files, data_dir, records)
        assert not json.loads((data_dir / FILE).read_text())["finished_ms"]
    printed = finish(files, data_dir)
    assert "The directory had data up to 2026-" in printed
    found = look(data_dir, "crm", [str(who) for who in range(PEOPLE)])
    assert found.members == whole.members
    assert found.transitions == whole.transitions
    assert min(map(len, whole.members.values())) > 0
    assert min(whole.left.values()) > 0
