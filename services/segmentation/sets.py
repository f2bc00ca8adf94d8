"""Sets that are put together of audiences: a tree of values, and its members in one partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import assert_never

from pyroaring import BitMap

from segcore._bits import Bits
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


@dataclass(frozen=True, slots=True)
class Held:
    """What a set is made of, as of one position: members by audience, and everybody."""

    members: Mapping[str, BitMap]
    everybody: Bits


def held_for(tree: SetTree, partition: Partition) -> Held:
    """Return what a set is made of in a partition, which the caller holds."""
    members = {each: partition.members(each) for each in set(audiences_of(tree))}
    return Held(members, partition.everybody())


def people_of(tree: SetTree, held: Held) -> BitMap:
    """Return the ordinals of a set in a partition."""
    match tree:
        case Members(audience_id):
            return held.members[audience_id]
        case Every(sets):
            return reduce(and_, [people_of(each, held) for each in sets])
        case Some(sets):
            return reduce(or_, [people_of(each, held) for each in sets])
        case Others(of):
            return BitMap.deserialize(held.everybody.to_portable()) - people_of(of, held)
        case _:
            assert_never(tree)
