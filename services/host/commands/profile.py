"""`coterie profile`: what becomes of a person's data."""

from __future__ import annotations

from pathlib import Path

import click

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from services.host.commands.audience import config_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who
from services.kit.ids import new_id

address_option = click.option("--address", help="Where profile is; else the configuration says.")


@click.group()
def profile() -> None:
    """See to a person's data."""


@profile.command()
@click.argument("who")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@config_option
@address_option
def erase(who: str, *, yes: bool, config: Path | None, address: str | None) -> None:
    """Erase WHO (NAMESPACE:VALUE or a profile id) from all services.

    It cannot be taken back. What is in the logs stays there: see docs/people.md.
    """
    request = pb.EraseProfileRequest(who=parse_who(who), request_id=new_id())
    if not yes:
        click.confirm("Erase this person? It cannot be taken back", abort=True)
    with channel("profile", config, address) as opened:
        answer = ProfileServiceStub(opened).EraseProfile(request, timeout=TIMEOUT_S)
    click.echo(f"profile {answer.profile_id} is erased, at revision {answer.revision}")
