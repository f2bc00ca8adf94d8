"""The ways out of the house, and what leads to each. Numbers are those of the protos."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Lane(IntEnum):
    """Where a message goes: a channel to the person, or the staff of the store."""

    EMAIL = 1
    SMS = 2
    PUSH = 3
    ASSISTANT = 4


class Asked(IntEnum):
    """A way to send, as a definition names it."""

    PREFERRED = 1
    EMAIL = 2
    SMS = 3
    PUSH = 4
    ASSISTANT = 5


LANE_OF: Mapping[int, Lane] = MappingProxyType(
    {
        Asked.EMAIL: Lane.EMAIL,
        Asked.SMS: Lane.SMS,
        Asked.PUSH: Lane.PUSH,
        Asked.ASSISTANT: Lane.ASSISTANT,
    }
)

ADDRESS_ATTRIBUTES: Mapping[str, Lane] = MappingProxyType(
    {"email": Lane.EMAIL, "phone": Lane.SMS, "push_token": Lane.PUSH}
)
"""The attributes that hold addresses."""

PROVIDER_NAMES: Mapping[Lane, str] = MappingProxyType(
    {Lane.EMAIL: "email", Lane.SMS: "sms", Lane.PUSH: "push", Lane.ASSISTANT: "assistant"}
)
"""What the configuration calls the lanes."""
