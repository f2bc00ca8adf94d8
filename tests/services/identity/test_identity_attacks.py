"""Shared devices and junk identifiers: the graph stays small, and nobody becomes somebody else."""

from time import perf_counter

from services.identity.domain.changes import Merged
from services.identity.domain.graph import Graph
from services.identity.domain.limits import TOTAL_LIMIT, Limits
from services.identity.domain.linking import Linker
from services.identity.domain.namespaces import Identifier, Namespaces

LINKS = 10_000
NAMESPACES = Namespaces(("crm", "loyalty", "email", "phone", "ecid"), frozenset({"crm", "loyalty"}))


class Attack:
    """Ten thousand people, then ten thousand links meant to make them one."""

    def __init__(self, known: int = LINKS) -> None:
        self.graph = Graph(1)
        self.linker = Linker(self.graph, NAMESPACES, Limits())
        self.merges = 0
        for number in range(known):
            self.linker.link([("crm", str(number)), ("email", f"{number}@x")])
        self.people = [self.graph.holder(("crm", str(number))) for number in range(known)]

    def link(self, *given: Identifier) -> int:
        owner, changes, _ = self.linker.link(given)
        self.merges += sum(isinstance(change, Merged) for change in changes)
        return owner

    def assert_nobody_was_merged(self) -> None:
        now = [self.graph.holder(("crm", str(number))) for number in range(len(self.people))]
        assert now == self.people
        assert len(set(now)) == len(now)

    def largest(self) -> int:
        profiles = range(1, self.graph.profile_count() + 1 + self.merges)
        return max(len(self.graph.identifiers_of(profile)) for profile in profiles)


def test_a_kiosk_on_which_everybody_logs_in_merges_nobody() -> None:
    attack = Attack()
    kiosk = ("ecid", "kiosk")
    started = perf_counter()
    owners = [attack.link(("crm", str(number)), kiosk) for number in range(LINKS)]
    seconds = perf_counter() - started
    assert owners == attack.people
    attack.assert_nobody_was_merged()
    assert attack.graph.holder(kiosk) == owners[-1]
    assert attack.largest() == 3
    assert seconds < 5


def test_new_people_on_a_kiosk_each_get_a_profile_of_their_own() -> None:
    attack = Attack(known=0)
    owners = {attack.link(("crm", str(number)), ("ecid", "kiosk")) for number in range(LINKS)}
    assert len(owners) == LINKS
    assert attack.largest() == 2


def test_a_junk_address_that_everybody_gives_merges_no_customers() -> None:
    attack = Attack()
    for number in range(LINKS):
        attack.link(("crm", str(number)), ("email", "none@x"))
    attack.assert_nobody_was_merged()
    assert attack.largest() == 3


def test_a_chain_of_cookies_stops_at_the_limit() -> None:
    attack = Attack()
    for number in range(LINKS):
        attack.link(("ecid", f"c{number}"), ("ecid", f"c{number + 1}"))
        if number % 100 == 0:
            attack.link(("crm", str(number)), ("ecid", f"c{number}"))
    attack.assert_nobody_was_merged()
    assert attack.largest() <= TOTAL_LIMIT


def test_a_star_of_cookies_stops_at_the_limit() -> None:
    attack = Attack()
    for number in range(LINKS):
        attack.link(("email", "star@x"), ("ecid", f"c{number}"))
    attack.assert_nobody_was_merged()
    assert attack.largest() <= TOTAL_LIMIT


def test_one_customer_who_claims_every_identifier_gets_no_more_than_the_limit() -> None:
    attack = Attack()
    for number in range(1, LINKS):
        attack.link(
            ("crm", "0"), ("ecid", f"c{number}"), ("phone", str(number)), ("zz", str(number))
        )
    attack.assert_nobody_was_merged()
    assert attack.largest() == TOTAL_LIMIT


def test_a_stolen_address_moves_and_takes_nobody_along() -> None:
    attack = Attack()
    for number in range(1, LINKS):
        attack.link(("crm", "0"), ("email", f"{number}@x"))
    attack.assert_nobody_was_merged()
    assert attack.largest() == 1 + 10
