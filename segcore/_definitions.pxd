"""Audiences that are built, that go live, and that are taken out."""

from libc.stdint cimport uint32_t

from segcore._audience cimport Audience
from segcore._bits cimport Bits
from segcore._people cimport PeopleEngine


cdef class DefinitionEngine(PeopleEngine):
    cdef dict node_by_key
    cdef dict tallies
    cdef readonly dict audience_by_id
    cdef list building
    cdef object zones
    cdef object scratch

    cdef Audience _plan(self, str audience_id, uint32_t version, object rule)
    cdef int _finish(self, Audience audience) except -1
    cdef Bits _members_now(self, Audience audience)
    cdef int _wire_up(self) except -1
    cdef Audience _audience(self, str audience_id)
    cdef Audience _active(self, str audience_id)
