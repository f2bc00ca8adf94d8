"""One question to the whole history: who makes a rule true, at one instant.

Atoms become bits, one pass over the columns for each; `combine` joins them, 64 profiles at a time.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from segcore._days cimport Zones
from segcore._decide cimport PersonRow, Scratch, Verdict
from segcore._engine cimport LiveEngine
from segcore._filter cimport BLOCK_ROWS, BLOCK_WORDS, Filter, program_over
from segcore._follow cimport Steps
from segcore._group cimport Group
from segcore._program cimport Program

from segcore._rows cimport RowScan
from segcore._table cimport Table

from segcore._follow import following, gather, owners_of
from segcore.condition_plan import plan_condition
from segcore.programs import compile_value
from segcore.rule import Compare, Comparison, EventField, ItemField, Literal, Rows, Scope

cdef extern from *:
    int lowest_bit "__builtin_ctzll" (uint64_t word) noexcept nogil

cdef enum:
    PUSH = 0
    CONSTANT = 1
    CONJOIN = 2
    DISJOIN = 3
    NEGATE = 4


cdef Attributes past_attributes(Attributes now, int64_t at_ms):
    """Return the attributes as changes up to an instant have made them."""
    cdef Attributes past = Attributes(now.texts, now.owners)
    cdef Py_ssize_t row
    past.journal = now.journal
    for row in range(now.journal.ordinals.size):
        if now.journal.as_of.get(row) <= at_ms and not now.journal.is_dead(row):
            past._take(now.owners.owner(now.journal.ordinals.get(row)), row)
    return past


cdef class Selection:
    """What is asked must not change while it is asked: no input comes in between.

    With `at_ms` the question is of that instant, after all that time changed at it.
    """

    def __cinit__(self, LiveEngine engine not None, at_ms=None):
        self.texts, self.events = engine.texts, engine.events
        self.attributes, self.known = engine.attributes, engine.known
        self.past = at_ms is not None
        self.now_ms, self.horizon_ms = engine.now_ms, engine.horizon_ms
        if self.past:
            self.now_ms = self.horizon_ms = at_ms
            self.attributes = past_attributes(engine.attributes, at_ms)
        self.ordinals = self.known.word_count << 6
        self.zone, self.partition = engine.zone, engine.partition

    def __enter__(self):
        self.text_count = len(self.texts)
        return self

    def __exit__(self, kind, mistake, trace):
        """Forget the texts that the question brought: it leaves no trace in the engine."""
        self.texts.forget(self.text_count)

    def having(self, condition):
        """Return the bits of those whose attributes make a condition true."""
        cdef Filter filter = Filter(condition, self.texts, None, None, self.attributes)
        cdef Bits found = Bits()
        cdef Py_ssize_t first = 0, count
        found.resize(self.known.word_count)
        memcpy(found.words, self.known.words, self.known.word_count * 8)
        with nogil:
            while first < self.ordinals:
                count = min(BLOCK_ROWS, self.ordinals - first)
                filter.run(NULL, first, count, found.words + (first >> 6))
                first += count
        return found

    def scans(self, rows):
        """Return a scan of each table for the rows of `rows`: by type, `where` and rolling age."""
        cdef list scans = []
        cdef Table table
        cdef Filter where
        cdef bint of_items = rows.scope is Scope.ITEM
        cdef int64_t after_ms = INT64_MIN, until_ms = self.now_ms if self.past else INT64_MAX
        if rows.last_ms is not None:
            after_ms = self.horizon_ms - <int64_t> rows.last_ms
        if rows.older_ms is not None:
            until_ms = min(until_ms, self.horizon_ms - <int64_t> rows.older_ms)
        for name in sorted(set(rows.types)):
            table = self.events.table(<uint32_t> self.texts.id_of(name))
            if table is None:
                continue
            where = None
            if rows.where is not None:
                where = Filter(rows.where, self.texts, self.events, table, None)
            scans.append(RowScan(self.events, table, of_items, where, after_ms, until_ms))
        return scans

    def counts(self, rows, exact_to):
        """Return how many rows each profile has, told apart up to `exact_to`."""
        cdef Group group = Group(self.ordinals, exact_to)
        group.add(lambda: self.scans(rows))
        return group

    def sums(self, rows, operand):
        """Return what `operand` of each profile's rows adds up to."""
        cdef Group group = Group(self.ordinals, None)
        if isinstance(operand, EventField | ItemField):
            group.add(lambda: self._with_column(self.scans(rows), operand))
        else:
            group.operand = program_over(self.texts, compile_value(operand))
            group.add(lambda: self.scans(rows))
        return group

    def _with_column(self, list scans, operand):
        """Return those scans whose table has the field, and let them read its column."""
        cdef RowScan scan
        cdef list having = []
        present = Compare(Comparison.NE, operand, Literal(None, None))
        for scan in scans:
            scan.field = Filter(present, self.texts, self.events, scan.table, None)
            if scan.field.is_column:
                having.append(scan)
        return having

    def following(self, rows):
        """Return the bits of those who have a row that the one test in `follows` leaves."""
        cdef Steps firsts = Steps(), thens = Steps()
        cdef Bits among = None
        follow = rows.follows[0]
        cdef bint bounded = follow.within_ms is not None
        if not follow.absent:
            among = self.counts(follow.then, 0).passing(1, 1, False)
        self._gather(rows, firsts, among)
        if follow.absent:
            among = owners_of(firsts, self.known.word_count)
        self._gather(follow.then, thens, among)
        return following(
            firsts, thens, follow.within_ms if bounded else 0, bounded, follow.absent,
            rows.key is not None, self.horizon_ms, self.known.word_count,
        )

    def _gather(self, rows, Steps steps, Bits among):
        cdef RowScan scan
        cdef uint64_t first_row
        for scan in self.scans(rows):
            if rows.key is not None:
                present = Compare(Comparison.NE, rows.key, Literal(None, None))
                scan.field = Filter(present, self.texts, self.events, scan.table, None)
                if not scan.field.is_column:
                    scan.field = None
            first_row = (<uint64_t> scan.table.type_id << 1 | scan.of_items) << 33
            gather(scan, steps, first_row, among)

    def deciding(self, expression):
        """Return the bits of those whose whole person makes a condition true, one by one."""
        plan = plan_condition(expression)
        cdef Condition condition = Condition(
            plan, self.texts, self.events, self.attributes, Zones(self.texts, self.zone),
            Scratch(), self.partition,
        )
        cdef Bits found = Bits()
        cdef Bits candidates = self.known
        if not (condition.at_birth or condition.attributes):
            candidates = self.counts(Rows(Scope.EVENT, plan.types), 0).passing(1, 1, False)
        found.resize(self.known.word_count)
        with nogil:
            self._decide_all(condition, candidates, found)
        return found

    cdef int _decide_all(self, Condition condition, Bits candidates, Bits found) except -1 nogil:
        cdef Verdict verdict
        cdef Py_ssize_t word
        cdef uint64_t left
        cdef uint32_t ordinal
        cdef int64_t count, kept, index
        cdef PersonRow* rows
        for word in range(min(candidates.word_count, self.known.word_count)):
            left = candidates.words[word] & self.known.words[word]
            while left:
                ordinal = <uint32_t> (word << 6 | lowest_bit(left))
                left &= left - 1
                count = condition.gather(ordinal, self.horizon_ms)
                if self.past:
                    rows, kept = condition.scratch.rows, 0
                    for index in range(count):
                        if rows[index].occurred_ms <= self.now_ms:
                            rows[kept] = rows[index]
                            kept += 1
                    count = kept
                condition.read_attributes(ordinal)
                condition.decide(
                    ordinal, condition.scratch.rows, count, self.horizon_ms, &verdict
                )
                if verdict.holds:
                    found.words[word] |= <uint64_t> 1 << (ordinal & 63)
        return 0

    def combine(self, code, depth, atoms):
        """Return the bits of the known profiles for which a program over atoms is true."""
        cdef Bits found = Bits()
        cdef Bits atom
        cdef Py_ssize_t index, length = len(code), word = 0, part
        cdef int32_t* steps = <int32_t*> calloc(max(1, 2 * length), sizeof(int32_t))
        cdef uint64_t** words = <uint64_t**> calloc(max(1, len(atoms)), sizeof(uint64_t*))
        cdef Py_ssize_t* sizes = <Py_ssize_t*> calloc(max(1, len(atoms)), sizeof(Py_ssize_t))
        cdef uint64_t* stack = <uint64_t*> calloc(max(1, depth) * BLOCK_WORDS, sizeof(uint64_t))
        try:
            if not (steps and words and sizes and stack):
                raise MemoryError("no memory for a rule")
            for index, (op, argument) in enumerate(code):
                steps[2 * index], steps[2 * index + 1] = op, argument
            for index, atom in enumerate(atoms):
                words[index], sizes[index] = atom.words, atom.word_count
            found.resize(self.known.word_count)
            with nogil:
                while word < self.known.word_count:
                    part = min(BLOCK_WORDS, self.known.word_count - word)
                    join(steps, length, words, sizes, word, part, stack)
                    for index in range(part):
                        found.words[word + index] = stack[index] & self.known.words[word + index]
                    word += part
        finally:
            free(steps)
            free(words)
            free(sizes)
            free(stack)
        return found


cdef void join(
    const int32_t* steps, Py_ssize_t length, uint64_t** atoms, const Py_ssize_t* sizes,
    Py_ssize_t first, Py_ssize_t count, uint64_t* stack
) noexcept nogil:
    """Run a program over atoms for some words; what it comes to is on the stack."""
    cdef uint64_t* top = stack - BLOCK_WORDS
    cdef Py_ssize_t index, word, held
    cdef int32_t op, argument, operand
    for index in range(length):
        op, argument = steps[2 * index], steps[2 * index + 1]
        if op == PUSH:
            top += BLOCK_WORDS
            held = max(0, min(count, sizes[argument] - first))
            memcpy(top, atoms[argument] + first, held * 8)
            memset(top + held, 0, (count - held) * 8)
        elif op == CONSTANT:
            top += BLOCK_WORDS
            memset(top, 0xFF if argument else 0, count * 8)
        elif op == NEGATE:
            for word in range(count):
                top[word] = ~top[word]
        else:
            for operand in range(1, argument):
                top -= BLOCK_WORDS
                if op == CONJOIN:
                    for word in range(count):
                        top[word] &= top[BLOCK_WORDS + word]
                else:
                    for word in range(count):
                        top[word] |= top[BLOCK_WORDS + word]
