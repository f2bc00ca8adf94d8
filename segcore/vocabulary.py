"""What nodes of rules choose from: kinds of values, operators, tests, folds.

`segcore.rule` has all of it too, and is where others import it from.
"""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """The type of a value.

    A time is milliseconds since 1970 UTC, a date days since 1970-01-01, a span milliseconds, texts
    a tuple of texts. A span is only ever computed: nothing of a history has that kind.
    """

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    TIME = "time"
    DATE = "date"
    TEXTS = "texts"
    SPAN = "span"


class Scope(enum.StrEnum):
    """What one row is."""

    EVENT = "event"
    ITEM = "item"


class Comparison(enum.StrEnum):
    """How two values are compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Operator(enum.StrEnum):
    """Arithmetic on two numbers."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"


class TextTest(enum.StrEnum):
    """A test of one text against a constant."""

    STARTS_WITH = "startsWith"
    ENDS_WITH = "endsWith"
    CONTAINS = "contains"


class TextForm(enum.StrEnum):
    """A text made of another one; only the letters A to Z have two forms."""

    LOWER = "lowerAscii"
    UPPER = "upperAscii"


class Since(enum.StrEnum):
    """From when on rows count for one instance of a journey; rows of its trigger itself never do.

    They do as another type that the same event also counts as.
    """

    TRIGGER = "trigger"
    ENTRY = "entry"


class Fold(enum.StrEnum):
    """What rows come to."""

    EXISTS = "exists"
    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    DISTINCT = "distinct"
    LATEST = "latest"
    EARLIEST = "earliest"
