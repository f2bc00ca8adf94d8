"""Sizes, names and clocks: what a reader may rely on in every file."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("services", "segcore", "tests")
FILE_LINES = 400
KERNEL_LINES = 600
FUNCTION_LINES = 60
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "manager"}
CLOCK = "services/kit/clock.py"
CLOCK_READS = re.compile(
    r"\btime\.(time|time_ns|monotonic|monotonic_ns|gmtime|localtime)\("
    r"|\bdatetime\.(now|utcnow|today)\(|\bdate\.today\("
    r"|\bfrom time import .*\b(time|monotonic|time_ns)\b"
)
RANDOM = re.compile(
    r"^\s*(import (random|secrets)\b|from (random|secrets) import)|\buuid\.?uuid[14]\("
)
RANDOMNESS = "services/kit/ids.py"


def _sources(*suffixes: str, folders: tuple[str, ...] = FOLDERS) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes
    ]
    return [path.relative_to(ROOT) for path in found]


def _lines(path: Path) -> list[str]:
    return (ROOT / path).read_text(encoding="utf-8").splitlines()


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    limits = {".py": FILE_LINES, ".pyi": FILE_LINES, ".pyx": KERNEL_LINES, ".pxd": KERNEL_LINES}
    long = {
        str(path): len(_lines(path))
        for path in _sources(*limits)
        if len(_lines(path)) > limits[path.suffix]
    }
    assert long == {}, (
        f"a file stops at {FILE_LINES} lines, a kernel at {KERNEL_LINES}, so that one reader can"
        " hold it in mind; would two names say it better?"
    )


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    long = {
        f"{path}:{name}": length
        for path in _sources(".py")
        for name, length in _functions(path)
        if length > FUNCTION_LINES
    }
    assert long == {}, f"a function stops at {FUNCTION_LINES} lines: name its parts"


def test_modules_are_named_for_what_they_hold() -> None:
    vague = [str(path) for path in _sources(".py", ".pyx") if path.stem.strip("_") in BANNED]
    assert vague == [], "such a name says nothing, so everything ends up there: name the noun"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in _sources(".py", folders=("services", "segcore"))
        if _lines(path) and not ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8")))
    ]
    assert silent == [], "a module opens with one to four lines: what it is for, what rule it keeps"


@pytest.mark.parametrize(
    ("pattern", "allowed", "reason"),
    [
        (
            CLOCK_READS,
            CLOCK,
            "time is a value that is passed in: a replay and a virtual clock have their own",
        ),
        (
            RANDOM,
            RANDOMNESS,
            "ids are functions of their cause, or a replay would mint others",
        ),
    ],
)
def test_time_and_chance_come_in_at_one_place(
    pattern: re.Pattern[str], allowed: str, reason: str
) -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in _sources(".py", ".pyx", folders=("services", "segcore"))
        if path.as_posix() != allowed
        for number, line in enumerate(_lines(path), 1)
        if pattern.search(line)
    ]
    assert found == [], f"{reason}; see {allowed}"


def test_test_files_have_names_of_their_own() -> None:
    names = Counter(path.name for path in _sources(".py", folders=("tests",)))
    twice = [name for name, times in names.items() if times > 1 and name.startswith("test_")]
    assert twice == [], "pytest imports tests by their file's name alone"
