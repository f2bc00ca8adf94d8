"""Runs the suite on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import KINDS, Place, made
from tests.logs.engines import MemoryEngine, SqlEngine
from tests.logs.suite import *  # noqa: F403  # the claims


@pytest.fixture(params=["SQLite memory", "simulation", *KINDS])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEngine | MemoryEngine]:
    match request.param:
        case "SQLite memory":
            engine: SqlEngine | MemoryEngine = SqlEngine(Place("sqlite://"))
        case "simulation":
            engine = MemoryEngine()
        case _:
            engine = SqlEngine(made(request, tmp_path).place("log"))
    yield engine
    engine.close()
