"""Whether an attempt to enter may become an instance: reentry, and how late its event came."""

from __future__ import annotations

from services.journey.domain.definition import Entry, Reentry


def may_reenter(entry: Entry, last_entry_ms: int | None, now_ms: int) -> bool:
    """Return whether a person whose last entry with this key was then may enter now.

    Exactly `reentry_after` since then is enough.
    """
    if last_entry_ms is None or entry.reentry is Reentry.ALWAYS:
        return True
    if entry.reentry is Reentry.NEVER:
        return False
    return now_ms - last_entry_ms >= entry.reentry_after_ms


def in_time(entry: Entry, occurred_ms: int, received_ms: int) -> bool:
    """Return whether an event may start something; exactly as late as allowed is in time."""
    late_ms = received_ms - occurred_ms
    return entry.max_lateness_ms is None or late_ms <= entry.max_lateness_ms
