"""Kernels with a mistake in their source: each is built and has to be found.

`python -m tests.segcore.kernel_mutants [NAME ...]` copies the tree, changes one line, builds that
module alone, and runs the edges and then drawn plays beside the reference. It takes minutes, so the
suite has cheaper mutants of its own; run this after a change of a kernel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
EDGE_TESTS = ("engine_edges", "engine_edges_time", "person_edges", "sets")
EDGES = (
    *("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
    *(f"tests/segcore/test_{name}.py" for name in EDGE_TESTS),
)
PLAYS = ("-m", "tests.segcore.long_run", "--seconds", "1", "--plays", "150", "--seed", "7")
BUILD = """
import sys
import numpy
from Cython.Build import cythonize
from setuptools import Distribution, Extension
name = sys.argv[1]
extension = Extension(
    f"segcore.{name}", [f"segcore/{name}.pyx"], include_dirs=[numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
    extra_compile_args=["-O0", "-g0", "-w"],
)
directives = {
    "language_level": "3", "boundscheck": False, "wraparound": False,
    "initializedcheck": False, "cdivision": True,
}
modules = cythonize([extension], force=True, quiet=True, compiler_directives=directives)
command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
command.inplace = command.force = 1
command.ensure_finalized()
command.run()
"""


@dataclass(frozen=True)
class Mutant:
    """What is written instead of what, in a kernel: of all places where it stands the first."""

    name: str
    module: str
    sound: str
    mistaken: str


MUTANTS = (
    Mutant(
        "newest-window-a-ms-too-long",
        "_tally",
        "while count > 0 and times[count] <= limit:",
        "while count > 0 and times[count] < limit:",
    ),
    Mutant("window-a-ms-too-long", "_tally", "[0] <= limit_ms:", "[0] < limit_ms:"),
    Mutant(
        "forgotten-re-arm",
        "_node",
        "        (<int64_t*> cell)[0] = 0\n",
        "",
    ),
    Mutant(
        "valid-timer-taken-for-stale",
        "_node",
        "if cell == NULL or (<int64_t*> cell)[0] != kept_due(due_ms):",
        "if cell == NULL or (<int64_t*> cell)[0] != kept_due(due_ms) or ordinal & 1:",
    ),
    Mutant(
        "more-of-the-newest-unnoticed",
        "_tally",
        "        if times[place] <= limit:\n            cell[0] = times",
        "        if times[1] <= limit:\n            cell[0] = times",
    ),
    Mutant(
        "count-rounded-down",
        "_node",
        "floor, ceiling = threshold // MICRO, -(-threshold // MICRO)",
        "floor = ceiling = threshold // MICRO",
    ),
    Mutant(
        "least-too-high",
        "_node",
        "least_count(comparison, threshold) if of_count else 1",
        "least_count(comparison, threshold) + 1 if of_count else 1",
    ),
    Mutant(
        "skipped-watcher",
        "_logic",
        "for place in range(self.watcher_count):\n            queue.add",
        "for place in range(1, self.watcher_count):\n            queue.add",
    ),
    Mutant(
        "last-word-left-out",
        "_audience",
        "for place in range(known.word_count):",
        "for place in range(known.word_count - 1):",
    ),
    Mutant("no-recount-on-merge", "_people", "        self._recount(winner)\n", ""),
    Mutant(
        "bits-of-the-erased-stay",
        "_people",
        "        cdef Audience audience\n        self._forget_bits(ordinal)\n",
        "        cdef Audience audience\n",
    ),
    Mutant(
        "tie-by-earlier-receipt",
        "_decide",
        "return row.received_ms > other.received_ms",
        "return row.received_ms < other.received_ms",
    ),
    Mutant(
        "tie-by-lesser-id",
        "_decide",
        "return order > 0",
        "return order < 0",
    ),
    Mutant(
        "tie-proves-a-sequence",
        "_decide",
        "row.at_ms if follow.absent else row.at_ms + 1",
        "row.at_ms",
    ),
    Mutant(
        "row-stays-a-ms",
        "_decide",
        "if leaves_ms <= horizon_ms:",
        "if leaves_ms < horizon_ms:",
    ),
    Mutant(
        "age-noted-a-ms-early",
        "_decide",
        "note(present, later_by(reached_ms, 1))",
        "note(present, reached_ms)",
    ),
    Mutant(
        "divided-values-stay",
        "_attributes",
        "            journal.kill(row)\n        self._clear(ordinal)\n",
        "            journal.kill(row)\n",
    ),
    Mutant(
        "scan-window-a-ms-too-short",
        "_selection",
        "after_ms = self.horizon_ms - <int64_t> rows.last_ms",
        "after_ms = self.horizon_ms - <int64_t> rows.last_ms + 1",
    ),
    Mutant(
        "as-of-without-its-own-instant",
        "_selection",
        "as_of.get(row) <= self.now_ms",
        "as_of.get(row) < self.now_ms",
    ),
)


def _run(directory: Path, *arguments: str) -> bool:
    """Run Python in the copy; return whether it went well."""
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def _copy(directory: Path) -> None:
    shutil.copytree(ROOT / "segcore", directory / "segcore")
    shutil.copytree(ROOT / "tests" / "segcore", directory / "tests" / "segcore")
    shutil.copy(ROOT / "pyproject.toml", directory)


def found_by(mutant: Mutant | None) -> str:
    """Return what finds a mutant, empty where nothing does; None is the sound tree."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        _copy(directory)
        if mutant is not None:
            source = directory / "segcore" / f"{mutant.module}.pyx"
            text = source.read_text(encoding="utf-8")
            if mutant.sound not in text:
                raise ValueError(f"{mutant.name}: expected {mutant.sound!r} in {source.name}")
            changed = text.replace(mutant.sound, mutant.mistaken, 1)
            source.write_text(changed, encoding="utf-8")
            if not _run(directory, "-c", BUILD, mutant.module):
                raise ValueError(f"{mutant.name}: expected a kernel that can be built")
        if not _run(directory, *EDGES):
            return "edges"
        return "" if _run(directory, *PLAYS) else "plays"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants; the exit code says whether all were found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *(each.name for each in MUTANTS)])
    names = parser.parse_args(arguments).names
    missed = 0
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        begun = time.monotonic()
        finder = found_by(mutant)
        missed += not finder
        sys.stdout.write(
            f"{mutant.name}: {f'found by {finder}' if finder else 'NOT FOUND'}, "
            f"{time.monotonic() - begun:.0f} s\n"
        )
        sys.stdout.flush()
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
