"""From the rows of one person to the answer of a condition, and when time may change it.

The steps of a plan come first: what time and other rows leave of each source, and what that comes
to. Then ages and anniversaries are compared, and the condition's own code runs. With the answer
goes the next instant at which it may change by time: for each row the first that may happen to it,
for each fold the first that matters to it. Nothing is kept from one person to the next but memory.
"""

from libc.stdlib cimport free, realloc
from libc.string cimport memcmp

from segcore._days cimport first_ms, local_day, next_anniversary, next_step_back, reach_day
from segcore._table cimport Table
from segcore._program cimport MISSING, wide_add, wide_average, wide_clear, wide_read, wide_sum

from segcore.rule import Comparison, Fold

cdef enum FoldCode:
    EXISTS
    COUNT
    SUM
    MIN
    MAX
    AVG
    DISTINCT
    LATEST
    EARLIEST

cdef enum ComparisonCode:
    EQ
    NE
    LT
    LE
    GT
    GE

cdef int64_t MICRO = 1000000
cdef int64_t NEVER = INT64_MAX
cdef dict FOLD_CODES = {fold: code for code, fold in enumerate(Fold)}
cdef dict COMPARISON_CODES = {comparison: code for code, comparison in enumerate(Comparison)}


cdef int32_t fold_code(object fold) except -1:
    return FOLD_CODES[fold]


cdef int32_t comparison_code(object comparison) except -1:
    return COMPARISON_CODES[comparison]


cdef class Scratch:
    """Memory for the rows of one person at a time; conditions of one thread share it."""

    def __dealloc__(self):
        free(self.rows)
        free(self.kept)

    cdef PersonRow* add_row(self, int64_t place) except NULL nogil:
        """Return the row at `place`, the next one; this may move all."""
        cdef PersonRow* moved
        if place == self.row_capacity:
            moved = <PersonRow*> realloc(self.rows, (place * 2 + 64) * sizeof(PersonRow))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {place * 2} rows of a person")
            self.rows = moved
            self.row_capacity = place * 2 + 64
        return &self.rows[place]

    cdef int reserve(self, int64_t kept) except -1 nogil:
        """See that there is room for so many kept rows."""
        cdef kept_row* moved
        if kept > self.kept_capacity:
            moved = <kept_row*> realloc(self.kept, kept * 2 * sizeof(kept_row))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {kept * 2} kept rows of a person")
            self.kept = moved
            self.kept_capacity = kept * 2
        return 0


cdef int64_t run_over(Program program, Events events, const PersonRow* row) except? -2 nogil:
    """Return what a program comes to for one row."""
    cdef Py_ssize_t place
    if program.length == 1 and program.input_count == 1:
        return events.read(&program.inputs[0], <Table> row.table, row.row, row.line)
    for place in range(program.input_count):
        program.values[place] = events.read(
            &program.inputs[place], <Table> row.table, row.row, row.line
        )
    return program.run()


cdef int64_t run_for(Program program, const int64_t* slots) except? -2 nogil:
    """Return what a program comes to for the person whose values lie in `slots`."""
    cdef Py_ssize_t place
    for place in range(program.input_count):
        program.values[place] = slots[program.inputs[place].argument]
    return program.run()


cdef int compare_ids(
    Table table, Py_ssize_t row, Table others, Py_ssize_t other
) noexcept nogil:
    """Return less than, equal to or more than 0: how the ids of two events compare."""
    cdef int64_t start = table.id_ends.get(row - 1) if row else 0
    cdef int64_t other_start = others.id_ends.get(other - 1) if other else 0
    cdef int64_t length = table.id_ends.get(row) - start
    cdef int64_t other_length = others.id_ends.get(other) - other_start
    cdef int order = memcmp(
        table.id_heap.data + start, others.id_heap.data + other_start, min(length, other_length)
    )
    return order if order else (length > other_length) - (length < other_length)


cdef int64_t hash_id(Table table, Py_ssize_t row) noexcept nogil:
    cdef int64_t start = table.id_ends.get(row - 1) if row else 0
    return <int64_t> hash_text(table.id_heap.data + start, table.id_ends.get(row) - start)


cdef bint is_known(
    const PersonRow* rows, const kept_row* group, const kept_row* last
) noexcept nogil:
    """Tell whether a row's id is that of an earlier one of its group, one of those with a 1."""
    cdef const PersonRow* row = &rows[last.place]
    cdef const PersonRow* other
    while group < last:
        other = &rows[group.place]
        if group.at_ms == 1 and (
            row.event == other.event
            or compare_ids(<Table> row.table, row.row, <Table> other.table, other.row) == 0
        ):
            return True
        group += 1
    return False


