from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_stages import Workplace

from services.identity.domain import transit
from tests.databases import SERVER, made


@pytest.fixture(autouse=True)
def _one_service_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one handoff do: whose it is makes no difference to identity."""
    monkeypatch.setattr(transit, "HANDING_OVER", ("segmentation",))


@pytest.fixture(params=["memory", SERVER])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workplace]:
    databases = None if request.param == "memory" else made(request, tmp_path)
    workplace = Workplace(databases)
    yield workplace
    workplace.close()
