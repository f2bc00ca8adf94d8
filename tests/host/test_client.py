"""The driver of a virtual clock: it stops at every instant at which something is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.json_format import ParseDict
from tiny import TinyModule

from coterie.profile.v1 import profile_service_pb2
from coterie.segmentation.v1 import segmentation_service_pb2
from services.host.client import Behind, Client
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from services.kit.freshness import parse_revision

NOON_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def _run(data_dir: Path, test: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        suite = Suite(Config(data_dir=data_dir, ports=FREE_PORTS, clock="virtual"))
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                await test(client)
        finally:
            await suite.stop()

    asyncio.run(run())


async def _make_audience(client: Client, rule: str) -> None:
    request = {"audienceId": "recent", "audience": {"displayName": "Recent", "rule": rule}}
    await client.segmentation.CreateAudience(
        ParseDict(request, segmentation_service_pb2.CreateAudienceRequest())
    )


async def _visit(client: Client, person: str) -> int:
    event = {
        "eventId": person,
        "type": "visit",
        "identities": [{"namespace": "crm", "value": person}],
    }
    answer = await client.profile.IngestBatch(
        ParseDict({"inputs": [{"event": event}]}, profile_service_pb2.IngestBatchRequest())
    )
    return parse_revision(answer.revision, "revision")


async def _members_and_exit_ms(client: Client, person: str) -> tuple[bool, int]:
    request = {"audience": "audiences/recent", "who": {"identity": _crm(person)}}
    answer = await client.segmentation.GetMembership(
        ParseDict(request, segmentation_service_pb2.GetMembershipRequest())
    )
    return answer.membership.member, answer.membership.exit_time.ToMilliseconds()


def _crm(person: str) -> dict[str, str]:
    return {"namespace": "crm", "value": person}


async def _declare(client: Client) -> None:
    schema = {"schema": {"eventTypes": [{"type": "visit"}]}}
    await client.profile.ExtendSchema(ParseDict(schema, profile_service_pb2.ExtendSchemaRequest()))


def test_what_falls_due_on_the_way_happens_at_its_own_instant(data_dir: Path) -> None:
    async def test(client: Client) -> None:
        await client.tick(NOON_MS)
        await _declare(client)
        await client.advance(NOON_MS + 1)
        await _make_audience(client, 'events("visit").last(hours(1)).exists()')
        await client.advance(NOON_MS + 1000)
        for number in range(3):
            await _visit(client, f"person-{number}")
            await client.advance(NOON_MS + 1000 * (number + 2))
        await client.advance(NOON_MS + 24 * HOUR_MS)
        exits = [await _members_and_exit_ms(client, f"person-{number}") for number in range(3)]
        expected = [NOON_MS + 1000 * (number + 1) + HOUR_MS for number in range(3)]
        assert exits == [(False, instant) for instant in expected]

    _run(data_dir, test)


def test_an_advance_takes_effect_of_all_that_was_accepted_before(data_dir: Path) -> None:
    async def test(client: Client) -> None:
        await client.tick(NOON_MS)
        await _declare(client)
        revision = await _visit(client, "beth")
        await client.advance(NOON_MS + HOUR_MS)
        stages = await client.progress()
        assert {stage.stage for stage in stages} >= {"identity", "profile", "segmentation"}
        assert all(stage.inbound_position > revision for stage in stages)
        assert {stage.log_time.ToMilliseconds() for stage in stages} == {NOON_MS + HOUR_MS}

    _run(data_dir, test)


def test_an_empty_log_advances(data_dir: Path) -> None:
    async def test(client: Client) -> None:
        await client.advance(NOON_MS)
        stages = await client.progress()
        assert {stage.log_time.ToMilliseconds() for stage in stages} == {NOON_MS}

    _run(data_dir, test)


def test_time_does_not_run_back(data_dir: Path) -> None:
    async def test(client: Client) -> None:
        await client.advance(NOON_MS)
        with pytest.raises(grpc.aio.AioRpcError, match="FAILED_PRECONDITION"):
            await client.advance(NOON_MS - 1)

    _run(data_dir, test)


def test_what_does_not_come_is_named(data_dir: Path) -> None:
    async def run() -> None:
        config = Config(data_dir=data_dir, ports=FREE_PORTS)
        suite = Suite(config, ("identity",), builders={"identity": TinyModule})
        await suite.start()
        address = suite.address("identity")
        async with Client(dict.fromkeys(FREE_PORTS, address)) as client:
            with pytest.raises(Behind, match=r"after 0.05 s still behind: copy-0 at inbound 0"):
                await client.wait_progress("7", timeout_s=0.05)
        await suite.stop()

    asyncio.run(run())
