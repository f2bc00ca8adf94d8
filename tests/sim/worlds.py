"""Lives through worlds from the command line: `python -m tests.sim.worlds --seeds 100000`."""

from __future__ import annotations

import click

from tests.sim.world import live, prepared


@click.command(help=__doc__)
@click.option("--first", default=0, help="The first seed.")
@click.option("--seeds", default=1000, help="How many.")
def main(first: int, seeds: int) -> None:
    """Print the first seed that goes wrong, and how."""
    noticed = live(range(first, first + seeds), prepared())
    if noticed is not None:
        raise click.ClickException(f"seed {noticed[0]}: {noticed[1]}")
    click.echo(f"{seeds} worlds, nothing lost, repeated or out of order")


if __name__ == "__main__":
    main()
