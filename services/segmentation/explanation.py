"""An explanation as the API shows it: each clause in its author's words, with its value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from segcore.describe import describe
from segcore.explain import Clause, Witness
from segcore.reference import Value
from segcore.rule import MICRO, Kind
from services.kit.rpc.times import timestamp
from services.kit.rules import clause_text
from services.segmentation import rendering
from services.segmentation.app import Explanation

MISSING = "missing"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def render_explanation(found: Explanation) -> pb.ExplainResponse:
    """Return the whole answer."""
    return pb.ExplainResponse(
        membership=rendering.membership(found.membership),
        clause=_clause(found.clause, found.definition.rule_text),
        time=timestamp(found.time_ms),
    )


def _clause(clause: Clause, rule_text: str) -> audience_pb2.Clause:
    rendered = audience_pb2.Clause(
        text=clause_text(rule_text, clause.node) or describe(clause.node),
        value=show_value(clause.value, clause.value_kind),
        row_count=clause.row_count,
        witnesses=[_witness(each) for each in clause.witnesses],
        clauses=[_clause(each, rule_text) for each in clause.children],
    )
    if clause.next_change_ms is not None:
        rendered.next_change_time.CopyFrom(timestamp(clause.next_change_ms))
    return rendered


def _witness(witness: Witness) -> audience_pb2.Witness:
    namespace, _, value = witness.came_with.partition(":")
    return audience_pb2.Witness(
        event_id=witness.event_id,
        type=witness.type,
        occurred_time=timestamp(witness.occurred_ms),
        sku=witness.sku or "",
        came_with=identity_pb2.Identity(namespace=namespace, value=value),
    )


def show_value(value: Value, kind: Kind | None) -> str:  # noqa: PLR0911
    """Return a clause's value as people read it.

    >>> show_value(2_500_000, Kind.NUMBER), show_value(True, Kind.FLAG), show_value(None, Kind.TEXT)
    ('2.5', 'true', 'missing')
    """
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case int() if kind is Kind.TIME:
            return (EPOCH + timedelta(milliseconds=value)).isoformat(timespec="milliseconds")
        case int() if kind is Kind.DATE:
            return (EPOCH + timedelta(days=value)).date().isoformat()
        case int() if kind is Kind.SPAN:
            return str(timedelta(milliseconds=value))
        case tuple():
            return ", ".join(value)
        case int():
            whole, part = divmod(abs(value), MICRO)
            sign = "-" if value < 0 else ""
            return f"{sign}{whole}.{part:06}".rstrip("0").rstrip(".")
        case _:
            return value
