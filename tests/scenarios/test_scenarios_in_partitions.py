"""Every scenario holds with four partitions as far as it ever held.

A file of its own, so that it can be run beside the other one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.holding import FILES, NAMES, check


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_scenario_holds_in_four_partitions_as_far_as_it_ever_held(file: Path) -> None:
    check(file, 4)
