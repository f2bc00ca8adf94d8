"""Plays a scenario through the real services on a virtual clock, and judges what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import grpc

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import change_pb2, identity_pb2, value_pb2
from services.host.client import Behind, Client
from services.host.embedded import Suite
from services.kit.config import SERVICES, Config
from tests.scenarios.cel import resource_id
from tests.scenarios.collecting import collect
from tests.scenarios.faults import ScenarioError
from tests.scenarios.inputs import Intake, identities, stamp
from tests.scenarios.judging import MISSING, READ, Judge, Reader
from tests.scenarios.mailbox import Mailbox
from tests.scenarios.people import People
from tests.scenarios.scenario import Claim, Input, Scenario
from tests.scenarios.telling import Told, publish_audience, tell
from tests.scenarios.times import MINUTE
from tests.scenarios.verdict import Verdict, fails, not_yet

LEAD_MS = MINUTE
"""How long before the first input the definitions are there."""
BATCH = 500
_CALLS = ("link", "audience")
"""What arrives as a call of its own, after all that was there before it."""


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario's expectations with what each came to, or why it could not be played at all."""

    scenario: Scenario
    partitions: int
    verdicts: Sequence[Verdict]
    stopped: str = ""


async def play(scenario: Scenario, directory: Path, partitions: int) -> Played:
    """Play a scenario on a new directory; what goes wrong on the way fails all of it.

    A scenario of which no expectation can be tried yet is not played.
    """
    if all(claim.kind in MISSING for claim in scenario.claims):
        missing = [not_yet(MISSING[claim.kind]) for claim in scenario.claims]
        return Played(scenario, partitions, missing)
    try:
        return Played(scenario, partitions, await _verdicts(scenario, directory, partitions))
    except (ScenarioError, Behind) as error:
        stopped = str(error)
    except grpc.aio.AioRpcError as error:
        stopped = f"{error.code().name}: {error.details()}"
    return Played(scenario, partitions, [fails(stopped)] * len(scenario.claims), stopped)


async def _verdicts(scenario: Scenario, directory: Path, partitions: int) -> list[Verdict]:
    async with Mailbox() as mailbox:
        config = Config(
            data_dir=directory,
            clock="virtual",
            ports=dict.fromkeys(SERVICES, 0),
            partitions=partitions,
            namespaces=scenario.namespaces,
            unique_namespaces=scenario.unique,
            zone=scenario.zone,
            providers=mailbox.providers,
            log_level="error",
        )
        suite = Suite(config)
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                return await _Run(scenario, client, mailbox).play()
        finally:
            await suite.stop()


class _Run:
    """One way through a timeline."""

    def __init__(self, scenario: Scenario, client: Client, mailbox: Mailbox) -> None:
        self._scenario, self._client, self._mailbox = scenario, client, mailbox
        self._people = People(client)
        self._intake = Intake()
        self._read: dict[int, Verdict] = {}

    async def play(self) -> list[Verdict]:
        scenario, client = self._scenario, self._client
        instants = _instants(scenario)
        start_ms = instants[0] - LEAD_MS
        await client.tick(start_ms)
        told = await tell(client, scenario, self._intake, start_ms)
        reader = Reader(scenario, self._people, told)
        arrivals = {at: list(group) for at, group in groupby(scenario.inputs, lambda i: i.at_ms)}
        for at_ms in instants:
            if at_ms in arrivals:
                if told.plans:
                    await self._pass(at_ms - 1)
                await self._arrive(arrivals[at_ms])
            claims = list(_due(scenario, at_ms))
            if claims:
                # It ends with a tick, by which all partitions know how far the log has come.
                await client.advance(at_ms)
            for claim in claims:
                self._read[claim.index] = await reader.read(claim)
        await client.advance(scenario.end_ms)
        return await self._judge(told)

    async def _pass(self, to_ms: int) -> None:
        """Let everything happen that is due up to an instant.

        The clock moves only where something is due: the gateway moves it for each input anyway.
        Where there is no journey, nothing goes out of the log and comes back, so that the instants
        between two inputs need no stop.
        """
        stages = await self._client.rest()
        due = [s.next_due_time.ToMilliseconds() for s in stages if s.HasField("next_due_time")]
        if due and min(due) <= to_ms:
            await self._client.advance(to_ms)

    async def _judge(self, told: Told) -> list[Verdict]:
        arrived = self._mailbox.arrivals()
        record = await collect(self._client, self._people, self._scenario, told, arrived)
        judge = Judge(record, self._read)
        return [judge.judge(claim) for claim in self._scenario.claims]

    async def _arrive(self, arrivals: Iterable[Input]) -> None:
        """Bring the inputs of one instant in, in order; what nobody did is left out."""
        waiting: list[profile_pb.IngestInput] = []
        for each in arrivals:
            if each.kind in _CALLS:
                await self._send(waiting)
                waiting = []
                await (self._link(each) if each.kind == "link" else self._publish(each))
            elif each.kind != "event" or each.body["ids"]:
                waiting += self._intake.inputs(each)
        await self._send(waiting)

    async def _send(self, inputs: Sequence[profile_pb.IngestInput]) -> None:
        for first in range(0, len(inputs), BATCH):
            batch = profile_pb.IngestBatchRequest(inputs=inputs[first : first + BATCH])
            answer = await self._client.profile.IngestBatch(batch)
            for refused in answer.refused:
                raise ScenarioError(f"input refused: {refused.error.message}")

    async def _link(self, arrival: Input) -> None:
        ids = identities(arrival.body["ids"])
        await self._come_to(arrival.at_ms, ids[0])
        await self._client.identity.Link(identity_pb.LinkRequest(identities=ids))

    async def _publish(self, arrival: Input) -> None:
        """Publish a list; whom nobody knows is left out of it."""
        known: dict[int, identity_pb2.Identity] = {}
        for ids in arrival.body["members"]:
            found = zip(await self._people.resolve(ids), identities(ids), strict=True)
            person, identity = next(((who, by) for who, by in found if who), (0, None))
            if identity is not None:
                known.setdefault(person, identity)
        if known:
            await self._come_to(arrival.at_ms, next(iter(known.values())))
        else:
            await self._client.tick(arrival.at_ms)
        await publish_audience(self._client, resource_id(arrival.body["name"]), list(known))

    async def _come_to(self, at_ms: int, identity: identity_pb2.Identity) -> None:
        """Let the clock show the instant of arrival of a call: an input brings it there."""
        change = change_pb2.AttributeChange(
            identities=[identity], attributes={"linked": value_pb2.Value()}
        )
        moved = profile_pb.IngestInput(attributes=profile_pb.AttributesInput(change=change))
        moved.received_time.CopyFrom(stamp(at_ms))
        await self._send([moved])


def _instants(scenario: Scenario) -> list[int]:
    """Return every instant at which something arrives or is read, and the end, in order."""
    read = {each.at_ms for each in scenario.claims if each.at_ms is not None}
    return sorted({*(each.at_ms for each in scenario.inputs), *read, scenario.end_ms})


def _due(scenario: Scenario, at_ms: int) -> Iterator[Claim]:
    """Return what is to be read at an instant; at the end, what names none."""
    for claim in scenario.claims:
        read_ms = scenario.end_ms if claim.at_ms is None else claim.at_ms
        if claim.kind in READ and read_ms == at_ms:
            yield claim
