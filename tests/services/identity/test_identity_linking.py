"""The truth table of the identity rules, one input at a time."""

import pytest

from services.identity.domain.changes import Assigned, Merged, Refused
from services.identity.domain.graph import Graph, partition_of
from services.identity.domain.limits import Limits
from services.identity.domain.linking import Linker
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.domain.transit import Crossing

ORDER = ("crm", "loyalty", "email", "ecid")


class People:
    """A graph and its linker, spoken to in texts: `crm:A` is an identifier."""

    def __init__(
        self,
        order: tuple[str, ...] = ORDER,
        unique: tuple[str, ...] = ("crm", "loyalty"),
        partitions: int = 1,
        limits: Limits | None = None,
    ) -> None:
        self.graph = Graph(partitions)
        namespaces = Namespaces(order, frozenset(unique))
        self.linker = Linker(self.graph, namespaces, limits or Limits())

    def link(self, *given: str, derived: tuple[str, ...] = ()) -> int:
        return self.linker.link([parse(one) for one in given], [parse(one) for one in derived])[0]

    def changes(self, *given: str) -> list[object]:
        return list(self.linker.link([parse(one) for one in given])[1])

    def who(self, text: str) -> int | None:
        return self.graph.holder(parse(text))


def parse(text: str) -> Identifier:
    namespace, _, value = text.partition(":")
    return namespace, value


@pytest.fixture
def people() -> People:
    return People()


def test_a_first_seen_identifier_makes_a_profile_with_the_next_ordinal(people: People) -> None:
    assert people.changes("ecid:D") == [Assigned(1, ("ecid", "D"), 0)]
    assert people.link("ecid:E") == 2


def test_a_known_identifier_changes_nothing(people: People) -> None:
    people.link("crm:A", "ecid:D")
    assert people.changes("ecid:D", "crm:A") == []


def test_all_identifiers_of_one_input_are_linked(people: People) -> None:
    owner = people.link("ecid:D", "email:a@x", "crm:A", "loyalty:L")
    assert {people.who(one) for one in ("ecid:D", "email:a@x", "crm:A", "loyalty:L")} == {owner}


def test_identifiers_are_given_out_by_priority_whatever_their_order(people: People) -> None:
    changes = people.changes("ecid:D", "x:1", "crm:A", "b:2")
    identifiers = [change.identifier for change in changes if isinstance(change, Assigned)]
    assert identifiers == [("crm", "A"), ("ecid", "D"), ("b", "2"), ("x", "1")]


def test_a_login_joins_the_device_that_nobody_had_logged_in_on(people: People) -> None:
    device = people.link("ecid:D")
    assert people.link("ecid:D", "crm:A") == device
    assert people.who("crm:A") == device


def test_profiles_named_by_one_input_are_merged(people: People) -> None:
    device, person = people.link("ecid:D"), people.link("crm:A")
    assert people.changes("ecid:D", "crm:A") == [Merged(person, device)]
    assert people.who("ecid:D") == person
    assert people.graph.live(device) == person


def test_profiles_with_different_unique_values_stay_apart_and_the_device_moves(
    people: People,
) -> None:
    first, second = people.link("crm:A", "ecid:D"), people.link("crm:B")
    assert people.changes("crm:B", "ecid:D") == [
        Refused(second, first, "crm"),
        Assigned(second, ("ecid", "D"), first),
    ]
    assert (people.who("crm:A"), people.who("ecid:D")) == (first, second)


def test_a_first_seen_login_on_somebody_elses_device_makes_a_new_person(people: People) -> None:
    first = people.link("crm:A", "ecid:D")
    second = people.link("crm:B", "ecid:D")
    assert second != first
    assert (people.who("crm:A"), people.who("crm:B")) == (first, second)
    assert people.who("ecid:D") == second


def test_a_device_alone_belongs_to_the_last_one_logged_in(people: People) -> None:
    people.link("crm:A", "ecid:D")
    second = people.link("crm:B", "ecid:D")
    assert people.link("ecid:D") == second
    assert people.link("crm:A", "ecid:D") == people.link("ecid:D") != second


