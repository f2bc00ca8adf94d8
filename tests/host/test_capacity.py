"""The estimate of what a business needs is near what an engine takes that is filled."""

from click.testing import CliRunner

from segcore import Engine, Event
from services.host.capacity import Load, needs
from services.host.cli import coterie

PEOPLE = 2_000
EVENTS = 20_000
T0 = 1_767_268_800_000


def test_the_history_takes_what_is_estimated() -> None:
    engine = Engine()
    engine.advance(T0, False)  # noqa: FBT003  inclusive
    for number in range(EVENTS):
        values = {"total": float(number), "channel": "store"}
        event_id = f"{number:036}"
        happened = Event(event_id, "purchase", T0, T0, "crm:x", values, ())
        engine.add_event(number % PEOPLE + 1, happened)
    kept = sum(len(content) for content in engine.dump().values())
    load = Load(PEOPLE, EVENTS, 0, 0, 0.0, 0.0, 0, 2, 0.0)
    estimated = sum(each.mapped for each in needs(load))
    assert 0.7 * kept < estimated < 1.5 * kept


def test_what_is_asked_for_is_printed_with_a_sum() -> None:
    arguments = ["capacity", "--profiles", "1000000", "--events-per-day", "100000"]
    result = CliRunner().invoke(coterie, arguments)
    assert result.exit_code == 0
    assert result.output.splitlines()[-2].split()[0] == "all"
