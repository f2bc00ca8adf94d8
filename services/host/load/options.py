"""What a run is asked for, checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BATCH = 1000
"""As many inputs as a batch of the API holds."""
MAX_READ_BATCH = 1000
MOST_PROFILES = 100_000_000
MOST_AUDIENCES = 10_000
HIGHEST_RATE = 1_000_000
"""Beyond these a mistake is likelier than a meaning."""
LONGEST_RUN_S = 86_400
LONGEST_WARMUP_S = 3_600
LONGEST_CALL_S = 600
MOST_CONNECTIONS = 1_000
MOST_READS = 100_000
MOST_PROBES = 1_000
LONGEST_LABEL = 100
RUN = re.compile(r"[a-z0-9]{1,16}")


class OptionError(Exception):
    """An option is wrong: what was found, what was expected."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much of what is sent and read; times in seconds, rates a second."""

    seed: int = 1
    run: str = "1"
    profiles: int = 10_000
    audiences: int = 20
    rate: float = 1000.0
    duration_s: float = 30.0
    warmup_s: float = 5.0
    batch: int = 100
    connections: int = 4
    reads: float = 50.0
    read_batch: int = 1
    probes: float = 10.0
    timeout_s: float = 10.0
    label: str = ""

    def __post_init__(self) -> None:
        self._expect("seed", 0 <= self.seed < 1 << 63, "0 or a positive number of 63 bits")
        self._expect("run", bool(RUN.fullmatch(self.run)), "1 to 16 of a-z and 0-9")
        self._between("profiles", 1, MOST_PROFILES)
        self._between("audiences", 0, MOST_AUDIENCES)
        self._above_zero("rate", HIGHEST_RATE)
        self._above_zero("duration_s", LONGEST_RUN_S)
        self._between("warmup_s", 0, LONGEST_WARMUP_S)
        self._between("batch", 1, MAX_BATCH)
        self._between("connections", 1, MOST_CONNECTIONS)
        self._between("reads", 0, MOST_READS)
        self._between("read_batch", 1, MAX_READ_BATCH)
        self._between("probes", 0, MOST_PROBES)
        self._above_zero("timeout_s", LONGEST_CALL_S)
        short = len(self.label) <= LONGEST_LABEL
        self._expect("label", short, f"at most {LONGEST_LABEL} characters")
        if self.reads and not self.audiences:
            raise OptionError("--reads: expected 0 where --audiences is 0: nothing could be read")

    @property
    def total_s(self) -> float:
        """How long is sent: what is measured, and the time before it."""
        return self.warmup_s + self.duration_s

    def _between(self, name: str, least: int, greatest: int) -> None:
        holds = least <= getattr(self, name) <= greatest
        self._expect(name, holds, f"{least:,} to {greatest:,}")

    def _above_zero(self, name: str, greatest: int) -> None:
        holds = 0 < getattr(self, name) <= greatest
        self._expect(name, holds, f"more than 0, at most {greatest:,}")

    def _expect(self, name: str, holds: bool, expected: str) -> None:  # noqa: FBT001
        if not holds:
            flag = name.removesuffix("_s").replace("_", "-")
            raise OptionError(f"--{flag}: expected {expected}, found {getattr(self, name)!r}")
