"""Ids: random ones for what comes from outside without an id, derived ones for everything else.

A derived id is a function of its cause, so that a replay mints none anew.
"""

from __future__ import annotations

import uuid

from services.kit.errors import invalid_field

ORDINAL_BITS = 32
ORDINAL_LIMIT = 1 << ORDINAL_BITS
"""Ordinals are 32-bit numbers, because that is what a roaring bitmap holds."""

_NAMESPACE = uuid.UUID("8d9c2b52-7a0e-5f43-9c1d-3f1f5a1f0e11")


def new_id() -> str:
    """Return a random UUID: the one place of randomness."""
    return str(uuid.uuid4())


def parse_request_id(text: str, field: str) -> str:
    """Return the id of a request in its usual form, empty for none; raises InvalidArgument.

    >>> parse_request_id("8D9C2B52-7A0E-5F43-9C1D-3F1F5A1F0E11", "request_id")
    '8d9c2b52-7a0e-5f43-9c1d-3f1f5a1f0e11'
    """
    try:
        return str(uuid.UUID(text)) if text else ""
    except ValueError:
        raise invalid_field(field, "another text", "a UUID") from None


def derive_id(*parts: str) -> str:
    """Return the UUID that these parts always have; `ab, c` is not `a, bc`.

    >>> derive_id("merge", "7") == derive_id("merge", "7") != derive_id("merge7")
    True
    """
    return str(uuid.uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def profile_id(partition: int, ordinal: int) -> int:
    """Return the id of the profile with this ordinal (from 1) in this partition (from 0).

    >>> profile_id(0, 7), profile_id(1, 7)
    (7, 4294967303)
    """
    if partition < 0 or not 0 < ordinal < ORDINAL_LIMIT:
        raise ValueError(
            f"a profile id needs a partition from 0 and an ordinal from 1 to {ORDINAL_LIMIT - 1},"
            f" found partition {partition}, ordinal {ordinal}"
        )
    return partition << ORDINAL_BITS | ordinal


def partition_of(profile: int) -> int:
    """Return the partition in which the profile stays for life."""
    return profile >> ORDINAL_BITS


def ordinal_of(profile: int) -> int:
    """Return the profile's number within its partition."""
    return profile & (ORDINAL_LIMIT - 1)
