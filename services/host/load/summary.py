"""What `coterie load` prints at its end, and how two runs stand beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.host.load.live import milliseconds
from services.host.load.record import INGEST, LATE, READ, TRACKS, VISIBLE, WATCHED
from services.host.report import NOTHING, table

NAMES = {
    INGEST: "ingest call",
    READ: "membership read",
    VISIBLE: "visible to a read",
    WATCHED: "seen by a watch",
    LATE: "sent late by",
}
FIGURES = ("p50", "p90", "p99", "p99.9", "max")
NEEDED = {"p50": 1, "p90": 10, "p99": 100, "p99.9": 1000, "max": 1}
"""A percentile of fewer is the greatest by another name."""
LATE_WORTH_SAYING = 0.25
"""A harness this much of the median late is a part of what it measures."""

Document = Mapping[str, Any]
"""A report as JSON has it."""


def summary(document: Document) -> str:
    """Return the result of a run, as plain text."""
    parts = (_what(document), _latencies(document), _troubles(document))
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _what(document: Document) -> Iterator[str]:
    options, ingest, read = document["options"], *_tracks(document, INGEST, READ)
    stopped = ", then stopped" if document["interrupted"] else ""
    yield (
        f"Measured {document['measured_s']:,.1f} s{stopped}: {ingest['units']:,} events asked,"
        f" {ingest['accepted']:,} accepted."
    )
    yield (
        f"  asked {ingest['asked_per_s']:,.0f} events/s in batches of {options['batch']:,},"
        f" accepted {ingest['accepted_per_s']:,.0f} events/s"
    )
    yield f"  asked {read['asked_per_s']:,.0f} reads/s, answered {read['accepted_per_s']:,.0f}"
    machine = document["machine"]
    load = f", load average {machine['load_after'][0]:g}" if machine["load_after"] else ""
    yield f"  the harness ran on {machine['cores']} cores{load}"


def _latencies(document: Document) -> Iterator[str]:
    rows = []
    for name in TRACKS:
        (track,) = _tracks(document, name)
        count = f"{track['latency_us']['count']:,}"
        cells = (figure(track, each) for each in FIGURES)
        rows.append([NAMES[name], *(cell.rjust(9) for cell in (count, *cells))])
    yield table(["", "    count", *(f"{each:>9}" for each in FIGURES)], rows)
    yield "Calls are measured from the instant they were due; the others from the acceptance."


def _troubles(document: Document) -> Iterator[str]:
    clean = True
    for name in TRACKS:
        (track,) = _tracks(document, name)
        for kind in ("errors", "refused"):
            for reason, count in track[kind].items():
                clean = False
                noun = "events refused" if kind == "refused" else "failed"
                yield f"  {NAMES[name]}: {count:,} {noun}: {reason}"
    if clean:
        yield "No errors."
    ingest, late = (each["latency_us"] for each in _tracks(document, INGEST, LATE))
    if late["p50"] > LATE_WORTH_SAYING * max(ingest["p50"], 1):
        yield (
            "The harness itself was late: give it more of the machine, or less to do, before"
            " blaming the deployment."
        )


def figure(track: Mapping[str, Any], which: str) -> str:
    """Return a latency for people; nothing where too few were measured for it to mean something."""
    found = track["latency_us"]
    return milliseconds(found[which]) if found["count"] >= NEEDED[which] else NOTHING


def comparison(first: Document, second: Document) -> str:
    """Return two runs side by side, the second over the first."""
    lines = [
        f"A  {_heading(first)}",
        f"B  {_heading(second)}",
        "",
        table(["", *(f"{each:>12}" for each in ("A", "B", "B / A"))], list(_rows(first, second))),
        "",
        "Above 1 is better for rates, below 1 for latencies.",
    ]
    differing = _differences(first, second)
    if first["requests"] != second["requests"]:
        lines.append("The two did not send the same requests; compare with care.")
    if differing:
        lines.append(f"They differ in {', '.join(differing)}.")
    return "\n".join(lines)


def _rows(first: Document, second: Document) -> Iterator[list[str]]:
    for name, rate, title in (
        (INGEST, "asked_per_s", "events asked/s"),
        (INGEST, "accepted_per_s", "events accepted/s"),
        (READ, "accepted_per_s", "reads answered/s"),
    ):
        (a,), (b,) = _tracks(first, name), _tracks(second, name)
        shown = [f"{each[rate]:,.0f}" for each in (a, b)]
        yield _line(title, shown, a[rate], b[rate])
    for name in TRACKS:
        (one,), (other,) = _tracks(first, name), _tracks(second, name)
        for which in FIGURES:
            shown = [figure(each, which) for each in (one, other)]
            if NOTHING not in shown:
                a, b = (each["latency_us"][which] for each in (one, other))
                yield _line(f"{NAMES[name]} {which}", shown, a, b)
    for name in TRACKS:
        (one,), (other,) = _tracks(first, name), _tracks(second, name)
        for code in sorted(one["errors"].keys() | other["errors"].keys()):
            counts = one["errors"].get(code, 0), other["errors"].get(code, 0)
            yield _line(f"{NAMES[name]} {code}", [f"{each:,}" for each in counts], *counts)


def _line(title: str, shown: list[str], a: float, b: float) -> list[str]:
    ratio = f"{b / a:,.2f}" if a else NOTHING
    return [title, *(each.rjust(12) for each in (*shown, ratio))]


def _heading(document: Document) -> str:
    options = document["options"]
    label = f"{options['label']}, " if options["label"] else ""
    versions = document["versions"]
    return (
        f"{label}{document['begun']}, seed {options['seed']}, {options['rate']:,.0f} events/s,"
        f" coterie {versions.get('coterie', NOTHING)}, {document['machine']['cores']} cores"
    )


def _differences(first: Document, second: Document) -> list[str]:
    a, b = first["options"], second["options"]
    return [name for name in a if name not in {"label", "run"} and a[name] != b.get(name)]


def _tracks(document: Document, *names: str) -> list[dict[str, Any]]:
    return [document["tracks"][name] for name in names]
