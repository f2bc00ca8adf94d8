"""Which names a schema may have, and how it may grow."""

from __future__ import annotations

import pytest

from coterie.type.v1 import schema_pb2, value_pb2
from segcore.rule import Kind
from services.kit.errors import InvalidArgument
from services.kit.rules.compiler import compile_rule
from services.kit.rules.fields import FIELDS_MAX
from services.kit.rules.vocabulary import Vocabulary, check_extension, from_schema

TEXT, NUMBER = value_pb2.VALUE_KIND_TEXT, value_pb2.VALUE_KIND_NUMBER
FLAG, TIME = value_pb2.VALUE_KIND_FLAG, value_pb2.VALUE_KIND_TIME


def fields(**kinds: value_pb2.ValueKind.ValueType) -> list[schema_pb2.FieldSchema]:
    return [
        schema_pb2.FieldSchema(name=name.replace("__", "."), kind=kind)
        for name, kind in kinds.items()
    ]


def schema(
    attributes: list[schema_pb2.FieldSchema] | None = None,
    **event_types: list[schema_pb2.FieldSchema],
) -> schema_pb2.Schema:
    return schema_pb2.Schema(
        attributes=attributes,
        event_types=[
            schema_pb2.EventTypeSchema(type=name, properties=properties)
            for name, properties in event_types.items()
        ],
    )


@pytest.mark.parametrize(
    ("attributes", "event_types", "words"),
    [
        (("loyalty", "loyalty.tier"), {}, "`loyalty.tier` beside `loyalty`"),
        (("a.b.c", "a"), {}, "`a.b.c` beside `a`"),
        (("in",), {}, "no part `in`: it is a word of the rule language"),
        (("a.null",), {}, "no part `null`"),
        (("1st",), {}, "starts with a digit"),
        (("a..b",), {}, "parts of a-z"),
        (("é",), {}, "parts of a-z"),
        (("a" * 65,), {}, "1 to 64 characters"),
        (("",), {}, "1 to 64 characters"),
        ((), {"Purchase": {}}, "event type `Purchase`"),
        ((), {"purchase": {"id": Kind.TEXT}}, "every event has a field of that name"),
        ((), {"purchase": {"received_at": Kind.TIME}}, "every event has a field of that name"),
        ((), {"purchase": {"type.name": Kind.TEXT}}, "`type.name` beside `type`"),
        ((), {"purchase": {"in": Kind.TEXT}}, "no part `in`"),
        ((), {"a": {"x": Kind.TEXT}, "b": {"x.y": Kind.TEXT}}, "`x.y` beside `x`"),
        ((), {"a": {"x": Kind.TEXT}, "b": {"x": Kind.NUMBER}}, "`x` is text in one event type"),
    ],
)
def test_names_that_exclude_each_other_make_no_vocabulary(
    attributes: tuple[str, ...], event_types: dict[str, dict[str, Kind]], words: str
) -> None:
    with pytest.raises(ValueError, match=r"expected|already|one type") as caught:
        Vocabulary(dict.fromkeys(attributes, Kind.TEXT), event_types)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("as", "break", "const", "for", "function", "if", "import", "let", "loop", "package"),
        *("namespace", "return", "var", "void", "while", "message", "int32", "profile", "event"),
        *("_x", "A.b", "has", "group1", "days", "a.in_b", "type", "id"),
    ],
)
def test_every_name_of_a_vocabulary_can_be_said(name: str) -> None:
    vocabulary = Vocabulary({name: Kind.FLAG}, {})
    assert compile_rule(f"profile.{name} && has(profile.{name})", vocabulary)


def test_names_that_differ_in_case_alone_stand_side_by_side(
    capfd: pytest.CaptureFixture[str],
) -> None:
    names = ["fooBar", "foo_bar", "FooBar", "foobar", "fooBar2.x", "foo_bar2.x"]
    vocabulary = Vocabulary(dict.fromkeys(names, Kind.FLAG), {"e": dict.fromkeys(names, Kind.FLAG)})
    assert compile_rule(" && ".join(f"profile.{name}" for name in names), vocabulary)
    assert capfd.readouterr().err == ""


def test_as_many_names_as_the_limit_says_can_be_said() -> None:
    names = [f"g{i % 40}.a{i}" for i in range(1000)]
    names += [f"a{'.b' * 20}{i}" for i in range(10)]
    names += [f"{'n' * 50}{i}" for i in range(FIELDS_MAX - len(names))]
    kinds = dict.fromkeys(names, Kind.NUMBER)
    vocabulary = Vocabulary(kinds, {"visit": kinds})
    said = f"profile.{names[999]} > 1 && profile.{names[1009]} > 1 && profile.{names[-1]} > 1"
    assert compile_rule(said, vocabulary)


