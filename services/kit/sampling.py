"""Which traces are recorded: a share of them, and every one that continues a recorded one."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

CONTINUES = "coterie.continues"
"""Attribute of a span that goes on where another trace ended at a wait."""


class Roots(Sampler):
    """Decides for spans without a parent."""

    def __init__(self, ratio: float) -> None:
        self._share = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0913, PLR0917  the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision; who continues a trace was asked before whether that was recorded."""
        chosen = ALWAYS_ON if attributes and attributes.get(CONTINUES) else self._share
        return chosen.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return the rule in words."""
        return f"Roots{{continued or {self._share.get_description()}}}"


def sampler(ratio: float) -> Sampler:
    """Return the sampler: with the parent, else as `Roots` decides."""
    return ParentBased(Roots(ratio))
