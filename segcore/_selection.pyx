"""One question to the whole history: who makes a rule true, at one instant.

Atoms become bits, one pass over the columns for each; `combine` joins them, 64 profiles at a time.
A frozen question goes in slices, and rests between two: then its owner lets others have the engine.
"""

from functools import partial

from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from segcore._batch cimport Batch
from segcore._days cimport Zones
from segcore._decide cimport PersonRow, Scratch
from segcore._column_tests cimport BLOCK_ROWS, BLOCK_WORDS
from segcore._filter cimport Filter, program_over
from segcore._follow cimport Steps
from segcore._group cimport Group
from segcore._program cimport Program

from segcore._follow import following, gather, owners_of
from segcore.condition_plan import plan_condition
from segcore.lanes import side_by_side
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


cdef enum:
    # Of each block of a slice: what takes some 30 us of rows, of people, of changes.
    BLOCK_ORDINALS = 32768
    BLOCK_PEOPLE = 128
    BLOCK_CHANGES = 2048
    # Room for people who come while a frozen question is asked.
    HEADROOM = 1048576
    # Rows, or people, for which a thread is worth its while.
    LANE_ROWS = 131072
    # Of another thread's cells, which are zeroed and joined in the time that a row takes.
    JOINED_BYTES = 32


class OutgrownError(Exception):
    """What a question is about is no more as it was when it was asked; it is to be asked anew.

    More people came than it has room for, or attributes were forgotten.
    """


