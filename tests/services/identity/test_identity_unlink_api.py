"""Un-merges asked for from outside, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest
from identity_stages import event, identity
from test_identity_api import CANARY, Caller, refusal, run

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.rpc.v1.consistency_pb2 import Consistency
from coterie.type.v1.identity_pb2 import Who

SAME = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


async def unlink(caller: Caller, *ids: str, request_id: str = "") -> str:
    request = pb.UnlinkRequest(identities=map(identity, ids), request_id=request_id)
    return (await caller.identity.Unlink(request)).revision


def test_identifiers_leave_together_and_the_journals_tell_it(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        caller.feed(event("e1", "crm:A", "email:a", "ecid:D", "ecid:E"))
        # Not read yet: who asks at once is answered all the same.
        revision = await unlink(caller, "email:a", "ecid:D", "email:a", request_id=SAME)
        asked = pb.ResolveRequest(
            identities=map(identity, ("crm:A", "ecid:E", "email:a", "ecid:D")),
            consistency=Consistency(at_least=revision),
        )
        assert list((await caller.identity.Resolve(asked)).profile_ids) == [1, 1, 2, 2]
        former = (await caller.graph(Who(profile_id=1))).journal[-1]
        assert (former.split.new_profile_id, former.input_id) == (2, SAME)
        created = (await caller.graph(Who(profile_id=2))).journal
        assert [one.assigned.identity for one in created] == [
            identity("email:a"),
            identity("ecid:D"),
        ]
        assert {one.assigned.former_profile_id for one in created} == {1}
        caller.feed(event("e2", "crm:A", "email:a"))
        refused = (await caller.graph(Who(profile_id=1))).journal[-1].refused
        assert (refused.other_profile_id, refused.reason) == (2, "unlinked")
        await caller.link("crm:A", "email:a")
        assert len(set(await caller.resolve("crm:A", "email:a", "ecid:D"))) == 1

    run(data_dir, talk)


def test_a_repetition_is_answered_as_the_first_was(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        caller.feed(event("e1", "crm:A", "email:a"))
        first = await unlink(caller, "email:a", request_id=SAME)
        assert await unlink(caller, "email:a", request_id=SAME.upper()) == first
        code, reason, _, _ = await refusal(unlink(caller, "email:a"))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "IDENTIFIERS_ALL")
        other = SAME.replace("7", "8")
        code, reason, _, _ = await refusal(unlink(caller, "email:a", request_id=other))
        assert reason == "IDENTIFIERS_ALL"

    run(data_dir, talk)


def test_many_at_once_part_once(data_dir: Path) -> None:
    async def talk(caller: Caller) -> None:
        caller.feed(event("e1", "crm:A", "email:a", "ecid:D"))
        await asyncio.gather(*(unlink(caller, "email:a", request_id=SAME) for _ in range(8)))
        assert await caller.resolve("crm:A", "email:a", "ecid:D") == [1, 2, 1]

    run(data_dir, talk)


@pytest.mark.parametrize(
    ("ids", "request_id", "code", "reason"),
    [
        ((f"email:{CANARY}",), "", grpc.StatusCode.NOT_FOUND, "PROFILE_NOT_FOUND"),
        (("crm:A", f"email:{CANARY}"), "", grpc.StatusCode.NOT_FOUND, "PROFILE_NOT_FOUND"),
        (("crm:A", "crm:B"), "", grpc.StatusCode.FAILED_PRECONDITION, "IDENTIFIERS_APART"),
        (("crm:B",), "", grpc.StatusCode.FAILED_PRECONDITION, "IDENTIFIERS_ALL"),
        (("ecid:D", "crm:A"), "", grpc.StatusCode.FAILED_PRECONDITION, "IDENTIFIERS_ALL"),
        ((), "", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (("Crm:A",), "", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (("crm:",), "", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (("crm:" + "x" * 257,), "", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (("ecid:D",), "no uuid", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (tuple(f"x:{n}" for n in range(17)), "", grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY"),
    ],
)
def test_what_cannot_be_parted_is_refused_and_nothing_is_written(
    data_dir: Path, ids: tuple[str, ...], request_id: str, code: grpc.StatusCode, reason: str
) -> None:
    async def talk(caller: Caller) -> None:
        caller.feed(event("e1", "crm:A", "ecid:D"), event("e2", "crm:B"))
        before = caller.feed(event("e3", "crm:A"))
        call: Awaitable[object] = unlink(caller, *ids, request_id=request_id)
        found, why, _, text = await refusal(call)
        assert (found, why) == (code, reason)
        assert CANARY not in text
        assert caller.feed(event("e4", "crm:A")) == before + 1
        assert await caller.resolve("crm:A", "ecid:D", "crm:B") == [1, 1, 2]

    run(data_dir, talk)
