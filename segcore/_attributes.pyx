"""The attribute values of one partition: dense columns by ordinal, and all that they ever were.

Every change is a row of the journal, for ever. Of an attribute's changes the one with the latest
`as_of` is in effect; of equal ones the later arrival, then the later row. A clear is a change too.
Its row, plus one, is the stamp of the attribute for that ordinal. Stamps and values are what the
journal, the owners and the dead rows come to, and are made anew from those on load.
"""

from libc.stdlib cimport free, realloc

from segcore._columns cimport ByteColumn, Uint16Column
from segcore._values cimport (
    DATE, FLAG, NUMBER, TIME, check_text_ids, column_of_kind, decode_value, encode_value,
    narrow_put,
)

from segcore.history import AttributeChange
from segcore.storage import ColumnStore

cdef Py_ssize_t JOURNAL_LIMIT = 0xFFFFFFFE
"""A stamp holds a row of the journal plus one in 32 bits."""


cdef class ValueColumn:
    """Grows as far as the greatest ordinal that ever had a value."""

    def __cinit__(self, uint32_t key):
        self.key = key
        self.kind = key & 7
        self.coded = self.kind == TEXT or self.kind == TEXTS
        if self.coded:
            self.values = ByteColumn()
            self.dictionary = Uint32Column()
            self.dictionary.append(0)
            self.codes = Keys()
        else:
            self.values = column_of_kind(self.kind, ColumnStore(), "values")

    cdef int put(self, uint32_t ordinal, int64_t value) except -1 nogil:
        """Set the value of an ordinal."""
        cdef int64_t code
        cdef Py_ssize_t place = self.values.size
        if ordinal >= place:
            if value == MISSING:
                return 0
            self.values.resize(ordinal + 1)
            if not self.coded and self.kind != FLAG:
                for place in range(place, self.values.size):
                    narrow_put(self.values.data, self.kind, place, MISSING)
        if not self.coded:
            narrow_put(self.values.data, self.kind, ordinal, value)
            return 0
        code = 0 if value == MISSING else self._code(<uint32_t> value)
        if self.values.item_bytes == 1:
            (<uint8_t*> self.values.data)[ordinal] = <uint8_t> code
        elif self.values.item_bytes == 2:
            (<uint16_t*> self.values.data)[ordinal] = <uint16_t> code
        else:
            (<uint32_t*> self.values.data)[ordinal] = <uint32_t> code
        return 0

    cdef int64_t _code(self, uint32_t text_id) except -1 nogil:
        """Return the code of a text; the first one beyond what the codes can hold widens them."""
        cdef Py_ssize_t place = self.codes.find(text_id)
        if place >= 0:
            return place + 1
        with gil:
            place = self.codes.add(text_id)
            self.dictionary.append(text_id)
            if self.values.item_bytes < 4 and self.dictionary.size > 1 << 8 * self.values.item_bytes:
                self._widen()
        return place + 1

    cdef int _widen(self) except -1:
        """Give each code twice the room."""
        cdef Column wide = Uint16Column() if self.values.item_bytes == 1 else Uint32Column()
        cdef Py_ssize_t ordinal
        wide.resize(self.values.size)
        for ordinal in range(self.values.size):
            if wide.item_bytes == 2:
                (<uint16_t*> wide.data)[ordinal] = <uint16_t> self.code(ordinal)
            else:
                (<uint32_t*> wide.data)[ordinal] = self.code(ordinal)
        self.values = wide
        return 0


