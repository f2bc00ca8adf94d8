"""What rules come to, as typed trees without their offsets, and as answers of the reference."""

from __future__ import annotations

import threading

import pytest

from segcore import rule as typed  # pytest would collect a bare `TestText`
from segcore.history import AttributeChange, History
from segcore.kinds import check_rule
from segcore.reference import evaluate
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    TextTest,
    Truth,
)
from segcore.rule_json import from_json, to_json, without_offsets
from services.kit.rules.compiler import compile_rule
from services.kit.rules.vocabulary import Vocabulary

DAY_MS = 86_400_000
CITY = Attribute("city", Kind.TEXT)
TIER = Attribute("loyalty.tier", Kind.TEXT)
MEMBER = Attribute("loyalty.member", Kind.FLAG)
NEWSLETTER = Attribute("newsletter", Kind.FLAG)
SPEND = Attribute("spend", Kind.NUMBER)
SIGNUP = Attribute("signup_at", Kind.TIME)
TOTAL = EventField("total", Kind.NUMBER)
CHANNEL = EventField("channel", Kind.TEXT)
GIFT = EventField("gift", Kind.FLAG)
PRICE = ItemField("price", Kind.NUMBER)
QUANTITY = ItemField("quantity", Kind.NUMBER)
NULL = Literal(None, None)
TRUE = Literal(value=True, kind=Kind.FLAG)
PURCHASES = Rows(Scope.EVENT, ("purchase",))


def number(units: float) -> Literal:
    return Literal(round(units * 1_000_000), Kind.NUMBER)


def text(value: str) -> Literal:
    return Literal(value, Kind.TEXT)


def count(rows: Rows) -> Aggregate:
    return Aggregate(rows, Fold.COUNT)


def exists(where: Expression | None = None, last_ms: int | None = None) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, ("purchase",), where, last_ms), Fold.EXISTS)


def compare(left: Expression, comparison: str, right: Expression) -> Compare:
    return Compare(Comparison(comparison), left, right)


