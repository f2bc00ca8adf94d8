"""What rules may say of a source: as a mapping gives it, or as a schema file in YAML does."""

from __future__ import annotations

from coterie.type.v1 import schema_pb2, value_pb2
from segcore.rule import Kind
from services.host.definitions.document import Node, read_document
from services.host.replay.mapping import RowMapping

KINDS = {
    Kind.TEXT: value_pb2.VALUE_KIND_TEXT,
    Kind.NUMBER: value_pb2.VALUE_KIND_NUMBER,
    Kind.FLAG: value_pb2.VALUE_KIND_FLAG,
    Kind.TIME: value_pb2.VALUE_KIND_TIME,
    Kind.DATE: value_pb2.VALUE_KIND_DATE,
    Kind.TEXTS: value_pb2.VALUE_KIND_TEXTS,
}
_FIELD_KEYS = {
    "kind": "text, number, flag, time, date or texts",
    "description": "what it means, for people",
}


def schema_of(mapping: RowMapping) -> schema_pb2.Schema:
    """Return the event types of a mapping, each with all of its properties."""
    properties = [
        schema_pb2.FieldSchema(name=one.name, kind=KINDS[one.kind]) for one in mapping.properties
    ]
    types = mapping.event_type.declared()
    return schema_pb2.Schema(
        event_types=[schema_pb2.EventTypeSchema(type=name, properties=properties) for name in types]
    )


def read_schema(file: str, text: str) -> schema_pb2.Schema:
    """Return the schema of a YAML text; raises DocumentError with the place of a mistake."""
    known = {"attributes": "profile attributes", "event_types": "event types with their properties"}
    found = read_document(file, text).fields(known)
    schema = schema_pb2.Schema()
    if "attributes" in found:
        schema.attributes.extend(_fields(found["attributes"]))
    if "event_types" in found:
        schema.event_types.extend(_type(key, node) for key, node in found["event_types"].pairs())
    return schema


def _type(key: Node, node: Node) -> schema_pb2.EventTypeSchema:
    known = {"properties": "its properties", "description": _FIELD_KEYS["description"]}
    found = node.fields(known)
    return schema_pb2.EventTypeSchema(
        type=key.text(),
        properties=_fields(found["properties"]) if "properties" in found else [],
        description=found["description"].text() if "description" in found else "",
    )


def _fields(node: Node) -> list[schema_pb2.FieldSchema]:
    return [_field(key, value) for key, value in node.pairs()]


def _field(key: Node, node: Node) -> schema_pb2.FieldSchema:
    found = node.fields(_FIELD_KEYS, ("kind",))
    return schema_pb2.FieldSchema(
        name=key.text(),
        kind=KINDS[Kind(found["kind"].choice(*KINDS))],
        description=found["description"].text() if "description" in found else "",
    )
