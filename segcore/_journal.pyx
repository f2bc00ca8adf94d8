"""When and why people entered and left: rows that are only appended, each person's a chain.

A row names its person, what the person entered or left (a label: one version of an audience, in the
slot that this audience has), the instant, and the cause: an event by its place in the engine, all
else by a text. What is resident is the newest row of each person, how many changes the person was
told, and the slots; rows lie in mapped files, and are read when somebody asks.

A row of label 0 ends what was known of a person; FRESH says that nothing before a row counts for
its slot. Sets of people lie beside the rows, as bytes.
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
    CAUSE_SHIFT = 4  # three bits for its kind
    LABEL_SHIFT = 8

cdef Py_ssize_t LABEL_LIMIT = (1 << 24) - 1
cdef Py_ssize_t ROW_LIMIT = 0xFFFFFFFE
"""A chain holds a row plus one in 32 bits."""


cdef class Journal:
    """The rows of one partition; with a `directory`, in files there. One thread at a time."""

    def __cinit__(self, directory=None):
        self.store = ColumnStore(directory)
        self.times = self.store.open("times", Int64Column)
        self.words = self.store.open("words", Uint32Column)
        self.causes = self.store.open("causes", Uint32Column)
        self.people = self.store.open("people", Uint32Column)
        self.previous = self.store.open("previous", Uint32Column)
        self.text_ends = self.store.open("text_ends", Int64Column)
        self.texts = self.store.open("texts", ByteColumn)
        self.sets = self.store.open("sets", ByteColumn)
        self.newest = Uint32Column()
        self.numbers = Uint32Column()
        self.slots = Uint32Column()
        self.slots.append(0)

    def __len__(self):
        return self.words.size

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
        cdef Move move
        self._check(ordinal, label)
        move.at_ms, move.ordinal, move.label, move.cause = at_ms, ordinal, label, cause
        move.marks = (
            entered * ENTERED | told * TOLD | fresh * FRESH | by_event * BY_EVENT
            | (kind & 7) << CAUSE_SHIFT
        )
        self.make_room(1, ordinal)
        self.push(&move)
        return self.numbers.get(ordinal)

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
        cdef Move move
        found = np.zeros(count, np.uint32)
        cdef uint32_t[::1] numbers = found
        if not count:
            return found
        if np.max(flips["rank"]) >= len(labels):
            raise ValueError(f"expected ranks below {len(labels)}, found greater ones")
        with nogil:
            self.make_room(count, 0)
            for index in range(count):
                move.label = label_of[ranks[index]]
                if move.label == 0:
                    continue
                move.at_ms = times[index]
                move.ordinal = ordinals[index]
                move.marks = TOLD | (ENTERED if entered[index] else 0)
                if clock[index] or events[index] < 0:
                    move.marks |= clock_kind << CAUSE_SHIFT
                    move.cause = 0
                else:
                    move.marks |= BY_EVENT | event_kind << CAUSE_SHIFT
                    move.cause = <uint32_t> (base + events[index])
                self.push(&move)
                numbers[index] = self.numbers.get(move.ordinal)
        return found

    def forget(self, uint32_t ordinal):
        """Let nothing be known of a person from here on but what comes."""
        cdef Move move
        if self.newest.peek(ordinal) == 0 and self.sets.size == 0:
            return
        self._check(ordinal, 0)
        move.at_ms, move.ordinal, move.label, move.marks, move.cause = 0, ordinal, 0, 0, 0
        self.make_room(1, ordinal)
        self.push(&move)

    def latest(self, uint32_t ordinal, uint32_t slot=0):
        """Return what each slot's newest rows of a person are; or those of one slot alone.

        A dictionary of slot to [row of the newest entry, of the newest exit, and the row before
        which nothing counts], -1 for none; and for slots without rows, at 0, the last of these.
        Costs a step for each row of the person, of one slot as many as are newer than its second.
        """
        cdef dict found = {}
        cdef list rows
        cdef uint32_t word, its
        cdef int64_t floor = -1
        cdef Py_ssize_t row
        cdef uint32_t place = self.newest.peek(ordinal)
        while place:
            row = place - 1
            word = self.words.get(row)
            if word >> LABEL_SHIFT == 0:
                floor = row
                break
            place = self.previous.get(row)
            its = self.slots.get(word >> LABEL_SHIFT)
            if slot and its != slot:
                continue
            rows = found.get(its)
            if rows is None:
                rows = found[its] = [-1, -1, -1]
            elif rows[2] >= 0:
                continue
            if rows[not word & ENTERED] < 0:
                rows[not word & ENTERED] = row
            if word & FRESH:
                rows[2] = row
            if slot and (rows[2] >= 0 or (rows[0] >= 0 and rows[1] >= 0)):
                break
        for rows in found.values():
            rows[2] = max(rows[2], floor)
        found[0] = [-1, -1, floor]
        return found

    def row(self, Py_ssize_t index):
        """Return (label, instant, kind of the cause, its place, whether that is an event's)."""
        cdef uint32_t word
        if not 0 <= index < self.words.size:
            raise IndexError(f"expected a row below {self.words.size}, found {index}")
        word = self.words.get(index)
        return (
            word >> LABEL_SHIFT, self.times.get(index), word >> CAUSE_SHIFT & 7,
            self.causes.get(index), bool(word & BY_EVENT),
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
            kept += (<Uint32Column> column).memory_bytes
        return kept, files

    cdef int make_room(self, Py_ssize_t count, uint32_t ordinal) except -1 nogil:
        """Make room for rows in every column, so that nothing can fail half way."""
        if self.words.size + count > ROW_LIMIT:
            with gil:
                raise ValueError(f"expected at most {ROW_LIMIT} changes, found more")
        self.times.make_room(count)
        self.words.make_room(count)
        self.causes.make_room(count)
        self.people.make_room(count)
        self.previous.make_room(count)
        if ordinal >= self.newest.size:
            self.newest.resize(ordinal + 1)
            self.numbers.resize(ordinal + 1)
        return 0

    cdef int push(self, const Move* move) except -1 nogil:
        """Append a row where there is room."""
        cdef uint32_t before
        if move.ordinal >= self.newest.size:
            self.newest.resize(move.ordinal + 1)
            self.numbers.resize(move.ordinal + 1)
        before = self.newest.get(move.ordinal) if move.label else 0
        self.times.push(move.at_ms)
        self.words.push(move.label << LABEL_SHIFT | move.marks)
        self.causes.push(move.cause)
        self.people.push(move.ordinal)
        self.previous.push(before)
        self.chain(self.words.size - 1)
        return 0

    cdef void chain(self, Py_ssize_t row) noexcept nogil:
        """Let a row be its person's newest."""
        cdef uint32_t ordinal = self.people.get(row)
        cdef uint32_t word = self.words.get(row)
        self.newest.put(ordinal, <uint32_t> (row + 1))
        if word >> LABEL_SHIFT == 0:
            self.numbers.put(ordinal, 0)
        elif word & TOLD:
            self.numbers.put(ordinal, self.numbers.get(ordinal) + 1)

    def _check(self, uint32_t ordinal, uint32_t label):
        if not 0 < ordinal < 0xFFFFFFFF:
            raise ValueError(f"expected an ordinal from 1 to {0xFFFFFFFE}, found {ordinal}")
        if label >= self.slots.size:
            raise ValueError(f"expected a label below {self.slots.size}, found {label}")

    def restore(self, Py_ssize_t event_count):
        """Check the rows after they were loaded, and find each person's newest.

        All labels are there already. Raises ValueError where the columns disagree.
        """
        cdef Py_ssize_t row, place
        cdef Py_ssize_t count = self.words.size
        cdef uint32_t ordinal
        for column in (self.times, self.causes, self.people, self.previous):
            if len(column) != count:
                raise ValueError(f"changes: expected {count} values, found {len(column)}")
        for place in range(self.text_ends.size):
            if self.text_ends.get(place) < (self.text_ends.get(place - 1) if place else 0):
                raise ValueError(f"texts: expected ascending ends, found a step back at {place}")
        if self.texts.size != (self.text_ends.get(self.text_ends.size - 1) if self.text_ends.size else 0):
            raise ValueError(f"texts: expected ends up to {self.texts.size}, found others")
        self.newest.resize(0)
        self.numbers.resize(0)
        for row in range(count):
            ordinal = self.people.get(row)
            if not 0 < ordinal < 0xFFFFFFFF or not self._is_sound(row, event_count):
                raise ValueError(f"changes: expected what is there, found another at {row}")
            if ordinal >= self.newest.size:
                self.newest.resize(ordinal + 1)
                self.numbers.resize(ordinal + 1)
            if self.words.get(row) >> LABEL_SHIFT:
                if self.previous.get(row) != self.newest.get(ordinal):
                    raise ValueError(f"changes: expected a chain back, found another at {row}")
            elif self.previous.get(row):
                raise ValueError(f"changes: expected the end of a chain at {row}")
            self.chain(row)

    cdef bint _is_sound(self, Py_ssize_t row, Py_ssize_t event_count) noexcept nogil:
        """Tell whether the label and the cause of a row are there."""
        cdef uint32_t word = self.words.get(row)
        if word >> LABEL_SHIFT >= <uint32_t> self.slots.size:
            return False
        if word & BY_EVENT:
            return self.causes.get(row) < event_count
        return self.causes.get(row) <= self.text_ends.size
