"""Rows counted or added up for each profile, and which of them pass a threshold.

Cells are as narrow as the question allows: a bit for whether there is a row, a byte that stops at
255 for small counts, 32 bits for others. Sums are exact: 64 bits, and all again in 128 where one of
them does not fit.
"""

from libc.stdint cimport INT64_MAX, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from segcore._column_tests cimport run_row
from segcore._pages cimport pages_give, pages_take
from segcore._scan_words cimport (
    scan_count8,
    scan_count32,
    scan_join8,
    scan_join32,
    scan_join64,
    scan_join128,
    scan_join_words,
    scan_mark,
    scan_narrow,
    scan_range_i64,
    scan_range_u8,
    scan_range_u32,
    scan_sum64,
    scan_sum128,
)

cdef enum:
    SPARES = 4
    SPARE_LEAST = 1048576       # what is smaller the allocator keeps by itself
    SPARE_MOST = 134217728

cdef struct Spare:
    void* cells
    Py_ssize_t size

# Memory of former questions. To ask the system for it anew may take longer than the answer, most of
# all in a virtual machine. The interpreter's lock guards it.
cdef Spare[SPARES] spares
cdef Py_ssize_t spare_turn = 0


cdef enum:
    MARK = 0
    COUNT8 = 1
    COUNT32 = 2
    SUM64 = 3
    SUM128 = 4


