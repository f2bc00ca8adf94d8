"""Fixtures of all suites: a data directory each, and no settings from outside."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415

    for name in os.environ:
        if name.startswith(("COTERIE_", "OTEL_")):
            monkeypatch.delenv(name)
