"""The rows of one table that a condition and a window leave, block by block.

A block is a zone of the table: what lies outside the window as a whole is not read, and what lies
in it as a whole is not asked for its time.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.string cimport memcpy, memset

from segcore._scan_words cimport scan_range_i64


cdef class Turns:
    """Numbers that threads take: who is free has the next one."""


cdef class RowScan:
    """All rows that the table has now, once; with `turns`, one of the scans that share them."""

    def __cinit__(
        self, Events events, Table table, bint of_items, Filter where,
        int64_t after_ms, int64_t until_ms,
    ):
        self.events, self.table, self.of_items, self.where = events, table, of_items, where
        self.after_ms, self.until_ms = after_ms, until_ms
        self.row_count = table.ordinals.size

    cdef bint next_block(self, Block* out) except -1 nogil:
        """Give the next block that holds anything; False at the end."""
        cdef Py_ssize_t start, word, word_count
        cdef uint64_t any_left
        while True:
            if self.of_items and self.line < self.line_end:
                self._take_lines(out)
            else:
                start = self._next_rows()
                if start < 0:
                    return False
                if self.of_items:
                    continue
                out.first, out.rows, out.words = start, NULL, self.words
                out.count = self.row - start
                if self.whole and self.where is None:
                    out.words = NULL
                else:
                    memcpy(self.words, self.row_words, sizeof(self.words))
                    if self.where is not None:
                        self.where.run(NULL, start, out.count, self.words)
                self._own((<uint32_t*> self.table.ordinals.data) + start, out)
            if out.words == NULL:
                return True
            any_left = 0
            word_count = (out.count + 63) >> 6
            for word in range(word_count):
                any_left |= out.words[word]
            if any_left:
                return True

    cdef Py_ssize_t _next_rows(self) noexcept nogil:
        """Mark in `row_words` the rows of the next zone that live in the window; -1 at the end.

        `whole` tells that these are all of them.
        """
        cdef Py_ssize_t start, zone, count, word, word_count
        cdef int64_t least, greatest
        cdef const int64_t* times
        cdef const uint64_t* dead = self.table.dead.words
        while self.row < self.row_count:
            if self.turns is not None:
                self.row = self.turns.take() * BLOCK_ROWS
                if self.row >= self.row_count:
                    return -1
            start = self.row
            zone = start // BLOCK_ROWS
            least, greatest = self.table.least.get(zone), self.table.greatest.get(zone)
            count = min(BLOCK_ROWS, self.row_count - start)
            self.row += count
            if greatest <= self.after_ms or least > self.until_ms:
                continue
            word_count = (count + 63) >> 6
            memset(self.row_words, 0xFF, sizeof(self.row_words))
            self.whole = least > self.after_ms and greatest <= self.until_ms
            if not self.whole:
                times = (<const int64_t*> self.table.occurred.data) + start
                if count & 63:
                    memcpy(self.times, times, count * 8)
                    times = self.times
                scan_range_i64(
                    times, word_count,
                    INT64_MIN if self.after_ms == INT64_MIN else self.after_ms + 1,
                    self.until_ms, self.row_words,
                )
            if count & 63:
                self.row_words[count >> 6] &= (<uint64_t> 1 << (count & 63)) - 1
            if self.table.any_dead:
                for word in range(word_count):
                    if (start >> 6) + word < self.table.dead.word_count:
                        self.row_words[word] &= ~dead[(start >> 6) + word]
                self.whole = False
            if self.of_items:
                self.row_of_line = start
                self.line = self.table.first_line(start)
                self.line_end = self.table.item_ends.get(self.row - 1)
            return start
        return -1

    cdef int _take_lines(self, Block* out) except -1 nogil:
        """Take a block of the lines that the zone at hand has."""
        cdef Py_ssize_t start = self.row - 1 - (self.row - 1) % BLOCK_ROWS
        cdef Py_ssize_t index, place
        out.first, out.rows, out.words = self.line, self.rows, self.words
        out.count = min(BLOCK_ROWS, self.line_end - self.line)
        memset(self.words, 0, sizeof(self.words))
        for index in range(out.count):
            while self.table.item_ends.get(self.row_of_line) <= self.line + index:
                self.row_of_line += 1
            place = self.row_of_line - start
            self.rows[index] = <uint32_t> self.row_of_line
            self.owners[index] = (<uint32_t*> self.table.ordinals.data)[self.row_of_line]
            self.words[index >> 6] |= (self.row_words[place >> 6] >> (place & 63) & 1) << (index & 63)
        self.line += out.count
        if self.where is not None:
            self.where.run(self.rows, out.first, out.count, self.words)
        self._own(self.owners, out)
        return 0

    cdef void _own(self, const uint32_t* ordinals, Block* out) noexcept nogil:
        """Say whose the places are: after merges another's than they came for."""
        cdef Py_ssize_t index
        out.owners = ordinals
        if self.events.owners.merged:
            for index in range(out.count):
                self.owners[index] = self.events.owner(ordinals[index])
            out.owners = self.owners
