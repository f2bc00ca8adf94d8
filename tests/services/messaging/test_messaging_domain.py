"""The decisions of messaging, as plain functions."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.messaging.domain.addresses import comparable, is_address
from services.messaging.domain.attempts import (
    GIVE_UP_MS,
    Again,
    Answer,
    Ended,
    Outcome,
    State,
    Tried,
    follow_up,
)
from services.messaging.domain.gate import Recipient, decide
from services.messaging.domain.hours import best_hour, optimal_ms, zone_of
from services.messaging.domain.lanes import Asked, Lane

ALL = {Lane.EMAIL: "b@x", Lane.SMS: "+44 20 7946", Lane.PUSH: "token"}
YES = dict.fromkeys(ALL, 1)


@pytest.mark.parametrize(
    ("lane", "text", "expected"),
    [
        (Lane.EMAIL, "beth@example.com", True),
        (Lane.EMAIL, "beth", False),
        (Lane.EMAIL, "@example.com", False),
        (Lane.EMAIL, "beth@", False),
        (Lane.EMAIL, "beth@a@b", False),
        (Lane.EMAIL, "beth smith@example.com", False),
        (Lane.EMAIL, "beth@example.com\r\nBcc: x@y", False),
        (Lane.SMS, "+0123456789+171101", True),
        (Lane.SMS, "+1 (555) 010-99.88/7", True),
        (Lane.SMS, "+1234", False),
        (Lane.SMS, "0044207946", False),
        (Lane.SMS, "call me", False),
        (Lane.SMS, "+\u0661\u0662\u0663\u0664\u0665", False),
        (Lane.SMS, "+12345\n", False),
        (Lane.PUSH, "token", True),
        (Lane.PUSH, "", False),
        (Lane.PUSH, "to\0ken", False),
        (Lane.PUSH, "x" * 2000, False),
    ],
)
def test_what_can_be_an_address(lane: Lane, text: str, expected: bool) -> None:  # noqa: FBT001
    assert is_address(lane, text) is expected


def test_spellings_of_one_address_are_equal_and_placeholders_stay_apart() -> None:
    assert comparable(Lane.SMS, "+1 (555) 01-0") == comparable(Lane.SMS, "+1555010")
    assert comparable(Lane.SMS, "+0123456789+1") != comparable(Lane.SMS, "+0123456789+2")
    assert comparable(Lane.PUSH, "Token") != comparable(Lane.PUSH, "token")


def test_channels_are_tried_in_order_and_the_rest_is_not_needed() -> None:
    found = decide([Asked.SMS, Asked.EMAIL], Recipient(ALL, YES), marketing=True)
    assert (found.lane, found.address) == (Lane.SMS, "+44 20 7946")
    assert [check.verdict for check in found.checks] == ["chosen", "not_needed"]


def test_the_preferred_channel_is_the_person_s_and_passed_over_where_there_is_none() -> None:
    asked = [Asked.PREFERRED, Asked.EMAIL]
    assert decide(asked, Recipient(ALL, YES, Lane.PUSH), marketing=True).lane is Lane.PUSH
    found = decide(asked, Recipient(ALL, YES), marketing=True)
    assert found.lane is Lane.EMAIL
    assert found.checks[0].verdict == "no_preference"


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        (Recipient(), "no_address"),
        (Recipient(ALL), "no_consent"),
        (Recipient(ALL, {Lane.SMS: 2, Lane.EMAIL: 2}), "no_consent"),
        (Recipient(ALL, YES, None, frozenset(ALL)), "suppressed"),
        (Recipient(ALL, {Lane.SMS: 1}, None, frozenset(ALL)), "suppressed"),
        (Recipient({Lane.SMS: "none"}, YES), "invalid_address"),
        (Recipient({Lane.SMS: "none", Lane.EMAIL: "b@x"}), "no_consent"),
        (Recipient({}, YES), "no_address"),
    ],
)
def test_a_discard_tells_how_near_to_sending_it_came(recipient: Recipient, reason: str) -> None:
    asked = [Asked.SMS, Asked.EMAIL]
    found = decide(asked, recipient, marketing=True)
    assert (found.lane, found.reason) == (None, reason)


def test_transactional_needs_no_consent_and_suppression_stops_it_all_the_same() -> None:
    assert decide([Asked.SMS], Recipient(ALL), marketing=False).lane is Lane.SMS
    blocked = Recipient(ALL, YES, None, frozenset({Lane.SMS}))
    assert decide([Asked.SMS], blocked, marketing=False).reason == "suppressed"


def test_the_staff_can_always_be_told() -> None:
    found = decide([Asked.SMS, Asked.ASSISTANT], Recipient(), marketing=True)
    assert found.lane is Lane.ASSISTANT


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_the_best_hour_is_local_and_of_equal_ones_the_earlier() -> None:
    instants = [at("2026-01-01T19:10"), at("2026-01-02T08:00"), at("2026-01-03T19:50")]
    assert best_hour(instants, UTC) == 19
    assert best_hour(instants[:2], UTC) == 8
    assert best_hour(instants, ZoneInfo("America/New_York")) == 14
    assert best_hour([], UTC) is None


def test_in_the_best_hour_it_goes_at_once_and_else_when_the_hour_comes() -> None:
    nine = [at("2026-01-01T09:30")]
    assert optimal_ms(at("2026-01-05T09:59"), nine, UTC) == at("2026-01-05T09:59")
    assert optimal_ms(at("2026-01-05T10:00"), nine, UTC) == at("2026-01-06T09:00")
    assert optimal_ms(at("2026-01-05T08:59"), nine, UTC) == at("2026-01-05T09:00")


def test_opens_count_for_ninety_days_and_not_from_the_future() -> None:
    now = at("2026-04-01T12:00")
    assert optimal_ms(now, [at("2026-01-01T12:00") - 1], UTC) == now
    assert optimal_ms(now, [at("2026-01-01T09:00")], UTC) == now
    assert optimal_ms(now, [at("2026-04-01T13:00")], UTC) == now
    assert optimal_ms(now, [at("2026-01-02T09:00")], UTC) == at("2026-04-02T09:00")


def test_an_hour_that_the_clock_skips_comes_the_next_day() -> None:
    zone = "Europe/Paris"
    two = [at("2026-03-20T02:30", zone)]
    due = optimal_ms(at("2026-03-28T12:00", zone), two, ZoneInfo(zone))
    assert due == at("2026-03-30T02:00", zone)


def test_an_hour_that_comes_twice_is_taken_the_first_time() -> None:
    zone = "Europe/Paris"
    two = [at("2026-10-20T02:30", zone)]
    due = optimal_ms(at("2026-10-25T00:00", zone), two, ZoneInfo(zone))
    assert due == at("2026-10-25T02:00", zone)
    assert optimal_ms(due + 90 * 60 * 1000, two, ZoneInfo(zone)) == due + 90 * 60 * 1000


@pytest.mark.parametrize("name", ["", "Nowhere/Nothing", "../etc/passwd", "/etc/localtime", "x\0y"])
def test_a_zone_that_is_none_is_the_default(name: str) -> None:
    assert zone_of(name, "Europe/Paris").key == "Europe/Paris"


def after(
    outcome: Outcome, *, unanswered: int = 0, idempotent: bool = True, marketing: bool = True
) -> Ended | Again:
    tried = Tried(1 + unanswered, unanswered, 0)
    return follow_up(Answer(outcome), tried, 0, idempotent=idempotent, marketing=marketing)


def test_what_follows_from_an_answer() -> None:
    assert after(Outcome.ACCEPTED) == Ended(State.SENT)
    assert after(Outcome.REFUSED) == Ended(State.FAILED, "refused")
    assert after(Outcome.BUSY) == Again(1000)
    assert after(Outcome.UNREACHABLE, idempotent=False) == Again(1000)
    assert after(Outcome.NO_ANSWER, unanswered=1) == Again(2000)
    unknown = Ended(State.UNKNOWN, "no_answer")
    assert after(Outcome.NO_ANSWER, unanswered=1, idempotent=False) == unknown
    once_more = after(Outcome.NO_ANSWER, unanswered=1, idempotent=False, marketing=False)
    assert once_more == Again(2000)
    twice = after(Outcome.NO_ANSWER, unanswered=2, idempotent=False, marketing=False)
    assert twice == unknown
    assert after(Outcome.REFUSED, unanswered=1, idempotent=False) == unknown


def test_trying_ends_after_a_day() -> None:
    tried = Tried(40, 0, 0)
    late = follow_up(Answer(Outcome.BUSY), tried, GIVE_UP_MS, idempotent=True, marketing=True)
    assert late == Ended(State.FAILED, "unreachable")
    doubtful = follow_up(
        Answer(Outcome.BUSY), Tried(40, 3, 0), GIVE_UP_MS, idempotent=True, marketing=True
    )
    assert doubtful == Ended(State.UNKNOWN, "no_answer")
