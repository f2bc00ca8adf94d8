"""What must be on disk in the end, from the inbound log and the clients' memory alone.

Written without the hops: each expectation is a plain loop over what came in. Which flaky records
were set aside is the one thing that the logs themselves say; that none was without need is checked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kit.log.port import Record
from tests.sim.hops import encode, partition_of

Pack = Sequence[Sequence[str]]
Derived = tuple[int, bytes, bool]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Disk:
    """All that is on disk when the simulation has come to rest."""

    inbound: Sequence[Record]
    facts: Sequence[Sequence[Record]]
    transitions: Sequence[Sequence[Record]]
    timeline: Sequence[Row]
    visits: Sequence[Row]
    dead: Sequence[Row]
    versions: Sequence[int]


def judge(disk: Disk, accepted: Mapping[int, Pack]) -> list[str]:
    """Return what is wrong, the first hop first; empty where all is as it must be."""
    wrong = [
        f"accepted at {seq}, but it is not in the log there"
        for seq, pack in accepted.items()
        if seq > len(disk.inbound) or disk.inbound[seq - 1].payload != encode(pack)
    ]
    wrong += _judge_facts(disk)
    for partition, transitions in enumerate(disk.transitions):
        wrong += _judge_transitions(partition, disk.facts[partition], transitions)
        wrong += _judge_rows(partition, disk)
    return wrong


def _judge_facts(disk: Disk) -> list[str]:
    count = len(disk.facts)
    expected: list[list[Derived]] = [[] for _ in range(count)]
    aside = {record.source for facts in disk.facts for record in facts if record.dead_letter}
    wrong = _judge_aside("identity", disk.inbound, aside, _identifiers_in)
    seen: set[str] = set()
    profiles: list[str] = []
    visits: Counter[str] = Counter()
    for record in disk.inbound:
        found: dict[int, list[Any]] = {}
        for event_id, identifier in json.loads(record.payload):
            if record.seq not in aside and event_id not in seen:
                seen.add(event_id)
                visits[identifier] += 1
                if identifier not in profiles:
                    profiles.append(identifier)
                profile = profiles.index(identifier) + 1
                fact = [event_id, identifier, profile, visits[identifier]]
                found.setdefault(partition_of(identifier, count), []).append(fact)
        for partition in {0, *found} if found else range(count):
            pack = encode({"at": record.seq, "facts": found.get(partition, [])})
            expected[partition].append((record.seq, pack, record.seq in aside))
    for partition in range(count):
        name = f"facts-{partition}"
        wrong += _compare(name, expected[partition], _derived(disk.facts[partition]))
    return wrong


def _judge_transitions(
    partition: int, facts: Sequence[Record], found: Sequence[Record]
) -> list[str]:
    aside = {record.source for record in found if record.dead_letter}
    wrong = _judge_aside("segmentation", facts, aside, _people_in)
    counts: Counter[int] = Counter()
    expected: list[Derived] = []
    for record in facts:
        changes = []
        for event_id, _, profile, _ in json.loads(record.payload)["facts"]:
            if record.seq not in aside:
                counts[profile] += 1
                if counts[profile] in {3, 5}:
                    changes.append([profile, counts[profile] == 3, event_id])
        pack = encode({"at": record.seq, "changes": changes})
        expected.append((record.seq, pack, record.seq in aside))
    return wrong + _compare(f"transitions-{partition}", expected, _derived(found))


def _judge_rows(partition: int, disk: Disk) -> list[str]:
    facts = disk.facts[partition]
    dead = [seq for owner, seq in disk.dead if owner == partition]
    wrong = _judge_aside("profile", facts, set(dead), _people_in)
    if len(dead) != len(set(dead)):
        wrong.append(f"profile-{partition}: a record was set aside twice: {dead}")
    version = disk.versions[partition]
    timeline: list[Row] = []
    counts: Counter[int] = Counter()
    for record in facts:
        for event_id, _, profile, visit in json.loads(record.payload)["facts"]:
            if record.seq not in dead:
                counts[profile] += 1
                timeline.append((partition, record.seq, event_id, profile, visit, version))
    found = [row for row in disk.timeline if row[0] == partition]
    wrong += _compare(f"timeline-{partition}", timeline, found)
    visits = sorted(row for row in disk.visits if row[0] == partition)
    wanted = sorted((partition, profile, count, version) for profile, count in counts.items())
    return wrong + _compare(f"visits-{partition}", wanted, visits)


def _judge_aside(hop: str, records: Sequence[Record], aside: set[int], people: Any) -> list[str]:
    wrong = []
    for record in records:
        troubles = {identifier.split()[0] for identifier in people(record)}
        if record.seq in aside and not troubles & {f"!{hop}", f"?{hop}"}:
            wrong.append(f"{hop}: record {record.seq} was set aside without a reason")
        if record.seq not in aside and f"!{hop}" in troubles:
            wrong.append(f"{hop}: record {record.seq} cannot be applied, but was not set aside")
    return wrong


def _identifiers_in(record: Record) -> set[str]:
    return {identifier for _, identifier in json.loads(record.payload)}


def _people_in(record: Record) -> set[str]:
    return {fact[1] for fact in json.loads(record.payload)["facts"]}


def _derived(records: Sequence[Record]) -> list[Derived]:
    return [(record.source, record.payload, record.dead_letter) for record in records]


def _compare(what: str, expected: Sequence[Any], found: Sequence[Any]) -> list[str]:
    if list(expected) == list(found):
        return []
    place = next(
        (i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(found)),
    )
    there = [list(found)[place] if place < len(found) else "nothing"]
    wanted = [list(expected)[place] if place < len(expected) else "nothing"]
    counts = f"{what}: {len(expected)} expected, {len(found)} found; "
    return [f"{counts}at {place + 1} expected {wanted[0]}, found {there[0]}"]
