"""How many messages a second does messaging alone hand over?

    python -m tests.bench.sending [--messages 2000]

A campaign is due to that many people at once. What is timed: from the first look at what is due
until the provider, an HTTP server in this process, has them all and all are settled.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from services.kit.ids import profile_id
from services.kit.logs import configure_logs
from services.kit.sql import Database
from services.messaging.domain.lanes import Lane
from services.messaging.providers.http import HttpProvider
from tests.services.messaging import messaging_world as worlds

TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{"id":"1"}'


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    writer.write(TAKEN)
    writer.close()


def fill(world: worlds.World, count: int) -> None:
    people = [profile_id(0, number) for number in range(1, count + 1)]
    world.feed(worlds.template("Hey {{ profile.first_name }}"))
    for start in range(0, count, 250):
        part = people[start : start + 250]
        facts = [
            fact
            for person in part
            for fact in (
                worlds.attributes(person, phone=worlds.PHONE, first_name="Beth"),
                worlds.consent(person, sms=worlds.IN),
            )
        ]
        last = len(facts) - 1
        world.feed(
            *facts, intents=[worlds.send(str(each), person=each, index=last) for each in part]
        )


async def hand_over(world: worlds.World) -> None:
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/messages"
    provider = world.providers[Lane.SMS] = HttpProvider(url)
    sending = asyncio.create_task(world.dispatcher.run(lambda: True))
    while True:
        await asyncio.sleep(0.05)
        if not await asyncio.to_thread(unsettled, world):
            break
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    await provider.close()
    server.close()
    await server.wait_closed()


def unsettled(world: worlds.World) -> bool:
    wanted = worlds.PENDING, worlds.SENDING
    with world.database.read() as connection:
        messages = worlds.tables.messages
        query = worlds.select(messages.c.message_id).where(messages.c.state.in_(wanted)).limit(1)
        return connection.execute(query).first() is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=2000)
    count = parser.parse_args().messages
    configure_logs("warning")
    with tempfile.TemporaryDirectory() as folder:
        world = worlds.World(Database(f"sqlite:///{Path(folder) / 'messaging.db'}"), exact=False)
        fill(world, count)
        world.renderer.warm_up()
        start, used = time.perf_counter(), time.process_time()
        asyncio.run(hand_over(world))
        took, spent = time.perf_counter() - start, time.process_time() - used
        world.close()
    print(
        f"{count:,} messages: {count / took:,.0f} a second,"
        f" {spent * 1000 / count:.2f} ms of processor time each"
    )


if __name__ == "__main__":
    main()
