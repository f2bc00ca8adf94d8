"""A model of the graph: whatever is said about people, what must hold holds after each word."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.identity.domain.changes import Assigned, Merged, Refused
from services.identity.domain.graph import Graph
from services.identity.domain.limits import Limits
from services.identity.domain.linking import Linker
from services.identity.domain.namespaces import Identifier, Namespaces

TIGHT = Limits(total=6, namespace=4, by_namespace={"email": 2})
WIDE = Limits(total=1_000, namespace=1_000, by_namespace={})

values = st.integers(0, 4).map(str)
anything = st.tuples(st.sampled_from(["crm", "loyalty", "email", "ecid", "zz"]), values)
orders = st.sampled_from(
    [("crm", "loyalty", "email", "ecid"), ("email", "crm", "ecid", "loyalty"), ("loyalty", "crm")]
)


class GraphModel(RuleBasedStateMachine):
    """Says things about few people with few identifiers, so that they meet often."""

    @initialize(
        order=orders, partitions=st.sampled_from([1, 2, 3]), limits=st.sampled_from([TIGHT, WIDE])
    )
    def begin(self, order: tuple[str, ...], partitions: int, limits: Limits) -> None:
        self.limits = limits
        self.namespaces = Namespaces(order, frozenset({"crm", "loyalty"}))
        self.graph = Graph(partitions)
        self.linker = Linker(self.graph, self.namespaces, limits)
        self.holders: dict[Identifier, int] = {}
        self.merged: dict[int, int] = {}
        self.guests: dict[int, int] = {}
        self.apart: set[frozenset[Identifier]] = set()

    @rule(person=values, device=values)
    def login(self, person: str, device: str) -> None:
        self.say([("ecid", device), ("crm", person)])

    @rule(given=st.lists(anything, min_size=1, max_size=5))
    def link(self, given: list[Identifier]) -> None:
        self.say(given)

    @rule(given=st.lists(anything, min_size=1, max_size=2), mail=values)
    def set_mail(self, given: list[Identifier], mail: str) -> None:
        self.say(given, [("email", mail)])

    @rule(person=values, device=values)
    def join(self, person: str, device: str) -> None:
        self.say([("crm", person), ("ecid", device)], rejoins=True)
        both = self.side_of("crm", person), self.side_of("ecid", device)
        assert set(both[0]) == set(both[1]) or self.refused(*both)

    def side_of(self, namespace: str, value: str) -> list[Identifier]:
        """Return the identifiers of one's profile: itself alone where it was refused for good."""
        holder = self.holders.get((namespace, value))
        return [(namespace, value)] if holder is None else [*self.graph.identifiers_of(holder)]

    def refused(self, one: list[Identifier], other: list[Identifier]) -> bool:
        """Whether a unique value or a limit keeps the two apart: an un-merge does not."""
        both = [*one, *other]
        names = [name for name, _ in both]
        differs = any(names.count(name) > 1 for name in ("crm", "loyalty"))
        return differs or self.limits.broken_by(both) is not None

    @rule(leading=anything, count=st.integers(1, 3))
    def unlink(self, leading: Identifier, count: int) -> None:
        holder = self.holders.get(leading)
        if holder is None:
            return
        held = self.graph.identifiers_of(holder)
        leaving = list(dict.fromkeys((leading, *held)))[:count]
        if len(leaving) == len(held):
            return
        divided = self.graph.divide(holder, leaving)
        assert divided.created not in {*self.holders.values(), *self.merged, *self.guests}
        assert divided.created >> 32 == holder >> 32
        self.holders.update(dict.fromkeys(leaving, divided.created))
        self.apart |= {
            frozenset((one, other)) for one in leaving for other in held if other not in leaving
        }

    def say(
        self,
        given: list[Identifier],
        derived: list[Identifier] | None = None,
        *,
        rejoins: bool = False,
    ) -> None:
        """Say it, and keep our own account of what the changes tell."""
        leading = self.namespaces.ranked(given)[0]
        held_before = self.holders.get(leading)
        crossings = 0
        while True:
            owner, changes, crossing = self.linker.link(given, derived or [], rejoins=rejoins)
            for change in changes:
                self.account(change)
            if crossing is None:
                break
            # As if the handoff had come: the merge is made, and the input goes on.
            self.account(self.graph.merge(crossing.winner, crossing.loser))
            guest = self.graph.add_guest(crossing.winner)
            assert self.graph.live(guest) == crossing.winner
            self.guests[guest] = crossing.winner
            crossings += 1
            assert crossings <= len(given) + 1
        assert self.holders[leading] == owner
        if held_before is not None:
            assert self.final(held_before) == owner

        if rejoins:
            joined = {frozenset(pair) for pair in self.graph.separations.pairs()}
            assert joined <= self.apart
            self.apart = joined
        if self.limits is WIDE and not rejoins:
            # Not at a limit: what it refused may be possible once other identifiers have moved.
            # A refusal is told again where a merge has given the owner another number since.
            again, news, _ = self.linker.link(given, derived or [])
            assert (again, [one for one in news if not isinstance(one, Refused)]) == (owner, [])
            assert self.linker.link(given, derived or []) == (owner, [], None)

    def account(self, change: object) -> None:
        if isinstance(change, Assigned):
            assert self.holders.get(change.identifier, 0) == change.former
            self.holders[change.identifier] = change.profile_id
        elif isinstance(change, Merged):
            self.merged[change.loser] = change.profile_id
            for identifier, holder in self.holders.items():
                if holder == change.loser:
                    self.holders[identifier] = change.profile_id

    def final(self, profile_id: int) -> int:
        while profile_id in self.merged:
            profile_id = self.merged[profile_id]
        return profile_id

    @invariant()
    def identifiers_are_divided_among_live_profiles(self) -> None:
        profiles = set(self.holders.values())
        told = {one: profile for profile in profiles for one in self.graph.identifiers_of(profile)}
        assert told == self.holders
        total = sum(len(self.graph.identifiers_of(profile)) for profile in profiles)
        assert total == len(self.holders)
        assert all(self.graph.holder(one) == profile for one, profile in self.holders.items())

    @invariant()
    def no_profile_has_two_values_of_a_unique_namespace(self) -> None:
        for profile in set(self.holders.values()):
            names = [name for name, _ in self.graph.identifiers_of(profile)]
            assert names.count("crm") <= 1
            assert names.count("loyalty") <= 1

    @invariant()
    def what_an_unmerge_has_parted_is_in_no_profile_together(self) -> None:
        assert {frozenset(pair) for pair in self.graph.separations.pairs()} == self.apart
        for one, other in self.apart:
            assert self.holders[one] != self.holders[other]

    @invariant()
    def no_profile_breaks_a_limit(self) -> None:
        for profile in set(self.holders.values()):
            assert self.limits.broken_by(self.graph.identifiers_of(profile)) is None

    @invariant()
    def every_redirect_ends_at_a_live_profile(self) -> None:
        for loser in self.merged:
            assert self.graph.live(loser) == self.final(loser)
            assert loser in self.graph.absorbed(self.final(loser))
            assert self.graph.identifiers_of(loser) == ()

    @invariant()
    def a_guest_belongs_to_nobody_and_finds_its_host(self) -> None:
        for guest, host in self.guests.items():
            assert guest not in self.holders.values()
            assert self.graph.live(guest) == self.final(host)

    @invariant()
    def a_copy_from_the_tables_is_the_same(self) -> None:
        copy = Graph(self.graph.partitions)
        rows = [(one, self.graph.redirect_of(one)) for one in self.graph.touched_profiles]
        copy.load_profiles(rows)
        copy.load_identifiers((*one, holder) for one, holder in self.holders.items())
        copy.separations.load(self.graph.separations.pairs())
        copy.load_refusals(self.graph._refusals)
        assert copy.state_hash() == self.graph.state_hash()


GraphModel.TestCase.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
test_the_graph_keeps_its_promises = GraphModel.TestCase
