"""When what is sent: arrivals that do not care whether the former were answered.

Gaps are exponential, as of many callers that know nothing of each other, and follow from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from services.host.load.draws import Draws

SECOND_US = 1_000_000


def arrivals_us(seed: int, stream: int, rate: float, until_us: int) -> Iterator[int]:
    """Yield ascending microseconds from the start, `rate` a second on average, before `until_us`.

    None at a rate of 0.
    """
    if rate <= 0:
        return
    gap_us = SECOND_US / rate
    at_us, index = 0.0, 0
    while True:
        at_us -= math.log(1.0 - Draws(seed, stream, index).unit()) * gap_us
        index += 1
        if at_us >= until_us:
            return
        yield int(at_us)
