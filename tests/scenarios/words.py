"""The words of the vocabulary that mean something to the product: attributes, events, channels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from coterie.type.v1 import change_pb2, message_pb2

ATTRIBUTES = ("first_name", "email", "phone", "push_token", "zone", "birthday", "signup_date")
"""Attributes with a meaning of their own; all are texts."""

EVENT_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "account.registered": (),
        "session.login": (),
        "app.opened": (),
        "page.viewed": (),
        "category.viewed": ("category",),
        "product.viewed": ("sku",),
        "product.wishlisted": ("sku",),
        "wishlist.removed": ("sku",),
        "cart.added": ("sku",),
        "cart.removed": ("sku",),
        "checkout.started": (),
        "search.performed": ("query", "results"),
        "order.placed": ("order_id", "total", "channel"),
        "order.returned": ("order_id", "total", "channel"),
        "order.delivered": ("order_id", "total", "channel"),
        "order.shipped": ("order_id", "eta"),
        "review.submitted": ("sku", "rating"),
        "store.entry": ("store",),
        "store.exit": ("store",),
        "message.opened": ("channel", "campaign"),
        "message.clicked": ("channel", "campaign"),
        "ad.clicked": (),
        "coupon.redeemed": ("offer",),
    }
)
"""The types of events, with the properties that they carry."""
NEVER = "scenario.over"
"""A type of which no event comes: that there is none of it holds for everybody."""
NUMBERS = frozenset({"total", "results", "rating"})
"""Properties of these that are numbers; the others are texts."""

CHANNELS: Mapping[str, change_pb2.Channel.ValueType] = MappingProxyType(
    {
        "email": change_pb2.CHANNEL_EMAIL,
        "sms": change_pb2.CHANNEL_SMS,
        "push": change_pb2.CHANNEL_PUSH,
    }
)
STATUSES = MappingProxyType(
    {"in": change_pb2.CONSENT_STATUS_IN, "out": change_pb2.CONSENT_STATUS_OUT}
)
SEND_CHANNELS: Mapping[str, message_pb2.SendChannel.ValueType] = MappingProxyType(
    {
        "preferred": message_pb2.SEND_CHANNEL_PREFERRED,
        "email": message_pb2.SEND_CHANNEL_EMAIL,
        "sms": message_pb2.SEND_CHANNEL_SMS,
        "push": message_pb2.SEND_CHANNEL_PUSH,
        "assistant": message_pb2.SEND_CHANNEL_ASSISTANT,
    }
)
