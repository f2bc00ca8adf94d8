from collections.abc import Container

from segcore.condition_plan import ConditionPlan
from segcore.history import History

class Condition:
    type_ids: tuple[int, ...]
    attributes: tuple[str, ...]
    audience_ids: tuple[str, ...]
    at_birth: bool
    def set_members(self, members: Container[str]) -> None: ...
    def holds(self, ordinal: int, now_ms: int, horizon_ms: int) -> tuple[bool, int | None]: ...

class OnePerson:
    def __init__(self, history: History, zone: str = "UTC", partition: int = 0) -> None: ...
    def condition(self, plan: ConditionPlan) -> Condition: ...
