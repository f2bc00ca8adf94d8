"""`python -m tests.scenarios PATH...` plays scenario files and prints what came of them."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import structlog
import uvloop

from tests.scenarios.faults import ScenarioError
from tests.scenarios.ledger import LEDGER, Ledger, Loss
from tests.scenarios.loading import load
from tests.scenarios.playing import Played, play
from tests.scenarios.report import as_json, failed, table

MEMORY = Path("/dev/shm")  # noqa: S108  a fresh directory in it, readable by nobody else
"""Where files cost no disk: nothing here has to outlive a fall of power."""


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the scenario files: those named, and those of folders that are named."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return found


def play_file(file: Path, partitions: int) -> Played:
    """Load and play one file on a directory of its own; raises ScenarioError."""
    scenario = load(file)
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(play(scenario, Path(directory) / "data", partitions))


def quiet() -> None:
    """Let the services say errors only."""
    level = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=level)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--partitions", default="1,4", show_default=True, help="How many, with commas.")
@click.option("--json", "json_", is_flag=True, help="Print JSON instead of the table.")
@click.option("--update", is_flag=True, help="Write what holds to the ledger.")
@click.option("--allow-loss", is_flag=True, help="Let the ledger lose what held before.")
def main(
    paths: Sequence[Path], partitions: str, *, json_: bool, update: bool, allow_loss: bool
) -> None:
    """Play scenario files, or all files of a folder, through the real services."""
    quiet()
    runs: list[Played] = []
    wrong = False
    for file in files_of(paths):
        for count in map(int, partitions.split(",")):
            try:
                runs.append(play_file(file, count))
            except ScenarioError as error:
                click.echo(str(error), err=True)
                wrong = True
                break
    click.echo(as_json(runs) if json_ else table(runs))
    if update:
        ledger = Ledger.read(LEDGER)
        try:
            ledger.updated(runs, allow_loss=allow_loss).write(LEDGER)
        except Loss as loss:
            click.echo(str(loss), err=True)
            wrong = True
    sys.exit(1 if wrong or failed(runs) else 0)


if __name__ == "__main__":
    main()
