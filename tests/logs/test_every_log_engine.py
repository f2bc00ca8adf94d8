"""Runs the suite on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logs.engines import MemoryEngine, SqlEngine
from tests.logs.suite import *  # noqa: F403  # the claims


@pytest.fixture(params=["SQLite file", "SQLite memory", "simulation"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEngine | MemoryEngine]:
    match request.param:
        case "SQLite file":
            made: SqlEngine | MemoryEngine = SqlEngine.in_file(tmp_path)
        case "SQLite memory":
            made = SqlEngine("sqlite://")
        case _:
            made = MemoryEngine()
    yield made
    made.close()
