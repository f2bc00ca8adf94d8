"""The attribute values of one partition: one cell for each profile and attribute that was set.

A profile's cells are a chain, so an attribute costs room only where it was set. A cell keeps the
value with the latest `as_of`; of equal ones the later arrival wins. A clear is a value too.
"""

from segcore._history cimport check_cell, decode_value, encode_value
from segcore._program cimport MISSING

from segcore.history import AttributeChange


cdef class Attributes:
    """The effective values; changes that were superseded are not kept."""

    def __cinit__(self, Texts texts):
        self.texts = texts
        self.keys = Uint32Column()
        self.values = Int64Column()
        self.as_of = Int64Column()
        self.arrivals = Int64Column()
        self.next = Uint32Column()
        self.first = Uint32Column()

    def __len__(self):
        return self.keys.size

    cdef list encode(self, values):
        """Return the (key, value) of attribute values, by name, since a mapping has no order."""
        cdef list cells = []
        cdef int64_t value
        cdef uint32_t kind
        cdef uint32_t name_id
        for name in sorted(values):
            kind = 0
            name_id = self.texts.intern(name)
            value = MISSING
            if values[name] is not None:
                value = encode_value(self.texts, name, values[name], &kind)
            cells.append((name_id << 2 | kind, value))
        return cells

    cdef Py_ssize_t _find(self, uint32_t ordinal, uint32_t name_id) noexcept nogil:
        """Return the cell of an attribute, or -1."""
        cdef uint32_t place = self.first.peek(ordinal)
        while place:
            if self.keys.get(place - 1) >> 2 == name_id:
                return place - 1
            place = self.next.get(place - 1)
        return -1

    cdef bint put(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival
    ) except -1:
        """Keep a value if it wins; return whether what rules see has changed."""
        cdef Py_ssize_t cell = self._find(ordinal, key >> 2)
        cdef bint changed
        if cell >= 0:
            if as_of_ms < self.as_of.get(cell) or (
                as_of_ms == self.as_of.get(cell) and arrival < self.arrivals.get(cell)
            ):
                return False
            changed = value != self.values.get(cell) or key != self.keys.get(cell)
            self.keys.put(cell, key)
            self.values.put(cell, value)
            self.as_of.put(cell, as_of_ms)
            self.arrivals.put(cell, arrival)
            return changed
        if ordinal >= self.first.size:
            self.first.resize(ordinal + 1)
        self.keys.append(key)
        self.values.append(value)
        self.as_of.append(as_of_ms)
        self.arrivals.append(arrival)
        self.next.append(self.first.get(ordinal))
        self.first.put(ordinal, <uint32_t> self.keys.size)
        return value != MISSING

    cdef int64_t get(self, uint32_t ordinal, uint32_t key) noexcept nogil:
        """Return a value, MISSING where there is none of that name and kind."""
        cdef Py_ssize_t cell = self._find(ordinal, key >> 2)
        if cell < 0 or self.keys.get(cell) != key:
            return MISSING
        return self.values.get(cell)

    cdef int unite(self, uint32_t winner, uint32_t loser) except -1:
        """Give the winner the loser's values where they win; the loser's cells stay, unread."""
        cdef uint32_t place = self.first.peek(loser)
        while place:
            self.put(
                winner,
                self.keys.get(place - 1),
                self.values.get(place - 1),
                self.as_of.get(place - 1),
                self.arrivals.get(place - 1),
            )
            place = self.next.get(place - 1)
        if loser < self.first.size:
            self.first.put(loser, 0)
        return 0

    cdef int drop(self, uint32_t ordinal) except -1:
        """Forget a profile's values; the cells stay, unread."""
        if ordinal < self.first.size:
            self.first.put(ordinal, 0)
        return 0

    def changes(self, uint32_t ordinal):
        """Return the effective values as changes in order of arrival."""
        return tuple([change for _, change in self.arrived(ordinal)])

    def arrived(self, uint32_t ordinal):
        """Return the effective values as changes, each with its arrival, in that order."""
        cdef uint32_t place = self.first.peek(ordinal)
        cdef dict by_arrival = {}
        cdef Py_ssize_t cell
        while place:
            cell = place - 1
            value = None
            if self.values.get(cell) != MISSING:
                value = decode_value(self.texts, self.keys.get(cell), self.values.get(cell))
            name = self.texts.text(self.keys.get(cell) >> 2)
            moment = (self.arrivals.get(cell), self.as_of.get(cell))
            by_arrival.setdefault(moment, {})[name] = value
            place = self.next.get(cell)
        return tuple(
            [
                (moment[0], AttributeChange(by_arrival[moment], moment[1]))
                for moment in sorted(by_arrival)
            ]
        )

    def columns(self):
        """Return the columns by name, as they are written to a snapshot."""
        return {
            "attributes.keys": self.keys,
            "attributes.values": self.values,
            "attributes.as_of": self.as_of,
            "attributes.arrivals": self.arrivals,
            "attributes.next": self.next,
            "attributes.first": self.first,
        }

    def restore(self):
        """Check the columns after they were loaded; raises ValueError where they disagree."""
        cdef Py_ssize_t index
        for name, column in self.columns().items():
            if name != "attributes.first" and len(column) != self.keys.size:
                raise ValueError(f"{name}: expected {self.keys.size} values, found {len(column)}")
        for index in range(self.keys.size):
            check_cell("attributes", self.texts, self.keys, self.values, index)
            if self.next.get(index) > index:
                raise ValueError(f"attributes: expected a chain back, found a step on at {index}")
        for index in range(self.first.size):
            if self.first.get(index) > self.keys.size:
                raise ValueError(f"attributes.first: expected at most {self.keys.size} at {index}")
