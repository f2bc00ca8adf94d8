"""`coterie message`: what became of messages, and why."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from coterie.messaging.v1 import message_pb2
from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1.messaging_service_pb2_grpc import MessagingServiceStub
from coterie.type.v1 import change_pb2
from coterie.type.v1 import message_pb2 as types
from services.host import report
from services.host.commands.audience import LATEST, config_option
from services.host.commands.remote import TIMEOUT_S, channel, parse_who, show_time

FILE_WIDTH = 1000
HEAD = ["message", "campaign", "state", "reason", "channel", "sent"]
VERDICTS = {
    "chosen": "address known, and allowed: chosen",
    "no_preference": "the person prefers no channel",
    "no_address": "no address is known",
    "invalid_address": "the address cannot be one",
    "no_consent": "no consent for marketing",
    "suppressed": "the address is blocked",
    "not_needed": "not needed: an earlier one was chosen",
}

address_option = click.option("--address", help="Where messaging is; else the configuration says.")


@click.group()
def message() -> None:
    """See what became of messages, and why."""


@message.command("list")
@click.option("--who", help="NAMESPACE:VALUE or a profile id; of all people if left out.")
@click.option("--campaign", default="", help="Of this campaign alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@config_option
@address_option
def list_all(
    who: str | None, campaign: str, limit: int, config: Path | None, address: str | None
) -> None:
    """List messages, the latest first."""
    request = pb.ListMessagesRequest(campaign=campaign, page_size=limit, consistency=LATEST)
    if who is not None:
        request.who.CopyFrom(parse_who(who))
    with channel("messaging", config, address) as opened:
        found = MessagingServiceStub(opened).ListMessages(request, timeout=TIMEOUT_S).messages
    click.echo(report.table(HEAD, [_row(each) for each in found]))


@message.command()
@click.argument("message_id")
@config_option
@address_option
def explain(message_id: str, config: Path | None, address: str | None) -> None:
    """Show one message, and why it was sent or was not."""
    request = pb.GetMessageRequest(name=_name(message_id), consistency=LATEST)
    with channel("messaging", config, address) as opened:
        found = MessagingServiceStub(opened).GetMessage(request, timeout=TIMEOUT_S).message
    print_message(found)


def print_message(found: message_pb2.Message) -> None:
    """Print one message: what became of it, then what was looked at, then what it says."""
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    tree = Tree(Text(_verdict(found)))
    if found.journey:
        tree.add(Text(f"asked for by {found.journey}, step {found.step}"))
    for check in found.checks:
        tree.add(_check_line(check))
    for attempt in found.attempts:
        tree.add(Text(_attempt(attempt), style="dim"))
    if found.content.text:
        tree.add(Text(f"“{found.content.text.strip()}”"))
    console.print(tree)


def _name(message_id: str) -> str:
    found = message_id.removeprefix("messages/")
    try:
        return f"messages/{uuid.UUID(found)}"
    except ValueError:
        expected = "a message's whole id, as `coterie message list` shows it"
        raise click.BadParameter(f"expected {expected}, found {message_id!r}") from None


def _verdict(found: message_pb2.Message) -> str:
    words = f"{found.campaign}, {_purpose(found)}: {_state(found)}"
    if found.reason:
        words += f", {found.reason}"
    if found.address:
        words += f" to {found.address}"
    if found.channel:
        words += f" by {_channel(found.channel)}"
    if found.HasField("send_time"):
        words += f" at {show_time(found.send_time)} UTC"
    elif found.HasField("due_time"):
        words += f"; next at {show_time(found.due_time)} UTC"
    elif found.HasField("decide_time"):
        words += f"; decided at {show_time(found.decide_time)} UTC"
    return words


def _check_line(check: message_pb2.ChannelCheck) -> Text:
    asked = types.SendChannel.Name(check.asked).removeprefix("SEND_CHANNEL_").lower()
    meant = f" ({_channel(check.channel)})" if asked == "preferred" and check.channel else ""
    mark, style = ("✓ ", "green") if check.chosen else ("✗ ", "red")
    if check.verdict == "not_needed":
        mark, style = "· ", "dim"
    line = Text(f"{mark}{asked}{meant}: {VERDICTS.get(check.verdict, check.verdict)}", style=style)
    if check.consent:
        consent = change_pb2.ConsentStatus.Name(check.consent).removeprefix("CONSENT_STATUS_")
        line.append(f"   consent: {consent.lower()}", style="dim")
    return line


def _attempt(attempt: message_pb2.Attempt) -> str:
    words = f"call {attempt.number} to the provider: {attempt.outcome.replace('_', ' ')}"
    return words + (f" ({attempt.detail})" if attempt.detail else "")


def _row(found: message_pb2.Message) -> list[str]:
    return [
        found.name.partition("/")[2],
        found.campaign,
        _state(found),
        found.reason or report.NOTHING,
        _channel(found.channel) if found.channel else report.NOTHING,
        show_time(found.send_time) if found.HasField("send_time") else report.NOTHING,
    ]


def _state(found: message_pb2.Message) -> str:
    return types.MessageState.Name(found.state).removeprefix("MESSAGE_STATE_").lower()


def _purpose(found: message_pb2.Message) -> str:
    return "marketing" if found.purpose == types.PURPOSE_UNSPECIFIED else "transactional"


def _channel(number: change_pb2.Channel.ValueType) -> str:
    return change_pb2.Channel.Name(number).removeprefix("CHANNEL_").lower()
