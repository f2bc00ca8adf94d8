"""Makes a deployment ready for a run: schema, audiences, people. What is there already stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import grpc
import grpc.aio

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1.identity_pb2 import Identity
from services.host.client import Client
from services.host.load.mix import PROBE_AUDIENCE, PROBE_RULE, audience_id
from services.host.load.requests import Requests
from services.kit.names import audience_name

SERVICES = ("identity", "profile", "segmentation")
"""Those that a run speaks to."""
TIMEOUT_S = 30.0
BUILD_S = 600.0
POLL_S = 0.05
AT_ONCE = 4
BATCH = 1000
NOTES = 20
"""How often at most is said how many people are sent: a file of lines stays short."""
SAMPLE = 1000
"""People whose profile ids are asked for: as many as one call may name."""
BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
BUSY_PAUSE_S = 0.5
LATEST = consistency_pb2.Consistency(latest=True)

Note = Callable[[str], None]
"""Hears what is done now."""


class PreparationError(Exception):
    """The deployment cannot take the run: what was found, what was expected."""


async def prepare(
    client: Client, requests: Requests, addresses: Mapping[str, str], note: Note
) -> list[int]:
    """Return the profile ids of some of the people once the run can begin.

    Raises PreparationError where a service is away, the run was here before, or the API refuses.
    """
    note("looking for the services")
    await _reach(client, addresses)
    await _declare(client, requests)
    await _check_unused(client, requests)
    note(f"{requests.audiences:,} audiences, and one for probes")
    await _create_audiences(client, requests)
    known = await _known(client, requests)
    if not all(known):
        await _send_people(client, requests, note)
        known = await _known(client, requests)
    if not all(known):
        raise PreparationError("some of the people that were sent are not known to identity")
    return known


async def _reach(client: Client, addresses: Mapping[str, str]) -> None:
    """Ask each service for something, so that what is away is named."""
    nobody = identity_pb.ResolveRequest(identities=[Identity(namespace="crm", value="nobody")])
    asked: dict[str, Callable[[], object]] = {
        "identity": lambda: client.identity.Resolve(nobody, timeout=TIMEOUT_S),
        "profile": lambda: client.profile.GetSchema(
            profile_pb.GetSchemaRequest(), timeout=TIMEOUT_S
        ),
        "segmentation": lambda: client.segmentation.ListAudiences(
            segmentation_pb.ListAudiencesRequest(page_size=1), timeout=TIMEOUT_S
        ),
    }
    for service, ask in asked.items():
        try:
            await ask()  # type: ignore[misc]  # each is a call
        except grpc.aio.AioRpcError as error:
            where = f"{service} at {addresses[service]}"
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise PreparationError(
                    f"{where} does not answer; is `coterie up` running? ({error.details()})"
                ) from None
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise PreparationError(f"expected {where}, found another service there") from None
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:  # a namespace that is not `crm`
                raise PreparationError(f"{where}: {_words(error)}") from None


async def _declare(client: Client, requests: Requests) -> None:
    request = profile_pb.ExtendSchemaRequest(schema=requests.mix.schema())
    try:
        answer = await client.profile.ExtendSchema(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise PreparationError(f"the schema of the mix was refused: {_words(error)}") from None
    await client.wait_progress(answer.revision)


async def _check_unused(client: Client, requests: Requests) -> None:
    """Refuse what was sent before: its events would be dropped as repeats."""
    first = requests.newcomer("hello-0")
    request = identity_pb.ResolveRequest(identities=[first], consistency=LATEST)
    try:
        answer = await client.identity.Resolve(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise PreparationError(f"namespace of the mix: {_words(error)}") from None
    if any(answer.profile_ids):
        raise PreparationError(
            f"run {requests.run} of seed {requests.seed} was sent to this deployment before, and"
            " the same events again have no effect; give another --run"
        )


async def _create_audiences(client: Client, requests: Requests) -> None:
    wanted = {PROBE_AUDIENCE: PROBE_RULE} | {
        audience_id(number): requests.mix.rule(number) for number in range(requests.audiences)
    }
    room = asyncio.Semaphore(AT_ONCE)

    async def create(name: str, rule: str) -> None:
        made = audience_pb2.Audience(display_name=name, rule=rule)
        request = segmentation_pb.CreateAudienceRequest(audience_id=name, audience=made)
        async with room:
            try:
                await client.segmentation.CreateAudience(request, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                    raise PreparationError(
                        f"audience {name} was refused: {_words(error)}\n  its rule: {rule}"
                    ) from None

    missing = wanted.keys() - (await _listed(client)).keys()
    await asyncio.gather(*(create(name, wanted[name]) for name in sorted(missing)))
    await _active(client, wanted)


async def _active(client: Client, wanted: Mapping[str, str]) -> None:
    """Wait until all audiences have their members; raises for one of another rule."""
    with suppress(TimeoutError):
        async with asyncio.timeout(BUILD_S):
            while True:
                found = await _listed(client)
                for name, rule in wanted.items():
                    if name in found and found[name].rule != rule:
                        raise PreparationError(
                            f"audience {name} is there with another rule: {found[name].rule!r},"
                            f" expected {rule!r}; delete it first"
                        )
                ready = audience_pb2.AUDIENCE_STATE_ACTIVE
                if all(name in found and found[name].state == ready for name in wanted):
                    return
                await asyncio.sleep(POLL_S)
    raise PreparationError(f"the audiences were not built within {BUILD_S:g} s")


async def _listed(client: Client) -> dict[str, audience_pb2.Audience]:
    """Return the audiences by id."""
    found: dict[str, audience_pb2.Audience] = {}
    request = segmentation_pb.ListAudiencesRequest(page_size=1000, consistency=LATEST)
    prefix = audience_name("")
    while True:
        page = await client.segmentation.ListAudiences(request, timeout=TIMEOUT_S)
        found |= {each.name.removeprefix(prefix): each for each in page.audiences}
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _known(client: Client, requests: Requests) -> list[int]:
    """Return the profile ids of people spread over all, 0 for one who is not known."""
    count = min(requests.profiles, SAMPLE)
    people = [
        requests.person(place * (requests.profiles - 1) // max(count - 1, 1))
        for place in range(count)
    ]
    request = identity_pb.ResolveRequest(identities=people, consistency=LATEST)
    return list((await client.identity.Resolve(request, timeout=TIMEOUT_S)).profile_ids)


async def _send_people(client: Client, requests: Requests, note: Note) -> None:
    revision, sent = 0, 0
    note(f"{requests.profiles:,} people to send")
    firsts = iter(range(0, requests.profiles, BATCH))

    async def send() -> None:
        nonlocal revision, sent
        for first in firsts:
            end = min(first + BATCH, requests.profiles)
            batch = profile_pb.IngestBatchRequest.FromString(requests.people(first, end))
            answer = await _ingest(client, batch)
            if answer.refused:
                raise PreparationError(f"a person was refused: {answer.refused[0].error.message}")
            said = sent * NOTES // requests.profiles
            revision, sent = max(revision, int(answer.revision)), sent + end - first
            if sent * NOTES // requests.profiles > said:
                note(f"{sent:,} of {requests.profiles:,} people sent")

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    note("waiting until they are applied")
    await client.wait_progress(str(revision), BUILD_S)


async def _ingest(
    client: Client, batch: profile_pb.IngestBatchRequest
) -> profile_pb.IngestBatchResponse:
    """Send a batch; a service that is full for now is waited for."""
    async with asyncio.timeout(BUILD_S):
        while True:
            try:
                return await client.profile.IngestBatch(batch, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in BUSY:
                    raise PreparationError(f"people were refused: {_words(error)}") from None
            await asyncio.sleep(BUSY_PAUSE_S)


def _words(error: grpc.aio.AioRpcError) -> str:
    return f"{error.details()} ({error.code().name})"
