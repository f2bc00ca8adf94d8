"""One small shop's vocabulary, for every test of the rule language."""

from __future__ import annotations

import pytest

from segcore.rule import Kind
from services.kit.rules.vocabulary import Vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(
        attributes={
            "birth_date": Kind.DATE,
            "city": Kind.TEXT,
            "for": Kind.NUMBER,
            "fooBar": Kind.FLAG,
            "foo_bar": Kind.FLAG,
            "loyalty.member": Kind.FLAG,
            "loyalty.tier": Kind.TEXT,
            "newsletter": Kind.FLAG,
            "signup_at": Kind.TIME,
            "spend": Kind.NUMBER,
            "tags": Kind.TEXTS,
        },
        event_types={
            "purchase": {
                "channel": Kind.TEXT,
                "due": Kind.DATE,
                "gift": Kind.FLAG,
                "labels": Kind.TEXTS,
                "order_id": Kind.TEXT,
                "ship.at": Kind.TIME,
                "total": Kind.NUMBER,
            },
            "add_to_cart": {},
            "return": {"order_id": Kind.TEXT, "reason": Kind.TEXT, "total": Kind.NUMBER},
            "store_entry": {},
        },
        audiences=frozenset(("vip", "winter-athleisure")),
    )
