"""Rows that others follow, or do not, for all profiles at once.

Both sides are gathered from their tables, sorted by owner, and met owner by owner.
"""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memcpy, memset

from segcore._bits cimport Bits
from segcore._rows cimport Block, RowScan

cdef extern from *:
    int lowest_bit "__builtin_ctzll" (uint64_t word) noexcept nogil

cdef enum:
    DIGIT_BITS = 11
    DIGITS = 2048
    FEW = 16                    # so many are looked through without an order


cdef class Steps:
    """A growing list of rows."""

    def __dealloc__(self):
        free(self.items)

    def __len__(self):
        return self.size

    cdef int add(self, const Step* step) except -1 nogil:
        cdef Step* moved
        if self.size == self.capacity:
            moved = <Step*> realloc(
                self.items, (2 * self.capacity + 1024) * sizeof(Step)
            )
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {self.size} rows")
            self.items, self.capacity = moved, 2 * self.capacity + 1024
        self.items[self.size] = step[0]
        self.size += 1
        return 0

    def order(self):
        """Bring rows in order of their owners."""
        with nogil:
            self.sort()

    def take(self, list others):
        """Take all rows of other lists."""
        cdef Steps each
        for each in others:
            self.extend(each)

    cdef int extend(self, Steps others) except -1 nogil:
        cdef Py_ssize_t size = self.size + others.size
        cdef Step* moved
        if size > self.capacity:
            moved = <Step*> realloc(self.items, size * sizeof(Step))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {size} rows")
            self.items, self.capacity = moved, size
        if others.size:
            memcpy(self.items + self.size, others.items, others.size * sizeof(Step))
        self.size = size
        return 0

    cdef int sort(self) except -1 nogil:
        """Bring rows in order of their owners, those of one owner as they came."""
        cdef Step* spare = <Step*> malloc(max(1, self.size) * sizeof(Step))
        cdef Step* former
        cdef Py_ssize_t ends[DIGITS]
        cdef Py_ssize_t index, digit, total, count
        cdef uint32_t most = 0
        cdef int shift = 0
        if spare == NULL:
            with gil:
                raise MemoryError(f"no memory for {self.size} rows")
        for index in range(self.size):
            most |= self.items[index].owner
        while most >> shift:
            memset(ends, 0, sizeof(ends))
            for index in range(self.size):
                ends[self.items[index].owner >> shift & (DIGITS - 1)] += 1
            total = 0
            for digit in range(DIGITS):
                count = ends[digit]
                ends[digit] = total
                total += count
            for index in range(self.size):
                digit = self.items[index].owner >> shift & (DIGITS - 1)
                spare[ends[digit]] = self.items[index]
                ends[digit] += 1
            former = self.items
            self.items = spare
            spare = former
            self.capacity = self.size
            shift += DIGIT_BITS
            if shift > 31:
                break
        free(spare)
        return 0


def gather(RowScan scan not None, Steps steps not None, uint64_t first_row, Bits among=None):
    """Add all rows of a scan, with the text of its field as the key; `among` narrows the owners."""
    with nogil:
        gather_rows(scan, steps, first_row, among)


cdef int gather_rows(RowScan scan, Steps steps, uint64_t first_row, Bits among) except -1 nogil:
    cdef Block block
    cdef Step step
    cdef Py_ssize_t place, row, word
    cdef uint64_t left
    cdef const uint32_t* keys = NULL
    step.key = 0
    while scan.next_block(&block):
        if scan.field is not None:
            keys = <const uint32_t*> scan.field._values(
                &scan.field.tests[0], block.rows, block.first, block.count
            )
        for word in range((block.count + 63) >> 6):
            left = ~<uint64_t> 0 if block.words == NULL else block.words[word]
            if word == block.count >> 6:
                left &= (<uint64_t> 1 << (block.count & 63)) - 1
            while left:
                place = word << 6 | lowest_bit(left)
                left &= left - 1
                step.owner = block.owners[place]
                if among is not None and not among.get(step.owner):
                    continue
                row = block.first + place if block.rows == NULL else block.rows[place]
                step.at_ms = scan.table.occurred.get(row)
                step.row = first_row + <uint64_t> (block.first + place)
                if keys != NULL:
                    step.key = keys[place]
                steps.add(&step)
    return 0


def owners_of(Steps steps not None, Py_ssize_t word_count):
    """Return the bits of all owners of rows."""
    cdef Bits found = Bits()
    cdef Py_ssize_t index
    found.resize(word_count)
    for index in range(steps.size):
        found.put(steps.items[index].owner, True)
    return found


cdef int by_key_and_time(const void* left, const void* right) noexcept nogil:
    cdef const Step* one = <const Step*> left
    cdef const Step* other = <const Step*> right
    if one.key != other.key:
        return -1 if one.key < other.key else 1
    if one.at_ms != other.at_ms:
        return -1 if one.at_ms < other.at_ms else 1
    return 0


cdef bint in_reach(
    const Step* step, const Step* others, Py_ssize_t count, bint ordered, bint keyed,
    int64_t first_ms, int64_t last_ms
) noexcept nogil:
    """Tell whether another row of the same key lies from one instant to another."""
    cdef Py_ssize_t place = 0, low = 0, half
    cdef const Step* other
    if keyed and step.key == 0:
        return False
    if ordered:
        half = count
        while half > 0:
            other = others + low + half // 2
            if other.key < step.key or (other.key == step.key and other.at_ms < first_ms):
                low += half // 2 + 1
                half -= half // 2 + 1
            else:
                half //= 2
        place = low
    while place < count:
        other = others + place
        if ordered and (other.key != step.key or other.at_ms > last_ms):
            return False
        if (
            other.key == step.key and first_ms <= other.at_ms <= last_ms and other.row != step.row
        ):
            return True
        place += 1
    return False


def following(
    Steps rows not None, Steps then not None, int64_t within_ms, bint bounded, bint absent,
    bint keyed, int64_t horizon_ms, Py_ssize_t word_count,
):
    """Return the bits of the owners of a row that is followed, or with `absent` is not.

    Both lists are in order of owners.
    `bounded` tells whether it has to be within `within_ms`; else until now.
    """
    cdef Bits found = Bits()
    found.resize(word_count)
    with nogil:
        meet(rows, then, within_ms, bounded, absent, keyed, horizon_ms, found)
    return found


cdef int meet(
    Steps rows, Steps then, int64_t within_ms, bint bounded, bint absent, bint keyed,
    int64_t horizon_ms, Bits found
) except -1 nogil:
    cdef Py_ssize_t index, first = 0, end = 0
    cdef Step* row
    cdef int64_t first_ms, last_ms
    cdef uint32_t owner = 0
    cdef bint ordered = False, begun = False
    for index in range(rows.size):
        row = &rows.items[index]
        if not begun or row.owner != owner:
            owner, begun = row.owner, True
            first = end
            while first < then.size and then.items[first].owner < owner:
                first += 1
            end = first
            while end < then.size and then.items[end].owner == owner:
                end += 1
            ordered = end - first > FEW
            if ordered:
                qsort(then.items + first, end - first, sizeof(Step), by_key_and_time)
        first_ms = row.at_ms if absent else row.at_ms + 1
        last_ms = INT64_MAX
        if bounded:
            last_ms = row.at_ms + within_ms
            if absent and last_ms > horizon_ms:
                continue
        if in_reach(row, then.items + first, end - first, ordered, keyed, first_ms, last_ms) != absent:
            found.put(owner, True)
    return 0
