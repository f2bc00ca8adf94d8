"""`coterie explain`: why one person is in an audience or is not, and when that changes."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from services.host.commands.audience import LATEST, address_option, because, config_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, show_time
from services.kit.names import audience_name

FILE_WIDTH = 1000

MARKS = {"true": ("✓ ", "green"), "false": ("✗ ", "red")}


@click.command()
@click.argument("audience_id")
@click.argument("who")
@config_option
@address_option
def explain(audience_id: str, who: str, config: Path | None, address: str | None) -> None:
    """Explain why WHO (NAMESPACE:VALUE or a profile id) is in an audience or is not."""
    request = pb.ExplainRequest(
        audience=audience_name(audience_id), who=parse_who(who), consistency=LATEST
    )
    with channel("segmentation", config, address) as opened:
        answer = SegmentationServiceStub(opened).Explain(request, timeout=TIMEOUT_S)
    print_explanation(answer, who)


def print_explanation(answer: pb.ExplainResponse, who: str) -> None:
    """Print an explanation: the verdict in a sentence, then the rule clause by clause."""
    # A terminal wraps what is too long for it; a file has no width, and nothing may be cut off.
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    console.print(_verdict(answer, who), soft_wrap=True)
    tree = Tree(_clause_line(answer.clause))
    _grow(tree, answer.clause)
    console.print(tree)
    if answer.clause.HasField("next_change_time"):
        when = show_time(answer.clause.next_change_time)
        console.print(f"If nothing else happens, this changes at {when}.")
    else:
        console.print("Time alone does not change this.")
    if answer.smallest_change:
        way = "leave" if answer.membership.member else "enter"
        console.print(f"What it would take to {way}:")
        for each in answer.smallest_change:
            console.print(Text(f"  • {each}"), soft_wrap=True)


def _verdict(answer: pb.ExplainResponse, who: str) -> Text:
    membership = answer.membership
    audience_id = membership.audience.partition("/")[2]
    now = show_time(answer.time)
    if membership.member:
        since = show_time(membership.enter_time)
        why = because(membership.cause, membership.cause_id)
        return Text(f"At {now} UTC {who} is in {audience_id}, since {since}: {why}.")
    if membership.HasField("exit_time"):
        left = show_time(membership.exit_time)
        why = because(membership.cause, membership.cause_id)
        return Text(f"At {now} UTC {who} is not in {audience_id}; left {left}: {why}.")
    return Text(f"At {now} UTC {who} is not in {audience_id}, and never was.")


def _grow(tree: Tree, clause: audience_pb2.Clause) -> None:
    for each in clause.clauses:
        _grow(tree.add(_clause_line(each)), each)
    for witness in clause.witnesses:
        what = f"{witness.type} {witness.event_id}" + (f", {witness.sku}" if witness.sku else "")
        tree.add(Text(f"{show_time(witness.occurred_time)}  {what}", style="dim"))


def _clause_line(clause: audience_pb2.Clause) -> Text:
    mark, style = MARKS.get(clause.value, ("", ""))
    line = Text(f"{mark}{clause.text}", style=style)
    if not mark:
        line.append(f" = {clause.value}", style="bold")
    if clause.row_count:
        unit = "row" if clause.row_count == 1 else "rows"
        line.append(f"   {clause.row_count:,} {unit}", style="dim")
    if clause.HasField("next_change_time"):
        line.append(f"   until {show_time(clause.next_change_time)}", style="dim")
    return line
