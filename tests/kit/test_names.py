"""Resource names and ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidArgument
from services.kit.ids import derive_id, new_id, ordinal_of, partition_of, profile_id
from services.kit.names import (
    audience_name,
    check_id,
    check_owned_id,
    check_owner,
    parse_audience_name,
)


@pytest.mark.parametrize("text", ["v", "vip-2", "a" * 64])
def test_a_good_id_comes_back_from_its_name(text: str) -> None:
    assert parse_audience_name(audience_name(check_id(text, "audience_id")), "name") == text


@pytest.mark.parametrize("text", ["welcome.v1.exit", "a" * 128])
def test_the_id_of_what_belongs_to_something_may_be_long_and_have_dots(text: str) -> None:
    assert parse_audience_name(audience_name(check_owned_id(text, "audience_id")), "name") == text
    with pytest.raises(InvalidArgument, match="f: expected 1 to 64"):
        check_id(text, "f")


@pytest.mark.parametrize("text", ["journeys", "journeys/", "/w", "j/w/", "J/w", "j/" + "w" * 255])
def test_an_owner_is_a_resource_name(text: str) -> None:
    assert check_owner("journeys/welcome/versions/1", "f") == "journeys/welcome/versions/1"
    with pytest.raises(InvalidArgument, match="f: expected a resource name"):
        check_owner(text, "f")


@pytest.mark.parametrize("text", ["", "-", "2vip", "VIP", "a" * 129, "a/b", "a\n", "é", "a b"])
def test_a_bad_id_is_refused_by_its_field(text: str) -> None:
    for check in (check_id, check_owned_id):
        with pytest.raises(InvalidArgument) as caught:
            check(text, "f")
        assert caught.value.metadata == {"field": "f"}
    with pytest.raises(InvalidArgument) as caught:
        parse_audience_name(f"audiences/{text}", "f")
    assert caught.value.metadata == {"field": "f"}


def test_a_name_of_another_collection_is_refused_and_shown_only_in_part() -> None:
    with pytest.raises(InvalidArgument, match=r"expected `audiences/` and then 1 to 64") as caught:
        parse_audience_name("journeys/" + "x" * 500, "name")
    assert len(caught.value.message) < 250


@given(st.integers(0, 2**31 - 1), st.integers(1, 2**32 - 1))
def test_a_profile_id_holds_partition_and_ordinal(partition: int, ordinal: int) -> None:
    profile = profile_id(partition, ordinal)
    assert (partition_of(profile), ordinal_of(profile)) == (partition, ordinal)


@pytest.mark.parametrize(("partition", "ordinal"), [(0, 0), (0, 2**32), (-1, 1)])
def test_no_profile_has_ordinal_zero(partition: int, ordinal: int) -> None:
    with pytest.raises(ValueError, match="a profile id needs"):
        profile_id(partition, ordinal)


def test_derived_ids_are_functions_of_their_parts_and_new_ones_of_nothing() -> None:
    assert derive_id("a", "b") == derive_id("a", "b")
    assert len({derive_id("ab", ""), derive_id("a", "b"), derive_id("", "ab"), new_id()}) == 4
