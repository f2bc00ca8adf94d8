"""What the simple rows of a profile come to: the state of a leaf, in three kinds.

`Total` has no window: a count and a sum. `Newest` keeps the few newest times, which decide every
count up to so many. `Window` keeps each row, so that it leaves at exactly its time and the window:
at horizon h the rows with occurred > h - window count. A leaf knows nothing of history or timers:
the first number of a cell with a window is the engine's, for the due of the one valid timer.
"""

cimport cython
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from segcore._cells cimport Cells

cdef enum:
    NEWEST_LIMIT = 16  # more times are looked through more slowly than rows are counted


cdef class Leaf:
    """One of the three kinds; what a leaf does not keep reads as none of it.

    A row is added once and never taken back. Horizons do not go back after `expire`. A value that
    is MISSING makes a row that counts and adds nothing. An ordinal without rows has no state.
    """

    def __cinit__(self, *arguments, **named):
        if type(self) is Leaf:
            raise TypeError("expected Total, Newest or Window, found the bare Leaf")

    def __len__(self):
        return self.cells.count

    @property
    def memory_bytes(self):
        """How many bytes the state takes, without what the allocator adds."""
        return self.memory()

    @property
    def dense(self):
        """Whether every ordinal has a place of its own."""
        return self.cells.dense

    def take(self, uint32_t ordinal, int64_t occurred_ms, value, int64_t horizon_ms):
        """Add a row; tell whether the leaf says that it changed, and where the state is."""
        cdef void* cell = NULL
        self.add(ordinal, occurred_ms, MISSING if value is None else value, horizon_ms, &cell)
        return cell != NULL and cell == self.find(ordinal)

    def see(self, uint32_t ordinal, int64_t horizon_ms):
        """Return (count, total, due_ms), with None for a missing total and for no instant."""
        cdef Look seen
        self.look(self.find(ordinal), horizon_ms, &seen)
        return (
            seen.count,
            None if seen.total == MISSING else seen.total,
            None if seen.due_ms == NO_TIMER else seen.due_ms,
        )

    def let_go(self, uint32_t ordinal, int64_t horizon_ms):
        """Drop the rows that have left; tell whether the state that is left lies where it lay."""
        cdef void* cell = self.find(ordinal)
        if cell != NULL:
            self.expire(ordinal, horizon_ms, &cell)
        return cell == self.find(ordinal)

    def forget(self, uint32_t ordinal):
        """Drop all rows of an ordinal."""
        self.clear(ordinal)

    def arm(self, uint32_t ordinal, int64_t due_ms):
        """Keep the due of its timer; whether there was a place for it."""
        cdef int64_t* armed = <int64_t*> self.find(ordinal)
        if armed == NULL or not self.window_ms:
            return False
        armed[0] = due_ms
        return True

    def armed_ms(self, uint32_t ordinal):
        """Return the due that is kept, 0 for none, and None where there is no place."""
        cdef int64_t* armed = <int64_t*> self.find(ordinal)
        return None if armed == NULL or not self.window_ms else armed[0]

    cdef int add(
        self, uint32_t ordinal, int64_t occurred_ms, int64_t value, int64_t horizon_ms,
        void** cell
    ) except -1 nogil:
        """Take a row, late ones too, and write where the cell is, unless it says what it said.

        What the row changes is the count, the sum, or an earlier instant at which a row leaves.
        """
        with gil:
            raise TypeError("expected Total, Newest or Window, found the bare Leaf")

    cdef void look(self, const void* cell, int64_t horizon_ms, Look* seen) noexcept nogil:
        """Write all that a cell says at a horizon: the next instant after it at which a row leaves.

        A sum is MISSING beyond 64 bits, and where none is kept. NULL is the cell of no rows.
        """
        seen.count = 0
        seen.total = 0
        seen.due_ms = NO_TIMER

    cdef int expire(self, uint32_t ordinal, int64_t horizon_ms, void** cell) except -1 nogil:
        """Drop the rows that have left at the horizon; with the last one goes the cell."""
        return 0

    cdef int clear(self, uint32_t ordinal) except -1 nogil:
        """Drop all rows of an ordinal, and what was armed."""
        return self.cells.drop(ordinal)

    cdef Py_ssize_t memory(self) noexcept nogil:
        """Return how many bytes the state takes, without what the allocator adds."""
        return self.cells.memory()


