"""The real services do with a drawn story what the manual says, as a plain model plays it.

The seeds are of stories in which much happens: messages of which some may not go, people who turn
out to be one while they wait, exits, expiries, and in some a stop and a start in the middle.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.host.demo.phone import Phones
from tests.stories.drawing import draw
from tests.stories.playing import differences, played
from tests.stories.seeing import expected

ONE, FOUR = 1, 4


@pytest.mark.parametrize(("seed", "partitions"), [(13, ONE), (94, ONE), (109, ONE), (10, FOUR)])
def test_a_drawn_story_goes_as_the_model_says(seed: int, partitions: int, tmp_path: Path) -> None:
    story = draw(seed)
    wanted = expected(story)
    assert wanted is not None, "a doubtful story shows nothing: draw another one"
    with Phones() as phones:
        providers = dict.fromkeys(("sms", "push", "assistant"), phones.url)
        found = asyncio.run(played(story, tmp_path / "data", partitions, providers))
    assert not list(differences(wanted, found))
