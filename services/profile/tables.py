"""The tables of the projection: one per noun, and the same text for SQLite and PostgreSQL.

`arrival` says when a value came: the inbound record and the input in it, as one ascending number.
With it every table is the greatest of what was said, so that neither pack sizes nor the order of
merges show. What was said is kept for each identifier that it came with, `namespace:value`: the
person has the greatest of these, and an un-merge takes along those of the identifiers that leave.
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
from services.profile import limits

ARRIVAL_SHIFT = 16
"""Bits for the index in a record: a record holds at most a thousand inputs."""

_NUMBER = BigInteger().with_variant(Integer, "sqlite")


def arrival_of(inbound_seq: int, index: int) -> int:
    """Return the place of an input among all inputs.

    >>> arrival_of(2, 0) > arrival_of(1, 999) > arrival_of(1, 998)
    True
    """
    return inbound_seq << ARRIVAL_SHIFT | index


def _text(length: int) -> String:
    # Byte order, as SQLite has it: tokens of pages and the digest must not depend on a locale.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _came_with(*, is_key: bool) -> Column[str]:
    return Column("came_with", _text(limits.CAME_WITH_LENGTH), primary_key=is_key, nullable=False)


metadata = MetaData()

profiles = Table(
    "profiles",
    metadata,
    Column("profile_id", _NUMBER, primary_key=True, autoincrement=False),
    Column("create_ms", BigInteger, nullable=False),
)

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
    Column("into_id", BigInteger, nullable=False),
)
"""Profiles that leave for another partition: who reads one waits for that partition too."""

erasures = Table(
    "erasures",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("erase_ms", BigInteger, nullable=False),
)
"""Profiles that are no more: by number alone, so that asking again is no mistake."""

untold_departures = Table(
    "untold_departures",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("merge_id", _text(limits.ID_LENGTH), primary_key=True),
)
"""Merges of which the log may not know yet that this partition is done with who leaves by them."""

identifiers = Table(
    "identifiers",
    metadata,
    Column("namespace", _text(limits.TOKEN_LENGTH), primary_key=True),
    Column("value", _text(limits.IDENTITY_LENGTH), primary_key=True),
    Column("profile_id", BigInteger, nullable=False, index=True),
    Column("arrival", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    info={RANK: ("arrival",)},
)

attributes = Table(
    "attributes",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", _text(limits.NAME_LENGTH), primary_key=True),
    _came_with(is_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("change_id", _text(limits.ID_LENGTH), nullable=False),
    sqlite_with_rowid=False,
    info={RANK: ("as_of_ms", "arrival")},
)

consents = Table(
    "consents",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", Integer, primary_key=True, autoincrement=False),
    _came_with(is_key=True),
    Column("status", Integer, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("change_id", _text(limits.ID_LENGTH), nullable=False),
    sqlite_with_rowid=False,
    # `out` is the greater status: at equal times it wins.
    info={RANK: ("as_of_ms", "status", "arrival")},
)

preferences = Table(
    "preferences",
    metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    _came_with(is_key=True),
    Column("channel", Integer, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    info={RANK: ("as_of_ms", "arrival")},
)

timeline = Table(
    "timeline",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("profile_id", BigInteger, nullable=False),
    Column("occurred_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("event_id", _text(limits.ID_LENGTH), nullable=False),
    Column("type", _text(limits.TOKEN_LENGTH), nullable=False),
    Column("event", LargeBinary, nullable=False),
    _came_with(is_key=False),
    # Few happen at one instant: what orders those would make the index of all twice as large.
    Index("timeline_latest", "profile_id", "occurred_ms"),
)

catalog_items = Table(
    "catalog_items",
    metadata,
    Column("sku", _text(limits.ID_LENGTH), primary_key=True),
    Column("item", LargeBinary, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    info={RANK: ("arrival",)},
)

schemas = Table(
    "schemas",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("schema", LargeBinary, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    info={RANK: ("arrival",)},
)
"""One row: the schema is read and extended as a whole."""

progress = Table(
    "projection_progress",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("inbound_seq", BigInteger, nullable=False),
    Column("log_time_ms", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("facts_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("error", Text, nullable=False),
)

CONTENT: tuple[Table, ...] = (
    profiles,
    redirects,
    departures,
    erasures,
    identifiers,
    attributes,
    consents,
    preferences,
    timeline,
    catalog_items,
    schemas,
)
"""What the facts come to: all that the digest covers."""
