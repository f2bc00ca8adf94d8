import enum
from collections.abc import Sequence

from segcore.programs import Constant
from segcore.programs import Program as Code

class Op(enum.IntFlag):
    LOAD = 0
    CONSTANT = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    DIVIDE = 5
    EQUAL = 6
    UNEQUAL = 7
    LESS = 8
    LESS_EQUAL = 9
    GREATER = 10
    GREATER_EQUAL = 11
    TEXT_LESS = 12
    TEXT_LESS_EQUAL = 13
    TEXT_GREATER = 14
    TEXT_GREATER_EQUAL = 15
    HAS = 16
    ONE_OF = 17
    STARTS_WITH = 18
    ENDS_WITH = 19
    CONTAINS = 20
    TRUTH = 21
    NEGATE = 22
    LOWER = 23
    UPPER = 24
    COUNT_POINTS = 25
    COUNT_TEXTS = 26
    SHIFT = 27
    CONJOIN = 28
    DISJOIN = 29

class Source(enum.IntFlag):
    EVENT_ID = 0
    EVENT_TYPE = 1
    OCCURRED = 2
    RECEIVED = 3
    PROPERTY = 4
    SKU = 5
    CATEGORY = 6
    BRAND = 7
    PRICE = 8
    QUANTITY = 9
    ATTRIBUTE = 10
    EXISTS = 11
    COUNT = 12
    SUM = 13
    MEMBER = 14
    FOLD = 15
    AGE = 16
    ANNIVERSARY = 17
    BUCKET = 18

class Program:
    def __init__(self, texts: object, plan: Code, inputs: Sequence[tuple[int, int]]) -> None: ...
    def evaluate(self, values: Sequence[Constant]) -> int | None: ...
