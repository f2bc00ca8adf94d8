"""The events of one partition: a table for each type, and the profiles' chains through them."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from segcore._prefetch cimport prefetch
from segcore._columns cimport Int64Column, Uint32Column
from segcore._keys cimport Keys
from segcore._owners cimport Owners
from segcore._program cimport Input
from segcore._table cimport EventView, Table
from segcore._texts cimport Texts


cdef struct Walk:
    # A way through all events of a person: each of its ordinals, each from the newest back.
    uint32_t member
    uint32_t place


cdef class Events:
    cdef Texts texts
    cdef Owners owners
    cdef object store
    cdef Uint32Column types
    cdef Uint32Column rows
    cdef Uint32Column previous
    cdef Uint32Column newest
    cdef Keys places
    cdef list tables
    cdef PyObject** table_pointers
    cdef readonly bint any_dead
    cdef Py_ssize_t room  # for so many events there is room in the spine
    cdef Draft draft

    cdef Py_ssize_t append(self, uint32_t ordinal, object event) except -1
    cdef Py_ssize_t append_view(self, const EventView* view) except -1 nogil
    cdef Py_ssize_t append_to(self, Py_ssize_t place, const EventView* view) except -1 nogil
    cdef int _make_room(self) except -1 nogil
    cdef Table table(self, uint32_t type_id)
    cdef Py_ssize_t _add_table(self, uint32_t type_id) except -1
    cdef int64_t read(
        self, const Input* wanted, Table table, Py_ssize_t row, Py_ssize_t line
    ) noexcept nogil
    cdef void begin(self, Walk* walk, uint32_t ordinal) noexcept nogil
    cdef int64_t step(self, Walk* walk) noexcept nogil
    cdef int unite(self, uint32_t winner, uint32_t loser) except -1
    cdef int drop(self, uint32_t ordinal) except -1
    cdef int _kill(self, Py_ssize_t event) except -1
    cdef Py_ssize_t _repeat(self, Py_ssize_t event, uint32_t ordinal) except -1

    cdef inline void prefetch(self, uint32_t ordinal) noexcept nogil:
        """Begin to bring near where the events of an ordinal begin."""
        if ordinal < self.newest.size:
            prefetch(<uint32_t*> self.newest.data + ordinal)

    cdef inline Py_ssize_t place_of(self, uint32_t type_id) except -1 nogil:
        """Return the place of a type's table, new or not."""
        cdef Py_ssize_t place = self.places.find(type_id)
        if place < 0:
            with gil:
                place = self._add_table(type_id)
        return place

    cdef inline PyObject* table_of(self, Py_ssize_t event) noexcept nogil:
        """Return the table of an event; cast it to `Table`."""
        return self.table_pointers[self.places.find(self.types.get(event))]

    cdef inline bint is_dead(self, Py_ssize_t event) noexcept nogil:
        """Tell whether an event is nobody's any more."""
        return self.any_dead and (<Table> self.table_of(event)).is_dead(self.rows.get(event))

    cdef inline uint32_t owner(self, uint32_t ordinal) noexcept nogil:
        """Return the ordinal whose the rows of an ordinal are now."""
        return self.owners.owner(ordinal)


cdef class Draft:
    cdef Texts texts
    cdef bytes event_id
    cdef Uint32Column keys
    cdef Int64Column values
    cdef Uint32Column skus
    cdef Uint32Column categories
    cdef Uint32Column brands
    cdef Int64Column prices
    cdef Int64Column quantities
    cdef int encode(self, uint32_t ordinal, object event, EventView* view) except -1
    cdef int _encode_properties(self, object properties) except -1
    cdef int _encode_item(
        self, str sku, object category, object brand, object price, object quantity
    ) except -1
    cdef int _encode_items(self, object event) except -1
    cdef int _clear(self) except -1
