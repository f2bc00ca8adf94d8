"""`coterie audience`: save audiences, and see who is in them."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import click

from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from services.host import report
from services.host.commands.remote import TIMEOUT_S, channel, show_time
from services.kit.names import audience_name

POLL_S = 0.05
LATEST = consistency_pb2.Consistency(latest=True)

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Configuration file."
)
address_option = click.option(
    "--address", help="Where segmentation is; else the configuration says."
)


@click.group()
def audience() -> None:
    """Save audiences, and see who is in them."""


@audience.command()
@click.argument("audience_id")
@click.option("--name", help="A name for people; the id if left out.")
@click.option("--rule", required=True, help="The rule, in CEL; `-` reads it from standard input.")
@config_option
@address_option
def create(
    audience_id: str, name: str | None, rule: str, config: Path | None, address: str | None
) -> None:
    """Save an audience and wait until its members are complete."""
    text = sys.stdin.read().strip() if rule == "-" else rule
    wanted = audience_pb2.Audience(display_name=name or audience_id, rule=text)
    request = pb.CreateAudienceRequest(audience_id=audience_id, audience=wanted)
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        stub.CreateAudience(request, timeout=TIMEOUT_S)
        ready = _wait_active(stub, audience_id)
    click.echo(f"{audience_id}: {ready.member_count:,} members")


@audience.command("list")
@config_option
@address_option
def list_all(config: Path | None, address: str | None) -> None:
    """List the audiences with their sizes."""
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        found: list[audience_pb2.Audience] = []
        request = pb.ListAudiencesRequest(page_size=1000, consistency=LATEST)
        while True:
            page = stub.ListAudiences(request, timeout=TIMEOUT_S)
            found += page.audiences
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    _print_audiences(found)


@audience.command()
@click.argument("audience_id")
@config_option
@address_option
def get(audience_id: str, config: Path | None, address: str | None) -> None:
    """Show one audience."""
    with channel("segmentation", config, address) as opened:
        request = pb.GetAudienceRequest(name=audience_name(audience_id), consistency=LATEST)
        found = SegmentationServiceStub(opened).GetAudience(request, timeout=TIMEOUT_S).audience
    _print_audiences([found])


@audience.command()
@click.argument("audience_id")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many to show."
)
@config_option
@address_option
def members(audience_id: str, limit: int, config: Path | None, address: str | None) -> None:
    """Print the profile ids of the members."""
    request = pb.ListMembersRequest(audience=audience_name(audience_id), consistency=LATEST)
    with channel("segmentation", config, address) as opened:
        stream = SegmentationServiceStub(opened).ListMembers(request, timeout=TIMEOUT_S)
        for person in islice((each for part in stream for each in part.profile_ids), limit):
            click.echo(person)


@audience.command()
@click.argument("audience_ids", nargs=-1)
@click.option("--from-start", is_flag=True, help="Begin with the oldest transition.")
@config_option
@address_option
def watch(
    audience_ids: tuple[str, ...],
    from_start: bool,  # noqa: FBT001  click's way
    config: Path | None,
    address: str | None,
) -> None:
    """Print entries and exits as they happen, until Ctrl-C."""
    names = [audience_name(each) for each in audience_ids]
    request = pb.WatchTransitionsRequest(audiences=names, from_start=from_start)
    with channel("segmentation", config, address) as opened:
        stream = SegmentationServiceStub(opened).WatchTransitions(request)
        try:
            for part in stream:
                for one in part.transitions:
                    click.echo(_transition_line(one))
        except KeyboardInterrupt:
            stream.cancel()  # type: ignore[no-untyped-call]  # the stubs of grpc leave it out


def because(cause: audience_pb2.Cause.ValueType, cause_id: str) -> str:
    """Return why a membership changed, as people say it."""
    match cause:
        case audience_pb2.CAUSE_EVENT:
            return f"event {cause_id}"
        case audience_pb2.CAUSE_CLOCK:
            return "time passed"
        case audience_pb2.CAUSE_ATTRIBUTE:
            return "an attribute changed"
        case audience_pb2.CAUSE_MERGE:
            return "two profiles became one"
        case audience_pb2.CAUSE_DEFINITION:
            return "the audience went live"
        case _:
            return "it never changed"


def _transition_line(one: audience_pb2.Transition) -> str:
    way = "entered" if one.entered else "left   "
    audience_id = one.audience.partition("/")[2]
    why = because(one.cause, one.cause_id)
    return f"{show_time(one.time)}  {one.profile_id} {way} {audience_id}  ({why})"


def _wait_active(stub: SegmentationServiceStub, audience_id: str) -> audience_pb2.Audience:
    request = pb.GetAudienceRequest(name=audience_name(audience_id), consistency=LATEST)
    while True:
        found = stub.GetAudience(request, timeout=TIMEOUT_S).audience
        if found.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
            return found
        time.sleep(POLL_S)


def _print_audiences(audiences: list[audience_pb2.Audience]) -> None:
    if not audiences:
        click.echo("there is no audience yet; `coterie audience create` saves one")
        return
    rows = [
        (each.name.partition("/")[2], _size(each), " ".join(each.rule.split()))
        for each in audiences
    ]
    click.echo(report.table(("audience", "members", "rule"), rows))


def _size(audience: audience_pb2.Audience) -> str:
    if audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
        return f"{audience.member_count:,}"
    return f"building, {audience.build_progress:.0%}"
