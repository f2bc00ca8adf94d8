"""The engines of the log, each with the means to reopen and to damage it."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from services.kit.log.sql import SqlLog, create_logs
from tests.databases import Place
from tests.sim.memory_log import MemoryLog, Stored

CHANGES = {
    "payload": "UPDATE log_records SET payload = :junk WHERE log = :log AND seq = :seq",
    "source": "UPDATE log_records SET source = source + 1 WHERE log = :log AND seq = :seq",
    "dead_letter": "UPDATE log_records SET dead_letter = :yes WHERE log = :log AND seq = :seq",
    "seq": "DELETE FROM log_records WHERE log = :log AND seq = :seq",
}


class SqlEngine:
    """Any database: SQLite by a file or by memory, PostgreSQL by a schema."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.database = place.open()
        create_logs(self.database)

    def open(self, name: str) -> SqlLog:
        return SqlLog(self.database, name)

    def reopen(self) -> None:
        if self.place.url != "sqlite://":
            self.database.close()
            self.database = self.place.open()

    def damage(self, name: str, seq: int, field: str) -> None:
        with self.database.write() as connection:
            found = connection.execute(
                text("SELECT id FROM logs WHERE name = :name"), {"name": name}
            )
            values = {"log": found.scalar_one(), "seq": seq, "junk": b"junk", "yes": True}
            needed = {name: values[name] for name in values if f":{name}" in CHANGES[field]}
            assert connection.execute(text(CHANGES[field]), needed).rowcount == 1

    def close(self) -> None:
        self.database.close()


class MemoryEngine:
    """The log of the simulation."""

    def __init__(self) -> None:
        self._stored: dict[str, Stored] = {}

    def open(self, name: str) -> MemoryLog:
        return MemoryLog(name, self._stored.setdefault(name, Stored()))

    def reopen(self) -> None:
        pass

    def damage(self, name: str, seq: int, field: str) -> None:
        records = self._stored[name].records
        record, crc = records[seq]
        match field:
            case "payload":
                records[seq] = replace(record, payload=b"junk"), crc
            case "source":
                records[seq] = replace(record, source=record.source + 1), crc
            case "dead_letter":
                records[seq] = replace(record, dead_letter=True), crc
            case _:
                del records[seq]

    def close(self) -> None:
        pass
