"""The events of one partition in columns, and the profiles' chains through them.

One row an event, in order of arrival; properties and items lie in tables of their own, and an event
holds where its part of them ends, so a field costs room only where it is present. A profile's
events are a chain from the newest back. Missing is `MISSING` among values and 0 among texts.
"""

from libc.math cimport INFINITY, llrint, nextafter

from segcore._columns cimport Column
from segcore._program cimport MISSING, Source, kind_code

from segcore.history import Event, Item
from segcore.micro import INT64_MAX, TIME_LIMIT_MS
from segcore.rule import NUMBER_LIMIT, Kind

cdef double LIMIT = NUMBER_LIMIT
cdef int64_t TIME_LIMIT = TIME_LIMIT_MS
cdef Py_ssize_t EVENT_LIMIT = 0xFFFFFFFE
"""A chain holds the index of an event plus one in 32 bits."""

KINDS = (Kind.NUMBER, Kind.TEXT, Kind.FLAG, Kind.TIME)
cdef uint32_t NUMBER = kind_code(Kind.NUMBER)
cdef uint32_t TEXT = kind_code(Kind.TEXT)
cdef uint32_t FLAG = kind_code(Kind.FLAG)
cdef uint32_t TIME = kind_code(Kind.TIME)


cdef int64_t checked_time(object instant_ms, str what) except? -1:
    """Return an instant; raises ValueError beyond TIME_LIMIT_MS."""
    if not -TIME_LIMIT <= instant_ms <= TIME_LIMIT:
        raise ValueError(f"{what}: expected an instant within {TIME_LIMIT} ms, found {instant_ms}")
    return instant_ms


cdef int64_t encode_number(str name, double value) except? -1:
    """Return `value` in millionths; the rounding is that of `micro.from_float`."""
    if not -LIMIT <= value <= LIMIT:
        raise ValueError(f"{name}: expected a number within {NUMBER_LIMIT}, found {value!r}")
    return llrint(value * 1e6)


cdef double decode_number(int64_t micro) noexcept:
    """Return a float that comes in as `micro`: the nearest may not, above two billion."""
    cdef double value = micro / 1e6
    if llrint(value * 1e6) > micro:
        return nextafter(value, -INFINITY)
    if llrint(value * 1e6) < micro:
        return nextafter(value, INFINITY)
    return value


cdef int64_t encode_value(Texts texts, str name, object value, uint32_t* kind) except? -1:
    """Return a value as it is kept, and its kind; raises ValueError for what cannot be kept."""
    if isinstance(value, str):
        kind[0] = TEXT
        return texts.intern(value)
    if isinstance(value, float):
        kind[0] = NUMBER
        return encode_number(name, value)
    if isinstance(value, bool):
        kind[0] = FLAG
        return 1 if value else 0
    if isinstance(value, int):
        kind[0] = TIME
        if not -INT64_MAX <= value <= INT64_MAX:
            raise ValueError(f"{name}: expected an instant of 64 bits, found {value}")
        return value
    raise ValueError(f"{name}: expected a float, int, bool or str, found {type(value).__name__}")


cdef object decode_value(Texts texts, uint32_t key, int64_t value):
    """Return the Python value of a stored one."""
    cdef uint32_t kind = key & 3
    if kind == NUMBER:
        return decode_number(value)
    if kind == TEXT:
        return texts.text(<uint32_t> value)
    return bool(value) if kind == FLAG else value


