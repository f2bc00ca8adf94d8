"""`coterie audience`: save audiences, and see who is in them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import click
from google.protobuf.timestamp_pb2 import Timestamp

from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from services.host import report
from services.host.commands.remote import TIMEOUT_S, Instant, channel, show_time
from services.kit.names import audience_name

POLL_S = 0.05
LATEST = consistency_pb2.Consistency(latest=True)
ITEMS_SHOWN = 5

_REASONS = {
    audience_pb2.CAUSE_CLOCK: "time passed",
    audience_pb2.CAUSE_ATTRIBUTE: "an attribute changed",
    audience_pb2.CAUSE_MERGE: "two profiles became one",
    audience_pb2.CAUSE_UNMERGE: "one profile became two",
    audience_pb2.CAUSE_ERASURE: "erased",
    audience_pb2.CAUSE_DEFINITION: "the audience went live",
    audience_pb2.CAUSE_PUBLICATION: "published from outside",
}

at_option = click.option(
    "--at", type=Instant(), help="As of this time, by the rules of now; else as of now."
)
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
        ready = wait_until(stub, audience_id, is_active)
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
@at_option
@config_option
@address_option
def members(
    audience_id: str, limit: int, at: Timestamp | None, config: Path | None, address: str | None
) -> None:
    """Print the profile ids of the members, now or as of a time."""
    request = pb.ListMembersRequest(
        audience=audience_name(audience_id), time=at, consistency=LATEST
    )
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
    if cause == audience_pb2.CAUSE_EVENT:
        return f"event {cause_id}"
    return _REASONS.get(cause, "it never changed")


def _transition_line(one: audience_pb2.Transition) -> str:
    way = "entered" if one.entered else "left   "
    audience_id = one.audience.partition("/")[2]
    why = because(one.cause, one.cause_id)
    skus = list(dict.fromkeys(each.sku for each in one.witnesses if each.sku))
    items = f"  [{', '.join(skus[:ITEMS_SHOWN])}{', …' if len(skus) > ITEMS_SHOWN else ''}]"
    line = f"{show_time(one.time)}  {one.profile_id} {way} {audience_id}  ({why})"
    return line + items if skus else line


def wait_until(
    stub: SegmentationServiceStub,
    audience_id: str,
    done: Callable[[audience_pb2.Audience], bool],
) -> audience_pb2.Audience:
    """Return the audience once it is as it should become."""
    request = pb.GetAudienceRequest(name=audience_name(audience_id), consistency=LATEST)
    while not done(found := stub.GetAudience(request, timeout=TIMEOUT_S).audience):
        time.sleep(POLL_S)
    return found


def is_active(audience: audience_pb2.Audience) -> bool:
    """Tell whether its members can be read."""
    return audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE


def _print_audiences(audiences: list[audience_pb2.Audience]) -> None:
    if not audiences:
        click.echo("there is no audience yet; `coterie audience create` saves one")
        return
    rows = [(each.name.partition("/")[2], _size(each), _what(each)) for each in audiences]
    click.echo(report.table(("audience", "members", "rule"), rows))


def _size(audience: audience_pb2.Audience) -> str:
    if audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
        return f"{audience.member_count:,}"
    return f"building, {audience.build_progress:.0%}"


def _what(audience: audience_pb2.Audience) -> str:
    """Return what says who is in."""
    if not audience.HasField("publication"):
        return " ".join(audience.rule.split())
    published = audience.publication
    when = show_time(published.publish_time)
    return f"EXTERNAL: {published.published_count:,} published at {when}"
