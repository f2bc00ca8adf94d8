"""Pages of a list: the size rule, and opaque tokens with the last key, bound to the query."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from google.protobuf.message import Message

from services.kit.errors import InvalidArgument, invalid_field

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

_NOT_THE_QUERY = frozenset({"page_size", "page_token", "consistency"})
"""Fields that may differ from page to page."""
_DIGEST_BYTES = 12
_INTEGERS = 1 << 63
_BEYOND_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that no database keeps in a text."""


def page_size(requested: int, field: str = "page_size") -> int:
    """Return how many entries a page holds; raises InvalidArgument below 0.

    >>> page_size(0), page_size(7), page_size(5000)
    (50, 7, 1000)
    """
    if requested < 0:
        raise invalid_field(field, str(requested), "0 or more")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def issue_page_token(request: Message, *last_key: str | int) -> str:
    """Return the token of the page after the entry with `last_key`, for this request alone."""
    text = json.dumps([_digest(request), *last_key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_page_token(request: Message, token: str) -> tuple[str | int, ...] | None:
    """Return the key after which the page begins, None for an empty token (the first page).

    Raises InvalidArgument, reason INVALID_TOKEN, where the token was not issued for this request.
    """
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise _foreign() from None
    if not isinstance(content, list) or content[:1] != [_digest(request)]:
        raise _foreign()
    key = content[1:]
    if not key or not all(map(_can_be_key, key)):
        raise _foreign()
    return tuple(key)


def _can_be_key(part: object) -> bool:
    """Tell whether a part of a token is a text or a number that a table could hold."""
    if type(part) is str:
        return _BEYOND_TEXT.search(part) is None
    return type(part) is int and abs(part) < _INTEGERS


def _digest(request: Message) -> str:
    query = type(request)()
    query.CopyFrom(request)
    for field, _ in request.ListFields():
        if field.name in _NOT_THE_QUERY:
            query.ClearField(field.name)
    content = request.DESCRIPTOR.full_name.encode() + query.SerializeToString(deterministic=True)
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def _foreign() -> InvalidArgument:
    return InvalidArgument(
        "INVALID_TOKEN",
        "page_token: expected the `next_page_token` of this very query, found another",
        {"field": "page_token"},
    )
