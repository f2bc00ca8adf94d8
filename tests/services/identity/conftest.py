from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_stages import Workplace

from tests.databases import SERVER, made


@pytest.fixture(params=["memory", SERVER])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workplace]:
    databases = None if request.param == "memory" else made(request, tmp_path)
    workplace = Workplace(databases)
    yield workplace
    workplace.close()
