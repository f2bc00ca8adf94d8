"""A scenario with everything that it takes from others: definitions, inputs in order, claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Definition = Mapping[str, Any]
Json = Any
"""What YAML holds; each reader checks what it takes."""

INPUT_KINDS = ("profile", "link", "consent", "catalog", "audience", "event")
DEFAULT_NAMESPACES = ("crm", "loyalty", "email", "ecid")
DEFAULT_UNIQUE = ("crm", "loyalty")


@dataclass(frozen=True, slots=True)
class Input:
    """Something that arrives."""

    at_ms: int
    kind: str
    body: Definition
    place: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One expectation. `at_ms` is when it is read; None means at the end, over the whole run."""

    index: int
    kind: str
    body: Json
    at_ms: int | None
    place: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is there from the start, what arrives in which order, and what must be seen."""

    name: str
    title: str
    zone: str
    namespaces: tuple[str, ...]
    unique: tuple[str, ...]
    catalog: Sequence[Definition]
    segments: Mapping[str, Definition]
    journeys: Mapping[str, Definition]
    item_sets: Mapping[str, Definition]
    policy: Definition
    inputs: Sequence[Input]
    claims: Sequence[Claim]
    end_ms: int

    def bodies(self, kind: str) -> list[Definition]:
        """Return the bodies of the inputs of one kind, in order."""
        return [each.body for each in self.inputs if each.kind == kind]

    @property
    def published(self) -> frozenset[str]:
        """The names of the audiences whose members come from outside."""
        return frozenset(body["name"] for body in self.bodies("audience"))
