class FactPart:
    bodies: set[int]
    event_types: set[str]
    log_time_ms: int
    count: int
    def add(self, fact: bytes, body: int, log_time_ms: int) -> None: ...
    def facts(self) -> bytes: ...
