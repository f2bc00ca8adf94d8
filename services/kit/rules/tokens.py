"""Where the words of a rule begin and end, and which brackets belong together.

CEL tells one offset a node. With the words around it that becomes the whole stretch that a reader
would call the clause. Only text that CEL has parsed comes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(
    r"""
    (?P<skip>[\t\n\f\r\ ]+|//[^\n]*)
    |[bB]?[rR](?:\"{3}(?s:.*?)\"{3}|'{3}(?s:.*?)'{3}|"[^"\n\r]*"|'[^'\n\r]*')
    |[bB]?(?:\"{3}(?s:\\.|[^\\])*?\"{3}|'{3}(?s:\\.|[^\\])*?'{3})
    |[bB]?(?:"(?:\\.|[^\\"\n\r])*"|'(?:\\.|[^\\'\n\r])*')
    |0[xX][0-9a-fA-F]+[uU]?
    |(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?
    |[_a-zA-Z][_a-zA-Z0-9]*
    |`[^`\n]*`
    |&&|\|\||<=|>=|==|!=
    |(?s:.)
    """,
    re.VERBOSE,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Span:
    """Words `first` to `last`, both included, by their index."""

    first: int
    last: int


class Words:
    """The words of one rule."""

    def __init__(self, text: str) -> None:
        found = [m for m in _WORD.finditer(text) if m.lastgroup != "skip"]
        self._texts = [m.group() for m in found]
        self._starts = [m.start() for m in found]
        self._index = {start: i for i, start in enumerate(self._starts)}
        self._partner = self._pair()

    def _pair(self) -> dict[int, int]:
        open_at: list[int] = []
        partner: dict[int, int] = {}
        for i, word in enumerate(self._texts):
            if word in _CLOSING:
                open_at.append(i)
            elif open_at and word == _CLOSING[self._texts[open_at[-1]]]:
                first = open_at.pop()
                partner[first], partner[i] = i, first
        return partner

    def index(self, offset: int) -> int:
        """Return which word starts at `offset`; where none does, the last one before it."""
        while offset > 0 and offset not in self._index:
            offset -= 1
        return self._index.get(offset, 0)

    def is_at(self, index: int, word: str) -> bool:
        """Return whether that word stands at `index`."""
        return 0 <= index < len(self._texts) and self._texts[index] == word

    def closing(self, index: int) -> int:
        """Return the index of the bracket that closes the one at `index`, else `index`."""
        return self._partner.get(index, index)

    def with_brackets(self, span: Span) -> Span:
        """Return the span together with the round brackets that hold nothing but it."""
        first, last = span.first, span.last
        while self.is_at(first - 1, "(") and self._partner.get(first - 1) == last + 1:
            first, last = first - 1, last + 1
        return Span(first, last)

    def start(self, index: int) -> int:
        """Return the offset at which a word begins."""
        return self._starts[index] if 0 <= index < len(self._starts) else 0

    def end(self, index: int) -> int:
        """Return the offset behind a word."""
        return self.start(index) + (len(self._texts[index]) if index < len(self._texts) else 0)
