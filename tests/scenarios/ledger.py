"""The expectations that have held, by scenario, partitions and index: what may not be lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.playing import Played

LEDGER = Path(__file__).resolve().parent / "ledger.json"

Held = Mapping[str, Mapping[str, frozenset[int]]]


class Loss(Exception):
    """Expectations that held hold no more."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What has held: of each scenario, for each number of partitions, the indexes."""

    held: Held

    @classmethod
    def read(cls, file: Path) -> Ledger:
        """Return the ledger of a file; an empty one where there is none."""
        if not file.exists():
            return cls({})
        written: dict[str, dict[str, list[int]]] = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            {
                name: {count: frozenset(indexes) for count, indexes in counts.items()}
                for name, counts in written.items()
            }
        )

    def write(self, file: Path) -> None:
        lines = [
            f" {json.dumps(name)}: "
            + json.dumps({count: sorted(indexes) for count, indexes in sorted(counts.items())})
            for name, counts in sorted(self.held.items())
        ]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    def lost(self, run: Played) -> list[int]:
        """Return the indexes that held once, and do not in this run."""
        known = self.held.get(run.scenario.name, {}).get(str(run.partitions), frozenset())
        return sorted(known - holding(run))

    def updated(self, runs: Iterable[Played], *, allow_loss: bool) -> Ledger:
        """Return the ledger with what holds in these runs; raises Loss unless that is allowed."""
        held = {name: dict(counts) for name, counts in self.held.items()}
        lost = []
        for run in runs:
            name, count = run.scenario.name, str(run.partitions)
            lost += [f"{name}, partitions {count}: {index}" for index in self.lost(run)]
            held.setdefault(name, {})[count] = holding(run)
        if lost and not allow_loss:
            raise Loss("no longer holds, so the ledger stays as it is:\n" + "\n".join(lost))
        return Ledger(held)


def holding(run: Played) -> frozenset[int]:
    """Return the indexes of the expectations that hold in a run."""
    return frozenset(
        claim.index
        for claim, verdict in zip(run.scenario.claims, run.verdicts, strict=True)
        if verdict.state == "holds"
    )