def test_unique_identifiers_stay_where_they_are_when_profiles_may_not_merge(
    people: People,
) -> None:
    first = people.link("crm:A", "loyalty:L")
    second = people.link("crm:B", "loyalty:L", "email:b@x")
    assert (people.who("loyalty:L"), people.who("email:b@x")) == (first, second)


def test_the_input_belongs_to_its_highest_identifier_when_profiles_may_not_merge(
    people: People,
) -> None:
    first = people.link("loyalty:L1", "crm:A")
    second = people.link("loyalty:L2")
    assert people.link("loyalty:L2", "crm:A") == first
    assert people.link("loyalty:L2", "ecid:D") == second
    assert people.link("ecid:D", "crm:A") == first
    assert people.who("loyalty:L2") == second


def test_a_unique_value_that_only_one_side_has_is_no_hindrance(people: People) -> None:
    member, customer = people.link("loyalty:L", "ecid:D"), people.link("crm:A")
    assert people.link("crm:A", "ecid:D") == customer
    assert people.graph.live(member) == customer


def test_new_unique_identifiers_together_are_held_against_a_known_device(people: People) -> None:
    first = people.link("loyalty:L1", "ecid:D")
    second = people.link("crm:B", "loyalty:L2", "ecid:D")
    assert second != first
    assert (people.who("loyalty:L2"), people.who("ecid:D")) == (second, second)


def test_of_several_known_profiles_a_new_login_joins_the_first_that_does_not_differ(
    people: People,
) -> None:
    taken = people.link("crm:A", "email:a@x")
    device = people.link("ecid:D")
    assert people.link("crm:B", "email:a@x", "ecid:D") == device
    assert people.who("email:a@x") == device != taken


def test_three_profiles_are_merged_one_after_another_by_priority(people: People) -> None:
    device, mail, person = people.link("ecid:D"), people.link("email:a@x"), people.link("crm:A")
    assert people.changes("ecid:D", "email:a@x", "crm:A") == [
        Merged(person, mail),
        Merged(person, device),
    ]


def test_each_of_three_profiles_is_compared_with_what_the_owner_has_become(
    people: People,
) -> None:
    person = people.link("crm:A")
    member = people.link("loyalty:L1", "email:a@x")
    other = people.link("loyalty:L2", "ecid:D")
    assert people.link("crm:A", "email:a@x", "ecid:D") == person
    assert people.graph.live(member) == person
    assert people.who("loyalty:L2") == other
    assert people.who("ecid:D") == person


def test_of_two_values_of_one_unique_namespace_the_first_counts(people: People) -> None:
    other = people.link("crm:B")
    owner = people.link("ecid:D", "crm:A", "crm:B", "crm:C")
    assert (people.who("crm:A"), people.who("ecid:D")) == (owner, owner)
    assert (people.who("crm:B"), people.who("crm:C")) == (other, None)


def test_two_values_of_one_shared_namespace_are_both_linked(people: People) -> None:
    owner = people.link("email:a@x", "email:b@x")
    assert people.who("email:b@x") == owner


def test_the_winner_of_a_merge_has_the_highest_namespace(people: People) -> None:
    member, customer = people.link("loyalty:L"), people.link("crm:A")
    people.link("loyalty:L", "crm:A")
    assert people.graph.live(member) == customer


def test_the_winner_among_equals_has_the_lower_id(people: People) -> None:
    old, new = people.link("ecid:D"), people.link("ecid:E")
    people.link("ecid:E", "ecid:D")
    assert people.graph.live(new) == old


def test_redirects_of_redirects_end_at_the_live_profile(people: People) -> None:
    device, member, person = people.link("ecid:D"), people.link("loyalty:L"), people.link("crm:A")
    people.link("loyalty:L", "ecid:D")
    people.link("crm:A", "loyalty:L")
    assert people.graph.live(device) == people.graph.live(member) == person
    assert people.graph.absorbed(person) == (device, member)


