"""When and why people entered and left: rows that are only appended, each person's a chain.

A row names its person, what the person entered or left (a label: one version of an audience, in the
slot that this audience has), the instant, and the cause: an event by its place in the engine, all
else by a text. What is resident is the newest row of each person, how many changes the person was
told, and the slots; rows lie in mapped files, and are read when somebody asks.

A row of nothing ends what was known of a person; FRESH says that nothing before a row counts for
its slot. Now and then a chain has a digest, which names the rows that count of all before it: so a
step back of any length is bounded. Sets of people lie beside the rows, as bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcmp, memcpy

import numpy as np

from segcore._set_probe cimport portable_has

from segcore.storage import ColumnStore

cdef enum:
    ENTERED = 1
    TOLD = 2         # a change with a number
    FRESH = 4
    BY_EVENT = 8     # the cause is the place of an event, not of a text
    DIGEST = 128     # of label 0
    CAUSE_SHIFT = 4  # three bits for its kind
    MOST_KIND = 7
    LABEL_SHIFT = 8

cdef Py_ssize_t LABEL_LIMIT = (1 << 24) - 1


cdef class RowColumn(Column):
    """Rows side by side: a step of a chain touches one page."""

    def __cinit__(self):
        self.item_bytes = sizeof(Row)


cdef class EntryColumn(Column):
    """What digests name, each digest's by slot."""

    def __cinit__(self):
        self.item_bytes = sizeof(Entry)


