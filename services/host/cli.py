"""The `coterie` command: errors are one clear line with an exit code, never a traceback."""

from __future__ import annotations

import sys

import click

from services.host.commands import audience_changes, audience_sets
from services.host.commands.audience import audience
from services.host.commands.capacity import capacity
from services.host.commands.demo import demo
from services.host.commands.explain import explain
from services.host.commands.identity import identity
from services.host.commands.journey import journey
from services.host.commands.load import load
from services.host.commands.message import message
from services.host.commands.profile import profile
from services.host.commands.replay import replay
from services.host.commands.serving import serve, up
from services.host.commands.status import status
from services.host.commands.template import template

INTERNAL_EXIT = 70


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coterie")
def coterie() -> None:
    """Real-time customer engagement: one profile, live audiences, exact and explainable."""


_AUDIENCE_PARTS = (audience_changes, audience_sets)
"""They add themselves to `coterie audience` when they are imported."""

for _command in (
    up,
    serve,
    status,
    demo,
    identity,
    profile,
    audience,
    explain,
    journey,
    template,
    message,
    replay,
    load,
    capacity,
):
    coterie.add_command(_command)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        coterie(prog_name="coterie")
    except Exception as error:  # noqa: BLE001 - the root of the process: what is left is a defect
        click.echo(f"Error: {_describe(error)}", err=True)
        sys.exit(INTERNAL_EXIT)


def _describe(error: Exception) -> str:
    """Return the defect with its place in one line."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
