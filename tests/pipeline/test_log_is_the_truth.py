"""The facts log played into empty stores gives the same state; so do restarts and other packs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from services.kit.freshness import Freshness
from services.kit.log.port import Record
from services.kit.log.sql import SqlLog
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.segmentation import saved
from services.segmentation.partition import Partition
from services.segmentation.stage import Memberships
from tests.pipeline.harness import running
from tests.pipeline.week import live_a_week, picture, set_up


def logs_of(directory: Path, name: str) -> list[tuple[int, int, bytes]]:
    database = Database(f"sqlite:///{directory / 'log.db'}")
    try:
        log = SqlLog(database, name)
        last = log.last()
        records = log.read(0, last.seq) if last else []
        return [(each.seq, each.source, each.payload) for each in records]
    finally:
        database.close()


def play(
    records: list[tuple[int, int, bytes]], pack: int, directory: Path
) -> tuple[Partition, list[bytes]]:
    """Play facts into an empty partition, `pack` records a step; return state and output."""
    stage = Memberships(0, directory, Freshness(), Tracing(), lambda _payload: 1)
    stage.restore()
    out = []
    for start in range(0, len(records), pack):
        part = [
            Record(seq, payload, source) for seq, source, payload in records[start : start + pack]
        ]
        out += [entry.payload for entry in stage.apply(part)[0]]
    return stage.partition, out


def test_facts_played_into_an_empty_store_give_the_same_state_and_the_same_transitions(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await set_up(app)
            await live_a_week(app, seed=5)

    asyncio.run(story())
    facts = logs_of(tmp_path / "data", "facts-0")
    written = [payload for _, _, payload in logs_of(tmp_path / "data", "transitions-0")]
    kept = saved.read(tmp_path / "data" / "snapshots", 0)
    assert kept is not None
    for pack in (1, 7, len(facts)):
        partition, transitions = play(facts, pack, tmp_path / f"none-{pack}")
        assert transitions == written
        assert partition.engine.state_hash() == kept.engine.state_hash()
        assert saved.state_hash(partition) == saved.state_hash(kept)


def test_a_suite_that_is_stopped_and_started_again_goes_on_as_if_nothing_was(
    tmp_path: Path,
) -> None:
    async def whole(directory: Path) -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=9, days=4)
            await live_a_week(app, seed=10, first=4, days=7)
            return await picture(app)

    async def halves(directory: Path) -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=9, days=4)
        async with running(directory) as app:
            await live_a_week(app, seed=10, first=4, days=7)
            return await picture(app)

    assert asyncio.run(whole(tmp_path / "one")) == asyncio.run(halves(tmp_path / "two"))


def test_a_lost_or_damaged_snapshot_costs_time_and_nothing_else(tmp_path: Path) -> None:
    async def live(directory: Path) -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=3)
            return await picture(app)

    async def look(directory: Path) -> dict[str, object]:
        async with running(directory) as app:
            return await picture(app)

    before = asyncio.run(live(tmp_path / "data"))
    for snapshot in (tmp_path / "data" / "snapshots").glob("*.snapshot*"):
        content = bytearray(snapshot.read_bytes())
        content[len(content) // 2] ^= 1
        snapshot.write_bytes(content)
    assert asyncio.run(look(tmp_path / "data")) == before
    shutil.rmtree(tmp_path / "data" / "snapshots")
    (tmp_path / "data" / "snapshots").mkdir()
    assert asyncio.run(look(tmp_path / "data")) == before
