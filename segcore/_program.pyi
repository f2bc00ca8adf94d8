import enum

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
    ONE_OF = 16
    STARTS_WITH = 17
    ENDS_WITH = 18
    CONTAINS = 19
    TRUTH = 20
    NEGATE = 21
    CONJOIN = 22
    DISJOIN = 23

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
