"""Resource names such as `audiences/{audience}`: the client picks the last part."""

from __future__ import annotations

import re

from services.kit.errors import invalid_field

ID_FORM = "1 to 64 characters of a-z, 0-9 and `-`, beginning with a letter"
SHOWN_LIMIT = 80
"""How much of a wrong name an error repeats: enough to recognise it."""

OWNED_ID_FORM = "1 to 128 characters of a-z, 0-9, `-` and `.`, beginning with a letter"
OWNER_FORM = "a resource name such as `journeys/welcome/versions/1`, at most 256 characters"
OWNER_LIMIT = 256

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_OWNED_ID = re.compile(r"[a-z][a-z0-9.-]{0,127}")
_OWNER = re.compile(r"[a-z][a-z0-9-]*(/[a-z0-9][a-z0-9.-]*)+")
_AUDIENCES = "audiences"


def check_id(text: str, field: str) -> str:
    """Return `text` if it can end a name; else raises InvalidArgument for `field`."""
    if _ID.fullmatch(text) is None:
        raise invalid_field(field, _shown(text), ID_FORM)
    return text


def check_owned_id(text: str, field: str) -> str:
    """Return `text` if it can end the name of what belongs to something; else as `check_id`.

    >>> check_owned_id("welcome.v1.exit", "audience_id")
    'welcome.v1.exit'
    """
    if _OWNED_ID.fullmatch(text) is None:
        raise invalid_field(field, _shown(text), OWNED_ID_FORM)
    return text


def check_owner(name: str, field: str) -> str:
    """Return `name` if it can be what something belongs to; else raises InvalidArgument."""
    if len(name) > OWNER_LIMIT or _OWNER.fullmatch(name) is None:
        raise invalid_field(field, _shown(name), OWNER_FORM)
    return name


def audience_name(audience_id: str) -> str:
    """Return the name of the audience with this id."""
    return f"{_AUDIENCES}/{audience_id}"


def parse_audience_name(name: str, field: str) -> str:
    """Return the audience's id; raises InvalidArgument for `field` where it is no such name.

    Names of owned audiences are taken too: those who may read do not know which are.

    >>> parse_audience_name("audiences/vip", "name")
    'vip'
    """
    return _parse(_AUDIENCES, name, field, _OWNED_ID)


def _parse(collection: str, name: str, field: str, form: re.Pattern[str]) -> str:
    prefix, _, resource_id = name.partition("/")
    if prefix != collection or form.fullmatch(resource_id) is None:
        raise invalid_field(field, _shown(name), f"`{collection}/` and then {ID_FORM}")
    return resource_id


def _shown(text: str) -> str:
    if not text:
        return "nothing"
    return repr(text if len(text) <= SHOWN_LIMIT else f"{text[:SHOWN_LIMIT]}…")
