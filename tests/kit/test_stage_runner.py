"""The thread of a stage: it goes on after errors, says what fails, and ends when it is told to."""

from __future__ import annotations

import threading

from services.kit.runner import StageRunner


class Scripted:
    """A stage whose steps are written down: a count, an error, and in the end nothing."""

    name = "identity"
    partition = 0
    position = 0
    tail = 0
    dead_letters = 0

    def __init__(self, *steps: int | Exception) -> None:
        self._steps = list(steps)
        self.recovered = 0
        self.idle = threading.Event()

    def recover(self) -> None:
        self.recovered += 1

    def step(self, limit: int) -> int:
        assert limit > 0
        if not self._steps:
            self.idle.set()
            return 0
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        self.position += step
        return step

    def wait(self, timeout_s: float) -> bool:
        return not self.idle.wait(timeout_s)


class Unable(Scripted):
    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Semaphore(0)

    def recover(self) -> None:
        self.tried.release()
        raise OSError("no disk")


def test_a_runner_recovers_steps_and_tells_of_each_step() -> None:
    stage = Scripted(3, 2)
    positions: list[int] = []
    runner = StageRunner(stage, lambda: positions.append(stage.position))
    runner.start()
    assert stage.idle.wait(30)
    assert runner.stop(30)
    assert positions == [0, 3, 5]
    assert runner.failed is None


def test_a_runner_goes_on_after_errors() -> None:
    stage = Scripted(1, ValueError("x"), OSError("y"), 4)
    runner = StageRunner(stage, lambda: None)
    runner.start()
    assert stage.idle.wait(30)
    assert runner.stop(30)
    assert stage.position == 5
    assert runner.failed is None


def test_a_runner_says_what_fails_and_ends_all_the_same() -> None:
    stage = Unable()
    runner = StageRunner(stage, lambda: None)
    runner.start()
    for _ in range(2):
        assert stage.tried.acquire(timeout=30)
    assert runner.failed is not None
    assert runner.failed.startswith("OSError in ")
    assert runner.stop(30)


def test_a_runner_that_never_started_can_be_stopped() -> None:
    assert StageRunner(Scripted(), lambda: None).stop(0)
