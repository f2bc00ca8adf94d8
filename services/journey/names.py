"""The names of journeys, their versions and their instances."""

from __future__ import annotations

import re

from services.kit.errors import invalid_field
from services.kit.names import ID_FORM

_ID = r"([a-z][a-z0-9-]{0,63})"
_JOURNEY = re.compile(rf"journeys/{_ID}(?:/versions/([1-9][0-9]{{0,8}}))?")
_INSTANCE = re.compile(rf"journeys/{_ID}/instances/([0-9a-f-]{{36}})")


def journey_name(journey_id: str) -> str:
    """Return the name of a journey."""
    return f"journeys/{journey_id}"


def version_name(journey_id: str, version: int) -> str:
    """Return the name of one version of a journey."""
    return f"journeys/{journey_id}/versions/{version}"


def instance_name(journey_id: str, instance_id: str) -> str:
    """Return the name of an instance."""
    return f"journeys/{journey_id}/instances/{instance_id}"


def parse_journey(name: str, field: str) -> tuple[str, int]:
    """Return the journey's id and the version, 0 where none is named; raises InvalidArgument.

    >>> parse_journey("journeys/welcome", "name"), parse_journey("journeys/w/versions/3", "name")
    (('welcome', 0), ('w', 3))
    """
    found = _JOURNEY.fullmatch(name)
    if found is None:
        raise invalid_field(field, "another text", f"`journeys/` and then {ID_FORM}")
    return found[1], int(found[2] or 0)


def parse_journey_alone(name: str, field: str) -> str:
    """Return the id of a journey that is named without a version; raises InvalidArgument."""
    journey_id, version = parse_journey(name, field)
    if version:
        raise invalid_field(field, "a version", "the name of a journey without one")
    return journey_id


def parse_instance(name: str, field: str) -> tuple[str, str]:
    """Return the ids of journey and instance; raises InvalidArgument."""
    found = _INSTANCE.fullmatch(name)
    if found is None:
        raise invalid_field(field, "another text", "`journeys/{journey}/instances/{instance}`")
    return found[1], found[2]
