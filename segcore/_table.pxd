"""The events of one type: a row each, a column for each of their fields."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from segcore._bits cimport Bits
from segcore._columns cimport ByteColumn, Int64Column, Uint32Column
from segcore._keys cimport Keys
from segcore._texts cimport Texts
from segcore._program cimport MISSING
from segcore._values cimport FieldColumn

cdef enum:
    ZONE_ROWS = 4096


cdef struct EventView:
    # One event as it comes in: texts are ids, numbers millionths, the event id UTF-8.
    uint32_t ordinal
    uint32_t type_id
    uint32_t came_with
    int64_t occurred_ms
    int64_t received_ms
    const char* id
    Py_ssize_t id_length
    Py_ssize_t property_count
    Py_ssize_t item_count
    const uint32_t* property_keys
    const int64_t* property_values
    const uint32_t* skus
    const uint32_t* categories
    const uint32_t* brands
    const int64_t* prices
    const int64_t* quantities
    bint bare


cdef class Table:
    cdef readonly uint32_t type_id
    cdef Texts texts
    cdef object store
    cdef Uint32Column ordinals
    cdef Uint32Column came_with
    cdef Uint32Column events
    cdef Int64Column occurred
    cdef Int64Column received
    cdef Int64Column id_ends
    cdef ByteColumn id_heap
    cdef Int64Column item_ends
    cdef Uint32Column skus
    cdef Uint32Column categories
    cdef Uint32Column brands
    cdef Int64Column prices
    cdef Int64Column quantities
    cdef FieldColumn bare
    cdef Keys keys
    cdef list fields
    cdef PyObject** field_pointers
    cdef Int64Column least
    cdef Int64Column greatest
    cdef Bits dead
    cdef readonly bint any_dead
    cdef bint torn  # the last row was begun and not ended
    cdef Py_ssize_t room  # for so many rows there is room in the columns that every row has

    cdef Py_ssize_t append(self, const EventView* view, Py_ssize_t event) except -1 nogil
    cdef int _reserve(self, const EventView* view, Py_ssize_t row) except -1 nogil
    cdef int _push_fields(self, const EventView* view, Py_ssize_t row) except -1 nogil
    cdef void _cut_fields(self, Py_ssize_t row) noexcept nogil
    cdef void _push_items(self, const EventView* view) noexcept nogil
    cdef int _make_room(self) except -1 nogil
    cdef int _add_zone(self) except -1 nogil
    cdef Py_ssize_t _find_field(self, uint32_t key, Py_ssize_t row) except -1 nogil
    cdef int add_field(self, uint32_t key, Py_ssize_t base) except -1
    cdef int add_bare(self, Py_ssize_t base) except -1
    cdef FieldColumn field(self, uint32_t key)
    cdef int kill(self, Py_ssize_t row) except -1

    cdef inline Py_ssize_t size(self) noexcept nogil:
        """Return how many rows there are, dead ones too."""
        return self.ordinals.size

    cdef inline Py_ssize_t field_place(
        self, uint32_t key, Py_ssize_t index, Py_ssize_t row
    ) except -1 nogil:
        """Return the place of a property's column, new or not.

        Events of a type mostly have the same properties in one order: `index` is looked at first.
        """
        if index < self.keys.keys.size and self.keys.keys.get(index) == key:
            return index
        return self._find_field(key, row)

    cdef inline bint is_dead(self, Py_ssize_t row) noexcept nogil:
        """Tell whether a row is nobody's any more."""
        return self.any_dead and self.dead.get(<uint32_t> row)

    cdef inline int64_t first_line(self, Py_ssize_t row) noexcept nogil:
        """Return the line of items with which a row begins."""
        return self.item_ends.get(row - 1) if row else 0

    cdef inline int64_t property_at(self, Py_ssize_t row, uint32_t key) noexcept nogil:
        """Return a property's value, MISSING where the row has none of that name and kind."""
        cdef Py_ssize_t place = self.keys.find(key)
        if place < 0:
            return MISSING
        return (<FieldColumn> self.field_pointers[place]).get(row)
