"""A thread that runs one stage and does not give up: after an error it waits, then recovers."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from services.kit.stage import Stage, describe

BATCH = 32
"""Records in one step: enough to share a commit, few enough to stay well below a second."""

IDLE_S = 0.1
"""How long a stage sleeps where nothing comes, and so how soon it notices that it should stop."""

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 5.0

log = structlog.get_logger(__name__)


class StageRunner:
    """Runs a stage on its own thread; calls `on_step` there after every step that moved it."""

    def __init__(self, stage: Stage, on_step: Callable[[], None]) -> None:
        self._stage = stage
        self._on_step = on_step
        self._stopping = threading.Event()
        self._failed: str | None = None
        self._recovered = False
        name = f"{stage.name}-{stage.partition}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def failed(self) -> str | None:
        """What the last step failed with, or None where the last one went well."""
        return self._failed

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Let the step in hand end; return whether it did within the timeout."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  # the root of the thread: it logs and retries
                self._note(error)
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._failed = None
                pause_s = FIRST_PAUSE_S

    def _turn(self) -> None:
        if not self._recovered:
            self._stage.recover()
            self._recovered = True
            self._on_step()
        if self._stage.step(BATCH):
            self._on_step()
        else:
            self._stage.wait(IDLE_S)

    def _note(self, error: Exception) -> None:
        self._failed = describe(error)
        log.error(
            "stage_failed",
            stage=self._stage.name,
            partition=self._stage.partition,
            position=self._stage.position,
            error=self._failed,
        )
