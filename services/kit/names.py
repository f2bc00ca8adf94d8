"""Resource names such as `audiences/{audience}`: the client picks the last part."""

from __future__ import annotations

import re

from services.kit.errors import invalid_field

ID_FORM = "1 to 64 characters of a-z, 0-9 and `-`, beginning with a letter"
SHOWN_LIMIT = 80
"""How much of a wrong name an error repeats: enough to recognise it."""

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_AUDIENCES = "audiences"


def check_id(text: str, field: str) -> str:
    """Return `text` if it can end a name; else raises InvalidArgument for `field`."""
    if _ID.fullmatch(text) is None:
        raise invalid_field(field, _shown(text), ID_FORM)
    return text


def audience_name(audience_id: str) -> str:
    """Return the name of the audience with this id."""
    return f"{_AUDIENCES}/{audience_id}"


def parse_audience_name(name: str, field: str) -> str:
    """Return the audience's id; raises InvalidArgument for `field` where it is no such name.

    >>> parse_audience_name("audiences/vip", "name")
    'vip'
    """
    return _parse(_AUDIENCES, name, field)


def _parse(collection: str, name: str, field: str) -> str:
    prefix, _, resource_id = name.partition("/")
    if prefix != collection or _ID.fullmatch(resource_id) is None:
        raise invalid_field(field, _shown(name), f"`{collection}/` and then {ID_FORM}")
    return resource_id


def _shown(text: str) -> str:
    if not text:
        return "nothing"
    return repr(text if len(text) <= SHOWN_LIMIT else f"{text[:SHOWN_LIMIT]}…")
