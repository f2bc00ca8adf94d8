"""A process that appends to a log and says on its output what was acknowledged."""

from __future__ import annotations

import sys

from services.kit.log.port import Entry
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database


def main(url: str, schema: str, name: str, count: int) -> None:
    """Append `count` records one by one; 0 means until somebody kills this process."""
    database = Database(url, schema or None)
    create_logs(database)
    log = SqlLog(database, name)
    written = 0
    while not count or written < count:
        seq = log.append([Entry(f"{name} {written}".encode())])
        written += 1
        sys.stdout.write(f"{seq}\n")
        sys.stdout.flush()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
