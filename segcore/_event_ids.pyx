"""The ids of events, which lie as bytes in the tables of their types."""

from libc.stdint cimport int64_t

from segcore._engine cimport LiveEngine
from segcore._table cimport Table


def event_id(LiveEngine engine not None, Py_ssize_t event):
    """Return the id of the event at a place of the engine; one that is nobody's has its id too."""
    cdef Table table
    cdef Py_ssize_t row
    cdef int64_t start
    if not 0 <= event < engine.event_count:
        raise IndexError(f"expected an event below {engine.event_count}, found {event}")
    table = <Table> engine.events.table_of(event)
    row = engine.events.rows.get(event)
    start = table.id_ends.get(row - 1) if row else 0
    return table.id_heap.data[start:table.id_ends.get(row)].decode()
