"""The form of an address: what can be none is never handed to a provider."""

from __future__ import annotations

import re
import unicodedata

from services.messaging.domain.lanes import Lane

ADDRESS_LENGTH = 1_024
PHONE_DIGITS = 5
"""Fewer are no number that reaches a person; short codes send, and receive nothing of ours."""

_PHONE = re.compile(r"\+[0-9 +\-.()/]*")
_NOT_OF_THE_NUMBER = re.compile(r"[ \-.()/]")


def is_address(lane: Lane, text: str) -> bool:
    """Return whether `text` can be an address on the lane.

    >>> is_address(Lane.EMAIL, "beth@example.com"), is_address(Lane.EMAIL, "beth")
    (True, False)
    >>> is_address(Lane.SMS, "+44 (20) 7946-0000"), is_address(Lane.SMS, "call me")
    (True, False)
    """
    if not 0 < len(text) <= ADDRESS_LENGTH or any(map(_is_control, text)):
        return False
    match lane:
        case Lane.EMAIL:
            local, _, domain = text.partition("@")
            return bool(local and domain) and "@" not in domain and not any(map(str.isspace, text))
        case Lane.SMS:
            digits = sum(character.isdigit() for character in text)
            return _PHONE.fullmatch(text) is not None and digits >= PHONE_DIGITS
        case _:
            return True


def comparable(lane: Lane, text: str) -> str:
    """Return the form in which two spellings of one address are equal.

    >>> comparable(Lane.EMAIL, "Beth@Example.com"), comparable(Lane.SMS, "+44 (20) 7946-0000")
    ('beth@example.com', '+442079460000')
    """
    match lane:
        case Lane.EMAIL:
            return text.strip().casefold()
        case Lane.SMS:
            return _NOT_OF_THE_NUMBER.sub("", text)
        case _:
            return text


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
