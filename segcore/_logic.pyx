"""What is true of whom, as bits, and programs over words of them.

A signal is one condition or one audience: a bit for each ordinal, and the audiences that look at
it. A program over signals is evaluated for 64 profiles at a time; one profile is a bit of that.
"""

cimport cython
from libc.stdlib cimport calloc, free, realloc

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
    """A bit for each ordinal, and the ranks of the audiences that read it."""

    def __cinit__(self):
        self.bits = Bits()

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
        self.bits.put(ordinal, value)
        for place in range(self.watcher_count):
            queue.add(self.watchers[place])
        return 0


@cython.final
cdef class Logic:
    """One rule over its signals, which stand in the order of the plan's atoms."""

    def __cinit__(self, plan, tuple signals):
        cdef Py_ssize_t place
        cdef Signal signal
        self.signals = signals
        self.step_count = len(plan.code)
        self.steps = <Step*> calloc(self.step_count, sizeof(Step))
        self.stack = <uint64_t*> calloc(plan.depth, sizeof(uint64_t))
        self.sources = <uint64_t***> calloc(max(1, len(signals)), sizeof(uint64_t**))
        self.sizes = <Py_ssize_t**> calloc(max(1, len(signals)), sizeof(Py_ssize_t*))
        if not (self.steps and self.stack and self.sources and self.sizes):
            raise MemoryError("no memory for a rule")
        for place, (op, argument) in enumerate(plan.code):
            self.steps[place] = Step(op, argument)
        for place in range(len(signals)):
            signal = signals[place]
            self.sources[place] = &signal.bits.words
            self.sizes[place] = &signal.bits.word_count

    def __dealloc__(self):
        free(self.steps)
        free(self.stack)
        free(self.sources)
        free(self.sizes)

    cdef uint64_t word(self, Py_ssize_t place) noexcept nogil:
        """Return what the program comes to for the 64 ordinals from `64 * place` on."""
        cdef uint64_t* top = self.stack - 1
        cdef Step* step = self.steps
        cdef Step* end = step + self.step_count
        cdef int32_t index, source
        while step < end:
            if step.op == PUSH:
                source = step.argument
                top += 1
                top[0] = self.sources[source][0][place] if place < self.sizes[source][0] else 0
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
