"""The segment core: who is in which audience, exactly, as things happen and as time passes.

It imports nothing of ours and knows no network. Rules are in `segcore.rule`; what they mean is said
by `segcore.reference`; `Engine` keeps them up to date.
"""

from segcore.changes import Change, Definition, Departed, Merged
from segcore.engine import Engine
from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.instance import CatalogItem, Instance
from segcore.reference import Row, evaluate, next_change_ms, rows_of
from segcore.rule import Expression, Kind
from segcore.rule_json import from_json, to_json

__all__ = [
    "AttributeChange",
    "CatalogItem",
    "Change",
    "Definition",
    "Departed",
    "Engine",
    "Event",
    "Expression",
    "History",
    "Instance",
    "Item",
    "Kind",
    "Merged",
    "PropertyValue",
    "Row",
    "evaluate",
    "from_json",
    "next_change_ms",
    "rows_of",
    "to_json",
]
