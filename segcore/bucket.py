"""The stable pseudo-random number that `bucket` gives a profile: the same everywhere, for ever."""

from __future__ import annotations

from segcore.rule import MICRO

_MASK = 2**64 - 1
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_SPREAD = 0x9E3779B97F4A7C15


def bucket_of(salt: str, profile_id: int) -> int:
    """Return a number from 0 to below 1, in millionths, for each profile and salt.

    >>> 0 <= bucket_of("holdout", 7) < MICRO
    True
    """
    mixed = _mix(_hash_text(salt) ^ (profile_id * _SPREAD & _MASK))
    return mixed * MICRO >> 64


def _hash_text(text: str) -> int:
    """Return FNV-1a of the text's UTF-8, in 64 bits."""
    found = _FNV_OFFSET
    for byte in text.encode():
        found = (found ^ byte) * _FNV_PRIME & _MASK
    return found


def _mix(number: int) -> int:
    """Return the last step of splitmix64: each bit of it depends on each of the number."""
    number ^= number >> 30
    number = number * 0xBF58476D1CE4E5B9 & _MASK
    number ^= number >> 27
    number = number * 0x94D049BB133111EB & _MASK
    return number ^ (number >> 31)
