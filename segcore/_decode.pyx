# distutils: extra_compile_args = -fno-tree-slp-vectorize
"""Packs of facts, read from their bytes into batches: no Python object an event.

Inputs that are one event of one person are read here. All others, and events with anything unusual
(U+0000, numbers or times beyond their limits, a message in two parts), are given back as the places
of their bytes, so that Python decides them: what comes of a pack is what
`services.segmentation.wire.event_of` makes of it.
"""

from libc.stdlib cimport free, realloc

from segcore._batch cimport BatchRow
from segcore._event_wire cimport EventParts, read_assigned, read_event
from segcore._text_hash cimport Text, copy_bytes, hash_near
from segcore._wire cimport (
    BAD,
    ODD,
    WELL,
    enter,
    go_to,
    no_text,
    open_pack,
    place_of,
    read_tag,
    read_text,
    read_varint,
    skip_field,
    take,
    within,
)

cdef uint32_t FIRST_BODY = 10
cdef uint32_t LAST_BODY = 63       # bodies that are not known here are Python's, not nobody's
cdef int EVENT = 10
cdef int ASSIGNED = 13
cdef uint32_t LAST_ORDINAL = 0xFFFFFFFE

REASONS = {
    1: "expected a number of at most ten bytes, or five in a tag or a length; found a longer one",
    2: "expected more bytes, found the end",
    3: "expected the tag of a field, found something else",
    4: "expected a length within the message, found a greater one",
    5: "expected UTF-8, found something else",
    6: "expected a group that ends where it should, found another",
}


class MalformedBytes(ValueError):
    """Bytes that are no pack of facts: `offset` is where, `path` is in which field."""

    def __init__(self, offset: int, path: str, reason: str) -> None:
        super().__init__(f"{path or 'pack'} at byte {offset}: {reason}")
        self.offset = offset
        self.path = path
        self.reason = reason


cdef int check_contents(const Cursor* given) noexcept nogil:
    """Refuse what protobuf would, of what a pack says of itself; the kernel has no use for it."""
    cdef Cursor contents, bodies
    cdef Text event_type
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    if take(given, &contents) == BAD:
        return BAD
    while contents.at < contents.end:
        if read_tag(&contents, &tag) == BAD:
            return BAD
        if tag == 10:
            if enter(&contents, &bodies).at == NULL:
                return BAD
            while bodies.at < bodies.end:
                if read_varint(&bodies, &number) == BAD:
                    return BAD
        elif tag == 18:
            if read_text(&contents, &event_type) == BAD:
                return BAD
        elif skip_field(&contents, tag) == BAD:
            return BAD
    return WELL


cdef Py_ssize_t FEW_EVENTS = 64     # of a run: some 20 us


