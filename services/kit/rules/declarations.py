"""What CEL is told of our functions and operators: their parameters and results.

CEL knows int and double and mixes them nowhere; here every pair of them compares and computes.
"""

from __future__ import annotations

from collections.abc import Sequence

from cel_expr_python import cel

from services.kit.rules.words import DURATIONS, SEQUENCES, TEXT_FORMS, TYPES_MAX

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
_DATE = _T(f"{PACKAGE}.{DATE_MESSAGE}")
_TEXTS = _T(f"{PACKAGE}.{TEXTS_MESSAGE}")
_NUMBERS = (_T.INT, _T.DOUBLE)
# A wrapper type takes null too, and the plain values of its type.
_MAYBE_NUMBERS = (_T("google.protobuf.Int64Value"), _T("google.protobuf.DoubleValue"))
_MAYBE_TEXT = _T("google.protobuf.StringValue")
_MAYBE_FLAG = _T("google.protobuf.BoolValue")
_VALUES = (
    *((number, _MAYBE_NUMBERS[1]) for number in _NUMBERS),
    (_T.STRING, _MAYBE_TEXT),
    (_T.BOOL, _MAYBE_FLAG),
    *((kind, kind) for kind in (_T.TIMESTAMP, _DATE, _TEXTS)),
)
"""What a row may hold, and the same where it may be missing."""

_MEASURES = (*_VALUES[:2], (_T.TIMESTAMP, _T.TIMESTAMP))


def functions() -> list[cel.FunctionDecl]:
    """Return every declaration but `since`, which journeys have more of."""
    return [
        *_comparisons(),
        *_arithmetic(),
        *_texts(),
        *_sources(),
        *_person(),
        *(_narrowing(name, parameters) for name, parameters in _NARROWING),
        *_folds(),
        *_times(),
    ]


def _declare(
    name: str, result: cel.Type, signatures: Sequence[Sequence[cel.Type]], *, method: bool = False
) -> cel.FunctionDecl:
    return _declare_each(name, [(result, p) for p in signatures], method=method)


def _declare_each(
    name: str,
    signatures: Sequence[tuple[cel.Type, Sequence[cel.Type]]],
    *,
    method: bool = False,
) -> cel.FunctionDecl:
    overloads = [
        cel.Overload(f"{name}/{i}", return_type=result, parameters=list(p), is_member=method)
        for i, (result, p) in enumerate(signatures)
    ]
    return cel.FunctionDecl(name, overloads)


def _comparisons() -> list[cel.FunctionDecl]:
    equal = [(a, b) for a in _MAYBE_NUMBERS for b in _MAYBE_NUMBERS]
    equal += [(kind, kind) for kind in (_MAYBE_TEXT, _MAYBE_FLAG, _T.TIMESTAMP, _DATE, _TEXTS)]
    written = _T.List(_T.STRING)
    equal += [(written, other) for other in (written, _TEXTS, _T.NULL)]
    equal += [(other, written) for other in (_TEXTS, _T.NULL)]
    order = [(a, b) for a in _NUMBERS for b in _NUMBERS]
    order += [(kind, kind) for kind in (_T.STRING, _T.TIMESTAMP, _T.DURATION, _DATE)]
    member = [(a, _T.List(b)) for a in _NUMBERS for b in _NUMBERS]
    member += [(a, _T.List(a)) for a in (_T.STRING, _T.BOOL, _T.TIMESTAMP, _DATE)]
    member.append((_T.STRING, _TEXTS))
    return [
        *(_declare(name, _T.BOOL, equal) for name in ("_==_", "_!=_")),
        *(_declare(name, _T.BOOL, order) for name in ("_<_", "_<=_", "_>_", "_>=_")),
        _declare("@in", _T.BOOL, member),
    ]


def _arithmetic() -> list[cel.FunctionDecl]:
    numbers = [(_T.DOUBLE, (a, b)) for a in _NUMBERS for b in _NUMBERS]
    later = [(_T.TIMESTAMP, (_T.TIMESTAMP, _T.DURATION))]
    either = [*later, (_T.TIMESTAMP, (_T.DURATION, _T.TIMESTAMP))]
    negative = [(_T.DOUBLE, (a,)) for a in _NUMBERS]
    return [
        _declare_each("_+_", [*numbers, *either]),
        _declare_each("_-_", [*numbers, *later]),
        *(_declare_each(name, numbers) for name in ("_*_", "_/_")),
        _declare_each("-_", [*negative, (_T.DURATION, (_T.DURATION,))]),
    ]


