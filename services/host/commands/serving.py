"""`coterie up` and `coterie serve`: run services in this process until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop

from services.host import report
from services.host.embedded import Suite
from services.host.running import StartError
from services.kit.config import PROVIDER_SCHEMES, SERVICES, Config, ConfigError, load_config
from services.kit.datadir import DataDirectoryError
from services.kit.logs import configure_logs
from services.kit.postgres import DatabaseUnusable
from services.kit.rpc.server import AddressInUse

_F = TypeVar("_F", bound=Callable[..., Any])

START_ERRORS = (ConfigError, DataDirectoryError, DatabaseUnusable, AddressInUse, StartError)


def settings(command: _F) -> _F:
    """Add the options of every command that runs or looks for services."""
    data = click.option(
        "--data",
        "data_dir",
        type=click.Path(path_type=Path),
        help="Where everything is kept; made where it is missing.  [default: ./coterie-data]",
    )
    config = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A YAML file of settings."
    )
    return data(config(command))


virtual_clock = click.option(
    "--virtual-clock", is_flag=True, help="Time is what ClockService.Tick says, not the machine's."
)


@click.command()
@settings
@virtual_clock
def up(data_dir: Path | None, config_file: Path | None, virtual_clock: bool) -> None:  # noqa: FBT001 - click's way
    """Run all services in this process, until Ctrl-C."""
    _run(read_config(data_dir, config_file, virtual_clock=virtual_clock), SERVICES)


@click.command()
@click.argument("services", nargs=-1, required=True, type=click.Choice(SERVICES))
@settings
@virtual_clock
def serve(
    services: tuple[str, ...],
    data_dir: Path | None,
    config_file: Path | None,
    virtual_clock: bool,  # noqa: FBT001 - click's way
) -> None:
    """Run the named SERVICES in this process; the others are where the configuration says."""
    _run(read_config(data_dir, config_file, virtual_clock=virtual_clock), services)


def read_config(
    data_dir: Path | None, config_file: Path | None, *, virtual_clock: bool = False
) -> Config:
    """Return the configuration; flags win. A mistake becomes one clear line."""
    flags: dict[str, object] = {}
    if data_dir is not None:
        flags["data_dir"] = data_dir
    if virtual_clock:
        flags["clock"] = "virtual"
    try:
        return load_config(config_file, os.environ, flags)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def _run(config: Config, services: tuple[str, ...]) -> None:
    configure_logs(config.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(Suite(config, services)))
        except START_ERRORS as error:
            raise click.ClickException(str(error)) from None


async def _serve(suite: Suite) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if await _started(suite, stop):
        try:
            click.echo(_describe(suite))
            await stop.wait()
            click.echo("stopping: calls that have begun are finished first")
        finally:
            await suite.stop()
    click.echo("stopped")


async def _started(suite: Suite, stop: asyncio.Event) -> bool:
    """Start the suite; return False where a signal came first. Catching up may take a while."""
    starting, stopping = asyncio.create_task(suite.start()), asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
        return False
    await starting
    return True


def _describe(suite: Suite) -> str:
    rows = [
        [name, suite.address(name), "failing" if suite.failed(name) else "serving"]
        for name in suite.services
    ]
    log_time_ms = max((state.log_time_ms for state in suite.progress()), default=0)
    log_time = report.instant(log_time_ms) if log_time_ms else "nothing in the log yet"
    lines = [
        report.table(["service", "address", "state"], rows),
        f"data      {suite.config.data_dir.resolve()}",
        f"log time  {log_time} ({suite.config.clock} clock)",
    ]
    unnamed = [name for name in PROVIDER_SCHEMES if name not in suite.config.providers]
    if "messaging" in suite.services and unnamed:
        lines.append(f"messages  without a provider, to files in letters/: {', '.join(unnamed)}")
    return "\n".join([*lines, "Ctrl-C stops."])
