"""Named places at which a test can stop this process dead: the crash that it wants to see survived.

Off unless the environment names one: `COTERIE_FAILPOINT=messaging.claimed` or, for the n-th time
that the place is reached, `COTERIE_FAILPOINT=messaging.claimed:3`.
"""

from __future__ import annotations

import itertools
import os
import signal

VARIABLE = "COTERIE_FAILPOINT"

FAILPOINTS = (
    "inbound.appended",
    "identity.appended",
    "identity.saved",
    "profile.committed",
    "segmentation.appended",
    "segmentation.saved",
    "journey.committed",
    "journey.relayed",
    "messaging.committed",
    "messaging.claimed",
    "messaging.called",
    "messaging.settled",
    "messaging.reported",
)
"""All there are, in the order in which a story passes them."""

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_fatal_visit = int(_count or 1)
_visits = itertools.count(1)


def failpoint(name: str) -> None:
    """Kill this process, as a power cut would, if the environment says so; else do nothing."""
    if name == _name and next(_visits) == _fatal_visit:
        os.kill(os.getpid(), signal.SIGKILL)
