"""Resource names of messaging: `templates/{template}` and `messages/{message}`."""

from __future__ import annotations

import uuid

from services.kit.errors import invalid_field
from services.kit.names import ID_FORM, check_id

TEMPLATES = "templates"
MESSAGES = "messages"


def parse_template_name(name: str, field: str) -> str:
    """Return the template's id; raises InvalidArgument for `field` where it is no such name.

    >>> parse_template_name("templates/welcome", "name")
    'welcome'
    """
    prefix, _, template_id = name.partition("/")
    if prefix != TEMPLATES:
        raise invalid_field(field, "another text", f"`{TEMPLATES}/` and then {ID_FORM}")
    return check_id(template_id, field)


def parse_message_name(name: str, field: str) -> str:
    """Return the message's id; raises InvalidArgument for `field` where it is no such name."""
    prefix, _, message_id = name.partition("/")
    try:
        return str(uuid.UUID(message_id)) if prefix == MESSAGES else _refuse(field)
    except ValueError:
        return _refuse(field)


def _refuse(field: str) -> str:
    raise invalid_field(field, "another text", f"`{MESSAGES}/` and then a UUID")
