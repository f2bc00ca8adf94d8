from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Part: ...

class TextPart(Part):
    def __init__(
        self,
        codes: NDArray[np.uint32],
        heap: bytes,
        ends: NDArray[np.int64],
        tag: int,
        wrap: int = 0,
        outer: int = 0,
        prefix: bytes = b"",
    ) -> None: ...

class FixedPart(Part):
    def __init__(
        self, head: bytes, values: NDArray[np.uint8], present: NDArray[np.uint8]
    ) -> None: ...

class TimePart(Part):
    def __init__(
        self,
        times: NDArray[np.int64],
        present: NDArray[np.uint8],
        tag: int,
        wrap: int = 0,
        outer: int = 0,
        prefix: bytes = b"",
    ) -> None: ...

class LinesPart(Part):
    def __init__(self, ends: NDArray[np.uint32], parts: Sequence[Part]) -> None: ...

def write_pack(
    ids: bytes,
    id_ends: NDArray[np.int64],
    taken: NDArray[np.uint8],
    received_ms: int,
    traceparent: bytes,
    parts: Sequence[Part],
) -> bytes: ...
