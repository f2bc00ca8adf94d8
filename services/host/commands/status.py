"""`coterie status`: which services answer, and how far their stages have come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coterie.rpc.v1 import progress_service_pb2 as pb
from coterie.rpc.v1.progress_service_pb2_grpc import ProgressServiceStub
from services.host import report
from services.host.commands.serving import read_config, settings
from services.kit.config import SERVICES, Config
from services.kit.datadir import occupant

TIMEOUT_S = 3.0
HEAD = ["stage", "position", "lag", "log time", "next due", "in flight", "dead letters"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one service says of itself."""

    service: str
    address: str
    state: str
    stages: tuple[pb.StageProgress, ...] = ()


@click.command()
@settings
def status(data_dir: Path | None, config_file: Path | None) -> None:
    """Show which services answer, and how far they have come; exit code 1 unless all serve."""
    config = read_config(data_dir, config_file)
    answers = asyncio.run(_ask_all(config))
    rows = [[answer.service, answer.address, answer.state] for answer in answers]
    click.echo(report.table(["service", "address", "state"], rows))
    absent = "" if config.data_dir.is_dir() else " (there is no such directory)"
    click.echo(f"data      {config.data_dir.resolve()}{absent}")
    stages = [_row(stage) for answer in answers for stage in answer.stages]
    if stages:
        click.echo(report.table(HEAD, stages))
    if any(answer.state != "serving" for answer in answers):
        raise SystemExit(1)


async def _ask_all(config: Config) -> list[Answer]:
    return await asyncio.gather(*(_ask(name, _address(config, name)) for name in SERVICES))


def _address(config: Config, service: str) -> str | None:
    """Return where the service is: as configured, else where it runs in the data directory.

    Not at its usual port: another directory's service may be there.
    """
    if service in config.peers:
        return config.peers[service]
    found = occupant(config.data_dir, service)
    return found.address if found and found.address else None


async def _ask(service: str, address: str | None) -> Answer:
    if address is None:
        return Answer(service, report.NOTHING, "not running here")
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            health = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
            progress = await ProgressServiceStub(channel).GetProgress(
                pb.GetProgressRequest(), timeout=TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            away = error.code() == grpc.StatusCode.UNAVAILABLE
            return Answer(service, address, "no answer" if away else error.code().name.lower())
    if progress.service != service:
        return Answer(service, address, f"another service answers: {progress.service}")
    state = "serving" if health.status == health_pb2.HealthCheckResponse.SERVING else "not serving"
    return Answer(service, address, state, tuple(progress.stages))


def _row(stage: pb.StageProgress) -> list[str]:
    due_ms = stage.next_due_time.ToMilliseconds() if stage.HasField("next_due_time") else None
    return [
        f"{stage.stage}-{stage.partition}",
        str(stage.position),
        str(max(0, stage.tail - stage.position)),
        report.instant(stage.log_time.ToMilliseconds()),
        report.instant(due_ms),
        str(stage.in_flight),
        str(stage.dead_letters),
    ]
