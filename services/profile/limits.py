"""How much one input may hold, and the form of its names: what the protos' comments promise."""

from __future__ import annotations

import re
from functools import lru_cache

BATCH_INPUTS = 1_000
"""Inputs of one batch, and of one record of the inbound log."""
PACK_BYTES = 2 * 1024 * 1024
"""Bytes of one record of the inbound log: what a stage holds in memory several times over."""
ID_LENGTH = 128
TOKEN_LENGTH = 64
IDENTITIES = 16
IDENTITY_LENGTH = 256
CAME_WITH_LENGTH = TOKEN_LENGTH + 1 + IDENTITY_LENGTH
"""A namespace and a value with a colon between."""
ITEMS = 500
PROPERTIES = 64
ATTRIBUTES = 128
CONSENTS = 16
"""Channels of one consent change: more than there are, so that repeating one does no harm."""
TAGS = 32
"""Words about an item of the catalog."""
NAME_LENGTH = 64
TEXT_LENGTH = 1_024
TEXTS = 64
TEXTS_LENGTH = 256
TEXTS_TOTAL = 4_096
"""Texts in a list, the characters of one and of all: with it too the largest event fits."""
SEPARATOR = "\x1f"
"""What segcore puts behind each text of a list, so that no text may hold it."""
LABEL_LENGTH = 128
"""A category or a brand: with it the largest event stays below PACK_BYTES."""

FUTURE_MS = 24 * 60 * 60 * 1000
"""How far a time may lie ahead of its receipt: a phone with a wrong time zone, not a wrong year."""

_TOKEN = re.compile(r"[a-z0-9_.-]{1,64}")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


@lru_cache(maxsize=8_192)
def is_token(text: str) -> bool:
    """Return whether `text` is an event type or a namespace in form.

    >>> is_token("store_entry"), is_token("Store entry"), is_token("")
    (True, False, False)
    """
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=8_192)
def is_field_name(text: str) -> bool:
    """Return whether a schema could declare a field of this name.

    >>> is_field_name("loyalty.tier"), is_field_name("1st"), is_field_name("a..b")
    (True, False, False)
    """
    return len(text) <= NAME_LENGTH and _FIELD_NAME.fullmatch(text) is not None
