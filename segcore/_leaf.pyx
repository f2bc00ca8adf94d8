"""The state of one leaf: what its rows come to, for each profile that has any.

A tally holds the count and the exact sum. A leaf with a window also keeps a posting for each row,
sorted by `occurred`, so that a row leaves at exactly `occurred + window`; the usual row is the
newest and is appended, a late one is inserted. `timer_ms` is the one timer of a tally that counts.
"""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memmove, memset

from segcore._program cimport MISSING, Source, wide_add, wide_read, wide_subtract

from segcore.rule import Scope

cdef int64_t MICRO = 1000000
cdef int64_t NO_TIMER = INT64_MAX


cdef class Leaf:
    """Built from a `segcore.plan.Leaf`.

    Until it is `live`, it has counted the events before `cursor` and no others.
    """

    def __cinit__(
        self, Events events, Timers timers, uint32_t index, plan, Program where, Program operand
    ):
        cdef Py_ssize_t place
        self.key = plan.key
        self.index = index
        self.events = events
        self.timers = timers
        self.of_items = plan.scope is Scope.ITEM
        self.windowed = plan.last_ms is not None
        self.window_ms = plan.last_ms or 0
        self.where = where
        self.operand = operand
        self.places = Uint32Column()
        self.existence_watchers = []
        self.value_watchers = []
        self.type_count = len(plan.types)
        self.types = <uint32_t*> calloc(self.type_count, sizeof(uint32_t))
        if self.types == NULL:
            raise MemoryError("no memory for a leaf")
        for place in range(self.type_count):
            self.types[place] = events.texts.intern(plan.types[place])

    def __dealloc__(self):
        cdef Py_ssize_t place
        for place in range(self.tally_count):
            free(self.tallies[place].postings)
        free(self.tallies)
        free(self.types)

    @property
    def type_ids(self):
        """The ids of the event types whose rows it keeps."""
        cdef Py_ssize_t place
        return [self.types[place] for place in range(self.type_count)]

    cdef Tally* find(self, uint32_t ordinal) noexcept nogil:
        """Return the tally of a profile, or NULL."""
        cdef uint32_t place = self.places.peek(ordinal)
        return &self.tallies[place - 1] if place else NULL

    cdef Tally* _touch(self, uint32_t ordinal) except NULL nogil:
        """Return the tally of a profile, made where there is none. Making one moves all."""
        cdef Tally* tally = self.find(ordinal)
        cdef Tally* moved
        cdef Py_ssize_t capacity
        if tally != NULL:
            return tally
        if self.tally_count == self.tally_capacity:
            capacity = max(16, self.tally_capacity + self.tally_capacity // 2)
            moved = <Tally*> realloc(self.tallies, capacity * sizeof(Tally))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {capacity} tallies")
            self.tallies = moved
            self.tally_capacity = capacity
        if ordinal >= self.places.size:
            self.places.resize(ordinal + 1)
        tally = &self.tallies[self.tally_count]
        memset(tally, 0, sizeof(Tally))
        tally.timer_ms = NO_TIMER
        self.tally_count += 1
        self.places.put(ordinal, <uint32_t> self.tally_count)
        return tally

    cdef bint counts(self, Py_ssize_t event) noexcept nogil:
        """Tell whether an event is of one of the leaf's types."""
        cdef uint32_t wanted = self.events.types.get(event)
        cdef Py_ssize_t place
        for place in range(self.type_count):
            if self.types[place] == wanted:
                return True
        return False

    cdef int add_event(self, Py_ssize_t event, int64_t horizon_ms) except -1 nogil:
        """Count the rows of an event of the leaf's types; those outside the window do nothing."""
        cdef PyObject* table = self.events.table_of(event)
        cdef Py_ssize_t row = self.events.rows.get(event)
        cdef Py_ssize_t line
        if self.windowed and (<Table> table).occurred.get(row) <= horizon_ms - self.window_ms:
            return 0
        if not self.of_items:
            return self._add_row(table, row, -1)
        for line in range((<Table> table).first_line(row), (<Table> table).item_ends.get(row)):
            self._add_row(table, row, line)
        return 0

    cdef int _add_row(self, PyObject* table, Py_ssize_t row, Py_ssize_t line) except -1 nogil:
        cdef int64_t value = 0
        cdef uint32_t ordinal
        cdef Tally* tally
        if self.where is not None:
            fill(self.where, self.events, table, row, line)
            if self.where.run() != 1:
                return 0
        if self.operand is not None:
            fill(self.operand, self.events, table, row, line)
            value = self.operand.run()
            if value == MISSING:
                return 0
        ordinal = self.events.owner((<Table> table).ordinals.get(row))
        tally = self._touch(ordinal)
        tally.count += 1
        wide_add(&tally.total, value)
        if self.windowed:
            self._post(tally, (<Table> table).occurred.get(row), value)
            self._schedule(tally, ordinal)
        return 0

    cdef int _post(self, Tally* tally, int64_t occurred_ms, int64_t value) except -1 nogil:
        """Keep a row among the others, by time; O(1) unless it is late."""
        cdef Posting* moved
        cdef Py_ssize_t capacity
        cdef Py_ssize_t place
        if tally.tail == tally.capacity and tally.head * 2 > tally.capacity:
            memmove(
                tally.postings,
                tally.postings + tally.head,
                (tally.tail - tally.head) * sizeof(Posting),
            )
            tally.tail -= tally.head
            tally.head = 0
        if tally.tail == tally.capacity:
            capacity = max(2, tally.capacity * 2)
            moved = <Posting*> realloc(tally.postings, capacity * sizeof(Posting))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {capacity} postings")
            tally.postings = moved
            tally.capacity = capacity
        place = tally.tail
        while place > tally.head and tally.postings[place - 1].occurred_ms > occurred_ms:
            tally.postings[place] = tally.postings[place - 1]
            place -= 1
        tally.postings[place] = Posting(occurred_ms, value)
        tally.tail += 1
        return 0

    cdef int _schedule(self, Tally* tally, uint32_t ordinal) except -1 nogil:
        """See that the timer of the oldest row is set."""
        cdef int64_t due_ms
        if tally.head == tally.tail:
            tally.timer_ms = NO_TIMER
            return 0
        due_ms = tally.postings[tally.head].occurred_ms + self.window_ms
        if due_ms != tally.timer_ms:
            tally.timer_ms = due_ms
            self.timers.push(due_ms, ordinal, self.index)
        return 0

    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept nogil:
        """Tell whether a timer is the valid one and not a stale one."""
        cdef Tally* tally = self.find(ordinal)
        return tally != NULL and tally.timer_ms == due_ms

    cdef int expire(self, uint32_t ordinal, int64_t due_ms) except -1 nogil:
        """Let go of the rows that leave at `due_ms` or before, and set the next timer."""
        cdef Tally* tally = self.find(ordinal)
        while (
            tally.head < tally.tail
            and tally.postings[tally.head].occurred_ms + self.window_ms <= due_ms
        ):
            tally.count -= 1
            wide_subtract(&tally.total, tally.postings[tally.head].value)
            tally.head += 1
        return self._schedule(tally, ordinal)

    cdef void clear(self, uint32_t ordinal) noexcept nogil:
        """Forget a profile's rows; its timers become stale."""
        cdef Tally* tally = self.find(ordinal)
        if tally != NULL:
            free(tally.postings)
            memset(tally, 0, sizeof(Tally))
            tally.timer_ms = NO_TIMER

    cdef int64_t read(self, int32_t source, uint32_t ordinal) noexcept nogil:
        """Return what the rows of a profile come to: EXISTS, COUNT or SUM."""
        cdef Tally* tally = self.find(ordinal)
        if tally == NULL:
            return 0
        if source == Source.EXISTS:
            return tally.count > 0
        if source == Source.COUNT:
            return tally.count * MICRO
        return wide_read(&tally.total)

    cdef int build(self, Py_ssize_t until, int64_t horizon_ms) except -1 nogil:
        """Count the events from the cursor up to `until`, and move the cursor there."""
        cdef Py_ssize_t event
        for event in range(self.cursor, until):
            if self.counts(event) and not self.events.is_dead(event):
                self.add_event(event, horizon_ms)
        self.cursor = max(self.cursor, until)
        self.live = self.cursor == self.events.types.size
        return 0


cdef inline void fill(
    Program program, Events events, PyObject* table, Py_ssize_t row, Py_ssize_t line
) noexcept nogil:
    """Give a program over rows its inputs."""
    cdef Py_ssize_t place
    for place in range(program.input_count):
        program.values[place] = events.read(&program.inputs[place], <Table> table, row, line)
