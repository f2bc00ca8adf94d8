"""A rule as canonical JSON and back: sorted keys, no spaces, filters that rows lack left out.

Both ways follow the dataclasses of `segcore.rule`, so a new node needs no change here. What is
read is refused with ValueError, and the path of the mistake, unless it is exactly what is written.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from segcore import rule
from segcore.kinds import LITERAL_TYPES
from segcore.micro import INT64_MAX
from segcore.rule import Expression, Literal

DEPTH_LIMIT = 200
"""Rules nest no deeper: every evaluator here is recursive, and people write ten levels at most."""

_NODES: dict[str, type] = {node.__name__: node for node in typing.get_args(Expression)}
_CLASSES = {**_NODES, "Rows": rule.Rows, "Follow": rule.Follow}
_LEFT_OUT: dict[str, object] = {
    "at": -1,
    "since": None,
    "older_ms": None,
    "calendar_days": None,
    "from_times": (),
    "until_times": (),
    "key": None,
    "follows": (),
}
"""Fields that a document need not have, with what they are then; it never says that."""

_HINTS = {cls: typing.get_type_hints(cls, vars(rule)) for cls in _CLASSES.values()}


def to_json(expression: Expression) -> str:
    """Return the one text of `expression`."""
    return json.dumps(
        _encode(expression), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def from_json(text: str) -> Expression:
    """Return the expression that `text` holds; raises ValueError that says what is wrong where."""
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"$: expected at most {DEPTH_LIMIT} levels, found more") from None
    return typing.cast("Expression", _decode(document, Expression, "$", 0))


def without_offsets(expression: Expression) -> Expression:
    """Return the same rule with every offset unknown: what it means, and nothing else."""
    return typing.cast("Expression", _strip(expression))


def _strip(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_strip(part) for part in value)
    names = _HINTS.get(type(value))
    if names is None:
        return value
    fields = {name: _strip(getattr(value, name)) for name in names}
    return type(value)(**fields | {"at": -1})


def _encode(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_encode(part) for part in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    document = {
        name: _encode(part)
        for name, part in fields.items()
        if name not in _LEFT_OUT or part != _LEFT_OUT[name]
    }
    return {"node": type(value).__name__, **document}


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError(f"expected each key once, found {sorted(name for name, _ in pairs)}")
    return document


def _no_constant(name: str) -> object:
    raise ValueError(f"expected a number, found {name}")


def _decode(document: object, hint: Any, path: str, depth: int) -> object:
    if depth > DEPTH_LIMIT:
        raise ValueError(f"{path}: expected at most {DEPTH_LIMIT} levels, found more")
    if hint == Expression:
        return _decode_node(document, _NODES, path, depth)
    if hint in (rule.Rows, rule.Follow, Literal):
        return _decode_node(document, {hint.__name__: hint}, path, depth)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(document, list):
            raise _mistake(path, "a list", document)
        part = typing.get_args(hint)[0]
        return tuple(
            _decode(entry, part, f"{path}[{index}]", depth) for index, entry in enumerate(document)
        )
    if origin in (typing.Union, types.UnionType):
        return _decode_union(document, typing.get_args(hint), path, depth)
    if issubclass(hint, enum.Enum):
        if not isinstance(document, str) or document not in {member.value for member in hint}:
            raise _mistake(path, f"a {hint.__name__}", document)
        return hint(document)
    return _decode_scalar(document, hint, path)


def _decode_scalar(document: object, hint: Any, path: str) -> object:
    if type(document) is not hint:
        raise _mistake(path, f"a value of type {hint.__name__}", document)
    if isinstance(document, int) and abs(document) > INT64_MAX:
        raise _mistake(path, "an integer of 64 bits", document)
    return document


def _decode_union(document: object, hints: tuple[Any, ...], path: str, depth: int) -> object:
    if document is None and type(None) in hints:
        return None
    rest = [hint for hint in hints if hint is not type(None)]
    if int in rest and str in rest:
        return _decode_value(document, path)
    nodes = tuple(hint for hint in rest if hint in _NODES.values())
    if nodes == typing.get_args(Expression):
        return _decode_node(document, _NODES, path, depth)
    (only,) = rest
    return _decode(document, only, path, depth)


def _decode_value(document: object, path: str) -> object:
    """Return the value of a literal."""
    if isinstance(document, list):
        return tuple(
            _decode_scalar(entry, str, f"{path}[{index}]") for index, entry in enumerate(document)
        )
    if type(document) not in (int, str, bool):
        raise _mistake(path, "an integer, a text, a flag or a list of texts", document)
    return _decode_scalar(document, type(document), path)


def _decode_node(document: object, allowed: Mapping[str, type], path: str, depth: int) -> object:
    if not isinstance(document, dict):
        raise _mistake(path, "an object", document)
    name = document.get("node")
    if not isinstance(name, str) or name not in allowed:
        raise _mistake(f"{path}.node", f"one of {sorted(allowed)}", name)
    cls = allowed[name]
    hints = _HINTS[cls]
    unknown = sorted(document.keys() - hints.keys() - {"node"})
    absent = sorted(hints.keys() - document.keys() - _LEFT_OUT.keys())
    if unknown or absent:
        raise ValueError(f"{path}: {name} has unknown fields {unknown} and lacks {absent}")
    values = {
        field: _decode(document[field], hint, f"{path}.{field}", depth + 1)
        for field, hint in hints.items()
        if field in document
    }
    node = cls(**values)
    if isinstance(node, Literal):
        _check_literal(node, path)
    return typing.cast("object", node)


def _check_literal(literal: Literal, path: str) -> None:
    if type(literal.value) is not LITERAL_TYPES[literal.kind]:
        raise _mistake(f"{path}.value", f"a value of kind {literal.kind}", literal.value)


def _mistake(path: str, expected: str, found: object) -> ValueError:
    return ValueError(f"{path}: expected {expected}, found {found!r}")
