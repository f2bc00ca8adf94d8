from segcore._bits import Bits

class Group:
    def passing(self, low: int, high: int, negated: bool) -> Bits: ...
