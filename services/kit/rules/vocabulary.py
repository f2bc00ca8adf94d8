"""What a rule may name: attributes, event types with properties, audiences; how a schema may grow.

A vocabulary that was built is sound: every name in it can be said in a rule and means one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableSequence
from dataclasses import dataclass, field
from types import MappingProxyType

from coterie.type.v1 import schema_pb2, value_pb2
from segcore.rule import Kind
from services.kit.errors import FieldMistake, InvalidArgument, invalid_field
from services.kit.rules import fields

KINDS: Mapping[int, Kind] = {
    value_pb2.VALUE_KIND_TEXT: Kind.TEXT,
    value_pb2.VALUE_KIND_NUMBER: Kind.NUMBER,
    value_pb2.VALUE_KIND_FLAG: Kind.FLAG,
    value_pb2.VALUE_KIND_TIME: Kind.TIME,
    value_pb2.VALUE_KIND_DATE: Kind.DATE,
    value_pb2.VALUE_KIND_TEXTS: Kind.TEXTS,
}
"""The types of a schema in segcore's words."""

CLASH = "names of which none is another one up to a dot: one cannot be a value and a group"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that rules may use.

    Raises ValueError where two of them exclude each other or one cannot be said.
    """

    attributes: Mapping[str, Kind]
    event_types: Mapping[str, Mapping[str, Kind]]
    audiences: frozenset[str] = frozenset()
    properties: Mapping[str, Kind] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        _check_names("attribute", self.attributes)
        merged: dict[str, Kind] = {}
        for event_type, properties in self.event_types.items():
            if mistake := fields.event_type_mistake(event_type):
                raise ValueError(f"event type `{event_type}`: expected {mistake}")
            for name, kind in properties.items():
                if merged.setdefault(name, kind) != kind:
                    raise ValueError(
                        f"property `{name}` is {merged[name]} in one event type and {kind} in"
                        f" `{event_type}`: a property has one type in a workspace"
                    )
        _check_names("property", merged, fields.EVENT_FIELDS)
        object.__setattr__(self, "properties", MappingProxyType(merged))


def _check_names(
    noun: str, kinds: Mapping[str, Kind], taken: Mapping[str, Kind] = MappingProxyType({})
) -> None:
    if len(kinds) > fields.FIELDS_MAX:
        found = f"{len(kinds):,} of {noun}"
        raise ValueError(f"expected at most {fields.FIELDS_MAX:,} names, found {found}")
    for name in kinds:
        if mistake := fields.name_mistake(name):
            raise ValueError(f"{noun} `{name}`: expected {mistake}")
        if name in taken:
            raise ValueError(f"{noun} `{name}`: every event has a field of that name already")
        for group in fields.groups(name):
            if group in kinds or group in taken:
                raise ValueError(f"{noun} `{name}` beside `{group}`: expected {CLASH}")


def from_schema(schema: schema_pb2.Schema, audiences: Iterable[str]) -> Vocabulary:
    """Return the vocabulary of a schema and of these audience ids.

    Raises ValueError where `check_extension` would not have let the schema through.
    """
    return Vocabulary(
        attributes={f.name: _kind(f) for f in schema.attributes},
        event_types={t.type: {f.name: _kind(f) for f in t.properties} for t in schema.event_types},
        audiences=frozenset(audiences),
    )


def _kind(declared: schema_pb2.FieldSchema) -> Kind:
    if declared.kind not in KINDS:
        raise ValueError(f"`{declared.name}`: expected a type, found {declared.kind}")
    return KINDS[declared.kind]


def check_extension(current: schema_pb2.Schema, extension: schema_pb2.Schema) -> schema_pb2.Schema:
    """Return `current` with what `extension` adds; descriptions that it gives replace former ones.

    Raises InvalidArgument: INVALID_FIELD for a name or type that cannot be, SCHEMA_CONFLICT where a
    name is declared with another type (metadata `field` is the path within the request), TOO_MANY.
    """
    merged = schema_pb2.Schema()
    merged.CopyFrom(current)
    attributes, properties = _Declared(), _Declared(fields.EVENT_FIELDS)
    for attribute in current.attributes:
        attributes.add(attribute, "schema.attributes")
    for event_type in current.event_types:
        for known in event_type.properties:
            properties.add(known, "schema.event_types")
    for i, attribute in enumerate(extension.attributes):
        attributes.add(attribute, f"schema.attributes[{i}]")
    _put_fields(merged.attributes, extension.attributes)
    attributes.check_count("attributes")
    types = {event_type.type: event_type for event_type in merged.event_types}
    for i, added in enumerate(extension.event_types):
        path = f"schema.event_types[{i}]"
        if mistake := fields.event_type_mistake(added.type):
            raise invalid_field(f"{path}.type", f"`{added.type}`", mistake)
        for j, property_ in enumerate(added.properties):
            properties.add(property_, f"{path}.properties[{j}]")
        if added.type not in types:
            types[added.type] = merged.event_types.add(type=added.type)
        types[added.type].description = added.description or types[added.type].description
        _put_fields(types[added.type].properties, added.properties)
    properties.check_count("properties")
    return merged


class _Declared:
    """Names with their types, as far as they have been read; `taken` ones are not to be had."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = frozenset(taken)
        self._kinds: dict[str, int] = {}
        self._groups: dict[str, str] = {}

    def add(self, declared: schema_pb2.FieldSchema, path: str) -> None:
        """Take a declaration in; raises InvalidArgument where it cannot stand beside the others."""
        name, kind = declared.name, declared.kind
        if mistake := fields.name_mistake(name):
            raise invalid_field(f"{path}.name", f"`{name}`", mistake)
        if kind not in KINDS:
            raise invalid_field(
                f"{path}.kind", str(kind), "text, number, flag, time, date or texts"
            )
        former = self._kinds.setdefault(name, kind)
        if former != kind:
            raise _conflict(f"{path}.kind", name, KINDS[former], KINDS[kind])
        groups = list(fields.groups(name))
        rivals = [g for g in groups if g in self._kinds or g in self._taken]
        if name in self._groups:
            rivals.append(self._groups[name])
        if name in self._taken:
            raise invalid_field(f"{path}.name", f"`{name}`", "a name that not every event has")
        if rivals:
            raise invalid_field(f"{path}.name", f"`{name}` beside `{rivals[0]}`", CLASH)
        for group in groups:
            self._groups.setdefault(group, name)

    def check_count(self, noun: str) -> None:
        """Raise InvalidArgument where there are more than rules can be told of."""
        if (found := len(self._kinds)) > fields.FIELDS_MAX:
            raise InvalidArgument(
                "TOO_MANY",
                f"expected at most {fields.FIELDS_MAX:,} {noun} in a workspace, found {found:,}",
                {"limit": str(fields.FIELDS_MAX), "found": str(found)},
            )


def _conflict(path: str, name: str, declared: Kind, found: Kind) -> InvalidArgument:
    description = f"`{name}` is declared as {declared}, found {found}"
    return InvalidArgument(
        "SCHEMA_CONFLICT",
        f"{path}: {description}",
        {"field": path, "declared": str(declared), "found": str(found)},
        (FieldMistake(path, description),),
    )


def _put_fields(
    target: MutableSequence[schema_pb2.FieldSchema], added: Iterable[schema_pb2.FieldSchema]
) -> None:
    known = {field.name: i for i, field in enumerate(target)}
    for new in added:
        i = known.setdefault(new.name, len(target))
        if i == len(target):
            target.append(new)
        else:
            target[i].description = new.description or target[i].description