TREES: dict[str, Expression] = {
    'profile.loyalty.tier == "gold"': compare(TIER, "==", text("gold")),
    '"gold" != profile.loyalty.tier': compare(text("gold"), "!=", TIER),
    'profile.loyalty.tier in ["gold", "silver"]': OneOf(TIER, (text("gold"), text("silver"))),
    "profile.spend in [1, 2.5, -3]": OneOf(SPEND, (number(1), number(2.5), number(-3))),
    "profile.newsletter in [true]": OneOf(NEWSLETTER, (TRUE,)),
    "profile.spend > 3": compare(SPEND, ">", number(3)),
    "3 <= profile.spend": compare(number(3), "<=", SPEND),
    "profile.spend == 399.99": compare(SPEND, "==", number(399.99)),
    "profile.spend > -2": compare(SPEND, ">", number(-2)),
    "profile.spend > 1e3": compare(SPEND, ">", number(1000)),
    "profile.spend > 0x10": compare(SPEND, ">", number(16)),
    'profile.city < "m"': compare(CITY, "<", text("m")),
    'profile.signup_at >= timestamp("2026-03-01T09:30:00+01:00")': compare(
        SIGNUP, ">=", Literal(1_772_353_800_000, Kind.TIME)
    ),
    "has(profile.city)": compare(CITY, "!=", NULL),
    "profile.city == null": compare(CITY, "==", NULL),
    "null != profile.signup_at": compare(NULL, "!=", SIGNUP),
    'profile.city.startsWith("Mal")': typed.TestText(TextTest.STARTS_WITH, CITY, "Mal"),
    'profile.city.endsWith("ö")': typed.TestText(TextTest.ENDS_WITH, CITY, "ö"),
    'profile.city.contains("\\U0001F600")': typed.TestText(TextTest.CONTAINS, CITY, "😀"),
    "profile.newsletter": Truth(NEWSLETTER),
    "!profile.newsletter": Not(Truth(NEWSLETTER)),
    "!!profile.newsletter": Truth(NEWSLETTER),
    "profile.newsletter == true": compare(NEWSLETTER, "==", TRUE),
    "profile.newsletter == profile.loyalty.member": compare(NEWSLETTER, "==", MEMBER),
    "true": Truth(TRUE),
    "-profile.spend < 2": compare(Arithmetic(Operator.SUB, number(0), SPEND), "<", number(2)),
    "profile.spend * 2 + 1 >= 7 / profile.spend": compare(
        Arithmetic(Operator.ADD, Arithmetic(Operator.MUL, SPEND, number(2)), number(1)),
        ">=",
        Arithmetic(Operator.DIV, number(7), SPEND),
    ),
    "profile.for == 1": compare(Attribute("for", Kind.NUMBER), "==", number(1)),
    "profile.fooBar && profile.foo_bar": All(
        (Truth(Attribute("fooBar", Kind.FLAG)), Truth(Attribute("foo_bar", Kind.FLAG)))
    ),
    "profile.newsletter && (profile.loyalty.member && true) || false": AnyOf(
        (
            All((Truth(NEWSLETTER), Truth(MEMBER), Truth(TRUE))),
            Truth(Literal(value=False, kind=Kind.FLAG)),
        )
    ),
    'audience("vip") && !audience("winter-athleisure")': All(
        (InAudience("vip"), Not(InAudience("winter-athleisure")))
    ),
    'events("purchase").exists()': exists(),
    'events("purchase").exists() == true': compare(exists(), "==", TRUE),
    'events("purchase", "return").count() >= 2': compare(
        count(Rows(Scope.EVENT, ("purchase", "return"))), ">=", number(2)
    ),
    'events("purchase", "purchase").count() > 2.5': compare(count(PURCHASES), ">", number(2.5)),
    'events("purchase").last(days(30)).exists()': exists(last_ms=30 * DAY_MS),
    'events("purchase").last(days(30)).last(hours(24)).exists()': exists(last_ms=DAY_MS),
    'events("purchase").last(minutes(5)).last(days(1)).exists()': exists(last_ms=300_000),
    'events("purchase").last(duration("72h")).exists()': exists(last_ms=3 * DAY_MS),
    'events("purchase").last(duration("1d12h30m5s250ms")).exists()': exists(last_ms=131_405_250),
    'events("purchase").where(event.gift).exists()': exists(Truth(GIFT)),
    'events("purchase").where(event.gift).last(days(1)).where(event.total > 9).exists()': exists(
        All((Truth(GIFT), compare(TOTAL, ">", number(9)))), DAY_MS
    ),
    'events("purchase").where(event.type == "purchase" && event.id != "x").exists()': exists(
        All(
            (
                compare(EventField("type", Kind.TEXT), "==", text("purchase")),
                compare(EventField("id", Kind.TEXT), "!=", text("x")),
            )
        )
    ),
    'events("purchase").where(event.ship.at < event.received_at).exists()': exists(
        compare(EventField("ship.at", Kind.TIME), "<", EventField("received_at", Kind.TIME))
    ),
    'events("purchase").where(!has(event.channel)).exists()': exists(
        Not(compare(CHANNEL, "!=", NULL))
    ),
    'events("purchase").sum(event.total) - events("return").sum(event.total)>= 2 * profile.spend': (
        compare(
            Arithmetic(
                Operator.SUB,
                Aggregate(PURCHASES, Fold.SUM, TOTAL),
                Aggregate(Rows(Scope.EVENT, ("return",)), Fold.SUM, TOTAL),
            ),
            ">=",
            Arithmetic(Operator.MUL, number(2), SPEND),
        )
    ),
    'items("purchase").where(item.brand == "X" && event.channel == "store")'
    ".sum(item.price * item.quantity) >= 400": compare(
        Aggregate(
            Rows(
                Scope.ITEM,
                ("purchase",),
                All(
                    (
                        compare(ItemField("brand", Kind.TEXT), "==", text("X")),
                        compare(CHANNEL, "==", text("store")),
                    )
                ),
            ),
            Fold.SUM,
            Arithmetic(Operator.MUL, PRICE, QUANTITY),
        ),
        ">=",
        number(400),
    ),
    "events('''purchase''') // the big ones\n  .where(event.total > 9.0)\n  .exists()": exists(
        compare(TOTAL, ">", number(9))
    ),
}


