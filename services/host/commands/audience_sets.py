"""`coterie audience` over many people at once: previews, sets, overlaps, memory."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from google.protobuf.timestamp_pb2 import Timestamp

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from services.host import report
from services.host.commands.audience import (
    LATEST,
    address_option,
    at_option,
    audience,
    config_option,
)
from services.host.commands.remote import TIMEOUT_S, channel
from services.kit.names import audience_name

PREVIEW_TIMEOUT_S = 600.0
MEBIBYTE = 1 << 20
_TOKEN = re.compile(r"\s*(\(|\)|[a-z][a-z0-9.-]*)")


@audience.command()
@click.option("--rule", required=True, help="The rule, in CEL; `-` reads it from standard input.")
@click.option("--overlap", multiple=True, help="An audience to compare with; any number.")
@click.option("--sample", type=click.IntRange(1, 1000), default=5, help="How many ids to show.")
@at_option
@config_option
@address_option
def preview(  # noqa: PLR0913, PLR0917  click's way
    rule: str,
    overlap: tuple[str, ...],
    sample: int,
    at: Timestamp | None,
    config: Path | None,
    address: str | None,
) -> None:
    """Show how many people a rule holds for, without saving it."""
    request = pb.PreviewAudienceRequest(
        rule=sys.stdin.read().strip() if rule == "-" else rule,
        overlap_audiences=map(audience_name, overlap),
        sample_size=sample,
        time=at,
        consistency=LATEST,
    )
    with channel("segmentation", config, address) as opened:
        stream = SegmentationServiceStub(opened).PreviewAudience(request, timeout=PREVIEW_TIMEOUT_S)
        for part in stream:
            found = part.preview
            if sys.stderr.isatty():
                click.echo(f"\r{part.progress:4.0%} ", nl=part.HasField("preview"), err=True)
    share = found.member_count / found.profile_count if found.profile_count else 0
    click.echo(f"{found.member_count:,} of {found.profile_count:,} people ({share:.1%})")
    if found.sample:
        click.echo(f"for example {' '.join(map(str, found.sample))}")
    for each in found.overlaps:
        among = each.shared_count / found.member_count if found.member_count else 0
        click.echo(
            f"{each.shared_count:,} of them ({among:.1%}) are among the {each.member_count:,}"
            f" of {each.audience.partition('/')[2]}"
        )


@audience.command()
@click.argument("audience_ids", nargs=-1, required=True)
@config_option
@address_option
def overlap(audience_ids: tuple[str, ...], config: Path | None, address: str | None) -> None:
    """Show how many members each two audiences share."""
    request = pb.GetOverlapRequest(audiences=map(audience_name, audience_ids), consistency=LATEST)
    with channel("segmentation", config, address) as opened:
        rows = SegmentationServiceStub(opened).GetOverlap(request, timeout=TIMEOUT_S).rows
    table = [
        (each, *(f"{count:,}" for count in row.shared_counts))
        for each, row in zip(audience_ids, rows, strict=True)
    ]
    click.echo(report.table(("shared members", *audience_ids), table))


@audience.command()
@click.argument("expression")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many to show."
)
@config_option
@address_option
def combine(expression: str, limit: int, config: Path | None, address: str | None) -> None:
    """Count and print who is in EXPRESSION: audiences with `and`, `or`, `not` and parentheses."""
    request = pb.CombineAudiencesRequest(
        expression=parse_sets(expression), count_only=limit == 0, consistency=LATEST
    )
    with channel("segmentation", config, address) as opened:
        stream = SegmentationServiceStub(opened).CombineAudiences(request, timeout=TIMEOUT_S)
        shown = 0
        for number, part in enumerate(stream):
            if number == 0:
                click.echo(f"{part.member_count:,} people")
            for person in part.profile_ids[: limit - shown]:
                click.echo(person)
                shown += 1


@audience.command()
@config_option
@address_option
def memory(config: Path | None, address: str | None) -> None:
    """Show what the audiences and the history take of memory."""
    with channel("segmentation", config, address) as opened:
        request = pb.GetMemoryRequest(consistency=LATEST)
        found = SegmentationServiceStub(opened).GetMemory(request, timeout=TIMEOUT_S)
    rows = [
        (use.kind, _mebibytes(use.resident_bytes), _mebibytes(use.mapped_bytes))
        for use in found.uses
    ]
    resident = sum(use.resident_bytes for use in found.uses)
    mapped = sum(use.mapped_bytes for use in found.uses)
    rows.append(("all", _mebibytes(resident), _mebibytes(mapped)))
    click.echo(f"{found.profile_count:,} profiles, {found.event_count:,} events")
    click.echo(report.table(("state", "in memory, MiB", "mapped files, MiB"), rows))
    own = [
        (each.audience.partition("/")[2], _mebibytes(each.own_bytes)) for each in found.audiences
    ]
    if own:
        click.echo(report.table(("audience", "of its own, MiB"), own))


def parse_sets(text: str) -> audience_pb2.SetExpression:
    """Return the set that a text such as `vip and not (buyers or staff)` means.

    `not` binds closest, then `and`, then `or`. Raises a usage error.
    """
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise click.BadParameter(f"expected an audience or a word, found {text[place:]!r}")
        tokens.append(found[1])
        place = found.end()
    parser = _Sets(tokens)
    made = parser.any_of()
    if parser.tokens:
        raise click.BadParameter(f"expected `and` or `or`, found {parser.tokens[0]!r}")
    return made


class _Sets:
    """Reads what is left of the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def any_of(self) -> audience_pb2.SetExpression:
        sets = [self._all_of()]
        while self._take("or"):
            sets.append(self._all_of())
        if len(sets) == 1:
            return sets[0]
        return audience_pb2.SetExpression(any_of=audience_pb2.SetList(sets=sets))

    def _all_of(self) -> audience_pb2.SetExpression:
        sets = [self._one()]
        while self._take("and"):
            sets.append(self._one())
        if len(sets) == 1:
            return sets[0]
        return audience_pb2.SetExpression(all_of=audience_pb2.SetList(sets=sets))

    def _one(self) -> audience_pb2.SetExpression:
        if self._take("not"):
            return audience_pb2.SetExpression(not_in=self._one())
        if self._take("("):
            made = self.any_of()
            if not self._take(")"):
                raise click.BadParameter("expected `)`, found the end")
            return made
        if not self.tokens or self.tokens[0] in {"and", "or", ")"}:
            found = repr(self.tokens[0]) if self.tokens else "the end"
            raise click.BadParameter(f"expected an audience, found {found}")
        return audience_pb2.SetExpression(audience=audience_name(self.tokens.pop(0)))

    def _take(self, word: str) -> bool:
        if self.tokens and self.tokens[0] == word:
            self.tokens.pop(0)
            return True
        return False


def _mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:,.1f}"
