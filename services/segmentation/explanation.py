"""An explanation as the API shows it: each clause in its author's words, with its value."""

from __future__ import annotations

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from segcore.describe import describe
from segcore.explain import Clause, Witness
from services.kit.rpc.times import timestamp
from services.kit.rules import clause_text
from services.segmentation import rendering
from services.segmentation.app import Explanation
from services.segmentation.domain import Definition
from services.segmentation.values import show_value
from services.segmentation.wording import sentence

PUBLISHED = "published from outside"


def render_explanation(found: Explanation) -> pb.ExplainResponse:
    """Return the whole answer."""
    return pb.ExplainResponse(
        membership=rendering.membership(found.membership),
        clause=_whole(found.clause, found.definition),
        time=timestamp(found.time_ms),
        smallest_change=[
            sentence(each, found.definition.rule_text)
            for each in found.steps
            if not found.definition.publication_id
        ],
    )


def _whole(clause: Clause, definition: Definition) -> audience_pb2.Clause:
    if not definition.publication_id:
        return _clause(clause, definition.rule_text)
    return audience_pb2.Clause(text=PUBLISHED, value=show_value(clause.value, clause.value_kind))


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
