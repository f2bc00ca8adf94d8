"""The Dockerfile and what Docker leaves out of the build, read as Docker reads them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.deploy.manifests import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
DOCKERIGNORE = ROOT / ".dockerignore"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a Dockerfile, continued ones joined."""

    keyword: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def flags(self) -> dict[str, str]:
        pairs = (word[2:].partition("=") for word in self.words if word.startswith("--"))
        return {name: value for name, _, value in pairs}

    @property
    def operands(self) -> list[str]:
        return [word for word in self.words if not word.startswith("--")]


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile without its comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    split = (line.partition(" ") for line in joined.splitlines())
    return [Instruction(keyword.upper(), rest.strip()) for keyword, _, rest in split]


def stages(text: str) -> list[list[Instruction]]:
    """Return the stages, each from its FROM on; what comes before the first is left out."""
    found: list[list[Instruction]] = []
    for instruction in instructions(text):
        if instruction.keyword == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def assignments(stage: Sequence[Instruction], keyword: str) -> dict[str, str]:
    """Return the names that ENV, ARG or LABEL set in a stage, with their values."""
    words = [word for each in stage if each.keyword == keyword for word in each.words]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def exec_form(instruction: Instruction) -> list[str] | None:
    """Return the words of an ENTRYPOINT or CMD, None where it would need a shell."""
    try:
        words = json.loads(instruction.text)
    except ValueError:
        return None
    return [str(word) for word in words] if isinstance(words, list) else None


def environment(text: str) -> dict[str, str]:
    """Return what the image sets for Coterie's settings."""
    found = assignments(stages(text)[-1], "ENV")
    return {name: value for name, value in found.items() if name.startswith("COTERIE_")}


def left_out(path: str, ignore: str) -> bool:
    """Tell whether a file stays out of the build: the last pattern that matches it decides.

    A pattern that matches a folder matches all below it.
    """
    pure = PurePosixPath(path)
    candidates = [str(pure), *(str(parent) for parent in pure.parents if str(parent) != ".")]
    out = False
    for line in ignore.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept = pattern.startswith("!")
        expression = _expression(pattern.removeprefix("!").strip("/"))
        if any(expression.fullmatch(candidate) for candidate in candidates):
            out = not kept
    return out


def _expression(pattern: str) -> re.Pattern[str]:
    """Return what a pattern matches: `*` stays within one folder, `**/` is any number of them."""
    parts = ["(?:.*/)?" if part == "**" else _within(part) + "/" for part in pattern.split("/")]
    return re.compile("".join(parts).removesuffix("/"))


def _within(part: str) -> str:
    translated = fnmatch.translate(part)
    return translated.removeprefix("(?s:").removesuffix(r")\Z").replace(".*", "[^/]*")
