"""`coterie audience` over a definition's later life: versions, removal, members from outside."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from coterie.type.v1 import identity_pb2
from services.host import report
from services.host.commands.audience import (
    LATEST,
    address_option,
    audience,
    config_option,
    is_active,
    wait_until,
)
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, show_time
from services.kit.names import audience_name

READY = audience_pb2.AUDIENCE_VERSION_STATE_READY
PUBLISH_TIMEOUT_S = 3600.0
MEMBERS_A_MESSAGE = 5_000
_MODES = {
    "replace": pb.PUBLISH_MODE_REPLACE,
    "add": pb.PUBLISH_MODE_ADD,
    "remove": pb.PUBLISH_MODE_REMOVE,
}


@audience.command()
@click.argument("audience_id")
@click.option("--name", help="The new name for people.")
@click.option("--rule", help="The new rule, in CEL; `-` reads it from standard input.")
@click.option("--activate", is_flag=True, help="Let it go live as soon as it is built.")
@config_option
@address_option
def update(  # noqa: PLR0913, PLR0917  click's way
    audience_id: str,
    name: str | None,
    rule: str | None,
    activate: bool,  # noqa: FBT001
    config: Path | None,
    address: str | None,
) -> None:
    """Propose a changed rule or name, and show who would enter and leave by it."""
    text = sys.stdin.read().strip() if rule == "-" else rule
    wanted = audience_pb2.Audience(
        name=audience_name(audience_id), display_name=name or "", rule=text or ""
    )
    request = pb.UpdateAudienceRequest(audience=wanted, activate_when_built=activate)
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        answer = stub.UpdateAudience(request, timeout=TIMEOUT_S).audience
        version = answer.next_version.version or answer.version
        found = wait_until(stub, audience_id, lambda each: _is_settled(each, version))
    if found.version >= version:
        click.echo(f"{audience_id}: version {version} is live, {found.member_count:,} members")
        return
    coming = found.next_version
    click.echo(f"{audience_id}: version {version} is ready: {_difference(coming.difference)}")
    for sign, sample in (
        ("+", coming.difference.enter_sample),
        ("-", coming.difference.exit_sample),
    ):
        if sample:
            click.echo(f"  {sign} {' '.join(map(str, sample))}")
    click.echo(f"`coterie audience activate {audience_id}` makes it live")


@audience.command()
@click.argument("audience_id")
@click.option("--version", type=click.IntRange(min=1), help="Which; the next one if left out.")
@config_option
@address_option
def activate(
    audience_id: str, version: int | None, config: Path | None, address: str | None
) -> None:
    """Make the version that is ready live."""
    name = audience_name(audience_id)
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        if version is None:
            get = pb.GetAudienceRequest(name=name, consistency=LATEST)
            version = stub.GetAudience(get, timeout=TIMEOUT_S).audience.next_version.version
            if not version:
                raise click.ClickException(f"{audience_id}: no version waits to go live")
        request = pb.ActivateAudienceRequest(name=name, version=version)
        live = stub.ActivateAudience(request, timeout=TIMEOUT_S).audience
    click.echo(f"{audience_id}: version {live.version} is live, {live.member_count:,} members")


@audience.command("roll-back")
@click.argument("audience_id")
@click.option("--to", type=click.IntRange(min=1), help="Which version; the last one if left out.")
@config_option
@address_option
def roll_back(audience_id: str, to: int | None, config: Path | None, address: str | None) -> None:
    """Bring the rule of a former version back."""
    request = pb.RollBackAudienceRequest(name=audience_name(audience_id), version=to or 0)
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        answer = stub.RollBackAudience(request, timeout=TIMEOUT_S).audience
        version = answer.next_version.version or answer.version
        live = wait_until(stub, audience_id, lambda each: each.version >= version)
    click.echo(f"{audience_id}: version {live.version} is live, {live.member_count:,} members")


@audience.command()
@click.argument("audience_id")
@config_option
@address_option
def delete(audience_id: str, config: Path | None, address: str | None) -> None:
    """Remove an audience to which nothing refers; its members leave."""
    request = pb.DeleteAudienceRequest(name=audience_name(audience_id))
    with channel("segmentation", config, address) as opened:
        SegmentationServiceStub(opened).DeleteAudience(request, timeout=TIMEOUT_S)
    click.echo(f"{audience_id}: removed")


@audience.command()
@click.argument("audience_id")
@config_option
@address_option
def versions(audience_id: str, config: Path | None, address: str | None) -> None:
    """List the versions of an audience, newest first."""
    request = pb.ListAudienceVersionsRequest(
        parent=audience_name(audience_id), page_size=1000, consistency=LATEST
    )
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        found = stub.ListAudienceVersions(request, timeout=TIMEOUT_S).versions
    rows = [(str(each.version), _state(each), " ".join(each.rule.split())) for each in found]
    click.echo(report.table(("version", "state", "rule"), rows))


@audience.command()
@click.argument("audience_id")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option(
    "--mode",
    type=click.Choice(list(_MODES)),
    default="replace",
    show_default=True,
    help="All members from now on, further ones, or none any more.",
)
@click.option("--name", help="A name for people.")
@config_option
@address_option
def publish(  # noqa: PLR0913, PLR0917  click's way
    audience_id: str,
    file: Iterable[str],
    mode: str,
    name: str | None,
    config: Path | None,
    address: str | None,
) -> None:
    """Publish members from FILE: a NAMESPACE:VALUE or a profile id a line; `-` reads them."""
    head = pb.PublishAudienceHead(
        audience_id=audience_id, display_name=name or "", mode=_MODES[mode]
    )
    people = _people(file)
    with channel("segmentation", config, address) as opened:
        stub = SegmentationServiceStub(opened)
        answer = stub.PublishAudience(_requests(head, people), timeout=PUBLISH_TIMEOUT_S)
        version = answer.audience.next_version.version or answer.audience.version
        done = wait_until(
            stub, audience_id, lambda each: is_active(each) and each.version >= version
        )
    click.echo(
        f"{audience_id}: {answer.published_count:,} published, {done.member_count:,} members"
    )


def _people(lines: Iterable[str]) -> list[identity_pb2.Who]:
    """Return whom a file names, all before the first is sent; a mistake says its line."""
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(parse_who(line.strip()))
            except click.BadParameter as error:
                raise click.ClickException(f"line {number}: {error.message}") from None
    return found


def _requests(
    head: pb.PublishAudienceHead, people: Sequence[identity_pb2.Who]
) -> Iterator[pb.PublishAudienceRequest]:
    yield pb.PublishAudienceRequest(head=head)
    for start in range(0, len(people), MEMBERS_A_MESSAGE):
        yield pb.PublishAudienceRequest(members=people[start : start + MEMBERS_A_MESSAGE])


def _is_settled(found: audience_pb2.Audience, version: int) -> bool:
    coming = found.next_version
    if coming.version == version:
        return not coming.activate_when_built and coming.state == READY
    return found.version >= version or coming.version > version


def _difference(difference: audience_pb2.VersionDifference) -> str:
    return f"+{difference.enter_count:,} / -{difference.exit_count:,}"


def _state(version: audience_pb2.AudienceVersion) -> str:
    state = audience_pb2.AudienceVersionState.Name(version.state)
    word = state.removeprefix("AUDIENCE_VERSION_STATE_").lower()
    if version.state == READY:
        return f"{word}, {_difference(version.difference)}"
    if version.HasField("activate_time"):
        return f"{word}, live from {show_time(version.activate_time)}"
    return word
