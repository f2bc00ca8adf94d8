"""The events of one partition in columns, and the profiles' chains through them."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from segcore._columns cimport ByteColumn, Int64Column, Uint32Column
from segcore._program cimport Input
from segcore._texts cimport Texts


cdef struct EventView:      # one event as it comes in; texts are ids, numbers millionths; id is UTF-8
    uint32_t ordinal
    uint32_t type_id
    uint32_t came_with
    int64_t occurred_ms
    int64_t received_ms
    const char* id
    Py_ssize_t id_length
    Py_ssize_t property_count
    Py_ssize_t item_count
    const uint32_t* property_keys       # field keys
    const int64_t* property_values
    const uint32_t* skus                # 0 is missing in these three
    const uint32_t* categories
    const uint32_t* brands
    const int64_t* prices               # MISSING is missing
    const int64_t* quantities
    bint bare                           # the one item is made of a bare sku property


cdef int64_t checked_time(object instant_ms, str what) except? -1
cdef int64_t encode_value(Texts texts, str name, object value, uint32_t* kind) except? -1
cdef object decode_value(Texts texts, uint32_t key, int64_t value)

cdef int check_cell(
    str name, Texts texts, Uint32Column keys, Int64Column values, Py_ssize_t index
) except -1


cdef class Events:
    cdef Texts texts
    cdef Uint32Column ordinals
    cdef Uint32Column types
    cdef Int64Column occurred
    cdef Int64Column received
    cdef Uint32Column ids
    cdef Uint32Column came_with
    cdef Uint32Column previous
    cdef Uint32Column newest
    cdef ByteColumn bare
    cdef Int64Column property_ends
    cdef Uint32Column property_keys
    cdef Int64Column property_values
    cdef Int64Column item_ends
    cdef Uint32Column skus
    cdef Uint32Column categories
    cdef Uint32Column brands
    cdef Int64Column prices
    cdef Int64Column quantities
    cdef Py_ssize_t append(self, uint32_t ordinal, object event) except -1
    cdef int _append_properties(self, object properties) except -1
    cdef int _append_items(self, object event) except -1
    cdef int _append_item(
        self, str sku, object category, object brand, object price, object quantity
    ) except -1
    cdef int64_t property_at(self, Py_ssize_t event, uint32_t key) noexcept nogil
    cdef int64_t read(self, Input* wanted, Py_ssize_t event, Py_ssize_t line) noexcept nogil
    cdef int unite(self, uint32_t winner, uint32_t loser) except -1
    cdef int drop(self, uint32_t ordinal) except -1
