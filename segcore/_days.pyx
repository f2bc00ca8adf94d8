"""Local days of a time zone, from a table of the instants at which its offset changes.

A day is days since 1970-01-01. Before 1900 and after 2200 a zone keeps the offset that it has
there. Where clocks went back over midnight, a local day comes twice: `steps_back` holds the end of
its first part. A table is made once for each zone of a process and is never freed.
"""

from datetime import datetime, timedelta

from libc.stdlib cimport calloc, free

from segcore.calendar import zone_named

cdef int64_t FIRST_MS = -2208988800000
cdef int64_t LAST_MS = 7258118400000
cdef int64_t NEVER = INT64_MAX
cdef int HINT_BITS = 35
"""A hint for each 2**35 ms, about a year, in which a zone has few changes."""
cdef int64_t PROBE = 86400
"""Seconds between two looks at an offset; none changes and changes back between them."""
cdef int64_t SETTLED = 2208988800
"""From 2040 on zones change by rules alone, seldom enough for looks of a week."""
MILLISECOND = timedelta(milliseconds=1)


cdef inline Py_ssize_t span_at(const ZoneTable* zone, int64_t instant_ms) noexcept nogil:
    """Return the place of the span in which an instant lies."""
    cdef int64_t place = (max(instant_ms, FIRST_MS) - FIRST_MS) >> HINT_BITS
    cdef Py_ssize_t span = zone.hints[min(place, zone.hint_count - 1)]
    while span + 1 < zone.span_count and zone.spans[span + 1].from_ms <= instant_ms:
        span += 1
    return span


cdef int64_t local_day(const ZoneTable* zone, int64_t instant_ms) noexcept nogil:
    """Return the local date of an instant; the ends of 64 bits are left out by some days."""
    cdef int64_t bounded = min(max(instant_ms, INT64_MIN + 2 * DAY_MS), INT64_MAX - 2 * DAY_MS)
    return floor_days(bounded + zone.spans[span_at(zone, bounded)].offset_ms)


cdef int64_t reach_day(const ZoneTable* zone, int64_t day, int64_t after_ms) noexcept nogil:
    """Return the first instant after `after_ms` whose local date is `day` or later."""
    cdef int64_t least_ms = max(after_ms + 1, (day - 1) * DAY_MS)
    cdef Py_ssize_t span = span_at(zone, least_ms)
    cdef int64_t reached_ms
    while True:
        reached_ms = max(least_ms, day * DAY_MS - zone.spans[span].offset_ms)
        if span + 1 == zone.span_count or reached_ms < zone.spans[span + 1].from_ms:
            return reached_ms
        span += 1
        least_ms = max(least_ms, zone.spans[span].from_ms)


cdef int64_t first_ms(const ZoneTable* zone, int64_t day) noexcept nogil:
    """Return the first instant whose local date is `day`, or later where no instant has it."""
    return reach_day(zone, day, (day - 2) * DAY_MS)


cdef int64_t next_step_back(const ZoneTable* zone, int64_t after_ms) noexcept nogil:
    """Return the next instant at which the local date becomes an earlier one."""
    cdef Py_ssize_t place
    for place in range(zone.step_count):
        if zone.steps_back[place] > after_ms:
            return zone.steps_back[place]
    return NEVER


cdef int64_t anniversary_in(int64_t born, int64_t year) noexcept nogil:
    """Return the date on which `born` comes round in a year; 29 February on 28 where it has to."""
    cdef int month = 0, of_month = 0
    year_of_day(born, &month, &of_month)
    if month == 2 and of_month == 29 and not is_leap(year):
        of_month = 28
    return day_of_date(year, month, of_month)


cdef int64_t next_anniversary(int64_t born, int64_t today) noexcept nogil:
    """Return the first date from `today` on on which `born` comes round, not in its own year."""
    cdef int month = 0, of_month = 0
    cdef int64_t own_year = year_of_day(born, &month, &of_month)
    cdef int64_t year = year_of_day(today, &month, &of_month)
    while year == own_year or anniversary_in(born, year) < today:
        year += 1
    return anniversary_in(born, year)


cdef class Days:
    """The local days of one zone; `days_of` has those of each name."""

    def __cinit__(self, str zone, list spans):
        """Take the (from_ms, offset_ms) of each stretch of one offset, in order."""
        self.zone = zone
        self._fill(spans)

    def __dealloc__(self):
        free(self.table.spans)
        free(self.table.hints)
        free(self.table.steps_back)

    cdef int _fill(self, list spans) except -1:
        cdef Py_ssize_t place, span = 0
        cdef ZoneTable* table = &self.table
        cdef int64_t before, behind, at_ms
        table.span_count = len(spans)
        table.hint_count = ((LAST_MS - FIRST_MS) >> HINT_BITS) + 1
        table.spans = <Span*> calloc(table.span_count, sizeof(Span))
        table.hints = <int32_t*> calloc(table.hint_count, sizeof(int32_t))
        table.steps_back = <int64_t*> calloc(table.span_count, sizeof(int64_t))
        if table.spans == NULL or table.hints == NULL or table.steps_back == NULL:
            raise MemoryError("no memory for the days of a zone")
        for place, (from_ms, offset) in enumerate(spans):
            table.spans[place] = Span(from_ms, offset)
        for place in range(table.hint_count):
            at_ms = FIRST_MS + (<int64_t> place << HINT_BITS)
            while span + 1 < table.span_count and table.spans[span + 1].from_ms <= at_ms:
                span += 1
            table.hints[place] = <int32_t> span
        for place in range(1, table.span_count):
            at_ms = table.spans[place].from_ms
            before = floor_days(at_ms - 1 + table.spans[place - 1].offset_ms)
            behind = floor_days(at_ms + table.spans[place].offset_ms)
            if behind < before:
                table.steps_back[table.step_count] = at_ms
                table.step_count += 1
        return 0

    def day(self, int64_t instant_ms):
        """Return the local date of an instant."""
        return local_day(&self.table, instant_ms)

    def first_ms(self, int64_t day):
        """Return the first instant whose local date is `day`, or later where no instant has it."""
        return first_ms(&self.table, day)

    def reach(self, int64_t day, int64_t after_ms):
        """Return the first instant after `after_ms` whose local date is `day` or later."""
        return reach_day(&self.table, day, after_ms)

    def step_back(self, int64_t after_ms):
        """Return the next instant at which the local date becomes an earlier one, or None."""
        cdef int64_t found = next_step_back(&self.table, after_ms)
        return None if found == NEVER else found


