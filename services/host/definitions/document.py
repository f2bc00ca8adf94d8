"""Reads a YAML file strictly: a mistake says the line, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor


class DocumentError(Exception):
    """A file that people write is wrong: where, what was found, what was expected."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file. `path` is how a person would name its place: `items.price`."""

    file: str
    path: str
    node: yaml.Node

    def wrong(self, expected: str) -> DocumentError:
        """Return the error that this value is not what was expected."""
        return self.mistake(f"expected {expected}, found {self._found()}")

    def mistake(self, message: str) -> DocumentError:
        """Return an error about this value, with its place."""
        where = f"{self.file}:{self.node.start_mark.line + 1}"
        return DocumentError(
            f"{where}: {self.path}: {message}" if self.path else f"{where}: {message}"
        )

    def fields(self, known: Mapping[str, str], required: tuple[str, ...] = ()) -> dict[str, Node]:
        """Return the values of a mapping by key; `known` says what each key is for.

        Raises DocumentError for a key that is not known, is there twice, or is missing.
        """
        found: dict[str, Node] = {}
        for key, value in self.pairs():
            if key.text() not in known:
                raise key.mistake(
                    f"unknown key {key.text()!r}; there are {', '.join(sorted(known))}"
                )
            if key.text() in found:
                raise key.mistake(f"{key.text()!r} is there twice")
            found[key.text()] = value
        for name in required:
            if name not in found:
                raise self.mistake(f"{name!r} is missing: {known[name]}")
        return found

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Yield the keys and values of a mapping; raises DocumentError for anything else."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("`key: value` lines")
        for key, value in self.node.value:
            name = str(key.value)
            path = f"{self.path}.{name}" if self.path else name
            yield Node(self.file, self.path, key), Node(self.file, path, value)

    def entries(self) -> list[Node]:
        """Return the entries of a list; raises DocumentError for anything else."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("a list")
        return [
            Node(self.file, f"{self.path}[{index}]", entry)
            for index, entry in enumerate(self.node.value)
        ]

    def is_mapping(self) -> bool:
        """Return whether the value is `key: value` lines."""
        return isinstance(self.node, yaml.MappingNode)

    def text(self) -> str:
        """Return a text; a number or a date is taken as it is written. Raises DocumentError."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value:
            raise self.wrong("a text")
        return str(self.node.value)

    def choice(self, *options: str) -> str:
        """Return a text that is one of the options; raises DocumentError."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.value not in options:
            raise self.wrong(" or ".join(options))
        return str(self.node.value)

    def flag(self) -> bool:
        """Return true or false; raises DocumentError."""
        value = self._value()
        if not isinstance(value, bool):
            raise self.wrong("true or false")
        return value

    def _value(self) -> Any:
        return SafeConstructor().construct_document(self.node)

    def _found(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value) if self.node.value else "nothing"
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "`key: value` lines"


def read_file(path: Path) -> str:
    """Return a file's text; raises DocumentError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        place = f"byte {error.start:,}"
        raise DocumentError(f"{path}: expected text in UTF-8, found others at {place}") from None


def read_document(file: str, text: str) -> Node:
    """Return the root of a YAML text; raises DocumentError where it is none."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        words = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise DocumentError(f"{file}: not YAML: {words}") from None
    if root is None:
        raise DocumentError(f"{file}: empty")
    return Node(file, "", root)
