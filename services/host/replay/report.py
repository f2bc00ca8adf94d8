"""What a replay prints at its end: sentences, one table, and what to try next."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from services.host.replay.outcome import AudienceOutcome, Outcome, Phase
from services.host.report import table

SHOWN = 3
"""Sentences about single people: enough to see what is meant."""
HEAD = ("audience", "in it now", "entered", "left", "by time alone", "")


def summary(outcome: Outcome) -> str:
    """Return what happened, as plain text."""
    return _text(_played(outcome), _audiences(outcome), _sentences(outcome))


def details(outcome: Outcome) -> str:
    """Return what was odd, where the time went, and what to try next, as plain text."""
    return _text(_odd(outcome), _time(outcome), _next(outcome))


def _text(*parts: Iterator[str]) -> str:
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _played(outcome: Outcome) -> Iterator[str]:
    tally, seconds = outcome.tally, max(outcome.played_ms, 1) / 1000
    first, last = map(_day, outcome.span_ms)
    what = f"{tally.happenings:,} {outcome.noun}"
    if tally.lines and tally.lines != tally.happenings:
        what += f" with {tally.lines:,} lines"
    yield f"Played {what} of {outcome.source}, {first} to {last}, in {seconds:,.1f} s:"
    rates = f"{tally.happenings / seconds:,.0f} {outcome.noun}/s"
    if tally.lines and tally.lines != tally.happenings:
        rates += f", {tally.lines / seconds:,.0f} lines/s"
    inputs = outcome.sent.inputs
    yield f"  {rates}, {inputs / seconds:,.0f} inputs/s ({inputs:,} in all),"
    yield "  from the first input until every stage had applied the last one."
    if not outcome.stood_ms:
        return
    fresh = outcome.sent.inputs - outcome.repeats
    yield (
        f"The directory had data up to {_instant(outcome.stood_ms)} already:"
        f" {outcome.repeats:,} of the inputs lie before that and are repeats, {fresh:,} are not."
    )
    if outcome.repeats == outcome.sent.inputs:
        yield (
            "Nothing has changed: nobody entered or left an audience."
            if not outcome.new_transitions
            else f"{outcome.new_transitions:,} entries and exits are new: audiences were added."
        )


def _audiences(outcome: Outcome) -> Iterator[str]:
    if outcome.audiences:
        yield table(HEAD, [_row(one) for one in outcome.audiences])


def _row(one: AudienceOutcome) -> list[str]:
    numbers = (one.size, one.entered, one.left, one.by_time_alone)
    return [one.audience_id, *(f"{number:,}".rjust(9) for number in numbers), one.display_name]


def _sentences(outcome: Outcome) -> Iterator[str]:
    moved = sum(one.entered + one.left for one in outcome.audiences)
    alone = sum(one.by_time_alone for one in outcome.audiences)
    if not alone:
        return
    yield (
        f"{alone:,} of the {moved:,} entries and exits happened while nobody did anything:"
        " time alone moved people, each at its own second. The latest:"
    )
    for one in [one for one in outcome.audiences if one.last_by_time is not None][:SHOWN]:
        last = one.last_by_time
        if last is not None:
            did = "entered" if last.entered else "left"
            yield f"  {last.who} {did} {one.audience_id} at {_instant(last.time_ms)} UTC"


def _odd(outcome: Outcome) -> Iterator[str]:
    rejections = outcome.tally.rejections
    if rejections.total:
        yield f"{rejections.total:,} of {outcome.tally.rows:,} rows were rejected:"
        for reason, count in rejections.counts.most_common():
            lines = ", ".join(map(str, rejections.lines[reason]))
            more = ", ..." if count > len(rejections.lines[reason]) else ""
            yield f"  {count:>9,}  {reason} (line {lines}{more})"
    for reason, count in outcome.sent.refused.most_common():
        ids = ", ".join(outcome.sent.refused_ids[reason])
        yield f"  {count:>9,}  refused by the API: {reason} (for example {ids})"
    for reason, count in outcome.tally.left_out.most_common():
        if count:
            yield f"  {count:>9,}  {reason}"
    if outcome.sent.again:
        yield f"  {outcome.sent.again:>9,}  batches were sent again after the stream broke"
    if outcome.dead_letters:
        yield f"  {outcome.dead_letters:>9,}  records were set aside: a stage could not apply them"
    for note in outcome.tally.notes:
        yield f"Note: {note}."


def _time(outcome: Outcome) -> Iterator[str]:
    yield "Where the time went:"
    for phase, spent_ms in outcome.phases_ms.items():
        inside = ""
        if phase == Phase.SEND:
            inside = f"  of which {outcome.sent.encode_ms / 1000:.1f} s making the requests"
        yield f"  {spent_ms / 1000:>8.1f} s  {phase.value}{inside}"


def _next(outcome: Outcome) -> Iterator[str]:
    if outcome.limited:
        yield "With --limit this was the beginning; the same command without it goes on from here."
    if not outcome.audiences:
        return
    example = outcome.example
    what = f"{example.audience_id} {example.who}" if example else "AUDIENCE NAMESPACE:VALUE"
    yield "Look around. In one terminal, with the time that the data has:"
    yield f"  {_command()} up --data {outcome.data_dir} --virtual-clock"
    yield "and in another:"
    yield f"  {_command()} audience list"
    yield f"  {_command()} explain {what}"


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d}"


def _instant(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _command() -> str:
    """Return how this command is called from here: by its path, where it lies below this folder."""
    path = os.path.relpath(sys.argv[0])
    here = Path(path).name == "coterie" and not path.startswith(os.pardir)
    return path if here else "coterie"