def test_an_identifier_from_an_attribute_is_linked_but_does_not_decide(people: People) -> None:
    first, second = people.link("crm:A", "ecid:D"), people.link("crm:B", "email:b@x")
    assert people.link("ecid:D", derived=("email:b@x",)) == first
    assert people.who("email:b@x") == first
    assert people.who("crm:B") == second


def test_an_attribute_brings_an_anonymous_device_to_its_person(people: People) -> None:
    person = people.link("crm:A", "email:a@x")
    assert people.link("ecid:D", derived=("email:a@x",)) == person
    assert people.who("ecid:D") == person


def test_a_limit_refuses_the_link_and_evicts_nothing() -> None:
    people = People(limits=Limits(by_namespace={"ecid": 2}))
    owner = people.link("crm:A", "ecid:1", "ecid:2")
    assert people.changes("crm:A", "ecid:3") == [Refused(owner, 0, "limit:ecid")]
    assert people.link("crm:A", "ecid:3") == owner
    assert (people.who("ecid:3"), people.who("ecid:1")) == (None, owner)


def test_a_merge_over_a_limit_is_refused_and_moves_nothing() -> None:
    people = People(limits=Limits(total=3))
    person, device = people.link("crm:A", "ecid:1"), people.link("ecid:2", "ecid:3")
    assert people.changes("crm:A", "ecid:2") == [Refused(person, device, "limit:total")]
    assert people.who("ecid:2") == device


def test_a_new_login_does_not_join_a_device_profile_at_its_limit() -> None:
    people = People(limits=Limits(total=2))
    crowd = people.link("ecid:1", "ecid:2")
    person = people.link("email:a@x", "ecid:1")
    assert (person != crowd, people.who("ecid:1")) == (True, crowd)


def test_a_repeated_refusal_is_told_once(people: People) -> None:
    people.link("crm:A", "loyalty:L")
    people.link("crm:B")
    assert len(people.changes("crm:B", "loyalty:L")) == 1
    assert people.changes("crm:B", "loyalty:L") == []


def test_unknown_namespaces_rank_last_by_name_and_are_not_unique(people: People) -> None:
    first, second = people.link("zeta:1"), people.link("alpha:1")
    people.link("zeta:1", "alpha:1")
    assert people.graph.live(first) == second
    assert people.link("alpha:1", "alpha:2") == second


def test_a_shared_namespace_may_rank_above_a_unique_one() -> None:
    people = People(order=("email", "crm"), unique=("crm",))
    first = people.link("email:a@x", "crm:A")
    assert people.link("email:a@x", "crm:B") == first
    assert people.who("crm:B") is None
    second = people.link("crm:B")
    assert people.link("email:a@x", "crm:B") == first
    assert people.who("crm:B") == second


def test_profiles_of_two_partitions_cross_first_and_nothing_moves() -> None:
    people = People(partitions=2)
    device = next(f"ecid:{n}" for n in range(99) if partition_of(("ecid", str(n)), 2) == 0)
    login = next(f"crm:{n}" for n in range(99) if partition_of(("crm", str(n)), 2) == 1)
    left, right = people.link(device), people.link(login)
    assert (left, right) == (1, 1 << 32 | 1)
    linked = people.linker.link([parse(one) for one in (device, login, "email:a@x")])
    assert linked.crossing == Crossing(winner=right, loser=left)
    assert linked.changes == [Assigned(right, ("email", "a@x"), 0)]
    assert (people.who(device), people.who(login)) == (left, right)


def test_the_partition_of_an_identifier_never_changes() -> None:
    assert [partition_of(("crm", str(n)), 4) for n in range(8)] == [2, 2, 1, 1, 1, 1, 1, 0]


def test_ids_that_were_never_given_out_find_nobody(people: People) -> None:
    people.link("crm:A")
    assert [people.graph.live(one) for one in (0, 1, 2, 1 << 32 | 1)] == [None, 1, None, None]


def test_a_namespace_is_listed_once_and_a_unique_one_is_listed() -> None:
    with pytest.raises(ValueError, match="one priority"):
        Namespaces(("crm", "crm"), frozenset())
    with pytest.raises(ValueError, match="needs a priority"):
        Namespaces(("crm",), frozenset({"loyalty"}))
