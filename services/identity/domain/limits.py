"""How many identifiers a profile may have. A link that breaks a limit is refused, none evicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.identity.domain.namespaces import Identifier

TOTAL_LIMIT = 50
"""Identifiers a profile: more than people have, and few enough that a link stays cheap."""

NAMESPACE_LIMIT = 30
"""Identifiers a profile in any other namespace: a cookie a month for years."""

NAMESPACE_LIMITS: Mapping[str, int] = {"email": 10, "phone": 10, "device": 10}
"""Tighter where one value is often shared; wide enough for a lifetime, as none is ever evicted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one deployment."""

    total: int = TOTAL_LIMIT
    namespace: int = NAMESPACE_LIMIT
    by_namespace: Mapping[str, int] = field(default_factory=lambda: NAMESPACE_LIMITS)

    def broken_by(self, identifiers: Iterable[Identifier]) -> str | None:
        """Return which limit a profile with these identifiers would break, the first by name."""
        counts = Counter(namespace for namespace, _ in identifiers)
        if counts.total() > self.total:
            return "limit:total"
        for namespace in sorted(counts):
            if counts[namespace] > self.by_namespace.get(namespace, self.namespace):
                return f"limit:{namespace}"
        return None
