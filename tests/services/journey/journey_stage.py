"""One partition's stage on real logs and a real database, with what it reads written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyroaring import BitMap
from sqlalchemy import select

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import facts_pb2, inbound_pb2, intents_pb2, transitions_pb2
from segcore.rule import Expression, Rows
from segcore.rule_json import to_json
from services.journey import codec, tables
from services.journey.conditions import rows_to_json
from services.journey.domain.instance import Instance
from services.journey.relay import Relay
from services.journey.stage import STAGE, JourneyProjection
from services.kit.log.paired import PairedLog
from services.kit.log.port import Entry
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage
from services.kit.telemetry import Tracing
from tests.kit.fact_contents import describe_contents

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@dataclass
class Input:
    """One input: its facts, all at one log time, and the transitions that come with it."""

    facts: list[facts_pb2.Fact]
    transitions: list[transitions_pb2.Transition] = field(default_factory=list)


class World:
    """Logs and tables that outlive the stages over them."""

    def __init__(self, partitions: int = 1, database: Database | None = None) -> None:
        self.database = database or Database("sqlite://")
        self.log_database = Database("sqlite://")
        create_logs(self.log_database)
        self.inbound = SqlLog(self.log_database, "inbound")
        self.partitions = [Partition(self, number) for number in range(partitions)]
        self.database.create(tables.metadata)

    def close(self) -> None:
        self.database.close()
        self.log_database.close()

    def handoffs(self) -> list[inbound_pb2.Inbound]:
        packs = [inbound_pb2.InboundPack.FromString(r.payload) for r in self.inbound.read(0, 1000)]
        return [one for pack in packs for one in pack.inputs]


class Partition:
    """The logs of one partition; `start` gives a new owner."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.facts = SqlLog(world.log_database, f"facts-{number}")
        self.transitions = SqlLog(world.log_database, f"transitions-{number}")
        self.intents = SqlLog(world.log_database, f"intents-{number}")
        self.fed: list[tuple[int, list[Any], list[Any]]] = []

    def start(self, tracing: Tracing | None = None) -> SqlStage:
        database = self.world.database
        relay = Relay(self.number, database, self.intents, self.world.inbound, lambda at: at)
        self.projection = JourneyProjection(
            self.number, database, tracing or Tracing(), relay, lambda *_: None
        )
        source = PairedLog(self.facts, self.transitions)
        return SqlStage(STAGE, self.number, source, database, self.projection)

    def feed(self, *inputs: Input) -> int:
        """Append one record with these inputs."""
        seq = self.facts.last_seq() + 1
        pack = facts_pb2.FactPack(inbound_seq=seq)
        changes = transitions_pb2.TransitionPack(facts_seq=seq, inbound_seq=seq)
        for index, each in enumerate(inputs):
            for fact in each.facts:
                fact.index = index
            for transition in each.transitions:
                transition.index = index
                transition.facts_seq = seq
            pack.facts.extend(each.facts)
            changes.transitions.extend(each.transitions)
        describe_contents(pack)
        self.facts.append([Entry(pack.SerializeToString(), seq)])
        self.transitions.append([Entry(changes.SerializeToString(), seq)])
        self.fed.append((seq, list(pack.facts), list(changes.transitions)))
        return seq

    def work(self, stage: SqlStage | None = None) -> SqlStage:
        stage = stage or self.start()
        while stage.step(32):
            pass
        return stage

    def instances(self) -> list[Instance]:
        with self.world.database.read() as connection:
            rows = connection.execute(
                select(tables.instances)
                .where(tables.instances.c.partition == self.number)
                .order_by(tables.instances.c.entry_ms, tables.instances.c.instance_id)
            )
            return [codec.instance_of(row) for row in rows.mappings()]

    def wanted(self) -> list[tuple[Any, ...]]:
        """What the intents log holds, as the model says it; each facts record is there once."""
        found: list[tuple[Any, ...]] = []
        sources = []
        for record in self.intents.read(0, 10_000):
            pack = intents_pb2.IntentPack.FromString(record.payload)
            assert pack.facts_seq == record.source
            sources.append(record.source)
            for one in pack.intents:
                head = (record.source, one.index, one.profile_id)
                word = one.send.step if one.HasField("send") else one.cancel.reason
                kind = "send" if one.HasField("send") else "cancel"
                found.append((*head, kind, one.intent_id, one.at_ms, word))
        assert sources == sorted(set(sources))
        return found


def tick(at_ms: int, *transitions: transitions_pb2.Transition) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms)
    fact.tick.SetInParent()
    return Input([fact], list(transitions))


