"""W2: set algebra beside pyroaring, on sets as large as the memberships of the common workload.

    python -m tests.bench.sets [--profiles 1000000] [--rounds 9]

Members are drawn (seeded) with the shares that the rules of W1 have at 1M and 10M profiles. What
both engines answer has to be the same.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from array import array
from collections.abc import Callable

import numpy as np
from pyroaring import BitMap

from segcore._set_expressions import Operation, evaluate
from segcore._sets import Set

SHARES = {
    "S12": (0.246, 0.442),
    "S01": (0.232, 0.233),
    "S03": (0.095, 0.0944),
    "S10": (0.138, 0.0434),
    "S05": (0.0108, 0.000556),
    "S06": (0.0085, 0.00222),
    "S19": (0.000385, 0.0000896),
}
"""At 1M, and at 10M profiles, where there are fewer events for each."""
LARGE = 5_000_000
PAIRS = (("S12", "S01"), ("S01", "S05"), ("S05", "S06"))
AND, OR, AND_NOT = Operation


def measure(ask: Callable[[], object], rounds: int) -> float:
    """Return the median in microseconds of rounds of 20."""
    ask()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(20):
            ask()
        times.append((time.perf_counter() - start) / 20 * 1e6)
    return statistics.median(times)


def show(what: str, theirs: Callable[[], object], ours: Callable[[], object], rounds: int) -> None:
    first, second = measure(theirs, rounds), measure(ours, rounds)
    print(f"{what:28} pyroaring {first:8.1f}  ours {second:8.1f}  {first / second:6.2f} times")


def same(theirs: BitMap | int, ours: Set | int) -> None:
    found = BitMap(ours.ids()) if isinstance(ours, Set) else ours
    assert found == theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, load {os.getloadavg()}")
    print(f"{args.profiles} profiles; microseconds a call")
    rng = np.random.default_rng(7)
    bitmaps, sets = {}, {}
    for name, shares in SHARES.items():
        count = int(args.profiles * shares[args.profiles >= LARGE])
        drawn = np.sort(rng.choice(args.profiles, count, replace=False)).astype(np.uint32)
        ids = array("I", drawn.tobytes())
        bitmaps[name], sets[name] = BitMap(ids), Set.from_ids(ids)
    for left, right in PAIRS:
        p, q, a, b = bitmaps[left], bitmaps[right], sets[left], sets[right]
        for what, theirs, ours in (
            ("and", lambda p=p, q=q: p & q, lambda a=a, b=b: a & b),
            ("or", lambda p=p, q=q: p | q, lambda a=a, b=b: a | b),
            ("andnot", lambda p=p, q=q: p - q, lambda a=a, b=b: a - b),
            (
                "and, counted",
                lambda p=p, q=q: p.intersection_cardinality(q),
                lambda a=a, b=b: a.common(b),
            ),
        ):
            same(theirs(), ours())  # type: ignore[no-untyped-call]
            show(f"{left}, {right}: {what}", theirs, ours, args.rounds)
    four = [bitmaps[name] for name in ("S12", "S01", "S03", "S10")]
    code = (0, 1, AND, 2, AND, 3, AND, 4, 5, OR, AND_NOT)
    operands = [sets[name] for name in ("S12", "S01", "S03", "S10", "S06", "S19")]

    def theirs_of_six() -> BitMap:
        return BitMap.intersection(*four) - (bitmaps["S06"] | bitmaps["S19"])

    same(theirs_of_six(), evaluate(code, operands))
    show("six sets", theirs_of_six, lambda: evaluate(code, operands), args.rounds)


if __name__ == "__main__":
    main()
