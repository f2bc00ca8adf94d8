"""The story of the demo, as a user sees it: in one process, and in five on one directory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from services.host.demo.phone import Phones
from tests.pipeline.processes import one_process_a_service, start_all, stop

COTERIE = str(Path(sys.executable).with_name("coterie"))
MESSAGE = "Hey Beth, check out our new athletic gear recently stocked at your local store!"


def demo(*arguments: str) -> str:
    done = subprocess.run(
        [COTERIE, "demo", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_the_demo_tells_the_story_and_why() -> None:
    told = demo()
    story, _, reasons = told.partition("Why is Beth")
    lines = [line.strip() for line in story.splitlines()]
    expected = [
        r"Wed 14:40:00 +Beth enters the audience",
        r"Thu 10:00:00 +Ann leaves the audience at once",
        r"Thu 10:00:00 +Ann: her journey ends here: the exit rule holds",
        r"Thu 14:40:00 +Beth leaves the audience by time alone",
        rf"Sat 14:40:00 +SMS to Beth, \+12025550171: {re.escape(MESSAGE)}",
        r"Sat 14:40:00 +Beth: her journey is complete",
    ]
    places = [
        next(at for at, line in enumerate(lines) if re.match(pattern, line)) for pattern in expected
    ]
    assert places == sorted(places)
    assert story.count("SMS to") == 1
    assert "left 2025-11-13 14:40:00: time passed" in reasons
    assert "preferred (sms): address known, and allowed: chosen   consent: in" in reasons


def test_five_processes_on_one_directory_play_the_demo(tmp_path: Path) -> None:
    with Phones() as phones:
        settings = {"clock": "system", "providers": {"sms": phones.url}}
        with one_process_a_service(tmp_path, **settings) as (_, config):
            told = demo("--config", str(config))
        assert f"SMS to Beth, +12025550171: {MESSAGE}" in told
        assert [text.text.startswith(MESSAGE) for text in phones.texts_to("+12025550171")] == [True]
        assert phones.deliveries == 1


def test_a_running_suite_without_a_provider_writes_the_message_to_a_file(tmp_path: Path) -> None:
    process, addresses = start_all(tmp_path, clock="system")
    try:
        # The ports of a suite that anybody can find follow each other; these are any free ones.
        peers = tmp_path / "peers.yaml"
        peers.write_text(json.dumps({"peers": addresses}), encoding="utf-8")
        told = demo("--config", str(peers))
    finally:
        assert stop(process) == 0
    (letter,) = (tmp_path / "data" / "letters").iterdir()
    assert MESSAGE in letter.read_text(encoding="utf-8")
    assert told.count("SMS to") == 1
