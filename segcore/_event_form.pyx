"""The form of an event that a sender wrote: whether it keeps all limits, in protobuf's own bytes.

Those are the bytes that protobuf writes when it is told to be deterministic: fields in order, each
number in as few bytes as it takes, nothing that nobody knows; properties may stand in any order.
What is not so is not wrong: `services.profile.checks` says, and is the twin.
"""

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from segcore._bytes_out cimport varint_size
from segcore._program cimport MISSING
from segcore._text_hash cimport hash_bytes
from segcore._wire cimport WELL, check_text, place_of, read_fixed64, read_varint

cdef enum Kind:
    ANY = 0
    TEXT = 1
    NUMBER = 2
    FLAG = 3
    TIME = 4
    OTHER = 5

_KINDS = {"text": TEXT, "number": NUMBER, "flag": FLAG, "time": TIME}

cdef int64_t FIRST_SECOND = -62_135_596_800
cdef int64_t LAST_SECOND = 253_402_300_799
cdef int64_t NANOS = 1_000_000_000


cdef class EventRules:
    """Limits of an event, counted in characters and entries, and the kinds of its properties."""

    def __cinit__(self, kinds not None, **limits):
        self.id_length = limits["id_length"]
        self.token_length = limits["token_length"]
        self.identities = limits["identities"]
        self.identity_length = limits["identity_length"]
        self.items = limits["items"]
        self.label_length = limits["label_length"]
        self.properties = min(limits["properties"], PROPERTY_ROOM)
        self.name_length = limits["name_length"]
        self.text_length = limits["text_length"]
        self.number_limit = limits["number_limit"]
        self.kept = [name.encode() for name in kinds]
        self.mask = 7
        while self.mask < 2 * <uint64_t> len(self.kept):
            self.mask = self.mask * 2 + 1
        self.names = <Text*> calloc(self.mask + 1, sizeof(Text))
        self.kinds = <int*> calloc(self.mask + 1, sizeof(int))
        if self.names == NULL or self.kinds == NULL:
            raise MemoryError(f"no memory for {len(self.kept)} names of properties")
        for name, kind in zip(self.kept, kinds.values()):
            self._keep(name, _KINDS.get(kind, OTHER))

    def __dealloc__(self):
        free(self.names)
        free(self.kinds)

    def _keep(self, bytes name, int kind):
        cdef Text text = Text(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        cdef uint64_t slot = hash_bytes(text.data, text.length) & self.mask
        while self.names[slot].data != NULL:
            slot = (slot + 1) & self.mask
        self.names[slot] = text
        self.kinds[slot] = kind

    cdef int declared_kind(self, Text name) noexcept nogil:
        """Return the kind that a property of this name has to have, ANY for no such one."""
        cdef uint64_t slot = hash_bytes(name.data, name.length) & self.mask
        while self.names[slot].data != NULL:
            if is_same(self.names[slot], name):
                return self.kinds[slot]
            slot = (slot + 1) & self.mask
        return ANY

    cdef bint is_plain(self, Cursor* event, EventForm* form) noexcept nogil:
        """Tell whether an event is in form, and where its parts lie."""
        cdef Text namespaces[16]
        cdef Text text
        cdef Py_ssize_t identities = 0
        cdef Py_ssize_t items = 0
        cdef uint8_t former = 0
        cdef uint8_t tag
        cdef bint fine
        cdef bint has_type = False
        form.event_id = text = Text(NULL, 0)
        form.occurred_ms = MISSING
        form.start = place_of(event.pack, event.at)
        form.end = place_of(event.pack, event.end)
        form.properties_start = form.end
        form.property_count = 0
        form.is_sorted = True
        while event.at < event.end:
            tag = event.at[0]
            if tag < former or (tag == former and tag != 26 and tag != 50 and tag != 58):
                return False
            if tag == 58:
                if former != 58:
                    form.properties_start = place_of(event.pack, event.at)
                fine = self.take_property(event, form)
                former = tag
                if not fine:
                    return False
                continue
            former = tag
            event.at += 1
            if tag == 10:
                fine = take_text(event, &form.event_id, 1, self.id_length)
            elif tag == 18:
                fine = has_type = self.take_token(event, &text)
            elif tag == 26:
                fine = identities < self.identities and identities < 16
                fine = fine and self.take_identity(event, &namespaces[identities])
                identities += 1
            elif tag == 34:
                fine = take_text(event, &text, 1, self.token_length)
                fine = fine and is_among(text, namespaces, identities)
            elif tag == 42:
                fine = take_time(event, &form.occurred_ms)
            elif tag == 50:
                items += 1
                fine = items <= self.items and self.take_line(event)
            else:
                return False
            if not fine:
                return False
        return form.event_id.length > 0 and has_type and identities > 0

    cdef bint take_token(self, Cursor* message, Text* token) noexcept nogil:
        """Read an event type or a namespace."""
        cdef Py_ssize_t place
        cdef uint8_t byte
        if not take_text(message, token, 1, self.token_length):
            return False
        for place in range(token.length):
            byte = <uint8_t> token.data[place]
            if not (
                b"a" <= byte <= b"z" or b"0" <= byte <= b"9"
                or byte == b"_" or byte == b"-" or byte == b"."
            ):
                return False
        return True

    cdef bint take_identity(self, Cursor* event, Text* namespace) noexcept nogil:
        cdef Cursor identity
        cdef Text value
        if not take_part(event, &identity):
            return False
        return (
            take_tag(&identity, 10)
            and self.take_token(&identity, namespace)
            and take_tag(&identity, 18)
            and take_text(&identity, &value, 1, self.identity_length)
            and identity.at == identity.end
        )

    cdef bint take_line(self, Cursor* event) noexcept nogil:
        cdef Cursor line
        cdef Text text
        if not take_part(event, &line):
            return False
        if not take_tag(&line, 10) or not take_text(&line, &text, 1, self.id_length):
            return False
        if take_tag(&line, 17) and not self.take_price(&line):
            return False
        if take_tag(&line, 25) and not self.take_price(&line):
            return False
        if take_tag(&line, 34) and not take_text(&line, &text, 1, self.label_length):
            return False
        if take_tag(&line, 42) and not take_text(&line, &text, 1, self.label_length):
            return False
        return line.at == line.end

    cdef bint take_price(self, Cursor* line) noexcept nogil:
        """Read a number within its limits; not-a-number is none."""
        cdef uint64_t bits = 0
        cdef double number
        if read_fixed64(line, &bits) != WELL:
            return False
        memcpy(&number, &bits, 8)
        return -self.number_limit <= number <= self.number_limit

    cdef bint take_property(self, Cursor* event, EventForm* form) noexcept nogil:
        """Read one property, and put its place where its name belongs among the former ones."""
        cdef Py_ssize_t start = place_of(event.pack, event.at)
        cdef Cursor entry, value
        cdef Text name
        cdef int place = form.property_count
        cdef int kind, declared, order
        event.at += 1
        if place == self.properties or not take_part(event, &entry):
            return False
        if not take_tag(&entry, 10) or not take_text(&entry, &name, 1, self.name_length):
            return False
        if not take_tag(&entry, 18) or not take_part(&entry, &value) or entry.at != entry.end:
            return False
        kind = self.take_value(&value)
        declared = self.declared_kind(name)
        if kind == OTHER or value.at != value.end or (declared != ANY and declared != kind):
            return False
        while place > 0:
            order = compared(form.properties[place - 1].name, name)
            if order == 0:
                return False
            if order < 0:
                break
            form.properties[place] = form.properties[place - 1]
            form.is_sorted = False
            place -= 1
        form.properties[place] = PropertyPlace(name, start, place_of(event.pack, event.at))
        form.property_count += 1
        return True

    cdef int take_value(self, Cursor* value) noexcept nogil:
        """Read a value; return its kind, OTHER where Python has to look."""
        cdef Text text
        cdef int64_t time_ms = 0
        if take_tag(value, 10):
            return TEXT if take_text(value, &text, 0, self.text_length) else OTHER
        if take_tag(value, 17):
            return NUMBER if self.take_price(value) else OTHER
        if take_tag(value, 24):
            if value.at == value.end or value.at[0] > 1:
                return OTHER
            value.at += 1
            return FLAG
        if take_tag(value, 34):
            return TIME if take_time(value, &time_ms) else OTHER
        return OTHER


cdef inline bint is_same(Text one, Text other) noexcept nogil:
    return one.length == other.length and memcmp(one.data, other.data, one.length) == 0


cdef inline int compared(Text one, Text other) noexcept nogil:
    """Order texts by their bytes, as upb writes maps: a text comes before its own beginning."""
    cdef int order = memcmp(one.data, other.data, min(one.length, other.length))
    if order == 0:
        return (one.length < other.length) - (one.length > other.length)
    return order


cdef inline bint is_among(Text one, Text* others, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t place
    for place in range(count):
        if is_same(others[place], one):
            return True
    return False


cdef inline bint take_tag(Cursor* message, uint8_t tag) noexcept nogil:
    """Pass over the tag if it is what comes."""
    if message.at == message.end or message.at[0] != tag:
        return False
    message.at += 1
    return True


cdef inline bint take_varint(Cursor* message, uint64_t* number) noexcept nogil:
    cdef const uint8_t* start = message.at
    return read_varint(message, number) == WELL and message.at - start == varint_size(number[0])


cdef inline bint take_part(Cursor* message, Cursor* inner) noexcept nogil:
    """Let `inner` go through the message or text that comes, and `message` on after it."""
    cdef uint64_t length = 0
    if not take_varint(message, &length) or length > <uint64_t> (message.end - message.at):
        return False
    inner.at = message.at
    inner.end = message.at + length
    inner.pack = message.pack
    message.at = inner.end
    return True


cdef bint take_text(
    Cursor* message, Text* text, Py_ssize_t least, Py_ssize_t most
) noexcept nogil:
    """Read a text of so many characters, none of them U+0000."""
    cdef Cursor inner
    cdef Py_ssize_t count = 0
    cdef const uint8_t* at
    if not take_part(message, &inner):
        return False
    text.data = <const char*> inner.at
    text.length = inner.end - inner.at
    if text.length < least or check_text(text.data, text.length) != WELL:
        return False
    if text.length > most:
        at = inner.at
        while at < inner.end:
            count += at[0] & 0xC0 != 0x80
            at += 1
    return count <= most


cdef bint take_time(Cursor* message, int64_t* time_ms) noexcept nogil:
    """Read a Timestamp of the years 1 to 9999."""
    cdef Cursor time
    cdef uint64_t seconds = 0
    cdef uint64_t nanos = 0
    if not take_part(message, &time):
        return False
    if take_tag(&time, 8) and (not take_varint(&time, &seconds) or seconds == 0):
        return False
    if take_tag(&time, 16) and (not take_varint(&time, &nanos) or nanos == 0):
        return False
    if time.at != time.end or not FIRST_SECOND <= <int64_t> seconds <= LAST_SECOND:
        return False
    if nanos >= <uint64_t> NANOS:
        return False
    time_ms[0] = <int64_t> seconds * 1000 + <int64_t> (nanos // 1_000_000)
    return True
