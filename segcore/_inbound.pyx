"""Records of the inbound log: whose its events are, and their facts, without reading them.

What is an event of one known person, with nothing unusual about it, goes on into the facts as the
bytes that it is; of all else Python decides, input by input. The twin is `services.identity`
without this: the same bytes come of it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from segcore._fact_writer cimport EventFact
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
    PARTITION_SHIFT = 32        # a profile's number is its partition above so many bits
    FIRST_BODY = 10             # inputs are of the kinds of these fields
    EVENT_TAG = 10 << 3 | 2


cdef class InboundReader:
    """One record. `is_sound` is False for bytes that it does not understand: those are Python's."""

    def __cinit__(self, bytes payload not None):
        self.payload = payload
        open_pack(&self.pack, <const uint8_t*> <const char*> payload, len(payload))
        self.kept_names = [None] * NAMESPACES_KEPT
        self.ids = []
        with nogil:
            self.is_sound = self._scan() == WELL

    def __dealloc__(self):
        free(self.inputs)
        free(self.named)

    def __len__(self):
        return self.count

    def event_ids(self):
        """Return the ids of the events that may pass; to be called once, before they do."""
        cdef Py_ssize_t place
        cdef InputHead* head
        self.ids = [None] * self.count
        found = []
        for place in range(self.count):
            head = &self.inputs[place]
            if head.is_plain:
                made = text_of(head.input_id)
                self.ids[place] = made
                if head.input_id.length:
                    found.append(made)
        return found

    def others(self):
        """Return the places of the inputs of which Python decides in any case."""
        cdef Py_ssize_t place
        return [place for place in range(self.count) if not self.inputs[place].is_plain]

    def input(self, Py_ssize_t place):
        """Return the bytes of one input."""
        if not 0 <= place < self.count:
            raise IndexError(f"expected the place of one of {self.count} inputs, found {place}")
        return self.payload[self.inputs[place].start:self.inputs[place].end]

    def pass_events(
        self,
        Py_ssize_t start,
        dict holders not None,
        dict ranks not None,
        set noted not None,
        known not None,
        int64_t now_ms,
        int64_t limit_ms,
        list parts not None,
    ):
        """Write the facts of the events from `start` on; return the first input that Python takes.

        `parts` are those of all partitions. Ids in `noted` or `known` came before, and new ones
        are added to `noted`. `now_ms` is the log's time before; the attribute is it afterwards. A
        stamp is at most `limit_ms`.
        """
        cdef Py_ssize_t place = start
        cdef InputHead* head
        cdef int64_t stamp_ms
        cdef object event_id
        cdef object owner
        while place < self.count:
            head = &self.inputs[place]
            if not head.is_plain:
                break
            event_id = self.ids[place] if head.input_id.length else None
            stamp_ms = min(head.received_ms, limit_ms)
            if event_id is not None and (event_id in noted or event_id in known):
                now_ms = max(now_ms, stamp_ms)
                self.duplicates += 1
                place += 1
                continue
            owner = self._owner(head, holders)
            if owner is None:
                break
            if event_id is not None:
                noted.add(event_id)
            self.now_ms = now_ms = max(now_ms, stamp_ms)
            self._write(place, owner, ranks, stamp_ms, parts[owner >> PARTITION_SHIFT])
            place += 1
        self.now_ms = now_ms
        return place

    cdef int _write(
        self, Py_ssize_t place, object owner, dict ranks, int64_t stamp_ms, FactPart part
    ) except -1:
        cdef InputHead* head = &self.inputs[place]
        cdef Named* came_with = &self.named[self._came_with(head, ranks)]
        cdef EventFact fact
        fact.index = <uint32_t> place
        fact.log_ms = self.now_ms
        fact.received_ms = stamp_ms
        fact.profile_id = owner
        fact.namespace = came_with.namespace
        fact.identifier = came_with.value
        fact.traceparent = head.traceparent
        fact.input_id = head.input_id
        fact.event_type = head.event_type
        fact.body = head.body
        return part.add_event(&fact)

    cdef object _owner(self, InputHead* head, dict holders):
        """Return the profile that holds all identifiers of an event, None for no such one."""
        cdef Py_ssize_t place
        cdef Named* named
        cdef PyObject* holder
        cdef object owner = None
        for place in range(head.named_start, head.named_end):
            named = &self.named[place]
            holder = PyDict_GetItem(
                holders, (self._name(named.namespace), text_of(named.value))
            )
            if holder == NULL or (owner is not None and owner != <object> holder):
                return None
            owner = <object> holder
        return owner

    cdef Py_ssize_t _came_with(self, InputHead* head, dict ranks) except -1:
        """Return the identifier that an event came with: its primary, else the highest, first."""
        cdef Py_ssize_t place
        cdef Py_ssize_t best = head.named_start
        cdef Text namespace
        if head.named_end - head.named_start == 1:
            return best
        if head.primary.length:
            for place in range(head.named_start, head.named_end):
                if is_same(self.named[place].namespace, head.primary):
                    return place
        best_key = None
        for place in range(head.named_start, head.named_end):
            namespace = self.named[place].namespace
            name = self._name(namespace)
            key = (ranks.get(name, len(ranks)), name)
            if best_key is None or key < best_key:
                best, best_key = place, key
        return best

    cdef object _name(self, Text namespace):
        """Return a namespace as a text, of which there are few."""
        cdef int place
        for place in range(NAMESPACES_KEPT):
            if self.kept_namespaces[place].data == NULL:
                break
            if is_same(self.kept_namespaces[place], namespace):
                return self.kept_names[place]
        name = text_of(namespace)
        place = self.kept_next % NAMESPACES_KEPT
        self.kept_next += 1
        self.kept_namespaces[place] = namespace
        self.kept_names[place] = name
        return name

    cdef int _scan(self) except -2 nogil:
        """Note where each input lies, and its head."""
        cdef Cursor pack, input
        cdef uint32_t tag = 0
        go_to(&self.pack, 0, self.pack.length, &pack)
        while pack.at < pack.end:
            if read_tag(&pack, &tag) == BAD:
                return BAD
            if tag == 10:
                if self._note(enter(&pack, &input)) == BAD:
                    return BAD
            elif skip_field(&pack, tag) == BAD:
                return BAD
        return WELL

    cdef int _note(self, const Cursor* given) except -2 nogil:
        """Keep the head of one more input; BAD where its head is malformed, not its body."""
        cdef InputHead* head
        cdef uint32_t tag = 0
        cdef uint64_t number = 0
        cdef Cursor input, body
        cdef int found = WELL
        cdef bint has_body = False
        if take(given, &input) == BAD:
            return BAD
        if self.count == self.room:
            self.room = max(64, self.room * 2)
            self.inputs = <InputHead*> more(self.inputs, self.room * sizeof(InputHead))
        head = &self.inputs[self.count]
        memset(head, 0, sizeof(InputHead))
        head.start = place_of(&self.pack, input.at)
        head.end = place_of(&self.pack, input.end)
        head.is_plain = True
        head.input_id = head.traceparent = no_text(&input)
        while input.at < input.end:
            if read_tag(&input, &tag) == BAD:
                return BAD
            if tag == 10:
                found = read_text(&input, &head.input_id)
            elif tag == 16:
                found = read_varint(&input, &number)
                head.received_ms = <int64_t> number
            elif tag == 26:
                found = read_text(&input, &head.traceparent)
            elif tag == EVENT_TAG:
                found = BAD if enter(&input, &body).at == NULL else WELL
                # Of two bodies the last counts: Python sees to that.
                head.is_plain &= not has_body
                has_body = True
            elif tag & 7 == 2 and tag >> 3 >= FIRST_BODY:
                head.is_plain = False
                found = skip_field(&input, tag)
            else:
                found = skip_field(&input, tag)
            if found == BAD:
                return BAD
            head.is_plain &= found == WELL
        if not has_body:
            head.is_plain = False
        if head.is_plain:
            head.body = Text(<const char*> body.at, body.end - body.at)
            head.is_plain = self._read_event(&body, head) == WELL
        self.count += 1
        return WELL

    cdef int _read_event(self, const Cursor* given, InputHead* head) except -2 nogil:
        """Read whose an event is, and of what type."""
        cdef uint32_t tag = 0
        cdef int found
        cdef Text ignored
        cdef Cursor event, part
        take(given, &event)
        head.event_type = head.primary = no_text(&event)
        head.named_start = self.named_count
        while event.at < event.end:
            if read_tag(&event, &tag) == BAD:
                return BAD
            if tag == 10:
                found = read_text(&event, &ignored)
            elif tag == 18:
                found = read_text(&event, &head.event_type)
            elif tag == 26:
                found = self._add_named(enter(&event, &part))
            elif tag == 34:
                found = read_text(&event, &head.primary)
            elif tag == 42:
                found = pass_time(enter(&event, &part))
            else:
                found = skip_field(&event, tag)
            if found != WELL:
                return found
        head.named_end = self.named_count
        return WELL if head.named_end > head.named_start else ODD

    cdef int _add_named(self, const Cursor* given) except -2 nogil:
        """Keep one identifier; ODD for one that has more to it than its two texts."""
        cdef Cursor identity
        cdef Named* named
        cdef uint32_t tag = 0
        cdef int found
        if take(given, &identity) == BAD:
            return BAD
        if self.named_count == self.named_room:
            self.named_room = max(64, self.named_room * 2)
            self.named = <Named*> more(self.named, self.named_room * sizeof(Named))
        named = &self.named[self.named_count]
        named.namespace = named.value = no_text(&identity)
        while identity.at < identity.end:
            if read_tag(&identity, &tag) == BAD:
                return BAD
            if tag == 10:
                found = read_text(&identity, &named.namespace)
            elif tag == 18:
                found = read_text(&identity, &named.value)
            else:
                return ODD
            if found != WELL:
                return found
        self.named_count += 1
        return WELL


cdef inline object text_of(Text text):
    return PyUnicode_DecodeUTF8(text.data, text.length, NULL)


cdef inline bint is_same(Text one, Text other) noexcept nogil:
    return one.length == other.length and memcmp(one.data, other.data, one.length) == 0


cdef int pass_time(const Cursor* given) noexcept nogil:
    """Pass over a Timestamp, which has to be well formed all the same."""
    cdef Cursor time
    cdef uint32_t tag = 0
    if take(given, &time) == BAD:
        return BAD
    while time.at < time.end:
        if read_tag(&time, &tag) == BAD or skip_field(&time, tag) == BAD:
            return BAD
    return WELL


cdef void* more(void* former, Py_ssize_t size) except NULL nogil:
    cdef void* moved = realloc(former, size)
    if moved == NULL:
        with gil:
            raise MemoryError(f"no memory for a record of {size} bytes")
    return moved
