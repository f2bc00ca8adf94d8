"""Streams of transitions: complete, in order, resumable at every message."""

import asyncio
from collections.abc import Iterator

import pytest
from pyroaring import BitMap

from coterie.log.v1 import transitions_pb2 as pb
from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.freshness import Freshness
from services.kit.log.port import Entry
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database
from services.segmentation.watch import Watcher

PEOPLE = 2_500


@pytest.fixture
def log() -> Iterator[SqlLog]:
    database = Database("sqlite://")
    create_logs(database)
    log = SqlLog(database, "transitions-0")
    log.append([Entry(pack(one("vip", 1), one("vip", 2)), 1), Entry(pack(), 2)])
    bulk = pb.Transition(
        audience_id="all",
        version=1,
        change=pb.CHANGE_ENTERED,
        cause=pb.CAUSE_DEFINITION,
        profile_ordinals=BitMap(range(1, PEOPLE + 1)).serialize(),
    )
    log.append([Entry(pack(bulk), 3), Entry(pack(one("vip", 3)), 4)])
    yield log
    database.close()


def one(audience_id: str, person: int) -> pb.Transition:
    return pb.Transition(
        audience_id=audience_id, change=pb.CHANGE_ENTERED, profile_id=person, sequence=1
    )


def pack(*transitions: pb.Transition) -> bytes:
    return pb.TransitionPack(transitions=transitions).SerializeToString()


def collect(
    log: SqlLog, token: str = "", audiences: frozenset[str] = frozenset()
) -> list[tuple[list[tuple[str, int]], str]]:
    """Return each message's content and token, until the last person of the log is told."""

    async def run() -> list[tuple[list[tuple[str, int]], str]]:
        told = []
        stream = Watcher([log], Freshness()).watch(audiences, token, from_start=True)
        async with asyncio.timeout(10):
            async for message in stream:
                content = [(it.audience_id, person) for it, person in message.transitions]
                told.append((content, message.token))
                if content and content[-1] == ("vip", 3):
                    return told
        raise AssertionError("the stream ended by itself")

    return asyncio.run(run())


def test_a_stream_from_the_start_tells_everything_once_and_in_order(log: SqlLog) -> None:
    told = [each for content, _ in collect(log) for each in content]
    everyone = [("all", person) for person in range(1, PEOPLE + 1)]
    assert told == [("vip", 1), ("vip", 2), *everyone, ("vip", 3)]


def test_a_stream_that_broke_goes_on_after_any_of_its_messages(log: SqlLog) -> None:
    messages = collect(log)
    whole = [each for content, _ in messages for each in content]
    seen = 0
    for content, token in messages[:-1]:
        seen += len(content)
        rest = [each for part, _ in collect(log, token) for each in part]
        assert rest == whole[seen:]


def test_a_filter_leaves_out_other_audiences_and_does_not_confuse_tokens(log: SqlLog) -> None:
    messages = collect(log, audiences=frozenset({"vip"}))
    assert [content for content, _ in messages] == [[("vip", 1), ("vip", 2)], [("vip", 3)]]
    ((rest, _),) = collect(log, messages[0][1], frozenset({"vip"}))
    assert rest == [("vip", 3)]


@pytest.mark.parametrize(
    "token",
    ["nonsense", "W10=", "W1s5OTksMF1d", "W1sxLCJ4Il1d", "W1stMSwwXV0=", "W1tb" * 10_000],
    ids=range(6),
)
def test_a_foreign_token_is_refused(log: SqlLog, token: str) -> None:
    with pytest.raises(InvalidArgument, match="resume_token"):
        collect(log, token)


def test_a_stream_with_nothing_to_tell_gives_tokens_while_records_come_all_the_time(
    log: SqlLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.segmentation.watch.QUIET_S", 0.1)
    freshness = Freshness()

    async def come(seq: int) -> None:
        while True:
            await asyncio.sleep(0.01)
            seq += 1
            log.append([Entry(pack(one("others", 9)) if seq % 2 else pack(), seq)])
            freshness.reached(seq)

    async def run() -> None:
        coming = asyncio.create_task(come(log.last_seq()))
        stream = Watcher([log], freshness).watch(frozenset({"nobodys"}), "", from_start=False)
        former = ""
        async with asyncio.timeout(10):
            for _ in range(3):
                told = await anext(stream)
                assert told.transitions == []
                assert told.token != former
                former = told.token
        coming.cancel()

    asyncio.run(run())


def test_a_token_before_what_the_log_holds_names_the_oldest_usable_one(log: SqlLog) -> None:
    first = collect(log)[0][1]
    log.trim(4)
    with pytest.raises(FailedPrecondition, match="no longer holds") as failure:
        collect(log, first)
    oldest = failure.value.metadata["oldest_resume_token"]
    assert [content for content, _ in collect(log, oldest)] == [[("vip", 3)]]
