"""Conditions and entries of journeys: how they are taken apart, and what is refused where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segcore.describe import describe
from segcore.reference import nodes_of
from segcore.rule import (
    Aggregate,
    AnyOf,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Rows,
    Scope,
    Since,
    TriggerField,
    Truth,
)
from segcore.rule_json import without_offsets
from services.kit.rules import (
    Condition,
    RuleError,
    Situation,
    Vocabulary,
    clause_text,
    compile_condition,
    compile_entry,
    compile_rule,
)

BY_ITEM = Situation(has_trigger=True, has_item_key=True, has_key=True)
BY_EVENT = Situation(has_trigger=True, has_item_key=False, has_key=True)
BY_AUDIENCE = Situation(has_trigger=False, has_item_key=False, has_key=False)
RETURNED = 'events("return").since(trigger).exists()'


def owned_id(number: int) -> str:
    return f"j.{number}"


def compiled(text: str, vocabulary: Vocabulary, situation: Situation = BY_ITEM) -> Condition:
    return compile_condition(text, vocabulary, situation, owned_id)


TREES: dict[str, Expression] = {
    "trigger.gift": Truth(TriggerField("gift", Kind.FLAG)),
    "has(trigger.ship.at)": Compare(
        Comparison.NE, TriggerField("ship.at", Kind.TIME), Literal(None, None)
    ),
    'trigger.type == "purchase"': Compare(
        Comparison.EQ, TriggerField("type", Kind.TEXT), Literal("purchase", Kind.TEXT)
    ),
    "trigger.occurred_at < trigger.received_at": Compare(
        Comparison.LT,
        TriggerField("occurred_at", Kind.TIME),
        TriggerField("received_at", Kind.TIME),
    ),
    "catalog(key).stock <= 0": Compare(
        Comparison.LE, CatalogField("stock", Kind.NUMBER), Literal(0, Kind.NUMBER)
    ),
    "has( catalog( key ).name )": Compare(
        Comparison.NE, CatalogField("name", Kind.TEXT), Literal(None, None)
    ),
    'events("return").where(event.total == trigger.total).since(trigger).count() > 1': Compare(
        Comparison.GT,
        Aggregate(
            Rows(
                Scope.EVENT,
                ("return",),
                Compare(
                    Comparison.EQ,
                    EventField("total", Kind.NUMBER),
                    TriggerField("total", Kind.NUMBER),
                ),
                since=Since.TRIGGER,
            ),
            Fold.COUNT,
        ),
        Literal(1_000_000, Kind.NUMBER),
    ),
    'items("purchase").since(entry).where(item.sku == key).since(entry).exists()': Aggregate(
        Rows(
            Scope.ITEM,
            ("purchase",),
            Compare(Comparison.EQ, ItemField("sku", Kind.TEXT), KeyText()),
            since=Since.ENTRY,
        ),
        Fold.EXISTS,
    ),
}


@pytest.mark.parametrize("text", TREES)
def test_what_speaks_of_the_instance_stays(text: str, vocabulary: Vocabulary) -> None:
    found = compiled(text, vocabulary)
    assert without_offsets(found.expression) == TREES[text]
    assert (found.owned, found.audiences) == ({}, frozenset())


SPLITS: dict[str, tuple[str, list[str]]] = {
    # The whole is about the person.
    "profile.newsletter": ('audience("j.0")', ["profile.newsletter"]),
    '(profile.newsletter || audience("vip"))': (
        'audience("j.0")',
        ['profile.newsletter || audience("vip")'],
    ),
    # What asks for audiences alone stays, as do constants.
    'audience("vip") && !(audience("winter-athleisure") || audience("vip"))': (
        'audience("vip") && !(audience("winter-athleisure") || audience("vip"))',
        [],
    ),
    f'true && !audience("vip") && {RETURNED}': (f'true && !audience("vip") && {RETURNED}', []),
    # The greatest parts, each once, in the order of the text.
    f'{RETURNED} || profile.spend > 3 && profile.newsletter || profile.city == "x"': (
        f'{RETURNED} || audience("j.0") || audience("j.1")',
        ["profile.spend > 3 && profile.newsletter", 'profile.city == "x"'],
    ),
    f"!( !profile.newsletter && {RETURNED}) && (// why\n profile.newsletter )": (
        f'!(audience("j.0") && {RETURNED}) && audience("j.1")',
        ["!profile.newsletter", "profile.newsletter"],
    ),
    f"profile.newsletter && ({RETURNED} || ((profile.newsletter)))": (
        f'audience("j.0") && ({RETURNED} || audience("j.0"))',
        ["profile.newsletter"],
    ),
    # A comparison of conditions is one of memberships.
    f'events( "purchase" ).exists() != {RETURNED}': (
        f'audience("j.0") != {RETURNED}',
        ['events( "purchase" ).exists()'],
    ),
    f'{RETURNED} == (("😀" == profile.city) == true)': (
        f'{RETURNED} == audience("j.0")',
        ['("😀" == profile.city) == true'],
    ),
    # Windows and values of the person move into the audience.
    'key == "s" && events("purchase").last(days(30)).count() >= profile.spend': (
        'key == "s" && audience("j.0")',
        ['events("purchase").last(days(30)).count() >= profile.spend'],
    ),
}


@pytest.mark.parametrize("text", SPLITS)
def test_what_speaks_of_the_person_becomes_audiences(text: str, vocabulary: Vocabulary) -> None:
    found = compiled(text, vocabulary)
    rest, owned = SPLITS[text]
    assert describe(found.expression) == rest
    assert list(found.owned.items()) == [(owned_id(n), rule) for n, rule in enumerate(owned)]
    for rule in found.owned.values():
        assert compile_rule(rule, vocabulary)


def test_a_node_of_a_condition_finds_its_clause(vocabulary: Vocabulary) -> None:
    text = (
        'items( "purchase" ).where(item.sku == key) // c\n .since(entry) .exists()'
        " || (catalog( key ) . stock) <= 0 || has(trigger . gift)"
    )
    clauses = [clause_text(text, n) for n in nodes_of(compiled(text, vocabulary).expression)]
    assert clauses == [
        text,
        'items( "purchase" ).where(item.sku == key) // c\n .since(entry) .exists()',
        'items( "purchase" ).where(item.sku == key) // c\n .since(entry)',
        "item.sku == key",
        "item.sku",
        "key",
        "(catalog( key ) . stock) <= 0",
        "catalog( key ) . stock",
        "0",
        "has(trigger . gift)",
        "trigger . gift",
        None,
    ]


def test_a_condition_says_what_it_needs(vocabulary: Vocabulary) -> None:
    found = compiled(
        'events("purchase", "store_entry").since(entry).exists() || audience("vip")'
        ' || profile.newsletter || items("return").since(trigger).count() > 2'
        ' || catalog(key).stock <= 0 || events("store_entry").last(days(1)).exists()',
        vocabulary,
    )
    assert found.event_types == {"purchase", "store_entry", "return"}
    assert found.uses_catalog
    assert found.audiences == {"vip", "j.0", "j.1"}
    plain = compiled('audience("vip")', vocabulary, BY_AUDIENCE)
    assert plain == Condition(InAudience("vip", 0), {}, frozenset(), False, frozenset(["vip"]))  # noqa: FBT003


def test_parts_that_say_the_same_share_an_audience_whatever_their_spaces(
    vocabulary: Vocabulary,
) -> None:
    found = compiled(
        f"profile.spend>3 && {RETURNED} || (profile.spend > 3.0) && key == 'a'", vocabulary
    )
    assert found.owned == {"j.0": "profile.spend>3"}
    assert isinstance(found.expression, AnyOf)


NEEDS_SINCE = "need `.since(trigger)` or `.since(entry)`"
PERSON_VALUE = "a journey knows which rules hold for a person, not their values"
REFUSALS: list[tuple[str, int, str]] = [
    # Values of the person beside the instance.
    ("key == 'a' && 3 > trigger.total + profile.spend", 35, PERSON_VALUE),
    (f"{RETURNED} == profile.newsletter", 45, PERSON_VALUE),
    ("trigger.total > profile.spend * 2", 17, PERSON_VALUE),
    ('events("return").since(entry).count() < events("purchase").count()', 41, PERSON_VALUE),
    # Rows that a journey does not know.
    ('true && events("return").where(event.total == trigger.total).exists()', 9, NEEDS_SINCE),
    ('items("return").where(item.sku == key).last(days(3)).exists()', 1, NEEDS_SINCE),
    ('events("return").sum(event.total - trigger.total) > 3', 1, NEEDS_SINCE),
    # `since`.
    ('events("return").since(entry).since(trigger).exists()', 31, "keep one"),
    ('events("return").since().exists()', 1, "`since` takes one time"),
    ('events("return").since(trigger.occurred_at).exists()', 24, "write `.since(trigger)`"),
    ('events("return").since(entry.time).exists()', 24, "write `.since(entry)`"),
    ('events("return").since(entry)', 1, "these are rows"),
    ("since(entry)", 1, "write it behind a dot"),
    # Words without what they stand for.
    ("trigger == null", 1, "`trigger` is no value: name one of its properties"),
    ("trigger.ship == null", 1, "no value: name one of its parts, `trigger.ship.at`"),
    ("trigger.totl > 3", 1, "unknown property `totl`; did you mean `total`?"),
    ("triger.total > 3", 1, "unknown name `triger.total`; did you mean `trigger.total`?"),
    ("entry == null", 1, "`entry` is no value"),
    ('key.sku == "a"', 1, "`key` is a text and has no parts"),
    ("key", 1, "expected a condition, found a text"),
    ("key == 3", 1, "compares values of one type, found a text and a number"),
    ('trigger.total > "3"', 1, "compares values of one type, found a number and a text"),
    ("catalog(key)", 1, "`catalog(key)` is no value: name one of its fields"),
    ("catalog", 1, "`catalog` is a function"),
    ('catalog("s1").stock > 0', 1, "`catalog` takes `key` and nothing else"),
    ("catalog().stock > 0", 1, "`catalog` takes `key` and nothing else"),
    ("catalog(key).stok > 0", 1, "unknown catalog field `stok`; did you mean `stock`?"),
    ('catalog(key).tags == "x"', 1, "found a list of texts and a text"),
    ("catalog(key).stock.now > 0", 1, "`now` is no field here"),
    ('events("return").where(catalog(key).stock > 0).since(entry).exists()', 24, "not the catalog"),
    ("item.sku == key", 1, "`item` is there only for one row at a time"),
]


@pytest.mark.parametrize(("text", "column", "words"), REFUSALS)
def test_a_condition_is_refused_at_its_place(
    text: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compiled(text, vocabulary)
    assert words in caught.value.complaint
    assert (caught.value.line, caught.value.column) == (1, column)


@pytest.mark.parametrize(
    ("situation", "text", "column", "words"),
    [
        (BY_AUDIENCE, "trigger.total > 3", 1, "there is no `trigger`"),
        (BY_AUDIENCE, RETURNED, 24, "there is no `trigger`"),
        (BY_AUDIENCE, 'key == "a"', 1, "there is no `key`"),
        (BY_EVENT, "catalog(key).stock > 0", 1, "there is no `catalog(key)`"),
        (
            replace(BY_EVENT, trigger_types=("store_entry",)),
            "trigger.total > 3",
            1,
            "but `purchase`",
        ),
    ],
)
def test_a_condition_speaks_of_what_there_is_alone(
    situation: Situation, text: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    assert compiled('events("return").since(entry).exists()', vocabulary, situation).event_types
    with pytest.raises(RuleError) as caught:
        compiled(text, vocabulary, situation)
    assert words in caught.value.complaint
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ("trigger.total > 3", 1),
        ('key == "a"', 1),
        ("entry == null", 1),
        ("profile.newsletter || catalog(key).stock > 0", 23),
        ('events("purchase").since(trigger).exists()', 26),
        ('events("purchase").since(entry).exists()', 26),
        ('events("purchase").where(event.channel == key).exists()', 43),
        ('events("purchase").where(catalog(key).stock > 0).exists()', 26),
        ('events("purchase").sum(trigger.total) > 3', 24),
    ],
)
def test_an_audience_has_no_word_of_an_instance(
    rule: str, column: int, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, vocabulary)
    assert "is there only in the conditions of a journey" in caught.value.complaint
    assert caught.value.column == column


def test_names_of_attributes_and_properties_may_be_words_of_journeys() -> None:
    names = dict.fromkeys(("trigger", "entry", "key", "catalog", "since"), Kind.FLAG)
    vocabulary = Vocabulary(names, {"visit": names})
    for name in names:
        rows = f'events("visit").where(event.{name} && trigger.{name}).since(entry).exists()'
        assert compile_rule(f"profile.{name}", vocabulary)
        found = compiled(f"profile.{name} && {rows}", vocabulary)
        assert found.owned == {"j.0": f"profile.{name}"}


ENTRIES = {
    'events("purchase")': Rows(Scope.EVENT, ("purchase",)),
    '(items("purchase", "return"))': Rows(Scope.ITEM, ("purchase", "return")),
    'events("purchase").where(event.gift)': Rows(
        Scope.EVENT, ("purchase",), Truth(EventField("gift", Kind.FLAG))
    ),
}


@pytest.mark.parametrize("text", ENTRIES)
def test_an_entry_is_rows(text: str, vocabulary: Vocabulary) -> None:
    found = compile_entry(text, vocabulary)
    whole = without_offsets(Aggregate(found, Fold.EXISTS))
    assert whole == Aggregate(ENTRIES[text], Fold.EXISTS)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "found an empty text"),
        ("3", 1, "an entry is rows"),
        ('audience("vip")', 1, "an entry is rows"),
        ("profile.cty", 1, "unknown attribute `cty`"),
        ('events("purchas")', 8, "unknown event type `purchas`"),
        ('events("purchase").exists()', 20, "leave out `.exists()`"),
        ('events("purchase").count() > 2', 1, "an entry is rows"),
        ('events("purchase").last(days(1))', 20, "only `where`"),
        ('events("purchase").since(entry).where(event.gift)', 20, "only `where`"),
        ('events("purchase").olderThan(days(3))', 20, "only `where`"),
        ('events("purchase").where(event.channel == key)', 43, "once somebody is on it"),
        ('events("purchase").where(profile.newsletter)', 26, "`where` sees the row alone"),
        ('events("purchase").where(event.total)', 26, "expected a condition"),
    ],
)
def test_what_is_no_entry_is_refused_at_its_place(
    text: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compile_entry(text, vocabulary)
    assert words in caught.value.complaint
    assert caught.value.column == column
