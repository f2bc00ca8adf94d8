"""People cross between partitions while everything fails: the shipped identity and segmentation.

Logs are in memory, identity's tables in real SQLite. Owners crash, lose answers and wake up as
zombies; in the end the people are who they would be in one partition where nothing ever failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy.exc import OperationalError

from coterie.log.v1.facts_pb2 import FactPack
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from segcore.rule import Aggregate, Compare, Comparison, Fold, Kind, Literal, Rows, Scope
from segcore.rule_json import to_json
from services.identity.domain.limits import Limits
from services.identity.domain.namespaces import Namespaces
from services.identity.stage import IdentityDerivation
from services.identity.state import Rules
from services.identity.store import IdentityStore
from services.kit.freshness import Freshness
from services.kit.ids import ordinal_of, partition_of, profile_id
from services.kit.log.port import Entry, LogError
from services.kit.log_stage import LogStage
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.segmentation import saved
from services.segmentation.partition import Partition
from services.segmentation.snapshots import Snapshots
from services.segmentation.stage import Memberships
from tests.sim.faults import Crash, Faults, FaultyDatabase, FaultyLog
from tests.sim.memory_log import MemoryLog, Stored

START_MS = 1_700_000_000_000
NAMESPACES = Namespaces(("crm", "email", "ecid"), frozenset({"crm"}))
NUMBERS = 8
TURNS = 60
ROUNDS_TO_REST = 400
PAUSES_DEEP = 2
OWNERS_OF_A_ROLE = 2
SNAPSHOT_FACTS = 1
RULES = {
    "seen": Aggregate(Rows(Scope.EVENT, ("view",)), Fold.EXISTS),
    "regular": Compare(
        Comparison.GE,
        Aggregate(Rows(Scope.EVENT, ("view",)), Fold.COUNT),
        Literal(3_000_000, Kind.NUMBER),
    ),
}


class PromptSnapshots(Snapshots):
    """Written at once and often, on the one thread that there is."""

    def take_if_due(self, partition: Partition) -> None:
        if self._unsaved_facts >= SNAPSHOT_FACTS:
            self.take(partition)

    def take(self, partition: Partition) -> None:
        saved.write(self._directory, saved.capture(partition))
        self._unsaved_facts = 0


@dataclass
class Owner:
    """One process that takes itself for the owner of a role."""

    role: str
    stage: LogStage
    derivation: IdentityDerivation | Memberships
    running: bool = False


class CrossingWorld:
    """One run over `partitions`; without faults where `calm`."""

    def __init__(self, seed: int, partitions: int, directory: Path, *, calm: bool = False) -> None:
        self._rng = Random(seed)
        self.faults = Faults(None if calm else Random(~seed))
        self.faults.pause = self._pause
        self._partitions = partitions
        self._directory = directory
        self._stored: dict[str, Stored] = {}
        self._database = Database("sqlite://")
        self._rules = Rules(NAMESPACES, partitions, Limits())
        IdentityStore(self._database, self._rules)
        self._depth = 0
        self._unanswered: list[Inbound] = []
        self._sent = 0
        roles = ["identity-0", *(f"segmentation-{number}" for number in range(partitions))]
        self._owners = [self._owner(role) for role in roles]

    def run(self) -> None:
        """Live through the turns and come to rest."""
        pack = InboundPack(inputs=definitions()).SerializeToString()
        self._calm_log("inbound").append([Entry(pack)])
        for _ in range(TURNS):
            self._turn()
        self.faults.stop()
        while self._unanswered:
            self.send(self._unanswered.pop())
        self.rest()

    def send(self, *inputs: Inbound) -> None:
        """Append inputs as one pack; what is not answered is sent again, later."""
        try:
            pack = InboundPack(inputs=inputs).SerializeToString()
            self._log("inbound").append([Entry(pack)])
        except (LogError, Crash):
            self._unanswered += inputs

    def inputs(self) -> Iterator[Inbound]:
        """Return what callers said, in the order of the log."""
        for record in self._calm_log("inbound").read(0, 100_000):
            for one in InboundPack.FromString(record.payload).inputs:
                if not one.HasField("handoff"):
                    yield one

    def departures(self) -> int:
        """Return how many people crossed."""
        return sum(
            fact.HasField("departure")
            for number in range(self._partitions)
            for record in self._calm_log(f"facts-{number}").read(0, 100_000)
            for fact in FactPack.FromString(record.payload).facts
        )

    def set_aside(self) -> int:
        """Return how many records were set aside."""
        return sum(
            record.dead_letter
            for name in self._stored
            for record in self._calm_log(name).read(0, 100_000)
        )

    def people(self) -> dict[str, Any]:
        """Return all that can be seen of everybody, by identifiers alone."""
        identity = next(one for one in self._owners if one.role == "identity-0").derivation
        assert isinstance(identity, IdentityDerivation)
        assert identity.in_flight == 0
        graph = identity.state.graph
        seen = {}
        for namespace in NAMESPACES.order:
            for number in range(NUMBERS):
                holder = graph.holder((namespace, str(number)))
                if holder is not None:
                    names = ",".join(sorted(f"{n}:{v}" for n, v in graph.identifiers_of(holder)))
                    seen[names] = self._seen(holder)
        return seen

    def _seen(self, person: int) -> Any:
        partition = self._partition(partition_of(person))
        ordinal = ordinal_of(person)
        memberships = [partition.membership(name, ordinal, person) for name in RULES]
        return (
            sorted(event.event_id for event in partition.engine.history(ordinal).events),
            [(one.member, one.change and one.change.enter_ms) for one in memberships],
        )

    def crowded(self) -> list[int]:
        """Return the members of all audiences that are nobody of the graph: there are none."""
        identity = next(one for one in self._owners if one.role == "identity-0").derivation
        assert isinstance(identity, IdentityDerivation)
        live = identity.state.graph
        return [
            person
            for number in range(self._partitions)
            for name in RULES
            for ordinal in self._partition(number).engine.members(name)
            if live.live(person := profile_id(number, ordinal)) != person
        ]

    def rest(self) -> None:
        """Let one owner of each role, whichever it is, finish the work with what it remembers."""
        self._rng.shuffle(self._owners)
        self._owners = list({owner.role: owner for owner in self._owners}.values())
        for _ in range(ROUNDS_TO_REST):
            idle = [self._step(owner) for owner in list(self._owners)]
            if all(idle):
                return
        raise AssertionError("it does not come to rest")

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _turn(self) -> None:
        draw = self._rng.random()
        if draw < 0.35:
            self.send(*(self._input() for _ in range(self._rng.randint(1, 3))))
        elif draw < 0.38 and self._unanswered:
            self.send(self._unanswered.pop(self._rng.randrange(len(self._unanswered))))
        elif draw < 0.42:
            self._take_over(self._rng.choice([owner.role for owner in self._owners]))
        else:
            idle = [owner for owner in self._owners if not owner.running]
            if idle:
                self._step(self._rng.choice(idle))

    def _pause(self) -> None:
        if self._depth == PAUSES_DEEP:
            return
        self._depth += 1
        for _ in range(self._rng.randint(1, 5)):
            self._turn()
        self._depth -= 1

    def _input(self) -> Inbound:
        self._sent += 1
        one = Inbound(input_id=f"e{self._sent}", received_ms=START_MS)
        one.event.event_id, one.event.type = one.input_id, "view"
        for namespace in self._rng.sample(NAMESPACES.order, self._rng.randint(1, 2)):
            number = str(self._rng.randrange(NUMBERS))
            one.event.identities.add(namespace=namespace, value=number)
        return one

    def _step(self, owner: Owner) -> bool:
        owner.running = True
        try:
            return owner.stage.step(self._rng.randint(1, 4)) == 0
        except Crash:
            self._owners.remove(owner)
            if all(other.role != owner.role for other in self._owners):
                self._owners.append(self._owner(owner.role))
        except (LogError, OperationalError):
            pass
        finally:
            owner.running = False
        return False

    def _take_over(self, role: str) -> None:
        if sum(owner.role == role for owner in self._owners) < OWNERS_OF_A_ROLE:
            self._owners.append(self._owner(role))

    def _owner(self, role: str) -> Owner:
        name, number = role.split("-")
        if name == "identity":
            database = FaultyDatabase(self._database, self.faults)
            store = IdentityStore(database, self._rules)
            identity = IdentityDerivation(store, self._rules, Freshness(), Tracing())
            sinks = [self._log(f"facts-{each}") for each in range(self._partitions)]
            return Owner(role, LogStage(name, 0, self._log("inbound"), sinks, identity), identity)
        partition = int(number)
        inbound = self._log("inbound")
        memberships = Memberships(
            partition,
            self._directory,
            Freshness(self._partitions),
            Tracing(),
            lambda payload: inbound.append([Entry(payload)]),
        )
        memberships._snapshots = PromptSnapshots(self._directory, partition)
        source, sinks = self._log(f"facts-{number}"), [self._log(f"transitions-{number}")]
        return Owner(role, LogStage(name, partition, source, sinks, memberships), memberships)

    def _partition(self, number: int) -> Partition:
        owner = next(one for one in self._owners if one.role == f"segmentation-{number}")
        assert isinstance(owner.derivation, Memberships)
        return owner.derivation.partition

    def _log(self, name: str) -> FaultyLog:
        return FaultyLog(self._calm_log(name), self.faults)

    def _calm_log(self, name: str) -> MemoryLog:
        return MemoryLog(name, self._stored.setdefault(name, Stored()))


def definitions() -> Sequence[Inbound]:
    """Return the audiences, proposed and at once live."""
    found = []
    for name, rule in RULES.items():
        proposed = Inbound(input_id=f"p-{name}", received_ms=START_MS)
        proposal = proposed.audience_proposal
        proposal.audience_id, proposal.version, proposal.rule_json = name, 1, to_json(rule)
        live = Inbound(input_id=f"a-{name}", received_ms=START_MS)
        live.audience_activation.audience_id, live.audience_activation.version = name, 1
        found += [proposed, live]
    return found
