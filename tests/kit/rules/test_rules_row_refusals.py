"""What is refused of lists, dates, times, filters and sequences: where and in which words."""

from __future__ import annotations

import pytest

from segcore.limits import AGGREGATE_LIMIT, FOLLOW_LIMIT
from services.kit.rules.compiler import compile_rule
from services.kit.rules.errors import RuleError
from services.kit.rules.vocabulary import Vocabulary

ONE_SIDE = "`by` stands on one side"
NO_BOUND = "takes a constant, an attribute, or `latest` or `earliest` of rows"
CART = 'items("add_to_cart")'

REFUSALS: list[tuple[str, int, str]] = [
    # Texts and lists.
    ("profile.spend.lowerAscii() == 3", 1, "`lowerAscii` changes a text, found a number"),
    ('profile.city.upperAscii("x") == "a"', 25, "`upperAscii` takes nothing"),
    ("profile.city.lowerAsci() == 'x'", 14, "unknown method `lowerAsci`; did you mean"),
    ("lowerAscii(profile.city) == 'x'", 1, "write it behind a dot"),
    ("size(profile.spend) > 2", 6, "`size` counts the characters of a text or the texts of a list"),
    ("size() > 2", 1, "`size` takes one text or list"),
    ("size(profile.city, 2) > 2", 1, "`size` takes one text or list"),
    ("3 in profile.tags", 1, "`in` looks for a text in a list of texts, found a number"),
    ("profile.tags in profile.tags", 1, "`in` looks for a text in a list of texts, found a list"),
    ('profile.tags in ["a"]', 1, "`in` takes one single value before it, found a list of texts"),
    ('"a" in profile.city', 8, "or a list of texts such as profile.tags; found a text"),
    ('profile.tags == "a"', 1, "compares values of one type, found a list of texts and a text"),
    ("profile.tags == [3]", 18, "a list of texts holds constant texts"),
    ('profile.tags == ["a\\u001f"]', 18, "U+001F"),
    ('profile.tags < ["a"]', 1, "`<` orders numbers, texts, times and dates, found two lists"),
    ("profile.tags", 1, "expected a condition, found a list of texts"),
    ('["a"]', 1, "a list stands only behind `in`, or beside `==` and a list of texts"),
    ('profile.tgs == ["a"]', 1, "unknown attribute `tgs`; did you mean `tags`?"),
    # Dates, times and durations.
    ('profile.birth_date < "2020-01-01"', 1, "of one type, found a date and a text"),
    ("profile.birth_date < profile.signup_at", 1, "of one type, found a date and a time"),
    ('profile.birth_date < date("2020-1-1")', 27, "expected a day such as"),
    ('profile.birth_date < date("2023-02-29")', 27, "expected a day that there is"),
    ("profile.birth_date < date(2020)", 22, "`date` takes one constant text"),
    ("profile.birth_date + days(1) > profile.birth_date", 1, "expected a number, found a date"),
    ("profile.signup_at + 3 > profile.signup_at", 1, "expected a number, found a time"),
    ("days(3) - profile.signup_at > profile.signup_at", 1, "expected a number, found a duration"),
    ("profile.signup_at * days(3) == null", 1, "expected a number, found a time"),
    ("profile.signup_at + days(profile.spend) == null", 21, "one constant whole number"),
    ("profile.signup_at + days(36526) == null", 21, "at most a hundred years"),
    ("profile.signup_at + age(profile.signup_at) == null", 21, "moves by a constant duration"),
    ("days(3)", 1, "expected a condition, found a duration"),
    ("age(profile.birth_date) > days(3)", 5, "`age` takes a time, found a date"),
    ("age(profile.signup_at, 3) > days(3)", 1, "`age` takes a time: age(profile.signup_at)"),
    ("age(profile.signup_at) > 3", 1, "of one type, found a duration and a number"),
    ("age(profile.signup_at) == days(3)", 1, "one duration for an instant alone"),
    ("age(profile.signup_at) == null", 1, "an age is missing where its time is"),
    ("age(profile.signup_at) > age(profile.signup_at)", 1, "compared with a constant duration"),
    ("age(profile.signup_at) + days(1) > days(3)", 1, "expected a number, found a duration"),
    ("age(profile.signup_at) in [days(3)]", 1, "`in` takes one single value before it"),
    ("profile.signup_at.age() > days(3)", 19, "`age` is called on nothing"),
    ("age(profile.signup) > days(3)", 5, "unknown attribute `signup`; did you mean"),
    ("anniversary(profile.city)", 13, "`anniversary` takes a time or a date, found a text"),
    ("anniversary()", 1, "`anniversary` takes a time or a date: anniversary(profile.birth_date)"),
    ("bucket(profile.city) < 0.1", 1, "`bucket` takes one constant text"),
    ('bucket("a")', 1, "expected a condition, found a number"),
    # Where only a row is seen.
    ('events("purchase").where(age(event.ship.at) > days(1)).exists()', 26, "`.olderThan(...)`"),
    ('events("purchase").where(anniversary(event.due)).exists()', 26, "of the person"),
    ('events("purchase").where(bucket("a") < 0.1).exists()', 26, "not `bucket`, which is of"),
    (
        'events("purchase").by(profile.city).exists()',
        23,
        "`by` sees the row alone, not the",
    ),
    ('events("purchase").latest(profile.city) == "a"', 27, "`latest` sees the row alone"),
    ('events("purchase").avg(item.price) > 3', 24, "only under `items(...)`"),
    # Filters by time.
    ('events("purchase").olderThan().exists()', 1, "`olderThan` takes one duration"),
    ('events("purchase").olderThan(3).exists()', 30, "expected a constant duration"),
    ('events("purchase").olderThan(days(0)).exists()', 35, "a whole number from 1 on"),
    ('events("purchase").last(-days(3)).exists()', 25, "longer than zero"),
    ('events("purchase").calendarDays().exists()', 1, "`calendarDays` takes one constant whole"),
    ('events("purchase").calendarDays(1.5).exists()', 1, "`calendarDays` takes one constant whole"),
    ('events("purchase").calendarDays(days(7)).exists()', 1, "`calendarDays` takes one constant"),
    ('events("purchase").calendarDays(0).exists()', 33, "from 1 to 3,653, found 0"),
    ('events("purchase").since().exists()', 1, "`since` takes one time"),
    ('events("purchase").since(days(3)).exists()', 26, "`since` takes a time, found a duration"),
    ('events("purchase").since(null).exists()', 26, "`since` takes a time, found null"),
    (
        'events("purchase").since(profile.birth_date).exists()',
        26,
        "found a date: a day has no",
    ),
    ('events("purchase").since(event.ship.at).exists()', 26, "`event` is there only for one row"),
    ('events("purchase").since(events("return").max(event.occurred_at)).exists()', 26, NO_BOUND),
    ('events("purchase").since(events("return")).exists()', 26, "these are rows"),
    ('events("purchase").between(profile.signup_at).exists()', 1, "`between` takes two times"),
    ('events("purchase").between(profile.signup_at, 3).exists()', 47, "takes a time, found a numb"),
    # Ends.
    ('events("purchase").min(event.channel) == "a"', 24, "takes a number or a time, found a text"),
    ('events("purchase").max() > 3', 1, "`max` takes one number or time"),
    ('events("purchase").avg(event.ship.at) == null', 24, "expected a number, found a time"),
    ('events("purchase").distinct() > 3', 1, "`distinct` takes one value"),
    ('events("purchase").distinct(null) > 3', 29, "takes a value of the row, found null"),
    ('events("purchase").latest(event.id, event.id) == "a"', 1, "takes one value or nothing"),
    ('events("purchase").latest()', 1, "expected a condition, found a time"),
    ('events("purchase").latest().last(days(3)).exists()', 1, "`latest` ends a chain"),
    # Sequences.
    ('events("purchase").followedBy().exists()', 1, "`followedBy` takes rows, and at most one"),
    ('events("purchase").followedBy("return").exists()', 31, "`followedBy` takes rows, such as"),
    ('events("purchase").followedBy(profile.cty).exists()', 31, "unknown attribute `cty`"),
    ('events("purchase").followedBy(events("retrn")).exists()', 38, "unknown event type `retrn`"),
    ('events("purchase").followedBy(events("return").exists()).exists()', 31, "`exists` ends a ch"),
    (
        'events("purchase").followedBy(events("return"), 3).exists()',
        49,
        "expected a constant durat",
    ),
    (
        'events("purchase").followedBy(events("return"), days(4000)).exists()',
        49,
        "at most ten years",
    ),
    (f'{CART}.by(item.sku).followedBy(items("purchase")).exists()', 35, ONE_SIDE),
    (f'{CART}.notFollowedBy(items("purchase").by(item.sku)).exists()', 22, ONE_SIDE),
    (
        f"{CART}.by(item.sku).followedBy({CART}.by(item.sku).followedBy({CART})).exists()",
        80,
        ONE_SIDE,
    ),
    (f"{CART}.by(item.sku).exists()", 22, "`by` says what both sides of `followedBy` share"),
    (f"{CART}.by(item.sku).by(item.brand).exists()", 35, "rows have one key"),
    (f"{CART}.by(item.price).exists()", 25, "`by` takes a text of each row, found a number"),
    (f"{CART}.by().exists()", 1, "`by` takes one text of each row"),
    (f"{CART}.folowedBy({CART}).exists()", 22, "unknown method `folowedBy`; did you mean"),
    ('followedBy(events("purchase"))', 1, "write it behind a dot"),
]


