"""Play on and on: `python -m tests.segcore.long_run --seconds N --seed S`.

Plays come in chunks, each of a seed of its own, counted up from S: one that fails is played again
by its seed. Printed are the plays, the histories (of each person in each play), the steps, and how
many memberships were compared with the reference.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from plays import Play
from world import World

CHUNK = 200
"""So many plays share a seed, and are told of together."""


@dataclass
class Count:
    """What was done so far."""

    plays: int = 0
    histories: int = 0
    steps: int = 0
    checks: int = 0

    def __str__(self) -> str:
        return (
            f"{self.plays:,} plays, {self.histories:,} histories, {self.steps:,} steps, "
            f"{self.checks:,} memberships compared"
        )


def play_once(draw: Any, count: Count) -> None:
    """Play one life of an engine; one in eight is of days, one in twelve lies in files."""
    of_days = draw(st.integers(0, 7)) == 7
    in_files = draw(st.integers(0, 11)) == 11
    zone = draw(st.sampled_from(("UTC", "Europe/Paris", "America/New_York")))
    step_count = draw(st.integers(4, 24))
    with TemporaryDirectory() as directory:
        world = World(Path(directory) if in_files else None, draw(st.sampled_from((0, 7))), zone)
        play = Play(world, draw, of_days=of_days)
        play.begin()
        for _ in range(step_count):
            play.step()
        play.end()
    count.plays += 1
    count.histories += len(world.people) + len(world.gone)
    count.steps += step_count
    count.checks += world.checks


def play_chunk(number: int, plays: int, count: Count) -> None:
    """Play a number of lives that the number of the chunk decides."""

    @seed(number)
    @settings(
        max_examples=plays,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        play_once(data.draw, count)

    run()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Play until the time is over; the exit code says whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--plays", type=int, default=CHUNK, help="in each chunk")
    options = parser.parse_args(arguments)
    count = Count()
    end = time.monotonic() + options.seconds
    number = options.seed
    _say(f"seed {number}")
    while time.monotonic() < end:
        try:
            play_chunk(number, options.plays, count)
        except BaseException:
            _say(f"failed: --seed {number} --plays {options.plays}, after {count}")
            raise
        number += 1
        _say(f"up to seed {number - 1}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
