"""Memory of segmentation: the common workload's history, then its rules live over all of it.

    python -m tests.bench.memory [--profiles 1000000] [--events 2000000] [--rules 1000]
        [--live 100000] [--directory D] [--limit-gib G]

Events and attributes come first, the rules are built over them as the service builds them, and the
last `--live` events come in runs, so that memberships change one by one. Printed are what each kind
of state takes, resident and mapped; what the process holds; and what `coterie capacity` estimates
for the same. With `--limit-gib` the process cannot take more address space than that, mapped files
included: it fails then, and no other process does. Skips aloud without the shared workload.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from coterie.log.v1 import transitions_pb2
from segcore._batch import Batch
from segcore._resident import leaves
from segcore.rule_json import to_json
from services.host import report
from services.segmentation import acts, saved
from services.segmentation.domain import Definition
from services.segmentation.memory import MemoryUse
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition
from services.segmentation.run_wire import RunWriter
from tests.bench import workload

PART = 250_000
RUN = 1_000
SLICE_ROWS = 1_000_000
MEBIBYTE = 1 << 20


def say(what: str, began_s: float) -> None:
    """Print a step with the processor's time that it took and what the process holds."""
    spent = time.process_time() - began_s
    print(f"{what:<28} {spent:>8.1f} s   {_held('RssAnon') / MEBIBYTE:>8,.0f} MiB held", flush=True)


def _held(what: str) -> int:
    """Return what the process holds of a kind of memory: anonymous, or of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    return 0


def remember(shared: ModuleType, partition: Partition, profiles: int) -> None:
    """Set the attributes of everybody."""
    people = shared.make_profiles(profiles)
    for start in range(0, profiles, PART):
        part = {name: column[start : start + PART] for name, column in people.items()}
        columns = [workload.attribute_values(shared, part, each) for each in workload.ATTRIBUTES]
        for number, values in enumerate(zip(*columns, strict=True), start + 1):
            named = dict(zip(workload.ATTRIBUTES, values, strict=True))
            partition.engine.set_attributes(number, named, shared.START_MS - 1)
    partition.last_ordinal = profiles


def batches(
    shared: ModuleType, partition: Partition, options: argparse.Namespace
) -> Iterator[Batch]:
    """Yield all events; the last `--live` of them in runs."""
    events = shared.make_events(options.profiles, options.events)
    past = max(0, options.events - options.live)
    bounds = [*range(0, past, PART), *range(past, options.events, RUN), options.events]
    for start, end in pairwise(bounds):
        columns = workload.event_columns(shared, events, start, end)
        yield Batch.from_columns(partition.engine.texts, columns)


def define(shared: ModuleType, partition: Partition, rules: int) -> None:
    """Build the rules over the history, and let them go live."""
    began_s = time.process_time()
    found = workload.rules(shared, rules)
    for audience_id, rule in found.items():
        partition.propose(Definition(audience_id, 1, audience_id, "", to_json(rule), 1, "r"))
    while not partition.build(SLICE_ROWS):
        pass
    say("rules built", began_s)
    began_s = time.process_time()
    for audience_id in found:
        partition.activate(audience_id, 1)
    say("rules live", began_s)


def fill(shared: ModuleType, options: argparse.Namespace, directory: Path) -> Partition:
    """Return a partition with everything in it."""
    partition = saved.begin(directory, 0)
    partition.pass_time(shared.START_MS - 1, inclusive=True)
    began_s = time.process_time()
    remember(shared, partition, options.profiles)
    say("attributes set", began_s)
    began_s, live_s, told = time.process_time(), 0.0, 0
    past = max(0, options.events - options.live)
    writer, defined = RunWriter(0), False
    for batch in batches(shared, partition, options):
        if partition.engine.event_count == past and not defined:
            say("events in the history", began_s)
            define(shared, partition, options.rules)
            defined, began_s = True, time.process_time()
        partition.run = batch
        answer = transitions_pb2.TransitionPack(facts_seq=1, inbound_seq=1)
        before = time.thread_time()
        acts.apply_run(partition, answer, writer)
        live_s += time.thread_time() - before if defined else 0.0
        told += len(answer.transitions)
    if not defined:
        define(shared, partition, options.rules)
    say("events live", began_s)
    if told:
        rate, changes = options.live / live_s, told / options.live
        print(f"{rate:,.0f} events/s live, with {changes:.2f} changes an event told and kept")
    return partition


def show(shared: ModuleType, partition: Partition, options: argparse.Namespace) -> None:
    """Print what there is, and what was estimated."""
    found = MemoryUse(Overview(lambda: [partition])).count()
    uses = [(each.kind, each.resident_bytes, each.mapped_bytes) for each in found.uses]
    uses.append(("all", sum(each[1] for each in uses), sum(each[2] for each in uses)))
    rows = [(kind, _mebibytes(resident), _mebibytes(mapped)) for kind, resident, mapped in uses]
    print(report.table(("state", "resident, MiB", "mapped, MiB"), rows))
    print(
        f"the process holds {_mebibytes(_held('RssAnon'))} MiB of its own and"
        f" {_mebibytes(_held('RssFile') + _held('RssShmem'))} MiB of mapped files now; at most it"
        f" held {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"
    )
    nodes = Counter(type(each).__name__ for each in partition.engine.nodes if each is not None)
    print(f"{len(partition.definitions):,} audiences over {dict(nodes)}")
    show_leaves(partition, options.profiles)


def show_leaves(partition: Partition, profiles: int) -> None:
    """Print of each kind of counts how many there are, of whom, and what one of a person takes."""
    people: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for kind, known, size in leaves(partition.engine):
        people[kind] += known
        sizes[kind] += size
        count[kind] += 1
    for kind, known in people.items():
        share, each = known / count[kind] / profiles, sizes[kind] / max(known, 1)
        print(f"{count[kind]} {kind}: {share:.1%} of the people in one, {each:.0f} bytes each")
    timers = partition.engine.memory()["timers"]
    kept = sum(people.values())
    print(f"{timers / max(kept, 1):.1f} bytes of timers for each of them")
    rows, (_, mapped) = len(partition.records.journal), partition.records.journal.memory()
    print(f"{rows:,} changes of memberships in {_mebibytes(mapped)} MiB of files")


def _mebibytes(size: float) -> str:
    return f"{size / MEBIBYTE:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--live", type=int, default=100_000)
    parser.add_argument("--directory", default="")
    parser.add_argument("--limit-gib", type=float, default=0)
    options = parser.parse_args()
    if options.limit_gib:
        limit = int(options.limit_gib * (1 << 30))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    shared = workload.generator()
    with tempfile.TemporaryDirectory(dir=options.directory or None) as directory:
        partition = fill(shared, options, Path(directory))
        show(shared, partition, options)


if __name__ == "__main__":
    main()
