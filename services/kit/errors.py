"""What can go wrong, as types; `kit.rpc.status` alone turns them into a gRPC status.

DomainError
 ├─ InvalidArgument      the request is wrong: fix it
 ├─ NotFound             what it names is not there
 ├─ AlreadyExists        what it would create is there
 ├─ FailedPrecondition   the state is wrong: fix that first
 ├─ Conflict             read again, then try again
 ├─ Exhausted            a limit is reached: try later
 └─ Unavailable          try again as it is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldMistake:
    """One mistake in one field of a request; `field` is its path."""

    field: str
    description: str


class DomainError(Exception):
    """A failure that a caller can act on.

    `reason` names a `coterie.rpc.v1.ErrorReason` without its prefix. The message and the metadata
    never hold personal data.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        mistakes: tuple[FieldMistake, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.mistakes = mistakes


class InvalidArgument(DomainError):
    """The request is wrong whatever the state is."""


class NotFound(DomainError):
    """What the request names is not there."""


class AlreadyExists(DomainError):
    """What the request would create is there."""


class FailedPrecondition(DomainError):
    """The request is fine, but not in this state."""


class Conflict(DomainError):
    """Somebody else was faster: read again, then try again."""


class Exhausted(DomainError):
    """A limit is reached: try later."""


class Unavailable(DomainError):
    """The service cannot answer now: try again as it is."""


def invalid_field(field: str, found: str, expected: str) -> InvalidArgument:
    """Return the error for one wrong field: what was found, what was expected, where."""
    return InvalidArgument(
        "INVALID_FIELD",
        f"{field}: expected {expected}, found {found}",
        {"field": field},
        (FieldMistake(field, f"expected {expected}, found {found}"),),
    )