def event(  # noqa: PLR0913, PLR0917
    at_ms: int,
    person: int,
    kind: str,
    event_id: str,
    occurred_ms: int | None = None,
    transitions: Iterable[transitions_pb2.Transition] = (),
    **properties: str,
) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=person)
    fact.event.event_id, fact.event.type = event_id, kind
    if occurred_ms is not None:
        fact.event.occurred_time.FromMilliseconds(occurred_ms)
    for name, text in properties.items():
        fact.event.properties[name].text = text
    return Input([fact], list(transitions))


def change(
    audience_id: str, person: int, at_ms: int, *, entered: bool = True, cause: str = "EVENT"
) -> transitions_pb2.Transition:
    return transitions_pb2.Transition(
        audience_id=audience_id,
        version=1,
        change=(transitions_pb2.CHANGE_ENTERED if entered else transitions_pb2.CHANGE_EXITED),
        at_ms=at_ms,
        cause=transitions_pb2.Cause.Value(f"CAUSE_{cause}"),
        profile_id=person,
    )


def going_live(audience_id: str, people: Iterable[int], at_ms: int) -> Input:
    """An audience of the partition 0 that goes live with these members."""
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms)
    fact.audience_activation.audience_id = audience_id
    first = change(audience_id, 0, at_ms, cause="DEFINITION")
    first.profile_ordinals = BitMap(people).serialize()
    return Input([fact], [first])


def outcome(at_ms: int, person: int, message: str, state: int, reason: str = "") -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=person)
    fact.message_outcome.message_id = message
    fact.message_outcome.state = state  # type: ignore[assignment]
    fact.message_outcome.reason = reason
    return Input([fact])


def merge(
    at_ms: int,
    winner: int,
    loser: int,
    transitions: Iterable[transitions_pb2.Transition] = (),
    guest: int = 0,
) -> Input:
    """A merge; with a guest the loser comes from another partition."""
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=winner)
    fact.profiles_merged.merge_id = f"merge-{winner}-{loser}"
    fact.profiles_merged.merged_profile_id = loser
    if guest:
        fact.profiles_merged.arrival.guest_profile_id = guest
    return Input([fact], list(transitions))


def departure(at_ms: int, person: int, into: int) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=person)
    fact.departure.merge_id = f"merge-{into}-{person}"
    fact.departure.into_profile_id = into
    return Input([fact])


def stock(at_ms: int, sku: str, units: float) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms)
    fact.catalog_item.sku, fact.catalog_item.stock = sku, units
    return Input([fact])


def stop(at_ms: int, journey_id: str, *, end_instances: bool) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms)
    fact.journey_stop.journey_id = journey_id
    fact.journey_stop.end_instances = end_instances
    return Input([fact])


def publish(
    at_ms: int,
    journey_id: str,
    journey: journey_pb2.Journey,
    rules: dict[str, Expression | Rows] | None = None,
    version: int = 1,
) -> Input:
    """A version that goes live with these conditions by their places."""
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, input_id=f"{journey_id}-{version}")
    published = fact.journey_publication
    published.journey_id, published.version = journey_id, version
    published.journey.CopyFrom(journey)
    for place, rule in (rules or {}).items():
        text = rows_to_json(rule) if isinstance(rule, Rows) else to_json(rule)
        published.conditions_json[place] = text
    return Input([fact])


def wait(step: str, length_ms: int, *, after_entry: bool = False) -> journey_pb2.Step:
    made = journey_pb2.Step(id=step)
    field_name = "until_after_entry" if after_entry else "duration"
    getattr(made.wait, field_name).FromMilliseconds(length_ms)
    return made


def wait_for(step: str, timeout_ms: int, timeout_step: str = "") -> journey_pb2.Step:
    made = journey_pb2.Step(id=step)
    made.wait_for.rule = "as compiled"
    made.wait_for.timeout.FromMilliseconds(timeout_ms)
    made.wait_for.timeout_step = timeout_step
    return made


def branch(step: str, else_step: str = "") -> journey_pb2.Step:
    made = journey_pb2.Step(id=step)
    made.branch.rule, made.branch.else_step = "as compiled", else_step
    return made


def send(step: str) -> journey_pb2.Step:
    made = journey_pb2.Step(id=step)
    made.send.campaign, made.send.template = step, "templates/hello"
    made.send.channels.append(2)
    return made


def go_to(step: str, target: str) -> journey_pb2.Step:
    made = journey_pb2.Step(id=step)
    made.go_to.step = target
    return made


def by_audience(audience_id: str, *steps: journey_pb2.Step) -> journey_pb2.Journey:
    made = journey_pb2.Journey(steps=steps)
    made.entry.audience = f"audiences/{audience_id}"
    return made


def by_rows(key: int, *steps: journey_pb2.Step) -> journey_pb2.Journey:
    made = journey_pb2.Journey(steps=steps)
    made.entry.rows = "as compiled"
    made.entry.key = key  # type: ignore[assignment]
    return made
