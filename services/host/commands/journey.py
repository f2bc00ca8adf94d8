"""`coterie journey`: publish journeys, and see who is where in them."""

from __future__ import annotations

from pathlib import Path

import click

from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as pb
from coterie.journey.v1.journey_service_pb2_grpc import JourneyServiceStub
from services.host import report
from services.host.commands.audience import LATEST, config_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, published_from, show_time
from services.host.definitions.document import DocumentError, read_file
from services.host.definitions.journey_file import read_journey

PUBLISH_TIMEOUT_S = 120.0
"""A condition over a long history is built before the journey goes live."""
HEAD = ["journey", "version", "open", "published", "name"]
INSTANCE_HEAD = ["instance", "profile", "state", "step", "entered", "due or ended", "why"]

address_option = click.option("--address", help="Where journey is; else the configuration says.")


@click.group()
def journey() -> None:
    """Publish journeys, and see who is where in them."""


@journey.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check only, and change nothing.")
@config_option
@address_option
def publish(
    files: tuple[Path, ...],
    check: bool,  # noqa: FBT001  click's way
    config: Path | None,
    address: str | None,
) -> None:
    """Publish journeys from YAML FILES, each as a new version; stop at one that is refused."""
    try:
        read = [read_journey(file.name, read_file(file)) for file in files]
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    with channel("journey", config, address) as opened:
        stub = JourneyServiceStub(opened)
        for file, found in zip(files, read, strict=True):
            request = pb.PublishJourneyRequest(
                journey_id=found.journey_id, journey=found.journey, validate_only=check
            )
            with published_from(file):
                live = stub.PublishJourney(request, timeout=PUBLISH_TIMEOUT_S).journey
            state = "would be live" if check else "is live"
            click.echo(f"{found.journey_id}: version {live.version} {state}")


@journey.command("list")
@config_option
@address_option
def list_all(config: Path | None, address: str | None) -> None:
    """List the journeys."""
    with channel("journey", config, address) as opened:
        request = pb.ListJourneysRequest(page_size=1000)
        found = JourneyServiceStub(opened).ListJourneys(request, timeout=TIMEOUT_S).journeys
    click.echo(report.table(HEAD, [_row(each) for each in found]))


@journey.command()
@click.argument("journey_id")
@click.option("--end-instances", is_flag=True, help="End those who are in it, too.")
@config_option
@address_option
def stop(
    journey_id: str,
    end_instances: bool,  # noqa: FBT001  click's way
    config: Path | None,
    address: str | None,
) -> None:
    """Let nobody enter a journey any more."""
    request = pb.StopJourneyRequest(name=f"journeys/{journey_id}", end_instances=end_instances)
    with channel("journey", config, address) as opened:
        JourneyServiceStub(opened).StopJourney(request, timeout=TIMEOUT_S)
    click.echo(f"{journey_id}: nobody enters any more")


@journey.command()
@click.argument("journey_id", required=False)
@click.option("--who", help="NAMESPACE:VALUE or a profile id; of all people if left out.")
@click.option("--live", is_flag=True, help="Only those that are not over.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@config_option
@address_option
def instances(  # noqa: PLR0913, PLR0917  one argument an option
    journey_id: str | None,
    who: str | None,
    live: bool,  # noqa: FBT001  click's way
    limit: int,
    config: Path | None,
    address: str | None,
) -> None:
    """List who is or was in a journey, the latest entry first."""
    request = pb.ListInstancesRequest(page_size=limit, live_only=live, consistency=LATEST)
    if journey_id:
        request.journey = f"journeys/{journey_id}"
    if who is not None:
        request.who.CopyFrom(parse_who(who))
    with channel("journey", config, address) as opened:
        found = JourneyServiceStub(opened).ListInstances(request, timeout=TIMEOUT_S).instances
    click.echo(report.table(INSTANCE_HEAD, [_instance_row(each) for each in found]))


def _row(found: journey_pb2.Journey) -> list[str]:
    return [
        found.name.split("/")[1],
        str(found.version),
        "yes" if found.open else "no",
        show_time(found.publish_time),
        found.display_name,
    ]


def _instance_row(found: journey_pb2.Instance) -> list[str]:
    ended = found.state == journey_pb2.INSTANCE_STATE_ENDED
    reason = journey_pb2.EndReason.Name(found.end_reason).removeprefix("END_REASON_").lower()
    if ended:
        until = show_time(found.end_time)
    else:
        until = show_time(found.due_time) if found.HasField("due_time") else report.NOTHING
    return [
        found.name.split("/")[3],
        str(found.profile_id),
        "ended" if ended else "waiting",
        found.step or report.NOTHING,
        show_time(found.enter_time),
        until,
        reason if ended else report.NOTHING,
    ]
