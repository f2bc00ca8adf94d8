"""Fixtures of all suites: a data directory each, and no settings from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest

from tests.databases import KINDS, Databases, made
from tests.postgres import postgres_database, postgres_prefix, postgres_url

__all__ = ["postgres_database", "postgres_prefix", "postgres_url"]

# One event loop after another uses gRPC in a process of tests. Held up here it is not torn down in
# the middle of one test, whenever the last server of a former one happens to be collected.
grpc.aio.init_grpc_aio()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Give places for tables, on every engine: a test that asks for it runs on each."""
    given = made(request, tmp_path)
    yield given
    given.close()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415

    for name in os.environ:
        if name.startswith(("COTERIE_", "OTEL_")):
            monkeypatch.delenv(name)
