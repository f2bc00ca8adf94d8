"""`coterie capacity`: what a machine needs for so many people, events and audiences."""

from __future__ import annotations

import click

from services.host import report
from services.host.capacity import CHANGES_EACH, USUAL_DAYS, Load, needs, usual_share

GIBIBYTE = 1 << 30


@click.command()
@click.option("--profiles", type=click.IntRange(min=1), required=True, help="People.")
@click.option("--events-per-day", type=click.IntRange(min=0), required=True, help="All of them.")
@click.option("--days", type=click.IntRange(min=1), default=365, show_default=True, help="Kept.")
@click.option("--audiences", type=click.IntRange(min=0), default=100, show_default=True)
@click.option(
    "--windows",
    type=click.IntRange(min=0),
    help="Different counts and sums in all rules; one for every two audiences if left out.",
)
@click.option(
    "--active-share",
    type=click.FloatRange(0, 1),
    help="Of the people, who has something in one of them at one time; as in the common workload"
    " at as many events a person if left out.",
)
@click.option(
    "--sums",
    type=click.IntRange(min=0),
    help="Of the windows, sums, and counts beyond sixteen; every third if left out.",
)
@click.option(
    "--rows",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Events of a person in one of these, of those who have any.",
)
@click.option(
    "--changes",
    type=click.FloatRange(min=0),
    help="Memberships changed for each event; one for every forty audiences if left out.",
)
@click.option("--attributes", type=click.IntRange(min=0), default=10, show_default=True)
@click.option("--properties", type=click.IntRange(min=0), default=4, show_default=True)
@click.option("--items", type=click.FloatRange(min=0), default=1.0, show_default=True)
@click.option(
    "--identifiers",
    type=click.FloatRange(min=0),
    default=1.5,
    show_default=True,
    help="Of a person, that events or attributes came with.",
)
def capacity(  # noqa: PLR0913, PLR0917  click's way
    profiles: int,
    events_per_day: int,
    days: int,
    audiences: int,
    windows: int | None,
    active_share: float | None,
    sums: int | None,
    rows: float,
    changes: float | None,
    attributes: int,
    properties: int,
    items: float,
    identifiers: float,
) -> None:
    """Estimate memory and disk of segmentation, from what its parts were measured to cost."""
    windows = audiences // 2 if windows is None else windows
    usual = usual_share(events_per_day * min(days, USUAL_DAYS) / profiles)
    load = Load(
        profiles,
        events_per_day * days,
        audiences,
        windows,
        usual if active_share is None else active_share,
        audiences * CHANGES_EACH if changes is None else changes,
        attributes,
        properties,
        items,
        identifiers,
        windows // 3 if sums is None else sums,
        rows,
    )
    found = needs(load)
    shown = [(each.kind, _gibibytes(each.resident), _gibibytes(each.mapped)) for each in found]
    resident, mapped = sum(each.resident for each in found), sum(each.mapped for each in found)
    shown.append(("all", _gibibytes(resident), _gibibytes(mapped)))
    click.echo(report.table(("state", "memory, GiB", "mapped files, GiB"), shown))
    click.echo("Mapped files are on disk; the system keeps in memory what it has room for.")


def _gibibytes(size: float) -> str:
    return f"{size / GIBIBYTE:,.2f}"
