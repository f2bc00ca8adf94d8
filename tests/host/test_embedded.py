"""Several services in one process: they start together or not at all, and stop in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tiny import TinyModule

from coterie.rpc.v1 import clock_service_pb2 as pb
from coterie.rpc.v1 import progress_service_pb2
from coterie.rpc.v1.clock_service_pb2_grpc import ClockServiceStub
from coterie.rpc.v1.progress_service_pb2_grpc import ProgressServiceStub
from services.host.embedded import Suite
from services.host.modules import Builder
from services.host.running import StartError
from services.kit.config import FREE_PORTS, Config, ConfigError
from services.kit.datadir import DataDirectoryError, occupant
from services.kit.module import Context
from services.kit.rpc.server import AddressInUse


def _suite(data_dir: Path, builder: Builder = TinyModule) -> Suite:
    config = Config(data_dir=data_dir, ports=FREE_PORTS, clock="virtual")
    return Suite(config, ("identity",), builders={"identity": builder})


def _kept(modules: list[TinyModule], spoil: Callable[[TinyModule], None] | None = None) -> Builder:
    def build(context: Context) -> TinyModule:
        modules.append(TinyModule(context))
        if spoil:
            spoil(modules[-1])
        return modules[-1]

    return build


def _break(module: TinyModule) -> None:
    module.copy.broken = True


def test_a_stop_that_fails_ends_the_stages_all_the_same(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: TinyModule) -> None:
        raise RuntimeError("the server of the tables is away")

    async def run() -> None:
        suite = _suite(data_dir)
        await suite.start()
        monkeypatch.setattr(TinyModule, "stop", fail)
        assert "copy-0" in {thread.name for thread in threading.enumerate()}
        with pytest.raises(RuntimeError, match="away"):
            await suite.stop()
        assert "copy-0" not in {thread.name for thread in threading.enumerate()}

    asyncio.run(run())


def test_a_started_service_answers_calls_health_reflection_and_progress(data_dir: Path) -> None:
    async def run() -> None:
        suite = _suite(data_dir)
        await suite.start()
        async with grpc.aio.insecure_channel(suite.address("identity")) as channel:
            answer = await ClockServiceStub(channel).Tick(pb.TickRequest(), timeout=5)
            assert answer.revision == "1"
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", "coterie.rpc.v1.ClockService", "coterie.rpc.v1.ProgressService"):
                found = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
                assert found.status == health_pb2.HealthCheckResponse.SERVING
            progress = await ProgressServiceStub(channel).GetProgress(
                progress_service_pb2.GetProgressRequest(), timeout=5
            )
            assert progress.service == "identity"
            assert progress.stages[0].log_time.seconds == 7
            assert not progress.stages[0].HasField("next_due_time")
            assert "coterie.rpc.v1.ClockService" in await _listed(channel)
        await suite.stop()

    asyncio.run(run())


async def _listed(channel: grpc.aio.Channel) -> list[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
    answer = await call.read()
    return [service.name for service in answer.list_services_response.service]


def test_modules_start_after_recovery_and_stop_after_the_drain(data_dir: Path) -> None:
    modules: list[TinyModule] = []

    async def run() -> None:
        suite = _suite(data_dir, _kept(modules))
        await suite.start()
        assert modules[0].events == ["start"]
        assert occupant(data_dir, "identity") is not None
        await suite.stop()
        assert modules[0].events == ["start", "stop"]
        assert occupant(data_dir, "identity") is None

    asyncio.run(run())


def test_the_log_outlives_the_process(data_dir: Path) -> None:
    async def tick() -> str:
        suite = _suite(data_dir)
        await suite.start()
        async with grpc.aio.insecure_channel(suite.address("identity")) as channel:
            answer = await ClockServiceStub(channel).Tick(pb.TickRequest(), timeout=5)
        await suite.stop()
        return answer.revision

    assert [asyncio.run(tick()), asyncio.run(tick())] == ["1", "2"]


def test_a_second_process_on_the_same_directory_is_refused_with_who_is_there(
    data_dir: Path,
) -> None:
    async def run() -> None:
        first = _suite(data_dir)
        await first.start()
        with pytest.raises(DataDirectoryError, match=r"data: process \d+ runs identity"):
            await _suite(data_dir).start()
        await first.stop()

    asyncio.run(run())


def test_a_start_that_fails_leaves_nothing_behind(data_dir: Path) -> None:
    async def run() -> None:
        with pytest.raises(StartError, match=r"stage copy-0: .*RuntimeError"):
            await _suite(data_dir, _kept([], _break)).start()
        suite = _suite(data_dir)
        await suite.start()
        await suite.stop()

    asyncio.run(run())


def test_a_taken_port_is_refused_in_one_sentence(data_dir: Path, tmp_path: Path) -> None:
    async def run() -> None:
        first = _suite(data_dir)
        await first.start()
        port = int(first.address("identity").rpartition(":")[2])
        config = Config(data_dir=tmp_path / "other", ports={"identity": port})
        with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{port}"):
            await Suite(config, ("identity",), builders={"identity": TinyModule}).start()
        await first.stop()

    asyncio.run(run())


def test_health_follows_the_stages(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.host.running.HEALTH_S", 0.01)
    modules: list[TinyModule] = []

    def fail(_records: object) -> None:
        raise OSError("no space left")

    async def run() -> None:
        suite = _suite(data_dir, _kept(modules))
        await suite.start()
        async with grpc.aio.insecure_channel(suite.address("identity")) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            apply, modules[0].copy.apply = modules[0].copy.apply, fail  # type: ignore[method-assign]
            await ClockServiceStub(channel).Tick(pb.TickRequest(), timeout=5)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            modules[0].copy.apply = apply  # type: ignore[method-assign]
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
        await suite.stop()

    asyncio.run(run())


def test_an_unknown_peer_is_a_mistake_in_the_configuration(data_dir: Path) -> None:
    suite = _suite(data_dir)
    with pytest.raises(ConfigError, match="expected the address of profile"):
        suite.address("profile")
