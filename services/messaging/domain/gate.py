"""The send gate: whether a message may go to a person now, and on which channel.

The one place that says so. Whatever else will have to be asked of a message (quiet hours, gaps,
caps, arbitration among what competes) comes here, and is asked again by who claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.messaging.domain.addresses import is_address
from services.messaging.domain.lanes import LANE_OF, Asked, Lane

CONSENT_IN = 1

CHOSEN = "chosen"
NOT_NEEDED = "not_needed"
NO_PREFERENCE = "no_preference"
NO_ADDRESS = "no_address"
INVALID_ADDRESS = "invalid_address"
NO_CONSENT = "no_consent"
SUPPRESSED = "suppressed"

_REASONS = (SUPPRESSED, NO_CONSENT, INVALID_ADDRESS)
"""What a discard is told by, the most telling first: how near to sending a channel came."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """What is known of a person who is to get a message. `suppressed`: lanes that are blocked."""

    addresses: Mapping[Lane, str] = field(default_factory=dict)
    consents: Mapping[Lane, int] = field(default_factory=dict)
    preferred: Lane | None = None
    suppressed: frozenset[Lane] = frozenset()


@dataclass(frozen=True, slots=True)
class Check:
    """What was found for one channel; `lane` is None where the person prefers none."""

    asked: int
    lane: Lane | None
    verdict: str
    consent: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The lane to take with its address, or why there is none; what was looked at, in order."""

    lane: Lane | None
    address: str
    reason: str
    checks: tuple[Check, ...]


def decide(asked: Sequence[int], recipient: Recipient, *, marketing: bool) -> Verdict:
    """Try the channels in order and take the first that fits.

    A channel needs an address that can be one and, for marketing, consent; a suppressed address is
    never written to. A note to the staff of the store needs neither.

    >>> decide([Asked.SMS], Recipient({Lane.SMS: "+44 20 7946"}), marketing=True).reason
    'no_consent'
    """
    checks: list[Check] = []
    chosen: Lane | None = None
    for name in asked:
        lane = recipient.preferred if name == Asked.PREFERRED else LANE_OF.get(name)
        consent = recipient.consents.get(lane, 0) if lane is not None else 0
        verdict = NOT_NEEDED
        if chosen is None:
            verdict = _look(lane, consent, recipient, marketing=marketing)
            chosen = lane if verdict == CHOSEN else None
        checks.append(Check(name, lane, verdict, consent))
    if chosen is not None:
        return Verdict(chosen, recipient.addresses.get(chosen, ""), "", tuple(checks))
    found = {check.verdict for check in checks}
    reason = next((each for each in _REASONS if each in found), NO_ADDRESS)
    return Verdict(None, "", reason, tuple(checks))


def _look(lane: Lane | None, consent: int, recipient: Recipient, *, marketing: bool) -> str:
    if lane is None:
        return NO_PREFERENCE
    if lane is Lane.ASSISTANT:
        return CHOSEN
    address = recipient.addresses.get(lane, "")
    if not address:
        return NO_ADDRESS
    if not is_address(lane, address):
        return INVALID_ADDRESS
    if marketing and consent != CONSENT_IN:
        return NO_CONSENT
    return SUPPRESSED if lane in recipient.suppressed else CHOSEN
