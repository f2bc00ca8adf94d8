from collections.abc import Container

from segcore._engine import LiveEngine
from segcore._person import Condition
from segcore.rule import Expression

LIMIT: int

class Clause(Condition):
    def rows(
        self, ordinal: int, horizon_ms: int, event_limit: int, members: Container[str]
    ) -> list[tuple[int, int]] | None: ...

class Finder:
    def __init__(self, engine: LiveEngine) -> None: ...
    def clause(self, expression: Expression) -> Clause: ...
    @property
    def text_count(self) -> int: ...
    def forget(self, text_count: int) -> None: ...
    def row(
        self, event: int, line: int
    ) -> tuple[tuple[int, int, str, int, int, bool], str, str]: ...
