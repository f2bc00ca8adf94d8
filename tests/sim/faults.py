"""What can happen at a call of a port, drawn from a seed or laid down for one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from random import Random
from typing import TypeVar

from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import OperationalError

from services.kit.log.port import Entry, LogError, Record
from services.kit.sql import Database
from tests.sim.memory_log import MemoryLog

T = TypeVar("T")


class Fate(Enum):
    """What becomes of one call."""

    WELL = auto()
    REFUSED = auto()  # an error, and nothing was done
    ANSWER_LOST = auto()  # an error, but it was done
    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    PAUSE_BEFORE = auto()  # others go on meanwhile: the caller may wake up as a zombie
    PAUSE_AFTER = auto()


class Crash(BaseException):
    """The process dies here: no handler of the code under test may answer this."""


PAUSE_BEFORE_WRITE = 0.08
"""Between the look and the write is where a zombie does harm: the place to pause."""

LIKELY = (
    (Fate.PAUSE_BEFORE, 0.01),
    (Fate.PAUSE_AFTER, 0.01),
    (Fate.REFUSED, 0.01),
    (Fate.ANSWER_LOST, 0.02),
    (Fate.CRASH_BEFORE, 0.01),
    (Fate.CRASH_AFTER, 0.02),
)


class Faults:
    """Decides the fate of each call. `calls` counts them, so that a plan can name one."""

    def __init__(self, rng: Random | None, plan: Mapping[int, Fate] | None = None) -> None:
        self._rng = rng
        self._plan = dict(plan or {})
        self.calls = 0
        self.pause: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """From here on everything goes well."""
        self._rng = None
        self._plan = {}

    def fate(self, *, write: bool) -> Fate:
        self.calls += 1
        if self._rng is None:
            return self._plan.get(self.calls, Fate.WELL)
        if write and self._rng.random() < PAUSE_BEFORE_WRITE:
            return Fate.PAUSE_BEFORE
        draw = self._rng.random()
        for fate, share in LIKELY:
            draw -= share
            if draw < 0:
                return fate
        return Fate.WELL

    def call(
        self, effect: Callable[[], T], error: Callable[[], Exception], *, write: bool = False
    ) -> T:
        """Run `effect` as its fate says."""
        fate = self.fate(write=write)
        self.before(fate, error)
        result = effect()
        self.after(fate, error)
        return result

    def before(self, fate: Fate, error: Callable[[], Exception]) -> None:
        if fate is Fate.PAUSE_BEFORE:
            self.pause()
        elif fate is Fate.REFUSED:
            raise error()
        elif fate is Fate.CRASH_BEFORE:
            raise Crash

    def after(self, fate: Fate, error: Callable[[], Exception]) -> None:
        if fate is Fate.PAUSE_AFTER:
            self.pause()
        elif fate is Fate.ANSWER_LOST:
            raise error()
        elif fate is Fate.CRASH_AFTER:
            raise Crash


class FaultyLog:
    """A log whose calls meet their fates."""

    def __init__(self, log: MemoryLog, faults: Faults) -> None:
        self._log = log
        self._faults = faults

    @property
    def name(self) -> str:
        return self._log.name

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        return self._call(lambda: self._log.append(entries, expected_last), write=True)

    def read(self, after_seq: int, limit: int = 100) -> list[Record]:
        return self._call(lambda: self._log.read(after_seq, limit))

    def last(self) -> Record | None:
        return self._call(self._log.last)

    def last_seq(self) -> int:
        return self._call(self._log.last_seq)

    def first_seq(self) -> int:
        return self._call(self._log.first_seq)

    def wait(self, after_seq: int, timeout_s: float) -> bool:
        return self._call(lambda: self._log.wait(after_seq, timeout_s))

    def hold(self, reader: str, seq: int) -> None:
        self._call(lambda: self._log.hold(reader, seq))

    def trim(self, before_seq: int) -> int:
        return self._call(lambda: self._log.trim(before_seq))

    def _call(self, effect: Callable[[], T], *, write: bool = False) -> T:
        return self._faults.call(effect, self._no_answer, write=write)

    def _no_answer(self) -> LogError:
        return LogError(f"log {self.name}: no answer")


class FaultyDatabase(Database):
    """A database whose transactions meet their fates: at the start, before and after the commit."""

    def __init__(self, database: Database, faults: Faults) -> None:
        # Not the parent's: it is one database, reached in another way.
        self._database = database
        self._faults = faults

    def create(self, metadata: MetaData) -> None:
        """Do nothing: the world has made the tables."""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        fate = self._faults.fate(write=True)
        if fate is Fate.PAUSE_BEFORE:
            self._faults.pause()
        with self._database.write() as connection:
            yield connection
            # A pause in here would only make the others wait for the lock.
            if fate is not Fate.PAUSE_BEFORE:
                self._faults.before(fate, _gone)
        self._faults.after(fate, _gone)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._faults.call(lambda: None, _gone)
        with self._database.read() as connection:
            yield connection


def _gone() -> OperationalError:
    return OperationalError("the database", None, Exception("no answer"))
