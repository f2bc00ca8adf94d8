"""CEL's side: an environment made from a vocabulary, which parses and type-checks.

`profile`, `event` and `item` are protobuf messages made on the spot, with fields of wrapper types:
such a field may be missing, compares with null and keeps its type.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, timestamp_pb2, wrappers_pb2
from google.protobuf.message import DecodeError, Message

from coterie.cel.v1 import checked_pb2
from segcore.instance import CATALOG_KINDS
from segcore.rule import Kind
from services.kit.rules import declarations, fields
from services.kit.rules.declarations import PACKAGE
from services.kit.rules.vocabulary import Vocabulary

ENVIRONMENTS_MAX = 16
"""Environments kept: the schema of a workspace changes seldom, and each holds a few megabytes."""

_TYPES: Mapping[Kind, str] = {
    Kind.NUMBER: ".google.protobuf.DoubleValue",
    Kind.TEXT: ".google.protobuf.StringValue",
    Kind.FLAG: ".google.protobuf.BoolValue",
    Kind.TIME: ".google.protobuf.Timestamp",
    Kind.DATE: f".{PACKAGE}.{declarations.DATE_MESSAGE}",
    Kind.TEXTS: f".{PACKAGE}.{declarations.TEXTS_MESSAGE}",
}
_RESERVED = range(19_000, 20_000)
"""Field numbers that protobuf keeps for itself."""
_Key = tuple[bool, frozenset[tuple[str, Kind]], frozenset[tuple[str, Kind]]]
_ERROR = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)


class Complaint(Exception):
    """CEL's first objection: 1-based line and column, and its words.

    An objection to what is `too_deep` has no place.
    """

    def __init__(self, line: int, column: int, words: str, *, too_deep: bool = False) -> None:
        super().__init__(words)
        self.too_deep = too_deep
        self.line = line
        self.column = column
        self.words = words


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree in CEL's messages, and the code point offset of each node by its id."""

    expr: Any
    positions: Mapping[int, int]


class Environment:
    """Parses and checks rules of one vocabulary; safe to use from several threads.

    One `of_journeys` has the words that speak of an instance beside.
    """

    def __init__(self, vocabulary: Vocabulary, *, of_journeys: bool = False) -> None:
        messages: dict[str, Mapping[str, Kind]] = {
            "profile": vocabulary.attributes,
            "event": {**vocabulary.properties, **fields.EVENT_FIELDS},
            "item": fields.ITEM_FIELDS,
        }
        variables = {name: cel.Type(f"{PACKAGE}.{name}") for name in messages}
        functions = declarations.functions()
        if of_journeys:
            messages["catalog"] = CATALOG_KINDS
            functions.append(declarations.since(variables["event"], declarations.ENTRY))
            functions.append(declarations.catalog_function(cel.Type(f"{PACKAGE}.catalog")))
            variables |= {
                "trigger": variables["event"],
                "entry": declarations.ENTRY,
                "key": cel.Type.STRING,
            }
        else:
            functions.append(declarations.since())
        self._env = cel.NewEnv(
            _pool(messages),
            config=cel.NewEnvConfigFromYaml(declarations.STANDARD),
            variables=variables,
            functions=functions,
        )
        # CEL looks at declarations at the first use: a mistake in them is ours, not the rule's.
        self._env.compile("true")

    def check(self, text: str) -> Parsed:
        """Return the checked tree; raises Complaint where CEL refuses the text."""
        checked = checked_pb2.CheckedExpression()
        _decode(checked, self._compile(text, disable_check=False))
        return Parsed(checked.expr, checked.source_info.positions)

    def parse(self, text: str) -> Parsed:
        """Return the tree unchecked; raises Complaint where the text is no CEL."""
        parsed = checked_pb2.ParsedExpression()
        _decode(parsed, self._compile(text, disable_check=True))
        return Parsed(parsed.expr, parsed.source_info.positions)

    def _compile(self, text: str, *, disable_check: bool) -> bytes:
        try:
            compiled = self._env.compile(text, disable_check=disable_check)
        except RuntimeError as error:
            raise _complaint(str(error)) from None
        return any_pb2.Any.FromString(compiled.serialize()).value


def _decode(message: Message, content: bytes) -> None:
    # CEL's limit leaves long chains out of account, protobuf's does not.
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise Complaint(1, 1, str(error), too_deep=True) from None


def _complaint(words: str) -> Complaint:
    if "recursion" in words.split("\n", 1)[0]:
        return Complaint(1, 1, words, too_deep=True)
    found = _ERROR.search(words)
    if found is None:
        return Complaint(1, 1, words)
    return Complaint(int(found[1]), int(found[2]), found[3].removesuffix(" [INVALID_ARGUMENT]"))


def _pool(messages: Mapping[str, Mapping[str, Kind]]) -> descriptor_pool.DescriptorPool:
    # proto2, since proto3 refuses two fields whose names differ only in case and underscores.
    file = descriptor_pb2.FileDescriptorProto(name="rule.proto", package=PACKAGE, syntax="proto2")
    pool = descriptor_pool.DescriptorPool()
    for module in (wrappers_pb2, timestamp_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        file.dependency.append(module.DESCRIPTOR.name)
    for empty in (declarations.DATE_MESSAGE, declarations.TEXTS_MESSAGE):
        file.message_type.add(name=empty)
    for name, kinds in messages.items():
        tree: dict[str, Any] = {}
        for path, kind in kinds.items():
            *groups, leaf = path.split(".")
            node = tree
            for group in groups:
                node = node.setdefault(group, {})
            node[leaf] = _TYPES[kind]
        _add_message(file, name, tree)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_message(
    file: descriptor_pb2.FileDescriptorProto, name: str, tree: Mapping[str, Any]
) -> None:
    message = file.message_type.add(name=name)
    message.options.deprecated_legacy_json_field_conflicts = True
    for number, (field, content) in enumerate(tree.items(), start=1):
        type_name = content
        if not isinstance(content, str):
            # A group's message is numbered: a name out of the schema might be taken.
            group = f"group{len(file.message_type)}"
            type_name = f".{PACKAGE}.{group}"
            _add_message(file, group, content)
        message.field.add(
            name=field,
            number=number if number < _RESERVED.start else number + len(_RESERVED),
            type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            type_name=type_name,
        )


class Environments:
    """The environments of the vocabularies used last.

    Vocabularies that differ in audiences alone share one.
    """

    def __init__(self, kept_max: int = ENVIRONMENTS_MAX) -> None:
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, Environment] = OrderedDict()

    def of(self, vocabulary: Vocabulary, *, of_journeys: bool = False) -> Environment:
        """Return the environment of a vocabulary, made on first use."""
        key = (
            of_journeys,
            frozenset(vocabulary.attributes.items()),
            frozenset(vocabulary.properties.items()),
        )
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = Environment(vocabulary, of_journeys=of_journeys)
            self._kept.move_to_end(key)
            while len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
            return found
