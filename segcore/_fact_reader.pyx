"""Packs of facts, of which each event is to become a row: what it is stays its bytes.

Of all else Python decides, fact by fact. The twin is `services.profile.facts` without this: the
same rows come of it.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8

from segcore._text_hash cimport hash_bytes
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
)

cdef enum:
    FACTS_TAG = 2 << 3 | 2
    EVENT_TAG = 10 << 3 | 2
    FIRST_BODY = 10
    SPELLED = 512               # of the bytes of an identifier, spelled at once

cdef uint64_t LAST_NUMBER = 0x7FFFFFFFFFFFFFFF
cdef int64_t FIRST_SECOND = -62_135_596_800
cdef int64_t LAST_SECOND = 253_402_300_799
cdef int64_t NANOS = 1_000_000_000


cdef class FactReader:
    """One pack. `is_sound` is False for bytes that it does not understand: those are Python's."""

    def __cinit__(self, bytes payload not None):
        self.payload = payload
        open_pack(&self.pack, <const uint8_t*> <const char*> payload, len(payload))
        self.type_texts = [None] * TYPES_KEPT
        with nogil:
            self.is_sound = self._scan() == WELL

    def __dealloc__(self):
        free(self.facts)

    def __len__(self):
        return self.count

    @property
    def log_time_ms(self):
        """The log's time at the last fact, 0 where there is none."""
        return self.facts[self.count - 1].log_ms if self.count else 0

    def fact(self, Py_ssize_t place):
        """Return the bytes of one fact."""
        if not 0 <= place < self.count:
            raise IndexError(f"expected the place of one of {self.count} facts, found {place}")
        return self.payload[self.facts[place].start:self.facts[place].end]

    def pass_events(
        self,
        Py_ssize_t start,
        list rows not None,
        dict profiles not None,
        list traceparents not None,
    ):
        """Add the events from `start` on to `rows`; return the first fact that Python takes.

        A row is profile, time of the event and of its receipt, id, type, bytes and the identifier
        that it came with. `profiles` gets each profile that is not there, with the log's time.
        """
        cdef Py_ssize_t place = start
        cdef FactPlace* fact
        cdef object profile_id
        while place < self.count:
            fact = &self.facts[place]
            if not fact.is_plain:
                break
            profile_id = fact.profile_id
            profiles.setdefault(profile_id, fact.log_ms)
            rows.append(
                (
                    profile_id,
                    fact.occurred_ms,
                    fact.received_ms,
                    text_of(fact.event_id),
                    self._type(fact.event_type),
                    PyBytes_FromStringAndSize(fact.body.data, fact.body.length),
                    came_with(fact),
                )
            )
            if fact.traceparent.length:
                traceparents.append(text_of(fact.traceparent))
            place += 1
        return place

    cdef object _type(self, Text event_type):
        """Return a type as a text, of which there are few."""
        cdef uint64_t slot = hash_bytes(event_type.data, event_type.length) % TYPES_KEPT
        cdef Text* kept = &self.types[slot]
        if (
            kept.data == NULL
            or kept.length != event_type.length
            or memcmp(kept.data, event_type.data, kept.length) != 0
        ):
            kept[0] = event_type
            self.type_texts[slot] = text_of(event_type)
        return self.type_texts[slot]

    cdef int _scan(self) except -2 nogil:
        """Note where each fact lies, and its head."""
        cdef Cursor pack, part
        cdef uint32_t tag = 0
        cdef uint64_t number = 0
        cdef int found
        go_to(&self.pack, 0, self.pack.length, &pack)
        while pack.at < pack.end:
            if read_tag(&pack, &tag) == BAD:
                return BAD
            if tag == FACTS_TAG:
                found = self._note(enter(&pack, &part))
            elif tag == 8:
                found = read_varint(&pack, &number)
                self.inbound_seq = <int64_t> number
            elif tag == 24:
                found = read_varint(&pack, &number)
                self.waiting_seq = <int64_t> number
            elif tag == 34:
                found = pass_contents(enter(&pack, &part))
            else:
                found = skip_field(&pack, tag)
            if found == BAD:
                return BAD
        return WELL

    cdef int _note(self, const Cursor* given) except -2 nogil:
        """Keep the head of one more fact; BAD where its head is malformed, not its body."""
        cdef FactPlace* fact
        cdef uint32_t tag = 0
        cdef uint64_t number = 0
        cdef Cursor input, inner, body
        cdef Text ignored
        cdef bint has_body = False
        cdef int found
        if take(given, &input) == BAD:
            return BAD
        body = input  # It is read only once it was entered, which compilers do not see.
        if self.count == self.room:
            self.room = max(64, self.room * 2)
            self.facts = <FactPlace*> more(self.facts, self.room * sizeof(FactPlace))
        fact = &self.facts[self.count]
        self.count += 1
        memset(fact, 0, sizeof(FactPlace))
        fact.start = place_of(&self.pack, input.at)
        fact.end = place_of(&self.pack, input.end)
        fact.is_plain = True
        fact.namespace = fact.identifier = fact.traceparent = no_text(&input)
        while input.at < input.end:
            if read_tag(&input, &tag) == BAD:
                return BAD
            if tag == 16 or tag == 24 or tag == 32:
                found = read_varint(&input, &number)
                if tag == 16:
                    fact.log_ms = <int64_t> number
                elif tag == 24:
                    fact.received_ms = <int64_t> number
                else:
                    fact.profile_id = number
            elif tag == 42:
                found = read_identity(enter(&input, &inner), &fact.namespace, &fact.identifier)
            elif tag == 50:
                found = read_text(&input, &fact.traceparent)
            elif tag == 58:
                found = read_text(&input, &ignored)
            elif tag == EVENT_TAG:
                found = BAD if enter(&input, &body).at == NULL else WELL
                fact.is_plain &= not has_body
                has_body = True
            elif tag & 7 == 2 and tag >> 3 >= FIRST_BODY:
                fact.is_plain = False
                found = BAD if enter(&input, &inner).at == NULL else WELL
            else:
                found = skip_field(&input, tag)
            if found == BAD:
                return BAD
            fact.is_plain &= found == WELL
        # A profile's number is kept with a sign, and 0 is nobody.
        if not has_body or not 0 < fact.profile_id <= LAST_NUMBER:
            fact.is_plain = False
        if fact.is_plain:
            fact.body = Text(<const char*> body.at, body.end - body.at)
            fact.is_plain = read_event(&body, fact) == WELL
        return WELL