cdef bint is_newer(const PersonRow* row, const PersonRow* other) noexcept nogil:
    """Tell which of two rows is the newer one: by time, receipt, id, line, arrival."""
    cdef int order
    if row.occurred_ms != other.occurred_ms:
        return row.occurred_ms > other.occurred_ms
    if row.received_ms != other.received_ms:
        return row.received_ms > other.received_ms
    if row.event == other.event:
        return row.line > other.line
    order = compare_ids(<Table> row.table, row.row, <Table> other.table, other.row)
    if order:
        return order > 0
    if place_of(row) != place_of(other):
        return place_of(row) > place_of(other)
    return row.event > other.event


cdef int64_t place_of(const PersonRow* row) noexcept nogil:
    """Return the place of a line within its event, -1 for a row of events."""
    return row.line - (<Table> row.table).first_line(row.row) if row.line >= 0 else -1


cdef inline void note(Present* present, int64_t instant_ms) noexcept nogil:
    """Remember an instant at which the answer may change."""
    if present.horizon_ms < instant_ms < present.next_ms:
        present.next_ms = instant_ms


cdef inline bint compare_spans(int32_t comparison, int64_t age_ms, int64_t span_ms) noexcept nogil:
    if comparison == EQ or comparison == NE:
        return (age_ms == span_ms) == (comparison == EQ)
    if comparison == LT or comparison == LE:
        return age_ms < span_ms or (age_ms == span_ms and comparison == LE)
    return age_ms > span_ms or (age_ms == span_ms and comparison == GE)


cdef inline bint compare_missing(int32_t comparison, bint equal) noexcept nogil:
    if comparison == EQ or comparison == NE:
        return equal == (comparison == EQ)
    return False


