"""The report as one HTML file: figures and plots, nothing from elsewhere, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from services.host.load.plots import Points, histogram, lines
from services.host.load.record import INGEST, READ, TRACKS, VISIBLE, WATCHED
from services.host.load.summary import FIGURES, NAMES, Document, figure

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2330; --soft: #5d6779;
  --grid: #e3e7ee; --shade: #f1f3f7; --c0: #2764c7; --c1: #d2691e; --c2: #2e8b57;
  --c3: #a0308c; --c4: #8a8f98; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e6e9ef; --soft: #9aa4b5;
  --grid: #2b323e; --shade: #1d232d; --c0: #7aa7f5; --c1: #f0a35e; --c2: #6fcf97;
  --c3: #d98bd0; --c4: #9aa0aa; --bad: #ff8a80; } }
body { background: var(--paper); color: var(--ink); margin: 2rem auto; max-width: 920px;
  padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p.soft, p.none, dt, .tick, .hint { color: var(--soft); } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--grid); padding: .3rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.card { background: var(--shade); border-radius: 8px; flex: 1 1 130px; padding: .6rem .9rem; }
.card b { display: block; font-size: 1.35rem; } .card span { color: var(--soft); }
svg { display: block; height: auto; width: 100%; } .tick, .hint { fill: var(--soft);
  font: 12px system-ui, sans-serif; } .grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.warmup { fill: var(--shade); } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: 1rem; font-size: .85rem; color: var(--soft); }
.legend i { border-radius: 2px; display: inline-block; height: .7em; margin-right: .35em;
  width: 1.1em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0;
  overflow-wrap: anywhere; }
"""
TONES = "".join(
    f".line.c{n}{{stroke:var(--c{n})}}.bar.c{n},.dot.c{n}{{fill:var(--c{n})}}"
    f".legend .c{n}{{background:var(--c{n})}}\n"
    for n in range(5)
)
BY_SECOND = ("p50", "p90", "p99", "max")
"""A second holds too few calls for more."""
HEADLINE = ((INGEST, "p50"), (INGEST, "p99"), (VISIBLE, "p50"), (VISIBLE, "p99"))


