"""Expectations about messages: what went, what did not, and why; judged when all is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coterie.type.v1 import message_pb2
from tests.scenarios.content import DESCRIBED, mistakes
from tests.scenarios.horizon import EXACT, Horizon, Horizons
from tests.scenarios.record import Record, Sending
from tests.scenarios.scenario import Definition
from tests.scenarios.times import duration_ms, shown
from tests.scenarios.verdict import HOLDS, Verdict, fails
from tests.scenarios.window import Window, wrong_count


class Messages:
    """Judges by what the providers took; only what came before the horizon is evidence."""

    def __init__(self, record: Record, horizons: Horizons) -> None:
        self._record = record
        self._horizons = horizons

    def sent(self, body: Definition) -> Verdict:
        """At least one such message, or exactly `count`; each that fits is as described."""
        person = self._record.person(body["who"])
        window = Window.of(body)
        horizon = self._horizon(body)
        fitting = [each for each in self._fitting(body, person) if window.holds(each.at_ms)]
        certain = [each for each in fitting if each.at_ms < horizon.at_ms]
        for each in certain:
            wrong = next(mistakes(each, body, self._zones(person)), None)
            if wrong:
                return fails(f"{shown(each.at_ms)}: {wrong}")
        if len(certain) > body.get("count", len(certain)):
            return fails(_times(certain))
        described = any(name in body for name in (*DESCRIBED, "count"))
        if horizon.at_ms <= window.last_ms and not (certain and (window.exact or not described)):
            return horizon.verdict()
        if wrong_count(body, len(certain)):
            return fails(self._nearest(body, person, certain))
        return HOLDS

    def not_sent(self, body: Definition) -> Verdict:
        person = self._record.person(body["who"])
        window = Window.of(body, open_end=True)
        horizon = self._horizon(body)
        found = [
            each
            for each in self._fitting(body, person)
            if window.holds(each.at_ms) and each.at_ms < horizon.at_ms
        ]
        if found:
            return fails(_times(found))
        return horizon.verdict() if horizon.at_ms <= window.last_ms else HOLDS

    def suppressed(self, body: Definition) -> Verdict:
        person = self._record.person(body["who"])
        window = Window.of(body)
        horizon = self._horizon(body)
        discarded = [
            each
            for each in self._record.sendings_to(person)
            if each.campaign == body["campaign"]
            and each.message.state == message_pb2.MESSAGE_STATE_DISCARDED
            and each.at_ms < horizon.at_ms
        ]
        if any(
            window.holds(each.at_ms) and each.message.reason == body["reason"] for each in discarded
        ):
            return HOLDS
        if horizon.at_ms <= window.last_ms:
            return horizon.verdict()
        found = [f"{shown(each.at_ms)} {each.message.reason}" for each in discarded]
        return fails(", ".join(found) or "nothing was discarded")

    def sent_total(self, body: Definition) -> Verdict:
        horizon = min(
            (self._horizons.of_campaign(each, body["campaign"], None) for each in self._people()),
            default=EXACT,
        )
        found = [
            each
            for each in self._record.sendings
            if each.sent and each.campaign == body["campaign"] and each.at_ms < horizon.at_ms
        ]
        if len(found) > body["is"]:
            return fails(_times(found))
        if horizon is not EXACT:
            return horizon.verdict()
        return HOLDS if len(found) == body["is"] else fails(_times(found))

    def max_messages(self, body: Definition) -> Verdict:
        person = self._record.person(body["who"])
        horizon = self._horizons.of_campaign(person, None, "marketing")
        per_ms = duration_ms(body["per"])
        sent = sorted(
            each.at_ms
            for each in self._record.sendings_to(person)
            if each.sent and each.purpose == "marketing" and each.at_ms < horizon.at_ms
        )
        for at_ms in sent:
            within = [each for each in sent if at_ms - per_ms < each <= at_ms]
            if len(within) > body["max"]:
                return fails(f"{len(within)} up to {shown(at_ms)}")
        return HOLDS if horizon is EXACT else horizon.verdict()

    def _horizon(self, body: Definition) -> Horizon:
        person = self._record.person(body["who"])
        return self._horizons.of_campaign(person, body.get("campaign"), body.get("purpose"))

    def _zones(self, person: int) -> frozenset[str]:
        return self._record.zones.get(person) or frozenset({self._record.scenario.zone})

    def _people(self) -> set[int]:
        return self._record.people() | {each.message.profile_id for each in self._record.sendings}

    def _fitting(self, body: Definition, person: int) -> Iterator[Sending]:
        for each in self._record.sendings_to(person):
            if (
                each.arrival is not None
                and body.get("campaign") in (None, each.campaign)
                and body.get("purpose") in (None, each.purpose)
                and body.get("channel") in (None, each.arrival.channel)
            ):
                yield each

    def _nearest(self, body: Definition, person: int, certain: Sequence[Sending]) -> str:
        """Return what there was instead, without regard to the time and the channel."""
        if certain:
            return _times(certain)
        campaign = body.get("campaign")
        states = [
            f"{shown(each.at_ms)}"
            f" {message_pb2.MessageState.Name(each.message.state)[14:].lower()}"
            f" {each.arrival.channel if each.arrival else each.message.reason}".rstrip()
            for each in self._record.sendings_to(person)
            if campaign in (None, each.campaign)
        ]
        return ", ".join(states) or "no message"


def _times(found: Sequence[Sending]) -> str:
    sent = ", ".join(f"{each.campaign} {shown(each.at_ms)}" for each in found)
    return f"{len(found)}: {sent}" if found else "no message"
