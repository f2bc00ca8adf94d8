"""Tests of whole columns, a block of 4,096 places at a time, with a bit for each as the answer.

`&&`, `||` and `!` join words of such bits. What is asked of the stack machine is asked row by row,
of those rows alone that the other tests leave.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from segcore._columns cimport Column
from segcore._scan_words cimport (
    scan_range_i32,
    scan_range_i64,
    scan_range_u8,
    scan_range_u16,
    scan_range_u32,
    scan_table_u8,
    scan_table_u16,
    scan_table_u32,
)


cdef int64_t run_row(
    Program program, Events events, Table table, Py_ssize_t row, Py_ssize_t line
) except? -2 nogil:
    """Return what a program comes to for one row of a table."""
    cdef Py_ssize_t index
    for index in range(program.input_count):
        program.values[index] = events.read(&program.inputs[index], table, row, line)
    return program.run()


cdef class ColumnTests:
    """Code over tests: `Filter` writes both."""

    def __dealloc__(self):
        cdef Py_ssize_t index
        for index in range(self.test_count):
            free(self.tests[index].ranges)
            free(self.tests[index].table)
        free(self.tests)
        free(self.code)
        free(self.stack)
        free(self.spare)

    @property
    def asks(self):
        """Whether something is asked of the stack machine: that may bring texts, in one thread."""
        cdef Py_ssize_t index
        return any([self.tests[index].op == ASKED for index in range(self.test_count)])

    @property
    def is_column(self):
        """Whether the first test is one of a column, whose values can be read as they lie."""
        return self.tests[0].op == IN_RANGES

    cdef int run(
        self, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count, uint64_t* words
    ) except -1 nogil:
        """Leave of `words` the bits of those places for which the condition holds.

        The places are `count` from `first` on, a block at most; with `rows` they are lines of items,
        and `rows` says of which row each is.
        """
        cdef Py_ssize_t index, word, word_count = (count + 63) >> 6
        cdef uint64_t* top = self.stack - BLOCK_WORDS
        cdef int32_t step
        for index in range(self.length):
            step = self.code[index]
            if step >= 0:
                top += BLOCK_WORDS
                if self.tests[step].op == ASKED:
                    self._ask(&self.tests[step], rows, first, count, words, top)
                else:
                    self._test(&self.tests[step], rows, first, count, top)
            elif step <= KEEP:
                for word in range(word_count):
                    top[word] &= words[word]
                self._ask(&self.tests[KEEP - step], rows, first, count, top, top)
            elif step == NEITHER:
                for word in range(word_count):
                    top[word] = ~top[word]
            else:
                top -= BLOCK_WORDS
                if step == BOTH:
                    for word in range(word_count):
                        top[word] &= top[BLOCK_WORDS + word]
                else:
                    for word in range(word_count):
                        top[word] |= top[BLOCK_WORDS + word]
        for word in range(word_count):
            words[word] &= top[word]
        return 0

    cdef int _test(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count, uint64_t* out
    ) except -1 nogil:
        """Write a bit for each place that passes a test."""
        cdef Py_ssize_t index, word, word_count = (count + 63) >> 6
        cdef uint64_t more[BLOCK_WORDS]
        cdef const char* values
        if test.op == NEVER:
            memset(out, 0xFF if test.negated else 0, word_count * 8)
            return 0
        values = self._values(test, rows, first, count)
        if test.op == IN_TABLE:
            in_table(test, values, word_count, out)
        else:
            in_range(test, &test.ranges[0], values, word_count, out)
            for index in range(1, test.range_count):
                in_range(test, &test.ranges[index], values, word_count, more)
                for word in range(word_count):
                    out[word] |= more[word]
        if test.negated:
            for word in range(word_count):
                out[word] = ~out[word]
        return 0

    cdef const char* _values(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count
    ) noexcept nogil:
        """Return the values of the places, whole words of them; missing where the column ends."""
        cdef const char* data = (<Column> test.source).data
        cdef Py_ssize_t size = (<Column> test.source).size
        cdef Py_ssize_t width = 4 if test.width == -4 else test.width
        cdef Py_ssize_t padded = (count + 63) & ~63
        cdef Py_ssize_t start = first - test.base
        cdef Py_ssize_t index, place
        cdef bint gathered = rows != NULL and not test.of_item
        if not gathered and 0 <= start and start + padded <= size:
            return data + start * width
        for index in range(padded):
            place = start + index
            if gathered:
                place = rows[index] - test.base if index < count else -1
            if 0 <= place < size:
                memcpy(self.spare + index * width, data + place * width, width)
            else:
                memcpy(self.spare + index * width, &test.missing, width)
        return self.spare

    cdef int _ask(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count,
        const uint64_t* wanted, uint64_t* out
    ) except -1 nogil:
        """Write a bit for each wanted place for which the program comes to true."""
        cdef Py_ssize_t place, index, row
        cdef uint64_t found = 0
        for place in range(count):
            if place & 63 == 0:
                found = wanted[place >> 6]
                out[place >> 6] = found
            if not found >> (place & 63) & 1:
                continue
            if self.table is not None:
                row = first + place if rows == NULL else rows[place]
                if run_row(<Program> test.source, self.events, self.table, row, first + place) == 1:
                    continue
            else:
                for index in range((<Program> test.source).input_count):
                    (<Program> test.source).values[index] = self.attributes.get(
                        <uint32_t> (first + place), (<Program> test.source).inputs[index].argument
                    )
                if (<Program> test.source).run() == 1:
                    continue
            out[place >> 6] &= ~(<uint64_t> 1 << (place & 63))
        return 0


cdef void in_range(
    Test* test, const Range* passing, const char* values, Py_ssize_t words, uint64_t* out
) noexcept nogil:
    if test.width == 1:
        scan_range_u8(<const uint8_t*> values, words, passing.low, passing.high, out)
    elif test.width == 2:
        scan_range_u16(<const uint16_t*> values, words, passing.low, passing.high, out)
    elif test.width == 4:
        scan_range_u32(<const uint32_t*> values, words, passing.low, passing.high, out)
    elif test.width == -4:
        scan_range_i32(<const int32_t*> values, words, passing.low, passing.high, out)
    else:
        scan_range_i64(<const int64_t*> values, words, passing.low, passing.high, out)


cdef void in_table(
    Test* test, const char* values, Py_ssize_t words, uint64_t* out
) noexcept nogil:
    cdef uint64_t low = <uint64_t> test.ranges[0].low
    cdef uint64_t high = <uint64_t> test.ranges[0].high
    if test.width == 1:
        scan_table_u8(<const uint8_t*> values, words, test.table, low, high, out)
    elif test.width == 2:
        scan_table_u16(<const uint16_t*> values, words, test.table, low, high, out)
    else:
        scan_table_u32(<const uint32_t*> values, words, test.table, low, high, out)
