"""The data directory: what is in it, whose format it is, and that each service runs in it once."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

FORMAT = 2
"""Grows when a former Coterie could not read what this one writes."""

_FORMAT_FILE = "FORMAT"


class DataDirectoryError(Exception):
    """The directory cannot be used: which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """The process that runs a service in a data directory."""

    service: str
    pid: int
    address: str


class ServiceLock:
    """The lock of one service, held; its file says who holds it."""

    def __init__(self, service: str, file: TextIO) -> None:
        self._service = service
        self._file = file

    def announce(self, address: str) -> None:
        """Say where the service can be reached, empty for not yet."""
        self._file.truncate(0)
        json.dump(asdict(Occupant(self._service, os.getpid(), address)), self._file)
        self._file.flush()


class DataDirectory:
    """An opened data directory; an empty or missing one is made. What it is made with is for good.

    Raises DataDirectoryError for a directory of something else, of another format, number of
    partitions, clock (one tick of today would end every window of old data), namespaces (who is
    whom was decided by them) or zone (so were the days of rules); a namespace of the lowest
    priority may be listed or not.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        path: Path,
        partitions: int = 1,
        clock: str = "system",
        namespaces: Sequence[str] = (),
        unique_namespaces: Sequence[str] = (),
        zone: str = "",
    ) -> None:
        self.path = path
        self.partitions = partitions
        self.clock = clock
        self._namespaces = list(namespaces)
        self._unique = sorted(unique_namespaces)
        self._zone = zone
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / _FORMAT_FILE).exists():
                self._create()
            self._check()
            self.snapshots.mkdir(exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(f"{path}: {error.strerror or error}") from None

    @property
    def log_path(self) -> Path:
        """The file of all logs."""
        return self.path / "log.db"

    def database_path(self, service: str) -> Path:
        """Return the file of the service's tables."""
        return self.path / f"{service}.db"

    @property
    def snapshots(self) -> Path:
        """The directory of snapshots and column files."""
        return self.path / "snapshots"

    @contextmanager
    def occupy(self, service: str) -> Iterator[ServiceLock]:
        """Hold the service's lock: the kernel lets go of it with the process, however it ends.

        Raises DataDirectoryError where another process runs the service here.
        """
        with _lock_path(self.path, service).open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise self._taken(service) from None
            lock = ServiceLock(service, file)
            lock.announce("")
            try:
                yield lock
            finally:
                file.truncate(0)

    def _taken(self, service: str) -> DataDirectoryError:
        found = occupant(self.path, service)
        who = f"process {found.pid}" if found else "another process"
        return DataDirectoryError(
            f"{self.path}: {who} runs {service} in this data directory;"
            " stop it first, or choose another directory"
        )

    def _create(self) -> None:
        """Write the format file last and whole, so that a crash in between leaves nothing half."""
        strangers = sorted(entry.name for entry in self.path.iterdir() if not _is_draft(entry))
        if strangers and not (self.path / _FORMAT_FILE).exists():
            raise DataDirectoryError(
                f"{self.path}: expected an empty directory or one that Coterie made, found"
                f" {strangers[0]!r} and no {_FORMAT_FILE} file"
            )
        draft = self.path / f".{_FORMAT_FILE}.{os.getpid()}"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._content(), file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, self.path / _FORMAT_FILE)
        draft.unlink()
        _sync_directory(self.path)

    def _content(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "partitions": self.partitions,
            "clock": self.clock,
            "namespaces": self._namespaces,
            "unique_namespaces": self._unique,
            "zone": self._zone,
        }

    def _check(self) -> None:
        file = self.path / _FORMAT_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            found, partitions = int(content["format"]), int(content["partitions"])
            clock = str(content["clock"]) if found == FORMAT else self.clock
            # A directory that was made before these were kept has none.
            namespaces = list(map(str, content.get("namespaces") or self._namespaces))
            unique = sorted(map(str, content.get("unique_namespaces", self._unique)))
            zone = str(content.get("zone") or self._zone)
        except (ValueError, KeyError, TypeError):
            raise DataDirectoryError(f"{file}: this is not a format file of Coterie's") from None
        if found != FORMAT:
            raise DataDirectoryError(
                f"{self.path}: holds data of format {found}, this Coterie reads format {FORMAT}"
            )
        if partitions != self.partitions:
            raise DataDirectoryError(
                f"{self.path}: was made with {partitions} partitions, the configuration says"
                f" {self.partitions}; the number is fixed when the directory is made"
            )
        if clock != self.clock:
            raise DataDirectoryError(
                f"{self.path}: was made with a {clock} clock, the configuration says {self.clock};"
                " the clock is fixed when the directory is made (see --virtual-clock)"
            )
        self._check_namespaces(namespaces, unique)
        if self._zone and zone != self._zone:
            raise self._changed("the zone", [zone], [self._zone])

    def _check_namespaces(self, namespaces: list[str], unique: list[str]) -> None:
        if not self._namespaces:
            return
        both = min(len(namespaces), len(self._namespaces))
        if namespaces[:both] != self._namespaces[:both]:
            raise self._changed("namespaces", namespaces, self._namespaces)
        if unique != self._unique:
            raise self._changed("unique_namespaces", unique, self._unique)

    def _changed(self, setting: str, made: list[str], found: list[str]) -> DataDirectoryError:
        return DataDirectoryError(
            f"{self.path}: was made with {setting} {', '.join(made) or 'none'}; the configuration"
            f" says {', '.join(found) or 'none'}; that is fixed when the directory is made"
        )


def occupant(path: Path, service: str) -> Occupant | None:
    """Return who runs the service in the data directory now, None where nobody does."""
    try:
        file = _lock_path(path, service).open(encoding="utf-8")
    except OSError:
        return None
    with file:
        found = _read_occupant(file.read())
        return found if found is not None and _is_locked(file) else None


def _lock_path(path: Path, service: str) -> Path:
    return path / f"{service}.lock"


def _is_draft(entry: Path) -> bool:
    return entry.name.startswith(f".{_FORMAT_FILE}.")


def _is_locked(file: TextIO) -> bool:
    """Tell by taking the lock for a moment: after a crash the file still names a process."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _read_occupant(text: str) -> Occupant | None:
    try:
        return Occupant(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
