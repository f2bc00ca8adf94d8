"""Events of `coterie.type.v1`, read from their bytes."""

from libc.stdint cimport int64_t, uint32_t

from segcore._batch cimport Batch
from segcore._catalog cimport Catalog
from segcore._memo cimport Label
from segcore._text_hash cimport Text
from segcore._wire cimport Cursor

cdef enum:
    SCRATCH_BYTES = 1 << 15     # a list of texts, or an identifier, as one text
    PROPERTY_LIMIT = 128        # more names than that in one event are left to Python

    WAITING = 16                # properties of which the texts are looked up together


cdef struct Property:
    Label name
    Label text
    int kind
    int64_t kept


cdef struct EventParts:
    int64_t received_ms         # given: nothing occurs after its receipt
    char* scratch               # given: SCRATCH_BYTES
    Text event_id
    uint32_t type_id
    int64_t occurred_ms
    Py_ssize_t properties       # where those of the event begin in the batch
    Py_ssize_t waiting_count
    Property waiting[WAITING]


cdef int read_event(
    const Cursor* given, EventParts* parts, Batch batch, Catalog catalog
) except -2 nogil
cdef int read_assigned(const Cursor* given) noexcept nogil