cdef class PackReader:
    """One pack, in order: `read_events` and `others` in turn until `done`.

    Raises MalformedBytes, a ValueError: here for the pack and the heads of its facts, from
    `read_events` for the contents of events.
    """

    def __cinit__(self, bytes payload not None):
        self.payload = payload
        open_pack(&self.pack, <const uint8_t*> <const char*> payload, len(payload))
        if self._scan() == BAD:
            self._refuse()

    def __dealloc__(self):
        free(self.facts)

    def __len__(self):
        return self.count

    @property
    def done(self):
        """Whether all facts were given out."""
        return self.place == self.count

    def read_events(self, Batch batch not None, Catalog catalog not None):
        """Fill `batch` with the inputs from here on that are one event each; return how many.

        Texts are those of the batch. A batch that raised is to be filled anew. Where runs are short,
        as that one is that the batch still holds, the GIL is kept: others would take it each time,
        and have it for longer than a run takes.
        """
        cdef int found
        cdef bint brief = batch.size < FEW_EVENTS
        if batch.texts is not catalog.texts:
            raise ValueError("expected a catalog of the batch's texts, found one of others")
        batch.begin(self.payload, <const char*> self.pack.start)
        if brief:
            found = self._read_events(batch, catalog)
        else:
            with nogil:
                found = self._read_events(batch, catalog)
        if found == BAD:
            self._refuse()
        return batch.size

    def others(self):
        """Return the inputs from here on that are none of these, each as the places of its facts.

        `payload[start:end]` is one Fact.
        """
        cdef list found = []
        cdef Py_ssize_t end, each
        while self.place < self.count:
            end = self._end_of_input(self.place)
            if not self.odd and self._is_plain(self.place, end):
                break
            self.odd = False
            found.append(
                [(self.facts[each].start, self.facts[each].end) for each in range(self.place, end)]
            )
            self.place = end
        return found

    def _refuse(self):
        cdef Py_ssize_t depth
        parts = []
        for depth in range(self.pack.depth - 1, -1, -1):
            name = self.pack.fields[depth].decode()
            index = self.pack.indexes[depth]
            parts.append(name if index < 0 else f"{name}[{index}]")
        raise MalformedBytes(self.pack.offset, ".".join(parts), REASONS[self.pack.reason])

    cdef int _scan(self) except -2 nogil:
        """Note where each fact lies, and its head."""
        cdef Cursor pack, part
        cdef uint32_t tag = 0
        cdef uint64_t number = 0
        go_to(&self.pack, 0, self.pack.length, &pack)
        while pack.at < pack.end:
            if read_tag(&pack, &tag) == BAD:
                return BAD
            if tag == 18:
                if self._note(enter(&pack, &part)) == BAD:
                    return within(&pack, b"facts", self.count, BAD)
            elif tag == 8:
                if read_varint(&pack, &number) == BAD:
                    return within(&pack, b"inbound_seq", -1, BAD)
                self.inbound_seq = <int64_t> number
            elif tag == 24:
                if read_varint(&pack, &number) == BAD:
                    return within(&pack, b"waiting_seq", -1, BAD)
                self.waiting_seq = <int64_t> number
            elif tag == 34:
                if check_contents(enter(&pack, &part)) == BAD:
                    return within(&pack, b"contents", -1, BAD)
            elif skip_field(&pack, tag) == BAD:
                return BAD
        return WELL

    cdef int _note(self, const Cursor* fact) except -2 nogil:
        """Keep the head of one more fact."""
        cdef FactHead* moved
        cdef FactHead* head
        cdef Py_ssize_t room
        if fact.at == NULL:
            return BAD
        if self.count == self.room:
            room = max(64, self.room * 2)
            moved = <FactHead*> realloc(self.facts, room * sizeof(FactHead))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for a pack of {room} facts")
            self.facts = moved
            self.room = room
        head = &self.facts[self.count]
        head.index = 0
        head.body = 0
        head.odd = False
        head.log_ms = head.received_ms = 0
        head.profile_id = 0
        head.body_start = head.body_end = 0
        head.start = place_of(&self.pack, fact.at)
        head.end = place_of(&self.pack, fact.end)
        if read_head(fact, head) == BAD:
            return BAD
        if head.body == EVENT and not head.odd:
            head.came_hash = hash_near(self.scratch, self._spell_came_with(head))
        self.count += 1
        return WELL

    cdef Py_ssize_t _end_of_input(self, Py_ssize_t place) noexcept nogil:
        """Return where the facts end that come from the same input as the one at `place`."""
        cdef uint32_t index = self.facts[place].index
        while place < self.count and self.facts[place].index == index:
            place += 1
        return place

    cdef bint _is_plain(self, Py_ssize_t place, Py_ssize_t end) noexcept nogil:
        """Tell whether an input is one event of one person, who may get identifiers by it."""
        cdef FactHead* event = &self.facts[end - 1]
        cdef uint32_t ordinal = <uint32_t> event.profile_id
        if event.body != EVENT or event.odd or not 0 < ordinal <= LAST_ORDINAL:
            return False
        while place < end - 1:
            if (
                self.facts[place].body != ASSIGNED
                or self.facts[place].odd
                or self.facts[place].profile_id != event.profile_id
            ):
                return False
            place += 1
        return True

    cdef int _read_events(self, Batch batch, Catalog catalog) except -2 nogil:
        cdef Py_ssize_t end
        cdef int found
        self.odd = False
        while self.place < self.count:
            end = self._end_of_input(self.place)
            if not self._is_plain(self.place, end):
                return WELL
            self._look_ahead(self.place, batch.texts)
            found = self._read_input(self.place, end, batch, catalog)
            if found == ODD:
                self.odd = True
                return WELL
            if found == BAD:
                return BAD
            self.place = end
        return WELL

    cdef int _read_input(
        self, Py_ssize_t place, Py_ssize_t end, Batch batch, Catalog catalog
    ) except -2 nogil:
        """Add one event to the batch; where it is BAD or ODD nothing was added."""
        cdef FactHead* head = &self.facts[end - 1]
        cdef BatchRow* row = batch.next_row()
        cdef EventParts parts
        cdef Py_ssize_t properties = batch.property_count
        cdef Py_ssize_t items = batch.item_count
        cdef Cursor body
        cdef int found = WELL
        while place < end - 1 and found == WELL:
            go_to(&self.pack, self.facts[place].body_start, self.facts[place].body_end, &body)
            found = within(&body, b"identity_assigned", -1, read_assigned(&body))
            place += 1
        if found == WELL:
            go_to(&self.pack, head.body_start, head.body_end, &body)
            parts.received_ms = head.received_ms
            parts.scratch = self.scratch
            found = within(&body, b"event", -1, read_event(&body, &parts, batch, catalog))
            place = end - 1
        if found != WELL:
            batch.property_count = properties
            batch.item_count = items
            return within(&body, b"facts", place, found)
        row.came_with = self._came_with(head, batch)
        row.ordinal = <uint32_t> head.profile_id
        row.index = head.index
        row.type_id = parts.type_id
        row.occurred_ms = parts.occurred_ms
        row.received_ms = head.received_ms
        row.log_ms = head.log_ms
        row.id_start = place_of(&self.pack, parts.event_id.data)
        row.id_length = parts.event_id.length
        row.trace_start = place_of(&self.pack, head.traceparent.data)
        row.trace_length = head.traceparent.length
        batch.end_row()
        return WELL

    cdef uint32_t _came_with(self, FactHead* head, Batch batch) except 0 nogil:
        """Return the id of `namespace:value`."""
        return batch.texts.intern_hashed(
            self.scratch, self._spell_came_with(head), head.came_hash
        )

    cdef Py_ssize_t _spell_came_with(self, FactHead* head) noexcept nogil:
        """Write `namespace:value` to the scratch; return how long it is."""
        cdef Py_ssize_t length = head.namespace.length
        copy_bytes(self.scratch, head.namespace.data, length)
        self.scratch[length] = b":"
        copy_bytes(self.scratch + length + 1, head.identifier.data, head.identifier.length)
        return length + 1 + head.identifier.length

    cdef void _look_ahead(self, Py_ssize_t place, Texts texts) noexcept nogil:
        """Bring near what will be asked of the dictionary for the facts to come.

        Identifiers are as many as people, so each step of a look-up is a miss: the slot of one
        fact, the end of another's text and the text of a third are fetched while one is read.
        """
        if place + 3 * AHEAD < self.count:
            texts.fetch_slot(self.facts[place + 3 * AHEAD].came_hash)
        if place + 2 * AHEAD < self.count:
            texts.fetch_end(self.facts[place + 2 * AHEAD].came_hash)
        if place + AHEAD < self.count:
            texts.fetch_text(self.facts[place + AHEAD].came_hash)