def anniversary(int64_t born, int64_t year):
    """Return the date on which `born` comes round in a year."""
    return anniversary_in(born, year)


def anniversary_from(int64_t born, int64_t today):
    """Return the first date from `today` on on which `born` comes round, not in its own year."""
    return next_anniversary(born, today)


cdef dict KNOWN = {}


def days_of(str name):
    """Return the days of the zone of this name, None where the tz database has none such."""
    if name not in KNOWN:
        zone = zone_named(name)
        if zone is None:
            return None
        KNOWN[name] = Days(name, spans_of(zone))
    return KNOWN[name]


def spans_of(zone):
    """Return the (from_ms, offset_ms) of each stretch of one offset, in order."""
    cdef int64_t at = FIRST_MS // 1000, end = LAST_MS // 1000
    cdef int64_t offset = offset_at(zone, at)
    cdef int64_t until, low, high, middle
    cdef list spans = [(INT64_MIN, offset)]
    while at < end:
        until = min(at + (PROBE if at < SETTLED else PROBE * 7), end)
        if offset_at(zone, until) != offset:
            low, high = at, until
            while high - low > 1:
                middle = (low + high) // 2
                if offset_at(zone, middle) == offset:
                    low = middle
                else:
                    high = middle
            offset = offset_at(zone, high)
            spans.append((high * 1000, offset))
            until = high
        at = until
    return spans


cdef int64_t offset_at(object zone, int64_t instant) except? -1:
    """Return how far local time is ahead of UTC at an instant in seconds, in milliseconds."""
    return datetime.fromtimestamp(instant, zone).utcoffset() // MILLISECOND


cdef class Zones:
    """The days of the zones that texts name; a text that names none has those of the default."""

    def __cinit__(self, Texts texts, str default="UTC"):
        """Raise ValueError where `default` is no zone of the tz database."""
        self.texts = texts
        self.default = days_of(default)
        if self.default is None:
            raise ValueError(f"expected a zone of the tz database, found {default!r}")
        self.kept = []
        self._grow()

    def __dealloc__(self):
        free(self.names)
        free(self.tables)

    cdef const ZoneTable* of_text(self, int64_t name_id) except NULL nogil:
        """Return the days for the value of a person's attribute `zone`, missing or not."""
        cdef Py_ssize_t slot
        if name_id <= 0:
            return &self.default.table
        slot = self._slot(<uint32_t> name_id)
        if self.names[slot] == 0:
            with gil:
                self._learn(<uint32_t> name_id)
            slot = self._slot(<uint32_t> name_id)
        return self.tables[slot]

    cdef Py_ssize_t _slot(self, uint32_t name_id) noexcept nogil:
        cdef Py_ssize_t slot = (name_id * <uint64_t> 0x9E3779B97F4A7C15ULL >> 32) & (
            self.slot_count - 1
        )
        while self.names[slot] and self.names[slot] != name_id:
            slot = (slot + 1) & (self.slot_count - 1)
        return slot

    cdef int _learn(self, uint32_t name_id) except -1:
        cdef Days days = days_of(self.texts.text(name_id)) or self.default
        cdef Py_ssize_t slot
        if (self.count + 1) * 2 > self.slot_count:
            self._grow()
        slot = self._slot(name_id)
        self.kept.append(days)
        self.names[slot] = name_id
        self.tables[slot] = &days.table
        self.count += 1
        return 0

    cdef int _grow(self) except -1:
        """Double the room for names."""
        cdef uint32_t* names = self.names
        cdef ZoneTable** tables = self.tables
        cdef Py_ssize_t former = self.slot_count
        cdef Py_ssize_t place, slot
        self.slot_count = max(64, former * 2)
        self.names = <uint32_t*> calloc(self.slot_count, sizeof(uint32_t))
        self.tables = <ZoneTable**> calloc(self.slot_count, sizeof(ZoneTable*))
        if self.names == NULL or self.tables == NULL:
            raise MemoryError(f"no memory for the names of {self.slot_count} zones")
        for place in range(former):
            if names[place]:
                slot = self._slot(names[place])
                self.names[slot] = names[place]
                self.tables[slot] = tables[place]
        free(names)
        free(tables)
        return 0
