"""The one place where a failure becomes a gRPC status: code, one sentence, one ErrorInfo."""

from __future__ import annotations

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from coterie.rpc.v1 import error_pb2, error_reason_pb2
from services.kit.errors import (
    AlreadyExists,
    Conflict,
    DomainError,
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.kit.log.port import LogError
from services.kit.postgres import is_away

DOMAIN = "coterie"
INTERNAL_TEXT = "the service failed; the failure is in its log"
MALFORMED_TEXT = "the message could not be parsed as the request type of this method"
RETRY_MS = 1000
"""When to come back after a limit: a second is what a backlog needs to shrink by a visible part."""
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

_CODES: dict[type[DomainError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Conflict: grpc.StatusCode.ABORTED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}


_PEER_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def code_of(error: DomainError) -> grpc.StatusCode:
    """Return the gRPC code of this kind of failure; subclasses have their kind's code."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    raise TypeError(
        f"{type(error).__name__} is no kind of failure; derive it from one of errors.py"
    )


def to_status(error: DomainError) -> status_pb2.Status:
    """Return the status with its details, as it goes into `grpc-status-details-bin`."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.mistakes:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=mistake.field, description=mistake.description
                    )
                    for mistake in error.mistakes
                ]
            )
        )
    if isinstance(error, Exhausted):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(RETRY_MS)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=code_of(error).value[0],
        message=error.message,
        details=[_packed(detail) for detail in details],
    )


def to_trailers(error: DomainError) -> tuple[tuple[str, str | bytes], ...]:
    """Return the trailing metadata that carry the details."""
    trailers: tuple[tuple[str, str | bytes], ...] = (
        (DETAILS_KEY, to_status(error).SerializeToString()),
    )
    if isinstance(error, Exhausted):
        trailers += ((PUSHBACK_KEY, str(RETRY_MS)),)
    return trailers


def to_error(error: DomainError) -> error_pb2.Error:
    """Return the failure of one part of a batch."""
    return error_pb2.Error(
        code=code_of(error).value[0],
        message=error.message,
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
        metadata=error.metadata,
    )


def of_peer(error: Exception) -> DomainError | None:
    """Return what a failed call to another service means here, None where it is unexpected.

    Its text stays behind: it was written for another caller.
    """
    if not isinstance(error, grpc.aio.AioRpcError) or error.code() not in _PEER_AWAY:
        return None
    return Unavailable("UNAVAILABLE", "a service that this one needs does not answer: call again")


def of_database(error: Exception) -> DomainError | None:
    """Return what a failed statement means to a caller, None where it is unexpected."""
    cause = error.__cause__ if type(error) is LogError else error
    if not is_away(cause):
        return None
    return Unavailable("UNAVAILABLE", "the database does not answer: call again")


def malformed() -> InvalidArgument:
    """Return the failure of bytes that are no message of the request type."""
    return InvalidArgument("MALFORMED_REQUEST", MALFORMED_TEXT)


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
