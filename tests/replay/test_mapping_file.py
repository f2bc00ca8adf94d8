"""A mapping file says what it means, and every mistake says where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from segcore.rule import Kind
from services.host.definitions.document import DocumentError
from services.host.replay.mapping import Condition, Fold
from services.host.replay.mapping_file import load_mapping, read_mapping
from services.host.replay.shipped import shipped_text

WHOLE = """\
id: {column: order, prefix: o-}
type: purchase
time: {column: at, format: "%d/%m/%Y %H:%M", zone: Europe/Paris}
identities:
  loyalty: card
group_by: order
items: {sku: product, quantity: pieces, amount: paid}
properties:
  total: {column: paid, kind: number, fold: sum}
  lines: {fold: count}
  store: {column: store, kind: text}
where:
  - {column: state, in: [paid, sent]}
  - {column: test, present: false}
delimiter: ";"
"""


def test_a_whole_mapping_is_read() -> None:
    mapping = read_mapping("whole.yaml", WHOLE)
    assert mapping.event_id.column == "order"
    assert mapping.event_type.declared() == ("purchase",)
    assert mapping.time.zone.key == "Europe/Paris"
    assert dict(mapping.identities) == {"loyalty": "card"}
    assert mapping.items is not None
    assert mapping.items.columns() == ("product", "pieces", "paid")
    assert [(p.name, p.kind, p.fold) for p in mapping.properties] == [
        ("total", Kind.NUMBER, Fold.SUM),
        ("lines", Kind.NUMBER, Fold.COUNT),
        ("store", Kind.TEXT, Fold.FIRST),
    ]
    assert [(f.column, f.condition) for f in mapping.filters] == [
        ("state", Condition.IN),
        ("test", Condition.PRESENT),
    ]
    assert mapping.delimiter == ";"


def test_the_shipped_mapping_is_valid() -> None:
    mapping = read_mapping("storefront.yaml", shipped_text("storefront.yaml"))
    assert mapping.event_id.keep_repeats
    assert mapping.event_type.declared() == (
        "product_view",
        "add_to_cart",
        "remove_from_cart",
        "purchase",
    )


CHANGES = {
    "an unknown key": (
        "items: {sku: product",
        "items: {skew: product",
        "7: items: unknown key 'skew'",
    ),
    "a missing key": ("type: purchase\n", "", "1: 'type' is missing"),
    "a key twice": ("type: purchase", "type: purchase\ntype: sale", "3: 'type' is there twice"),
    "a type's form": ("type: purchase", "type: Big Sale", "2: type: expected an event type"),
    "a type without values": (
        "type: purchase",
        "type: {column: kind}",
        "2: type: 'values' is missing",
    ),
    "an unknown zone": (
        "Europe/Paris",
        "Europe/Paname",
        "3: time.zone: expected the name of a zone",
    ),
    "no zone": (", zone: Europe/Paris", "", "3: time: 'zone' is missing"),
    "an unknown format": ('"%d/%m/%Y %H:%M"', "excel", "3: time.format: expected iso, epoch_s"),
    "no identities": ("  loyalty: card", "  {}", "5: identities: expected 1 to 16"),
    "a namespace's form": (
        "loyalty: card",
        "Loyalty Card: card",
        "5: identities: expected a namespace",
    ),
    "an id from elsewhere": (
        "id: {column: order",
        "id: {column: line",
        "1: id: expected the column of",
    ),
    "no id": ("id: {column: order, prefix: o-}", "id: {}", "1: id: expected either `column` or"),
    "a price twice": (
        "amount: paid",
        "amount: paid, price: each",
        "7: items.amount: expected `price`",
    ),
    "an unknown kind": (
        "kind: text",
        "kind: varchar",
        "11: properties.store.kind: expected number or",
    ),
    "a sum of texts": (
        "kind: number, fold: sum",
        "kind: text, fold: sum",
        "9: properties.total.kind",
    ),
    "a count of a column": (
        "{fold: count}",
        "{fold: count, column: paid}",
        "10: properties.lines.column",
    ),
    "a property's name": ("  store:", "  the-store:", "11: properties: expected a property name"),
    "a filter of nothing": (
        "{column: test, present: false}",
        "{column: test}",
        "14: where[1]: expected one",
    ),
    "a filter's flag": (
        "present: false",
        "present: maybe",
        "14: where[1].present: expected true or",
    ),
    "two delimiters": ('";"', '";;"', "15: delimiter: expected one character, found ';;'"),
    "a list for a text": (
        "type: purchase",
        "type: [purchase]",
        "2: type: expected a text, found a list",
    ),
    "no mapping at all": (WHOLE, "- a\n- b\n", "1: expected `key: value` lines, found a list"),
    "no YAML": (WHOLE, "a: [", "wrong.yaml: not YAML"),
    "nothing": (WHOLE, "", "wrong.yaml: empty"),
}


@pytest.mark.parametrize(("found", "wrong", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_a_mistake_says_where_it_is(found: str, wrong: str, message: str) -> None:
    assert found in WHOLE
    with pytest.raises(DocumentError) as raised:
        read_mapping("wrong.yaml", WHOLE.replace(found, wrong))
    assert message in str(raised.value), str(raised.value)


def test_repeats_have_a_meaning_only_for_derived_ids() -> None:
    text = WHOLE.replace("prefix: o-", "repeats: drop")
    with pytest.raises(DocumentError, match="only with `derive`"):
        read_mapping("wrong.yaml", text)


def test_a_fold_has_a_meaning_only_for_groups() -> None:
    text = WHOLE.replace("group_by: order\n", "")
    with pytest.raises(DocumentError, match="only with `group_by`"):
        read_mapping("wrong.yaml", text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.yaml"):
        load_mapping(tmp_path / "nowhere.yaml")
