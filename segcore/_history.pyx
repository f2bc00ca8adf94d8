"""The events of one partition: a table for each type, and the profiles' chains through them.

The spine has an entry for each event in order of arrival: its type, its row in the table of that
type, and the event before it of the same ordinal. A profile's events are the chains of all its
ordinals, without the rows that are dead.
"""

from libc.stdlib cimport free, realloc

from segcore._program cimport MISSING, Source
from segcore._values cimport (
    FieldColumn, checked_time, decode_number, decode_value, encode_number, encode_value,
)

from segcore.history import Event, Item
from segcore.storage import ColumnStore

cdef Py_ssize_t EVENT_LIMIT = 0xFFFFFFFE
"""A chain holds the index of an event plus one in 32 bits."""


cdef class Events:
    """All events that the engine was given."""

    def __cinit__(self, Texts texts, Owners owners=None, store=None):
        self.texts = texts
        self.owners = owners or Owners()
        self.store = store or ColumnStore()
        self.types = self.store.open("events.types", Uint32Column)
        self.rows = self.store.open("events.rows", Uint32Column)
        self.previous = self.store.open("events.previous", Uint32Column)
        self.newest = Uint32Column()
        self.places = Keys()
        self.tables = []
        self.draft = Draft(texts)

    def __dealloc__(self):
        free(self.table_pointers)

    def __len__(self):
        return self.types.size

    @property
    def row_count(self):
        """How many rows of items there are."""
        cdef Table table
        return sum([table.skus.size for table in self.tables])

    cdef Table table(self, uint32_t type_id):
        """Return the events of a type, None where there never was one."""
        cdef Py_ssize_t place = self.places.find(type_id)
        return None if place < 0 else self.tables[place]

    cdef Py_ssize_t _add_table(self, uint32_t type_id) except -1:
        cdef Py_ssize_t place
        cdef Table table = Table(type_id, self.texts, self.store)
        cdef PyObject** moved = <PyObject**> realloc(
            self.table_pointers, (len(self.tables) + 1) * sizeof(PyObject*)
        )
        if moved == NULL:
            raise MemoryError("no memory for an event type")
        self.table_pointers = moved
        self.tables.append(table)
        place = self.places.add(type_id)
        moved[place] = <PyObject*> table
        return place

    cdef Py_ssize_t append(self, uint32_t ordinal, object event) except -1:
        """Add an event and return its index; on ValueError nothing was added."""
        cdef EventView view
        self.draft.encode(ordinal, event, &view)
        return self.append_view(&view)

    cdef Py_ssize_t append_view(self, const EventView* view) except -1 nogil:
        """Add an event and return its index; all or nothing."""
        self.append_to(self.place_of(view.type_id), view)
        return self.types.size - 1

    cdef Py_ssize_t append_to(self, Py_ssize_t place, const EventView* view) except -1 nogil:
        """Add an event to the table of its type, and return its row there; all or nothing."""
        cdef Py_ssize_t event = self.types.size
        cdef Py_ssize_t row
        if event >= self.room:
            self._make_room()
        if view.ordinal >= self.newest.size:
            self.newest.resize(view.ordinal + 1)
        row = (<Table> self.table_pointers[place]).append(view, event)
        self.types.push(view.type_id)
        self.rows.push(<uint32_t> row)
        self.previous.push(self.newest.get(view.ordinal))
        self.newest.put(view.ordinal, <uint32_t> (event + 1))
        return row

    cdef int _make_room(self) except -1 nogil:
        """Make room for one more event in the spine."""
        if self.types.size >= EVENT_LIMIT:
            with gil:
                raise ValueError(f"expected at most {EVENT_LIMIT} events, found more")
        self.types.make_room(1)
        self.rows.make_room(1)
        self.previous.make_room(1)
        self.room = min(
            EVENT_LIMIT, self.types.capacity, self.rows.capacity, self.previous.capacity
        )
        return 0

    cdef int64_t read(
        self, const Input* wanted, Table table, Py_ssize_t row, Py_ssize_t line
    ) noexcept nogil:
        """Return one input of a program over rows: of the event, or of the item at `line`."""
        cdef int64_t start
        cdef uint32_t text_id
        if wanted.source == Source.PROPERTY:
            return table.property_at(row, wanted.argument)
        if wanted.source == Source.EVENT_TYPE:
            return table.type_id
        if wanted.source == Source.OCCURRED:
            return table.occurred.get(row)
        if wanted.source == Source.RECEIVED:
            return table.received.get(row)
        if wanted.source == Source.PRICE:
            return table.prices.get(line)
        if wanted.source == Source.QUANTITY:
            return table.quantities.get(line)
        if wanted.source == Source.SKU:
            return table.skus.get(line)
        if wanted.source == Source.EVENT_ID:
            start = table.id_ends.get(row - 1) if row else 0
            return self.texts.derive(table.id_heap.data + start, table.id_ends.get(row) - start)
        text_id = (
            table.categories.get(line)
            if wanted.source == Source.CATEGORY
            else table.brands.get(line)
        )
        return text_id if text_id else MISSING

    cdef void begin(self, Walk* walk, uint32_t ordinal) noexcept nogil:
        """Begin a way through the events of a person; one that was merged away has none."""
        walk.member = ordinal if self.owners.owner(ordinal) == ordinal else 0
        walk.place = self.newest.peek(ordinal) if walk.member else 0

    cdef int64_t step(self, Walk* walk) noexcept nogil:
        """Return the next event, -1 at the end; each ordinal's come from the newest back."""
        cdef int64_t event
        while True:
            while walk.place == 0:
                if walk.member == 0:
                    return -1
                walk.member = self.owners.next_member(walk.member)
                walk.place = self.newest.peek(walk.member) if walk.member else 0
            event = <int64_t> walk.place - 1
            walk.place = self.previous.get(event)
            if not self.is_dead(event):
                return event

    def of_profile(self, uint32_t ordinal):
        """Return the indexes of a profile's events, in order of arrival."""
        cdef Walk walk
        cdef int64_t event
        cdef list events = []
        self.begin(&walk, ordinal)
        event = self.step(&walk)
        while event >= 0:
            events.append(event)
            event = self.step(&walk)
        events.sort()
        return events

    cdef int unite(self, uint32_t winner, uint32_t loser) except -1:
        """Make the loser's events the winner's; O(ordinals of the loser)."""
        return self.owners.unite(winner, loser)

    cdef int drop(self, uint32_t ordinal) except -1:
        """Make a profile's events nobody's: their rows stay, dead."""
        for event in self.of_profile(ordinal):
            self._kill(event)
        return 0

    cdef int _kill(self, Py_ssize_t event) except -1:
        (<Table> self.table_of(event)).kill(self.rows.get(event))
        self.any_dead = True
        return 0

    def divide(self, uint32_t ordinal, uint32_t new_ordinal, came_with):
        """Make the events that came with certain identifiers those of a new profile.

        Their rows are dead here and appended there, in their order of arrival.
        """
        cdef set wanted = {self.texts.id_of(text) for text in came_with}
        cdef Table table
        for event in self.of_profile(ordinal):
            table = <Table> self.table_of(event)
            if table.came_with.get(self.rows.get(event)) in wanted:
                self._repeat(event, new_ordinal)
                self._kill(event)

    cdef Py_ssize_t _repeat(self, Py_ssize_t event, uint32_t ordinal) except -1:
        """Append an event once more, as that of another profile."""
        return self.append(ordinal, self.event(event))

    def event(self, Py_ssize_t index):
        """Return the event at `index` as it came, numbers rounded to millionths."""
        cdef Table table = <Table> self.table_of(index)
        cdef Py_ssize_t row = self.rows.get(index)
        cdef int64_t start = table.id_ends.get(row - 1) if row else 0
        cdef FieldColumn column
        properties = {
            self.texts.text(column.key >> 3): decode_value(
                self.texts, column.key, column.get(row)
            )
            for column in table.fields if column.get(row) != MISSING
        }
        lines = range(table.first_line(row), table.item_ends.get(row))
        bare = table.bare is not None and table.bare.get(row) == 1
        return Event(
            event_id=table.id_heap.data[start:table.id_ends.get(row)].decode(),
            type=self.texts.text(table.type_id),
            occurred_ms=table.occurred.get(row),
            received_ms=table.received.get(row),
            came_with=self.texts.text(table.came_with.get(row)),
            properties=properties,
            items=() if bare else tuple([self._item(table, line) for line in lines]),
        )

    def _item(self, Table table, Py_ssize_t line):
        cdef uint32_t category = table.categories.get(line)
        cdef uint32_t brand = table.brands.get(line)
        cdef int64_t price = table.prices.get(line)
        return Item(
            sku=self.texts.text(table.skus.get(line)),
            category=self.texts.text(category) if category else None,
            brand=self.texts.text(brand) if brand else None,
            price=None if price == MISSING else decode_number(price),
            quantity=decode_number(table.quantities.get(line)),
        )

    def layout(self):
        """Return the event types in the order of their tables, each with its fields, for JSON."""
        cdef Table table
        return [[table.type_id, *table.layout()] for table in self.tables]

    def lay_out(self, layout):
        """Make the tables as they were when `layout` was asked."""
        cdef Table table
        for type_id, *fields in layout:
            if self.places.find(type_id) >= 0:
                raise ValueError(f"events: expected each type once, found {type_id} twice")
            self._add_table(type_id)
            table = self.table(type_id)
            table.lay_out(fields)

    def restore(self):
        """Check the columns after they were loaded, and rebuild what hangs on them.

        Raises ValueError where they disagree.
        """
        cdef Table table
        for table in self.tables:
            if not 0 < table.type_id <= len(self.texts):
                raise ValueError(f"events: expected types among the texts, found {table.type_id}")
            table.restore()
            self.any_dead |= table.any_dead
        self._restore_spine()

    def _restore_spine(self):
        """Check that spine and tables name each other, and rebuild the heads of the chains."""
        cdef Py_ssize_t event, place
        cdef Py_ssize_t count = self.types.size
        cdef uint32_t row, ordinal
        cdef Table table
        cdef Uint32Column met = Uint32Column()
        met.resize(len(self.tables))
        if self.rows.size != count or self.previous.size != count:
            raise ValueError(f"events: expected {count} rows and chains, found others")
        self.newest.resize(0)
        for event in range(count):
            place = self.places.find(self.types.get(event))
            row = self.rows.get(event)
            if place < 0 or row != met.get(place):
                raise ValueError(f"events: expected the rows of a type in order at {event}")
            table = <Table> self.table_pointers[place]
            if row >= table.ordinals.size or table.events.get(row) != event:
                raise ValueError(f"events: expected a row for each event, found none at {event}")
            met.put(place, row + 1)
            ordinal = table.ordinals.get(row)
            if ordinal >= self.newest.size:
                self.newest.resize(ordinal + 1)
            if self.previous.get(event) != self.newest.get(ordinal):
                raise ValueError(f"events: expected a chain back, found another at {event}")
            self.newest.put(ordinal, <uint32_t> (event + 1))
        for place, table in enumerate(self.tables):
            if met.get(place) != table.ordinals.size:
                raise ValueError(f"type.{table.type_id}: expected an event for each row")


