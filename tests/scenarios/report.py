"""Tells what came of scenarios: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.scenarios.playing import Played
from tests.scenarios.verdict import Verdict

NOTE_LENGTH = 300


def table(runs: Sequence[Played]) -> str:
    """Return the table, then each failure, then what is not yet, by its reason."""
    return "\n".join((*_rows(runs), *_failures(runs), *_waiting(runs)))


def as_json(runs: Iterable[Played]) -> str:
    """Return every expectation with its verdict."""
    return json.dumps([_entry(run) for run in runs], indent=1)


def failed(runs: Iterable[Played]) -> bool:
    return any(verdict.state == "fails" for run in runs for verdict in run.verdicts)


def _rows(runs: Sequence[Played]) -> Iterator[str]:
    width = max(len("scenario"), *(len(run.scenario.name) for run in runs), 0)
    yield f"{'scenario':{width}}  partitions  holds  fails  not yet"
    total: Counter[str] = Counter()
    for run in runs:
        counts = Counter[str](verdict.state for verdict in run.verdicts)
        total += counts
        yield f"{run.scenario.name:{width}}  {run.partitions:10}  {_counted(counts)}"
    yield f"{'all':{width}}  {'':10}  {_counted(total)}"


def _counted(counts: Counter[str]) -> str:
    return f"{counts['holds']:5}  {counts['fails']:5}  {counts['not yet']:7}"


def _failures(runs: Sequence[Played]) -> Iterator[str]:
    for run in runs:
        if run.stopped:
            yield ""
            yield f"STOPPED  {run.scenario.name}, partitions {run.partitions}: {run.stopped}"
            continue
        for claim, verdict in zip(run.scenario.claims, run.verdicts, strict=True):
            if verdict.state == "fails":
                yield ""
                yield f"FAILS  {run.scenario.name}, partitions {run.partitions}: {claim.place}"
                yield f"  expected  {claim.kind} {json.dumps(claim.body, ensure_ascii=False)}"
                yield f"  found     {verdict.found[:NOTE_LENGTH]}"


def _waiting(runs: Sequence[Played]) -> Iterator[str]:
    waiting: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for run in runs:
        for claim, verdict in zip(run.scenario.claims, run.verdicts, strict=True):
            if verdict.state == "not yet":
                waiting[verdict.reason].add((run.scenario.name, claim.index))
    if waiting:
        yield ""
        yield "not yet, by what is missing (expectations, scenarios)"
    for reason, found in sorted(waiting.items(), key=lambda each: (-len(each[1]), each[0])):
        scenarios = sorted({name for name, _ in found})
        yield f"  {len(found):3}  {reason}: {', '.join(scenarios)}"


def _entry(run: Played) -> dict[str, Any]:
    return {
        "scenario": run.scenario.name,
        "partitions": run.partitions,
        "expectations": [
            _shown(claim.kind, verdict)
            for claim, verdict in zip(run.scenario.claims, run.verdicts, strict=True)
        ],
    }


def _shown(kind: str, verdict: Verdict) -> dict[str, str]:
    shown = {"kind": kind, "state": verdict.state}
    if verdict.found:
        shown["found"] = verdict.found
    if verdict.reason:
        shown["reason"] = verdict.reason
    return shown