@pytest.mark.parametrize(("rule", "column", "words"), REFUSALS)
def test_a_rule_is_refused_at_its_place(
    rule: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, vocabulary)
    assert words in caught.value.complaint
    assert (caught.value.line, caught.value.column) == (1, column)
    assert "supported" not in caught.value.complaint


def test_a_rule_has_so_many_ends_of_chains(vocabulary: Vocabulary) -> None:
    end = 'events("return").exists()'
    most = " || ".join([end] * AGGREGATE_LIMIT)
    assert compile_rule(most, vocabulary)
    with pytest.raises(RuleError, match="at most 64 `exists`, `count` and their like") as caught:
        compile_rule(f"{most} || {end}", vocabulary)
    assert caught.value.column == len(most) + 5


def test_sequences_stand_so_deep_in_one_another(vocabulary: Vocabulary) -> None:
    def nested(depth: int) -> str:
        rows = 'events("return")'
        for _ in range(depth):
            rows = f'events("return").followedBy({rows})'
        return f"{rows}.exists()"

    assert compile_rule(nested(FOLLOW_LIMIT), vocabulary)
    with pytest.raises(RuleError, match="sequences stand in one another at most 8 deep") as caught:
        compile_rule(nested(FOLLOW_LIMIT + 1), vocabulary)
    assert caught.value.column == 18 + FOLLOW_LIMIT * len('events("return").followedBy(')
