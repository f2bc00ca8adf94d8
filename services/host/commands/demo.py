"""`coterie demo`: a shopper leaves the store, from the first event to the message."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import grpc
import grpc.aio
import uvloop
from rich.console import Console

from services.host.client import Behind
from services.host.commands.serving import START_ERRORS, read_config
from services.host.demo.narrator import Narrator
from services.host.demo.run import StoryFailed, play_at, play_own
from services.kit.config import SERVICES
from services.kit.logs import configure_logs

FILE_WIDTH = 1000


@click.command()
@click.option("--fast", is_flag=True, help="In real time: three days become ten seconds.")
@click.option(
    "--target",
    metavar="HOST:PORT",
    help="A running suite: where its identity service is; the others are at the ports that follow.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="A running suite: the settings that say where its services are.",
)
def demo(fast: bool, target: str | None, config_file: Path | None) -> None:  # noqa: FBT001 - click's way
    """Play a story: left the store with nothing, got a message three days later, once.

    Against a running suite if --target or --config says where it is, and in real time, since its
    clock is not ours to move; else against one that is started for it, on a temporary directory.
    """
    configure_logs("warning")
    console = Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
    narrator = Narrator(console)
    addresses = suite_addresses(target, config_file)
    work = play_at(addresses, narrator) if addresses else play_own(narrator, fast=fast)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except (Behind, StoryFailed, *START_ERRORS) as error:
        raise click.ClickException(str(error)) from None
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            where = "a service of the suite does not answer; is `coterie up` running?"
            raise click.ClickException(f"{where} ({error.details()})") from None
        raise click.ClickException(f"{error.details()} ({error.code().name})") from None


def suite_addresses(target: str | None, config_file: Path | None) -> dict[str, str]:
    """Return where the services are that --target or --config names; nothing for neither."""
    if target is not None and config_file is not None:
        raise click.UsageError("expected either --target or --config, found both")
    if target is not None:
        host, colon, port = target.rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise click.BadParameter(f"--target: expected HOST:PORT, found {target!r}")
        return {name: f"{host}:{int(port) + number}" for number, name in enumerate(SERVICES)}
    if config_file is not None:
        config = read_config(None, config_file)
        return {name: config.address(name) for name in SERVICES}
    return {}
