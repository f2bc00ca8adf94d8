"""What an engine keeps in memory beside nodes, timers and sets: what hangs on its columns."""

from libc.stdint cimport uint32_t

from segcore._attributes cimport Attributes, ValueColumn
from segcore._columns cimport Uint32Column
from segcore._engine cimport LiveEngine
from segcore._node cimport TallyNode


def resident(LiveEngine engine not None):
    """Return the bytes by kind: attribute values, each person's places, the look-up of texts."""
    cdef Attributes attributes = engine.attributes
    cdef ValueColumn column
    cdef Uint32Column stamps
    cdef Py_ssize_t values = 0
    for column in attributes.columns_by_place:
        values += column.values.memory_bytes
        if column.coded:
            values += column.dictionary.memory_bytes
    for stamps in attributes.stamps:
        values += stamps.memory_bytes
    return {
        "attributes": values,
        "people": (
            engine.events.newest.memory_bytes + attributes.journal.newest.memory_bytes
            + engine.owners.following.memory_bytes + engine.owners.last.memory_bytes
            + engine.known.memory() + engine.gone.memory()
        ),
        "texts": <Py_ssize_t> (engine.texts.mask + 1) * sizeof(uint32_t),
    }


def leaves(LiveEngine engine not None):
    """Return of each leaf its kind, how many people have something in it, and its bytes."""
    cdef TallyNode node
    cdef list found = []
    for each in engine.nodes:
        if isinstance(each, TallyNode):
            node = each
            found.append((node.kind, len(node.leaf), node.leaf.memory()))
    return found
