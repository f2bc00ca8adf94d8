"""`coterie audience` as a marketer uses it, against a running suite."""

import asyncio
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from coterie.segmentation.v1 import audience_pb2
from services.host.cli import coterie
from services.host.commands.audience_sets import parse_sets
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from tests.pipeline.harness import connected
from tests.pipeline.test_audience_versions import three_people

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")
Set = audience_pb2.SetExpression


class Terminal:
    """Runs commands against one address, and gives back what they print."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        wanted = ["audience", *arguments, "--address", self._address]
        result = await asyncio.to_thread(CliRunner().invoke, coterie, wanted, stdin)
        assert result.exit_code == code, result.output
        # The services log into the same stream here: they run in this process.
        lines = result.output.splitlines(keepends=True)
        return "".join(line for line in lines if not LOGGED.match(line))


def test_an_audience_is_previewed_saved_changed_and_removed(tmp_path: Path) -> None:
    async def story() -> None:
        config = Config(data_dir=tmp_path / "data", clock="virtual", ports=FREE_PORTS)
        suite = Suite(config)
        await suite.start()
        try:
            async with connected(suite.addresses()) as app:
                await three_people(app)
                await everything(Terminal(suite.address("segmentation")))
        finally:
            await suite.stop()

    async def everything(terminal: Terminal) -> None:
        run, bought = terminal.run, 'events("purchase").exists()'
        await run("create", "visitors", "--rule", 'events("store_entry").exists()')
        shown = await run("preview", "--rule", bought, "--overlap", "visitors")
        assert shown.startswith("2 of 3 people (66.7%)\nfor example ")
        assert shown.endswith("1 of them (50.0%) are among the 2 of visitors\n")
        assert (await run("preview", "--rule", "-", "--at", "2026-01-01", stdin=bought)).startswith(
            "0 of 3 people (0.0%)"
        )
        updated = await run("update", "visitors", "--rule", bought)
        assert "visitors: version 2 is ready: +1 / -1" in updated
        assert "ready, +1 / -1" in await run("versions", "visitors")
        assert await run("activate", "visitors") == "visitors: version 2 is live, 2 members\n"
        assert "no version waits" in await run("activate", "visitors", code=1)
        assert "version 3 is live" in await run("roll-back", "visitors")
        people = await run("publish", "vip", "-", stdin="crm:ann\ncrm:eve\n")
        assert people == "vip: 2 published, 2 members\n"
        mistake = await run("publish", "vip", "-", stdin="crm:ann\nsomebody\n", code=1)
        assert "line 2: expected NAMESPACE:VALUE or a profile id" in mistake
        assert "EXTERNAL: 2 published at 2026-01-01" in await run("list")
        overlap = await run("overlap", "visitors", "vip")
        assert [line.split() for line in overlap.splitlines()] == [
            ["shared", "members", "visitors", "vip"],
            ["visitors", "2", "1"],
            ["vip", "1", "2"],
        ]
        assert (await run("combine", "visitors and not vip")).startswith("1 people\n")
        assert (await run("members", "visitors", "--at", "2025-12-31T00:00:00Z")) == ""
        assert "expected a time such as" in await run("members", "vip", "--at", "soon", code=2)
        assert "4 profiles, 4 events" in await run("memory")
        assert await run("delete", "vip") == "vip: removed\n"
        assert "there is no audience `vip`" in await run("get", "vip", code=1)

    asyncio.run(story())


def test_not_binds_closest_then_and_then_or() -> None:
    a, b, c = (Set(audience=f"audiences/{each}") for each in "abc")
    others = Set(not_in=b)
    both = Set(all_of=audience_pb2.SetList(sets=[a, others]))
    assert parse_sets("a and not b or c") == Set(any_of=audience_pb2.SetList(sets=[both, c]))
    either = Set(any_of=audience_pb2.SetList(sets=[b, c]))
    assert parse_sets("not (b or c)") == Set(not_in=either)


@pytest.mark.parametrize("text", ["", "a b", "a and", "(a", "a or )", "A"])
def test_what_is_no_set_is_a_usage_error(text: str) -> None:
    result = CliRunner().invoke(coterie, ["audience", "combine", text])
    assert result.exit_code == 2
    assert "expected" in result.output
