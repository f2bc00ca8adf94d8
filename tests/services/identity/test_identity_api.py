"""Identity from outside: its real server, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, cast

import grpc
import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from identity_stages import START_MS, event, identity

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from coterie.rpc.v1.clock_service_pb2 import TickRequest
from coterie.rpc.v1.clock_service_pb2_grpc import ClockServiceStub
from coterie.rpc.v1.consistency_pb2 import Consistency
from coterie.rpc.v1.progress_service_pb2 import GetProgressRequest
from coterie.rpc.v1.progress_service_pb2_grpc import ProgressServiceStub
from coterie.type.v1.identity_pb2 import Who
from services.host.embedded import Suite
from services.kit.config import Config
from services.kit.log.port import Entry
from services.kit.log.sql import SqlLog
from services.kit.sql import Database

LATEST = Consistency(latest=True)
CANARY = "person@mail.example"


class Caller:
    """The stubs of a running identity service, and the inbound log behind it."""

    def __init__(self, channel: grpc.aio.Channel, inbound: SqlLog) -> None:
        self.identity = IdentityServiceStub(channel)
        self.clock = ClockServiceStub(channel)
        self.progress = ProgressServiceStub(channel)
        self._inbound = inbound

    def feed(self, *inputs: Inbound) -> int:
        return self._inbound.append([Entry(InboundPack(inputs=inputs).SerializeToString())])

    async def resolve(self, *ids: str) -> list[int]:
        request = pb.ResolveRequest(identities=map(identity, ids), consistency=LATEST)
        return list((await self.identity.Resolve(request)).profile_ids)

    async def link(self, *ids: str, request_id: str = "") -> str:
        request = pb.LinkRequest(identities=map(identity, ids), request_id=request_id)
        return (await self.identity.Link(request)).revision

    async def graph(self, who: Who) -> pb.GetGraphResponse:
        return await self.identity.GetGraph(pb.GetGraphRequest(who=who, consistency=LATEST))

    async def tick(self, time_ms: int) -> str:
        request = TickRequest(time=Timestamp(seconds=time_ms // 1000))
        return (await self.clock.Tick(request)).revision


@asynccontextmanager
async def serving(
    directory: Path, clock: Literal["system", "virtual"] = "virtual"
) -> AsyncIterator[Caller]:
    ports = {"identity": 0, "profile": 0, "segmentation": 0}
    config = Config(data_dir=directory, ports=ports, clock=clock, drain_seconds=0.1)
    suite = Suite(config, services=("identity",))
    await suite.start()
    database = Database(f"sqlite:///{directory}/log.db")
    try:
        async with grpc.aio.insecure_channel(suite.address("identity")) as channel:
            yield Caller(channel, SqlLog(database, "inbound"))
    finally:
        database.close()
        await suite.stop()


def run(
    directory: Path,
    talk: Callable[[Caller], Awaitable[None]],
    clock: Literal["system", "virtual"] = "virtual",
) -> None:
    async def main() -> None:
        async with serving(directory, clock) as caller:
            await talk(caller)

    asyncio.run(main())


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str, dict[str, str], str]:
    """Return code, reason, metadata and all the text of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    trailers = failed.value.trailing_metadata() or ()
    raw = dict(cast("Iterable[tuple[str, bytes]]", trailers))["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return failed.value.code(), info.reason, dict(info.metadata), str(status)


def test_a_link_is_found_by_each_of_its_identifiers(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        assert await caller.resolve("crm:A", "ecid:D") == [0, 0]
        revision = await caller.link("crm:A", "ecid:D")
        request = pb.ResolveRequest(
            identities=[identity("ecid:D"), identity("x:1"), identity("crm:A")],
            consistency=Consistency(at_least=revision),
        )
        answer = await caller.identity.Resolve(request)
        assert list(answer.profile_ids) == [1, 0, 1]

    run(data_dir, talk)


def test_a_repeated_request_id_has_no_effect(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        same = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
        await caller.link("crm:A", "ecid:D", request_id=same)
        await caller.link("crm:A", "ecid:E", request_id=same.upper())
        assert await caller.resolve("ecid:D", "ecid:E") == [1, 0]

    run(data_dir, talk)


def test_the_graph_shows_identifiers_by_priority_and_how_they_came_together(
    data_dir: Path,
) -> None:
    async def talk(caller: Caller) -> None:
        caller.feed(event("e1", "ecid:D"), event("e2", "crm:A", "email:a@x"))
        caller.feed(event("e3", "crm:A", "ecid:D"), event("e4", "crm:B", "ecid:D"))
        graph = await caller.graph(Who(profile_id=1))
        assert graph.profile_id == 2
        assert list(graph.identities) == [identity("crm:A"), identity("email:a@x")]
        kinds = [entry.WhichOneof("change") for entry in graph.journal]
        assert kinds == ["assigned", "assigned", "assigned", "merged"]
        assert [entry.input_id for entry in graph.journal] == ["e1", "e2", "e2", "e3"]
        assert graph.journal[3].revision == "2"
        assert graph.journal[3].merged.merged_profile_id == 1
        assert graph.journal[3].time.ToMilliseconds() == START_MS

        other = await caller.graph(Who(identity=identity("ecid:D")))
        assert other.profile_id == 3
        kinds = [entry.WhichOneof("change") for entry in other.journal]
        assert kinds == ["assigned", "refused", "assigned"]
        assert other.journal[2].assigned.former_profile_id == 2

    run(data_dir, talk)


def test_a_refused_link_is_in_the_journal_of_its_owner(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        await caller.link("crm:A", "loyalty:L")
        await caller.link("crm:B", "loyalty:L")
        graph = await caller.graph(Who(identity=identity("crm:B")))
        refused = graph.journal[-1].refused
        assert (refused.other_profile_id, refused.reason) == (1, "crm")

    run(data_dir, talk)


def test_what_was_said_survives_a_restart(data_dir: Path) -> None:
    async def before(caller: Caller) -> None:
        for number in range(100):
            await caller.link(f"crm:{number}", f"ecid:{number}")
        await caller.link("crm:7", "email:a@x")

    async def after(caller: Caller) -> None:
        assert await caller.resolve("crm:7", "ecid:7", "email:a@x") == [8, 8, 8]
        graph = await caller.graph(Who(profile_id=8))
        assert [entry.WhichOneof("change") for entry in graph.journal] == ["assigned"] * 3

    run(data_dir, before)
    run(data_dir, after)


def test_nobody_is_found_where_there_is_nobody(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        for who in (Who(identity=identity(f"email:{CANARY}")), Who(profile_id=77)):
            code, reason, _, text = await refusal(caller.graph(who))
            assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "PROFILE_NOT_FOUND")
            assert CANARY not in text

    run(data_dir, talk)


@pytest.mark.parametrize(
    ("ids", "request_id", "field"),
    [
        (["crm:A"], "", "identities"),
        ([], "", "identities"),
        (["crm:A", "Crm:A"], "", "identities[1].namespace"),
        (["crm:A", f"{CANARY}:A"], "", "identities[1].namespace"),
        (["crm:A", "email:"], "", "identities[1].value"),
        (["crm:A", "email:" + CANARY * 20], "", "identities[1].value"),
        (["crm:A", f"email:{CANARY}\0"], "", "identities[1].value"),
        (["crm:A", "ecid:D"], CANARY, "request_id"),
    ],
)
def test_a_wrong_link_says_which_field_and_repeats_no_value(
    data_dir: Path, ids: list[str], request_id: str, field: str
) -> None:
    async def talk(caller: Caller) -> None:
        code, reason, metadata, text = await refusal(caller.link(*ids, request_id=request_id))
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert metadata["field"] == field
        assert CANARY not in text

    run(data_dir, talk)


def test_too_many_identifiers_are_refused_with_the_limit(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        many = [f"ecid:{number}" for number in range(1_001)]
        assert (await refusal(caller.resolve(*many)))[1:3] == (
            "TOO_MANY",
            {"limit": "1000", "found": "1001"},
        )
        assert (await refusal(caller.link(*many[:17])))[1:3] == (
            "TOO_MANY",
            {"limit": "16", "found": "17"},
        )
        assert await caller.resolve(*many[:1_000]) == [0] * 1_000

    run(data_dir, talk)


def test_a_question_without_a_person_is_refused(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        for who in (Who(), Who(profile_id=0)):
            assert (await refusal(caller.graph(who)))[1] == "INVALID_FIELD"
        wrong = pb.ResolveRequest(
            identities=[identity("crm:A")], consistency=Consistency(at_least="no revision")
        )
        assert (await refusal(caller.identity.Resolve(wrong)))[1] == "INVALID_TOKEN"

    run(data_dir, talk)


def test_a_virtual_clock_is_ticked_forward_and_never_back(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        assert await caller.tick(START_MS) == "1"
        assert await caller.tick(START_MS) == "2"
        code, reason, metadata, _ = await refusal(caller.tick(START_MS - 1_000))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CLOCK_BEHIND")
        assert metadata == {"log_time": str(START_MS)}
        assert (await refusal(caller.clock.Tick(TickRequest())))[1] == "INVALID_FIELD"
        before = Timestamp(seconds=-1)
        assert (await refusal(caller.clock.Tick(TickRequest(time=before))))[1] == "INVALID_FIELD"

        revision = await caller.link("crm:A", "ecid:D")
        await caller.resolve("crm:A")
        (stage,) = (await caller.progress.GetProgress(GetProgressRequest())).stages
        assert (stage.position, stage.inbound_position) == (int(revision), int(revision))
        assert stage.log_time.ToMilliseconds() == START_MS

    run(data_dir, talk)


def test_a_virtual_clock_remembers_its_last_tick_over_a_restart(data_dir: Path) -> None:
    async def before(caller: Caller) -> None:
        await caller.tick(START_MS)

    async def after(caller: Caller) -> None:
        await caller.resolve("crm:A")
        assert (await refusal(caller.tick(START_MS - 1_000)))[1] == "CLOCK_BEHIND"

    run(data_dir, before)
    run(data_dir, after)


def test_the_machines_clock_ticks_by_itself_and_is_told_nothing(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        code, reason, _, _ = await refusal(caller.tick(START_MS))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CLOCK_NOT_VIRTUAL")
        await caller.resolve("crm:A")
        (stage,) = (await caller.progress.GetProgress(GetProgressRequest())).stages
        assert stage.position >= 1
        assert stage.log_time.ToMilliseconds() > START_MS

    run(data_dir, talk, clock="system")
