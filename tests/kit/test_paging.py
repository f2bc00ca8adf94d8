"""Pages: one size rule, and tokens that serve the query they were issued for and no other."""

from __future__ import annotations

import base64
import json

import pytest

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.rpc.v1 import consistency_pb2
from services.kit.errors import InvalidArgument
from services.kit.paging import issue_page_token, page_size, read_page_token


def _request(**fields: object) -> pb.ListEventsRequest:
    return pb.ListEventsRequest(**{"types": ["purchase"], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000)])
def test_the_size_rule(asked: int, given: int) -> None:
    assert page_size(asked) == given


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_size(-1)
    assert caught.value.mistakes[0].field == "page_size"


def test_a_token_gives_back_the_last_key_whatever_size_and_freshness_come_next() -> None:
    token = issue_page_token(_request(page_size=5), 1_700_000_000_000, "e-1/ü")
    latest = consistency_pb2.Consistency(latest=True)
    after = _request(page_size=7, page_token=token, consistency=latest)
    assert read_page_token(after, token) == (1_700_000_000_000, "e-1/ü")


def test_no_token_is_the_first_page() -> None:
    assert read_page_token(_request(), "") is None


def test_a_token_serves_no_other_query_and_no_other_method() -> None:
    token = issue_page_token(_request(), "e-1")
    for other in (_request(types=["return"]), pb.GetSchemaRequest()):
        with pytest.raises(InvalidArgument) as caught:
            read_page_token(other, token)
        assert caught.value.reason == "INVALID_TOKEN"


def _encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "AAAA",
        "=" * 5,
        _encoded(7),
        _encoded([]),
        _encoded({"a": 1}),
        "\ud800",
        base64.b64encode(b"[" * 30_000).decode(),
    ],
    ids=range(9),
)
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token: expected"):
        read_page_token(_request(), token)


def test_a_token_without_a_key_or_with_another_kind_of_key_is_refused() -> None:
    digest = json.loads(base64.urlsafe_b64decode(issue_page_token(_request(), "k") + "=="))[0]
    for content in ([digest], [digest, 1.5], [digest, None], [digest, True]):
        with pytest.raises(InvalidArgument):
            read_page_token(_request(), _encoded(content).rstrip("="))


@pytest.mark.parametrize("part", [1 << 63, -(10**4_000), "\ud800", "\0"], ids=range(4))
def test_a_key_that_no_table_could_hold_is_refused(part: str | int) -> None:
    token = issue_page_token(_request(), 1, part)
    with pytest.raises(InvalidArgument, match="page_token: expected"):
        read_page_token(_request(), token)
