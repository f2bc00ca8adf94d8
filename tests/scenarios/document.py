"""Reads a YAML file in which what looks like a time is a text, and knows the line of each part."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.scenarios.faults import ScenarioError

Part = str | int

_PLAIN = {
    "tag:yaml.org,2002:null": (re.compile(r"^(?:~|null|)$"), "~n\0"),
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|false)$"), "tf"),
    "tag:yaml.org,2002:int": (re.compile(r"^[-+]?\d+$"), "-+0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?$"),
        "-+0123456789.",
    ),
}
"""What a scalar without quotes can be besides a text: no times, no `yes`, no 21:00 in base 60."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the same, in C
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012  the library's own way to say it

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))


for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, _pattern, ["" if c == "\0" else c for c in _first])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


@dataclass(frozen=True)
class Document:
    """One file: its content, and where each part of it stands."""

    file: Path
    content: dict[str, Any]
    root: yaml.Node

    def place(self, path: Sequence[Part]) -> str:
        """Return file, line and path of a part, as far as the path leads."""
        node = self.root
        for part in path:
            inner = _inside(node, part)
            if inner is None:
                break
            node = inner
        shown = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        return f"{self.file.name}:{node.start_mark.line + 1}: {shown or 'the file'}"


@cache
def read_document(file: Path) -> Document:
    """Return the file's content, read once; raises ScenarioError where it is no YAML mapping."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
        content = _Loader("").construct_document(root) if root is not None else None
    except OSError as error:
        raise ScenarioError(f"{file}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if root is None or not isinstance(content, dict):
        raise ScenarioError(f"{file}: expected a mapping, found something else")
    return Document(file, content, root)


def validate(document: Document, schema: Path) -> None:
    """Raise ScenarioError, with each place, unless the document is as the JSON Schema says."""
    errors = sorted(_validator(schema).iter_errors(document.content), key=lambda e: list(e.path))
    if errors:
        found = [f"{document.place(list(e.absolute_path))}: {e.message[:200]}" for e in errors]
        raise ScenarioError("\n".join(found))


@cache
def _validator(schema: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def _inside(node: yaml.Node, part: Part) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value  # type: ignore[no-any-return]  # the library types it loosely
    return None
