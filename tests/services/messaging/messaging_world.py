"""One deployment of messaging without its host: logs, tables, stages and a dispatcher, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message as Proto
from sqlalchemy import Table, select

from coterie.log.v1 import facts_pb2, inbound_pb2, intents_pb2
from coterie.messaging.v1 import message_pb2, template_pb2
from coterie.type.v1 import change_pb2, event_pb2, value_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from services.kit.ids import derive_id, profile_id
from services.kit.log.paired import PairedLog
from services.kit.log.port import Entry
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage
from services.kit.telemetry import Tracing
from services.messaging import tables
from services.messaging.dispatcher import Dispatcher
from services.messaging.domain.lanes import Lane
from services.messaging.ledger import Ledger
from services.messaging.providers.port import Provider
from services.messaging.relay import Relay
from services.messaging.rendering.renderer import Renderer
from services.messaging.stage import STAGE, MessagingProjection
from services.messaging.store import MessagingStore
from tests.kit.fact_contents import describe_contents

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
BETH = profile_id(0, 1)

IN, OUT = change_pb2.CONSENT_STATUS_IN, change_pb2.CONSENT_STATUS_OUT
EMAIL, SMS, PUSH = change_pb2.CHANNEL_EMAIL, change_pb2.CHANNEL_SMS, change_pb2.CHANNEL_PUSH
PHONE = "+0123456789+171101"

PENDING = type_pb2.MESSAGE_STATE_PENDING
SENDING = type_pb2.MESSAGE_STATE_SENDING
SENT = type_pb2.MESSAGE_STATE_SENT
DISCARDED = type_pb2.MESSAGE_STATE_DISCARDED
FAILED = type_pb2.MESSAGE_STATE_FAILED
UNKNOWN = type_pb2.MESSAGE_STATE_UNKNOWN
CANCELLED = type_pb2.MESSAGE_STATE_CANCELLED


def value(plain: str | float | None) -> value_pb2.Value:
    if plain is None:
        return value_pb2.Value()
    if isinstance(plain, str):
        return value_pb2.Value(text=plain)
    return value_pb2.Value(number=plain)


def attributes(
    person: int = BETH, *, as_of: int | None = None, **plain: str | float | None
) -> facts_pb2.Fact:
    """Return a change of attributes; `__` in a name stands for a dot."""
    values = {name.replace("__", "."): value(each) for name, each in plain.items()}
    change = change_pb2.AttributeChange(attributes=values)
    if as_of is not None:
        change.as_of_time.FromMilliseconds(as_of)
    return facts_pb2.Fact(profile_id=person, attributes=change)


def consent(
    person: int = BETH, *, preferred: int = 0, as_of: int | None = None, **said: int
) -> facts_pb2.Fact:
    channels = {"email": EMAIL, "sms": SMS, "push": PUSH}
    change = change_pb2.ConsentChange(
        consents=[
            change_pb2.ChannelConsent(channel=channels[name], status=status)  # type: ignore[arg-type]
            for name, status in said.items()
        ],
        preferred_channel=preferred,  # type: ignore[arg-type]
    )
    if as_of is not None:
        change.as_of_time.FromMilliseconds(as_of)
    return facts_pb2.Fact(profile_id=person, consent=change)


def event(kind: str, at: int, person: int = BETH) -> facts_pb2.Fact:
    made = event_pb2.Event(event_id=f"{kind}-{at}", type=kind)
    made.occurred_time.FromMilliseconds(at)
    return facts_pb2.Fact(profile_id=person, event=made)


def item(sku: str, **facts: Any) -> facts_pb2.Fact:
    return facts_pb2.Fact(catalog_item=change_pb2.CatalogItem(sku=sku, **facts))


def template(
    text: str, version: int = 1, template_id: str = "hello", **parts: Any
) -> facts_pb2.Fact:
    fact = facts_pb2.Fact(input_id=f"{template_id}-{version}")
    publication = fact.template_publication
    publication.template_id, publication.version = template_id, version
    publication.template.CopyFrom(template_pb2.Template(text=text, **parts))
    return fact


def tick() -> facts_pb2.Fact:
    fact = facts_pb2.Fact()
    fact.tick.SetInParent()
    return fact


def merged(loser: int, winner: int, *, arrives: bool = False) -> facts_pb2.Fact:
    fact = facts_pb2.Fact(profile_id=winner)
    fact.profiles_merged.merge_id = "m1"
    fact.profiles_merged.merged_profile_id = loser
    if arrives:
        fact.profiles_merged.arrival.guest_profile_id = 0
    return fact


def departs(person: int, into: int) -> facts_pb2.Fact:
    fact = facts_pb2.Fact(profile_id=person)
    fact.departure.merge_id, fact.departure.into_profile_id = "m1", into
    return fact


def told(inbound: inbound_pb2.Inbound, person: int = BETH) -> facts_pb2.Fact:
    """Return the fact that an outcome becomes."""
    return facts_pb2.Fact(profile_id=person, message_outcome=inbound.message_outcome)


def send(
    name: str = "m",
    *channels: int,
    at: int = NOON,
    person: int = BETH,
    index: int = 0,
    traceparent: str = "",
    **asked: Any,
) -> intents_pb2.Intent:
    """Return an intent; without channels it goes by SMS."""
    fields: dict[str, Any] = {"campaign": "welcome", "template_id": "hello", "journey_id": "j"}
    fields |= {"version": 1, "instance_id": "i", "step": "s", **asked}
    wanted = channels or (type_pb2.SEND_CHANNEL_SMS,)
    return intents_pb2.Intent(
        intent_id=message_id(name),
        profile_id=person,
        index=index,
        at_ms=at,
        traceparent=traceparent,
        send=intents_pb2.SendIntent(channels=wanted, **fields),  # type: ignore[arg-type]
    )


def cancel(name: str = "m", reason: str = "exit_rule", index: int = 0) -> intents_pb2.Intent:
    body = intents_pb2.CancelIntent(reason=reason)
    return intents_pb2.Intent(
        intent_id=message_id(name), profile_id=BETH, index=index, at_ms=NOON, cancel=body
    )


def message_id(name: str) -> str:
    return derive_id("test", name)


@dataclass
class Partition:
    """The logs of one partition and its stage."""

    number: int
    facts: SqlLog
    intents: SqlLog
    fed: list[tuple[facts_pb2.FactPack, list[intents_pb2.Intent]]] = field(default_factory=list)


class World:
    """Logs and tables that outlive stages and dispatchers; `restart` gives new ones."""

    def __init__(
        self,
        database: Database | None = None,
        *,
        exact: bool = True,
        partitions: int = 1,
        tracing: Tracing | None = None,
    ) -> None:
        self.database = database or Database("sqlite://")
        self.log_database = Database("sqlite://")
        create_logs(self.log_database)
        self.inbound = SqlLog(self.log_database, "inbound")
        self.exact = exact
        self.tracing = tracing or Tracing()
        self.clock_ms = NOON
        self.providers: dict[Lane, Provider] = {}
        self.renderer = Renderer()
        self.partitions = [
            Partition(
                number,
                SqlLog(self.log_database, f"facts-{number}"),
                SqlLog(self.log_database, f"intents-{number}"),
            )
            for number in range(partitions)
        ]
        self.restart()

    def restart(self) -> None:
        """Forget what is in memory, as a process that starts again."""
        self.database.create(tables.metadata)
        self.store = MessagingStore(self.database, "UTC")
        self.projections = [self._projection(each.number) for each in self.partitions]
        self.stages = [
            SqlStage(
                STAGE, each.number, PairedLog(each.facts, each.intents), self.database, projection
            )
            for each, projection in zip(self.partitions, self.projections, strict=True)
        ]
        self.ledger = Ledger(self.database, "UTC", lambda: self.clock_ms, self.stamp_ms)
        self.relay = Relay(self.database, self._append)
        self.dispatcher = Dispatcher(
            self.ledger, self.renderer, self.providers, self.tracing, lambda: None
        )

    def close(self) -> None:
        self.renderer.close()
        self.database.close()
        self.log_database.close()

    def stamp_ms(self) -> int:
        return max(each.log_time_ms for each in self.projections)

    def feed(
        self,
        *facts: facts_pb2.Fact,
        at: int = NOON,
        intents: Iterable[intents_pb2.Intent] = (),
        partition: int = 0,
    ) -> None:
        """Append one record of inputs, a fact each, with the intents of them, and apply it."""
        self.append(*facts, at=at, intents=intents, partition=partition)
        self.apply(partition)

    def append(
        self,
        *facts: facts_pb2.Fact,
        at: int = NOON,
        intents: Iterable[intents_pb2.Intent] = (),
        partition: int = 0,
    ) -> None:
        mine = self.partitions[partition]
        seq = mine.facts.last_seq() + 1
        pack = facts_pb2.FactPack(inbound_seq=seq)
        for index, fact in enumerate(facts):
            added = pack.facts.add()
            added.CopyFrom(fact)
            added.index, added.log_time_ms = index, at
            added.received_ms = added.received_ms or at
        asked = list(intents)
        describe_contents(pack)
        mine.fed.append((pack, asked))
        self._write(mine, pack, asked)

    def apply(self, partition: int = 0) -> None:
        while self.stages[partition].step(32):
            pass

    def replayed(self, other: World) -> None:
        """Write what this world was fed into another one, and apply it in one go."""
        for mine, theirs in zip(self.partitions, other.partitions, strict=True):
            for pack, intents in mine.fed:
                other._write(theirs, pack, intents)
            other.apply(theirs.number)

    async def dispatch(self) -> None:
        """Send what is due, until nothing is due at this log time, and tell what came of it."""
        while await self.dispatcher.send_due():
            await self.dispatcher.idle()
        while await self.relay.relay():
            pass

    def message(self, name: str = "m") -> message_pb2.Message:
        found = self.store.message(message_id(name))
        assert found is not None
        return found

    def fate(self, name: str = "m") -> tuple[int, str]:
        found = self.message(name)
        return found.state, found.reason

    def outcomes(self) -> list[inbound_pb2.Inbound]:
        packs = (
            inbound_pb2.InboundPack.FromString(record.payload)
            for record in self.inbound.read(0, 1000)
        )
        return [each for pack in packs for each in pack.inputs]

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return sorted(tuple(row) for row in connection.execute(select(table)))

    def _projection(self, number: int) -> MessagingProjection:
        return MessagingProjection(
            number, self.database, self.tracing, lambda _seq: None, "UTC", exact=self.exact
        )

    async def _append(self, payload: bytes) -> int:
        return await asyncio.to_thread(self.inbound.append, [Entry(payload)])

    @staticmethod
    def _write(
        mine: Partition, pack: facts_pb2.FactPack, intents: list[intents_pb2.Intent]
    ) -> None:
        seq = mine.facts.append([Entry(_bytes(pack), pack.inbound_seq)])
        asked = intents_pb2.IntentPack(facts_seq=seq, intents=intents)
        mine.intents.append([Entry(_bytes(asked), seq)])


def _bytes(message: Proto) -> bytes:
    return message.SerializeToString(deterministic=True)


def reachable(person: int = BETH, **said: Any) -> list[facts_pb2.Fact]:
    """Return the facts of a person with a phone who has agreed to SMS, and a template."""
    return [
        attributes(person, phone=PHONE, first_name="Beth", **said),
        consent(person, sms=IN),
        template("Hey {{ profile.first_name }}"),
    ]


def only(values: Mapping[str, Any]) -> Any:
    """Return the one value that there is."""
    (value,) = values.values()
    return value
