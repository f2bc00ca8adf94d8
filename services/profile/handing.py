"""Says that a partition is done with who left it, so that the merge that waits for that goes on.

Written with the departure in one transaction and appended after it; what may not be in the log yet
is appended again at the next start, and a handoff that is said twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, select

from coterie.log.v1 import inbound_pb2
from services.kit.ids import derive_id
from services.kit.sql import Database
from services.kit.upserts import keep_first
from services.profile import tables

SERVICE = "profile"

_untold = tables.untold_departures


class Handing:
    """Hands over the people of one partition: their rows stay, as the tables are shared."""

    def __init__(
        self,
        partition: int,
        database: Database,
        append: Callable[[bytes], object],
        stamp_ms: Callable[[int], int],
    ) -> None:
        self._partition = partition
        self._database = database
        self._append = append
        self._stamp_ms = stamp_ms
        self._told: list[str] = []

    def keep(self, connection: Connection, merge_ids: Sequence[str]) -> None:
        """Note by which merges people leave, and forget what the log has."""
        for each in self._told:
            mine = (_untold.c.partition == self._partition) & (_untold.c.merge_id == each)
            connection.execute(delete(_untold).where(mine))
        rows = [{"partition": self._partition, "merge_id": each} for each in merge_ids]
        keep_first(connection, _untold, rows)

    def tell(self, log_time_ms: int) -> None:
        """Append what the log may not know."""
        with self._database.read() as connection:
            query = select(_untold.c.merge_id).where(_untold.c.partition == self._partition)
            untold = list(connection.execute(query.order_by(_untold.c.merge_id)).scalars())
        merge_ids = [each for each in untold if each not in self._told]
        self._told = [each for each in self._told if each in untold]
        if not merge_ids:
            return
        pack = inbound_pb2.InboundPack()
        for merge_id in merge_ids:
            one = pack.inputs.add(
                input_id=derive_id("handoff", merge_id, SERVICE),
                received_ms=self._stamp_ms(log_time_ms),
            )
            one.handoff.merge_id = merge_id
            one.handoff.service = SERVICE
        self._append(pack.SerializeToString(deterministic=True))
        self._told += merge_ids
