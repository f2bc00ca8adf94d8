"""What is refused, where, and in which words."""

from __future__ import annotations

import pytest

from services.kit.rules.compiler import NODES_MAX, TEXT_MAX, compile_rule
from services.kit.rules.errors import RuleError
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import INSTANCE_NAMES

ROW_ALONE = "sees the row alone"
SEVENTEEN = ", ".join(['"purchase"'] * 17)
CHAINS = (")" + " && true" * 9) * 30
ONE_TYPE = "compares values of one type, found"

REFUSALS: list[tuple[str, int, int, str]] = [
    # Names that are not there.
    ('profile.loyalty.teir == "gold"', 1, 1, "unknown attribute `loyalty.teir`; did you mean"),
    ('true &&\n  profile.cty == "x"', 2, 3, "unknown attribute `cty`; did you mean `city`?"),
    ("profile.zzz == 3", 1, 1, "unknown attribute `zzz`"),
    ("has(profile.cty)", 1, 5, "unknown attribute `cty`; did you mean `city`?"),
    ('profile.city.foo == "x"', 1, 1, "unknown attribute `city.foo`; did you mean `city`?"),
    ("profile.loyalty == null", 1, 1, "`profile.loyalty` is no value: name one of its parts"),
    ("profile == null", 1, 1, "`profile` is no value: name one of its attributes"),
    ("profile.`in` == 1", 1, 1, "unknown attribute `in`"),
    ('city == "x"', 1, 1, "unknown name `city`; did you mean `profile.city`?"),
    ("profil.spend == 3", 1, 1, "unknown name `profil.spend`; did you mean `profile.spend`?"),
    ("profile.city == gold", 1, 17, "unknown name `gold`; a field begins with `profile.`"),
    ('events("purchas").exists()', 1, 8, "unknown event type `purchas`; did you mean `purchase`?"),
    ('audience("vipp")', 1, 10, "unknown audience `vipp`; did you mean `vip`?"),
    ('evnts("purchase").exists()', 1, 1, "unknown function `evnts`; did you mean `events`?"),
    ('events("purchase").exist()', 1, 20, "unknown method `exist`; did you mean `exists`?"),
    ('events("purchase").wher(true).exists()', 1, 20, "unknown method `wher`"),
    ('events("purchase").where(event.totl > 3).exists()', 1, 26, "`totl` of `purchase`; did you"),
    ('events("purchase").where(event.reason == "x").exists()', 1, 26, "but `return` has it"),
    ('events("purchase").where(event.ship == null).exists()', 1, 26, "`event.ship` is no value"),
    ('events("purchase").where(event).exists()', 1, 26, "`event` is no value"),
    ('events("purchase").where(total > 3).exists()', 1, 26, "did you mean `event.total`?"),
    ('items("purchase").where(brand == "X").exists()', 1, 25, "did you mean `item.brand`?"),
    ('items("purchase").where(item.colour == "x").exists()', 1, 25, "unknown item field `colour`"),
    ('items("purchase").where(item == "x").exists()', 1, 25, "`item` is no value"),
    # What stands where it means nothing.
    ('events("purchase").where(profile.newsletter).exists()', 1, 26, ROW_ALONE),
    ('events("purchase").where(events("return").exists()).exists()', 1, 26, ROW_ALONE),
    ('events("purchase").where(audience("vip")).exists()', 1, 26, ROW_ALONE),
    ('events("purchase").sum(profile.spend) > 3', 1, 24, ROW_ALONE),
    ('events("purchase").sum(events("return").count()) > 3', 1, 24, ROW_ALONE),
    ('events("purchase").where(item.price > 3).exists()', 1, 26, "only under `items(...)`"),
    ("event.total > 3", 1, 1, "`event` is there only for one row at a time"),
    ("item.price > 3", 1, 1, "`item` is there only for one row at a time"),
    ('events("purchase")', 1, 1, "these are rows: end with `.exists()`"),
    ('events("purchase").last(days(3))', 1, 1, "these are rows: end with `.exists()`"),
    ('events("purchase") && true', 1, 1, "these are rows"),
    ('events("purchase").exists', 1, 1, "a method is written `.exists()`"),
    ('events("purchase").count().count() > 3', 1, 1, "`count` ends a chain"),
    ('events("purchase").where(true).where(profile.spend > 1).exists()', 1, 38, ROW_ALONE),
    ("exists()", 1, 1, "write it behind a dot"),
    ("profile.newsletter.where(true)", 1, 20, "`where` cannot be called on this"),
    ('"a".events()', 1, 5, "`events` is called on nothing"),
    ("days(3) == days(3)", 1, 1, "two durations are always in the same order"),
    ('duration("3d") == null', 1, 1, "compare the time with null"),
    ("[1, 2] == null", 1, 2, "a list of texts holds constant texts"),
    # Types.
    ("profile.spend", 1, 1, "expected a condition, found a number"),
    ("null", 1, 1, "expected a condition, found null"),
    ("true && profile.city", 1, 9, "expected a condition, found a text"),
    ("!profile.signup_at", 1, 2, "expected a condition, found a time"),
    ('events("purchase").where(event.total).exists()', 1, 26, "expected a condition, found a numb"),
    ('events("purchase").sum(event.channel) > 3', 1, 24, "expected a number, found a text"),
    ("profile.spend == profile.city", 1, 1, f"`==` {ONE_TYPE} a number and a text"),
    ("true && profile.spend != true", 1, 9, f"`!=` {ONE_TYPE} a number and a flag"),
    ('profile.signup_at < "2026-03-01"', 1, 1, f"`<` {ONE_TYPE} a time and a text"),
    ("profile.newsletter < true", 1, 1, "`<` orders numbers, texts, times and dates"),
    ("profile.spend < null", 1, 1, "null has no place in an order"),
    ("null == null", 1, 1, "not with null"),
    ('profile.city + "x" == "y"', 1, 1, "expected a number, found a text"),
    ("profile.signup_at - profile.signup_at > 3", 1, 1, "what lies between two times"),
    ("profile.spend + null > 3", 1, 17, "expected a number, found null"),
    ("-profile.city == null", 1, 2, "expected a number, found a text"),
    ('profile.spend in [1, "a"]', 1, 22, f"`in` {ONE_TYPE} a number and a text"),
    ("profile.spend in [1, null]", 1, 22, "null is in no list"),
    ("profile.spend in [1, profile.spend]", 1, 22, "`in` takes a list of constants"),
    ("profile.spend in []", 1, 18, "`in` takes a list of constants"),
    ("profile.city in profile.city", 1, 17, "`in` takes a list of constants"),
    ("profile.spend.startsWith(3)", 1, 1, "`startsWith` tests a text, found a number"),
    ("profile.city.contains(profile.city)", 1, 1, "`contains` takes one constant text"),
    ('profile.city.contains("a", "b")', 1, 1, "`contains` takes one constant text"),
    ("has(profile)", 1, 5, "`has` takes one attribute or property"),
    ("has(profile.spend + 1)", 1, 19, "`has` takes one attribute or property"),
    ("has(profile.spend, 1)", 1, 1, "`has` takes one attribute or property"),
    # Constants.
    ("events().exists()", 1, 1, "`events` takes 1 to 16 event types, found 0"),
    (f"events({SEVENTEEN}).exists()", 1, 1, "`events` takes 1 to 16 event types, found 17"),
    ("events(profile.city).exists()", 1, 8, "an event type is a constant text"),
    ("items(3).exists()", 1, 7, "an event type is a constant text"),
    ("audience(profile.city)", 1, 1, "`audience` takes one constant audience id"),
    ('events("purchase").last(30).exists()', 1, 25, "expected a constant duration"),
    ('events("purchase").last("30d").exists()', 1, 25, "expected a constant duration"),
    ('events("purchase").last().exists()', 1, 1, "`last` takes one duration"),
    ('events("purchase").last(days(profile.spend)).exists()', 1, 25, "one constant whole number"),
    ('events("purchase").last(days(1.5)).exists()', 1, 25, "one constant whole number"),
    ('events("purchase").last(days(0)).exists()', 1, 30, "a whole number from 1 on, found 0"),
    ('events("purchase").last(hours(-1)).exists()', 1, 31, "a whole number from 1 on, found -1"),
    ('events("purchase").last(days(3654)).exists()', 1, 25, "at most ten years (3,653 days)"),
    ('events("purchase").last(duration("0s")).exists()', 1, 25, "longer than zero"),
    ('events("purchase").last(duration("3 weeks")).exists()', 1, 25, "expected a duration such"),
    ('events("purchase").last(duration("1.5h")).exists()', 1, 25, "expected a duration such"),
    ('events("purchase").where().exists()', 1, 1, "`where` takes one condition"),
    ('events("purchase").sum() > 3', 1, 1, "`sum` takes one number"),
    ('events("purchase").count(event.total) > 3', 1, 26, "`count` takes nothing"),
    ('events("purchase").exists(x, x)', 1, 27, "`exists` takes nothing"),
    ('profile.signup_at < timestamp("2026-03-01")', 1, 31, "expected an instant such as"),
    ('profile.signup_at < timestamp("2026-02-30T00:00:00Z")', 1, 31, "day and time that there are"),
    ('profile.signup_at < timestamp("2026-02-20T00:00:00.0001Z")', 1, 31, "whole milliseconds"),
    ("profile.signup_at < timestamp(3)", 1, 21, "`timestamp` takes one constant text"),
    ("profile.spend > 9000000001", 1, 17, "expected a number of at most 9,000,000,000"),
    ("profile.spend > -9000000000.5", 1, 17, "expected a number of at most 9,000,000,000"),
    ("profile.spend > 1e999", 1, 17, "expected a number of at most 9,000,000,000"),
    ("profile.spend > 99999999999999999999", 1, 17, "expected a number of at most 9,000,000,000"),
    # What CEL has and rules have not.
    ("profile.newsletter ? true : false", 1, 1, "`? :` is not supported: say it with `&&`"),
    ('profile["city"] == "x"', 1, 1, "`[...]` behind a value is not supported"),
    ("profile.spend % 2 == 0", 1, 1, "`%` is not supported"),
    ('profile.city.matches("x")', 1, 14, "`matches` is not part of the rule language"),
    ("[1].all(x, x > 1)", 1, 1, "a list stands only behind `in`"),
    ("5u == 5u", 1, 1, "a number that ends in `u` is not part of the rule language"),
    ("b'x' == b'x'", 1, 1, "a text that begins with `b` is not part of the rule language"),
    ("{1: 2} == 3", 1, 1, "`{...}` is not part of the rule language"),
    ("dyn(profile.newsletter)", 1, 1, "`dyn` is not part of the rule language"),
    # What does not parse.
    ("", 1, 1, "found an empty text"),
    (" \n\t", 1, 1, "found an empty text"),
    ("profile.spend >", 1, 16, "the rule ends too early"),
    ("(profile.newsletter", 1, 20, "the rule ends too early"),
    ("profile.spend > > 2", 1, 17, "this does not parse: `>` does not fit here"),
    ('true && "abc', 1, 9, "this text has no closing quote"),
    ("profile.spend = 3", 1, 15, "`= ` does not fit here; `=` is `==` here"),
    ("true and true", 1, 6, "`and` does not fit here; `and` is `&&` here"),
    ("NOT true", 1, 5, "`true` does not fit here; `NOT` is `!` here"),
    ("profile.city == “a”", 1, 17, '`“` is `"` here'),
    ("for == 1", 1, 1, "`for` is a reserved word of CEL"),
    ("true @ true", 1, 6, "this does not parse: `@` does not fit here"),
    ('"😀" == "😀" &&\n\n "é" = 3', 3, 6, "does not fit here"),
    ("a\0", 1, 2, "expected text, found the code 0x0"),
    ("\ud800", 1, 1, "expected text, found the code 0xd800"),
    # Limits.
    ("(" * 33 + "true" + ")" * 33, 1, 33, "a rule nests at most 32 deep"),
    ("1" + " + 1" * 40 + " > 2", 1, 1, "a rule nests at most 32 deep"),
    (f"{'(' * 30}true{' && true' * 9}{CHAINS}", 1, 30, "a rule nests at most 32 deep"),
    (f"true{' ' * TEXT_MAX}", 1, TEXT_MAX + 1, "a rule has at most 10,000 characters"),
    (f"profile.spend in [{'1, ' * NODES_MAX}1]", 1, 1, "a rule has at most 2,000 parts"),
]


