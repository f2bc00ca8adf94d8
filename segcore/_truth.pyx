"""What is true of whom: a row of bits for each ordinal, a column for each signal.

An event asks many signals of one profile, so what is true of one lies together: a thousand signals
are two lines of memory. Who asks one signal of all profiles gathers 64 rows at a time.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from segcore._pages cimport pages_extend, pages_give, pages_take


@cython.final
cdef class Truth:
    """Rows are made when a bit of theirs is set; columns that are let go of are used again."""

    def __cinit__(self):
        self.free = []
        self._grow(0, 1)

    def __dealloc__(self):
        pages_give(self.words, self.row_count * self.width * sizeof(uint64_t))
        free(self.nothing)

    def memory(self):
        """Return how many bytes the rows take."""
        return self.row_count * self.width * sizeof(uint64_t)

    cdef uint32_t add_column(self) except? 0xFFFFFFFF:
        """Return a column of zeros; a table that has to become wider moves every row."""
        cdef Py_ssize_t width = self.width
        if not self.free:
            if self.next_column == width * 64:
                self._grow(self.row_count, width + max(1, width // 2))
            self.free.append(self.next_column)
            self.next_column += 1
        return self.free.pop()

    def keep(self, columns):
        """Let go of all columns but these, and clear them."""
        cdef uint32_t column
        cdef Py_ssize_t row
        let_go = set(range(self.next_column)).difference(columns, self.free)
        for column in sorted(let_go, reverse=True):
            for row in range(self.row_count):
                self.words[row * self.width + (column >> 6)] &= ~((<uint64_t> 1) << (column & 63))
            self.free.append(column)

    cdef int _grow(self, Py_ssize_t row_count, Py_ssize_t width) except -1 nogil:
        """Make room for more rows, and some to spare, or for wider ones."""
        cdef Py_ssize_t row
        cdef Py_ssize_t old_bytes = self.row_count * self.width * sizeof(uint64_t)
        cdef uint64_t* words = NULL
        if row_count > self.row_count:
            row_count = max(row_count, self.row_count + self.row_count // 2, <Py_ssize_t> 64)
        if width == self.width:
            words = <uint64_t*> pages_extend(
                self.words, old_bytes, row_count * width * sizeof(uint64_t)
            )
        else:
            self._widen_nothing(width)
        if words == NULL and row_count:
            words = <uint64_t*> pages_take(row_count * width * sizeof(uint64_t))
            if words == NULL:
                with gil:
                    raise MemoryError(f"no memory for what is true of {row_count} profiles")
            for row in range(self.row_count):
                memcpy(
                    words + row * width, self.words + row * self.width,
                    self.width * sizeof(uint64_t),
                )
            pages_give(self.words, old_bytes)
        self.words = words
        self.row_count = row_count
        self.width = width
        return 0

    cdef int _widen_nothing(self, Py_ssize_t width) except -1 nogil:
        cdef uint64_t* nothing = <uint64_t*> calloc(width, sizeof(uint64_t))
        if nothing == NULL:
            with gil:
                raise MemoryError("no memory for the row of nobody")
        free(self.nothing)
        self.nothing = nothing
        return 0

    cdef uint64_t gather(self, Py_ssize_t block, uint32_t column) noexcept nogil:
        """Return a column for the 64 ordinals from `64 * block` on."""
        cdef Py_ssize_t row
        cdef Py_ssize_t first = block * 64
        cdef Py_ssize_t last = min(first + 64, self.row_count)
        cdef uint64_t* word = self.words + first * self.width + (column >> 6)
        cdef uint64_t bits = 0
        for row in range(last - first):
            bits |= ((word[row * self.width] >> (column & 63)) & 1) << row
        return bits

    cdef int scatter(self, Py_ssize_t block, uint32_t column, uint64_t bits) except -1 nogil:
        """Set a column for the 64 ordinals from `64 * block` on."""
        cdef uint64_t former = self.gather(block, column)
        cdef int row
        for row in range(64):
            if ((former ^ bits) >> row) & 1:
                self.put(<uint32_t> (block * 64 + row), column, (bits >> row) & 1)
        return 0
