"""The tables of messaging: one per noun, and the same text for SQLite and PostgreSQL.

What the log says of people, items and templates is kept as the greatest of what was said, by
`arrival`: the inbound record and the input in it as one ascending number; of people, for each
identifier that it came with, so that an un-merge takes along what those that leave have brought.
`messages.partition` is that of the person, NOBODYS while the person is on the way from one
partition to another.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from services.kit.upserts import RANK

ARRIVAL_SHIFT = 16
"""Bits for the index in a record: a record holds at most a thousand inputs."""

NOBODYS = -1
"""The partition of messages to people who have left one partition and not yet reached another."""

ID_LENGTH = 128
NAME_LENGTH = 64
SKU_LENGTH = 128
CAME_WITH_LENGTH = 321
"""A namespace and a value with a colon between."""
DIGEST_LENGTH = 64

_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def arrival_of(inbound_seq: int, index: int) -> int:
    """Return the place of an input among all inputs.

    >>> arrival_of(3, 0) > arrival_of(2, 999)
    True
    """
    return inbound_seq << ARRIVAL_SHIFT | index


def _text(length: int) -> String:
    # Byte order, as SQLite has it: pages must not depend on a locale.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _profile() -> Column[int]:
    return Column("profile_id", BigInteger, primary_key=True, autoincrement=False)


def _came_with(*, is_key: bool) -> Column[str]:
    return Column("came_with", _text(CAME_WITH_LENGTH), primary_key=is_key, nullable=False)


metadata = MetaData()

redirects = Table(
    "redirects",
    metadata,
    _profile(),
    Column("target_id", BigInteger, nullable=False, index=True),
)

departures = Table(
    "departures", metadata, _profile(), Column("merge_id", _text(ID_LENGTH), nullable=False)
)
"""Who was handed over: of these people nothing is begun until the merge has arrived."""

attributes = Table(
    "attributes",
    metadata,
    _profile(),
    Column("name", _text(NAME_LENGTH), primary_key=True),
    _came_with(is_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    info={RANK: ("as_of_ms", "arrival")},
)

consents = Table(
    "consents",
    metadata,
    _profile(),
    Column("channel", Integer, primary_key=True, autoincrement=False),
    _came_with(is_key=True),
    Column("status", Integer, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    # `out` is the greater status: at equal times it wins.
    info={RANK: ("as_of_ms", "status", "arrival")},
)

preferences = Table(
    "preferences",
    metadata,
    _profile(),
    _came_with(is_key=True),
    Column("channel", Integer, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    info={RANK: ("as_of_ms", "arrival")},
)

engagement = Table(
    "engagement",
    metadata,
    _profile(),
    Column("occurred_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", _text(ID_LENGTH), primary_key=True),
    _came_with(is_key=False),
    sqlite_with_rowid=False,
)
"""Opens and clicks, of the 90 days in which they count."""

catalog_items = Table(
    "catalog_items",
    metadata,
    Column("sku", _text(SKU_LENGTH), primary_key=True),
    Column("item", LargeBinary, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    info={RANK: ("arrival",)},
)

templates = Table(
    "templates",
    metadata,
    Column("template_id", _text(NAME_LENGTH), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("template", LargeBinary, nullable=False),
    Column("input_id", _text(ID_LENGTH), nullable=False, index=True),
    Column("publish_ms", BigInteger, nullable=False),
    Column("inbound_seq", BigInteger, nullable=False),
)
"""All versions; the first publication of a version is the one."""

messages = Table(
    "messages",
    metadata,
    Column("message_id", _text(ID_LENGTH), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("profile_id", BigInteger, nullable=False),
    Column("came_with", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("intent", LargeBinary, nullable=False),
    Column("state", Integer, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("wake_ms", BigInteger, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("decide_ms", BigInteger),
    Column("send_ms", BigInteger),
    Column("template_version", Integer, nullable=False),
    Column("content", LargeBinary),
    Column("attempts", Integer, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Index("messages_waking", "state", "partition", "lane", "wake_ms"),
    Index("messages_due", "state", "lane", "wake_ms", "message_id"),
    Index("messages_latest", "at_ms", "message_id"),
    Index("messages_of", "profile_id", "at_ms", "message_id"),
    Index("messages_for", "campaign", "at_ms", "message_id"),
)
"""`intent` is the whole Intent of the log. `wake_ms`: when log time next does something with it.
`lane` is 0 until the message is decided."""

checks = Table(
    "checks",
    metadata,
    Column("message_id", _text(ID_LENGTH), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("asked", Integer, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("verdict", String(40), nullable=False),
    Column("consent", Integer, nullable=False),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("message_id", _text(ID_LENGTH), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""`outcome` is empty while the provider is being called."""

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", Integer, primary_key=True, autoincrement=False),
    Column("digest", _text(DIGEST_LENGTH), primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    Column("reason", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""Blocked addresses by digest: they stay when a person's data goes."""

outbox = Table(
    "outbox",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("partition", Integer, nullable=False),
    Column("message_id", _text(ID_LENGTH), nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),
)
"""Inbound records to be appended; `message_id` is empty for what is about no message."""

progress = Table(
    "projection_progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("inbound_seq", BigInteger, nullable=False),
    Column("log_time_ms", BigInteger, nullable=False),
    Column("over_ms", BigInteger, nullable=False),
)
"""`over_ms`: the last instant of which no more input can come; see `services.messaging.stage`."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("facts_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("error", Text, nullable=False),
)

PROJECTED: tuple[Table, ...] = (
    redirects,
    attributes,
    consents,
    preferences,
    engagement,
    catalog_items,
    templates,
)
"""What the facts alone come to, whatever providers and clocks did."""
