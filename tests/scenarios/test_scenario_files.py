"""How a scenario file is read: what it takes from others, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.faults import ScenarioError
from tests.scenarios.loading import load
from tests.scenarios.times import instant_ms

HEAD = """
scenario: tiny
title: Tiny
end: "2026-03-03T00:00:00Z"
"""
TIMES = """
timeline:
  - {at: "2026-03-02T10:00:00+01:00", event: {id: late, type: app.opened, ids: {crm: A}}}
  - at: "2026-03-02T09:00:00+01:00"
    repeat:
      i: [2, 3]
      step: PT1H
      do:
        - {event: {id: "e{i}", type: app.opened, ids: {crm: "A{i}"}}}
        - {plus: PT30M, link: {ids: {crm: "A{i}", ecid: "D{i}"}}}
expect: [{at: "2026-03-02T10:00:00Z", member: {who: {crm: A}, segment: s, is: true}}]
"""
LIBRARY = """
zone: Europe/Rome
catalog: [{sku: ONE}]
policy: {gap: P1D, lateness: PT1H}
journeys:
  a: {entry: {event: app.opened}, steps: [{id: s, wait: P1D}]}
  b: {entry: {event: app.opened}, steps: [{id: s, wait: P2D}]}
"""


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_inputs_come_by_instant_and_those_of_one_instant_in_file_order(tmp_path: Path) -> None:
    scenario = load(_write(tmp_path, "tiny.yaml", HEAD + TIMES))
    found = [
        (each.kind, each.body.get("id") or each.body["ids"]["crm"]) for each in scenario.inputs
    ]
    assert found == [
        ("event", "e2"),
        ("link", "A2"),
        ("event", "late"),
        ("event", "e3"),
        ("link", "A3"),
    ]
    assert scenario.inputs[1].at_ms == instant_ms("2026-03-02T08:30:00Z")
    assert scenario.claims[0].at_ms == instant_ms("2026-03-02T10:00:00Z")
    assert scenario.namespaces == ("crm", "loyalty", "email", "ecid")


def test_a_library_gives_way_to_the_file_and_only_enabled_journeys_are_taken(
    tmp_path: Path,
) -> None:
    _write(tmp_path, "lib/shop.yaml", LIBRARY)
    own = """
use: [shop]
enable: [b]
catalog: [{sku: TWO}]
policy: {gap: P2D}
journeys:
  c: {entry: {event: app.opened}, steps: [{id: s, wait: P3D}]}
"""
    scenario = load(_write(tmp_path, "tiny.yaml", HEAD + own + TIMES))
    assert [item["sku"] for item in scenario.catalog] == ["ONE", "TWO"]
    assert list(scenario.journeys) == ["b", "c"]
    assert scenario.policy == {"gap": "P2D", "lateness": "PT1H"}
    assert scenario.zone == "Europe/Rome"


def test_a_scenario_that_extends_another_takes_its_definitions_and_not_its_story(
    tmp_path: Path,
) -> None:
    base = "zone: Asia/Tokyo\nsegments: {s: {where: {event: app.opened}}}\nidentity: {unique: []}\n"
    _write(tmp_path, "base.yaml", HEAD.replace("tiny", "base") + base + TIMES)
    own = "extends: base\nzone: Asia/Seoul\ntimeline: []\nexpect: []\n"
    scenario = load(_write(tmp_path, "tiny.yaml", HEAD + own))
    assert (scenario.name, scenario.zone, scenario.unique) == ("tiny", "Asia/Seoul", ())
    assert list(scenario.segments) == ["s"]
    assert (scenario.inputs, scenario.claims) == ((), ())


def test_what_looks_like_a_time_or_a_word_for_true_is_a_text(tmp_path: Path) -> None:
    own = """
timeline:
  - at: "2026-03-02T10:00:00Z"
    profile: {ids: {crm: A}, set: {day: 2026-03-02, hour: 21:00, answer: no, half: 0.5}}
expect: []
"""
    (found,) = load(_write(tmp_path, "tiny.yaml", HEAD + own)).inputs
    assert found.body["set"] == {"day": "2026-03-02", "hour": "21:00", "answer": "no", "half": 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeline: []\nexpect: []\nstory: x\n", "tiny.yaml:2: the file: .*'story' was unexpected"),
        (
            "timeline: [{at: soon, link: {ids: {crm: A}}}]\nexpect: []\n",
            r"tiny.yaml:5: timeline\[0\].at: 'soon' does not match",
        ),
        ("use: [nowhere]\ntimeline: []\nexpect: []\n", "tiny.yaml:5: use: there is no lib/nowhere"),
        ("extends: tiny\ntimeline: []\nexpect: []\n", "extends itself"),
        ("timeline: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        load(_write(tmp_path, "tiny.yaml", HEAD + text))