cdef class Events:
    """All events that the engine was given."""

    def __cinit__(self, Texts texts):
        self.texts = texts
        self.ordinals = Uint32Column()
        self.types = Uint32Column()
        self.occurred = Int64Column()
        self.received = Int64Column()
        self.ids = Uint32Column()
        self.came_with = Uint32Column()
        self.previous = Uint32Column()
        self.newest = Uint32Column()
        self.bare = ByteColumn()
        self.property_ends = Int64Column()
        self.property_keys = Uint32Column()
        self.property_values = Int64Column()
        self.item_ends = Int64Column()
        self.skus = Uint32Column()
        self.categories = Uint32Column()
        self.brands = Uint32Column()
        self.prices = Int64Column()
        self.quantities = Int64Column()
        self.property_ends.append(0)
        self.item_ends.append(0)

    def __len__(self):
        return self.ordinals.size

    @property
    def row_count(self):
        """How many rows of items there are."""
        return self.skus.size

    cdef Py_ssize_t append(self, uint32_t ordinal, object event) except -1:
        """Add an event and return its index; on ValueError nothing was added."""
        cdef Py_ssize_t index = self.ordinals.size
        cdef int64_t occurred_ms = checked_time(event.occurred_ms, "occurred_ms")
        cdef int64_t received_ms = checked_time(event.received_ms, "received_ms")
        cdef uint32_t event_id = self.texts.intern(event.event_id)
        cdef uint32_t type_id = self.texts.intern(event.type)
        cdef uint32_t came_with = self.texts.intern(event.came_with)
        if index >= EVENT_LIMIT:
            raise ValueError(f"expected at most {EVENT_LIMIT} events, found more")
        try:
            self._append_properties(event.properties)
            self._append_items(event)
        except BaseException:
            self._truncate(index)
            raise
        self.bare.append(self.skus.size > self.item_ends.get(index) and not event.items)
        self.property_ends.append(self.property_keys.size)
        self.item_ends.append(self.skus.size)
        self.ordinals.append(ordinal)
        self.types.append(type_id)
        self.occurred.append(occurred_ms)
        self.received.append(received_ms)
        self.ids.append(event_id)
        self.came_with.append(came_with)
        if ordinal >= self.newest.size:
            self.newest.resize(ordinal + 1)
        self.previous.append(self.newest.get(ordinal))
        self.newest.put(ordinal, <uint32_t> (index + 1))
        return index

    def _truncate(self, Py_ssize_t index):
        """Forget the properties and items that were written for the event at `index`."""
        cdef Column column
        for column in (self.property_keys, self.property_values):
            column.resize(self.property_ends.get(index))
        for column in (self.skus, self.categories, self.brands, self.prices, self.quantities):
            column.resize(self.item_ends.get(index))

    cdef int _append_properties(self, object properties) except -1:
        """Add the properties in the order of their names, since a mapping's own is nobody's."""
        cdef uint32_t kind = 0
        cdef uint32_t name_id
        cdef int64_t value
        for name in sorted(properties):
            name_id = self.texts.intern(name)
            value = encode_value(self.texts, name, properties[name], &kind)
            self.property_values.append(value)
            self.property_keys.append(name_id << 2 | kind)
        return 0

    cdef int _append_items(self, object event) except -1:
        """Add the event's lines; a bare `sku` is one line of quantity 1."""
        properties = event.properties
        if event.items:
            for item in event.items:
                self._append_item(item.sku, item.category, item.brand, item.price, item.quantity)
            return 0
        sku = properties.get("sku")
        if isinstance(sku, str):
            category = properties.get("category")
            brand = properties.get("brand")
            price = properties.get("price")
            self._append_item(
                sku,
                category if isinstance(category, str) else None,
                brand if isinstance(brand, str) else None,
                price if isinstance(price, float) else None,
                1.0,
            )
        return 0

    cdef int _append_item(
        self, str sku, object category, object brand, object price, object quantity
    ) except -1:
        cdef uint32_t sku_id = self.texts.intern(sku)
        cdef uint32_t category_id = 0 if category is None else self.texts.intern(category)
        cdef uint32_t brand_id = 0 if brand is None else self.texts.intern(brand)
        cdef int64_t price_micro = MISSING if price is None else encode_number("price", price)
        self.quantities.append(encode_number("quantity", quantity))
        self.skus.append(sku_id)
        self.categories.append(category_id)
        self.brands.append(brand_id)
        self.prices.append(price_micro)
        return 0

    cdef int64_t property_at(self, Py_ssize_t event, uint32_t key) noexcept nogil:
        """Return a property's value, MISSING where the event has none of that name and kind."""
        cdef Py_ssize_t place
        for place in range(self.property_ends.get(event), self.property_ends.get(event + 1)):
            if self.property_keys.get(place) == key:
                return self.property_values.get(place)
        return MISSING

    cdef int64_t read(self, Input* wanted, Py_ssize_t event, Py_ssize_t line) noexcept nogil:
        """Return one input of a program over rows: of the event, or of the item at `line`."""
        cdef uint32_t text_id
        if wanted.source == Source.PROPERTY:
            return self.property_at(event, wanted.argument)
        if wanted.source == Source.EVENT_ID:
            return self.ids.get(event)
        if wanted.source == Source.EVENT_TYPE:
            return self.types.get(event)
        if wanted.source == Source.OCCURRED:
            return self.occurred.get(event)
        if wanted.source == Source.RECEIVED:
            return self.received.get(event)
        if wanted.source == Source.PRICE:
            return self.prices.get(line)
        if wanted.source == Source.QUANTITY:
            return self.quantities.get(line)
        if wanted.source == Source.SKU:
            return self.skus.get(line)
        text_id = (
            self.categories.get(line)
            if wanted.source == Source.CATEGORY
            else self.brands.get(line)
        )
        return text_id if text_id else MISSING

    def of_profile(self, uint32_t ordinal):
        """Return the indexes of a profile's events, in order of arrival."""
        cdef list indexes = []
        cdef uint32_t place = self.newest.peek(ordinal)
        while place:
            indexes.append(place - 1)
            place = self.previous.get(place - 1)
        indexes.reverse()
        return indexes

    cdef int unite(self, uint32_t winner, uint32_t loser) except -1:
        """Make the loser's events the winner's: one chain in order of arrival."""
        cdef list moved = self.of_profile(loser)
        cdef list united = sorted(self.of_profile(winner) + moved)
        cdef uint32_t place = 0
        cdef Py_ssize_t index
        for index in moved:
            self.ordinals.put(index, winner)
        for index in united:
            self.previous.put(index, place)
            place = <uint32_t> (index + 1)
        if winner >= self.newest.size:
            self.newest.resize(winner + 1)
        self.newest.put(winner, place)
        if loser < self.newest.size:
            self.newest.put(loser, 0)
        return 0

    cdef int drop(self, uint32_t ordinal) except -1:
        """Make a profile's events nobody's: their rows stay, of ordinal 0."""
        cdef Py_ssize_t index
        for index in self.of_profile(ordinal):
            self.ordinals.put(index, 0)
            self.previous.put(index, 0)
        if ordinal < self.newest.size:
            self.newest.put(ordinal, 0)
        return 0

    def event(self, Py_ssize_t index):
        """Return the event at `index` as it came, numbers rounded to millionths."""
        cdef Texts texts = self.texts
        cdef Py_ssize_t place
        properties = {
            texts.text(self.property_keys.get(place) >> 2): decode_value(
                texts, self.property_keys.get(place), self.property_values.get(place)
            )
            for place in range(self.property_ends.get(index), self.property_ends.get(index + 1))
        }
        lines = range(self.item_ends.get(index), self.item_ends.get(index + 1))
        return Event(
            event_id=texts.text(self.ids.get(index)),
            type=texts.text(self.types.get(index)),
            occurred_ms=self.occurred.get(index),
            received_ms=self.received.get(index),
            came_with=texts.text(self.came_with.get(index)),
            properties=properties,
            items=() if self.bare.get(index) else tuple([self._item(line) for line in lines]),
        )

    def _item(self, Py_ssize_t line):
        cdef uint32_t category = self.categories.get(line)
        cdef uint32_t brand = self.brands.get(line)
        cdef int64_t price = self.prices.get(line)
        return Item(
            sku=self.texts.text(self.skus.get(line)),
            category=self.texts.text(category) if category else None,
            brand=self.texts.text(brand) if brand else None,
            price=None if price == MISSING else decode_number(price),
            quantity=decode_number(self.quantities.get(line)),
        )

    def columns(self):
        """Return the columns by name, as they are written to a snapshot."""
        return {
            "events.ordinals": self.ordinals,
            "events.types": self.types,
            "events.occurred": self.occurred,
            "events.received": self.received,
            "events.ids": self.ids,
            "events.came_with": self.came_with,
            "events.previous": self.previous,
            "events.newest": self.newest,
            "events.bare": self.bare,
            "events.property_ends": self.property_ends,
            "events.item_ends": self.item_ends,
            "properties.keys": self.property_keys,
            "properties.values": self.property_values,
            "items.skus": self.skus,
            "items.categories": self.categories,
            "items.brands": self.brands,
            "items.prices": self.prices,
            "items.quantities": self.quantities,
        }

    def restore(self):
        """Check the columns after they were loaded; raises ValueError where they disagree."""
        cdef Py_ssize_t index
        cdef Py_ssize_t count = self.ordinals.size
        for name, column in self.columns().items():
            expected = {
                "events": count, "properties": self.property_keys.size, "items": self.skus.size
            }[name.split(".")[0]]
            expected += name in ("events.property_ends", "events.item_ends")
            if name != "events.newest" and len(column) != expected:
                raise ValueError(f"{name}: expected {expected} values, found {len(column)}")
        for name, ends, total in (
            ("events.property_ends", self.property_ends, self.property_keys.size),
            ("events.item_ends", self.item_ends, self.skus.size),
        ):
            check_ends(name, ends, total)
        for name in ("types", "ids", "came_with"):
            check_texts(name, self.columns()[f"events.{name}"], 1, len(self.texts))
        for name, least in (("skus", 1), ("categories", 0), ("brands", 0)):
            check_texts(name, self.columns()[f"items.{name}"], least, len(self.texts))
        for index in range(self.property_keys.size):
            check_cell("properties", self.texts, self.property_keys, self.property_values, index)
        for index in range(count):
            if self.previous.get(index) > index or self.ordinals.get(index) >= self.newest.size:
                raise ValueError(f"events: expected a chain back, found a step on at {index}")
        for index in range(self.newest.size):
            if self.newest.get(index) > count:
                raise ValueError(f"events.newest: expected at most {count} at {index}")


