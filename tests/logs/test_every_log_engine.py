"""Runs the suite on each engine; on a server too where DATABASE_URL names one for tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logs.engines import MemoryEngine, SqlEngine
from tests.logs.suite import *  # noqa: F403  # the claims

SERVER = os.environ.get("DATABASE_URL", "")
KINDS = ["SQLite file", "SQLite memory", "simulation", *(["server"] if SERVER else [])]


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEngine | MemoryEngine]:
    match request.param:
        case "SQLite file":
            made: SqlEngine | MemoryEngine = SqlEngine.in_file(tmp_path)
        case "SQLite memory":
            made = SqlEngine("sqlite://")
        case "server":
            made = SqlEngine.on_server(SERVER)
        case _:
            made = MemoryEngine()
    yield made
    made.close()
