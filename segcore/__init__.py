"""The segment core: who is in which audience, exactly, as things happen and as time passes.

It imports nothing of ours and knows no network. Rules are in `segcore.rule`; what they mean is said
by `segcore.reference`; `Engine` keeps them up to date.
"""

from segcore.changes import Change, Definition, Merged
from segcore.engine import Engine
from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.reference import evaluate, next_change_ms
from segcore.rule import Expression, Kind
from segcore.rule_json import from_json, to_json

__all__ = [
    "AttributeChange",
    "Change",
    "Definition",
    "Engine",
    "Event",
    "Expression",
    "History",
    "Item",
    "Kind",
    "Merged",
    "PropertyValue",
    "evaluate",
    "from_json",
    "next_change_ms",
    "to_json",
]
