from segcore._batch import Batch
from segcore._catalog import Catalog

class MalformedBytes(ValueError):
    offset: int
    path: str
    reason: str

class PackReader:
    payload: bytes
    inbound_seq: int
    waiting_seq: int
    def __init__(self, payload: bytes) -> None: ...
    def __len__(self) -> int: ...
    @property
    def done(self) -> bool: ...
    def read_events(self, batch: Batch, catalog: Catalog) -> int: ...
    def others(self) -> list[list[tuple[int, int]]]: ...