cdef class Journal:
    """Every change of an attribute, in order of arrival here; an ordinal's are a chain back."""

    def __cinit__(self, store):
        self.ordinals = store.open("journal.ordinals", Uint32Column)
        self.keys = store.open("journal.keys", Uint32Column)
        self.values = store.open("journal.values", Int64Column)
        self.as_of = store.open("journal.as_of", Int64Column)
        self.arrivals = store.open("journal.arrivals", Int64Column)
        self.came_with = store.open("journal.came_with", Uint32Column)
        self.previous = store.open("journal.previous", Uint32Column)
        self.newest = Uint32Column()
        self.dead = store.bits("journal.dead")

    def __len__(self):
        return self.ordinals.size

    cdef Py_ssize_t append(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival,
        uint32_t came_with
    ) except -1 nogil:
        """Add a change and return its row; all or nothing."""
        cdef Py_ssize_t row = self.ordinals.size
        if row >= JOURNAL_LIMIT:
            with gil:
                raise ValueError(f"expected at most {JOURNAL_LIMIT} changes, found more")
        self.ordinals.make_room(1)
        self.keys.make_room(1)
        self.values.make_room(1)
        self.as_of.make_room(1)
        self.arrivals.make_room(1)
        self.came_with.make_room(1)
        self.previous.make_room(1)
        if ordinal >= self.newest.size:
            self.newest.resize(ordinal + 1)
        self.ordinals.push(ordinal)
        self.keys.push(key)
        self.values.push(value)
        self.as_of.push(as_of_ms)
        self.arrivals.push(arrival)
        self.came_with.push(came_with)
        self.previous.push(self.newest.get(ordinal))
        self.newest.put(ordinal, <uint32_t> (row + 1))
        return row

    cdef int kill(self, Py_ssize_t row) except -1:
        """Make a change nobody's."""
        self.any_dead = True
        self.dead.put(<uint32_t> row, True)
        return 0

    def restore(self, Texts texts):
        """Check the columns and rebuild the chains' heads; ValueError where columns disagree."""
        cdef Py_ssize_t row
        cdef Py_ssize_t count = self.ordinals.size
        cdef Py_ssize_t most = len(texts)
        cdef uint32_t key, ordinal
        for name, column in (
            ("keys", self.keys), ("values", self.values), ("as_of", self.as_of),
            ("arrivals", self.arrivals), ("came_with", self.came_with),
            ("previous", self.previous),
        ):
            if len(column) != count:
                raise ValueError(f"journal.{name}: expected {count} values, found {len(column)}")
        if self.dead.word_count > (count + 63) >> 6:
            raise ValueError(f"journal.dead: expected bits of {count} rows, found more")
        check_text_ids("journal.came_with", self.came_with, 0, most)
        self.newest.resize(0)
        for row in range(count):
            key = self.keys.get(row)
            ordinal = self.ordinals.get(row)
            check_value(key, self.values.get(row), most)
            if ordinal >= self.newest.size:
                self.newest.resize(ordinal + 1)
            if self.previous.get(row) != self.newest.get(ordinal):
                raise ValueError(f"journal: expected a chain back, found another at {row}")
            self.newest.put(ordinal, <uint32_t> (row + 1))
        self.any_dead = self.dead.count() > 0


cdef int check_value(uint32_t key, int64_t value, Py_ssize_t most) except -1:
    """Raise ValueError where a value of an attribute cannot be: its texts have to be there."""
    cdef uint32_t kind = key & 7
    if not 0 < key >> 3 <= most or kind > TEXTS:
        raise ValueError(f"journal: expected names among {most} texts, found the key {key}")
    if value == MISSING:
        return 0
    if (kind == TEXT or kind == TEXTS) and not 0 < value <= most:
        raise ValueError(f"journal: expected values among {most} texts, found {value}")
    if kind == FLAG and not 0 <= value <= 1:
        raise ValueError(f"journal: expected flags, found {value}")
    if kind == DATE and not -(1 << 31) < value < 1 << 31:
        raise ValueError(f"journal: expected dates, found {value}")
    return 0


