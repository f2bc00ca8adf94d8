"""What follows from a provider's answer: the end of the message, or another attempt.

A provider that is `idempotent` knows a message by its key and takes it once however often it is
told. Others are blind: what was not answered may have been sent, so that marketing is not sent
again, and a transactional message once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class State(IntEnum):
    """What became of a message; the numbers of the proto."""

    PENDING = 1
    SENDING = 2
    SENT = 3
    DISCARDED = 4
    FAILED = 5
    UNKNOWN = 6
    CANCELLED = 7


class Outcome(StrEnum):
    """What one call to a provider came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"


FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 15 * 60 * 1000
GIVE_UP_MS = 24 * 60 * 60 * 1000
"""A provider that is away for a day costs the messages of that day, and says so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to; `retry_after_ms` is what the provider asked for. No personal data.

    `is_final`: there is nobody to hand anything over to, and trying again does not change that.
    """

    outcome: Outcome
    detail: str = ""
    retry_after_ms: int = 0
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """How often a message was handed over, and since when; `unanswered` calls are among them."""

    attempts: int
    unanswered: int
    first_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The message has come to its end."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """It is handed over again at this instant."""

    at_ms: int


def follow_up(
    answer: Answer, tried: Tried, now_ms: int, *, idempotent: bool, marketing: bool
) -> Ended | Again:
    """Return what follows from an answer; `tried` counts the call that it answers.

    >>> follow_up(Answer(Outcome.NO_ANSWER), Tried(1, 1, 0), 0, idempotent=False, marketing=True)
    Ended(state=<State.UNKNOWN: 6>, reason='no_answer')
    >>> follow_up(Answer(Outcome.BUSY), Tried(3, 0, 0), 0, idempotent=False, marketing=True)
    Again(at_ms=4000)
    """
    match answer.outcome:
        case Outcome.ACCEPTED:
            return Ended(State.SENT)
        case Outcome.REFUSED:
            in_doubt = tried.unanswered and not idempotent
            return gave_up(tried) if in_doubt else Ended(State.FAILED, "refused")
        case Outcome.NO_ANSWER if not idempotent and (marketing or tried.unanswered > 1):
            return gave_up(tried)
        case _ if answer.is_final:
            return gave_up(tried)
        case _:
            at_ms = now_ms + _pause_ms(tried.attempts, answer.retry_after_ms)
            return Again(at_ms) if at_ms < tried.first_ms + GIVE_UP_MS else gave_up(tried)


def gave_up(tried: Tried) -> Ended:
    """Return the end of a message that nobody confirmed: what was not answered may be sent."""
    if tried.unanswered:
        return Ended(State.UNKNOWN, "no_answer")
    return Ended(State.FAILED, "unreachable")


def _pause_ms(attempts: int, asked_ms: int) -> int:
    doubled = FIRST_PAUSE_MS << min(attempts - 1, 20)
    return min(max(doubled, asked_ms), LONGEST_PAUSE_MS)
