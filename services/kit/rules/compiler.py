"""The way from a rule's text to segcore's typed rule.

CEL parses and type-checks; the translation then refuses what segcore cannot run exactly. Where CEL
refuses what it could parse, the translation is asked first what is wrong: it knows the names.
"""

from __future__ import annotations

import re

from segcore.rule import NUMBER_LIMIT, Expression
from services.kit.rules import scalar, tree
from services.kit.rules.environment import Complaint, Environments, Parsed
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.person import PersonView
from services.kit.rules.scalar import HAS_TAKES
from services.kit.rules.vocabulary import Vocabulary

TEXT_MAX = 10_000
"""Code points: a hundred screens' lines, and parsed in milliseconds."""

NODES_MAX = 2_000
"""Names, constants, calls and operators in one rule: what an explanation can still show."""

DEPTH_MAX = 32
"""How deep brackets, calls and operators nest: CEL's parser stops there."""

_SYNTAX = re.compile(r"Syntax error: .*?(?:input|at:?) '(.*?)'(?: expecting .*)?$")
_PLAIN = {
    "invalid int literal": f"expected a number of at most {NUMBER_LIMIT:,} either way",
    "invalid double literal": f"expected a number of at most {NUMBER_LIMIT:,} either way",
    "has() argument must be a field selection": HAS_TAKES,
}
_environments = Environments()


def compile_rule(text: str, vocabulary: Vocabulary) -> Expression:
    """Return the typed rule of a text: a condition over one profile.

    Raises RuleError, which says what is wrong at which line and column. Safe to call from several
    threads.
    """
    _check_text(text)
    environment = _environments.of(vocabulary)
    view = PersonView(text, vocabulary)
    try:
        parsed = environment.check(text)
    except Complaint as unchecked:
        try:
            parsed = environment.parse(text)
        except Complaint as unparsed:
            raise _syntax_error(text, unparsed) from None
        scalar.condition(_tree(text, parsed), view)
        raise _located(text, unchecked, unchecked.words) from None
    return scalar.condition(_tree(text, parsed), view)


def _check_text(text: str) -> None:
    if not text.strip():
        raise RuleError(text, 0, "a rule says something, found an empty text")
    if len(text) > TEXT_MAX:
        raise RuleError(
            text, TEXT_MAX, f"a rule has at most {TEXT_MAX:,} characters, found {len(text):,}"
        )
    for offset, character in enumerate(text):
        if "\ud800" <= character <= "\udfff" or character == "\0":
            raise RuleError(text, offset, f"expected text, found the code {ord(character):#x}")


def _tree(text: str, parsed: Parsed) -> tree.Node:
    built = tree.TreeBuilder(text, parsed.positions).build(parsed.expr)
    if (found := tree.count(built)) > NODES_MAX:
        raise RuleError(text, 0, f"a rule has at most {NODES_MAX:,} parts, found {found:,}")
    return built


def _syntax_error(text: str, complaint: Complaint) -> RuleError:
    if complaint.too_deep:
        where = _deepest(text)
        return RuleError(text, where, f"a rule nests at most {DEPTH_MAX} deep, this goes deeper")
    found = _SYNTAX.search(complaint.words)
    if found is None:
        return _located(text, complaint, _PLAIN.get(complaint.words, complaint.words))
    if found[1] == "<EOF>":
        return _located(text, complaint, "the rule ends too early: something is missing here")
    if found[1][:1] in {'"', "'"} and "recognition" in complaint.words:
        return _located(text, complaint, "this text has no closing quote, or a wrong escape")
    return _located(text, complaint, f"this does not parse: {shown(found[1])} does not fit here")


def _located(text: str, complaint: Complaint, words: str) -> RuleError:
    lines = text.split("\n")[: max(0, complaint.line - 1)]
    return RuleError(text, sum(len(line) + 1 for line in lines) + complaint.column - 1, words)


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
