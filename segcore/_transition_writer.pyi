from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segcore._batch import Batch

class TransitionWriter:
    def __init__(
        self,
        heads: list[bytes],
        partition: int,
        changes: tuple[int, int],
        causes: tuple[int, int],
    ) -> None: ...
    def write(
        self,
        flips: NDArray[np.void],
        numbers: NDArray[np.uint32],
        facts_seq: int,
        tails: Mapping[int, bytes],
        batch: Batch | None = None,
        input_index: int = 0,
    ) -> bytes: ...
