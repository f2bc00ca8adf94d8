"""A stage over logs in memory or on disk, and the inputs that the tests feed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from coterie.type.v1.identity_pb2 import Identity
from services.identity.domain.limits import Limits
from services.identity.domain.namespaces import Namespaces
from services.identity.stage import IdentityDerivation
from services.identity.state import Rules
from services.identity.store import IdentityStore
from services.kit.freshness import Freshness
from services.kit.ids import derive_id
from services.kit.log.port import Entry, Record
from services.kit.log.sql import SqlLog, create_logs
from services.kit.log_stage import LogStage
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from tests.databases import Databases

NAMESPACES = Namespaces(("crm", "loyalty", "email", "phone", "ecid"), frozenset({"crm", "loyalty"}))
START_MS = 1_700_000_000_000


def identity(text: str) -> Identity:
    namespace, _, value = text.partition(":")
    return Identity(namespace=namespace, value=value)


def event(input_id: str, *ids: str, at_ms: int = START_MS, primary: str = "") -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.event.event_id = input_id
    message.event.type = "page_view"
    message.event.primary_namespace = primary
    message.event.identities.extend(map(identity, ids))
    return message


def link(input_id: str, *ids: str, at_ms: int = START_MS) -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.link.identities.extend(map(identity, ids))
    return message


def unlink(input_id: str, *ids: str, at_ms: int = START_MS) -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.unlink.identities.extend(map(identity, ids))
    return message


def erasure(input_id: str, profile_id: int, at_ms: int = START_MS) -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.erasure.profile_id = profile_id
    return message


def attributes(input_id: str, *ids: str, at_ms: int = START_MS, **values: str) -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.attributes.identities.extend(map(identity, ids))
    for name, text in values.items():
        message.attributes.attributes[name].text = text
    return message


def outcome(input_id: str, profile_id: int, at_ms: int = START_MS) -> Inbound:
    message = Inbound(input_id=input_id, received_ms=at_ms)
    message.message_outcome.message_id = input_id
    message.message_outcome.profile_id = profile_id
    return message


def tick(at_ms: int) -> Inbound:
    message = Inbound(received_ms=at_ms)
    message.tick.SetInParent()
    return message


def handoff(merge_id: str, service: str = "segmentation", state: bytes = b"all") -> Inbound:
    message = Inbound(input_id=derive_id("handoff", merge_id, service), received_ms=START_MS)
    message.handoff.merge_id = merge_id
    message.handoff.service = service
    message.handoff.state = state
    return message


@dataclass
class Workplace:
    """Logs, tables and the stage between them; `restart` is a new process on the same tables."""

    databases: Databases | None = None
    partitions: int = 1
    namespaces: Namespaces = NAMESPACES
    limits: Limits = field(default_factory=Limits)
    tracing: Tracing = field(default_factory=Tracing)

    def __post_init__(self) -> None:
        given = self.databases
        self.log_database = given.open("log") if given else Database("sqlite://")
        self.database = given.open("identity") if given else Database("sqlite://")
        create_logs(self.log_database)
        self.inbound = SqlLog(self.log_database, "inbound")
        self.facts = [
            SqlLog(self.log_database, f"facts-{number}") for number in range(self.partitions)
        ]
        self.freshness = Freshness()
        self.restart()

    def restart(self) -> None:
        rules = Rules(self.namespaces, self.partitions, self.limits)
        self.store = IdentityStore(self.database, rules)
        self.derivation = IdentityDerivation(self.store, rules, self.freshness, self.tracing)
        self.stage = LogStage("identity", 0, self.inbound, self.facts, self.derivation)
        self.stage.recover()

    def feed(self, *inputs: Inbound) -> int:
        pack = InboundPack(inputs=inputs).SerializeToString()
        return self.inbound.append([Entry(pack)])

    def run(self, limit: int = 32) -> None:
        while self.stage.step(limit):
            pass

    def take(self, *inputs: Inbound, partition: int = 0) -> list[Fact]:
        """Feed one pack; return the facts that it gives."""
        seq = self.feed(*inputs)
        self.run()
        found = [one for one in self.packs(partition) if one.inbound_seq == seq]
        return [fact for pack in found for fact in pack.facts]

    def records(self, partition: int = 0) -> Sequence[Record]:
        return self.facts[partition].read(0, 1_000_000)

    def packs(self, partition: int = 0) -> list[FactPack]:
        return [FactPack.FromString(record.payload) for record in self.records(partition)]

    def payloads(self) -> list[list[tuple[int, bytes]]]:
        """What all facts logs hold: source and bytes of each record."""
        return [
            [(record.source, record.payload) for record in self.records(partition)]
            for partition in range(self.partitions)
        ]

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table of the stage's own, once all is saved."""
        state = self.derivation.state
        self.store.save(state, self.derivation.position)
        state.clear_unsaved()
        names = ("profiles", "identifiers", "separations", "inputs", "journal", "log_time")
        names += ("transits", "handoffs", "parked_inputs")
        with self.database.read() as connection:
            return {
                name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}")))  # noqa: S608
                for name in names
            }

    def close(self) -> None:
        self.log_database.close()
        self.database.close()