@pytest.mark.parametrize(("rule", "line", "column", "words"), REFUSALS)
def test_a_rule_is_refused_at_its_place(
    rule: str, line: int, column: int, words: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, vocabulary)
    error = caught.value
    assert words in error.complaint
    assert (error.line, error.column) == (line, column)
    assert error.reason == "INVALID_RULE"
    assert error.metadata == {"line": str(line), "column": str(column)}
    assert error.message.startswith(f"line {line}, column {column}: {error.complaint}\n")


@pytest.mark.parametrize("name", sorted(INSTANCE_NAMES))
def test_a_word_of_journeys_is_said_to_be_one(name: str, vocabulary: Vocabulary) -> None:
    rule = f'events("purchase").where(event.channel == {name}).exists()'
    with pytest.raises(RuleError, match=rf"column 43: `{name}` is there only in the conditions"):
        compile_rule(rule, vocabulary)


def test_the_place_is_marked_under_the_line(vocabulary: Vocabulary) -> None:
    rule = 'has(profile.city) &&\n\t"é😀" == profile.loyalty.tear && true'
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, vocabulary)
    assert caught.value.message.splitlines()[1:] == [
        '|  "é😀" == profile.loyalty.tear && true',
        "|          ^^^^^^^^^^^^^^^^^^^^",
    ]


def test_a_long_line_is_cut_around_the_place(vocabulary: Vocabulary) -> None:
    rule = " && ".join(["profile.newsletter"] * 100 + ["profile.newsletters"])
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, vocabulary)
    _, line, pointer = caught.value.message.splitlines()
    assert len(line) < 110
    assert line[pointer.index("^") : pointer.rindex("^") + 1] == "profile.newsletters"


def test_names_out_of_a_rule_are_cut_in_a_message(vocabulary: Vocabulary) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(f"profile.{'a' * 5000} == 3", vocabulary)
    assert len(caught.value.message) < 400
