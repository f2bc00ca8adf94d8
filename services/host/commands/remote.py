"""What the terminal commands share: an address, a deadline, and errors in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from coterie.type.v1 import identity_pb2
from services.kit.config import ConfigError, load_config

TIMEOUT_S = 30.0
PROFILE_ID_DIGITS = 19
"""As many as any profile id has: more would not fit the 64 bits of the field."""
REFUSALS = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}


@contextmanager
def channel(service: str, config: Path | None, address: str | None) -> Iterator[grpc.Channel]:
    """Open a channel to a service; failures become one clear line and exit code 1."""
    try:
        target = address or load_config(config, os.environ).address(service)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    with grpc.insecure_channel(target) as opened:
        try:
            yield opened
        except grpc.RpcError as error:
            raise click.ClickException(_line(error, service, target)) from None


@contextmanager
def published_from(file: Path) -> Iterator[None]:
    """Name the file in what the service says of its content."""
    try:
        yield
    except grpc.RpcError as error:
        if error.code() not in REFUSALS:
            raise
        raise click.ClickException(f"{file}: {_refusal(error)}") from None


def parse_who(text: str) -> identity_pb2.Who:
    """Return whom `NAMESPACE:VALUE`, or a profile id, names; raises a usage error otherwise."""
    namespace, colon, value = text.partition(":")
    if colon and namespace and value:
        return identity_pb2.Who(identity=identity_pb2.Identity(namespace=namespace, value=value))
    if text.isascii() and text.isdecimal() and len(text) <= PROFILE_ID_DIGITS:
        return identity_pb2.Who(profile_id=int(text))
    raise click.BadParameter(f"expected NAMESPACE:VALUE or a profile id, found {text!r}")


def show_time(time: Timestamp) -> str:
    """Return an instant as people read it, in UTC."""
    moment = datetime.fromtimestamp(time.seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


class Instant(click.ParamType[Timestamp]):
    """An instant as ISO 8601 writes it; without an offset it is UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Timestamp:
        """Return the instant; raises a usage error for anything else."""
        if isinstance(value, Timestamp):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"expected a time such as 2026-01-31T12:00:00Z, found {value!r}", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        made = Timestamp()
        made.FromMilliseconds(round(moment.timestamp() * 1000))
        return made


def _line(error: grpc.RpcError, service: str, target: str) -> str:
    code, details = error.code(), error.details()
    if code == grpc.StatusCode.UNAVAILABLE:
        if rpc_status.from_call(error) is not None:  # type: ignore[arg-type]  # it is a Call too
            return f"{service} at {target}: {details} ({code.name})"  # its own words: it is there
        return f"{service} does not answer at {target}; is `coterie up` running? ({details})"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return f"expected {service} of this version at {target}, found something else ({code.name})"
    return _refusal(error)


def _refusal(error: grpc.RpcError) -> str:
    code, details = error.code(), error.details()
    mistakes = _mistakes(error)
    if len(mistakes) > 1:
        # The message tells the first one alone: a file with three mistakes is mended at one go.
        lines = [each.replace("\n", "\n  ") for each in mistakes]
        return "\n  ".join([f"{len(mistakes)} mistakes ({code.name})", *lines])
    return f"{details} ({code.name})"


def _mistakes(error: grpc.RpcError) -> list[str]:
    """Return the field mistakes that a status carries, each with its place."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it is a Call too
    found = error_details_pb2.BadRequest()
    for detail in status.details if status is not None else ():
        if detail.Unpack(found):
            return [f"{each.field}: {each.description}" for each in found.field_violations]
    return []