def test_one_name_more_than_the_limit_is_refused() -> None:
    names = [f"a{i}" for i in range(FIELDS_MAX + 1)]
    for attributes, properties in ((names, []), ([], names)):
        with pytest.raises(ValueError, match="at most 4,000"):
            Vocabulary(
                dict.fromkeys(attributes, Kind.FLAG), {"e": dict.fromkeys(properties, Kind.FLAG)}
            )
        extension = schema(fields(**dict.fromkeys(attributes, FLAG)))
        extension.MergeFrom(schema(e=fields(**dict.fromkeys(properties, FLAG))))
        with pytest.raises(InvalidArgument) as caught:
            check_extension(schema(), extension)
        assert caught.value.reason == "TOO_MANY"
        assert caught.value.metadata == {"limit": "4000", "found": "4001"}


def test_a_schema_becomes_a_vocabulary() -> None:
    given = schema(fields(loyalty__tier=TEXT, vip=FLAG), purchase=fields(total=NUMBER, at=TIME))
    assert from_schema(given, ["a"]) == Vocabulary(
        {"loyalty.tier": Kind.TEXT, "vip": Kind.FLAG},
        {"purchase": {"total": Kind.NUMBER, "at": Kind.TIME}},
        frozenset("a"),
    )


def test_a_schema_with_an_unknown_type_becomes_none() -> None:
    with pytest.raises(ValueError, match="expected a type, found 0"):
        from_schema(schema([schema_pb2.FieldSchema(name="a")]), [])


def test_an_extension_adds_and_keeps() -> None:
    current = schema(fields(city=TEXT), purchase=fields(total=NUMBER))
    current.attributes[0].description = "Where they live."
    added = schema(
        fields(city=TEXT, vip=FLAG), purchase=fields(total=NUMBER, gift=FLAG), **{"return": []}
    )
    added.event_types[0].description = "Paid for."
    before = current.SerializeToString()
    merged = check_extension(current, added)
    assert from_schema(merged, []) == Vocabulary(
        {"city": Kind.TEXT, "vip": Kind.FLAG},
        {"purchase": {"total": Kind.NUMBER, "gift": Kind.FLAG}, "return": {}},
    )
    assert merged.attributes[0].description == "Where they live."
    assert merged.event_types[0].description == "Paid for."
    assert current.SerializeToString() == before
    assert check_extension(merged, added) == merged


@pytest.mark.parametrize(
    ("extension", "reason", "field"),
    [
        (schema(fields(vip=FLAG, city=NUMBER)), "SCHEMA_CONFLICT", "schema.attributes[1].kind"),
        (
            schema(purchase=fields(reason=NUMBER)),
            "SCHEMA_CONFLICT",
            "schema.event_types[0].properties[0].kind",
        ),
        (
            schema(visit=[], view=fields(x=TEXT, total=TEXT)),
            "SCHEMA_CONFLICT",
            "schema.event_types[1].properties[1].kind",
        ),
        (schema(fields(a=TEXT) + fields(a=FLAG)), "SCHEMA_CONFLICT", "schema.attributes[1].kind"),
        (schema(fields(city__zip=TEXT)), "INVALID_FIELD", "schema.attributes[0].name"),
        (schema(fields(a__b=TEXT, a=TEXT)), "INVALID_FIELD", "schema.attributes[1].name"),
        (schema([schema_pb2.FieldSchema(name="a")]), "INVALID_FIELD", "schema.attributes[0].kind"),
        (schema(fields(**{"in": TEXT})), "INVALID_FIELD", "schema.attributes[0].name"),
        (schema(**{"Visit!": []}), "INVALID_FIELD", "schema.event_types[0].type"),
        (schema(x=fields(type=TEXT)), "INVALID_FIELD", "schema.event_types[0].properties[0].name"),
        (schema(x=fields(id__x=TEXT)), "INVALID_FIELD", "schema.event_types[0].properties[0].name"),
        (
            schema(x=fields(total__net=NUMBER)),
            "INVALID_FIELD",
            "schema.event_types[0].properties[0].name",
        ),
    ],
)
def test_an_extension_that_cannot_be_is_refused_with_its_path(
    extension: schema_pb2.Schema, reason: str, field: str
) -> None:
    current = schema(
        fields(city=TEXT), purchase=fields(total=NUMBER), **{"return": fields(reason=TEXT)}
    )
    with pytest.raises(InvalidArgument) as caught:
        check_extension(current, extension)
    assert (caught.value.reason, caught.value.metadata["field"]) == (reason, field)
    assert caught.value.mistakes[0].field == field


def test_a_conflict_tells_both_types() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_extension(schema(fields(city=TEXT)), schema(fields(city=NUMBER)))
    assert caught.value.metadata["declared"] == "text"
    assert caught.value.metadata["found"] == "number"