@cython.final
cdef class Total(Leaf):
    """Count and exact sum of all rows; time changes neither."""

    def __cinit__(self):
        self.most = INT64_MAX
        self.cells = Cells(sizeof(tally_sum))

    cdef int add(
        self, uint32_t ordinal, int64_t occurred_ms, int64_t value, int64_t horizon_ms,
        void** cell
    ) except -1 nogil:
        cdef tally_sum* sum = <tally_sum*> self.cells.find(ordinal)
        if sum == NULL:
            sum = <tally_sum*> self.cells.touch(ordinal)
        sum.count += 1
        if value != MISSING:
            tally_add(sum, value)
        cell[0] = sum
        return 0

    cdef void look(self, const void* cell, int64_t horizon_ms, Look* seen) noexcept nogil:
        cdef const tally_sum* sum = <const tally_sum*> cell
        seen.count = sum.count if sum != NULL else 0
        seen.total = tally_read(sum) if sum != NULL else 0
        seen.due_ms = NO_TIMER


cdef inline uint64_t rising(int64_t instant_ms) noexcept nogil:
    """Return a number in the same order that is above 0: no time is a cell's 0."""
    return <uint64_t> instant_ms ^ ((<uint64_t> 1) << 63)


@cython.final
cdef class Newest(Leaf):
    """The `most` newest times in the window, at most 16; it keeps no sum.

    A cell is the armed due and the times, newest first.
    """

    def __cinit__(self, int64_t window_ms, int64_t most):
        if window_ms < 1 or not 1 <= most <= NEWEST_LIMIT:
            raise ValueError(
                f"expected a window of at least 1 ms and 1 to {NEWEST_LIMIT} times,"
                f" found {window_ms} and {most}"
            )
        self.window_ms = window_ms
        self.most = most
        self.cells = Cells((1 + most) * sizeof(uint64_t))

    cdef int add(
        self, uint32_t ordinal, int64_t occurred_ms, int64_t value, int64_t horizon_ms,
        void** cell
    ) except -1 nogil:
        cdef uint64_t* times = <uint64_t*> self.cells.find(ordinal)
        cdef uint64_t time = rising(occurred_ms)
        cdef uint64_t limit = rising(horizon_ms - self.window_ms)
        cdef Py_ssize_t place = self.most
        if time <= limit:
            return 0
        if times == NULL:
            times = <uint64_t*> self.cells.touch(ordinal)
        if times[place] <= limit:
            cell[0] = times  # It was not full: there may be one more now.
        if times[place] >= time:
            return 0
        while place > 1 and times[place - 1] < time:
            times[place] = times[place - 1]
            place -= 1
        times[place] = time
        return 0

    cdef void look(self, const void* cell, int64_t horizon_ms, Look* seen) noexcept nogil:
        cdef const uint64_t* times = <const uint64_t*> cell
        cdef uint64_t limit = rising(horizon_ms - self.window_ms)
        cdef Py_ssize_t count = self.most
        seen.count = 0
        seen.total = MISSING
        seen.due_ms = NO_TIMER
        if times == NULL:
            return
        while count > 0 and times[count] <= limit:
            count -= 1
        seen.count = count
        if count:
            seen.due_ms = self.leaves_at(<int64_t> rising(<int64_t> times[count]))

    cdef int expire(self, uint32_t ordinal, int64_t horizon_ms, void** cell) except -1 nogil:
        cdef uint64_t* times = <uint64_t*> cell[0]
        cdef uint64_t limit = rising(horizon_ms - self.window_ms)
        cdef Py_ssize_t place = self.most
        while place > 0 and times[place] <= limit:
            times[place] = 0
            place -= 1
        if place == 0:
            cell[0] = NULL
            return self.cells.drop(ordinal)
        return 0