cdef int check_texts(str name, Uint32Column column, uint32_t least, Py_ssize_t most) except -1:
    cdef Py_ssize_t index
    for index in range(column.size):
        if not least <= column.get(index) <= most:
            raise ValueError(f"{name}: expected ids of {most} texts, found {column.get(index)}")
    return 0


cdef int check_cell(
    str name, Texts texts, Uint32Column keys, Int64Column values, Py_ssize_t index
) except -1:
    """Check one named value; raises ValueError where its texts are not there."""
    cdef uint32_t key = keys.get(index)
    cdef int64_t value = values.get(index)
    cdef Py_ssize_t most = len(texts)
    if not 0 < key >> 2 <= most:
        raise ValueError(f"{name}: expected names among {most} texts, found {key >> 2}")
    if key & 3 == TEXT and value != MISSING and not 0 < value <= most:
        raise ValueError(f"{name}: expected values among {most} texts, found {value}")
    return 0


cdef int check_ends(str name, Int64Column ends, Py_ssize_t total) except -1:
    cdef Py_ssize_t index
    if ends.get(0) != 0 or ends.get(ends.size - 1) != total:
        raise ValueError(f"{name}: expected ends from 0 to {total}")
    for index in range(1, ends.size):
        if ends.get(index) < ends.get(index - 1):
            raise ValueError(f"{name}: expected ascending ends, found a step back at {index}")
    return 0
