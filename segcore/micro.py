"""Numbers as integers of a millionth: in, out, and the rounding that all evaluators share.

A result is a number while it lies between minus and plus `INT64_MAX`; beyond that it is missing.
The least 64-bit integer is no number: the kernels keep it for `missing`.
"""

from __future__ import annotations

from segcore.rule import MICRO, NUMBER_LIMIT

INT64_MAX = 2**63 - 1
"""The greatest number, in millionths, and the negative of the least."""

TIME_LIMIT_MS = 10**15
"""Instants and windows stay within this: beyond the year 9999, and a sum of two never overflows."""


def from_float(number: float) -> int:
    """Return `number` in millionths, rounded half to even; raises ValueError beyond NUMBER_LIMIT.

    >>> from_float(399.99)
    399990000
    """
    if not -NUMBER_LIMIT <= number <= NUMBER_LIMIT:
        raise ValueError(f"expected a number within {NUMBER_LIMIT} either way, found {number!r}")
    return round(number * 1e6)


def bounded(number: int | None) -> int | None:
    """Return `number`, or None (missing) where it is beyond 64 bits."""
    if number is None or abs(number) > INT64_MAX:
        return None
    return number


def divide_half_even(dividend: int, divisor: int) -> int:
    """Return the quotient rounded half to even; the divisor is not 0.

    >>> [divide_half_even(n, 2) for n in (-3, -1, 1, 3, 5)]
    [-2, 0, 0, 2, 2]
    """
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    quotient, rest = divmod(dividend, divisor)
    twice = 2 * rest
    if twice > divisor or (twice == divisor and quotient % 2 == 1):
        quotient += 1
    return quotient


def to_text(number: int) -> str:
    """Return the decimal text of a number of millionths, without trailing zeros.

    >>> to_text(-1_500_000)
    '-1.5'
    """
    whole, fraction = divmod(abs(number), MICRO)
    sign = "-" if number < 0 else ""
    tail = f".{fraction:06d}".rstrip("0") if fraction else ""
    return f"{sign}{whole}{tail}"
