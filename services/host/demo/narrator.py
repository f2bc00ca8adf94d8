"""Prints the story as it happens, and at its end why it happened."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console

from coterie.messaging.v1 import message_pb2
from coterie.segmentation.v1 import segmentation_service_pb2
from services.host.commands.explain import print_explanation
from services.host.commands.message import print_message
from services.host.demo.definitions import Definitions
from services.host.demo.story import SECONDS, Person, Tempo


class Narrator:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tempo: Tempo | None = None

    def begin(self, tempo: Tempo, start_ms: int, definitions: Definitions) -> None:
        """Say what is about to be seen."""
        self._tempo = tempo
        how = (
            "in real time, three days in ten seconds" if tempo is SECONDS else "on a virtual clock"
        )
        self._print(f"[bold]In-store abandoner[/], {how}. The audience:\n")
        self._print(_indented(definitions.rule), style="cyan")
        self._print("\nThe journey of who enters it:\n")
        self._print(_indented(definitions.journey_text), style="cyan")
        day = datetime.fromtimestamp(start_ms // 1000, UTC)
        self._print(f"\nIt begins on {day:%A, %Y-%m-%d} (times are UTC).\n")

    def tell(self, at_ms: int, words: str) -> None:
        """Say one thing that happened."""
        moment = datetime.fromtimestamp(at_ms // 1000, UTC)
        when = f"{moment:%a %H:%M:%S}"
        if self._tempo is SECONDS:
            when += f".{at_ms % 1000:03d}"
        style = "" if words.startswith(" ") else "bold"
        self._console.print(f"{when}  {words}", style=style, soft_wrap=True, markup=False)

    def explain_membership(
        self, answer: segmentation_service_pb2.ExplainResponse, who: str
    ) -> None:
        """Say why somebody is in the audience or not."""
        self._print(f"\n[bold]Why is {who} in the audience, or not?[/]\n")
        print_explanation(answer, who)

    def explain_message(self, message: message_pb2.Message) -> None:
        """Say why a message was sent."""
        self._print("\n[bold]Why did she get this message?[/]\n")
        print_message(message)

    def end(self, beth: Person, ann: Person) -> None:
        """Say what was seen."""
        self._print(
            f"\n{beth.name} got one message, {ann.name} none: each was decided by what was true at"
            " that instant."
        )

    def _print(self, text: str, style: str = "") -> None:
        markup = not style
        self._console.print(text, style=style, markup=markup, highlight=False, soft_wrap=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
