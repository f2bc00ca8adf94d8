"""Errors for texts that are no CEL, in plain words and with what was likely meant."""

from __future__ import annotations

import re

from segcore.rule import NUMBER_LIMIT
from services.kit.rules.environment import Complaint
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.scalar import HAS_TAKES

DEPTH_MAX = 32
"""How deep brackets, calls and operators nest: CEL's parser stops there."""

_UNEXPECTED = re.compile(r"Syntax error: .*?(?:input|at:?) '(.*?)'(?: expecting .*)?$")
_RESERVED = re.compile(r"reserved identifier: (.*)")
_PLAIN = {
    "invalid int literal": f"expected a number of at most {NUMBER_LIMIT:,} either way",
    "invalid double literal": f"expected a number of at most {NUMBER_LIMIT:,} either way",
    "has() argument must be a field selection": HAS_TAKES,
}
_MEANT = {
    "=": "==",
    "=>": ">=",
    "&": "&&",
    "|": "||",
    "and": "&&",
    "or": "||",
    "not": "!",
    "\u201c": '"',
    "\u201d": '"',
    "\u201e": '"',
    "\u2018": "'",
    "\u2019": "'",
}
"""What people write out of habit, and what it is in CEL; typographic quotes among them."""


def syntax_error(text: str, complaint: Complaint) -> RuleError:
    """Return the error for a text that CEL does not parse."""
    if complaint.too_deep:
        words = f"a rule nests at most {DEPTH_MAX} deep, this goes deeper"
        return RuleError(text, _deepest(text), words)
    return located(text, complaint, _words(text, complaint))


def located(text: str, complaint: Complaint, words: str) -> RuleError:
    """Return the error that says `words` at the place of a complaint."""
    return RuleError(text, _offset(text, complaint), words)


def _offset(text: str, complaint: Complaint) -> int:
    lines = text.split("\n")[: max(0, complaint.line - 1)]
    return sum(len(line) + 1 for line in lines) + complaint.column - 1


def _words(text: str, complaint: Complaint) -> str:
    if reserved := _RESERVED.fullmatch(complaint.words):
        return f"{shown(reserved[1])} is a reserved word of CEL"
    found = _UNEXPECTED.search(complaint.words)
    if found is None:
        return _PLAIN.get(complaint.words, complaint.words)
    if found[1] == "<EOF>":
        return "the rule ends too early: something is missing here"
    if found[1][:1] in {'"', "'"} and "recognition" in complaint.words:
        return "this text has no closing quote, or a wrong escape"
    hint = _hint(text, complaint, found[1])
    return f"this does not parse: {shown(found[1])} does not fit here{hint}"


def _hint(text: str, complaint: Complaint, unexpected: str) -> str:
    # CEL reads `not x` as a name with another one behind it, and complains of the latter.
    before = text[: _offset(text, complaint)].split()[-1:]
    for word in (unexpected.strip(), *before):
        if meant := _MEANT.get(word.casefold()):
            return f"; {shown(word)} is `{meant}` here"
    return ""


def _deepest(text: str) -> int:
    depth = deepest = where = 0
    for offset, character in enumerate(text):
        if character in "([{":
            depth += 1
            if depth > deepest:
                deepest, where = depth, offset
        elif character in ")]}":
            depth -= 1
    return where
