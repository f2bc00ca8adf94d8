"""What CEL is told of our functions and operators: their parameters and results.

CEL knows int and double and mixes them nowhere; here every pair of them compares and computes.
"""

from __future__ import annotations

from collections.abc import Sequence

from cel_expr_python import cel

from services.kit.rules.words import DURATIONS, TYPES_MAX

REPLACED = (
    *("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"),
    *("_+_", "_-_", "_*_", "_/_", "_%_", "-_"),
    *("matches", "size"),
)
"""Functions of CEL's own that are left out: ours stand in their place, or nothing does."""

MACROS = ("all", "exists", "exists_one", "filter", "map")
"""CEL's own loops. Left out, they arrive as they were written, and are refused by name."""

STANDARD = (
    "stdlib:\n  exclude_macros:\n"
    + "".join(f"    - {name}\n" for name in MACROS)
    + "  exclude_functions:\n"
    + "".join(f'    - name: "{name}"\n' for name in REPLACED)
)
"""CEL's configuration."""

PACKAGE = "rule"
"""The protobuf package of the messages that are made for a vocabulary."""

DATE_MESSAGE = "Date"
TEXTS_MESSAGE = "Texts"
"""Messages without fields: like every message they may be missing, and compare with null."""

_T = cel.Type
_EVENTS = _T.AbstractType("rows.Events")
_ITEMS = _T.AbstractType("rows.Items")
ENTRY = _T.AbstractType("journey.Entry")
"""The type of `entry`, which has no value of its own."""

_ROWS = (("events", _EVENTS), ("items", _ITEMS))
_NUMBERS = (_T.INT, _T.DOUBLE)
# A wrapper type takes null too, and the plain values of its type.
_MAYBE_NUMBERS = (_T("google.protobuf.Int64Value"), _T("google.protobuf.DoubleValue"))
_MAYBE_TEXT = _T("google.protobuf.StringValue")
_MAYBE_FLAG = _T("google.protobuf.BoolValue")


def functions() -> list[cel.FunctionDecl]:
    """Return every declaration."""
    return [*_comparisons(), *_arithmetic(), *_sources(), *_methods(), *_durations()]


def _declare(
    name: str, result: cel.Type, signatures: Sequence[Sequence[cel.Type]], *, method: bool = False
) -> cel.FunctionDecl:
    overloads = [
        cel.Overload(f"{name}/{i}", return_type=result, parameters=list(p), is_member=method)
        for i, p in enumerate(signatures)
    ]
    return cel.FunctionDecl(name, overloads)


def _comparisons() -> list[cel.FunctionDecl]:
    equal = [(a, b) for a in _MAYBE_NUMBERS for b in _MAYBE_NUMBERS]
    equal += [(_MAYBE_TEXT, _MAYBE_TEXT), (_MAYBE_FLAG, _MAYBE_FLAG), (_T.TIMESTAMP, _T.TIMESTAMP)]
    order = [(a, b) for a in _NUMBERS for b in _NUMBERS]
    order += [(_T.STRING, _T.STRING), (_T.TIMESTAMP, _T.TIMESTAMP)]
    member = [(a, _T.List(b)) for a in _NUMBERS for b in _NUMBERS]
    member += [(a, _T.List(a)) for a in (_T.STRING, _T.BOOL, _T.TIMESTAMP)]
    return [
        *(_declare(name, _T.BOOL, equal) for name in ("_==_", "_!=_")),
        *(_declare(name, _T.BOOL, order) for name in ("_<_", "_<=_", "_>_", "_>=_")),
        _declare("@in", _T.BOOL, member),
    ]


def _arithmetic() -> list[cel.FunctionDecl]:
    pairs = [(a, b) for a in _NUMBERS for b in _NUMBERS]
    return [
        *(_declare(name, _T.DOUBLE, pairs) for name in ("_+_", "_-_", "_*_", "_/_")),
        _declare("-_", _T.DOUBLE, [(a,) for a in _NUMBERS]),
    ]


def _sources() -> list[cel.FunctionDecl]:
    texts = [[_T.STRING] * n for n in range(1, TYPES_MAX + 1)]
    return [
        *(_declare(name, result, texts) for name, result in _ROWS),
        _declare("audience", _T.BOOL, [(_T.STRING,)]),
    ]


def _methods() -> list[cel.FunctionDecl]:
    rows = [rows for _, rows in _ROWS]
    return [
        *(_narrowing(name, parameter) for name, parameter in _NARROWING),
        _declare("exists", _T.BOOL, [(r,) for r in rows], method=True),
        _declare("count", _T.INT, [(r,) for r in rows], method=True),
        _declare("sum", _T.DOUBLE, [(r, n) for r in rows for n in _NUMBERS], method=True),
    ]


_NARROWING = (("where", _T.BOOL), ("last", _T.DURATION))


def _narrowing(name: str, parameter: cel.Type) -> cel.FunctionDecl:
    # One overload a kind of rows, since each gives back its own.
    overloads = [
        cel.Overload(f"{name}/{noun}", return_type=t, parameters=[t, parameter], is_member=True)
        for noun, t in _ROWS
    ]
    return cel.FunctionDecl(name, overloads)


def instance_functions(event: cel.Type, catalog: cel.Type) -> list[cel.FunctionDecl]:
    """Return what conditions of journeys have beside, by the types of an event and of an item."""
    since = [
        cel.Overload(f"since/{noun}{i}", return_type=rows, parameters=[rows, t], is_member=True)
        for noun, rows in _ROWS
        for i, t in enumerate((event, ENTRY))
    ]
    return [
        cel.FunctionDecl("since", since),
        _declare("catalog", catalog, [(_T.STRING,)]),
    ]


def _durations() -> list[cel.FunctionDecl]:
    return [_declare(name, _T.DURATION, [(_T.INT,)]) for name in DURATIONS]
