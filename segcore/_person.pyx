"""Conditions of one person: built from a plan, asked for one person at a time.

`evaluate` walks through the person's events once, keeps the rows that some source of the condition
wants, and lets `Decider` answer. What a person's attributes are, what folds come to and so on lie
in `slots`, one after the other, where all code of the condition reads them.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport INT64_MAX, int32_t

from segcore._decide cimport (
    AgeState,
    AnniversaryState,
    FoldState,
    FollowState,
    Scratch,
    comparison_code,
    fold_code,
    hash_text,
    run_over,
)
from segcore._days cimport Zones
from segcore._history cimport Events, Walk
from segcore._program cimport MISSING, Program, Source, field_key
from segcore._table cimport Table

from segcore.condition_plan import ZONE, RowsPlan
from segcore.programs import compile_value
from segcore.rule import EventField, Fold, Kind, Scope

cdef int64_t NEVER = INT64_MAX
EVENT_ID = compile_value(EventField("id", Kind.TEXT))


cdef class Condition(Decider):
    """One condition of persons; those of one thread share a `Scratch`, and are asked by it alone.

    Whoever asks sets `members` first, one for each of `audience_ids`, where there are any.
    `type_ids` and `attributes` are all that can change the answer, `at_birth` tells whether it has
    to be asked of persons of whom nothing is known.
    """

    def __cinit__(
        self,
        plan,
        Texts texts,
        Events events,
        Attributes values,
        Zones zones,
        Scratch scratch,
        uint32_t partition=0,
    ):
        """Take a `segcore.condition_plan.ConditionPlan`."""
        self.texts = texts
        self.events = events
        self.values = values
        self.zones = zones
        self.scratch = scratch
        self.kept_alive = []
        self.first_profile = <uint64_t> partition << 32
        self.type_ids = tuple([texts.intern(name) for name in plan.types])
        self.attributes = plan.attributes
        self.audience_ids = plan.audiences
        self.zoned = plan.zoned
        self._lay_out(plan)
        self._take_sources(plan)
        self._take_sets(plan)
        self._take_steps(plan)
        self._take_times(plan)
        self.program = self._for_person(plan.program)
        self.at_birth = self._may_hold_of_nobody(plan)

    cdef void* _room(self, Py_ssize_t count, Py_ssize_t size) except NULL:
        """Return memory that lives as long as the condition, all zero."""
        cdef bytearray block = bytearray(max(1, count) * size)
        self.kept_alive.append(block)
        return <void*> PyByteArray_AS_STRING(block)

    cdef int _lay_out(self, plan) except -1:
        """Give a slot to each attribute, membership, fold, age, anniversary and bucket."""
        cdef Py_ssize_t place
        wanted = {each: None for program in programs_in(plan) for each in program.inputs}
        attributes = [each for each in wanted if each.source == Source.ATTRIBUTE]
        if plan.zoned and ZONE not in attributes:
            attributes.append(ZONE)
        self.places = {each: place for place, each in enumerate(attributes)}
        self.key_count = len(attributes)
        self.keys = <uint32_t*> self._room(self.key_count, sizeof(uint32_t))
        for place, each in enumerate(attributes):
            self.keys[place] = field_key(self.texts, each.name, each.kind)
        self.zone_slot = self.places.get(ZONE, 0)
        self.fold_slot = <int32_t> (self.key_count + len(plan.audiences))
        self.age_slot = <int32_t> (self.fold_slot + len(plan.folds))
        self.anniversary_slot = <int32_t> (self.age_slot + len(plan.ages))
        self.bucket_slot = <int32_t> (self.anniversary_slot + len(plan.anniversaries))
        self.slots = <int64_t*> self._room(
            self.bucket_slot + len(plan.salts), sizeof(int64_t)
        )
        self.members = self.slots + self.key_count
        return 0

    def _slot(self, wanted):
        """Return where the value of an input of the person lies."""
        if wanted.source == Source.ATTRIBUTE:
            return self.places[wanted]
        if wanted.source == Source.MEMBER:
            return self.key_count + self.audience_ids.index(wanted.name)
        first = {
            Source.FOLD: self.fold_slot,
            Source.AGE: self.age_slot,
            Source.ANNIVERSARY: self.anniversary_slot,
            Source.BUCKET: self.bucket_slot,
        }
        return first[wanted.source] + wanted.index

    cdef void* _for_person(self, plan) except NULL:
        """Return a program over slots; the condition keeps it alive."""
        inputs = [(wanted.source, self._slot(wanted)) for wanted in plan.inputs]
        cdef Program program = Program(self.texts, plan, inputs)
        self.kept_alive.append(program)
        return <void*> program

    cdef void* _over_row(self, plan) except? NULL:
        """Return a program over rows, NULL for none; the condition keeps it alive."""
        cdef Program program
        if plan is None:
            return NULL
        inputs = [
            (
                wanted.source,
                field_key(self.texts, wanted.name, wanted.kind)
                if wanted.source == Source.PROPERTY
                else 0,
            )
            for wanted in plan.inputs
        ]
        program = Program(self.texts, plan, inputs)
        self.kept_alive.append(program)
        return <void*> program

    cdef int _take_sources(self, plan) except -1:
        """Lay out the sources, and for each event type which of them want it."""
        cdef Py_ssize_t place
        cdef Group* group
        self.source_count = len(plan.sources)
        self.sources = <SourceState*> self._room(self.source_count, sizeof(SourceState))
        for place, source in enumerate(plan.sources):
            self.sources[place].windowed = source.last_ms is not None
            self.sources[place].last_ms = source.last_ms or 0
            self.sources[place].where = self._over_row(source.where)
        self.group_count = len(plan.types)
        self.groups = <Group*> self._room(self.group_count, sizeof(Group))
        for index, name in enumerate(plan.types):
            group = &self.groups[index]
            group.type_id = self.texts.intern(name)
            for place, source in enumerate(plan.sources):
                if name in source.types and source.scope is Scope.ITEM:
                    group.of_items |= <uint64_t> 1 << place
                elif name in source.types:
                    group.of_events |= <uint64_t> 1 << place
        return 0

    cdef int _take_sets(self, plan) except -1:
        """Lay out the sets of rows with their times and follows."""
        cdef Py_ssize_t place
        cdef list times = []
        cdef list follows = []
        self.set_count = len(plan.rows)
        self.sets = <RowsState*> self._room(self.set_count, sizeof(RowsState))
        for place, rows in enumerate(plan.rows):
            self._take_set(&self.sets[place], rows, times, follows)
        self.times = <void**> self._room(len(times), sizeof(void*))
        for place, time in enumerate(times):
            self.times[place] = self._for_person(time)
        self.follows = <FollowState*> self._room(len(follows), sizeof(FollowState))
        for place, follow in enumerate(follows):
            self.follows[place] = FollowState(
                follow.then,
                follow.absent,
                follow.keyed,
                follow.within_ms is not None,
                follow.within_ms or 0,
            )
            self.sets[<Py_ssize_t> follow.then].answers = True
            self.sets[<Py_ssize_t> follow.then].keyed |= follow.keyed
        return 0

    cdef int _take_set(self, RowsState* state, plan, list times, list follows) except -1:
        state.source = <uint64_t> 1 << <int> plan.source
        state.windowed = plan.last_ms is not None
        state.last_ms = plan.last_ms or 0
        state.aged = plan.older_ms is not None
        state.older_ms = plan.older_ms or 0
        state.calendar = plan.calendar_days is not None
        state.calendar_days = plan.calendar_days or 0
        state.key = self._over_row(plan.key)
        state.keyed = any([follow.keyed for follow in plan.follows])
        state.first_time = <int32_t> len(times)
        times += plan.from_times
        state.first_until = <int32_t> len(times)
        times += plan.until_times
        state.times_end = <int32_t> len(times)
        state.first_follow = <int32_t> len(follows)
        follows += plan.follows
        state.follows_end = <int32_t> len(follows)
        return 0

    cdef int _take_steps(self, plan) except -1:
        """Lay out the folds, and the order of sets and folds: -1 - index is a fold."""
        cdef Py_ssize_t place
        cdef FoldState* fold
        self.fold_count = len(plan.folds)
        self.folds = <FoldState*> self._room(self.fold_count, sizeof(FoldState))
        for place, each in enumerate(plan.folds):
            fold = &self.folds[place]
            fold.rows = each.rows
            fold.fold = fold_code(each.fold)
            fold.slot = <int32_t> (self.fold_slot + place)
            fold.operand = self._over_row(each.operand)
            fold.of_ids = each.fold is Fold.DISTINCT and each.operand == EVENT_ID
        self.step_count = len(plan.steps)
        self.steps = <int32_t*> self._room(self.step_count, sizeof(int32_t))
        sets = folds = 0
        for place, step in enumerate(plan.steps):
            if isinstance(step, RowsPlan):
                self.steps[place] = sets
                sets += 1
            else:
                self.steps[place] = -1 - folds
                folds += 1
        return 0

    cdef int _take_times(self, plan) except -1:
        """Lay out ages, anniversaries and buckets."""
        cdef Py_ssize_t place, length = 0
        cdef const char* letters
        self.age_count = len(plan.ages)
        self.ages = <AgeState*> self._room(self.age_count, sizeof(AgeState))
        for place, age in enumerate(plan.ages):
            self.ages[place].operand = self._for_person(age.operand)
            self.ages[place].comparison = comparison_code(age.comparison)
            self.ages[place].against_null = age.span_ms is None
            self.ages[place].span_ms = age.span_ms or 0
        self.anniversary_count = len(plan.anniversaries)
        self.anniversaries = <AnniversaryState*> self._room(
            self.anniversary_count, sizeof(AnniversaryState)
        )
        for place, anniversary in enumerate(plan.anniversaries):
            self.anniversaries[place].operand = self._for_person(anniversary.operand)
            self.anniversaries[place].of_time = anniversary.of_time
        self.salt_count = len(plan.salts)
        self.salts = <uint64_t*> self._room(self.salt_count, sizeof(uint64_t))
        for place, salt in enumerate(plan.salts):
            letters = PyUnicode_AsUTF8AndSize(salt, &length)
            self.salts[place] = hash_text(letters, length)
        return 0

    cdef bint _may_hold_of_nobody(self, plan) except -1:
        """Tell whether the condition may hold without an event and an attribute, now or ever."""
        cdef Verdict verdict
        cdef Py_ssize_t place
        known = (Source.ATTRIBUTE, Source.FOLD)
        constant = [
            each
            for each in (*plan.ages, *plan.anniversaries)
            if not any([wanted.source in known for wanted in each.operand.inputs])
        ]
        if plan.salts or plan.audiences or constant:
            return True
        for place in range(self.key_count):
            self.slots[place] = MISSING
        self.decide(0, NULL, 0, 0, &verdict)
        return verdict.holds

    cdef int evaluate(
        self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms, Verdict* out
    ) except -1 nogil:
        """Answer for a person as they are now."""
        cdef int64_t count = self.gather(ordinal, horizon_ms)
        self.read_attributes(ordinal)
        return self.decide(ordinal, self.scratch.rows, count, horizon_ms, out)

    cdef void read_attributes(self, uint32_t ordinal) noexcept nogil:
        """Set the slots of attributes to what they are now: one for each of `keys`."""
        cdef Py_ssize_t place
        for place in range(self.key_count):
            self.slots[place] = self.values.get(ordinal, self.keys[place])

    cdef int64_t gather(self, uint32_t ordinal, int64_t horizon_ms) except -1 nogil:
        """Find the rows of a person that some source wants; return how many there are."""
        cdef Walk walk
        cdef Group* group
        cdef int64_t count = 0, event
        self.events.begin(&walk, ordinal)
        event = self.events.step(&walk)
        while event >= 0:
            group = self.group_of(self.events.types.get(event))
            if group != NULL:
                count = self.take_event(
                    <Table> self.events.table_of(event), event, group, count, horizon_ms
                )
            event = self.events.step(&walk)
        return count

    cdef int64_t take_event(
        self, Table table, int64_t event, const Group* group, int64_t count, int64_t horizon_ms
    ) except -1 nogil:
        """Take the rows of one event that some source wants; return how many there are then."""
        cdef int64_t row = self.events.rows.get(event)
        cdef int64_t line
        cdef PersonRow found
        found.occurred_ms = table.occurred.get(row)
        found.received_ms = table.received.get(row)
        found.table = <PyObject*> table
        found.event = event
        found.row = row
        found.line = -1
        if group.of_events and self.passes(&found, group.of_events, horizon_ms):
            self.scratch.add_row(count)[0] = found
            count += 1
        if group.of_items:
            for line in range(table.first_line(row), table.item_ends.get(row)):
                found.line = line
                if self.passes(&found, group.of_items, horizon_ms):
                    self.scratch.add_row(count)[0] = found
                    count += 1
        return count

    cdef bint concerns(self, int64_t event, int64_t horizon_ms) except -1 nogil:
        """Tell whether an event that comes in, or goes, can change an answer at all.

        It cannot where no source of the condition keeps one of its rows.
        """
        cdef Group* group = self.group_of(self.events.types.get(event))
        return group != NULL and self.take_event(
            <Table> self.events.table_of(event), event, group, 0, horizon_ms
        ) > 0

    cdef inline Group* group_of(self, uint32_t type_id) noexcept nogil:
        """Return what wants events of a type, NULL where nothing does."""
        cdef Py_ssize_t place
        for place in range(self.group_count):
            if self.groups[place].type_id == type_id:
                return &self.groups[place]
        return NULL

    cdef bint passes(self, PersonRow* row, uint64_t wanted, int64_t horizon_ms) except -1 nogil:
        """Mark a row with those of its sources that keep it; tell whether there are any."""
        cdef Py_ssize_t place = 0
        cdef SourceState* source
        row.sources = 0
        while wanted >> place:
            source = &self.sources[place]
            if (
                wanted >> place & 1
                and not (source.windowed and row.occurred_ms + source.last_ms <= horizon_ms)
                and (
                    source.where == NULL
                    or run_over(<Program> source.where, self.events, row) == 1
                )
            ):
                row.sources |= <uint64_t> 1 << place
            place += 1
            if place == 64:
                break
        return row.sources != 0

    def set_members(self, members):
        """Say whether the person asked for next is in each of `audience_ids`."""
        cdef Py_ssize_t place
        for place in range(len(self.audience_ids)):
            self.members[place] = self.audience_ids[place] in members

    def holds(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms):
        """Return whether it holds, and the next instant at which time may change that, or None."""
        cdef Verdict verdict
        with nogil:
            self.evaluate(ordinal, now_ms, horizon_ms, &verdict)
        return bool(verdict.holds), None if verdict.next_ms == NEVER else verdict.next_ms


def programs_in(plan):
    """Return every program of a plan that reads the person."""
    programs = [plan.program]
    for rows in plan.rows:
        programs += [*rows.from_times, *rows.until_times]
    return programs + [each.operand for each in (*plan.ages, *plan.anniversaries)]


cdef class OnePerson:
    """One person's history by itself, to ask conditions of: ordinal 1 of a partition."""

    cdef Texts texts
    cdef Events events
    cdef Attributes values
    cdef Zones zones
    cdef Scratch scratch
    cdef uint32_t partition
    cdef int64_t arrivals

    def __cinit__(self, history, str zone="UTC", uint32_t partition=0):
        self.texts = Texts()
        self.events = Events(self.texts)
        self.values = Attributes(self.texts)
        self.zones = Zones(self.texts, zone)
        self.scratch = Scratch()
        self.partition = partition
        for event in history.events:
            self.events.append(1, event)
        for change in history.attribute_changes:
            self.arrivals += 1
            for key, value in self.values.encode(change.values):
                self.values.put(1, key, value, change.as_of_ms, self.arrivals, 0)

    def condition(self, plan):
        """Return the condition of a `segcore.condition_plan.ConditionPlan` over this history."""
        return Condition(
            plan, self.texts, self.events, self.values, self.zones, self.scratch, self.partition
        )
