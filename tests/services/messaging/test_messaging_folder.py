"""Where no provider is configured: each message is one file, however often it is handed over."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

from services.messaging.domain.attempts import Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.providers.choice import open_providers
from services.messaging.providers.folder import FolderProvider
from services.messaging.providers.http import HttpProvider
from services.messaging.providers.port import Letter

LETTER = Letter("m1", Lane.SMS, "+12025550171", "hello", "", "Hello", "", 0)


def test_a_letter_handed_over_twice_is_there_once(tmp_path: Path) -> None:
    folder = FolderProvider(tmp_path / "letters")
    for _ in range(2):
        assert asyncio.run(folder.send(LETTER)).outcome is Outcome.ACCEPTED
    (file,) = (tmp_path / "letters").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text(encoding="utf-8"))["text"] == "Hello"


def test_a_folder_that_cannot_be_written_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("in the way", encoding="utf-8")
    answer = asyncio.run(FolderProvider(tmp_path / "letters").send(LETTER))
    assert answer.outcome is Outcome.UNREACHABLE


def test_what_is_configured_goes_where_it_is_said(tmp_path: Path) -> None:
    providers = open_providers({"sms": "http://127.0.0.1:1/messages"}, tmp_path)
    assert isinstance(providers[Lane.SMS], HttpProvider)
    assert isinstance(providers[Lane.EMAIL], FolderProvider)
    for provider in providers.values():
        asyncio.run(provider.close())