cdef class Selection:
    """What is asked must not change while it is asked: no input comes in between.

    With `at_ms` the question is of that instant, after all that time changed at it. A frozen one
    goes in slices of `frozen` blocks of 4,096 rows. It keeps who is known and what time it is from
    the start; of people who change while it rests it says nothing that is of use. Who asks it sees
    to them.

    Another one goes over columns on up to `threads` threads, each of at least `share` rows or
    people; one that a frozen question has is not left alone with the columns for long enough.
    """

    def __cinit__(
        self, LiveEngine engine not None, at_ms=None, Py_ssize_t frozen=0, Py_ssize_t threads=1,
        Py_ssize_t share=LANE_ROWS,
    ):
        self.engine, self.frozen = engine, frozen
        self.threads, self.share = 1 if frozen else max(1, threads), max(1, share)
        self.texts, self.events = engine.texts, engine.events
        self.attributes, self.known = engine.attributes, engine.known
        self.past = at_ms is not None
        self.now_ms, self.horizon_ms = engine.now_ms, engine.horizon_ms
        self.zone, self.partition = engine.zone, engine.partition
        self.text_count = PY_SSIZE_T_MAX
        if frozen:
            self.known = Bits.from_bytes(engine.known.bytes())
        self.ordinals = (self.known.word_count << 6) + (HEADROOM if frozen else 0)
        if self.past:
            self.now_ms = self.horizon_ms = at_ms
            self.attributes = Attributes(engine.texts, engine.owners)
            self.attributes.journal = engine.attributes.journal
            self.journal_size = engine.attributes.journal.ordinals.size

    def __enter__(self):
        cdef Py_ssize_t step = (self.frozen or 8) * BLOCK_CHANGES
        self.text_count = len(self.texts)
        while self.recalled < self.journal_size:
            self._recall(min(self.journal_size, self.recalled + step))
            self.pause()
        return self

    def __exit__(self, kind, mistake, trace):
        """Forget the texts that the question brought: it leaves no trace in the engine."""
        self.texts.forget(self.text_count)

    def rest_by(self, rest):
        """Let `rest` be called between slices, with None, or with what needs no engine meanwhile.

        It returns what that comes to. Others may use the engine until it returns.
        """
        self.rest = rest

    def spoil(self):
        """Let the question end when it goes on: attributes are forgotten that it may look at."""
        self.spoiled = True

    def pause(self, work=None):
        """Rest, if that is wanted; what a slice brought to the dictionary does not outlive it."""
        if self.rest is None:
            return None if work is None else work()
        self.texts.forget(self.text_count)
        self.text_count = PY_SSIZE_T_MAX
        done = self.rest(work)
        self.text_count = len(self.texts)
        if self.spoiled or self.engine.known.word_count << 6 > self.ordinals:
            raise OutgrownError
        return done

    cdef int _recall(self, Py_ssize_t end) except -1:
        """Take changes of attributes up to a row of the journal, as far as they are of the past."""
        cdef Attributes past = self.attributes
        cdef Py_ssize_t row
        for row in range(self.recalled, end):
            if past.journal.as_of.get(row) <= self.now_ms and not past.journal.is_dead(row):
                past._take(past.owners.owner(past.journal.ordinals.get(row)), row)
        self.recalled = end
        return 0

    def having(self, condition):
        """Return the bits of those whose attributes make a condition true."""
        cdef Filter filter
        cdef Bits found = Bits()
        cdef Py_ssize_t first = 0, end = 0, ordinals = self.known.word_count << 6
        found.resize(self.known.word_count)
        memcpy(found.words, self.known.words, self.known.word_count * 8)
        if self.threads > 1 and self._having_in_lanes(condition, found, ordinals):
            return found
        while first < ordinals:
            if first:
                self.pause()
            end = ordinals
            if self.frozen:
                end = min(ordinals, first + self.frozen * BLOCK_ORDINALS)
            filter = Filter(condition, self.texts, None, None, self.attributes)
            with nogil:
                run_over(filter, first, end, found)
            first = end
        return found

    def _having_in_lanes(self, condition, Bits found, Py_ssize_t ordinals):
        """Narrow `found` to those of whom a condition is true; False if one thread has to."""
        cdef Py_ssize_t lanes = min(self.threads, ordinals // self.share), lane
        cdef list filters = [
            Filter(condition, self.texts, None, None, self.attributes) for lane in range(lanes)
        ]
        if lanes < 2 or filters[0].asks:
            return False
        turns = Turns()
        side_by_side([partial(narrow, each, turns, ordinals, found) for each in filters])
        return True

    def parts(self, rows, Group group=None, operand=None):
        """Yield scans, one after the other, of all rows of `rows`: by type, `where` and rolling age.

        With `operand`, which is added up in a group, only of those that have it.
        """
        cdef Table table
        cdef RowScan scan
        cdef Py_ssize_t first, count, step
        cdef bint of_field = isinstance(operand, EventField | ItemField)
        cdef bint begun = False
        for name in sorted(set(rows.types)):
            table = self.events.table(<uint32_t> self.texts.id_of(name))
            count = 0 if table is None else table.ordinals.size
            step = self.frozen * BLOCK_ROWS if self.frozen else max(1, count)
            for first in range(0, count, step):
                if begun:
                    self.pause()
                begun = True
                scan = self._scan(rows, table, first, min(count, first + step))
                if of_field:
                    present = Compare(Comparison.NE, operand, Literal(None, None))
                    scan.field = Filter(present, self.texts, self.events, table, None)
                    if not scan.field.is_column:
                        continue
                elif operand is not None:
                    group.operand = program_over(self.texts, compile_value(operand))
                yield scan

    cdef RowScan _scan(self, rows, Table table, Py_ssize_t first, Py_ssize_t end):
        """Return a scan of some rows of a table, from the beginning of a block on."""
        cdef RowScan scan
        cdef Filter where = None
        cdef int64_t after_ms = INT64_MIN, until_ms = self.now_ms if self.past else INT64_MAX
        if rows.last_ms is not None:
            after_ms = self.horizon_ms - <int64_t> rows.last_ms
        if rows.older_ms is not None:
            until_ms = min(until_ms, self.horizon_ms - <int64_t> rows.older_ms)
        if rows.where is not None:
            where = Filter(rows.where, self.texts, self.events, table, None)
        scan = RowScan(self.events, table, rows.scope is Scope.ITEM, where, after_ms, until_ms)
        scan.row, scan.row_count = first, end
        return scan

    def counts(self, rows, exact_to):
        """Return how many rows each profile has, told apart up to `exact_to`."""
        cdef Group group = Group(self.ordinals, exact_to)
        self._fill(group, rows, None)
        return group

    def sums(self, rows, operand):
        """Return what `operand` of each profile's rows adds up to."""
        cdef Group group = Group(self.ordinals, None)
        self._fill(group, rows, operand)
        return group

    def _lanes(self, rows, operand=None, Py_ssize_t cell_bytes=0):
        """Return the scans of each thread, none where one is to do it all.

        `cell_bytes` is what each thread has cells of.
        """
        cdef RowScan scan
        cdef Table table
        cdef Py_ssize_t lane, lanes, count = 0
        if self.threads == 1:
            return []
        if not (operand is None or isinstance(operand, EventField | ItemField)):
            return []
        for name in set(rows.types):
            table = self.events.table(<uint32_t> self.texts.id_of(name))
            count += 0 if table is None else table.ordinals.size
        lanes = min(self.threads, count // self.share)
        # A second thread saves half of the rows, and has to save more than its cells cost.
        if lanes < 2 or count < 2 * cell_bytes // JOINED_BYTES:
            return []
        found = [list(self.parts(rows, None, operand)) for lane in range(lanes)]
        for lane in range(lanes):
            for scan in found[lane]:
                if scan.where is not None and scan.where.asks:
                    return []
        for shared in zip(*found):
            turns = Turns()
            for scan in shared:
                scan.turns = turns
        return found

    def _fill(self, Group group, rows, operand):
        """Let a group take rows, or what `operand` of them comes to."""
        while lanes := self._lanes(rows, operand, group.size):
            if self._fill_in_lanes(group, lanes):
                return
            group.widen()
        group.add(lambda: self.parts(rows, group, operand))

    def _fill_in_lanes(self, Group group, list lanes):
        """Let a group take the rows of all scans; tell whether all sums fit."""
        others = [group.beside() for _ in lanes[1:]]
        works = [partial(each.take_all, scans) for each, scans in zip([group, *others], lanes)]
        if not all(side_by_side(works)):
            return False
        parts = max(1, min(len(lanes), group.size // (self.share * JOINED_BYTES)))
        return all(side_by_side([
            partial(group.join, others, part, parts) for part in range(parts)
        ]))

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
            among = self.pause(lambda: owners_of(firsts, self.known.word_count))
        self._gather(follow.then, thens, among)
        if self.threads > 1 and len(firsts) + len(thens) > self.share:
            side_by_side([firsts.order, thens.order])
        else:
            self.pause(firsts.order)
            self.pause(thens.order)
        return self.pause(
            lambda: following(
                firsts, thens, follow.within_ms if bounded else 0, bounded, follow.absent,
                rows.key is not None, self.horizon_ms, self.known.word_count,
            )
        )

    def _gather(self, rows, Steps steps, Bits among):
        cdef list lanes = self._lanes(rows)
        cdef list found = [Steps() for _ in lanes[1:]]
        if not lanes:
            return self._gather_from(self.parts(rows), rows.key, steps, among)
        side_by_side([
            partial(self._gather_from, scans, rows.key, each, among)
            for scans, each in zip(lanes, [steps, *found])
        ])
        steps.take(found)

    def _gather_from(self, scans, key, Steps steps, Bits among):
        cdef RowScan scan
        cdef uint64_t first_row
        for scan in scans:
            if key is not None:
                present = Compare(Comparison.NE, key, Literal(None, None))
                scan.field = Filter(present, self.texts, self.events, scan.table, None)
                if not scan.field.is_column:
                    scan.field = None
            first_row = (<uint64_t> scan.table.type_id << 1 | scan.of_items) << 33
            gather(scan, steps, first_row, among)

    def condition(self, expression):
        """Return what decides a condition for one person; until the question rests."""
        return Condition(
            plan_condition(expression), self.texts, self.events, self.attributes,
            Zones(self.texts, self.zone), Scratch(), self.partition,
        )

    def deciding(self, expression):
        """Return the bits of those whose whole person makes a condition true, one by one."""
        cdef Condition condition = self.condition(expression)
        cdef Bits found = Bits()
        cdef Bits candidates = self.known
        cdef Py_ssize_t first = 0, end, step, words = self.known.word_count
        if not (condition.at_birth or condition.attributes):
            types = plan_condition(expression).types
            candidates = self.counts(Rows(Scope.EVENT, types), 0).passing(1, 1, False)
        step = self.frozen * (BLOCK_PEOPLE >> 6) if self.frozen else max(1, words)
        found.resize(words)
        for first in range(0, words, step):
            if self.frozen:
                self.pause()
                condition = self.condition(expression)
            end = min(words, first + step)
            with nogil:
                self._decide_some(condition, candidates, found, first, end)
        return found

    cdef int _decide_some(
        self, Condition condition, Bits candidates, Bits found, Py_ssize_t first, Py_ssize_t end
    ) except -1 nogil:
        """Decide for the candidates of some words of bits."""
        cdef Verdict verdict
        cdef Py_ssize_t word
        cdef uint64_t left
        cdef uint32_t ordinal
        for word in range(first, min(end, candidates.word_count)):
            left = candidates.words[word] & self.known.words[word]
            while left:
                ordinal = <uint32_t> (word << 6 | lowest_bit(left))
                left &= left - 1
                self._decide(condition, ordinal, &verdict)
                if verdict.holds:
                    found.words[word] |= <uint64_t> 1 << (ordinal & 63)
        return 0

    cdef int _decide(self, Condition condition, uint32_t ordinal, Verdict* out) except -1 nogil:
        """Decide for one person, of the past by the rows that there were."""
        cdef int64_t count = condition.gather(ordinal, self.horizon_ms), kept = 0, index
        cdef PersonRow* rows = condition.scratch.rows
        if self.past:
            for index in range(count):
                if rows[index].occurred_ms <= self.now_ms:
                    rows[kept] = rows[index]
                    kept += 1
            count = kept
        condition.read_attributes(ordinal)
        condition.decide(ordinal, rows, count, self.horizon_ms, out)
        return 0

    def holds(self, Condition condition, uint32_t ordinal, members):
        """Tell whether a condition holds for one person, who is in these audiences."""
        cdef Verdict verdict
        cdef Py_ssize_t row
        if self.past:
            for row in self.attributes.rows_of(ordinal):
                if self.attributes.journal.as_of.get(row) <= self.now_ms:
                    self.attributes._take(ordinal, row)
        condition.set_members(members)
        with nogil:
            self._decide(condition, ordinal, &verdict)
        return bool(verdict.holds)

    def forget(self, Py_ssize_t text_count):
        """Let go of texts that conditions brought since there were so many."""
        self.texts.forget(text_count)

    def people_of(self, Batch batch not None):
        """Return the ordinals of a batch's events that are known, each once."""
        cdef Py_ssize_t place
        cdef set found = set()
        for place in range(batch.size):
            if self.known.get(batch.rows[place].ordinal):
                found.add(batch.rows[place].ordinal)
        return found

    def replace(self, Bits found, Bits touched, Bits held):
        """Let `held` say of those who were touched what `found` says of others."""
        cdef Py_ssize_t word
        for word in range(min(found.word_count, touched.word_count)):
            found.words[word] &= ~touched.words[word]
            if word < held.word_count:
                found.words[word] |= held.words[word] & touched.words[word]

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


def narrow(Filter filter not None, Turns turns not None, Py_ssize_t end, Bits found not None):
    """Take those out of `found`, of the blocks that are ours, of whom a filter is not true."""
    cdef Py_ssize_t first
    with nogil:
        first = turns.take() * BLOCK_ORDINALS
        while first < end:
            run_over(filter, first, min(end, first + BLOCK_ORDINALS), found)
            first = turns.take() * BLOCK_ORDINALS


cdef int run_over(Filter filter, Py_ssize_t first, Py_ssize_t end, Bits found) except -1 nogil:
    cdef Py_ssize_t count
    while first < end:
        count = min(BLOCK_ROWS, end - first)
        filter.run(NULL, first, count, found.words + (first >> 6))
        first += count
    return 0


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
