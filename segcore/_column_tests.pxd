"""Tests of whole columns, block by block: bits for the places that pass."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from segcore._attributes cimport Attributes
from segcore._history cimport Events
from segcore._program cimport Program
from segcore._table cimport Table
from segcore._texts cimport Texts

cdef enum:
    BLOCK_ROWS = 4096
    BLOCK_WORDS = 64

cdef enum:                      # what a test is
    IN_RANGES = 0
    IN_TABLE = 1
    ASKED = 2
    NEVER = 3

cdef enum:                      # steps that are no index of a test
    BOTH = -1
    EITHER = -2
    NEITHER = -3
    KEEP = -4                   # less the index of a test that is asked of what is left alone


cdef struct Range:
    int64_t low
    int64_t high


cdef struct Test:
    int32_t op
    int32_t width               # what a place of the column takes: bytes, -4 signed
    bint negated
    bint of_item
    int64_t missing             # as the column keeps it
    Range* ranges               # which values pass, as the column keeps them
    Py_ssize_t range_count
    uint64_t* table             # or the bits of those from ranges[0].low to its high
    Py_ssize_t base             # the row with which the column begins
    void* source                # the column, or the program: borrowed references


cdef class ColumnTests:
    cdef Texts texts
    cdef Events events
    cdef Table table
    cdef Attributes attributes
    cdef Test* tests
    cdef Py_ssize_t test_count
    cdef int32_t* code
    cdef Py_ssize_t length
    cdef list kept_alive
    cdef uint64_t* stack
    cdef char* spare
    cdef int run(
        self, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count, uint64_t* words
    ) except -1 nogil
    cdef int _test(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count, uint64_t* out
    ) except -1 nogil
    cdef const char* _values(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count
    ) noexcept nogil
    cdef int _ask(
        self, Test* test, const uint32_t* rows, Py_ssize_t first, Py_ssize_t count,
        const uint64_t* wanted, uint64_t* out
    ) except -1 nogil


cdef int64_t run_row(
    Program program, Events events, Table table, Py_ssize_t row, Py_ssize_t line
) except? -2 nogil