cdef class Draft:
    """One event of Python as an `EventView`, which holds until the next is encoded."""

    def __cinit__(self, Texts texts):
        self.texts = texts
        self.keys = Uint32Column()
        self.values = Int64Column()
        self.skus = Uint32Column()
        self.categories = Uint32Column()
        self.brands = Uint32Column()
        self.prices = Int64Column()
        self.quantities = Int64Column()

    cdef int encode(self, uint32_t ordinal, object event, EventView* view) except -1:
        """Fill the view; raises ValueError for values that cannot be kept."""
        self._clear()
        view.ordinal = ordinal
        view.occurred_ms = checked_time(event.occurred_ms, "occurred_ms")
        view.received_ms = checked_time(event.received_ms, "received_ms")
        self.event_id = event.event_id.encode()
        view.id = self.event_id
        view.id_length = len(self.event_id)
        view.type_id = self.texts.intern(event.type)
        view.came_with = self.texts.intern(event.came_with)
        self._encode_properties(event.properties)
        self._encode_items(event)
        view.property_count = self.keys.size
        view.property_keys = <const uint32_t*> self.keys.data
        view.property_values = <const int64_t*> self.values.data
        view.item_count = self.skus.size
        view.skus = <const uint32_t*> self.skus.data
        view.categories = <const uint32_t*> self.categories.data
        view.brands = <const uint32_t*> self.brands.data
        view.prices = <const int64_t*> self.prices.data
        view.quantities = <const int64_t*> self.quantities.data
        view.bare = view.item_count > 0 and not event.items
        return 0

    cdef int _clear(self) except -1:
        self.keys.resize(0)
        self.values.resize(0)
        self.skus.resize(0)
        self.categories.resize(0)
        self.brands.resize(0)
        self.prices.resize(0)
        self.quantities.resize(0)
        return 0

    cdef int _encode_properties(self, object properties) except -1:
        """Take the properties in the order of their names, since a mapping's own is nobody's."""
        cdef uint32_t kind = 0
        cdef uint32_t name_id
        for name in sorted(properties):
            name_id = self.texts.intern(name)
            self.values.append(encode_value(self.texts, name, properties[name], &kind))
            self.keys.append(name_id << 3 | kind)
        return 0

    cdef int _encode_items(self, object event) except -1:
        """Take the event's lines; a bare `sku` is one line of quantity 1."""
        properties = event.properties
        if event.items:
            for item in event.items:
                self._encode_item(item.sku, item.category, item.brand, item.price, item.quantity)
            return 0
        sku = properties.get("sku")
        if isinstance(sku, str):
            category = properties.get("category")
            brand = properties.get("brand")
            price = properties.get("price")
            self._encode_item(
                sku,
                category if isinstance(category, str) else None,
                brand if isinstance(brand, str) else None,
                price if isinstance(price, float) else None,
                1.0,
            )
        return 0

    cdef int _encode_item(
        self, str sku, object category, object brand, object price, object quantity
    ) except -1:
        self.skus.append(self.texts.intern(sku))
        self.categories.append(0 if category is None else self.texts.intern(category))
        self.brands.append(0 if brand is None else self.texts.intern(brand))
        self.prices.append(MISSING if price is None else encode_number("price", price))
        self.quantities.append(encode_number("quantity", quantity))
        return 0