cdef class Attributes:
    """The values in effect, and the journal that they come from."""

    def __cinit__(self, Texts texts, Owners owners=None, store=None):
        self.texts = texts
        self.owners = owners or Owners()
        self.journal = Journal(store or ColumnStore())
        self.names = Keys()
        self.stamps = []
        self.keys = Keys()
        self.columns_by_place = []

    def __dealloc__(self):
        free(self.stamp_pointers)
        free(self.column_pointers)

    def __len__(self):
        return self.journal.ordinals.size

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
            cells.append((name_id << 3 | kind, value))
        return cells

    cdef ValueColumn column(self, uint32_t key):
        """Return the values of one name and kind, None where there never were any."""
        cdef Py_ssize_t place = self.keys.find(key)
        return None if place < 0 else self.columns_by_place[place]

    cdef int _add_name(self, uint32_t name_id) except -1:
        cdef Uint32Column stamps = Uint32Column()
        cdef PyObject** moved = <PyObject**> realloc(
            self.stamp_pointers, (len(self.stamps) + 1) * sizeof(PyObject*)
        )
        if moved == NULL:
            raise MemoryError("no memory for an attribute")
        self.stamp_pointers = moved
        self.stamps.append(stamps)
        moved[self.names.add(name_id)] = <PyObject*> stamps
        return 0

    cdef int _add_column(self, uint32_t key) except -1:
        cdef ValueColumn column = ValueColumn(key)
        cdef PyObject** moved = <PyObject**> realloc(
            self.column_pointers, (len(self.columns_by_place) + 1) * sizeof(PyObject*)
        )
        if moved == NULL:
            raise MemoryError("no memory for an attribute")
        self.column_pointers = moved
        self.columns_by_place.append(column)
        moved[self.keys.add(key)] = <PyObject*> column
        return 0

    cdef Py_ssize_t _name_place(self, uint32_t name_id) except -1 nogil:
        cdef Py_ssize_t place = self.names.find(name_id)
        if place < 0:
            with gil:
                self._add_name(name_id)
            place = self.names.find(name_id)
        return place

    cdef bint put(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival,
        uint32_t came_with
    ) except -1 nogil:
        """Add a change; return whether what rules see has changed. `came_with` may be 0."""
        return self._take(
            ordinal, self.journal.append(ordinal, key, value, as_of_ms, arrival, came_with)
        )

    cdef bint _take(self, uint32_t ordinal, Py_ssize_t row) except -1 nogil:
        """Let a row of the journal be in effect if it wins; return whether a value has changed."""
        cdef uint32_t key = self.journal.keys.get(row)
        cdef int64_t value = self.journal.values.get(row)
        cdef PyObject* stamps = self.stamp_pointers[self._name_place(key >> 3)]
        cdef uint32_t former = (<Uint32Column> stamps).peek(ordinal)
        cdef uint32_t former_key
        cdef bint changed = value != MISSING
        if former:
            if not self.journal.wins(row, former - 1):
                return False
            former_key = self.journal.keys.get(former - 1)
            changed = value != self.journal.values.get(former - 1) or key != former_key
            if former_key != key:
                self._set(ordinal, former_key, MISSING)
        if ordinal >= (<Uint32Column> stamps).size:
            (<Uint32Column> stamps).resize(ordinal + 1)
        (<Uint32Column> stamps).put(ordinal, <uint32_t> (row + 1))
        self._set(ordinal, key, value)
        return changed

    cdef int _set(self, uint32_t ordinal, uint32_t key, int64_t value) except -1 nogil:
        cdef Py_ssize_t place = self.keys.find(key)
        if place < 0:
            if value == MISSING:
                return 0
            with gil:
                self._add_column(key)
            place = self.keys.find(key)
        return (<ValueColumn> self.column_pointers[place]).put(ordinal, value)

    cdef int _clear(self, uint32_t ordinal) except -1:
        """Let nothing be in effect for an ordinal."""
        cdef Uint32Column stamps
        cdef uint32_t stamp
        for stamps in self.stamps:
            stamp = stamps.peek(ordinal)
            if stamp:
                self._set(ordinal, self.journal.keys.get(stamp - 1), MISSING)
                stamps.put(ordinal, 0)
        return 0

    cdef int unite(self, uint32_t winner, uint32_t loser) except -1:
        """Give the winner the loser's values where they win; O(attributes)."""
        cdef Uint32Column stamps
        cdef uint32_t stamp
        for stamps in self.stamps:
            stamp = stamps.peek(loser)
            if stamp:
                self._take(winner, stamp - 1)
        return self._clear(loser)

    def rows_of(self, uint32_t ordinal):
        """Return the rows of the journal that are a profile's, in order."""
        cdef list rows = []
        cdef uint32_t member = ordinal if self.owners.owner(ordinal) == ordinal else 0
        cdef uint32_t place
        while member:
            place = self.journal.newest.peek(member)
            while place:
                if not self.journal.is_dead(place - 1):
                    rows.append(place - 1)
                place = self.journal.previous.get(place - 1)
            member = self.owners.next_member(member)
        rows.sort()
        return rows

    cdef int drop(self, uint32_t ordinal) except -1:
        """Forget a profile's values; the rows of the journal stay, dead."""
        for row in self.rows_of(ordinal):
            self.journal.kill(row)
        return self._clear(ordinal)

    def forget_names(self, names):
        """Let nobody have certain attributes any more; their rows stay, dead.

        O(rows of the journal) where any of them is known.
        """
        cdef set wanted = set()
        cdef Journal journal = self.journal
        cdef Py_ssize_t row, place
        cdef uint32_t name_id
        for name in names:
            name_id = <uint32_t> self.texts.id_of(name)
            place = self.names.find(name_id) if name_id else -1
            if place >= 0 and len(self.stamps[place]):
                wanted.add(name_id)
                self._empty(place, name_id)
        if wanted:
            for row in range(journal.ordinals.size):
                if journal.keys.get(row) >> 3 in wanted and not journal.is_dead(row):
                    journal.kill(row)

    cdef int _empty(self, Py_ssize_t place, uint32_t name_id) except -1:
        """Give back the room of an attribute's stamps and values."""
        cdef Uint32Column stamps = Uint32Column()
        cdef ValueColumn column
        self.stamps[place] = stamps
        self.stamp_pointers[place] = <PyObject*> stamps
        for place in range(len(self.columns_by_place)):
            column = self.columns_by_place[place]
            if column.key >> 3 == name_id:
                column = ValueColumn(column.key)
                self.columns_by_place[place] = column
                self.column_pointers[place] = <PyObject*> column
        return 0

    def divide(self, uint32_t ordinal, uint32_t new_ordinal, came_with):
        """Make the changes that came with certain identifiers those of a new profile.

        Both profiles have then what they would have had, had they been two from the start.
        """
        cdef set wanted = {self.texts.id_of(text) for text in came_with} - {0}
        cdef Journal journal = self.journal
        cdef list kept = []
        for row in self.rows_of(ordinal):
            if journal.came_with.get(row) not in wanted:
                kept.append(row)
                continue
            self.put(
                new_ordinal, journal.keys.get(row), journal.values.get(row),
                journal.as_of.get(row), journal.arrivals.get(row), journal.came_with.get(row),
            )
            journal.kill(row)
        self._clear(ordinal)
        for row in kept:
            self._take(ordinal, row)

    def _stamped(self, uint32_t ordinal):
        """Return the rows of the journal that are in effect for a profile."""
        cdef Uint32Column stamps
        return [stamps.get(ordinal) - 1 for stamps in self.stamps if stamps.peek(ordinal)]

    def changes(self, uint32_t ordinal):
        """Return the effective values as changes in order of arrival."""
        return tuple([change for _, change in self._as_changes(self._stamped(ordinal))])

    def arrived(self, uint32_t ordinal):
        """Return all changes of a profile that ever came, each with its arrival, in that order."""
        return tuple(self._as_changes(self.rows_of(ordinal)))

    def _as_changes(self, rows):
        """Return (arrival, change) of rows; what came in one call is one change."""
        cdef Journal journal = self.journal
        cdef dict calls = {}
        cdef uint32_t came_with
        for row in rows:
            value = None
            if journal.values.get(row) != MISSING:
                value = decode_value(self.texts, journal.keys.get(row), journal.values.get(row))
            came_with = journal.came_with.get(row)
            call = (
                journal.arrivals.get(row),
                journal.as_of.get(row),
                self.texts.text(came_with) if came_with else "",
            )
            calls.setdefault(call, {})[self.texts.text(journal.keys.get(row) >> 3)] = value
        return [
            (call[0], AttributeChange(calls[call], call[1], call[2])) for call in sorted(calls)
        ]

    def restore(self):
        """Check the journal and let its rows take effect; the owners are restored before.

        Raises ValueError where columns disagree.
        """
        cdef Py_ssize_t row
        cdef Journal journal = self.journal
        journal.restore(self.texts)
        for row in range(journal.ordinals.size):
            if not journal.is_dead(row):
                self._take(self.owners.owner(journal.ordinals.get(row)), row)
