"""Sets that are put together of audiences: a tree of values, and its members in one partition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import assert_never

from pyroaring import BitMap

from services.segmentation.partition import Partition

NODE_LIMIT = 100
DEPTH_LIMIT = 20
"""People write ten levels at most; both keep a request from costing more than it looks."""


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in one audience."""

    audience_id: str


@dataclass(frozen=True, slots=True)
class Every:
    """Who is in all of some sets."""

    sets: tuple[SetTree, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Who is in some of some sets."""

    sets: tuple[SetTree, ...]


@dataclass(frozen=True, slots=True)
class Others:
    """Every profile that is not in a set."""

    of: SetTree


SetTree = Members | Every | Some | Others


def audiences_of(tree: SetTree) -> Iterator[str]:
    """Yield the audiences that a set is made of."""
    match tree:
        case Members(audience_id):
            yield audience_id
        case Every(sets) | Some(sets):
            for each in sets:
                yield from audiences_of(each)
        case Others(of):
            yield from audiences_of(of)
        case _:
            assert_never(tree)


def people_of(tree: SetTree, partition: Partition) -> BitMap:
    """Return the ordinals of a set in a partition, which the caller holds."""
    match tree:
        case Members(audience_id):
            return partition.members(audience_id)
        case Every(sets):
            return reduce(and_, [people_of(each, partition) for each in sets])
        case Some(sets):
            return reduce(or_, [people_of(each, partition) for each in sets])
        case Others(of):
            return partition.everybody() - people_of(of, partition)
        case _:
            assert_never(tree)