def _texts() -> list[cel.FunctionDecl]:
    sized = [(_T.STRING,), (_TEXTS,)]
    overloads = [
        cel.Overload(f"size/{i}{j}", return_type=_T.INT, parameters=list(p), is_member=member)
        for i, p in enumerate(sized)
        for j, member in enumerate((False, True))
    ]
    return [
        cel.FunctionDecl("size", overloads),
        *(_declare(name, _MAYBE_TEXT, [(_T.STRING,)], method=True) for name in sorted(TEXT_FORMS)),
    ]


def _sources() -> list[cel.FunctionDecl]:
    texts = [[_T.STRING] * n for n in range(1, TYPES_MAX + 1)]
    return [_declare(name, result, texts) for name, result in _ROWS]


def _person() -> list[cel.FunctionDecl]:
    return [
        _declare("audience", _T.BOOL, [(_T.STRING,)]),
        _declare("age", _T.DURATION, [(_T.TIMESTAMP,)]),
        _declare("anniversary", _T.BOOL, [(_T.TIMESTAMP,), (_DATE,)]),
        _declare("bucket", _T.DOUBLE, [(_T.STRING,)]),
    ]


def _folds() -> list[cel.FunctionDecl]:
    rows = [rows for _, rows in _ROWS]
    numbers = [(r, n) for r in rows for n in _NUMBERS]
    newest: list[tuple[cel.Type, tuple[cel.Type, ...]]]
    newest = [(_T.TIMESTAMP, (r,)) for r in rows]
    newest += [(maybe, (r, kind)) for r in rows for kind, maybe in _VALUES]
    extremes = [(maybe, (r, kind)) for r in rows for kind, maybe in _MEASURES]
    return [
        _declare("exists", _T.BOOL, [(r,) for r in rows], method=True),
        _declare("count", _T.INT, [(r,) for r in rows], method=True),
        _declare("sum", _T.DOUBLE, numbers, method=True),
        _declare("avg", _MAYBE_NUMBERS[1], numbers, method=True),
        _declare("distinct", _T.INT, [(r, kind) for r in rows for kind, _ in _VALUES], method=True),
        *(_declare_each(name, extremes, method=True) for name in ("min", "max")),
        *(_declare_each(name, newest, method=True) for name in ("latest", "earliest")),
    ]


_SEQUENCE = tuple((then, *within) for _, then in _ROWS for within in ((), (_T.DURATION,)))
_NARROWING: tuple[tuple[str, Sequence[Sequence[cel.Type]]], ...] = (
    ("where", ((_T.BOOL,),)),
    ("last", ((_T.DURATION,),)),
    ("olderThan", ((_T.DURATION,),)),
    ("calendarDays", ((_T.INT,),)),
    ("between", ((_T.TIMESTAMP, _T.TIMESTAMP),)),
    ("by", ((_T.STRING,),)),
    *((name, _SEQUENCE) for name in sorted(SEQUENCES)),
)


def _narrowing(name: str, signatures: Sequence[Sequence[cel.Type]]) -> cel.FunctionDecl:
    # One overload a kind of rows, since each gives back its own.
    pairs = [(rows, (rows, *parameters)) for _, rows in _ROWS for parameters in signatures]
    return _declare_each(name, pairs, method=True)


def since(*instants: cel.Type) -> cel.FunctionDecl:
    """Return `since`, which takes any time, and these beside."""
    return _narrowing("since", [(_T.TIMESTAMP,), *((instant,) for instant in instants)])


def catalog_function(catalog: cel.Type) -> cel.FunctionDecl:
    """Return what gives conditions of journeys the type of an item."""
    return _declare("catalog", catalog, [(_T.STRING,)])


def _times() -> list[cel.FunctionDecl]:
    return [
        *(_declare(name, _T.DURATION, [(_T.INT,)]) for name in DURATIONS),
        _declare("date", _DATE, [(_T.STRING,)]),
    ]
