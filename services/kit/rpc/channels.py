"""Channels to other services: a deadline on every call, retries of what is retryable, the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc.aio

from services.kit.rpc import deadlines
from services.kit.telemetry import Tracing

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of large profiles may pass what a request may hold."""

_RETRIES = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""UNAVAILABLE always means: nothing was done, or doing it again has no further effect."""

_FIRST_RECONNECT_MS = 100
_SLOWEST_RECONNECT_MS = 1000
"""How seldom a peer that is away is tried; left alone, one that is back is not seen for minutes."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
    ("grpc.min_reconnect_backoff_ms", _FIRST_RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", _SLOWEST_RECONNECT_MS),
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [{"name": [{}], "retryPolicy": _RETRIES}],
                "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
                "loadBalancingConfig": [{"round_robin": {}}],
            }
        ),
    ),
)


def open_channel(address: str, tracing: Tracing) -> grpc.aio.Channel:
    """Return a channel to the service at `address`; it connects at the first call."""
    # The stubs give interceptors a type that nothing but a cast has.
    interceptors: Any = [_Unary(tracing), _Watch(tracing), _Both(tracing)]
    return grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)


class _Outgoing:
    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def _details(self, details: Any, *, unary: bool) -> Any:
        timeout = details.timeout
        if unary and timeout is None:
            timeout = deadlines.peer_timeout_s()
        metadata = details.metadata or grpc.aio.Metadata()
        for key, value in self._tracing.outgoing():
            metadata.add(key, value)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )


# The types below are generic in the stubs alone.


class _Unary(_Outgoing, grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        return await continuation(self._details(details, unary=True), request)


class _Watch(_Outgoing, grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        return await continuation(self._details(details, unary=False), request)


class _Both(_Outgoing, grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], details: Any, requests: Any
    ) -> Any:
        return await continuation(self._details(details, unary=False), requests)