cdef class Journal:
    """The rows of one partition; with a `directory`, in files there. One thread at a time.

    A person's chain has a digest after each `digest_every` changes.
    """

    def __cinit__(self, directory=None, uint32_t digest_every=1024):
        self.digest_every = digest_every
        self.store = ColumnStore(directory)
        self.rows = self.store.open("rows", RowColumn)
        self.entries = self.store.open("entries", EntryColumn)
        self.text_ends = self.store.open("text_ends", Int64Column)
        self.texts = self.store.open("texts", ByteColumn)
        self.sets = self.store.open("sets", ByteColumn)
        self.newest = Int64Column()
        self.numbers = Uint32Column()
        self.slots = Uint32Column()
        self.slots.append(0)

    def __len__(self):
        return self.rows.size

    def add_label(self, uint32_t slot):
        """Return a new label of an audience's slot, both from 1 on."""
        if self.slots.size > LABEL_LIMIT:
            raise ValueError(f"expected at most {LABEL_LIMIT} versions of audiences, found more")
        self.slots.append(slot)
        return self.slots.size - 1

    def add(
        self, uint32_t ordinal, uint32_t label, bint entered, int64_t at_ms, uint32_t kind,
        uint32_t cause, bint by_event=False, bint told=True, bint fresh=False
    ):
        """Append a row; return how many changes the person was told with it."""
        cdef Row row
        self._check(ordinal, label)
        if kind > MOST_KIND:
            raise ValueError(f"expected kinds of causes up to {MOST_KIND}, found {kind}")
        row.at_ms, row.ordinal, row.cause = at_ms, ordinal, cause
        row.word = (
            label << LABEL_SHIFT | kind << CAUSE_SHIFT | entered * ENTERED | told * TOLD
            | fresh * FRESH | by_event * BY_EVENT
        )
        self.make_room(1, ordinal)
        return self.push(&row)

    def add_run(self, flips, labels, Py_ssize_t base, uint32_t event_kind, uint32_t clock_kind):
        """Append a row for each flip of a run, where `labels` has one for its rank.

        Flips are as `Engine.apply` gives them; the event at `place` of the batch is `base + place`
        in the engine. Returns the number of each change, 0 where it has no label.
        """
        cdef const int64_t[:] times = flips["at_ms"]
        cdef const uint32_t[:] ranks = flips["rank"]
        cdef const uint32_t[:] ordinals = flips["ordinal"]
        cdef const int[:] events = flips["event"]
        cdef const uint8_t[:] entered = flips["entered"]
        cdef const uint8_t[:] clock = flips["clock"]
        cdef const uint32_t[::1] label_of = labels
        cdef Py_ssize_t count = len(flips)
        cdef Py_ssize_t index
        cdef uint32_t label
        cdef Row row
        found = np.zeros(count, np.uint32)
        cdef uint32_t[::1] numbers = found
        if not count:
            return found
        if np.max(flips["rank"]) >= len(labels):
            raise ValueError(f"expected ranks below {len(labels)}, found greater ones")
        with nogil:
            self.make_room(count, 0)
            for index in range(count):
                label = label_of[ranks[index]]
                if label == 0:
                    continue
                row.at_ms, row.ordinal = times[index], ordinals[index]
                row.word = label << LABEL_SHIFT | TOLD | (ENTERED if entered[index] else 0)
                if clock[index] or events[index] < 0:
                    row.word |= clock_kind << CAUSE_SHIFT
                    row.cause = 0
                else:
                    row.word |= BY_EVENT | event_kind << CAUSE_SHIFT
                    row.cause = <uint32_t> (base + events[index])
                numbers[index] = self.push(&row)
        return found

    def forget(self, uint32_t ordinal):
        """Let nothing be known of a person from here on but what comes."""
        cdef Row row
        if self._newest(ordinal) == 0 and self.sets.size == 0:
            return
        self._check(ordinal, 0)
        row.at_ms, row.ordinal, row.word, row.cause = 0, ordinal, 0, 0
        self.make_room(1, ordinal)
        self.push(&row)

    def latest(self, uint32_t ordinal, uint32_t slot=0):
        """Return what each slot's newest rows of a person are; or those of one slot alone.

        A dictionary of slot to [row of the newest entry, of the newest exit, and the row before
        which nothing counts], -1 for none; and for slots without rows, at 0, the last of these.
        Costs a step for each row of the person back to a digest.
        """
        cdef dict found = {}
        cdef list rows
        cdef uint32_t its
        cdef int64_t floor = -1
        cdef int64_t place = self._newest(ordinal)
        cdef const Row* row
        while place:
            row = self.at(place - 1)
            if row.word == 0:
                floor = place - 1
                break
            if row.word == DIGEST:
                floor = self.entries_at(row.at_ms).floor
                self._read_digest(row, slot, found)
                break
            its = self.slots.get(row.word >> LABEL_SHIFT)
            if not slot or its == slot:
                rows = found.get(its)
                if rows is None:
                    rows = found[its] = [-1, -1, -1]
                if rows[2] < 0 and rows[not row.word & ENTERED] < 0:
                    rows[not row.word & ENTERED] = place - 1
                if rows[2] < 0 and row.word & FRESH:
                    rows[2] = place - 1
                if slot and (rows[2] >= 0 or (rows[0] >= 0 and rows[1] >= 0)):
                    break
            place = row.previous
        for rows in found.values():
            rows[2] = max(rows[2], floor)
        found[0] = [-1, -1, floor]
        return found

    cdef int _read_digest(self, const Row* row, uint32_t slot, dict found) except -1:
        """Complete what was found of each slot, or of one, by a digest."""
        cdef const Entry* entry
        cdef Py_ssize_t place
        cdef list rows
        for place in range(row.cause):
            entry = self.entries_at(row.at_ms + place)
            if slot and entry.slot != slot:
                continue
            rows = found.get(entry.slot)
            if rows is None:
                rows = found[entry.slot] = [-1, -1, -1]
            elif rows[2] >= 0:
                continue
            rows[0] = rows[0] if rows[0] >= 0 else entry.entered
            rows[1] = rows[1] if rows[1] >= 0 else entry.exited
            rows[2] = entry.floor
        return 0

    cdef int _digest(self, uint32_t ordinal) except -1:
        """Append a digest of a person's chain."""
        cdef dict found = self.latest(ordinal)
        cdef Row row
        cdef Entry* entry
        row.at_ms, row.ordinal, row.word, row.cause = self.entries.size, ordinal, DIGEST, len(found)
        self.entries.make_room(len(found))
        self.rows.make_room(1)
        for slot, rows in sorted(found.items()):
            entry = self.entries_at(self.entries.size)
            entry.slot, (entry.entered, entry.exited, entry.floor) = slot, rows
            self.entries.size += 1
        self.push(&row)
        return 0

    def row(self, Py_ssize_t index):
        """Return (label, instant, kind of the cause, its place, whether that is an event's)."""
        cdef const Row* row
        if not 0 <= index < self.rows.size:
            raise IndexError(f"expected a row below {self.rows.size}, found {index}")
        row = self.at(index)
        return (
            row.word >> LABEL_SHIFT, row.at_ms, row.word >> CAUSE_SHIFT & MOST_KIND, row.cause,
            bool(row.word & BY_EVENT),
        )

    def number(self, uint32_t ordinal):
        """Return how many changes a person was told."""
        return self.numbers.peek(ordinal)

    def put_text(self, str text not None):
        """Return the place of a text, 0 for the empty one; the same as before is kept once."""
        cdef bytes content = text.encode()
        cdef Py_ssize_t size = len(content)
        cdef Py_ssize_t last = self.text_ends.size
        cdef int64_t start
        if size == 0:
            return 0
        if last:
            start = self.text_ends.get(last - 2) if last > 1 else 0
            if self.texts.size - start == size and not memcmp(
                self.texts.data + start, PyBytes_AS_STRING(content), size
            ):
                return last
        self.text_ends.make_room(1)
        self._put(self.texts, content)
        self.text_ends.push(self.texts.size)
        return last + 1

    def text(self, Py_ssize_t place):
        """Return the text at a place."""
        cdef int64_t start
        if not 0 < place <= self.text_ends.size:
            return ""
        start = self.text_ends.get(place - 2) if place > 1 else 0
        return self.texts.data[start:self.text_ends.get(place - 1)].decode()

    def put_set(self, bytes content not None):
        """Keep a set in portable bytes; return where they begin and end."""
        cdef Py_ssize_t start = self.sets.size
        self._put(self.sets, content)
        return start, self.sets.size

    cdef int _put(self, ByteColumn column, bytes content) except -1:
        cdef Py_ssize_t size = len(content)
        column.make_room(size)
        memcpy(column.data + column.size, PyBytes_AS_STRING(content), size)
        column.size += size
        return 0

    def set_has(self, Py_ssize_t start, Py_ssize_t end, uint32_t ordinal):
        """Tell whether a set that lies there has an ordinal."""
        if not 0 <= start <= end <= self.sets.size:
            raise IndexError(f"expected a place up to {self.sets.size}, found {start} to {end}")
        return portable_has(<const uint8_t*> self.sets.data + start, end - start, ordinal)

    def memory(self):
        """Return the bytes in memory of what is resident, and of rows, texts and sets in files.

        Without files all of it is in memory.
        """
        columns = self.store.memory()
        files = columns.pop("files")
        kept = sum(columns.values())
        for column in (self.newest, self.numbers, self.slots):
            kept += column.memory_bytes
        return kept, files

    cdef int64_t _newest(self, uint32_t ordinal) noexcept nogil:
        return self.newest.get(ordinal) if ordinal < self.newest.size else 0

    cdef int make_room(self, Py_ssize_t count, uint32_t ordinal) except -1 nogil:
        """Make room for rows, and for the person of one."""
        self.rows.make_room(count)
        if ordinal >= self.newest.size:
            self.newest.resize(ordinal + 1)
            self.numbers.resize(ordinal + 1)
        return 0

    cdef uint32_t push(self, Row* row) except? 0xFFFFFFFF nogil:
        """Append a row; return how many changes the person was told then."""
        cdef uint32_t number
        self.make_room(1, row.ordinal)
        row.previous = self.newest.get(row.ordinal) if row.word else 0
        self.at(self.rows.size)[0] = row[0]
        self.rows.size += 1
        self.chain(self.rows.size - 1)
        number = self.numbers.get(row.ordinal)
        if row.word & TOLD and number % self.digest_every == 0:
            with gil:
                self._digest(row.ordinal)
        return number

    cdef void chain(self, Py_ssize_t index) noexcept nogil:
        """Let a row be its person's newest."""
        cdef const Row* row = self.at(index)
        self.newest.put(row.ordinal, index + 1)
        if row.word == 0:
            self.numbers.put(row.ordinal, 0)
        elif row.word & TOLD:
            self.numbers.put(row.ordinal, self.numbers.get(row.ordinal) + 1)

    def _check(self, uint32_t ordinal, uint32_t label):
        if not 0 < ordinal < 0xFFFFFFFF:
            raise ValueError(f"expected an ordinal from 1 to {0xFFFFFFFE}, found {ordinal}")
        if label >= self.slots.size:
            raise ValueError(f"expected a label below {self.slots.size}, found {label}")

    def restore(self, Py_ssize_t event_count):
        """Check the rows after they were loaded, and find each person's newest.

        All labels are there already. Raises ValueError where the columns disagree.
        """
        cdef Py_ssize_t index
        cdef int64_t before
        cdef const Row* row
        for index in range(self.text_ends.size):
            before = self.text_ends.get(index - 1) if index else 0
            if self.text_ends.get(index) < before:
                raise ValueError(f"texts: expected ascending ends, found a step back at {index}")
        before = self.text_ends.get(self.text_ends.size - 1) if self.text_ends.size else 0
        if self.texts.size != before:
            raise ValueError(f"texts: expected ends up to {self.texts.size}, found {before}")
        self.newest.resize(0)
        self.numbers.resize(0)
        for index in range(self.rows.size):
            row = self.at(index)
            if not self._is_sound(row, event_count):
                raise ValueError(f"changes: expected what is there, found another at {index}")
            self.make_room(0, row.ordinal)
            before = self.newest.get(row.ordinal) if row.word else 0
            if row.previous != before:
                raise ValueError(f"changes: expected a chain back, found another at {index}")
            self.chain(index)
        for index in range(self.entries.size):
            if not self._is_digested(self.entries_at(index)):
                raise ValueError(f"digests: expected what is there, found another at {index}")

    cdef bint _is_digested(self, const Entry* entry) noexcept nogil:
        """Tell whether what an entry names may be."""
        cdef int64_t count = self.rows.size
        return (
            -1 <= entry.entered < count and -1 <= entry.exited < count and -1 <= entry.floor < count
        )

    cdef bint _is_sound(self, const Row* row, Py_ssize_t event_count) noexcept nogil:
        """Tell whether the person, the label and the cause of a row may be."""
        if row.ordinal == 0 or row.ordinal == <uint32_t> 0xFFFFFFFF:
            return False
        if row.word >> LABEL_SHIFT >= <uint32_t> self.slots.size:
            return False
        if row.word == DIGEST:
            return row.cause > 0 and 0 <= row.at_ms <= self.entries.size - <int64_t> row.cause
        if row.word & BY_EVENT:
            return row.cause < event_count
        return row.cause <= self.text_ends.size
