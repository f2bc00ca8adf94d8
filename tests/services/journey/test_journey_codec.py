"""What a journey keeps of an event comes back as it was."""

from __future__ import annotations

from datetime import date

from segcore.history import Event, Item
from services.journey import codec


def test_an_event_comes_back_with_every_kind_of_value() -> None:
    properties = {
        "number": 1.0,
        "time": 17,
        "flag": True,
        "text": "ü",
        "day": date(1992, 2, 29),
        "list": ("a", "2026-01-01"),
        "empty": (),
    }
    event = Event("e1", "buy", 5, 7, "crm:1", properties, (Item("s1", None, "b", 2.5),))
    found = codec.event_of(codec.event_text(event))
    assert found == event
    assert {name: type(value) for name, value in found.properties.items()} == {
        name: type(value) for name, value in properties.items()
    }