@pytest.mark.parametrize("rule", TREES)
def test_a_rule_becomes_its_tree(rule: str, vocabulary: Vocabulary) -> None:
    assert without_offsets(compile_rule(rule, vocabulary)) == TREES[rule]


@pytest.mark.parametrize("rule", TREES)
def test_a_tree_is_well_formed_and_survives_json(rule: str, vocabulary: Vocabulary) -> None:
    tree = compile_rule(rule, vocabulary)
    check_rule(tree)
    assert from_json(to_json(tree)) == tree


@pytest.mark.parametrize(
    ("written", "micro"),
    [
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("0.0000025", 2),
        ("0.1234565", 123_456),
        ("0.1 + 0.2", None),
        ("9000000000", 9_000_000_000_000_000),
        ("-9000000000.0", -9_000_000_000_000_000),
    ],
)
def test_numbers_are_millionths_rounded_half_to_even(
    written: str, micro: int | None, vocabulary: Vocabulary
) -> None:
    tree = compile_rule(f"profile.spend == {written}", vocabulary)
    assert isinstance(tree, Compare)
    if micro is not None:
        assert tree.right == Literal(micro, Kind.NUMBER, 17)
        assert micro == round(float(written) * 1e6)
    else:
        assert evaluate(tree.right, History((), ()), 0, lambda _: False) == 300_000


@pytest.mark.parametrize(
    ("rule", "of_missing", "of_true", "of_false"),
    [
        ("profile.newsletter", False, True, False),
        ("!profile.newsletter", True, False, True),
        ("profile.newsletter == false", False, False, True),
        ("profile.newsletter != false", True, True, False),
        ("profile.newsletter != true", True, False, True),
        ("profile.newsletter == null", True, False, False),
        ("has(profile.newsletter)", False, True, True),
        ("profile.newsletter in [true, false]", False, True, True),
        ("!(profile.newsletter in [true])", True, False, True),
    ],
)
def test_a_missing_flag_is_the_value_null(
    rule: str, vocabulary: Vocabulary, *, of_missing: bool, of_true: bool, of_false: bool
) -> None:
    tree = compile_rule(rule, vocabulary)

    def answer(value: bool | None) -> object:  # noqa: FBT001 - the value of a flag
        history = History((), (AttributeChange({"newsletter": value}, 0),))
        return evaluate(tree, history, 0, lambda _: False)

    assert [answer(None), answer(True), answer(False)] == [of_missing, of_true, of_false]  # noqa: FBT003


def test_wheres_and_lasts_commute(vocabulary: Vocabulary) -> None:
    filters = [".last(days(3))", ".where(event.gift)", ".last(days(2))"]
    trees = {
        without_offsets(compile_rule(f'events("purchase"){"".join(order)}.exists()', vocabulary))
        for order in (filters, filters[::-1], [filters[1], filters[0], filters[2]])
    }
    assert len(trees) == 1


def test_sixteen_event_types_are_taken() -> None:
    types = [f"t{i}" for i in range(16)]
    listed = ", ".join(f'"{t}"' for t in types)
    tree = compile_rule(f"events({listed}).exists()", Vocabulary({}, {t: {} for t in types}))
    assert without_offsets(tree) == Aggregate(Rows(Scope.EVENT, tuple(types)), Fold.EXISTS)


def test_a_property_is_known_where_one_of_the_types_has_it(vocabulary: Vocabulary) -> None:
    rule = 'events("purchase", "return").where(event.reason == "size").exists()'
    assert isinstance(compile_rule(rule, vocabulary), Aggregate)


def test_a_workspace_without_a_schema_has_rules() -> None:
    assert compile_rule('audience("a")', Vocabulary({}, {}, frozenset("a"))) == InAudience("a", 0)


def test_rules_compile_in_several_threads_at_once(vocabulary: Vocabulary) -> None:
    expected = {rule: compile_rule(rule, vocabulary) for rule in TREES}
    wrong: list[str] = []

    def work(index: int) -> None:
        other = Vocabulary({f"a{index}": Kind.FLAG}, {})
        compile_rule(f"profile.a{index}", other)
        wrong.extend(r for r, tree in expected.items() if compile_rule(r, vocabulary) != tree)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