cdef class Decider:
    """What a condition comes to for rows that were gathered; `Condition` is built of one."""

    cdef int decide(
        self,
        uint32_t ordinal,
        const PersonRow* rows,
        int64_t row_count,
        int64_t horizon_ms,
        Verdict* out,
    ) except -1 nogil:
        """Answer for a person whose attributes and memberships lie in `slots`."""
        cdef Present present
        cdef Py_ssize_t place
        present.horizon_ms = horizon_ms
        present.next_ms = NEVER
        present.rows = rows
        present.row_count = row_count
        if self.zoned:
            present.zone = self.zones.of_text(self.slots[self.zone_slot])
            present.today = local_day(present.zone, horizon_ms)
        self.scratch.reserve(row_count * (self.set_count + 2))
        for place in range(self.set_count):
            self.sets[place].kept = self.scratch.kept + row_count * (place + 2)
        for place in range(self.salt_count):
            self.slots[self.bucket_slot + place] = bucket_of(
                self.salts[place], self.first_profile | ordinal
            )
        for place in range(self.step_count):
            if self.steps[place] >= 0:
                self._keep_rows(&self.sets[self.steps[place]], &present)
            else:
                self._fold(&self.folds[-1 - self.steps[place]], &present)
        self._compare_ages(&present)
        self._come_round(&present)
        out.holds = run_for(<Program> self.program, self.slots) == 1
        out.next_ms = present.next_ms
        return 0

    cdef int _keep_rows(self, RowsState* state, Present* present) except -1 nogil:
        """Find the rows that are in a set, and when the first one leaves it or comes to it."""
        cdef int64_t first = 0, before = 0, place
        state.count = 0
        state.first_departure_ms = state.first_arrival_ms = NEVER
        state.last_departure_ms = INT64_MIN
        self._bounds(state, present, &first, &before)
        for place in range(present.row_count):
            if (
                present.rows[place].sources & state.source
                and first <= present.rows[place].occurred_ms < before
            ):
                self._keep(state, present, place)
        if state.answers:
            sort_kept(state.kept, self.scratch.kept, state.count)
            note(present, state.first_departure_ms)
            note(present, state.first_arrival_ms)
        return 0

    cdef int _bounds(
        self, RowsState* state, Present* present, int64_t* first, int64_t* before
    ) except -1 nogil:
        """Say from when on and until when rows may be by fixed times; a missing one leaves none."""
        cdef int32_t place
        cdef int64_t instant_ms
        first[0] = INT64_MIN
        before[0] = INT64_MAX
        for place in range(state.first_time, state.times_end):
            instant_ms = run_for(<Program> self.times[place], self.slots)
            if instant_ms == MISSING:
                before[0] = INT64_MIN
            elif place < state.first_until:
                first[0] = max(first[0], instant_ms)
            else:
                before[0] = min(before[0], instant_ms)
        return 0

    cdef int _keep(self, RowsState* state, Present* present, int64_t place) except -1 nogil:
        """Keep a row unless time or other rows are against it; note what time will do to it."""
        cdef const PersonRow* row = &present.rows[place]
        cdef const FollowState* follow
        cdef kept_row* kept = &state.kept[state.count]
        cdef int64_t horizon_ms = present.horizon_ms
        cdef int64_t arrives_ms = INT64_MIN, leaves_ms = NEVER
        cdef int32_t index
        if state.windowed:
            leaves_ms = row.occurred_ms + state.last_ms
            if leaves_ms <= horizon_ms:
                return 0
        if state.aged:
            arrives_ms = row.occurred_ms + state.older_ms
        if state.calendar:
            self._by_day(state, present, row.occurred_ms, &arrives_ms, &leaves_ms)
        kept.at_ms = row.occurred_ms
        kept.place = place
        kept.key = 0
        if state.keyed:
            kept.key = MISSING
            if state.key != NULL:
                kept.key = run_over(<Program> state.key, self.events, row)
        for index in range(state.first_follow, state.follows_end):
            follow = &self.follows[index]
            if self._answered(follow, kept) == follow.absent:
                return 0
            if follow.absent and follow.bounded:
                arrives_ms = max(arrives_ms, later_by(row.occurred_ms, follow.within_ms))
        if arrives_ms > horizon_ms:
            if arrives_ms < leaves_ms:
                state.first_arrival_ms = min(state.first_arrival_ms, arrives_ms)
            return 0
        if state.key == NULL:
            kept.key = 0
        kept.leaves_ms = leaves_ms
        state.first_departure_ms = min(state.first_departure_ms, leaves_ms)
        state.last_departure_ms = max(state.last_departure_ms, leaves_ms)
        state.count += 1
        return 0

    cdef void _by_day(
        self,
        RowsState* state,
        Present* present,
        int64_t occurred_ms,
        int64_t* arrives_ms,
        int64_t* leaves_ms,
    ) noexcept nogil:
        """Say when a row leaves the last local days, or may come back to them.

        It is in them while the first instant of their first day is not after it. It comes back only
        where clocks go back over midnight.
        """
        cdef int64_t beyond = local_day(present.zone, occurred_ms) + 1
        cdef int64_t gone_ms
        while first_ms(present.zone, beyond) <= occurred_ms:
            beyond += 1
        beyond += state.calendar_days - 1
        if present.today < beyond:
            gone_ms = reach_day(present.zone, beyond, present.horizon_ms)
            leaves_ms[0] = min(leaves_ms[0], gone_ms)
        else:
            arrives_ms[0] = max(
                arrives_ms[0], next_step_back(present.zone, present.horizon_ms)
            )

    cdef bint _answered(self, const FollowState* follow, const kept_row* row) noexcept nogil:
        """Tell whether another row lies where a follow looks for one."""
        cdef const RowsState* then = &self.sets[follow.then]
        cdef int64_t key = row.key if follow.keyed else 0
        cdef int64_t until_ms = NEVER
        cdef int64_t place
        if key == MISSING:
            return False
        if follow.bounded:
            until_ms = later_by(row.at_ms, follow.within_ms)
        place = place_from(
            then.kept, then.count, key, row.at_ms if follow.absent else row.at_ms + 1
        )
        if place < then.count and then.kept[place].place == row.place:
            place += 1
        return (
            place < then.count
            and then.kept[place].key == key
            and then.kept[place].at_ms <= until_ms
        )

    cdef int _fold(self, FoldState* fold, Present* present) except -1 nogil:
        """Set what a fold comes to, and note when time may change that."""
        cdef RowsState* state = &self.sets[fold.rows]
        cdef int64_t value
        fold.winner = -1
        if fold.fold == EXISTS:
            note(present, state.last_departure_ms if state.count else state.first_arrival_ms)
            self.slots[fold.slot] = state.count > 0
            return 0
        if fold.fold == COUNT:
            value = state.count * MICRO
        elif fold.of_ids:
            value = self._distinct_ids(fold, present)
        elif fold.fold == DISTINCT:
            value = self._distinct(fold, present)
        elif fold.fold == LATEST or fold.fold == EARLIEST:
            value = self._newest(fold, present)
        else:
            value = self._fold_values(fold, present)
        self.slots[fold.slot] = value
        note(present, state.first_arrival_ms)
        if fold.winner < 0:
            note(present, state.first_departure_ms)
        else:
            note(present, state.kept[fold.winner].leaves_ms)
        return 0

    cdef int64_t _fold_values(self, FoldState* fold, Present* present) except? -2 nogil:
        """Return the sum, average, least or greatest of the values that are there."""
        cdef RowsState* state = &self.sets[fold.rows]
        cdef wide_sum total
        cdef int64_t place, value, count = 0, least = INT64_MAX, most = INT64_MIN
        wide_clear(&total)
        for place in range(state.count):
            value = run_over(
                <Program> fold.operand, self.events, &present.rows[state.kept[place].place]
            )
            if value == MISSING:
                continue
            count += 1
            wide_add(&total, value)
            least = min(least, value)
            most = max(most, value)
        if fold.fold == SUM:
            return wide_read(&total)
        if count == 0:
            return MISSING
        if fold.fold == AVG:
            return wide_average(&total, count)
        return least if fold.fold == MIN else most

    cdef int64_t _distinct(self, FoldState* fold, Present* present) except? -2 nogil:
        """Return how many different values there are."""
        cdef RowsState* state = &self.sets[fold.rows]
        cdef kept_row* values = self.scratch.kept + present.row_count
        cdef int64_t place, value, count = 0, distinct = 0
        for place in range(state.count):
            value = run_over(
                <Program> fold.operand, self.events, &present.rows[state.kept[place].place]
            )
            if value != MISSING:
                values[count].key = value
                values[count].at_ms = 0
                count += 1
        sort_kept(values, self.scratch.kept, count)
        for place in range(count):
            distinct += place == 0 or values[place].key != values[place - 1].key
        return distinct * MICRO

    cdef int64_t _distinct_ids(self, FoldState* fold, Present* present) noexcept nogil:
        """Return of how many event ids the rows are, without interning them."""
        cdef RowsState* state = &self.sets[fold.rows]
        cdef kept_row* ids = self.scratch.kept + present.row_count
        cdef const PersonRow* row
        cdef int64_t place, start = 0, distinct = 0
        for place in range(state.count):
            row = &present.rows[state.kept[place].place]
            ids[place].key = hash_id(<Table> row.table, row.row)
            ids[place].at_ms = 0
            ids[place].place = state.kept[place].place
        sort_kept(ids, self.scratch.kept, state.count)
        for place in range(state.count):
            if ids[place].key != ids[start].key:
                start = place
            if not is_known(present.rows, ids + start, ids + place):
                ids[place].at_ms = 1
                distinct += 1
        return distinct * MICRO

    cdef int64_t _newest(self, FoldState* fold, Present* present) except? -2 nogil:
        """Return the time or value of the newest, or oldest, row that has one; it is the winner."""
        cdef RowsState* state = &self.sets[fold.rows]
        cdef bint latest = fold.fold == LATEST
        cdef const PersonRow* row
        cdef const PersonRow* best = NULL
        cdef int64_t place, value, found = MISSING
        for place in range(state.count):
            row = &present.rows[state.kept[place].place]
            if best != NULL and is_newer(row, best) != latest:
                continue
            value = row.occurred_ms
            if fold.operand != NULL:
                value = run_over(<Program> fold.operand, self.events, row)
            if value != MISSING:
                best = row
                found = value
                fold.winner = place
        return found

    cdef int _compare_ages(self, Present* present) except -1 nogil:
        """Compare each age with its span, and note when it reaches it and when it is beyond."""
        cdef Py_ssize_t place
        cdef AgeState* age
        cdef int64_t since_ms, reached_ms
        for place in range(self.age_count):
            age = &self.ages[place]
            since_ms = run_for(<Program> age.operand, self.slots)
            if age.against_null or since_ms == MISSING:
                self.slots[self.age_slot + place] = compare_missing(
                    age.comparison, (since_ms == MISSING) == age.against_null
                )
                continue
            self.slots[self.age_slot + place] = compare_spans(
                age.comparison, later_by(present.horizon_ms, -since_ms), age.span_ms
            )
            reached_ms = later_by(since_ms, age.span_ms)
            if age.comparison != GT and age.comparison != LE:
                note(present, reached_ms)
            if age.comparison != GE and age.comparison != LT:
                note(present, later_by(reached_ms, 1))
        return 0

    cdef int _come_round(self, Present* present) except -1 nogil:
        """Tell of each date whether it comes round today, and note when that changes."""
        cdef Py_ssize_t place
        cdef int64_t born, coming
        cdef AnniversaryState* anniversary
        for place in range(self.anniversary_count):
            anniversary = &self.anniversaries[place]
            self.slots[self.anniversary_slot + place] = 0
            born = run_for(<Program> anniversary.operand, self.slots)
            if born == MISSING:
                continue
            if anniversary.of_time:
                born = local_day(present.zone, born)
            coming = next_anniversary(born, present.today)
            self.slots[self.anniversary_slot + place] = coming == present.today
            if coming == present.today:
                coming += 1
            note(present, reach_day(present.zone, coming, present.horizon_ms))
            note(present, next_step_back(present.zone, present.horizon_ms))
        return 0
