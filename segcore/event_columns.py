"""Events in columns, as benchmarks and columnar callers have them: what `Batch.from_columns` takes.

A text column is codes with a dictionary, so that each distinct text is interned once. Other values
are as the kernels keep them: millionths, milliseconds, days, 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segcore._texts import Texts
from segcore.rule import Kind

Codes = NDArray[np.uint32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interned:
    """A dictionary that one engine's texts have all of, for many batches: `Batch.intern` makes it.

    `ids` ends with 0, for a text that is not there.
    """

    texts: Texts
    ids: Codes

    def __len__(self) -> int:
        return len(self.ids) - 1


Dictionary = Sequence[str] | Interned


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One text for each row: `dictionary[codes[row]]`."""

    codes: Codes
    dictionary: Dictionary


@dataclass(frozen=True, slots=True)
class PropertyColumn:
    """One property: its value for each row, of rows where `present` is not 0 (None: all).

    Of kind TEXT the values are codes into `dictionary`; TEXTS there have each element ended by
    U+001F.
    """

    name: str
    kind: Kind
    values: Numbers
    present: NDArray[np.uint8] | None = None
    dictionary: Dictionary = ()


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The lines of all rows one after another; those of a row end before `ends[row]`.

    The code of a text that is not there is one beyond its dictionary; -2**63 is a missing number.
    """

    ends: Numbers
    skus: TextColumn
    categories: TextColumn
    brands: TextColumn
    prices: Numbers
    quantities: Numbers


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events of known profiles in the order of the log.

    The id of a row is `ids[id_ends[row - 1]:id_ends[row]]`, UTF-8.
    """

    ordinals: Codes
    types: TextColumn
    came_with: TextColumn
    occurred_ms: Numbers
    received_ms: Numbers
    log_ms: Numbers
    ids: bytes
    id_ends: Numbers
    properties: Sequence[PropertyColumn] = ()
    items: ItemColumns | None = None
