"""Every RPC that there is, from the descriptors of the protos."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import (
    Descriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

PROTOS = Path(__file__).resolve().parents[2] / "protos"
SHARED = ("coterie.rpc.v1.ProgressService",)
"""Services that every server has; the others are served in one place."""


def files() -> Iterator[FileDescriptor]:
    for path in sorted(PROTOS.rglob("*.proto")):
        name = path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".")
        yield importlib.import_module(f"{name}_pb2").DESCRIPTOR


def services() -> list[ServiceDescriptor]:
    return [service for file in files() for service in file.services_by_name.values()]


def methods() -> list[MethodDescriptor]:
    return [method for service in services() for method in service.methods]


def messages() -> list[Descriptor]:
    return [message for file in files() for message in file.message_types_by_name.values()]


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def server_of(service: ServiceDescriptor) -> str:
    """Return which of our servers has the service."""
    package = service.full_name.split(".")[1]
    return "identity" if package == "rpc" else package
