# distutils: extra_compile_args = -fno-tree-slp-vectorize
"""Events of `coterie.type.v1`, read from their bytes into a batch.

The same as `services.segmentation.wire.event_of`: of a repeated field the last counts, a property
without a value is none, what a line lacks is the catalog's, numbers are rounded half to even.
"""

from libc.math cimport llrint
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.string cimport memchr, memcpy

from segcore._catalog cimport CatalogEntry
from segcore._memo cimport Memo
from segcore._program cimport MISSING
from segcore._wire cimport (
    BAD,
    ODD,
    WELL,
    enter,
    judge,
    pass_text,
    read_fixed64,
    read_tag,
    read_text,
    read_varint,
    skip_field,
    take,
    within,
)

from segcore.micro import TIME_LIMIT_MS
from segcore.rule import NUMBER_LIMIT

cdef double LIMIT = NUMBER_LIMIT
cdef int64_t TIME_LIMIT = TIME_LIMIT_MS
cdef int64_t FIRST_SECOND = -62_135_596_800
cdef int64_t LAST_SECOND = 253_402_300_799
cdef int64_t NANOS = 1_000_000_000

cdef enum Kind:
    NOTHING = -1
    NUMBER = 0
    TEXT = 1
    FLAG = 2
    TIME = 3
    DATE = 4
    TEXTS = 5


