"""An expectation holds only where all that it depends on had been told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coterie.journey.v1 import journey_pb2
from coterie.messaging.v1 import message_pb2
from coterie.profile.v1 import profile_pb2
from coterie.type.v1 import event_pb2
from tests.scenarios.claims_messages import Messages
from tests.scenarios.conditions import Place
from tests.scenarios.faults import NotYet
from tests.scenarios.horizon import Horizons
from tests.scenarios.inputs import stamp
from tests.scenarios.journeys import plan_of
from tests.scenarios.policy import Policy
from tests.scenarios.record import Arrival, Record, Sending
from tests.scenarios.scenario import Input, Scenario
from tests.scenarios.telling import Told
from tests.scenarios.times import DAY, HOUR, instant_ms

NOON = instant_ms("2026-03-02T12:00:00Z")
ADA, BOB = 1, 2


def _send(campaign: str, **more: Any) -> dict[str, Any]:
    send = {"campaign": campaign, "channels": ["email"], "content": "x", **more}
    return {"id": campaign, "send": send}


PLAIN = {"entry": {"event": "app.opened"}, "steps": [_send("plain")]}
LONG = {
    "entry": {"event": "app.opened"},
    "steps": [_send("first"), {"id": "w", "wait": "P1D"}, _send("second", incentive=True)],
}
YEARLY = {"entry": {"calendar": "birthday", "at": "09:00"}, "steps": [_send("yearly")]}
BY_VIEW = {
    "entry": {"event": "product.viewed", "interested": True},
    "steps": [_send("by_view")],
}


def _told(journeys: Mapping[str, Any]) -> Told:
    told = Told()
    for name, definition in journeys.items():
        try:
            told.plans[name] = plan_of(name, definition, Place(), None)
        except NotYet as missing:
            told.missing_journeys[name] = str(missing)
    return told


def _sent(person: int, journey: str, campaign: str, at_ms: int) -> Sending:
    message = message_pb2.Message(
        profile_id=person, campaign=campaign, journey=f"journeys/{journey}/versions/1"
    )
    return Sending(message, Arrival("m", "email", "a@b.example", "x"), at_ms)


def _ended_at_cut(person: int, journey: str, step: str, at_ms: int) -> journey_pb2.Instance:
    return journey_pb2.Instance(
        name=f"journeys/{journey}/instances/i",
        profile_id=person,
        state=journey_pb2.INSTANCE_STATE_ENDED,
        end_reason=journey_pb2.END_REASON_COMPLETED,
        step=step,
        end_time=stamp(at_ms),
    )


def _messages(  # noqa: PLR0913, PLR0917  one for each part of a run
    journeys: Mapping[str, Any],
    sendings: Sequence[Sending] = (),
    instances: Sequence[journey_pb2.Instance] = (),
    policy: Mapping[str, Any] | None = None,
    inputs: Sequence[Input] = (),
    viewed_ms: int | None = None,
) -> Messages:
    scenario = Scenario(
        "s", "S", "UTC", (), (), (), {}, journeys, {}, policy or {}, inputs, (), NOON + 9 * DAY
    )
    events = {}
    if viewed_ms is not None:
        event = event_pb2.Event(type="product.viewed")
        events[ADA] = [profile_pb2.TimelineEvent(event=event, received_time=stamp(viewed_ms))]
    profiles = {("crm", "A"): ADA, ("crm", "B"): BOB}
    record = Record(scenario, _told(journeys), profiles, instances, sendings, {}, events, {})
    return Messages(record, Horizons(record))


def _iso(at_ms: int) -> str:
    return stamp(at_ms).ToJsonString()


def test_what_came_before_a_cut_is_evidence_and_what_may_come_after_it_is_not() -> None:
    sendings = [_sent(ADA, "long", "first", NOON)]
    cut = [_ended_at_cut(ADA, "long", "second", NOON + DAY)]
    messages = _messages({"long": LONG}, sendings, cut)
    first: dict[str, Any] = {"who": {"crm": "A"}, "campaign": "first"}
    assert messages.sent({**first, "at": _iso(NOON)}).state == "holds"
    assert messages.sent({**first, "count": 1}).reason == "offers in messages"
    window = [_iso(NOON + HOUR), _iso(NOON + DAY)]
    assert messages.not_sent({"who": {"crm": "A"}, "between": window}).state == "holds"
    assert messages.not_sent({"who": {"crm": "A"}, "campaign": "second"}).state == "not yet"
    assert messages.not_sent({"who": {"crm": "B"}}).state == "holds", "another person"


def test_an_unwanted_message_before_the_horizon_fails_whatever_may_come() -> None:
    sendings = [_sent(ADA, "long", "first", NOON)]
    cut = [_ended_at_cut(ADA, "long", "second", NOON + DAY)]
    messages = _messages({"long": LONG}, sendings, cut)
    assert messages.not_sent({"who": {"crm": "A"}}).state == "fails"
    assert messages.sent_total({"campaign": "first", "is": 0}).state == "fails"
    assert messages.sent_total({"campaign": "first", "is": 1}).state == "not yet"


def test_a_journey_that_was_not_told_may_begin_with_its_first_event_and_not_before() -> None:
    journeys = {"plain": PLAIN, "by_view": BY_VIEW}
    messages = _messages(journeys, viewed_ms=NOON)
    until = {"who": {"crm": "A"}, "between": [_iso(NOON - DAY), _iso(NOON)]}
    assert messages.not_sent(until).state == "holds"
    assert messages.not_sent({"who": {"crm": "A"}}).state == "not yet"
    assert messages.not_sent({"who": {"crm": "A"}, "campaign": "plain"}).state == "holds"
    assert messages.not_sent({"who": {"crm": "B"}}).state == "holds", "who never looked at any"


def test_a_date_that_is_not_known_brings_nothing() -> None:
    said = {"ids": {"crm": "A"}, "set": {"birthday": "2001-03-02"}}
    messages = _messages({"yearly": YEARLY}, inputs=[Input(NOON, "profile", said, "f:1")])
    assert messages.not_sent({"who": {"crm": "A"}}).reason == "entry by calendar"
    assert messages.not_sent({"who": {"crm": "B"}}).state == "holds"


def test_a_policy_that_holds_nothing_back_changes_nothing() -> None:
    policy = {"quiet": {"from": "21:00", "to": "08:00"}, "gap": "P1D"}
    kept = [_sent(ADA, "plain", "plain", NOON), _sent(ADA, "plain", "plain", NOON + DAY)]
    messages = _messages({"plain": PLAIN}, kept, policy=policy)
    assert messages.sent({"who": {"crm": "A"}, "campaign": "plain", "count": 2}).state == "holds"
    assert messages.max_messages({"who": {"crm": "A"}, "max": 1, "per": "P1D"}).state == "holds"


def test_from_the_first_message_that_the_policy_holds_back_nothing_is_certain() -> None:
    policy = {"quiet": {"from": "21:00", "to": "08:00"}, "gap": "P1D"}
    close = [_sent(ADA, "plain", "plain", NOON), _sent(ADA, "long", "first", NOON + HOUR)]
    messages = _messages({"plain": PLAIN, "long": LONG}, close, policy=policy)
    assert messages.sent({"who": {"crm": "A"}, "at": _iso(NOON)}).state == "holds"
    late = messages.sent({"who": {"crm": "A"}, "at": _iso(NOON + HOUR)})
    assert late.reason == "quiet hours, gaps and caps"
    assert messages.not_sent({"who": {"crm": "A"}, "campaign": "first"}).state == "not yet"


def test_journeys_hold_back_each_other_only_where_the_policy_says_so() -> None:
    journeys = {"plain": PLAIN, "by_view": BY_VIEW}
    sendings = [_sent(ADA, "plain", "plain", NOON + HOUR)]
    sent = {"who": {"crm": "A"}, "campaign": "plain", "at": _iso(NOON + HOUR)}
    quiet = {"quiet": {"from": "21:00", "to": "08:00"}}
    assert _messages(journeys, sendings, policy=quiet, viewed_ms=NOON).sent(sent).state == "holds"
    capped = _messages(journeys, sendings, policy={"gap": "P1D"}, viewed_ms=NOON)
    assert capped.sent(sent).state == "not yet"
    later = _messages(journeys, sendings, policy={"gap": "P1D"}, viewed_ms=NOON + 2 * HOUR)
    assert later.sent(sent).state == "holds"


def test_a_wrong_text_fails() -> None:
    messages = _messages({"plain": PLAIN}, [_sent(ADA, "plain", "plain", NOON)])
    body: dict[str, Any] = {"who": {"crm": "A"}, "at": _iso(NOON)}
    assert messages.sent({**body, "contains": ["x"]}).state == "holds"
    assert "lacks 'y'" in messages.sent({**body, "contains": ["y"]}).found
    assert "went to a@b.example" in messages.sent({**body, "to": "c@d.example"}).found
    assert messages.sent({**body, "incentive": False, "recs_max": 0}).state == "holds"
    assert messages.sent({**body, "recs_min": 1}).state == "fails"
    assert messages.sent({**body, "local_hour": 12}).state == "holds"


def test_quiet_hours_begin_at_their_first_instant_and_end_before_their_last() -> None:
    policy = Policy({"quiet": {"from": "21:00", "to": "08:00"}}, "Europe/Paris")

    def quiet(text: str) -> bool:
        return bool(policy.held_back([(instant_ms(text), True)], ()))

    assert quiet("2026-03-02T21:00:00+01:00")
    assert quiet("2026-03-02T07:59:59+01:00")
    assert not quiet("2026-03-02T08:00:00+01:00")
    assert not quiet("2026-07-02T20:59:59+02:00")


def test_a_cap_counts_the_window_without_its_beginning_and_only_what_went() -> None:
    policy = Policy({"cap": {"max": 2, "per": "P7D"}}, "UTC")
    went = [(NOON, True), (NOON + DAY, True)]
    assert policy.held_back([*went, (NOON + 7 * DAY - 1, True)], ()) == {NOON + 7 * DAY - 1}
    assert policy.held_back([*went, (NOON + 7 * DAY, True)], ()) == set()
    assert policy.held_back([(NOON, False), (NOON, True), (NOON + DAY, True)], ()) == set()
