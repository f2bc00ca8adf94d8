"""What a run of events or time changed, as bytes of transitions: no Python object a change."""

from __future__ import annotations

from coterie.log.v1 import transitions_pb2
from segcore._batch import Batch
from segcore._transition_writer import TransitionWriter
from services.segmentation.ranks import Ranks, RunChanges
from services.segmentation.wire import logged_witness

_CHANGES = transitions_pb2.CHANGE_ENTERED, transitions_pb2.CHANGE_EXITED
_CAUSES = transitions_pb2.CAUSE_EVENT, transitions_pb2.CAUSE_CLOCK


class RunWriter:
    """The writer of one partition; it is made anew where definitions have changed."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._ranks: Ranks | None = None
        self._writer: TransitionWriter | None = None

    def write(
        self, changes: RunChanges, facts_seq: int, run: Batch | None = None, index: int = 0
    ) -> bytes:
        """Return a TransitionPack of what `run` changed, or time on the way to an input."""
        if self._writer is None or self._ranks is not changes.ranks:
            heads = [_head(*each) for each in changes.ranks.audiences]
            self._writer = TransitionWriter(heads, self._partition, _CHANGES, _CAUSES)
            self._ranks = changes.ranks
        tails = {
            place: transitions_pb2.Transition(
                witnesses=[logged_witness(row) for row in rows]
            ).SerializeToString(deterministic=True)
            for place, rows in changes.witnesses.items()
        }
        return self._writer.write(changes.flips, changes.numbers, facts_seq, tails, run, index)


def _head(audience_id: str, version: int) -> bytes:
    one = transitions_pb2.Transition(audience_id=audience_id, version=version)
    return one.SerializeToString(deterministic=True)
