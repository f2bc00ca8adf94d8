"""Journeys and templates as files: what can be said, and where a mistake is."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.journey.v1 import journey_pb2
from coterie.type.v1 import message_pb2
from services.host.definitions.document import DocumentError, read_file
from services.host.definitions.journey_file import read_journey
from services.host.definitions.template_file import read_template

JOURNEY = """\
journey: in-store-abandoner
display_name: In-store abandoner
entry: {audience: in-store-abandoners, rule: 'audience("vip")', max_lateness: PT1H}
reentry: {after: P30D}
exit: events("order.placed").since(entry).exists()
expires: P14D
steps:
  - {id: wait, wait: P3DT1H2M3.5S}
  - {id: until, wait_until_entry: PT96H}
  - {id: look, wait_for: 'rule', timeout: P2D, timeout_step: stop}
  - {id: check, branch: 'rule', else: stop}
  - {id: nudge, send: {campaign: in_store, channels: [preferred, email], template: athletic-gear,
                       purpose: transactional, timing: optimal}}
  - {id: back, go_to: wait}
  - {id: stop, end: true}
"""


def test_a_journey_file_says_all_that_the_api_takes() -> None:
    found = read_journey("j.yaml", JOURNEY)
    journey = found.journey
    assert (found.journey_id, journey.display_name) == ("in-store-abandoner", "In-store abandoner")
    assert journey.entry.audience == "audiences/in-store-abandoners"
    assert journey.entry.rule == 'audience("vip")'
    assert journey.entry.max_lateness.seconds == 3600
    assert journey.entry.reentry == journey_pb2.REENTRY_AFTER
    assert journey.entry.reentry_after.seconds == 30 * 86400
    assert journey.expires_after.seconds == 14 * 86400
    wait, until, look, check, nudge, back, stop = journey.steps
    assert wait.wait.duration.ToMilliseconds() == (3 * 86400 + 3723) * 1000 + 500
    assert until.wait.until_after_entry.seconds == 4 * 86400
    assert (look.wait_for.rule, look.wait_for.timeout_step) == ("rule", "stop")
    assert check.branch.else_step == "stop"
    assert nudge.send.template == "templates/athletic-gear"
    assert nudge.send.channels == [
        message_pb2.SEND_CHANNEL_PREFERRED,
        message_pb2.SEND_CHANNEL_EMAIL,
    ]
    assert nudge.send.purpose == message_pb2.PURPOSE_TRANSACTIONAL
    assert nudge.send.timing == message_pb2.TIMING_OPTIMAL
    assert back.go_to.step == "wait"
    assert stop.WhichOneof("action") == "end"


def test_an_entry_by_rows_has_a_key() -> None:
    text = """\
journey: order
entry: {events: 'items("order.placed")', key: item, restart_first_wait: true}
reentry: never
steps: [{id: wait, wait: PT1S}]
"""
    entry = read_journey("j.yaml", text).journey.entry
    assert (entry.rows, entry.key) == ('items("order.placed")', journey_pb2.KEY_ITEM)
    assert entry.restart_first_wait
    assert entry.reentry == journey_pb2.REENTRY_NEVER


@pytest.mark.parametrize(
    ("former", "new", "place"),
    [
        ("exit:", "exits:", "j.yaml:5: unknown key 'exits'"),
        ("entry: {audience: in-store-abandoners, ", "entry: {", "j.yaml:3: entry: expected either"),
        ("P30D", "30 days", "j.yaml:4: reentry.after: expected a duration"),
        ("P3DT1H2M3.5S", "P1M", "j.yaml:8: steps[0].wait: expected a duration"),
        ("timeout: P2D, ", "", "j.yaml:10: steps[2].wait_for: 'timeout' is missing"),
        ("go_to: wait", "go_to: wait, end: true", "j.yaml:14: steps[5]: expected one of"),
        ("end: true", "end: false", "j.yaml:15: steps[6].end: expected true"),
        ("else: stop", "timeout: P1D", "j.yaml:11: steps[3].timeout: has a meaning only with"),
        ("[preferred, email]", "[mail]", "steps[4].send.channels[0]: expected preferred or"),
        ("id: stop, ", "", "j.yaml:15: steps[6]: 'id' is missing"),
        ("{after: P30D}", "sometimes", "j.yaml:4: reentry: expected always or never"),
        ("campaign: in_store, ", "", "'campaign' is missing"),
    ],
)
def test_a_mistake_in_a_journey_file_has_its_place(former: str, new: str, place: str) -> None:
    assert former in JOURNEY
    with pytest.raises(DocumentError) as caught:
        read_journey("j.yaml", JOURNEY.replace(former, new))
    assert place in str(caught.value)


def test_a_template_file_says_what_differs_by_channel() -> None:
    text = """\
template: hello
text: Hello {{ profile.first_name }}
email: {subject: Hi, html: "<p>Hello</p>"}
sms: Hi
push: {title: Hey, text: You}
"""
    found = read_template("t.yaml", text)
    assert (found.template_id, found.template.display_name) == ("hello", "hello")
    assert found.template.text == "Hello {{ profile.first_name }}"
    assert (found.template.email.subject, found.template.email.html) == ("Hi", "<p>Hello</p>")
    assert (found.template.sms_text, found.template.push.title) == ("Hi", "Hey")


def test_a_template_without_a_text_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"t\.yaml:1: 'text' is missing"):
        read_template("t.yaml", "template: hello\n")


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"none\.yaml"):
        read_file(tmp_path / "none.yaml")
