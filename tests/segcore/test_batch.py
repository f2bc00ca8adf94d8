"""Batches from columns: the same events row by row, and wrong columns are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcore._batch import Batch
from segcore._texts import Texts
from segcore.event_columns import EventColumns, ItemColumns, PropertyColumn, TextColumn
from segcore.rule import Kind

NUMBER, TEXT = 0, 1


def _columns(count: int = 3) -> EventColumns:
    codes = np.arange(count, dtype=np.uint32)
    instants = np.arange(count, dtype=np.int64) * 1000
    ids = [f"event-{k}" for k in range(count)]
    return EventColumns(
        ordinals=codes + 1,
        types=TextColumn(codes % 2, ("purchase", "view")),
        came_with=TextColumn(codes * 0, ("crm:1",)),
        occurred_ms=instants,
        received_ms=instants + 5,
        log_ms=instants + 6,
        ids="".join(ids).encode(),
        id_ends=np.cumsum([len(each) for each in ids]),
        properties=[
            PropertyColumn("total", Kind.NUMBER, instants, (codes % 2).astype(np.uint8)),
            PropertyColumn("store", Kind.TEXT, instants * 0, None, ("north",)),
        ],
        items=ItemColumns(
            ends=np.array([0, 2, 2][:count]),
            skus=TextColumn(np.array([0, 0]), ("shoe",)),
            categories=TextColumn(np.array([1, 0]), ("boots",)),
            brands=TextColumn(np.array([0, 0]), ()),
            prices=np.array([5, -(2**63)]),
            quantities=np.array([1, 2]),
        ),
    )


def test_a_batch_shows_each_row_of_its_columns() -> None:
    texts = Texts()
    rows = Batch.from_columns(texts, _columns()).to_rows()
    assert [row["event_id"] for row in rows] == ["event-0", "event-1", "event-2"]
    assert [row["type"] for row in rows] == ["purchase", "view", "purchase"]
    assert [row["ordinal"] for row in rows] == [1, 2, 3]
    assert rows[1]["properties"] == {"total": (NUMBER, 1000), "store": (TEXT, "north")}
    assert rows[2]["properties"] == {"store": (TEXT, "north")}
    assert [len(row["items"]) for row in rows] == [0, 2, 0]
    first, second = rows[1]["items"]
    assert first == ("shoe", None, None, 5, 1)
    assert second[1] == "boots"
    assert second[3] == -(2**63)
    assert (rows[2]["occurred_ms"], rows[2]["received_ms"], rows[2]["log_ms"]) == (2000, 2005, 2006)


def test_an_event_is_never_later_than_its_receipt() -> None:
    late = replace(_columns(), received_ms=np.array([-7, 500, 9000]))
    rows = Batch.from_columns(Texts(), late).to_rows()
    assert [row["occurred_ms"] for row in rows] == [-7, 500, 2000]


def test_a_batch_of_nothing_is_empty() -> None:
    columns = replace(_columns(0), items=None, properties=(), ids=b"")
    assert Batch.from_columns(Texts(), columns).to_rows() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"ordinals": np.array([0, 1, 2], dtype=np.uint32)},
        {"ordinals": np.array([1, 2], dtype=np.uint32)},
        {"types": TextColumn(np.array([0, 1, 2], dtype=np.uint32), ("a", "b"))},
        {"came_with": TextColumn(np.array([0, 0, 0], dtype=np.uint32), ())},
        {"received_ms": np.array([0, 0, 10**15 + 1])},
        {"id_ends": np.array([7, 3, 21])},
        {"id_ends": np.array([7, 14, 20])},
        {"id_ends": np.array([-1, 14, 21])},
        {"properties": [PropertyColumn("a", Kind.TEXT, np.array([0, 1, 0]), None, ("x",))]},
        {"properties": [PropertyColumn("a", Kind.NUMBER, np.array([0, 1]))]},
        {"items": replace(_columns().items, ends=np.array([0, 2, 1]))},  # type: ignore[type-var]
        {"items": replace(_columns().items, prices=np.array([0]))},  # type: ignore[type-var]
    ],
)
def test_columns_that_do_not_agree_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Batch.from_columns(Texts(), replace(_columns(), **wrong))  # type: ignore[arg-type]


def test_a_dictionary_may_be_interned_once_for_many_batches() -> None:
    texts = Texts()
    types = Batch.intern(texts, ("purchase", "view"))
    columns = replace(_columns(), types=TextColumn(_columns().types.codes, types))
    rows = Batch.from_columns(texts, columns).to_rows()
    assert [row["type"] for row in rows] == ["purchase", "view", "purchase"]
    with pytest.raises(ValueError, match="texts"):
        Batch.from_columns(Texts(), columns)