cdef class Group:
    """Cells for the ordinals below `ordinals`; `exact_to` is up to which count they are told apart.

    `exact_to` is None where rows are added up: the column that a scan's `field` names, or what
    `operand` comes to. An `idle` one has no cells before it has rows.
    """

    def __cinit__(self, Py_ssize_t ordinals, exact_to, bint idle=False):
        self.ordinals = (ordinals + 63) & ~63
        if exact_to is None:
            self.form = SUM64
        else:
            self.form = MARK if exact_to < 1 else COUNT8 if exact_to < 255 else COUNT32
        if not idle:
            self._allocate()

    def __dealloc__(self):
        give_cells(self.cells, self.size)

    cdef int _allocate(self) except -1:
        cdef Py_ssize_t size = self.ordinals
        if self.form == MARK:
            size = self.ordinals // 8
        elif self.form != COUNT8:
            size = self.ordinals * (4 if self.form == COUNT32 else 8 if self.form == SUM64 else 16)
        give_cells(self.cells, self.size)
        self.size = max(1, size)
        self.cells = take_cells(self.size)
        if self.cells == NULL:
            raise MemoryError(f"no memory for the tallies of {self.ordinals} profiles")
        return 0

    cdef bint take(self, RowScan scan) except -1 nogil:
        """Take all rows of a scan; False where sums need more bits, and nothing is of use."""
        cdef Block block
        while scan.next_block(&block):
            if self.cells == NULL:
                with gil:
                    self._allocate()
            if self.form == MARK:
                scan_mark(<uint64_t*> self.cells, block.owners, block.count, block.words)
            elif self.form == COUNT8:
                scan_count8(<uint8_t*> self.cells, block.owners, block.count, block.words)
            elif self.form == COUNT32:
                scan_count32(<uint32_t*> self.cells, block.owners, block.count, block.words)
            elif not self._add_up(scan, &block):
                return False
        return True

    cdef bint _add_up(self, RowScan scan, Block* block) except -1 nogil:
        cdef const int64_t* values = self._operands(scan, block)
        if self.form == SUM128:
            scan_sum128(self.cells, block.owners, block.count, block.words, values)
            return True
        return scan_sum64(
            <int64_t*> self.cells, block.owners, block.count, block.words, values
        )

    cdef const int64_t* _operands(self, RowScan scan, Block* block) except NULL nogil:
        """Return what is added up of each place of a block."""
        cdef Py_ssize_t place, row
        if scan.field is not None:
            return <const int64_t*> scan.field._values(
                &scan.field.tests[0], block.rows, block.first, block.count
            )
        for place in range(block.count):
            if block.words == NULL or block.words[place >> 6] >> (place & 63) & 1:
                row = block.first + place if block.rows == NULL else block.rows[place]
                self.values[place] = run_row(
                    self.operand, scan.events, scan.table, row, block.first + place
                )
        return self.values

    def add(self, scans):
        """Take the rows of the scans that `scans()` gives, of all of them or again in 128 bits."""
        cdef RowScan scan
        cdef bint fitting
        while True:
            fitting = True
            for scan in scans():
                with nogil:
                    fitting = self.take(scan)
                if not fitting:
                    break
            if fitting:
                return
            self.widen()

    def widen(self):
        """Begin anew with cells in which all sums fit."""
        self.form = SUM128
        self._allocate()

    def beside(self):
        """Return another group of the same cells, for another thread; `join` takes what it finds."""
        cdef Group other = Group(self.ordinals, 0, idle=True)
        other.form = self.form
        return other

    def take_all(self, list scans):
        """Take the rows of some scans; tell whether all sums fit."""
        cdef RowScan scan
        cdef bint fitting = True
        for scan in scans:
            with nogil:
                fitting = fitting and self.take(scan)
        return fitting

    def join(self, list others, Py_ssize_t part, Py_ssize_t parts):
        """Take what groups of the same cells have found of one part of the ordinals of several.

        Tells whether all sums fit.
        """
        cdef Group other
        cdef Py_ssize_t words = self.ordinals >> 6
        cdef Py_ssize_t first = words * part // parts << 6, end = words * (part + 1) // parts << 6
        cdef bint fitting = True
        for other in others:
            if other.cells != NULL:
                with nogil:
                    fitting = self._join(other, first, end - first) and fitting
        return fitting

    cdef bint _join(self, Group other, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
        if self.form == MARK:
            first >>= 6
            scan_join_words(
                <uint64_t*> self.cells + first, <uint64_t*> other.cells + first, count >> 6
            )
        elif self.form == COUNT8:
            scan_join8(<uint8_t*> self.cells + first, <uint8_t*> other.cells + first, count)
        elif self.form == COUNT32:
            scan_join32(<uint32_t*> self.cells + first, <uint32_t*> other.cells + first, count)
        elif self.form == SUM64:
            return scan_join64(
                <int64_t*> self.cells + first, <int64_t*> other.cells + first, count
            )
        else:
            first *= 16
            scan_join128(
                <void*> (<char*> self.cells + first), <void*> (<char*> other.cells + first), count
            )
        return True

    def passing(self, low, high, bint negated):
        """Return the bits of the ordinals whose count or sum is from `low` to `high`, or is not.

        A sum beyond 64 bits is in no range.
        """
        cdef Bits found = Bits()
        cdef Py_ssize_t words = self.ordinals >> 6, word
        cdef int64_t least = max(low, -INT64_MAX), most = min(high, INT64_MAX)
        cdef void* sums
        found.resize(words)
        if least > most:
            pass
        elif self.form == MARK:
            if least <= 1 <= most:
                memcpy(found.words, self.cells, words * 8)
            if least <= 0 <= most:
                for word in range(words):
                    found.words[word] |= ~(<uint64_t*> self.cells)[word]
        elif self.form == COUNT8:
            if least <= 255 and most >= 0:
                scan_range_u8(
                    <uint8_t*> self.cells, words, max(least, 0), min(most, 255), found.words
                )
        elif self.form == COUNT32:
            if least <= 0xFFFFFFFF and most >= 0:
                scan_range_u32(
                    <uint32_t*> self.cells, words, max(least, 0), min(most, 0xFFFFFFFF),
                    found.words,
                )
        elif self.form == SUM64:
            scan_range_i64(<int64_t*> self.cells, words, least, most, found.words)
        else:
            sums = malloc(self.ordinals * 8)
            if sums == NULL:
                raise MemoryError("no memory for sums")
            scan_narrow(self.cells, self.ordinals, <int64_t*> sums)
            scan_range_i64(<int64_t*> sums, words, least, most, found.words)
            free(sums)
        if negated:
            for word in range(words):
                found.words[word] = ~found.words[word]
        return found


cdef void* take_cells(Py_ssize_t size) noexcept:
    """Return zeroed memory, NULL where there is none."""
    cdef void* found
    cdef Py_ssize_t place
    for place in range(SPARES):
        if spares[place].cells != NULL and spares[place].size == size:
            found = spares[place].cells
            spares[place].cells = NULL
            with nogil:
                memset(found, 0, size)
            return found
    return pages_take(size)


cdef void give_cells(void* cells, Py_ssize_t size) noexcept:
    """Keep memory for the next question; what was kept longest makes room."""
    global spare_turn
    cdef Py_ssize_t place
    if cells == NULL or not SPARE_LEAST <= size <= SPARE_MOST:
        pages_give(cells, size)
        return
    for place in range(SPARES):
        if spares[place].cells == NULL:
            spares[place] = Spare(cells, size)
            return
    pages_give(spares[spare_turn].cells, spares[spare_turn].size)
    spares[spare_turn] = Spare(cells, size)
    spare_turn = (spare_turn + 1) % SPARES
