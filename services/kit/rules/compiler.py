"""The way from a text to segcore's typed rule, or to the rows by which people enter a journey.

CEL parses and type-checks; the translation then refuses what segcore cannot run exactly. Where CEL
refuses what it could parse, the translation is asked first what is wrong: it knows the names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from segcore.rule import Expression, Rows
from services.kit.rules import rows, scalar, tree
from services.kit.rules.bounds import check_bounds
from services.kit.rules.environment import Complaint, Environments, Parsed
from services.kit.rules.errors import RuleError
from services.kit.rules.person import PersonView
from services.kit.rules.syntax import located, syntax_error
from services.kit.rules.vocabulary import Vocabulary

TEXT_MAX = 10_000
"""Code points: more than anybody reads, and parsed in milliseconds."""

NODES_MAX = 2_000
"""Names, constants, calls and operators in one rule: what an explanation can still show."""

_Result = TypeVar("_Result", bound=Expression | Rows)

_environments = Environments()
# A cache and nothing else: an environment takes milliseconds, a check a tenth of one.


def compile_rule(text: str, vocabulary: Vocabulary) -> Expression:
    """Return the typed rule of a text: a condition over one profile.

    Raises RuleError, which says what is wrong at which line and column. Safe to call from several
    threads.
    """
    view = PersonView(text, vocabulary)
    return translated(view, lambda found: scalar.condition(found, view))


def compile_entry(text: str, vocabulary: Vocabulary) -> Rows:
    """Return the rows each of which is an entry: `events(...)` or `items(...)`, at most `where`.

    Raises RuleError as `compile_rule` does.
    """
    view = PersonView(text, vocabulary)
    return translated(view, lambda found: rows.entry_rows(found, view, vocabulary))


def translated(view: PersonView, translate: Callable[[tree.Node], _Result]) -> _Result:
    """Return what the translation of the view's text comes to."""
    text = view.text
    _check_text(text)
    environment = _environments.of(view.vocabulary, of_journeys=view.situation is not None)
    try:
        parsed = environment.check(text)
    except Complaint as unchecked:
        try:
            parsed = environment.parse(text)
        except Complaint as unparsed:
            raise syntax_error(text, unparsed) from None
        translate(_tree(text, parsed))
        raise located(text, unchecked, unchecked.words) from None
    translated_rule = translate(_tree(text, parsed))
    check_bounds(text, translated_rule)
    return translated_rule


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
