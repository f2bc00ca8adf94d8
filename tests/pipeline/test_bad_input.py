"""What is refused, with which words, and that nothing good beside it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import error_reason_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import event_pb2
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from services.kit.log.port import LogError
from services.kit.log.sql import SqlLog
from tests.pipeline.harness import DAY, NOON, App, event, running, who


async def failure(call: Awaitable[object]) -> tuple[str, str, str, dict[str, str]]:
    """Return code, message, reason and metadata of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code().name, status.message, info.reason, dict(info.metadata)


def in_suite(tmp_path: Path, story: Callable[[App], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(tmp_path / "data") as app:
            await story(app)

    asyncio.run(run())


def create(app: App, audience_id: str, rule: str) -> Awaitable[object]:
    wanted = audience_pb2.Audience(display_name="A name", rule=rule)
    request = segmentation_pb.CreateAudienceRequest(audience_id=audience_id, audience=wanted)
    return app.segmentation.CreateAudience(request)


@pytest.mark.parametrize(
    ("rule", "line", "column", "words"),
    [
        ('profile.loyalty.teir == "gold"', "1", "1", "loyalty.tier"),
        ('events("purchse").exists()', "1", "8", "purchase"),
        ('events("purchase").exists() &&', "1", "31", ""),
        ('events("purchase").last(30).exists()', "1", "25", "last"),
        ('events("purchase")\n  .where(event.totl > 3).exists()', "2", "10", "total"),
        ('audience("nobody-made-this")', "1", "10", "nobody-made-this"),
        ('events("purchase").count()', "1", "", ""),
    ],
)
def test_a_rule_that_cannot_run_is_refused_with_its_place(
    tmp_path: Path, rule: str, line: str, column: str, words: str
) -> None:
    async def story(app: App) -> None:
        code, message, reason, metadata = await failure(create(app, "a", rule))
        assert (code, reason) == ("INVALID_ARGUMENT", "INVALID_RULE")
        assert metadata["line"] == line
        assert not column or metadata["column"] == column
        assert words in message

    in_suite(tmp_path, story)


def test_names_that_are_taken_unknown_or_malformed_are_told_apart(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        await app.create("vip", 'events("purchase").exists()')
        taken = await failure(create(app, "vip", 'events("store_entry").exists()'))
        assert (taken[0], taken[2]) == ("ALREADY_EXISTS", "AUDIENCE_EXISTS")
        wrong = await failure(create(app, "No Good", "true"))
        assert (wrong[0], wrong[3]["field"]) == ("INVALID_ARGUMENT", "audience_id")
        unknown = segmentation_pb.GetAudienceRequest(name="audiences/none")
        missing = await failure(app.segmentation.GetAudience(unknown))
        assert (missing[0], missing[2]) == ("NOT_FOUND", "AUDIENCE_NOT_FOUND")
        stream = app.segmentation.WatchTransitions(
            segmentation_pb.WatchTransitionsRequest(audiences=["audiences/vip", "audiences/none"])
        )
        assert (await failure(stream.read()))[2] == "AUDIENCE_NOT_FOUND"
        request = segmentation_pb.GetMembershipRequest(audience="audiences/vip", who=who("crm:x"))
        nobody = await failure(app.segmentation.GetMembership(request))
        assert (nobody[0], nobody[2]) == ("NOT_FOUND", "PROFILE_NOT_FOUND")
        assert "crm" not in nobody[1]
        request = segmentation_pb.GetMembershipRequest(
            audience="audiences/vip", who={"profile_id": 99}
        )
        assert (await failure(app.segmentation.GetMembership(request)))[0] == "NOT_FOUND"

    in_suite(tmp_path, story)


def test_a_bad_event_is_refused_alone_and_the_good_ones_beside_it_count(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        await app.create("buyer", 'events("purchase").exists()')
        nobody = profile_pb.IngestInput(event=event_pb2.Event(event_id="n", type="purchase"))
        future = event("f", "purchase", "crm:secret", received=NOON, occurred=NOON + 2 * DAY)
        wrong_kind = event("k", "purchase", "crm:k", received=NOON, total="much")
        batch = [
            event("g1", "purchase", "crm:good1", received=NOON),
            nobody,
            future,
            wrong_kind,
            event("g2", "purchase", "crm:good2", received=NOON),
        ]
        answer = await app.profile.IngestBatch(profile_pb.IngestBatchRequest(inputs=batch))
        assert answer.accepted_count == 2
        reasons = [
            (
                each.index,
                error_reason_pb2.ErrorReason.Name(each.error.reason).removeprefix("ERROR_REASON_"),
            )
            for each in answer.refused
        ]
        assert reasons == [
            (1, "NO_IDENTITY"),
            (2, "TIME_IN_FUTURE"),
            (3, "SCHEMA_CONFLICT"),
        ]
        assert all("secret" not in each.error.message for each in answer.refused)
        assert len(await app.members("buyer")) == 2

    in_suite(tmp_path, story)


def test_a_token_from_elsewhere_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        for token in ("soon", "999999", "-1"):
            request = profile_pb.GetSchemaRequest(consistency={"at_least": token})
            found = await failure(app.profile.GetSchema(request))
            assert (found[0], found[2]) == ("INVALID_ARGUMENT", "INVALID_TOKEN")

    in_suite(tmp_path, story)


def test_a_call_that_asks_identity_first_refuses_what_is_wrong_in_its_own_words(
    tmp_path: Path,
) -> None:
    async def story(app: App) -> None:
        await app.create("vip", 'events("purchase").exists()')
        membership = partial(segmentation_pb.GetMembershipRequest, audience="audiences/vip")
        reads = (
            (app.profile.GetProfile, profile_pb.GetProfileRequest),
            (app.segmentation.GetMembership, membership),
        )
        for read, request in reads:
            for token in ("soon", "999999"):
                wrong = request(who=who("crm:x"), consistency={"at_least": token})
                found = await failure(read(wrong))
                assert (found[0], found[2]) == ("INVALID_ARGUMENT", "INVALID_TOKEN")
            for nobody in ("No Good:x", "crm:"):
                found = await failure(read(request(who=who(nobody))))
                assert (found[0], found[2]) == ("INVALID_ARGUMENT", "INVALID_FIELD")
                assert found[3]["field"].startswith("who.identity")

    in_suite(tmp_path, story)


def test_a_request_that_is_repeated_gets_the_first_answer(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        wanted = audience_pb2.Audience(display_name="A", rule='events("purchase").exists()')
        request = segmentation_pb.CreateAudienceRequest(
            audience_id="a", audience=wanted, request_id="8D9C2B52-7A0E-5F43-9C1D-3F1F5A1F0E11"
        )
        first = await app.segmentation.CreateAudience(request)
        await app.client.wait_progress(first.revision)
        again = await app.segmentation.CreateAudience(request)
        assert again.audience.state == audience_pb2.AUDIENCE_STATE_BACKFILLING
        request.audience.rule = "true"
        reused = await failure(app.segmentation.CreateAudience(request))
        assert (reused[0], reused[2]) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")

    in_suite(tmp_path, story)


def test_a_definition_that_the_log_did_not_confirm_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise LogError("the disk is full")

    async def story(app: App) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(SqlLog, "append", fail)
            unsure = await failure(create(app, "vip", 'events("purchase").exists()'))
        assert (unsure[0], unsure[2]) == ("UNAVAILABLE", "UNAVAILABLE")
        await app.create("vip", 'events("purchase").exists()')

    in_suite(tmp_path, story)


def test_a_data_directory_in_use_or_of_another_version_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        config = Config(data_dir=tmp_path / "data", clock="virtual", ports=FREE_PORTS)
        async with running(tmp_path / "data"):
            with pytest.raises(Exception, match="runs identity in this data directory"):
                await Suite(config).start()
        version = next(p for p in (tmp_path / "data").iterdir() if p.name == "FORMAT")
        version.write_text(version.read_text(encoding="utf-8").replace("1", "99"), encoding="utf-8")
        with pytest.raises(Exception, match="99"):
            await Suite(config).start()

    asyncio.run(run())