cdef int read_event(
    const Cursor* given, EventParts* parts, Batch batch, Catalog catalog
) except -2 nogil:
    """Add the properties and the lines of an event, and read the rest of it."""
    cdef Cursor event, part
    cdef Py_ssize_t lines = 0
    cdef uint32_t tag = 0
    cdef Label type_name
    cdef Text ignored
    cdef int64_t seconds = 0
    cdef int64_t nanos = 0
    cdef bint timed = False
    cdef Py_ssize_t identities = 0
    cdef int found
    take(given, &event)
    batch.memo.make_empty(&type_name, event.at)
    parts.event_id = type_name.text
    parts.properties = batch.property_count
    parts.waiting_count = 0
    while event.at < event.end:
        if read_tag(&event, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&event, b"event_id", -1, read_text(&event, &parts.event_id))
        elif tag == 18:
            found = within(&event, b"type", -1, read_label(&event, batch.memo, &type_name))
        elif tag == 26:
            found = within(&event, b"identities", identities, pass_identity(enter(&event, &part)))
            identities += 1
        elif tag == 34:
            found = within(&event, b"primary_namespace", -1, read_text(&event, &ignored))
        elif tag == 42:
            timed = True
            found = read_timestamp(enter(&event, &part), &seconds, &nanos)
            within(&event, b"occurred_time", -1, found)
        elif tag == 50:
            found = read_line(enter(&event, &part), batch, catalog)
            within(&event, b"items", lines, found)
            lines += 1
        elif tag == 58:
            found = read_property(enter(&event, &part), parts, batch)
            within(&event, b"properties", -1, found)
        else:
            found = skip_field(&event, tag)
        if found != WELL:
            return found
    if not -TIME_LIMIT <= parts.received_ms <= TIME_LIMIT:
        return ODD
    parts.occurred_ms = parts.received_ms
    if timed:
        if not is_time(seconds, nanos):
            return ODD
        parts.occurred_ms = min(seconds * 1000 + nanos // 1_000_000, parts.received_ms)
    parts.type_id = batch.memo.intern(&type_name)
    if put_waiting(parts, batch) == ODD:
        return ODD
    if not lines:
        add_bare_line(batch, parts.properties, catalog)
    return WELL


cdef inline int read_label(Cursor* cursor, Memo memo, Label* label) noexcept nogil:
    """Read a text and look it up; ODD where it has U+0000."""
    if pass_text(cursor, &label.text) == BAD:
        return BAD
    if memo.look_up(label, <const uint8_t*> label.text.data <= cursor.pack.last_spelled):
        return WELL         # what is kept there was checked when it came first
    return judge(cursor.pack, label.text)


cdef int read_timestamp(const Cursor* given, int64_t* seconds, int64_t* nanos) noexcept nogil:
    cdef Cursor time
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    if take(given, &time) == BAD:
        return BAD
    while time.at < time.end:
        if read_tag(&time, &tag) == BAD:
            return BAD
        if tag == 8:
            if read_varint(&time, &number) == BAD:
                return BAD
            seconds[0] = <int64_t> number
        elif tag == 16:
            if read_varint(&time, &number) == BAD:
                return BAD
            nanos[0] = <int32_t> <uint32_t> number
        elif skip_field(&time, tag) == BAD:
            return BAD
    return WELL


cdef inline bint is_time(int64_t seconds, int64_t nanos) noexcept nogil:
    """Tell whether these are of the years 1 to 9999."""
    return FIRST_SECOND <= seconds <= LAST_SECOND and 0 <= nanos < NANOS


cdef int read_line(const Cursor* given, Batch batch, Catalog catalog) except -2 nogil:
    """Add one line, completed from the catalog."""
    cdef Cursor line
    cdef uint32_t tag = 0
    cdef Label sku, category, brand
    cdef int64_t price = MISSING
    cdef int64_t quantity = 1_000_000
    cdef int found
    if take(given, &line) == BAD:
        return BAD
    batch.memo.make_empty(&sku, line.at)
    category.text.length = brand.text.length = 0
    while line.at < line.end:
        if read_tag(&line, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&line, b"sku", -1, read_label(&line, batch.memo, &sku))
        elif tag == 17:
            found = within(&line, b"quantity", -1, read_number(&line, &quantity))
        elif tag == 25:
            found = within(&line, b"price", -1, read_number(&line, &price))
        elif tag == 34:
            found = within(&line, b"category", -1, read_label(&line, batch.memo, &category))
        elif tag == 42:
            found = within(&line, b"brand", -1, read_label(&line, batch.memo, &brand))
        else:
            found = skip_field(&line, tag)
        if found != WELL:
            return found
    add_line(
        batch,
        catalog,
        batch.memo.intern(&sku),
        batch.memo.intern(&category) if category.text.length else 0,
        batch.memo.intern(&brand) if brand.text.length else 0,
        price,
        quantity,
    )
    return WELL


cdef inline int add_line(
    Batch batch,
    Catalog catalog,
    uint32_t sku,
    uint32_t category,
    uint32_t brand,
    int64_t price,
    int64_t quantity,
) except -2 nogil:
    cdef CatalogEntry* known
    if not category or not brand or price == MISSING:
        known = catalog.find(sku)
        if known.sku:
            category = category if category else known.category
            brand = brand if brand else known.brand
            price = known.price if price == MISSING else price
    batch.add_item(sku, category, brand, price, quantity)
    return WELL


cdef int add_bare_line(Batch batch, Py_ssize_t start, Catalog catalog) except -2 nogil:
    """Add the line of an event that names its one item among its properties."""
    cdef uint32_t sku = 0
    cdef uint32_t category = 0
    cdef uint32_t brand = 0
    cdef int64_t price = MISSING
    cdef Py_ssize_t place
    cdef uint32_t key
    for place in range(start, batch.property_count):
        key = batch.property_keys[place]
        if key == (catalog.sku_name << 3 | TEXT):
            sku = <uint32_t> batch.property_values[place]
        elif key == (catalog.category_name << 3 | TEXT):
            category = <uint32_t> batch.property_values[place]
        elif key == (catalog.brand_name << 3 | TEXT):
            brand = <uint32_t> batch.property_values[place]
        elif key == (catalog.price_name << 3 | NUMBER):
            price = batch.property_values[place]
    if sku:
        category = 0 if category == catalog.empty else category
        brand = 0 if brand == catalog.empty else brand
        add_line(batch, catalog, sku, category, brand, price, 1_000_000)
    return WELL


cdef int read_number(Cursor* message, int64_t* micro) noexcept nogil:
    """Read a number in millionths; ODD beyond the limit."""
    cdef uint64_t bits = 0
    cdef double number
    if read_fixed64(message, &bits) == BAD:
        return BAD
    memcpy(&number, &bits, 8)
    if not -LIMIT <= number <= LIMIT:       # not-a-number neither
        return ODD
    micro[0] = llrint(number * 1e6)
    return WELL


cdef int read_property(const Cursor* given, EventParts* parts, Batch batch) except -2 nogil:
    """Read one property; its texts wait, so that those of several are fetched at once."""
    cdef Cursor entry, value
    cdef uint32_t tag = 0
    cdef Property* it
    cdef bint valued = False
    cdef int found
    if take(given, &entry) == BAD:
        return BAD
    if parts.waiting_count == WAITING and put_waiting(parts, batch) == ODD:
        return ODD
    it = &parts.waiting[parts.waiting_count]
    batch.memo.make_empty(&it.name, entry.at)
    batch.memo.make_empty(&it.text, entry.at)
    it.kind = NOTHING
    it.kept = 0
    while entry.at < entry.end:
        if read_tag(&entry, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&entry, b"key", -1, read_label(&entry, batch.memo, &it.name))
        elif tag == 18:
            if valued:
                return ODD
            valued = True
            found = read_value(enter(&entry, &value), parts.scratch, it, batch.memo)
            within(&entry, b"value", -1, found)
        else:
            return ODD      # of such an entry not all readers of protobuf make the same
        if found != WELL:
            return found
    if it.kind == TEXTS:
        # Now, since the next one takes its place.
        it.kept = batch.texts.intern_bytes(it.text.text.data, it.text.text.length)
    elif it.kind == TEXT and not it.text.text_id:
        batch.memo.texts.fetch_slot(it.text.hash)
    parts.waiting_count += 1
    return WELL


cdef int put_waiting(EventParts* parts, Batch batch) except -2 nogil:
    """Add the properties that wait, each in the place of a former one of its name."""
    cdef Py_ssize_t place
    cdef Property* it
    cdef uint32_t name_id
    for place in range(parts.waiting_count):
        it = &parts.waiting[place]
        if it.kind == TEXT and not it.text.text_id:
            batch.memo.texts.fetch_end(it.text.hash)
    for place in range(parts.waiting_count):
        it = &parts.waiting[place]
        if it.kind == TEXT and not it.text.text_id:
            batch.memo.texts.fetch_text(it.text.hash)
    for place in range(parts.waiting_count):
        it = &parts.waiting[place]
        name_id = batch.memo.intern(&it.name)
        if it.kind == TEXT:
            it.kept = batch.memo.intern(&it.text)
        if batch.property_count - parts.properties == PROPERTY_LIMIT:
            return ODD
        put_property(batch, parts.properties, name_id, it.kind, it.kept)
    parts.waiting_count = 0
    return WELL


cdef int put_property(
    Batch batch, Py_ssize_t start, uint32_t name_id, int kind, int64_t kept
) except -1 nogil:
    """Add a property; without a value it is none, and takes away the former one."""
    cdef Py_ssize_t place = start
    cdef Py_ssize_t last
    while place < batch.property_count and batch.property_keys[place] >> 3 != name_id:
        place += 1
    if kind != NOTHING:
        if place == batch.property_count:
            batch.add_property(name_id << 3 | kind, kept)
        else:
            batch.property_keys[place] = name_id << 3 | kind
            batch.property_values[place] = kept
    elif place < batch.property_count:
        last = batch.property_count - 1
        batch.property_keys[place] = batch.property_keys[last]
        batch.property_values[place] = batch.property_values[last]
        batch.property_count = last
    return 0


cdef int read_value(const Cursor* given, char* scratch, Property* it, Memo memo) noexcept nogil:
    """Read a Value, of which the last kind counts."""
    cdef Cursor value, part
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef int found
    if take(given, &value) == BAD:
        return BAD
    while value.at < value.end:
        if read_tag(&value, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&value, b"text", -1, read_label(&value, memo, &it.text))
            it.kind = TEXT
        elif tag == 17:
            found = within(&value, b"number", -1, read_number(&value, &it.kept))
            it.kind = NUMBER
        elif tag == 24:
            found = within(&value, b"flag", -1, read_varint(&value, &number))
            it.kept = number != 0
            it.kind = FLAG
        elif tag == 34:
            if it.kind == TIME:
                return ODD
            found = within(&value, b"time", -1, read_time(enter(&value, &part), &it.kept))
            it.kind = TIME
        elif tag == 42:
            if it.kind == DATE:
                return ODD
            found = within(&value, b"date", -1, read_date(enter(&value, &part), &it.kept))
            it.kind = DATE
        elif tag == 50:
            if it.kind == TEXTS:
                return ODD
            found = read_texts(enter(&value, &part), scratch, &it.text.text)
            within(&value, b"texts", -1, found)
            it.kind = TEXTS
        else:
            found = skip_field(&value, tag)
        if found != WELL:
            return found
    return WELL


cdef int read_time(const Cursor* given, int64_t* kept) noexcept nogil:
    cdef int64_t seconds = 0
    cdef int64_t nanos = 0
    if read_timestamp(given, &seconds, &nanos) == BAD:
        return BAD
    if not is_time(seconds, nanos):
        return ODD
    kept[0] = seconds * 1000 + nanos // 1_000_000
    return WELL


cdef int read_date(const Cursor* given, int64_t* kept) noexcept nogil:
    """Read a date as days since 1970; ODD for a day that there is not."""
    cdef Cursor date
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef int32_t parts[3]
    parts[0] = parts[1] = parts[2] = 0
    if take(given, &date) == BAD:
        return BAD
    while date.at < date.end:
        if read_tag(&date, &tag) == BAD:
            return BAD
        if tag == 8 or tag == 16 or tag == 24:
            if read_varint(&date, &number) == BAD:
                return BAD
            parts[(tag >> 3) - 1] = <int32_t> <uint32_t> number
        elif skip_field(&date, tag) == BAD:
            return BAD
    if not (1 <= parts[0] <= 9999 and 1 <= parts[1] <= 12 and 1 <= parts[2] <= 31):
        return ODD
    kept[0] = day_number(parts[0], parts[1], parts[2])
    # A day beyond its month is one of the next: the first of that is not after it.
    if parts[2] > 28 and kept[0] >= first_of_next(parts[0], parts[1]):
        return ODD
    return WELL


cdef inline int64_t day_number(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Return the days since 1970-01-01, counting years from March, so that leap days come last."""
    cdef int64_t shifted = year - (month <= 2)
    cdef int64_t in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + in_year - 719_468


cdef inline int64_t first_of_next(int64_t year, int64_t month) noexcept nogil:
    return day_number(year + month // 12, month % 12 + 1, 1)


cdef int read_texts(const Cursor* given, char* scratch, Text* text) noexcept nogil:
    """Read a list as one text, each element ended by U+001F; ODD where one has it."""
    cdef Cursor elements
    cdef uint32_t tag = 0
    cdef Text element
    cdef Py_ssize_t index = 0
    cdef int found
    text.data = scratch
    text.length = 0
    if take(given, &elements) == BAD:
        return BAD
    while elements.at < elements.end:
        if read_tag(&elements, &tag) == BAD:
            return BAD
        if tag != 10:
            if skip_field(&elements, tag) == BAD:
                return BAD
            continue
        found = within(&elements, b"values", index, read_text(&elements, &element))
        index += 1
        if found != WELL:
            return found
        if text.length + element.length >= SCRATCH_BYTES:
            return ODD
        if memchr(element.data, 0x1F, element.length) != NULL:
            return ODD
        memcpy(scratch + text.length, element.data, element.length)
        text.length += element.length
        scratch[text.length] = 0x1F
        text.length += 1
    return WELL


cdef int pass_identity(const Cursor* given) noexcept nogil:
    """Pass over an identifier, whose texts are checked all the same."""
    cdef Cursor identity
    cdef uint32_t tag = 0
    cdef Text ignored
    cdef int found
    if take(given, &identity) == BAD:
        return BAD
    while identity.at < identity.end:
        if read_tag(&identity, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&identity, b"namespace", -1, read_text(&identity, &ignored))
        elif tag == 18:
            found = within(&identity, b"value", -1, read_text(&identity, &ignored))
        else:
            found = skip_field(&identity, tag)
        if found == BAD:
            return BAD
    return WELL


cdef int read_assigned(const Cursor* given) noexcept nogil:
    """Check the body of an identifier that is given to a person: the event beside it says whose."""
    cdef Cursor assigned, part
    cdef uint32_t tag = 0
    take(given, &assigned)
    while assigned.at < assigned.end:
        if read_tag(&assigned, &tag) == BAD:
            return BAD
        if tag == 10:
            if pass_identity(enter(&assigned, &part)) == BAD:
                return within(&assigned, b"identity", -1, BAD)
        elif skip_field(&assigned, tag) == BAD:
            return BAD
    return WELL