cdef int read_head(const Cursor* given, FactHead* head) noexcept nogil:
    """Read all of a fact but its body, of which the place is noted."""
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef Cursor fact, inner
    cdef Text ignored
    cdef int found
    take(given, &fact)
    head.namespace = head.identifier = head.traceparent = no_text(&fact)
    while fact.at < fact.end:
        if read_tag(&fact, &tag) == BAD:
            return BAD
        if tag & 7 == 0 and 8 <= tag <= 32:
            if read_varint(&fact, &number) == BAD:
                return BAD
            if tag == 8:
                head.index = <uint32_t> number
            elif tag == 16:
                head.log_ms = <int64_t> number
            elif tag == 24:
                head.received_ms = <int64_t> number
            else:
                head.profile_id = number
        elif tag == 42:
            found = read_identity(enter(&fact, &inner), &head.namespace, &head.identifier)
            if found == BAD:
                return within(&fact, b"came_with", -1, BAD)
            head.odd |= found == ODD
        elif tag == 50:
            if read_text(&fact, &head.traceparent) == BAD:
                return within(&fact, b"traceparent", -1, BAD)
        elif tag == 58:
            if read_text(&fact, &ignored) == BAD:
                return within(&fact, b"input_id", -1, BAD)
        elif tag & 7 == 2 and FIRST_BODY <= tag >> 3 <= LAST_BODY:
            if enter(&fact, &inner).at == NULL:
                return BAD
            head.odd |= head.body != 0
            head.body = <int> (tag >> 3)
            head.body_start = place_of(fact.pack, inner.at)
            head.body_end = place_of(fact.pack, inner.end)
        elif skip_field(&fact, tag) == BAD:
            return BAD
    head.odd |= head.namespace.length + head.identifier.length >= SCRATCH_BYTES
    return WELL


cdef int read_identity(const Cursor* given, Text* namespace, Text* value) noexcept nogil:
    """Read an identifier; ODD where one of its texts has U+0000."""
    cdef Cursor identity
    cdef uint32_t tag = 0
    cdef int found
    cdef int worst = WELL
    if take(given, &identity) == BAD:
        return BAD
    while identity.at < identity.end:
        if read_tag(&identity, &tag) == BAD:
            return BAD
        if tag == 10:
            found = within(&identity, b"namespace", -1, read_text(&identity, namespace))
        elif tag == 18:
            found = within(&identity, b"value", -1, read_text(&identity, value))
        else:
            found = skip_field(&identity, tag)
        if found == BAD:
            return BAD
        worst = max(worst, found)
    return worst
