"""Requests of senders to inputs of the inbound log: an event in form goes on as the bytes it is.

Of all else Python decides, input by input. The twin is `services.profile.intake` without this: the
same record comes of it.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_FromStringAndSize

from segcore._bytes_out cimport (
    SPARE,
    field_size,
    make_room,
    number_size,
    put_bytes,
    put_head,
    put_number,
    put_text,
    text_size,
)
from segcore._wire cimport WELL, enter, go_to, open_pack, place_of, read_tag

cdef enum:
    INPUTS_TAG = 0x0A           # of a request, and of an inbound pack
    ASKED_EVENT_TAG = 0x0A
    EVENT_TAG = 0x52


cdef class InboundWriter:
    """Inputs of inbound packs, one after the other."""

    def __dealloc__(self):
        free(self.out.data)
        free(self.ends)

    def __len__(self):
        return self.count

    def add(self, bytes content not None):
        """Add one Inbound that is bytes already."""
        make_room(&self.out, SPARE)
        put_head(&self.out, INPUTS_TAG, len(content))
        put_bytes(&self.out, <const char*> content, len(content))
        self.end_input()

    def size(self, Py_ssize_t start, Py_ssize_t end):
        """Return how many bytes these inputs take."""
        self._check(start, end)
        return self._end(end) - self._end(start)

    def pack(self, Py_ssize_t start, Py_ssize_t end):
        """Return the pack of these inputs."""
        self._check(start, end)
        cdef Py_ssize_t begin = self._end(start)
        return PyBytes_FromStringAndSize(self.out.data + begin, self._end(end) - begin)

    def _check(self, Py_ssize_t start, Py_ssize_t end):
        if not 0 <= start <= end <= self.count:
            raise IndexError(f"expected places among {self.count} inputs, found {start} to {end}")

    def _end(self, Py_ssize_t place):
        return self.ends[place - 1] if place else 0

    cdef int end_input(self) except -1:
        """Say that what was written so far is one more input."""
        if self.count == self.room:
            self.room = max(64, self.room * 2)
            self.ends = <Py_ssize_t*> more(self.ends, self.room * sizeof(Py_ssize_t))
        self.ends[self.count] = self.out.size
        self.count += 1
        return 0


cdef class RequestReader:
    """One request. `is_sound` is False for one that is not inputs alone: that is Python's."""

    def __cinit__(self, bytes payload not None, EventRules rules not None):
        self.payload = payload
        open_pack(&self.pack, <const uint8_t*> <const char*> payload, len(payload))
        self.rules = rules
        with nogil:
            self.is_sound = self._scan()

    def __dealloc__(self):
        free(self.inputs)
        free(self.properties)

    def __len__(self):
        return self.count

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
        int64_t received_ms,
        int64_t limit_ms,
        bytes traceparent not None,
        InboundWriter writer not None,
    ):
        """Write the events from `start` on; return the first input that Python takes.

        An event that happens after `limit_ms` is such a one.
        """
        cdef Py_ssize_t place = start
        cdef Asked* asked
        while place < self.count:
            asked = &self.inputs[place]
            if not asked.is_plain or asked.occurred_ms > limit_ms:
                break
            self._write(asked, received_ms, traceparent, &writer.out)
            writer.end_input()
            place += 1
        return place

    cdef int _write(
        self, Asked* asked, int64_t received_ms, bytes traceparent, Buffer* out
    ) except -1:
        cdef const char* base = <const char*> self.pack.start
        cdef Py_ssize_t length = asked.event_end - asked.event_start
        cdef Py_ssize_t trace = len(traceparent)
        cdef Py_ssize_t size, place
        cdef PropertyPlace* one
        size = field_size(0x0A, asked.event_id.length) + number_size(<uint64_t> received_ms)
        size += text_size(0x1A, trace) + field_size(EVENT_TAG, length)
        make_room(out, 2 * SPARE)
        put_head(out, INPUTS_TAG, size)
        put_text(out, 0x0A, asked.event_id.data, asked.event_id.length)
        put_number(out, 0x10, <uint64_t> received_ms)
        put_text(out, 0x1A, <const char*> traceparent, trace)
        put_head(out, EVENT_TAG, length)
        if asked.first_property < 0:
            return put_bytes(out, base + asked.event_start, length)
        put_bytes(out, base + asked.event_start, asked.properties_start - asked.event_start)
        for place in range(asked.first_property, asked.first_property + asked.property_count):
            one = &self.properties[place]
            put_bytes(out, base + one.start, one.end - one.start)
        return 0

    cdef bint _scan(self) except -1 nogil:
        """Note where each input lies; tell whether there is nothing else."""
        cdef Cursor request, input
        cdef uint32_t tag = 0
        go_to(&self.pack, 0, self.pack.length, &request)
        while request.at < request.end:
            if read_tag(&request, &tag) != WELL or tag != INPUTS_TAG:
                return False
            if enter(&request, &input).at == NULL:
                return False
            self._note(&input)
        return True

    cdef int _note(self, Cursor* input) except -1 nogil:
        """Keep one more input, and whether it is an event in form and nothing else."""
        cdef Asked* asked
        cdef EventForm form
        cdef Cursor event
        cdef uint32_t tag = 0
        if self.count == self.room:
            self.room = max(64, self.room * 2)
            self.inputs = <Asked*> more(self.inputs, self.room * sizeof(Asked))
        asked = &self.inputs[self.count]
        memset(asked, 0, sizeof(Asked))
        asked.start = place_of(&self.pack, input.at)
        asked.end = place_of(&self.pack, input.end)
        self.count += 1
        if input.at == input.end or read_tag(input, &tag) != WELL or tag != ASKED_EVENT_TAG:
            return 0
        if enter(input, &event).at == NULL or input.at != input.end:
            return 0
        if self.rules.is_plain(&event, &form):
            asked.is_plain = True
            self._keep(asked, &form)
        return 0

    cdef int _keep(self, Asked* asked, EventForm* form) except -1 nogil:
        """Keep where the parts of an event lie; its properties where they have to be moved."""
        cdef Py_ssize_t size = form.property_count * sizeof(PropertyPlace)
        asked.event_id = form.event_id
        asked.occurred_ms = form.occurred_ms
        asked.event_start = form.start
        asked.properties_start = form.properties_start
        asked.event_end = form.end
        asked.first_property = -1
        if form.is_sorted:
            return 0
        if self.property_count + form.property_count > self.property_room:
            self.property_room = max(256, 2 * self.property_room)
            self.properties = <PropertyPlace*> more(
                self.properties, self.property_room * sizeof(PropertyPlace)
            )
        memcpy(&self.properties[self.property_count], form.properties, size)
        asked.first_property = self.property_count
        asked.property_count = form.property_count
        self.property_count += form.property_count
        return 0


cdef void* more(void* former, Py_ssize_t size) except NULL nogil:
    cdef void* moved = realloc(former, size)
    if moved == NULL:
        with gil:
            raise MemoryError(f"no memory for a request of {size} bytes")
    return moved
