"""Pages of a timeline: the token holds the last event's place."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.profile.v1 import profile_service_pb2 as pb
from services.kit import paging
from services.kit.errors import InvalidArgument, invalid_field
from services.profile import domain, limits

TYPES = 100
"""Event types of one filter: more than anybody picks, few enough for one query."""


def page_start(request: pb.ListEventsRequest) -> domain.Moment | None:
    """Return the event after which the page begins, None for the first; raises InvalidArgument."""
    match paging.read_page_token(request, request.page_token):
        case None:
            return None
        case (int(occurred_ms), int(received_ms), str(event_id)):
            return domain.Moment(occurred_ms, received_ms, event_id)
        case _:
            raise InvalidArgument(
                "INVALID_TOKEN",
                "page_token: expected the `next_page_token` of this very query, found another",
                {"field": "page_token"},
            )


def next_token(
    request: pb.ListEventsRequest, found: Sequence[domain.TimelineEvent], size: int
) -> str:
    """Return the token after the first `size` of `found`, empty where there are no more."""
    if len(found) <= size:
        return ""
    last = found[size - 1].moment
    return paging.issue_page_token(request, last.occurred_ms, last.received_ms, last.event_id)


def check_types(types: Sequence[str]) -> None:
    """Raise InvalidArgument for too many types, or one that no event can have."""
    if len(types) > TYPES:
        raise invalid_field("types", str(len(types)), f"at most {TYPES}")
    for index, event_type in enumerate(types):
        if not limits.is_token(event_type):
            raise invalid_field(f"types[{index}]", "another text", "an event type")
