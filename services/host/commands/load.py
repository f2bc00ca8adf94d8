"""`coterie load`: drive a running suite at a stated rate, and report what it did."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc.aio
import uvloop
from rich.console import Console

from services.host.client import Behind
from services.host.commands.demo import suite_addresses
from services.host.definitions.document import DocumentError
from services.host.load.files import ReportError, check_place, read_report, write_report
from services.host.load.live import LiveLines, LiveTable
from services.host.load.maker import MakerError
from services.host.load.options import LoadOptions, OptionError
from services.host.load.outcome import Outcome
from services.host.load.preparing import PreparationError
from services.host.load.probing import ProbeError
from services.host.load.run import LoadRun, StoppedEarly
from services.host.load.summary import comparison, summary
from services.kit.clock import SystemClock
from services.kit.logs import configure_logs

ERRORS = (
    *(Behind, DocumentError, MakerError, OptionError),
    *(PreparationError, ProbeError, ReportError, StoppedEarly),
)
DEFAULTS = LoadOptions()
_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, str, type, str], ...] = (
    ("--seed", "seed", int, "The same seed sends the same requests."),
    ("--run", "run", str, "Names the events of this run: the same ones twice have no effect."),
    ("--profiles", "profiles", int, "How many people, made before the run."),
    ("--audiences", "audiences", int, "How many audiences, made before the run."),
    ("--rate", "rate", float, "Events a second."),
    ("--duration", "duration_s", float, "Seconds that are measured."),
    ("--warmup", "warmup_s", float, "Seconds before, at the same rate."),
    ("--batch", "batch", int, "Events a call."),
    ("--connections", "connections", int, "Connections to each service."),
    ("--reads", "reads", float, "Membership reads a second."),
    ("--read-batch", "read_batch", int, "Profiles a read; 1 asks for one membership."),
    ("--probes", "probes", float, "Probes of freshness a second."),
    ("--timeout", "timeout_s", float, "Seconds until a call counts as failed."),
    ("--label", "label", str, "A name for people, in the report."),
)


def _measures(command: _F) -> _F:
    """Add an option for each of `LoadOptions`."""
    for flag, name, kind, text in reversed(_OPTIONS):
        default = getattr(DEFAULTS, name)
        option = click.option(
            flag, name, type=kind, default=default, show_default=default != "", help=text
        )
        command = option(command)
    return command


@click.group(invoke_without_command=True)
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
@click.option(
    "--mix",
    "mix_file",
    type=click.Path(path_type=Path),
    help="A YAML file of people, events and audiences.  [default: a retailer's]",
)
@click.option(
    "--report",
    "report_dir",
    type=click.Path(path_type=Path),
    help="A directory for report.json and report.html; made where it is missing.",
)
@_measures
@click.pass_context
def load(
    context: click.Context,
    /,
    target: str | None,
    config_file: Path | None,
    mix_file: Path | None,
    report_dir: Path | None,
    **measures: Any,
) -> None:
    """Drive a running suite at a stated rate, open loop, and report latencies and freshness.

    Makes people and audiences first, once for each seed. What is due is sent when it is due,
    whatever the former calls take, and is timed from then. Ctrl-C ends it with what was measured.
    """
    if context.invoked_subcommand is not None:
        return
    addresses = suite_addresses(target, config_file)
    if not addresses:
        raise click.UsageError("expected --target HOST:PORT or --config FILE, found neither")
    configure_logs("warning")
    try:
        options = LoadOptions(**measures)
        if report_dir is not None:
            check_place(report_dir)
        outcome = _drive(options, mix_file, addresses)
        document = outcome.document()
        click.echo(summary(document))
        if report_dir is not None:
            write_report(report_dir, document)
            click.echo(f"\nreport  {report_dir}/report.html and report.json")
    except OptionError as error:
        raise click.UsageError(str(error)) from None
    except ERRORS as error:
        raise click.ClickException(str(error)) from None
    except grpc.aio.AioRpcError as error:
        raise click.ClickException(f"{error.details()} ({error.code().name})") from None


@load.command(short_help="Print two runs side by side, as ratios.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def compare(first: Path, second: Path) -> None:
    """Print two runs side by side: the figures of report.json SECOND over those of FIRST."""
    try:
        click.echo(comparison(read_report(first), read_report(second)))
    except ReportError as error:
        raise click.ClickException(str(error)) from None


def _drive(options: LoadOptions, mix_file: Path | None, addresses: dict[str, str]) -> Outcome:
    console = Console(stderr=True)
    shown = LiveTable if sys.stderr.isatty() else LiveLines

    async def work() -> Outcome:
        with shown(console, options) as display:
            run = LoadRun(options, mix_file, addresses, SystemClock(), display)
            _stop_at_signals(run)
            return await run.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def _stop_at_signals(run: LoadRun) -> None:
    """Let Ctrl-C end the run in order, where this is the thread that hears of it."""
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, run.stop)
