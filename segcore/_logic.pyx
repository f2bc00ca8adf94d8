"""Signals that audiences read, and the programs that they are.

A signal is one condition or one audience: a column of what is true of whom, and the audiences that
look at it. A program over signals is evaluated for one profile, or for 64 at a time.
"""

cimport cython
from libc.stdlib cimport calloc, free, realloc

from segcore.conjunction import conjunction_of
from segcore.plan import Logic as Op

cdef int32_t PUSH = Op.PUSH
cdef int32_t CONSTANT = Op.CONSTANT
cdef int32_t CONJOIN = Op.CONJOIN
cdef int32_t DISJOIN = Op.DISJOIN

cdef extern from *:
    """
    static inline int coterie_lowest(unsigned long long word) { return __builtin_ctzll(word); }
    """
    int coterie_lowest(uint64_t word) noexcept nogil


@cython.final
cdef class Queue:
    """Ranks to be looked at: the least comes first, each once."""

    def __cinit__(self):
        self.room(64)

    def __dealloc__(self):
        free(self.words)

    cdef int room(self, Py_ssize_t ranks) except -1:
        """Make room for this many ranks; the queue is empty then."""
        cdef Py_ssize_t count = (ranks >> 6) + 1
        free(self.words)
        self.words = <uint64_t*> calloc(count, sizeof(uint64_t))
        if self.words == NULL:
            raise MemoryError(f"no memory to queue {ranks} audiences")
        self.word_count = count
        self.least = count
        return 0

    cdef Py_ssize_t take(self) noexcept nogil:
        """Take out the least rank; -1 where there is none."""
        cdef int bit
        while self.least < self.word_count:
            if self.words[self.least]:
                bit = coterie_lowest(self.words[self.least])
                self.words[self.least] &= self.words[self.least] - 1
                return self.least * 64 + bit
            self.least += 1
        return -1

    cdef void empty(self) noexcept nogil:
        """Let nothing be queued."""
        while self.take() >= 0:
            pass


@cython.final
cdef class Signal:
    """A column of bits, and the ranks of the audiences that read it."""

    def __cinit__(self, Truth truth not None):
        self.truth = truth
        self.column = truth.add_column()

    def __dealloc__(self):
        free(self.watchers)

    cdef int watch(self, uint32_t rank) except -1:
        """Let the audience of a rank be queued when a bit changes."""
        cdef uint32_t* moved = <uint32_t*> realloc(
            self.watchers, (self.watcher_count + 1) * sizeof(uint32_t)
        )
        if moved == NULL:
            raise MemoryError("no memory for an audience that reads another")
        self.watchers = moved
        moved[self.watcher_count] = rank
        self.watcher_count += 1
        return 0

    cdef void unwatch(self) noexcept:
        """Let nobody be queued any more."""
        self.watcher_count = 0

    cdef int _turn(self, uint32_t ordinal, bint value, Queue queue) except -1 nogil:
        """Set a bit that changes, and queue who reads it."""
        cdef Py_ssize_t place
        self.truth.put(ordinal, self.column, value)
        for place in range(self.watcher_count):
            queue.add(self.watchers[place])
        return 0


@cython.final
cdef class Logic:
    """One rule over its signals, which stand in the order of the plan's atoms."""

    def __cinit__(self, plan, tuple signals, Truth truth not None):
        cdef Py_ssize_t place
        self.truth = truth
        self.signals = signals
        self.step_count = len(plan.code)
        self.steps = <Step*> calloc(self.step_count, sizeof(Step))
        self.stack = <uint64_t*> calloc(plan.depth, sizeof(uint64_t))
        if not (self.steps and self.stack):
            raise MemoryError("no memory for a rule")
        for place, (op, argument) in enumerate(plan.code):
            if op == PUSH:
                argument = (<Signal> signals[argument]).column
            self.steps[place] = Step(op, argument)
        found = conjunction_of(plan.code)
        if found is not None:
            self._take_tests(found)

    def __dealloc__(self):
        free(self.tests)
        free(self.steps)
        free(self.stack)

    cdef int _take_tests(self, found) except -1:
        """Take a conjunction as one test a word."""
        cdef uint32_t column
        cdef uint64_t bit
        cdef Py_ssize_t place
        self.negated = found.negated
        self.tests = <Test*> calloc(len(found.wanted), sizeof(Test))
        if self.tests == NULL:
            raise MemoryError("no memory for a rule")
        for source, value in found.wanted:
            column = (<Signal> self.signals[source]).column
            bit = <uint64_t> 1 << (column & 63)
            place = 0
            while place < self.test_count and self.tests[place].word != <int32_t> (column >> 6):
                place += 1
            self.test_count = max(self.test_count, place + 1)
            self.tests[place].word = column >> 6
            self.tests[place].mask |= bit
            self.tests[place].wanted |= bit if value else 0
        return 0

    cdef uint64_t _run(self, const uint64_t* row, Py_ssize_t block) noexcept nogil:
        """Run the program for one row, of which only the lowest bit counts, or for a block."""
        cdef uint64_t* top = self.stack - 1
        cdef Step* step = self.steps
        cdef Step* end = step + self.step_count
        cdef int32_t index
        while step < end:
            if step.op == PUSH:
                top += 1
                if row != NULL:
                    top[0] = row[step.argument >> 6] >> (step.argument & 63)
                else:
                    top[0] = self.truth.gather(block, <uint32_t> step.argument)
            elif step.op == CONSTANT:
                top += 1
                top[0] = ~<uint64_t> 0 if step.argument else 0
            elif step.op == CONJOIN:
                top -= step.argument - 1
                for index in range(1, step.argument):
                    top[0] &= top[index]
            elif step.op == DISJOIN:
                top -= step.argument - 1
                for index in range(1, step.argument):
                    top[0] |= top[index]
            else:
                top[0] = ~top[0]
            step += 1
        return top[0]
