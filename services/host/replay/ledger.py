"""What a data directory is a replay of: another source must not be mixed into it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "replay.json"
LOG_FILE = "log.db"


class LedgerError(Exception):
    """The directory is not for this replay: what it holds, and what to do."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """One replay. `finished_ms` is the end of the data that was replayed whole, 0 before."""

    source: str
    fingerprint: str
    finished_ms: int = 0
    transitions: int = 0


def open_ledger(directory: Path, source: str, fingerprint: str) -> Ledger:
    """Return what is known of the directory, which may be new; raises LedgerError for another's.

    A directory with data and without a ledger is a live one: its time is the present.
    """
    place = directory / FILE
    try:
        found = Ledger(**json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if (directory / LOG_FILE).exists():
            raise LedgerError(
                f"{directory}: expected a directory that a replay made or a new one, found a log"
                f" and no {FILE}; a replay has a time of its own, so give it a directory of its own"
            ) from None
        return Ledger(source, fingerprint)
    except (OSError, ValueError, TypeError) as error:
        raise LedgerError(f"{place}: this is no file of a replay: {error}") from None
    if found.fingerprint != fingerprint:
        raise LedgerError(
            f"{directory}: holds a replay of {found.source}, and this is {source} with other"
            " content, mapping or audiences; choose another --data directory, or delete this one"
        )
    return found


def write_ledger(directory: Path, ledger: Ledger) -> None:
    """Write it, whole or not at all."""
    draft = directory / f".{FILE}"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(ledger), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / FILE)
