"""A condition over the rows of a table, or over attributes, as tests of whole columns."""

from libc.stdint cimport int32_t

from segcore._column_tests cimport ColumnTests, Test
from segcore._program cimport Program
from segcore._texts cimport Texts


cdef class Filter(ColumnTests):
    cdef list draft
    cdef Test* _push(self, int32_t op) except NULL
    cdef int _write(self, condition) except -1
    cdef int _all(self, operands) except -1
    cdef bint _compare(self, condition) except -1
    cdef bint _one_of(self, condition) except -1
    cdef int _program(self, condition) except -1
    cdef int _by_code(self, Program program, column) except -1
    cdef int _settle(self, Test* test, list ranges, bint negated) except -1


cdef Program program_over(Texts texts, plan)
