"""The events of one type: a row each, a column for each of their fields.

Rows stand in order of arrival and are never rewritten. A column of a field begins with the first
row that has it; items lie in columns of their own, and a row holds where its part of them ends.
"""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from segcore._values cimport FLAG, check_text_ids


cdef class Table:
    """`dead` has a bit for each row that is nobody's any more; `any_dead` spares the look."""

    def __cinit__(self, uint32_t type_id, Texts texts, store):
        name = f"type.{type_id}"
        self.type_id = type_id
        self.texts = texts
        self.store = store
        self.ordinals = store.open(f"{name}.ordinals", Uint32Column)
        self.came_with = store.open(f"{name}.came_with", Uint32Column)
        self.events = store.open(f"{name}.events", Uint32Column)
        self.occurred = store.open(f"{name}.occurred", Int64Column)
        self.received = store.open(f"{name}.received", Int64Column)
        self.id_ends = store.open(f"{name}.id_ends", Int64Column)
        self.id_heap = store.open(f"{name}.id_heap", ByteColumn)
        self.item_ends = store.open(f"{name}.item_ends", Int64Column)
        self.skus = store.open(f"{name}.skus", Uint32Column)
        self.categories = store.open(f"{name}.categories", Uint32Column)
        self.brands = store.open(f"{name}.brands", Uint32Column)
        self.prices = store.open(f"{name}.prices", Int64Column)
        self.quantities = store.open(f"{name}.quantities", Int64Column)
        self.keys = Keys()
        self.fields = []
        self.least = Int64Column()
        self.greatest = Int64Column()
        self.dead = store.bits(f"{name}.dead")

    def __dealloc__(self):
        free(self.field_pointers)

    def __len__(self):
        return self.ordinals.size

    cdef FieldColumn field(self, uint32_t key):
        """Return the column of a property, None where no row ever had it."""
        cdef Py_ssize_t place = self.keys.find(key)
        return None if place < 0 else self.fields[place]

    cdef int add_field(self, uint32_t key, Py_ssize_t base) except -1:
        """Begin the column of a property with the row `base`."""
        cdef FieldColumn column
        cdef PyObject** moved = <PyObject**> realloc(
            self.field_pointers, (len(self.fields) + 1) * sizeof(PyObject*)
        )
        if moved == NULL:
            raise MemoryError("no memory for a property")
        self.field_pointers = moved
        column = FieldColumn(key, base, self.store, f"type.{self.type_id}.field.{key}")
        self.fields.append(column)
        moved[self.keys.add(key)] = <PyObject*> column
        return 0

    cdef int add_bare(self, Py_ssize_t base) except -1:
        """Begin the column of flags that tell which rows' items were only a bare sku."""
        self.bare = FieldColumn(FLAG, base, self.store, f"type.{self.type_id}.bare")
        return 0

    cdef Py_ssize_t append(self, const EventView* view, Py_ssize_t event) except -1 nogil:
        """Add a row for the event with the index `event`, and return it; all or nothing."""
        cdef Py_ssize_t row = self.ordinals.size
        self._reserve(view, row)
        self._push_fields(view, row)
        if view.item_count:
            self._push_items(view)
        memcpy(self.id_heap.data + self.id_heap.size, view.id, view.id_length)
        self.id_heap.size += view.id_length
        self.id_ends.push(self.id_heap.size)
        self.item_ends.push(self.skus.size)
        self.came_with.push(view.came_with)
        self.events.push(<uint32_t> event)
        self.occurred.push(view.occurred_ms)
        self.received.push(view.received_ms)
        self.ordinals.push(view.ordinal)
        return row

    cdef int _reserve(self, const EventView* view, Py_ssize_t row) except -1 nogil:
        """Make room for a row in the columns that every row has."""
        cdef Py_ssize_t zone = row // ZONE_ROWS
        if view.item_count:
            self.skus.make_room(view.item_count)
            self.categories.make_room(view.item_count)
            self.brands.make_room(view.item_count)
            self.prices.make_room(view.item_count)
            self.quantities.make_room(view.item_count)
        self.id_heap.make_room(view.id_length)
        if row >= self.room:
            self._make_room()
        if zone == self.least.size:
            self._add_zone()
        if view.occurred_ms < self.least.get(zone):
            self.least.put(zone, view.occurred_ms)
        if view.occurred_ms > self.greatest.get(zone):
            self.greatest.put(zone, view.occurred_ms)
        return 0

    cdef int _push_fields(self, const EventView* view, Py_ssize_t row) except -1 nogil:
        """Write a row's properties; where that fails half way, the next row begins with a cut."""
        cdef Py_ssize_t index, place
        if self.torn:
            self._cut_fields(row)
        self.torn = True
        for index in range(view.property_count):
            place = self.field_place(view.property_keys[index], index, row)
            (<FieldColumn> self.field_pointers[place]).push(row, view.property_values[index])
        if view.bare:
            if self.bare is None:
                with gil:
                    self.add_bare(row)
            self.bare.push(row, 1)
        self.torn = False
        return 0

    cdef void _cut_fields(self, Py_ssize_t row) noexcept nogil:
        """Forget what a row that never was has left behind."""
        cdef Py_ssize_t place
        for place in range(self.keys.keys.size):
            (<FieldColumn> self.field_pointers[place]).cut(row)
        if self.bare is not None:
            self.bare.cut(row)

    cdef int _make_room(self) except -1 nogil:
        """Make room for one more row at least in the columns that every row has."""
        self.id_ends.make_room(1)
        self.item_ends.make_room(1)
        self.came_with.make_room(1)
        self.events.make_room(1)
        self.occurred.make_room(1)
        self.received.make_room(1)
        self.ordinals.make_room(1)
        self.room = min(
            self.id_ends.capacity, self.item_ends.capacity, self.came_with.capacity,
            self.events.capacity, self.occurred.capacity, self.received.capacity,
            self.ordinals.capacity,
        )
        return 0

    cdef Py_ssize_t _find_field(self, uint32_t key, Py_ssize_t row) except -1 nogil:
        """Look the column of a property up; a new one begins with `row`."""
        cdef Py_ssize_t place = self.keys.find(key)
        if place < 0:
            with gil:
                self.add_field(key, row)
            place = self.keys.find(key)
        return place

    cdef void _push_items(self, const EventView* view) noexcept nogil:
        cdef Py_ssize_t line
        for line in range(view.item_count):
            self.skus.push(view.skus[line])
            self.categories.push(view.categories[line])
            self.brands.push(view.brands[line])
            self.prices.push(view.prices[line])
            self.quantities.push(view.quantities[line])

    cdef int _add_zone(self) except -1 nogil:
        """Begin a zone, which holds no time yet."""
        self.least.append(INT64_MAX)
        self.greatest.append(-INT64_MAX)
        return 0

    cdef int kill(self, Py_ssize_t row) except -1:
        """Make a row nobody's."""
        self.any_dead = True
        self.dead.put(<uint32_t> row, True)
        return 0

    def layout(self):
        """Return what `lay_out` needs to make the columns of the same fields."""
        cdef FieldColumn column
        return [
            [[column.key, column.base] for column in self.fields],
            None if self.bare is None else self.bare.base,
        ]

    def lay_out(self, layout):
        """Make the columns of fields, as they were when `layout` was asked."""
        for key, base in layout[0]:
            if self.keys.find(key) >= 0:
                raise ValueError(f"type.{self.type_id}: expected each field once, found two")
            self.add_field(key, base)
        if layout[1] is not None:
            self.add_bare(layout[1])

    def restore(self):
        """Check the columns and rebuild the zones; raises ValueError where columns disagree."""
        cdef Py_ssize_t count = self.ordinals.size
        cdef Py_ssize_t row, zone
        cdef FieldColumn column
        name = f"type.{self.type_id}"
        for column in self.fields:
            column.check(self.texts, count)
        if self.bare is not None and not (
            0 <= self.bare.base < self.bare.base + self.bare.values.size <= count
        ):
            raise ValueError(f"{name}.bare: expected flags of {count} rows")
        self._check_sizes(name, count)
        check_ends(f"{name}.id_ends", self.id_ends, self.id_heap.size)
        check_ends(f"{name}.item_ends", self.item_ends, self.skus.size)
        check_text_ids(f"{name}.came_with", self.came_with, 1, len(self.texts))
        for column_name, texts, least in (
            ("skus", self.skus, 1), ("categories", self.categories, 0), ("brands", self.brands, 0)
        ):
            check_text_ids(f"{name}.{column_name}", texts, least, len(self.texts))
        self.least.resize(0)
        self.greatest.resize(0)
        for row in range(count):
            zone = row // ZONE_ROWS
            if zone == self.least.size:
                self._add_zone()
            self.least.put(zone, min(self.least.get(zone), self.occurred.get(row)))
            self.greatest.put(zone, max(self.greatest.get(zone), self.occurred.get(row)))
        self.any_dead = self.dead.count() > 0

    def _check_sizes(self, str name, Py_ssize_t count):
        """Raise ValueError unless all columns of rows, and all of items, are of one length."""
        lines = self.skus.size
        for column_name, column, expected in (
            ("came_with", self.came_with, count), ("events", self.events, count),
            ("occurred", self.occurred, count), ("received", self.received, count),
            ("id_ends", self.id_ends, count), ("item_ends", self.item_ends, count),
            ("categories", self.categories, lines), ("brands", self.brands, lines),
            ("prices", self.prices, lines), ("quantities", self.quantities, lines),
        ):
            if len(column) != expected:
                raise ValueError(
                    f"{name}.{column_name}: expected {expected} values, found {len(column)}"
                )
        if self.dead.word_count > (count + 63) >> 6:
            raise ValueError(f"{name}.dead: expected bits of {count} rows, found more")


cdef int check_ends(str name, Int64Column ends, Py_ssize_t total) except -1:
    cdef Py_ssize_t index
    cdef int64_t former = 0
    for index in range(ends.size):
        if ends.get(index) < former:
            raise ValueError(f"{name}: expected ascending ends, found a step back at {index}")
        former = ends.get(index)
    if former != total:
        raise ValueError(f"{name}: expected ends up to {total}, found {former}")
    return 0
