import enum
from collections.abc import Sequence

from segcore._sets import Set

class Operation(enum.IntEnum):
    AND = -1
    OR = -2
    AND_NOT = -3

def evaluate(code: Sequence[int], operands: Sequence[Set]) -> Set: ...
def measure(code: Sequence[int], operands: Sequence[Set]) -> int: ...