def page(document: Document) -> str:
    """Return the report as HTML."""
    options = document["options"]
    title = options["label"] or f"{options['rate']:,.0f} events/s"
    body = "\n".join((*_head(document, title), *_figures(document), *_plots(document)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Load: {escape(title)}</title>\n<style>{STYLE}{TONES}</style></head>\n"
        f"<body>\n{body}\n{_details(document)}\n</body></html>\n"
    )


def _head(document: Document, title: str) -> Iterator[str]:
    options, tracks = document["options"], document["tracks"]
    yield f"<h1>Load: {escape(title)}</h1>"
    stopped = " (stopped by hand)" if document["interrupted"] else ""
    yield (
        f'<p class="soft">{escape(document["begun"])}, {document["measured_s"]:,.1f} s{stopped}'
        f" after {options['warmup_s']:g} s of warm-up; {options['profiles']:,} people,"
        f" {options['audiences']:,} audiences, seed {options['seed']}</p>"
    )
    ingest = tracks[INGEST]
    cards = [
        (f"{ingest['accepted_per_s']:,.0f}/s", f"of {ingest['asked_per_s']:,.0f} events/s"),
        *((figure(tracks[name], which), f"{NAMES[name]} {which}") for name, which in HEADLINE),
    ]
    inner = "".join(
        f'<div class="card"><b>{big}</b><span>{small}</span></div>' for big, small in cards
    )
    yield f'<div class="cards">{inner}</div>'


def _figures(document: Document) -> Iterator[str]:
    heads = "".join(f"<th>{each}</th>" for each in ("", "count", *FIGURES, "failed"))
    yield f"<table><tr>{heads}</tr>"
    for name, meaning in TRACKS.items():
        track = document["tracks"][name]
        failed = sum(track["errors"].values())
        cells = [f"{track['latency_us']['count']:,}", *(figure(track, each) for each in FIGURES)]
        inner = "".join(f"<td>{cell}</td>" for cell in (*cells, f"{failed:,}"))
        yield f'<tr><td title="{escape(meaning)}">{NAMES[name]}</td>{inner}</tr>'
    yield "</table>"
    yield '<p class="soft">Calls are measured from the instant they were due, whatever the former'
    yield "ones took; the spans of freshness begin when the event's acceptance was heard.</p>"
    troubles = [
        f"<li>{NAMES[name]}: {count:,} {escape(reason)}</li>"
        for name in TRACKS
        for kind in ("errors", "refused")
        for reason, count in document["tracks"][name][kind].items()
    ]
    yield f'<ul class="bad">{"".join(troubles)}</ul>' if troubles else "<p>No errors.</p>"


def _plots(document: Document) -> Iterator[str]:
    tracks = document["tracks"]
    measured_s = document["measured_s"]
    asked, accepted = (_over(tracks[INGEST], each, measured_s) for each in ("asked", "accepted"))
    yield "<h2>Throughput over time</h2>"
    series = {"asked, events/s": asked, "accepted, events/s": accepted}
    yield lines(series, y_label=lambda y: f"{y:,.0f}", what="events asked and accepted by second")
    for name in (INGEST, READ):
        yield f"<h2>Latency of the {NAMES[name]} over time</h2>"
        yield _percentiles(tracks[name], f"latency of the {NAMES[name]} by second")
    yield "<h2>Freshness over time: from an accepted event to its membership</h2>"
    fresh = {
        f"{NAMES[name]} {which}": _latency(tracks[name], which)
        for name in (VISIBLE, WATCHED)
        for which in ("p50", "p99")
    }
    yield lines(fresh, y_label=_time, what="freshness by second", log=True)
    for tone, name in enumerate((INGEST, READ, VISIBLE, WATCHED)):
        yield f"<h2>Histogram: {NAMES[name]}</h2>"
        buckets, what = tracks[name]["histogram_us"], f"histogram of {NAMES[name]}"
        yield histogram(buckets, x_label=_time, what=what, tone=tone)


def _percentiles(track: Mapping[str, Any], what: str) -> str:
    series = {which: _latency(track, which) for which in BY_SECOND}
    return lines(series, y_label=_time, what=what, log=True)


def _over(track: Mapping[str, Any], figure: str, measured_s: float) -> Points:
    """Return a figure of each whole second; a part of one would look like a fall."""
    whole = [one for one in track["seconds"] if one["second"] + 1 <= measured_s]
    return [(one["second"], one[figure]) for one in whole]


def _latency(track: Mapping[str, Any], which: str) -> Points:
    return [
        (one["second"], one["latency_us"][which])
        for one in track["seconds"]
        if one["latency_us"]["count"]
    ]


def _time(value_us: float) -> str:
    if value_us >= 1_000_000:  # noqa: PLR2004  a second
        return f"{value_us / 1_000_000:.3g} s"
    return f"{value_us / 1000:.3g} ms" if value_us >= 1 else "0 ms"


def _details(document: Document) -> str:
    versions = ", ".join(f"{name} {one}" for name, one in document["versions"].items())
    machine = document["machine"]
    entries = {
        "options": ", ".join(f"{name} {value}" for name, value in document["options"].items()),
        "mix": document["mix"],
        "requests": f"fingerprint {document['requests']}",
        "target": ", ".join(f"{name} {at}" for name, at in document["target"].items()),
        "versions": f"{versions} (of the harness)",
        "machine": f"{machine['system']}, {machine['processor']}, {machine['cores']} cores",
        "load average": f"{machine['load_before']} before, {machine['load_after']} after",
    }
    inner = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<h2>The run</h2>\n<dl>{inner}</dl>"
