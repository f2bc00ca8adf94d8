from collections.abc import Iterator

import pytest
from identity_stages import Workplace


@pytest.fixture
def place() -> Iterator[Workplace]:
    workplace = Workplace()
    yield workplace
    workplace.close()