cdef inline object text_of(Text text):
    return PyUnicode_DecodeUTF8(text.data, text.length, NULL)


cdef object came_with(const FactPlace* fact):
    """Return `namespace:value`, empty where there is no namespace."""
    cdef char spelled[SPELLED]
    cdef Py_ssize_t length = fact.namespace.length
    if not length:
        return ""
    if length + 1 + fact.identifier.length > SPELLED:
        return f"{text_of(fact.namespace)}:{text_of(fact.identifier)}"
    memcpy(spelled, fact.namespace.data, length)
    spelled[length] = b":"
    memcpy(spelled + length + 1, fact.identifier.data, fact.identifier.length)
    return PyUnicode_DecodeUTF8(spelled, length + 1 + fact.identifier.length, NULL)


cdef int read_event(const Cursor* given, FactPlace* fact) noexcept nogil:
    """Read which event it is, of what type and when; ODD for a time that there is not."""
    cdef uint32_t tag = 0
    cdef Text ignored
    cdef int64_t seconds = 0
    cdef int64_t nanos = 0
    cdef bint has_time = False
    cdef int found
    cdef Cursor event, part
    take(given, &event)
    fact.event_id = fact.event_type = no_text(&event)
    while event.at < event.end:
        if read_tag(&event, &tag) == BAD:
            return BAD
        if tag == 10:
            found = read_text(&event, &fact.event_id)
        elif tag == 18:
            found = read_text(&event, &fact.event_type)
        elif tag == 26:
            found = read_identity(enter(&event, &part), &ignored, &ignored)
        elif tag == 34:
            found = read_text(&event, &ignored)
        elif tag == 42:
            has_time = True
            found = read_time(enter(&event, &part), &seconds, &nanos)
        else:
            found = skip_field(&event, tag)
        if found != WELL:
            return found
    fact.occurred_ms = fact.received_ms
    if has_time:
        if not FIRST_SECOND <= seconds <= LAST_SECOND or not 0 <= nanos < NANOS:
            return ODD
        fact.occurred_ms = min(fact.received_ms, seconds * 1000 + nanos // 1_000_000)
    return WELL


cdef int read_time(const Cursor* given, int64_t* seconds, int64_t* nanos) noexcept nogil:
    cdef Cursor time
    cdef uint32_t tag = 0
    cdef uint64_t number = 0
    cdef int found
    if take(given, &time) == BAD:
        return BAD
    while time.at < time.end:
        if read_tag(&time, &tag) == BAD:
            return BAD
        if tag == 8 or tag == 16:
            found = read_varint(&time, &number)
            if tag == 8:
                seconds[0] = <int64_t> number
            else:
                nanos[0] = <int32_t> <uint32_t> number
        else:
            found = skip_field(&time, tag)
        if found == BAD:
            return BAD
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
            found = read_text(&identity, namespace)
        elif tag == 18:
            found = read_text(&identity, value)
        else:
            found = skip_field(&identity, tag)
        if found == BAD:
            return BAD
        worst = max(worst, found)
    return worst


cdef int pass_contents(const Cursor* given) noexcept nogil:
    """Pass over what a pack says of itself, which has to be well formed all the same."""
    cdef Cursor contents, bodies
    cdef Text ignored
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
            if read_text(&contents, &ignored) == BAD:
                return BAD
        elif skip_field(&contents, tag) == BAD:
            return BAD
    return WELL


cdef void* more(void* former, Py_ssize_t size) except NULL nogil:
    cdef void* moved = realloc(former, size)
    if moved == NULL:
        with gil:
            raise MemoryError(f"no memory for a pack of {size} bytes")
    return moved
