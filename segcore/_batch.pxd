"""The events of one run in arrays: what decoders fill and `Engine.apply` takes."""

from libc.stdint cimport int64_t, uint32_t

from segcore._table cimport EventView
from segcore._memo cimport Memo
from segcore._texts cimport Texts


cdef struct BatchRow:           # one event; places are in `Batch.heap`
    uint32_t ordinal            # never 0
    uint32_t type_id
    uint32_t came_with
    uint32_t index              # of its input in its inbound pack
    int64_t occurred_ms
    int64_t received_ms
    int64_t log_ms              # time comes to this before the event
    Py_ssize_t id_start
    Py_ssize_t id_length
    Py_ssize_t trace_start      # the W3C trace context of its input
    Py_ssize_t trace_length     # 0 where it was not sampled
    Py_ssize_t property_end     # its properties are those from the former row's end to here
    Py_ssize_t item_end


cdef class Batch:
    cdef readonly Texts texts
    cdef Memo memo
    cdef object payload         # the bytes that ids and trace contexts lie in
    cdef const char* heap
    cdef Py_ssize_t size
    cdef BatchRow* rows
    cdef uint32_t* property_keys
    cdef int64_t* property_values
    cdef Py_ssize_t property_count
    cdef uint32_t* skus
    cdef uint32_t* categories
    cdef uint32_t* brands
    cdef int64_t* prices
    cdef int64_t* quantities
    cdef Py_ssize_t item_count
    cdef Py_ssize_t row_room
    cdef Py_ssize_t property_room
    cdef Py_ssize_t item_room
    cdef int begin(self, object payload, const char* heap) except -1
    cdef int grow_rows(self) except -1 nogil
    cdef int grow_properties(self) except -1 nogil
    cdef int grow_items(self) except -1 nogil

    cdef inline BatchRow* next_row(self) except NULL nogil:
        """Return the place of one more row; it counts once `end_row` was called."""
        if self.size == self.row_room:
            self.grow_rows()
        return &self.rows[self.size]

    cdef inline void end_row(self) noexcept nogil:
        """Let all properties and items since the former row be this one's."""
        self.rows[self.size].property_end = self.property_count
        self.rows[self.size].item_end = self.item_count
        self.size += 1

    cdef inline int add_property(self, uint32_t key, int64_t value) except -1 nogil:
        if self.property_count == self.property_room:
            self.grow_properties()
        self.property_keys[self.property_count] = key
        self.property_values[self.property_count] = value
        self.property_count += 1
        return 0

    cdef inline int add_item(
        self, uint32_t sku, uint32_t category, uint32_t brand, int64_t price, int64_t quantity
    ) except -1 nogil:
        if self.item_count == self.item_room:
            self.grow_items()
        self.skus[self.item_count] = sku
        self.categories[self.item_count] = category
        self.brands[self.item_count] = brand
        self.prices[self.item_count] = price
        self.quantities[self.item_count] = quantity
        self.item_count += 1
        return 0

    cdef inline void view(self, Py_ssize_t k, EventView* out) noexcept nogil:
        """Show event `k`; what the view points to lives until the batch is filled again."""
        cdef BatchRow* row = &self.rows[k]
        cdef Py_ssize_t property_start = self.rows[k - 1].property_end if k else 0
        cdef Py_ssize_t item_start = self.rows[k - 1].item_end if k else 0
        out.ordinal = row.ordinal
        out.type_id = row.type_id
        out.came_with = row.came_with
        out.occurred_ms = row.occurred_ms
        out.received_ms = row.received_ms
        out.id = self.heap + row.id_start
        out.id_length = row.id_length
        out.property_count = row.property_end - property_start
        out.item_count = row.item_end - item_start
        out.property_keys = self.property_keys + property_start
        out.property_values = self.property_values + property_start
        out.skus = self.skus + item_start
        out.categories = self.categories + item_start
        out.brands = self.brands + item_start
        out.prices = self.prices + item_start
        out.quantities = self.quantities + item_start
        out.bare = False        # the line of a bare sku is completed from the catalog: kept as one
