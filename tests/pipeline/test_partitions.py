"""Four partitions: people live apart, audiences are one."""

import asyncio
from pathlib import Path

from tests.pipeline.harness import DAY, HOUR, NOON, event, running


def test_people_of_four_partitions_are_in_one_audience_and_leave_it_by_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data", partitions=4) as app:
            old = (event(f"o{i}", "store_entry", f"crm:{i}", received=NOON) for i in range(20))
            await app.send(*old)
            await app.client.advance(NOON + HOUR)
            await app.create("recent", 'events("store_entry").last(days(1)).exists()')
            new = (
                event(f"n{i}", "store_entry", f"crm:{i}", received=NOON + 2 * HOUR)
                for i in range(10, 40)
            )
            await app.send(*new)
            await app.client.advance(NOON + 3 * HOUR)
            members = await app.members("recent")
            assert len(members) == 40
            assert {each >> 32 for each in members} == {0, 1, 2, 3}
            await app.client.advance(NOON + DAY + HOUR)
            assert len(await app.members("recent")) == 30
            told = await app.transitions(50)
            assert sum(entered for _, entered, _, _ in told) == 40
            left = [at for _, entered, at, _ in told if not entered]
            assert left == [NOON + DAY] * 10

    asyncio.run(story())
