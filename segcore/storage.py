"""Where columns lie that only ever grow: in memory, or mapped to the files of a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segcore._columns import Column


class ColumnStore:
    """The columns of one engine by name."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}

    def open(self, name: str, kind: type[Column]) -> Column:
        """Return a new, empty column."""
        column = self.columns[name] = kind()
        return column
