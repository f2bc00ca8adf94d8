"""Whatever fails on the way, people who cross between partitions arrive, once and whole."""

from pathlib import Path

import pytest

from services.identity import stage
from services.identity.domain import transit
from tests.sim.crossing import CrossingWorld

WORLDS = 40


@pytest.mark.parametrize("quarter", range(4))
def test_who_crosses_arrives_once_and_whole(
    quarter: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SAVE_RECORDS", 4)
    # Of the services that hand a person over, these worlds have one.
    monkeypatch.setattr(transit, "HANDING_OVER", ("segmentation",))
    crossed = 0
    for seed in range(quarter * WORLDS // 4, (quarter + 1) * WORLDS // 4):
        world = CrossingWorld(seed, 3, tmp_path / f"three-{seed}")
        world.run()
        calm = CrossingWorld(seed, 1, tmp_path / f"one-{seed}", calm=True)
        for one in world.inputs():
            calm.send(one)
        calm.rest()
        assert world.set_aside() == 0, seed
        assert world.people() == calm.people(), seed
        assert world.crowded() == [], seed
        crossed += world.departures()
        calm.close()
        world.close()
    assert crossed > WORLDS // 4
