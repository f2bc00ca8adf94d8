"""`coterie identity`: who somebody is and how that came about, and what to do where it is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from coterie.type.v1 import identity_pb2
from services.host import report
from services.host.commands.audience import LATEST, config_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, show_time
from services.kit.ids import new_id

HEAD = ["time", "what", "by input"]

address_option = click.option("--address", help="Where identity is; else the configuration says.")


@click.group()
def identity() -> None:
    """See who somebody is, and join or part what was taken for one or two."""


@identity.command()
@click.argument("who")
@config_option
@address_option
def show(who: str, config: Path | None, address: str | None) -> None:
    """Show the identifiers of WHO (NAMESPACE:VALUE or a profile id), and how they came together."""
    request = pb.GetGraphRequest(who=parse_who(who), consistency=LATEST)
    with channel("identity", config, address) as opened:
        found = IdentityServiceStub(opened).GetGraph(request, timeout=TIMEOUT_S)
    click.echo(f"profile {found.profile_id}")
    for each in found.identities:
        click.echo(f"  {_text(each)}")
    click.echo()
    rows = [[show_time(one.time), _what(one), one.input_id] for one in found.journal]
    click.echo(report.table(HEAD, rows))


@identity.command()
@click.argument("identifiers", nargs=-1, required=True)
@config_option
@address_option
def link(identifiers: tuple[str, ...], config: Path | None, address: str | None) -> None:
    """Say that IDENTIFIERS (NAMESPACE:VALUE, two at least) are of one person.

    That also ends what an un-merge holds apart.
    """
    request = pb.LinkRequest(identities=map(_identity, identifiers), request_id=new_id())
    with channel("identity", config, address) as opened:
        answer = IdentityServiceStub(opened).Link(request, timeout=TIMEOUT_S)
    click.echo(f"linked, at revision {answer.revision}")


@identity.command()
@click.argument("identifiers", nargs=-1, required=True)
@config_option
@address_option
def unlink(identifiers: tuple[str, ...], config: Path | None, address: str | None) -> None:
    """Say that IDENTIFIERS (NAMESPACE:VALUE) are not of the person who has them.

    Together they become a person of their own, with all that came with them, and are not linked
    again with those that stay unless `coterie identity link` says so.
    """
    request = pb.UnlinkRequest(identities=map(_identity, identifiers), request_id=new_id())
    with channel("identity", config, address) as opened:
        answer = IdentityServiceStub(opened).Unlink(request, timeout=TIMEOUT_S)
    click.echo(f"unlinked, at revision {answer.revision}")


def _identity(text: str) -> identity_pb2.Identity:
    who = parse_who(text)
    if who.WhichOneof("person") != "identity":
        raise click.BadParameter(f"expected NAMESPACE:VALUE, found {text!r}")
    return who.identity


def _text(found: identity_pb2.Identity) -> str:
    return f"{found.namespace}:{found.value}"


def _what(entry: pb.GraphEntry) -> str:
    match entry.WhichOneof("change"):
        case "assigned":
            former = entry.assigned.former_profile_id
            whence = f", which profile {former} had" if former else ""
            return f"got {_text(entry.assigned.identity)}{whence}"
        case "merged":
            return f"took in profile {entry.merged.merged_profile_id}"
        case "split":
            return f"gave identifiers to profile {entry.split.new_profile_id}, which is new"
        case "refused":
            other = entry.refused.other_profile_id
            whom = f"profile {other}" if other else "an identifier that nobody has"
            return f"was not linked with {whom}: {entry.refused.reason}"
        case _:
            return "something that this version does not know"
