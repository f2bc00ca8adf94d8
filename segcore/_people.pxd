"""Profiles that become one, come apart, leave and come."""

from libc.stdint cimport uint32_t

from segcore._engine cimport LiveEngine


cdef class PeopleEngine(LiveEngine):
    cdef int _recount(self, uint32_t ordinal) except -1
    cdef int _forget_bits(self, uint32_t ordinal) except -1
    cdef list _evaluate_person(self, uint32_t ordinal)
