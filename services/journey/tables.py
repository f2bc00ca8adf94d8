"""The tables of journey: one per noun, and the same text for SQLite and PostgreSQL.

Partitions share them. What a definition says is kept for each partition, since each reads it at
its own position.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

DEPARTED = -1
"""The partition of rows whose person is between two: no stage touches them."""


def _text(length: int) -> String:
    # Byte order, as SQLite has it: the order of pages and timers must not depend on a locale.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


metadata = MetaData()

versions = Table(
    "versions",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("journey_id", _text(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("publication", LargeBinary, nullable=False),
    Column("request_id", _text(128), nullable=False),
    Column("publish_ms", BigInteger, nullable=False),
    Column("inbound_seq", BigInteger, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("ended", Boolean, nullable=False),
    Index("versions_by_request", "request_id"),
)

instances = Table(
    "instances",
    metadata,
    Column("instance_id", _text(36), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("journey_id", _text(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("profile_id", BigInteger, nullable=False),
    Column("key", _text(128), nullable=False),
    Column("live", Boolean, nullable=False),
    Column("step", _text(64), nullable=False),
    Column("entry_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger),
    Column("expire_ms", BigInteger),
    Column("next_ms", BigInteger),
    Column("message", _text(36), nullable=False),
    Column("end_ms", BigInteger),
    Column("end_reason", _text(16), nullable=False),
    Column("trigger_event", Text),
    Column("trigger_original", LargeBinary),
    Column("visits", Text, nullable=False),
    Column("visit_count", Integer, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("came_with", Text, nullable=False),
    Index("instances_due", "partition", "next_ms", "instance_id"),
    Index("instances_of_person", "profile_id", "journey_id", "key", "entry_ms"),
    Index("instances_of_key", "key", "live"),
    Index("instances_of_message", "message"),
    Index("instances_latest", "entry_ms", "instance_id"),
    Index("instances_of_journey", "journey_id", "entry_ms", "instance_id"),
)

events = Table(
    "events",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", _text(128), primary_key=True),
    Column("event", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What rules that speak of an instance may have to look at, with the item facts of its moment."""

catalog_items = Table(
    "catalog_items",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("sku", _text(128), primary_key=True),
    Column("item", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

memberships = Table(
    "memberships",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("audience_id", _text(128), primary_key=True),
    Column("members", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Who is in which audience: of 65,536 ordinals each, a roaring bitmap of their low halves."""

redirects = Table(
    "redirects",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("target_id", BigInteger, nullable=False, index=True),
)

departures = Table(
    "departures",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False),
    Column("merge_id", _text(128), nullable=False),
    Column("handed_over", Boolean, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("facts_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("payload", LargeBinary, nullable=False),
)
"""Packs of intents on their way to the log."""

progress = Table(
    "stage_progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("inbound_seq", BigInteger, nullable=False),
    Column("settled_seq", BigInteger, nullable=False),
    Column("facts_seq", BigInteger, nullable=False),
    Column("log_time_ms", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("facts_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("error", Text, nullable=False),
)
