"""`coterie identity` and `coterie profile` as support staff use them, on a running suite."""

import asyncio
import re
from pathlib import Path

from click.testing import CliRunner

from services.host.cli import coterie
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from tests.pipeline.harness import NOON, connected, event

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")


async def run(*arguments: str, code: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, coterie, arguments)
    assert result.exit_code == code, result.output
    # The services log into the same stream here: they run in this process.
    lines = result.output.splitlines(keepends=True)
    return "".join(line for line in lines if not LOGGED.match(line))


def test_identifiers_are_shown_parted_joined_again_and_erased(tmp_path: Path) -> None:
    async def story() -> None:
        config = Config(data_dir=tmp_path / "data", clock="virtual", ports=FREE_PORTS)
        suite = Suite(config)
        await suite.start()
        try:
            async with connected(suite.addresses()) as app:
                await app.send(event("e1", "product_view", "crm:ann email:a@x", received=NOON))
                await everything(suite.address("identity"))
                await erased(suite.address("profile"), suite.address("identity"))
        finally:
            await suite.stop()

    async def everything(address: str) -> None:
        to = ("--address", address)
        shown = await run("identity", "show", "email:a@x", *to)
        assert shown.startswith("profile 1\n  crm:ann\n  email:a@x\n")
        assert (await run("identity", "unlink", "email:a@x", *to)).startswith("unlinked, at")
        shown = await run("identity", "show", "crm:ann", *to)
        assert shown.startswith("profile 1\n  crm:ann\n\n")
        assert "gave identifiers to profile 2, which is new" in shown
        shown = await run("identity", "show", "2", *to)
        assert "got email:a@x, which profile 1 had" in shown
        alone = await run("identity", "unlink", "email:a@x", *to, code=1)
        assert "expected identifiers of a profile that has others besides" in alone
        nobody = await run("identity", "unlink", "email:b@x", *to, code=1)
        assert "no profile has one of these identifiers (NOT_FOUND)" in nobody
        assert "expected NAMESPACE:VALUE" in await run("identity", "unlink", "2", *to, code=2)
        assert (await run("identity", "link", "email:a@x", "crm:ann", *to)).startswith("linked")
        assert "took in profile 2" in await run("identity", "show", "crm:ann", *to)

    async def erased(profile: str, identity: str) -> None:
        to = ("--address", profile)
        assert "Aborted" in await run("profile", "erase", "crm:ann", *to, code=1)
        gone = await run("profile", "erase", "email:a@x", "--yes", *to)
        assert gone.startswith("profile 1 is erased, at revision ")
        assert (await run("profile", "erase", "1", "--yes", *to)).startswith("profile 1 is erased")
        nobody = await run("profile", "erase", "crm:ann", "--yes", *to, code=1)
        assert "expected a known identifier or profile id" in nobody
        shown = await run("identity", "show", "1", "--address", identity, code=1)
        assert "no profile has this identifier or id" in shown

    asyncio.run(story())
