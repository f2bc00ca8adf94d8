"""When and why each membership last changed, and the numbers of each person's transitions.

A record is a cell of 32 bytes of its audience; who was there when an audience went live has none.
Cause ids are interned, as one event often moves several memberships.
"""

from libc.stdint cimport int64_t, uint32_t

import numpy as np

from segcore._batch cimport Batch
from segcore._cells cimport Cells
from segcore._columns cimport Uint32Column
from segcore._flips cimport Flip
from segcore._texts cimport Texts

cdef struct Record:
    int64_t enter_ms
    int64_t exit_ms
    uint32_t cause_id
    uint32_t version
    uint32_t cause


cdef class Ledger:
    """Records by audience and ordinal; a cause is a small number of the caller's."""

    cdef Texts texts
    cdef dict cells_by_audience
    cdef Uint32Column sequences

    def __cinit__(self):
        self.texts = Texts()
        self.cells_by_audience = {}
        self.sequences = Uint32Column()

    def get(self, str audience_id, uint32_t ordinal):
        """Return (enter_ms, exit_ms, cause, cause_id, version), or None where there is none."""
        cdef Cells cells = self.cells_by_audience.get(audience_id)
        cdef Record* record = NULL if cells is None else <Record*> cells.find(ordinal)
        if record == NULL or not record.version:
            return None
        return (
            record.enter_ms, record.exit_ms, record.cause,
            self.texts.text(record.cause_id) if record.cause_id else "", record.version,
        )

    def put(
        self, str audience_id, uint32_t ordinal, int64_t enter_ms, int64_t exit_ms, uint32_t cause,
        str cause_id, uint32_t version
    ):
        """Keep a record; `version` is 1 or more."""
        cdef Record* record = <Record*> self._cells(audience_id).touch(ordinal)
        record[0] = Record(
            enter_ms, exit_ms, self.texts.intern(cause_id) if cause_id else 0, version, cause
        )

    def drop(self, uint32_t ordinal):
        """Forget a person: all records, and the number of the last transition."""
        cdef Cells cells
        for cells in self.cells_by_audience.values():
            cells.drop(ordinal)
        if ordinal < self.sequences.size:
            self.sequences.put(ordinal, 0)

    def remove(self, str audience_id):
        """Forget an audience."""
        self.cells_by_audience.pop(audience_id, None)

    def next_sequence(self, uint32_t ordinal):
        """Return the number of a person's next transition, from 1."""
        return self._count(ordinal)

    cdef uint32_t _count(self, uint32_t ordinal) except 0:
        if ordinal >= self.sequences.size:
            self.sequences.resize(ordinal + 1)
        self.sequences.put(ordinal, self.sequences.get(ordinal) + 1)
        return self.sequences.get(ordinal)

    cdef Cells _cells(self, str audience_id):
        cdef Cells cells = self.cells_by_audience.get(audience_id)
        if cells is None:
            cells = self.cells_by_audience[audience_id] = Cells(sizeof(Record))
        return cells

    def note(self, flips, audiences, uint32_t cause, uint32_t clock, Batch batch=None, str cause_id=""):
        """Keep what flips say; return the number of each among its person's transitions.

        `audiences` gives (audience_id, version, live since) by rank. A flip of the clock has the
        cause `clock` and no cause id; of others the cause id is the id of its event in `batch`, or
        `cause_id`. Who left without a record had entered when the audience went live.
        """
        cdef const Flip[::1] view = flips
        cdef uint32_t[::1] numbers
        cdef Py_ssize_t place
        cdef Record* record
        cdef Record former
        cdef uint32_t why, why_id
        cdef uint32_t shared = self.texts.intern(cause_id) if cause_id else 0
        found = np.empty(len(view), np.uint32)
        numbers = found
        for place in range(view.shape[0]):
            audience_id, version, live_ms = audiences[view[place].rank]
            record = <Record*> self._cells(audience_id).touch(view[place].ordinal)
            former = record[0]
            why, why_id = cause, shared
            if view[place].clock:
                why, why_id = clock, 0
            elif batch is not None and view[place].event >= 0:
                row = &batch.rows[view[place].event]
                why_id = self.texts.intern_bytes(batch.heap + row.id_start, row.id_length)
            if view[place].entered:
                record[0] = Record(view[place].at_ms, former.exit_ms, why_id, version, why)
            else:
                entered_ms = former.enter_ms if former.version else <int64_t> live_ms
                record[0] = Record(entered_ms, view[place].at_ms, why_id, version, why)
            numbers[place] = self._count(view[place].ordinal)
        return found

    def memory(self):
        """Return the bytes of all records."""
        cdef Cells cells
        cdef Py_ssize_t total = self.sequences.size * sizeof(uint32_t)
        for cells in self.cells_by_audience.values():
            total += cells.memory()
        return total
