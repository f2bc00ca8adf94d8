"""Chance that is the same everywhere: a counter through a mixing function, by seed and place.

Nothing is carried from one draw to the next place: any batch can be made alone, in any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")

MASK = 0xFFFF_FFFF_FFFF_FFFF
_STEP = 0x9E37_79B9_7F4A_7C15
_UNIT_BITS = 53
_UNIT = 1.0 / (1 << _UNIT_BITS)


def mix64(value: int) -> int:
    """Return 64 bits in which each depends on all of `value`: the finalizer of SplitMix64.

    >>> hex(mix64(1))
    '0x5692161d100b05e5'
    """
    value = (value ^ value >> 30) * 0xBF58_476D_1CE4_E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D0_49BB_1331_11EB & MASK
    return value ^ value >> 31


class Draws:
    """Draws for one place: `(seed, stream, index)`, such as the mix, the events, event 17."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, stream: int, index: int) -> None:
        self._state = mix64(mix64(mix64(seed & MASK) ^ stream * _STEP & MASK) + index & MASK)

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._state = self._state + _STEP & MASK
        return mix64(self._state)

    def unit(self) -> float:
        """Return the next number from 0 to below 1."""
        return (self.bits() >> 64 - _UNIT_BITS) * _UNIT

    def below(self, limit: int) -> int:
        """Return a number from 0 to below `limit`, each as likely."""
        return self.bits() * limit >> 64

    def between(self, least: int, greatest: int) -> int:
        """Return a number from `least` to `greatest`, each as likely."""
        return least + self.below(greatest - least + 1)

    def skewed(self, limit: int) -> int:
        """Return a number below `limit`, the small ones more often: the first tenth has a third."""
        unit = self.unit()
        return int(limit * unit * unit)

    def choice(self, options: Sequence[_T]) -> _T:
        """Return one of the options, each as likely."""
        return options[self.below(len(options))]
