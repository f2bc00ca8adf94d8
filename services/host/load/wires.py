"""The calls of a run as bytes in, messages out; several connections taken in turn, no retries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from types import TracebackType
from typing import Any, Self

import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb

_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Channels of one address share a connection unless told not to; a retry would hide an error."""


class Wires:
    """Channels of a run's own. Use as an asynchronous context manager."""

    def __init__(self, addresses: Mapping[str, str], connections: int) -> None:
        def opened(service: str, count: int) -> list[grpc.aio.Channel]:
            at = addresses[service]
            return [grpc.aio.insecure_channel(at, options=_OPTIONS) for _ in range(count)]

        profile, segmentation = opened("profile", connections), opened("segmentation", connections)
        probing = opened("profile", 1), opened("segmentation", 1)
        self._channels = [*profile, *segmentation, *probing[0], *probing[1]]
        self._ingest = cycle([_ingest(each) for each in profile])
        self._membership = cycle([_membership(each) for each in segmentation])
        self._check = cycle([_check(each) for each in segmentation])
        self.probe: Any = _ingest(probing[0][0])
        """Takes the bytes of a batch; over a connection that the load does not use."""
        self.see: Any = probing[1][0].unary_unary(
            "/coterie.segmentation.v1.SegmentationService/GetMembership",
            request_serializer=segmentation_pb.GetMembershipRequest.SerializeToString,
            response_deserializer=segmentation_pb.GetMembershipResponse.FromString,
        )
        """Takes a `GetMembershipRequest`, over such a connection too."""
        self.watch: Any = probing[1][0].unary_stream(
            "/coterie.segmentation.v1.SegmentationService/WatchTransitions",
            request_serializer=segmentation_pb.WatchTransitionsRequest.SerializeToString,
            response_deserializer=segmentation_pb.WatchTransitionsResponse.FromString,
        )
        """Takes a `WatchTransitionsRequest`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels:
            await channel.close(None)

    def ingest(self) -> Any:
        """Return the ingest call of the next connection."""
        return next(self._ingest)

    def read(self, *, many: bool) -> Any:
        """Return the read of the next connection: of one membership, or of many."""
        return next(self._check if many else self._membership)


def _ingest(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        "/coterie.profile.v1.ProfileService/IngestBatch",
        request_serializer=None,
        response_deserializer=profile_pb.IngestBatchResponse.FromString,
    )


def _membership(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        "/coterie.segmentation.v1.SegmentationService/GetMembership",
        request_serializer=None,
        response_deserializer=segmentation_pb.GetMembershipResponse.FromString,
    )


def _check(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        "/coterie.segmentation.v1.SegmentationService/BatchCheckMembership",
        request_serializer=None,
        response_deserializer=segmentation_pb.BatchCheckMembershipResponse.FromString,
    )
