"""The engine of one partition: what comes in, what time changes, who is in which audience."""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._attributes cimport Attributes
from segcore._audience cimport Audience
from segcore._batch cimport Batch, BatchRow
from segcore._bits cimport Bits
from segcore._flips cimport Flip, Flips
from segcore._history cimport Events
from segcore._node cimport Node, Surroundings
from segcore._owners cimport Owners
from segcore._table cimport EventView
from segcore._texts cimport Texts
from segcore._wheel cimport Timer, Wheel


cdef enum:
    ORDINAL_LIMIT = 0xFFFFFFFE


cdef class LiveEngine:
    cdef readonly object store
    cdef readonly uint32_t partition
    cdef readonly str zone
    cdef readonly Texts texts
    cdef readonly Owners owners
    cdef readonly Events events
    cdef readonly Attributes attributes
    cdef readonly Bits known
    cdef readonly Bits gone
    cdef Surroundings around
    cdef Flips flips
    cdef readonly list nodes
    cdef dict listeners
    cdef list listening
    cdef dict attribute_nodes
    cdef list birth_nodes
    cdef readonly list audiences_in_order
    cdef list birth_audiences
    cdef readonly Py_ssize_t profile_count
    cdef readonly int64_t now_ms
    cdef readonly int64_t horizon_ms
    cdef readonly int64_t arrivals
    cdef int32_t place
    cdef Py_ssize_t kept  # so many flips are in the sets of members

    cdef inline Bits _members_of(self, uint32_t rank):
        return (<Audience> PyList_GET_ITEM(self.audiences_in_order, rank)).members

    cdef int _keep_members(self) except -1

    cdef list _listen(self, Py_ssize_t place)

    cdef inline list _listening(self, Py_ssize_t place):
        """Return the nodes that an event of a type can change, by the place of the type's table."""
        if place < PyList_GET_SIZE(self.listening):
            return <list> PyList_GET_ITEM(self.listening, place)
        return self._listen(place)

    cdef int _look_ahead(self, const BatchRow* row) except -1
    cdef int _take_in(self, const EventView* view) except -1
    cdef int _apply(self, Batch batch, Py_ssize_t first, Py_ssize_t last) except -1
    cdef int _check_time(self, int64_t occurred_ms) except -1
    cdef int _pass_time(self, int64_t limit_ms) except -1
    cdef bint _drop_stale(self, Timer* first) except -1
    cdef int _ring(self, const Timer* timer) except -1
    cdef int _look_ahead_in_time(self) except -1
    cdef int _refuse_ordinal(self, uint32_t ordinal) except -1

    cdef inline int _check_ordinal(self, uint32_t ordinal) except -1:
        """Raise ValueError for what is no ordinal, and for a profile that is no more."""
        if ordinal == 0 or ordinal > ORDINAL_LIMIT or self.gone.get(ordinal):
            self._refuse_ordinal(ordinal)
        return 0

    cdef bint _make_known(self, uint32_t ordinal) except -1
    cdef int _retire(self, uint32_t ordinal) except -1
    cdef int _welcome(self, uint32_t ordinal) except -1

    cdef inline int _admit(self, uint32_t ordinal) except -1:
        """Make a profile known; a new one may be in audiences of which nothing is required."""
        if not self.known.get(ordinal):
            self._welcome(ordinal)
        return 0

    cdef int _queue_all(self, list audiences) except -1
    cdef int _evaluate_queued(self, uint32_t ordinal, int64_t at_ms, bint clock) except -1

    cdef inline int _settle(self, uint32_t ordinal, int64_t at_ms, bint clock) except -1:
        """Evaluate the queued audiences for one profile, parents first."""
        if not self.around.queue.is_empty():
            self._evaluate_queued(ordinal, at_ms, clock)
        return 0

    cdef list _changes(self)
