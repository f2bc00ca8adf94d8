"""Two hours and fifty minutes of clicks through the real services agree with plain Python."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from coterie.profile.v1 import profile_service_pb2 as pb
from services.host.definitions.audience_file import AudienceSpec
from services.host.replay.mapped import MappedFile
from services.host.replay.mapping_file import read_mapping
from services.host.replay.outcome import Outcome
from services.host.replay.shipped import shipped_text
from tests.replay.inspection import Found
from tests.replay.playing import look, play, shipped_audiences
from tests.replay.steps import HOUR, MINUTE, Person, Tally, note

FILE = Path(__file__).parents[3] / "shared" / "data" / "storefront_events.csv.gz"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the storefront file is not in {FILE.parent}: nothing was compared"
)


def rows() -> list[dict[str, str]]:
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected() -> dict[str, Tally]:
    people = defaultdict(list)
    end_ms = 0
    for row in rows():
        at_ms = round(datetime.fromisoformat(row["event_time"]).timestamp() * 1000)
        people[row["user_id"]].append((at_ms, row))
        end_ms = max(end_ms, at_ms)
    tallies: dict[str, Tally] = {}
    for who, own in people.items():
        own.sort(key=lambda pair: pair[0])
        for audience_id, member in states(own, end_ms).items():
            note(tallies.setdefault(audience_id, Tally(set())), who, member)
    return tallies


def states(own: list[tuple[int, dict[str, str]]], end_ms: int) -> dict[str, np.ndarray]:
    times = np.array([at_ms for at_ms, _ in own], np.int64)
    person = Person(times, (30 * MINUTE, HOUR), end_ms)
    views, carts, bought = (
        np.array([row["event_type"] == kind for _, row in own])
        for kind in ("view", "cart", "purchase")
    )
    phones = views & [row["category_code"] == "electronics.smartphone" for _, row in own]
    paid = np.array([round(float(row["price"]) * 1e6) for _, row in own], np.int64) * bought
    window_shopper = person.total(views, HOUR) >= 10
    buyer = person.total(bought) > 0
    return {
        "window-shoppers": window_shopper,
        "buyers": buyer,
        "open-carts": (person.total(carts, HOUR) > 0) & (person.total(bought, HOUR) == 0),
        "phone-shoppers": person.total(phones, 30 * MINUTE) >= 3,
        "big-spenders": person.total(paid) >= 500_000_000,
        "gone": (person.total(views) > 0) & (person.total(views, 30 * MINUTE) == 0),
        "undecided": window_shopper & ~buyer,
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    data_dir = tmp_path_factory.mktemp("shop") / "data"
    mapping = read_mapping("storefront.yaml", shipped_text("storefront.yaml"))
    return data_dir, play(MappedFile(FILE, mapping), shipped_audiences("storefront"), data_dir)


@pytest.fixture(scope="module")
def found(played: tuple[Path, Outcome]) -> Found:
    return look(played[0], "crm", sorted({row["user_id"] for row in rows()}))


@pytest.mark.parametrize("spec", shipped_audiences("storefront"), ids=lambda spec: spec.audience_id)
def test_members_entries_and_exits_are_those_of_plain_python(
    spec: AudienceSpec, found: Found, expected: dict[str, Tally]
) -> None:
    wanted = expected[spec.audience_id]
    assert found.members[spec.audience_id] == wanted.members
    assert found.entered[spec.audience_id] == wanted.entered
    assert found.left[spec.audience_id] == wanted.left
    assert wanted.entered > 0


def test_every_row_is_played_and_repeats_are_kept_apart(played: tuple[Path, Outcome]) -> None:
    outcome = played[1]
    assert outcome.sent.inputs == outcome.sent.accepted == outcome.tally.rows == 17_435
    assert outcome.tally.rejections.total == 0
    source = MappedFile(FILE, read_mapping("m", shipped_text("storefront.yaml")))
    source.prepare()
    ids = [pb.IngestInput.FromString(one.body).event.event_id for one in source.inputs()]
    assert len(set(ids)) == len(ids)
    assert sum(each.count("-") > 1 for each in ids) == 5
