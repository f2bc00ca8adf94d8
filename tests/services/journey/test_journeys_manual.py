"""What the manual shows is what can be published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.host.definitions.journey_file import read_journey
from services.journey.domain.checks import check_fields, check_paths
from services.journey.wire import journey_of
from services.kit.errors import FieldMistake

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "journeys.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_manual_has_no_mistakes(number: int) -> None:
    found = read_journey("manual", EXAMPLES[number])
    mistakes: list[FieldMistake] = []
    journey = journey_of(found.journey_id, 1, found.journey, mistakes)
    assert mistakes + check_fields(journey) + check_paths(journey) == []
