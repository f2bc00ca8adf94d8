"""`coterie replay`: play old data at full speed, and see what would have happened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import grpc.aio
import uvloop
from rich.console import Console

from services.host.client import Behind
from services.host.commands.explain import print_explanation
from services.host.commands.serving import START_ERRORS
from services.host.definitions.audience_file import AudienceSpec, load_audiences, read_audiences
from services.host.definitions.document import DocumentError
from services.host.replay.completejourney.source import CompleteJourney
from services.host.replay.definitions import DefinitionError
from services.host.replay.ledger import LedgerError
from services.host.replay.mapped import MappedFile
from services.host.replay.mapping import RowMapping
from services.host.replay.mapping_file import load_mapping, read_mapping
from services.host.replay.outcome import Outcome
from services.host.replay.progress import ProgressBar, ProgressLines
from services.host.replay.report import details, summary
from services.host.replay.run import Replay
from services.host.replay.sender import SendError
from services.host.replay.shipped import has_shipped, shipped_text
from services.host.replay.source import Source, SourceError
from services.kit.clock import SystemClock
from services.kit.logs import configure_logs

BUILT_IN = "completejourney"
DATA = Path("replay-data")
DEMO_DATA = Path("demo-data")
ERRORS = (
    *START_ERRORS,
    Behind,
    DefinitionError,
    DocumentError,
    LedgerError,
    SendError,
    SourceError,
)


@click.command()
@click.argument("source", required=False)
@click.option(
    "--mapping", help="How the file's columns become events: a YAML file, or `storefront`."
)
@click.option("--audiences", type=click.Path(path_type=Path), help="A YAML file of audiences.")
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    help="A directory of the replay's own; made where it is missing.  [default: ./replay-data]",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Only the first so many baskets or events."
)
@click.option("--demo", is_flag=True, help="A year of shopping into ./demo-data, all by default.")
def replay(  # noqa: PLR0913, PLR0917 - one argument an option
    source: str | None,
    mapping: str | None,
    audiences: Path | None,
    data_dir: Path | None,
    limit: int | None,
    demo: bool,  # noqa: FBT001 - click's way
) -> None:
    """Play old data at full speed, in the data's own time, and report who entered and left what.

    SOURCE is `completejourney`, a year of grocery shopping (pip install 'coterie[demo]'), or a CSV
    or Parquet file with its --mapping. The same command again goes on where it stopped; a finished
    replay changes nothing when it is run again.
    """
    if demo and source not in (None, BUILT_IN):
        raise click.UsageError(f"--demo plays {BUILT_IN}; leave out {source!r}")
    if source is None and not demo:
        raise click.UsageError(f"expected a SOURCE ({BUILT_IN}, or a file) or --demo")
    configure_logs("warning")
    place = data_dir or (DEMO_DATA if demo else DATA)
    try:
        found = _source(source or BUILT_IN, mapping, limit)
        specs = _audiences(audiences, mapping or BUILT_IN if found.name == BUILT_IN else mapping)
        outcome = _play(found, specs, place, limited=limit is not None)
    except ERRORS as error:
        raise click.ClickException(str(error)) from None
    except grpc.aio.AioRpcError as error:
        raise click.ClickException(f"{error.details()} ({error.code().name})") from None
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from here") from None
    _print(outcome)


def _source(name: str, mapping: str | None, limit: int | None) -> Source:
    if name == BUILT_IN:
        if mapping is not None:
            raise click.UsageError(f"--mapping is for files; {BUILT_IN} has its own")
        return CompleteJourney(limit)
    if mapping is None:
        raise click.UsageError(f"expected --mapping for {name}; see docs/replay.md")
    return MappedFile(Path(name), _mapping(mapping), limit)


def _mapping(name: str) -> RowMapping:
    shipped = f"{name}.yaml"
    if has_shipped(shipped):
        return read_mapping(shipped, shipped_text(shipped))
    return load_mapping(Path(name))


def _audiences(file: Path | None, shipped: str | None) -> list[AudienceSpec]:
    if file is not None:
        return load_audiences(file)
    name = f"{shipped}.audiences.yaml"
    return read_audiences(name, shipped_text(name)) if has_shipped(name) else []


def _print(outcome: Outcome) -> None:
    click.echo(summary(outcome))
    if outcome.example is not None:
        click.echo("\nOne of them, explained:\n")
        print_explanation(outcome.example.explanation, outcome.example.who)
    click.echo(f"\n{details(outcome)}")


def _play(source: Source, specs: list[AudienceSpec], data_dir: Path, *, limited: bool) -> Outcome:
    console, clock = Console(stderr=True), SystemClock()
    shown = ProgressBar if console.is_terminal else ProgressLines
    with shown(console, clock) as progress:
        work = Replay(source, specs, data_dir, clock, progress, limited=limited)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work.run())
