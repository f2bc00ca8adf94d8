"""The rule language: CEL text -> checked tree -> segcore's typed rule.

`compile_rule` takes a rule of an audience, `compile_condition` one of a journey and `compile_entry`
the rows by which people enter it. What cannot be run exactly is refused with its place and the
reason. `vocabulary` says what a rule may name and how a schema may grow.
"""

from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_entry, compile_rule
from services.kit.rules.condition import Condition, compile_condition
from services.kit.rules.errors import RuleError
from services.kit.rules.situation import Situation
from services.kit.rules.vocabulary import Vocabulary, check_extension, from_schema

__all__ = [
    "Condition",
    "RuleError",
    "Situation",
    "Vocabulary",
    "check_extension",
    "clause_text",
    "compile_condition",
    "compile_entry",
    "compile_rule",
    "from_schema",
]
