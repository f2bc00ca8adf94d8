"""Rules that every RPC keeps, so that a caller who knows one knows all."""

from __future__ import annotations

from collections import Counter

import pytest
import rpcs
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

METHODS = [pytest.param(method, id=method.full_name) for method in rpcs.methods()]
LISTS = [
    pytest.param(method, id=method.full_name)
    for method in rpcs.methods()
    if method.name.startswith("List") and not method.server_streaming
]


def _types(message: Descriptor) -> dict[str, FieldDescriptor]:
    return {field.name: field for field in message.fields}


def test_there_are_rpcs() -> None:
    assert len(METHODS) > 10
    assert LISTS


@pytest.mark.parametrize("method", METHODS)
def test_an_rpc_has_a_request_and_a_response_of_its_own_name(method: MethodDescriptor) -> None:
    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"
    assert method.input_type.file == method.output_type.file == method.containing_service.file


def test_no_two_rpcs_share_a_request_or_a_response() -> None:
    used = Counter(
        message.full_name
        for method in rpcs.methods()
        for message in (method.input_type, method.output_type)
    )
    assert [name for name, times in used.items() if times > 1] == []


@pytest.mark.parametrize("method", LISTS)
def test_a_list_comes_in_pages(method: MethodDescriptor) -> None:
    asks, answers = _types(method.input_type), _types(method.output_type)
    assert asks["page_size"].type == FieldDescriptor.TYPE_INT32
    assert asks["page_token"].type == FieldDescriptor.TYPE_STRING
    assert answers["next_page_token"].type == FieldDescriptor.TYPE_STRING


@pytest.mark.parametrize("method", METHODS)
def test_only_reads_page_and_only_lists_do(method: MethodDescriptor) -> None:
    if "page_token" in _types(method.input_type):
        assert method.name.startswith("List")


def test_a_consistency_is_always_called_so_and_only_a_request_has_one() -> None:
    found = [
        (message.name, field.name)
        for message in rpcs.messages()
        for field in message.fields
        if field.message_type
        and field.message_type.full_name == "coterie.rpc.v1.Consistency"
        and (field.name != "consistency" or not message.name.endswith("Request"))
    ]
    assert found == []


@pytest.mark.parametrize("method", METHODS)
def test_a_read_says_how_fresh_it_has_to_be(method: MethodDescriptor) -> None:
    """Watches follow what comes, and progress is about freshness itself."""
    reads = ("Get", "List", "Resolve", "Explain", "BatchGet", "BatchCheck")
    if method.name.startswith(reads) and method.name != "GetProgress":
        assert "consistency" in _types(method.input_type)


@pytest.mark.parametrize("method", METHODS)
def test_a_resumable_stream_takes_the_token_that_it_gives(method: MethodDescriptor) -> None:
    gives = method.server_streaming and "resume_token" in _types(method.output_type)
    assert gives == ("resume_token" in _types(method.input_type))


def test_times_inside_messages_for_callers_are_timestamps_and_named_so() -> None:
    wrong = [
        f"{message.full_name}.{field.name}"
        for message in rpcs.messages()
        for field in message.fields
        if field.message_type
        and field.message_type.full_name == "google.protobuf.Timestamp"
        and not field.name.endswith("time")
    ]
    assert wrong == []
