"""Whether a message that went is as an expectation describes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.scenarios.policy import local_time
from tests.scenarios.record import Arrival, Sending
from tests.scenarios.scenario import Definition

DESCRIBED = (
    *("contains", "excludes", "to", "incentive", "local_hour"),
    *("recs_min", "recs_max", "recs_include", "recs_exclude"),
)
"""What an expectation may say of a message."""


def mistakes(sending: Sending, body: Definition, zones: Iterable[str]) -> Iterator[str]:
    """Yield what is not as described, in words."""
    if sending.arrival is None:
        yield "it did not arrive"
        return
    yield from _of_text(sending.arrival, body)
    yield from _of_extras(body)
    if sending.arrival.address != body.get("to", sending.arrival.address):
        yield f"it went to {sending.arrival.address}"
    if "local_hour" in body:
        hours = {local_time(sending.at_ms, zone).hour for zone in zones}
        if body["local_hour"] not in hours:
            yield f"it went in hour {sorted(hours)}"


def _of_text(arrival: Arrival, body: Definition) -> Iterator[str]:
    for wanted in _texts(body.get("contains", ())):
        if wanted not in arrival.text:
            yield f"the text lacks {wanted!r}: {arrival.text!r}"
    for unwanted in _texts(body.get("excludes", ())):
        if unwanted in arrival.text:
            yield f"the text has {unwanted!r}: {arrival.text!r}"


def _of_extras(body: Definition) -> Iterator[str]:
    """No message carries an offer or a recommendation yet."""
    if body.get("incentive"):
        yield "it carries no offer"
    if body.get("recs_min", 0) > 0 or body.get("recs_include"):
        yield "it recommends nothing"


def _texts(value: str | Iterable[str]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else map(str, value)