@cython.final
cdef class Window(Leaf):
    """Every row in the window, by time, with their count and exact sum.

    A cell knows its oldest and newest time, so that most questions and most rows end there. Up to
    two rows lie in it; more take 16 bytes each in a ring that grows and shrinks, 8 where values are
    not kept (`summed` is False: then every value is 0). A row that is not the newest costs the
    moving of the rows on its shorter side.
    """

    def __cinit__(self, int64_t window_ms, bint summed=True):
        if window_ms < 1:
            raise ValueError(f"expected a window of at least 1 ms, found {window_ms}")
        self.window_ms = window_ms
        self.most = INT64_MAX
        self.summed = summed
        self.row_values = 2 if summed else 1
        self.cells = Cells(sizeof(WindowCell))

    def __dealloc__(self):
        cdef Py_ssize_t place = 0
        cdef WindowCell* cell
        if self.cells is None:
            return
        cell = <WindowCell*> self.cells.step(&place)
        while cell != NULL:
            self._drop_ring(cell)
            cell = <WindowCell*> self.cells.step(&place)

    cdef int add(
        self, uint32_t ordinal, int64_t occurred_ms, int64_t value, int64_t horizon_ms,
        void** found
    ) except -1 nogil:
        cdef WindowCell* cell
        if occurred_ms <= horizon_ms - self.window_ms:
            return 0
        if value == MISSING or not self.summed:
            value = 0
        cell = <WindowCell*> self.cells.find(ordinal)
        if cell == NULL:
            cell = <WindowCell*> self.cells.touch(ordinal)
            cell.oldest_ms = cell.newest_ms = occurred_ms
        elif cell.sum.count == 1:
            if occurred_ms < cell.newest_ms:
                cell.ring = <int64_t*> tally_read(&cell.sum)
                cell.oldest_ms = occurred_ms
            else:
                cell.ring = <int64_t*> value
                cell.newest_ms = occurred_ms
        else:
            self._insert(cell, occurred_ms, value)
        cell.sum.count += 1
        tally_add(&cell.sum, value)
        found[0] = cell
        return 0

    cdef int _insert(self, WindowCell* cell, int64_t occurred_ms, int64_t value) except -1 nogil:
        """Put a row among two or more, behind those of the same instant."""
        cdef uint32_t count = cell.sum.count
        cdef uint32_t low, place
        if count >= cell.capacity:
            self._fit(cell, count + 1 + count // 2)
        if occurred_ms >= cell.newest_ms:
            # Nothing is read of the ring, so that nobody waits for it.
            cell.newest_ms = occurred_ms
            low = count
        else:
            low = self._left(cell, occurred_ms)
            if low > count // 2:
                for place in range(count, low, -1):
                    write_row(self, row_at(self, cell, place), row_at(self, cell, place - 1))
            else:
                cell.head = (cell.head if cell.head else cell.capacity) - 1
                for place in range(low):
                    write_row(self, row_at(self, cell, place), row_at(self, cell, place + 1))
            cell.oldest_ms = min(cell.oldest_ms, occurred_ms)
        fill_row(self, row_at(self, cell, low), occurred_ms, value)
        return 0

    cdef int _fit(self, WindowCell* cell, uint32_t capacity) except -1 nogil:
        """Give a cell of two or more rows a ring of `capacity` rows; the rows come along."""
        cdef Py_ssize_t row_bytes = self.row_values * sizeof(int64_t)
        cdef int64_t* ring = <int64_t*> malloc(capacity * row_bytes)
        cdef tally_sum older = cell.sum
        cdef int64_t newer
        cdef uint32_t place
        if ring == NULL:
            with gil:
                raise MemoryError(f"no memory for {capacity} rows of a profile")
        if cell.capacity:
            for place in range(cell.sum.count):
                write_row(self, ring + place * self.row_values, row_at(self, cell, place))
        else:
            newer = <int64_t> cell.ring
            tally_subtract(&older, newer)
            fill_row(self, ring, cell.oldest_ms, tally_read(&older))
            fill_row(self, ring + self.row_values, cell.newest_ms, newer)
        self._drop_ring(cell)
        self.ring_bytes += capacity * row_bytes
        cell.ring = ring
        cell.capacity = capacity
        return 0

    cdef void _drop_ring(self, WindowCell* cell) noexcept nogil:
        """Free the ring of a cell, if it has one."""
        if cell.capacity:
            free(cell.ring)
            self.ring_bytes -= <Py_ssize_t> cell.capacity * self.row_values * sizeof(int64_t)
            cell.capacity = 0
        cell.ring = NULL
        cell.head = 0

    cdef uint32_t _left(self, WindowCell* cell, int64_t limit_ms) noexcept nogil:
        """Return how many rows of a ring lie at or before the limit."""
        cdef uint32_t low = 0
        cdef uint32_t high = cell.sum.count
        cdef uint32_t middle
        while low < high:
            middle = (low + high) // 2
            if row_at(self, cell, middle)[0] <= limit_ms:
                low = middle + 1
            else:
                high = middle
        return low

    cdef void look(self, const void* found, int64_t horizon_ms, Look* seen) noexcept nogil:
        cdef WindowCell* cell = <WindowCell*> found
        cdef int64_t limit_ms = horizon_ms - self.window_ms
        cdef tally_sum sum
        cdef uint32_t left, place
        seen.count = 0
        seen.total = 0
        seen.due_ms = NO_TIMER
        if cell == NULL or cell.newest_ms <= limit_ms:
            return
        if cell.oldest_ms > limit_ms:
            seen.count = cell.sum.count
            seen.total = tally_read(&cell.sum)
            seen.due_ms = self.leaves_at(cell.oldest_ms)
        elif cell.capacity == 0:
            seen.count = 1
            seen.total = <int64_t> cell.ring
            seen.due_ms = self.leaves_at(cell.newest_ms)
        else:
            left = self._left(cell, limit_ms)
            sum = cell.sum
            for place in range(left if self.summed else 0):
                tally_subtract(&sum, row_at(self, cell, place)[1])
            seen.count = cell.sum.count - left
            seen.total = tally_read(&sum)
            seen.due_ms = self.leaves_at(row_at(self, cell, left)[0])

    cdef int expire(self, uint32_t ordinal, int64_t horizon_ms, void** found) except -1 nogil:
        cdef WindowCell* cell = <WindowCell*> found[0]
        cdef int64_t limit_ms = horizon_ms - self.window_ms
        cdef int64_t* row
        if cell.oldest_ms > limit_ms:
            return 0
        if cell.newest_ms <= limit_ms:
            found[0] = NULL
            return self.clear(ordinal)
        if cell.capacity == 0:
            cell.oldest_ms = cell.newest_ms
            become_only(cell, <int64_t> cell.ring)
            return 0
        row = row_at(self, cell, 0)
        while row[0] <= limit_ms:
            if self.summed:
                tally_subtract(&cell.sum, row[1])
            cell.sum.count -= 1
            cell.head += 1
            if cell.head == cell.capacity:
                cell.head = 0
            row = row_at(self, cell, 0)
        cell.oldest_ms = row[0]
        if cell.sum.count == 1:
            self._drop_ring(cell)
        elif cell.sum.count < cell.capacity // 4:
            self._fit(cell, cell.sum.count + cell.sum.count // 2)
        return 0

    cdef int clear(self, uint32_t ordinal) except -1 nogil:
        cdef WindowCell* cell = <WindowCell*> self.cells.find(ordinal)
        if cell == NULL:
            return 0
        self._drop_ring(cell)
        return self.cells.drop(ordinal)

    cdef Py_ssize_t memory(self) noexcept nogil:
        return self.cells.memory() + self.ring_bytes


cdef inline int64_t* row_at(Window self, WindowCell* cell, uint32_t place) noexcept nogil:
    """Return the row of a ring at a place counted from the oldest."""
    cdef Py_ssize_t index = <Py_ssize_t> cell.head + place
    if index >= cell.capacity:
        index -= cell.capacity
    return cell.ring + index * self.row_values


cdef inline void fill_row(Window self, int64_t* row, int64_t time, int64_t value) noexcept nogil:
    row[0] = time
    if self.summed:
        row[1] = value


cdef inline void write_row(Window self, int64_t* row, const int64_t* source) noexcept nogil:
    row[0] = source[0]
    if self.summed:
        row[1] = source[1]


cdef inline void become_only(WindowCell* cell, int64_t value) noexcept nogil:
    """Let the sum be that of one row."""
    cell.sum.count = 1
    cell.sum.low = <uint64_t> value
    cell.sum.high = -1 if value < 0 else 0
    cell.ring = NULL
