"""Who does what and when: the in-store abandoner, told in days or in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, schema_pb2, value_pb2
from services.kit.rpc.times import timestamp

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

TEXT, NUMBER, FLAG = (
    value_pb2.VALUE_KIND_TEXT,
    value_pb2.VALUE_KIND_NUMBER,
    value_pb2.VALUE_KIND_FLAG,
)
_FIELD = schema_pb2.FieldSchema
SCHEMA = schema_pb2.Schema(
    attributes=[
        _FIELD(name="first_name", kind=TEXT),
        _FIELD(name="email", kind=TEXT),
        _FIELD(name="phone", kind=TEXT),
        _FIELD(name="account.registered", kind=FLAG),
    ],
    event_types=[
        schema_pb2.EventTypeSchema(type=name)
        for name in ("store.entry", "store.exit", "session.login", "product.viewed", "cart.added")
    ]
    + [
        schema_pb2.EventTypeSchema(
            type="order.placed",
            properties=[_FIELD(name="total", kind=NUMBER), _FIELD(name="channel", kind=TEXT)],
        )
    ],
)


@dataclass(frozen=True, slots=True)
class Person:
    """One of the two shoppers."""

    name: str
    crm: str
    email: str
    phone: str

    @property
    def identity(self) -> identity_pb2.Identity:
        """The account."""
        return identity_pb2.Identity(namespace="crm", value=self.crm)

    @property
    def who(self) -> identity_pb2.Who:
        """The person, for a question."""
        return identity_pb2.Who(identity=self.identity)


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long everything takes; `window` and `wait` as the rule and the journey say it."""

    window: str
    window_ms: int
    wait: str
    wait_ms: int
    visit_ms: int
    end_ms: int
    at: Mapping[str, int] = field(default_factory=dict)


DAYS = Tempo(
    window="24h",
    wait="P3D",
    window_ms=24 * HOUR_MS,
    wait_ms=3 * DAY_MS,
    visit_ms=40 * MINUTE_MS,
    end_ms=8 * DAY_MS,
    at={
        "register": 0,
        "order": 20 * MINUTE_MS,
        "enter": 2 * DAY_MS + 4 * HOUR_MS,
        "buy": 3 * DAY_MS,
    },
)
SECONDS = Tempo(
    window="4s",
    wait="PT10S",
    window_ms=4 * SECOND_MS,
    wait_ms=10 * SECOND_MS,
    visit_ms=SECOND_MS,
    end_ms=15 * SECOND_MS,
    at={"register": 0, "order": 500, "enter": SECOND_MS, "buy": 4 * SECOND_MS},
)
"""Three days in ten seconds; the day for which a visit counts is four of them."""


Inputs = Callable[[int], list[pb.IngestInput]]
"""What is sent, as a function of the instant."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens at one instant, counted from the start of the story."""

    at_ms: int
    words: str
    inputs: Inputs = lambda _now_ms: []


def people(run: str) -> tuple[Person, Person]:
    """Return the two shoppers; `run` makes their accounts new ones."""
    return (
        Person("Beth", f"beth-{run}", f"beth-{run}@mail.example", "+12025550171"),
        Person("Ann", f"ann-{run}", f"ann-{run}@mail.example", "+12025550172"),
    )


def scenes(tempo: Tempo, beth: Person, ann: Person) -> list[Scene]:
    """Return the story: Beth leaves the store with nothing, and Ann thinks better of it."""
    at, both = tempo.at, (beth, ann)
    leave_ms = at["enter"] + tempo.visit_ms
    # In seconds no order grows old: it is told late, as a till does that was offline.
    ago_ms, late = (HOUR_MS, " an hour ago, and told now") if tempo is SECONDS else (0, "")
    return [
        Scene(
            at["register"],
            "Beth and Ann register, with phone numbers, and choose text messages",
            lambda _: [part for each in both for part in _registration(each)],
        ),
        Scene(
            at["order"],
            f"Beth buys leggings online{late}",
            lambda now_ms: [_order(beth, "BOT-01", 49.0, now_ms - ago_ms)],
        ),
        Scene(
            at["enter"],
            "Both enter the store",
            lambda now_ms: [_event(each, "store.entry", now_ms) for each in both],
        ),
        Scene(
            leave_ms,
            "Both leave it with empty hands",
            lambda now_ms: [_event(each, "store.exit", now_ms) for each in both],
        ),
        Scene(
            at["buy"],
            "Ann buys after all, online",
            lambda now_ms: [_order(ann, "TOP-03", 59.0, now_ms)],
        ),
        Scene(leave_ms + tempo.window_ms, ""),
        Scene(leave_ms + tempo.wait_ms, ""),
        Scene(tempo.end_ms, "Nothing more happens"),
    ]


def _registration(person: Person) -> list[pb.IngestInput]:
    attributes = {
        "first_name": value_pb2.Value(text=person.name),
        "email": value_pb2.Value(text=person.email),
        "phone": value_pb2.Value(text=person.phone),
        "account.registered": value_pb2.Value(flag=True),
    }
    change = change_pb2.AttributeChange(identities=[person.identity], attributes=attributes)
    agreed = change_pb2.ConsentChange(
        identities=[person.identity],
        consents=[
            change_pb2.ChannelConsent(channel=channel, status=change_pb2.CONSENT_STATUS_IN)
            for channel in (change_pb2.CHANNEL_SMS, change_pb2.CHANNEL_EMAIL)
        ],
        preferred_channel=change_pb2.CHANNEL_SMS,
    )
    return [
        pb.IngestInput(attributes=pb.AttributesInput(change=change)),
        pb.IngestInput(consent=pb.ConsentInput(change=agreed)),
    ]


def _event(person: Person, kind: str, occurred_ms: int) -> pb.IngestInput:
    made = event_pb2.Event(event_id=f"{person.crm}-{kind}", type=kind, identities=[person.identity])
    made.occurred_time.CopyFrom(timestamp(occurred_ms))
    return pb.IngestInput(event=made)


def _order(person: Person, sku: str, total: float, occurred_ms: int) -> pb.IngestInput:
    made = _event(person, "order.placed", occurred_ms)
    made.event.items.add(sku=sku, quantity=1.0, price=total)
    made.event.properties["total"].number = total
    made.event.properties["channel"].text = "web"
    return made
