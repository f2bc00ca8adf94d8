"""When the policy of a scenario lets a marketing message go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.scenarios.scenario import Definition
from tests.scenarios.times import duration_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local_time(at_ms: int, zone: str) -> datetime:
    """Return the instant as the clocks of a zone show it."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone))


class Policy:
    """Quiet hours, gap and cap. It only tells whether messages as they went would have kept it."""

    def __init__(self, written: Definition, zone: str) -> None:
        self._quiet: dict[str, str] | None = written.get("quiet")
        self._gap_ms = duration_ms(written["gap"]) if "gap" in written else 0
        self._cap: dict[str, Any] | None = written.get("cap")
        self._zone = zone

    @property
    def couples(self) -> bool:
        """Whether a message of one journey can hold back one of another."""
        return bool(self._gap_ms or self._cap)

    def held_back(
        self, decided: Iterable[tuple[int, bool]], zones: Iterable[str]
    ) -> frozenset[int]:
        """Return the instants at which it would have held back a message to one person.

        `decided` has when each was decided, and whether it went. What came before is taken as it
        was, so that the least of the instants is the first deviation.
        """
        zones = set(zones) or {self._zone}
        went: list[int] = []
        held = set()
        for at_ms, sent in sorted(decided):
            if any(self._is_quiet(at_ms, zone) for zone in zones) or self._is_close(went, at_ms):
                held.add(at_ms)
            if sent:
                went.append(at_ms)
        return frozenset(held)

    def _is_quiet(self, at_ms: int, zone: str) -> bool:
        if self._quiet is None:
            return False
        local = local_time(at_ms, zone).strftime("%H:%M:%S.%f")
        start, end = self._quiet["from"], self._quiet["to"]
        return start <= local < end if start <= end else local >= start or local < end

    def _is_close(self, before_ms: Sequence[int], at_ms: int) -> bool:
        if before_ms and at_ms - before_ms[-1] < self._gap_ms:
            return True
        if self._cap is None:
            return False
        within = [each for each in before_ms if each > at_ms - duration_ms(self._cap["per"])]
        return len(within) >= int(self._cap["max"])
