"""The rule language: CEL text -> checked tree -> segcore's typed rule.

`compile_rule(text, vocabulary)` is the one way in. What cannot be run exactly is refused with its
place and the reason. `vocabulary` says what a rule may name and how a schema may grow.
"""

from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_rule
from services.kit.rules.errors import RuleError
from services.kit.rules.vocabulary import Vocabulary, check_extension, from_schema

__all__ = [
    "RuleError",
    "Vocabulary",
    "check_extension",
    "clause_text",
    "compile_rule",
    "from_schema",
]
