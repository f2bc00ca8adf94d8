"""What decides atoms: a leaf with its thresholds, a test of attributes, a test of a whole person.

A node sets the bits of its atoms for one profile when something has come or a timer is due. It has
at most one valid timer a profile, and that may ring early: then it is only set anew.
"""

from cpython.list cimport PyList_GET_ITEM
from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, realloc

from segcore._program cimport MISSING
from segcore._decide cimport Verdict
from segcore._tally cimport NO_TIMER, Look, Newest, Total, Window
from segcore._texts cimport Texts

from segcore.plan import Leaf as LeafPlan
from segcore.rule import Comparison, Scope

cdef int64_t MICRO = 1000000

cdef inline int64_t kept_due(int64_t due_ms) noexcept nogil:
    """Return an instant as it is kept in a cell, where 0 is none; its own inverse."""
    return due_ms ^ MISSING


cdef Atom atom_of(comparison, threshold, bint of_count):
    """Return a comparison with a constant as a range of whole numbers.

    A missing value is less than the least: it is in no range.
    """
    least, most = -INT64_MAX, INT64_MAX
    if of_count:
        floor, ceiling = threshold // MICRO, -(-threshold // MICRO)
    else:
        floor = ceiling = threshold
    if comparison in (Comparison.EQ, Comparison.NE):
        least, most = ceiling, floor
    elif comparison is Comparison.LT:
        most = ceiling - 1
    elif comparison is Comparison.LE:
        most = floor
    elif comparison is Comparison.GT:
        least = floor + 1
    else:
        least = ceiling
    if least > INT64_MAX:
        least, most = 1, 0
    return Atom(least, most, comparison is Comparison.NE, of_count)


cdef inline bint holds(const Atom* atom, int64_t value) noexcept nogil:
    return (atom.least <= value <= atom.most) != atom.negated


cdef class Surroundings:
    """What all nodes of an engine look at and write to."""

    def __cinit__(self, Events events, Attributes attributes, Bits known):
        self.events = events
        self.attributes = attributes
        self.known = known
        self.wheel = Wheel()
        self.queue = Queue()
        self.truth = Truth()


cdef class Node:
    """Decides one atom or more.

    Until it is `live`, not all profiles have their bits: `build` goes on, and what comes in
    meanwhile is minded.
    """

    cdef int add_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms
    ) except -1:
        """Take a new event of one of its types."""
        self.count_event(table, row, ordinal, horizon_ms)
        return self.refresh(ordinal, now_ms, horizon_ms)

    cdef int count_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t horizon_ms
    ) except -1:
        """Count an event without looking at what that changes."""
        return 0

    cdef void prefetch(self, uint32_t ordinal) noexcept:
        """Begin to bring near what a profile's next event or timer will touch."""

    cdef int refresh(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms) except -1:
        """Set the bits of a profile, and its timer."""
        raise TypeError(f"expected a kind of node, found {type(self).__name__}")

    cdef bint ring(self, uint32_t ordinal, int64_t due_ms) except -1:
        """Do what is due, if the timer is the valid one; tell whether it was."""
        raise TypeError(f"expected a kind of node, found {type(self).__name__}")

    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept:
        """Tell whether a timer is the valid one, and not a stale one."""
        return False

    cdef int clear(self, uint32_t ordinal) except -1:
        """Forget a profile: its timer becomes stale, its bits are those of nobody."""
        raise TypeError(f"expected a kind of node, found {type(self).__name__}")

    cdef bint build(self, Py_ssize_t most, int64_t now_ms, int64_t horizon_ms) except -1:
        """Go on with the build by so many rows or profiles; return whether all is done."""
        self.live = self._fill(most, now_ms, horizon_ms)
        return self.live

    cdef bint _fill(self, Py_ssize_t most, int64_t now_ms, int64_t horizon_ms) except -1:
        """Set the bits of the next profiles."""
        cdef Bits known = self.around.known
        cdef Py_ssize_t end = min(known.word_count * 64, self.filled + most)
        while self.filled < end:
            if self.filled == 0 or known.get(self.filled):
                self.refresh(<uint32_t> self.filled, now_ms, horizon_ms)
            self.filled += 1
        return self.filled >= known.word_count * 64

    cdef double progress(self):
        """Return how much of the build is done, 0 to 1."""
        return self.filled / <double> max(1, self.around.known.word_count * 64)

    def memory(self):
        """Return the bytes of its state, without the bits of its atoms."""
        return 0

    def signals_of(self):
        """Return the signals of its atoms."""
        return [self.signal]

    def types_of(self):
        """Return the ids of the event types that can change it."""
        return ()

    def attributes_of(self):
        """Return the ids of the names of attributes that can change it."""
        return ()


cdef class TallyNode(Node):
    """A leaf and the comparisons of what it holds with constants."""

    def __cinit__(self, uint32_t index, Surroundings around, Texts texts, plan, where, operand):
        self.index = index
        self.around = around
        self.key = plan.key
        self.most = plan.most
        self.of_items = plan.scope is Scope.ITEM
        self.windowed = plan.last_ms is not None
        self.window_ms = plan.last_ms or 0
        self.where = where
        self.operand = operand
        self.bare = not self.of_items and where is None and operand is None
        self.types = tuple([texts.intern(name) for name in plan.types])
        self.cursors = {}
        self.signals = []
        self.least = NO_TIMER
        self.atom_signals = {}
        if not self.windowed:
            self.leaf = Total()
        elif self.most is not None and operand is None:
            self.leaf = Newest(self.window_ms, self.most)
        else:
            self.leaf = Window(self.window_ms, operand is not None)

    def __dealloc__(self):
        free(self.atoms)

    def suffices(self, plan):
        """Tell whether it knows counts as far as a plan over the same rows needs them."""
        return self.most is None or (plan.most is not None and plan.most <= self.most)

    def signal_of(self, str key):
        """Return the signal of an atom that it decides already, or None."""
        return self.atom_signals.get(key)

    def signals_of(self):
        return self.signals

    def types_of(self):
        return self.types

    def add_atom(self, str key, comparison, int64_t threshold, bint of_count):
        """Decide one more atom; return its signal. The node has to be built again."""
        cdef Py_ssize_t place = self.atom_count
        cdef Signal signal = Signal(self.around.truth)
        cdef Atom* atoms = <Atom*> realloc(self.atoms, (place + 1) * sizeof(Atom))
        if atoms == NULL:
            raise MemoryError("no memory for a condition")
        self.atoms = atoms
        atoms[place] = atom_of(comparison, threshold, of_count)
        self.atom_signals[key] = signal
        self.signals.append(signal)
        self.atom_count += 1
        self.least = min(self.least, least_count(comparison, threshold) if of_count else 1)
        self.at_birth |= holds(&atoms[place], 0)
        self.filled = 0
        self.live = False
        return signal

    cdef int add_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms
    ) except -1:
        cdef void* cell = NULL
        if self.bare and self.counted:
            self.leaf.add(ordinal, table.occurred.get(row), 0, horizon_ms, &cell)
        else:
            self._add_rows(table, row, ordinal, horizon_ms, &cell)
        return 0 if cell == NULL else self._decide(ordinal, cell, horizon_ms)

    cdef int count_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t horizon_ms
    ) except -1:
        cdef void* cell = NULL
        return self._add_rows(table, row, ordinal, horizon_ms, &cell)

    cdef int _add_rows(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t horizon_ms, void** cell
    ) except -1:
        """Add the rows of an event to the leaf; `cell` stays NULL where it takes none of them."""
        cdef Py_ssize_t line
        if not self.counted and row >= self.cursors.get(table.type_id, 0):
            return 0  # The build will come to it.
        if self.windowed and table.occurred.get(row) <= horizon_ms - self.window_ms:
            return 0
        if not self.of_items:
            return self._add_row(table, row, -1, ordinal, horizon_ms, cell)
        for line in range(table.first_line(row), table.item_ends.get(row)):
            self._add_row(table, row, line, ordinal, horizon_ms, cell)
        return 0

    cdef int _add_row(
        self, Table table, Py_ssize_t row, Py_ssize_t line, uint32_t ordinal, int64_t horizon_ms,
        void** cell
    ) except -1:
        cdef int64_t value = 0
        if self.where is not None:
            fill(self.where, self.around.events, table, row, line)
            if self.where.run() != 1:
                return 0
        if self.operand is not None:
            fill(self.operand, self.around.events, table, row, line)
            value = self.operand.run()
            if value == MISSING:
                return 0
        return self.leaf.add(ordinal, table.occurred.get(row), value, horizon_ms, cell)

    cdef void prefetch(self, uint32_t ordinal) noexcept:
        self.leaf.prefetch(ordinal)

    cdef int refresh(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms) except -1:
        return self._decide(ordinal, self.leaf.find(ordinal), horizon_ms)

    cdef int _decide(self, uint32_t ordinal, void* cell, int64_t horizon_ms) except -1:
        """Set the bits and the timer by what the leaf's cell says."""
        cdef int64_t* armed = <int64_t*> cell
        cdef Py_ssize_t place
        cdef int64_t value
        cdef Look seen
        self.leaf.look(cell, horizon_ms, &seen)
        for place in range(self.atom_count):
            atom = &self.atoms[place]
            value = seen.count if atom.of_count else seen.total
            (<Signal> PyList_GET_ITEM(self.signals, place)).put(
                ordinal, holds(atom, value), self.around.queue
            )
        if seen.due_ms != NO_TIMER and seen.count >= self.least and (
            armed[0] == 0 or seen.due_ms < kept_due(armed[0])
        ):
            armed[0] = kept_due(seen.due_ms)
            self.around.wheel.push(seen.due_ms, ordinal, self.index)
        return 0

    cdef bint ring(self, uint32_t ordinal, int64_t due_ms) except -1:
        cdef void* cell = self.leaf.find(ordinal)
        if cell == NULL or (<int64_t*> cell)[0] != kept_due(due_ms):
            return False
        (<int64_t*> cell)[0] = 0
        self.leaf.expire(ordinal, due_ms, &cell)
        self._decide(ordinal, cell, due_ms)
        return True

    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept:
        cdef int64_t* armed = <int64_t*> self.leaf.find(ordinal)
        return armed != NULL and armed[0] == kept_due(due_ms)

    cdef int clear(self, uint32_t ordinal) except -1:
        cdef Py_ssize_t place
        self.leaf.clear(ordinal)
        for place in range(self.atom_count):
            (<Signal> self.signals[place]).put(ordinal, False, self.around.queue)
        return 0

    cdef bint build(self, Py_ssize_t most, int64_t now_ms, int64_t horizon_ms) except -1:
        if not self.counted:
            self.counted = self._count(most, horizon_ms)
            return False
        self.live = self._fill(most, now_ms, horizon_ms)
        return self.live

    cdef bint _count(self, Py_ssize_t most, int64_t horizon_ms) except -1:
        """Count the next rows of each type; return whether those were all."""
        cdef Events events = self.around.events
        cdef Table table
        cdef Py_ssize_t row, first, end
        cdef uint32_t ordinal
        cdef bint done = True
        for type_id in self.types:
            table = events.table(type_id)
            if table is None:
                continue
            first = self.cursors.get(type_id, 0)
            end = min(table.size(), first + most)
            self.cursors[type_id] = end
            for row in range(first, end):
                if not table.is_dead(row):
                    ordinal = events.owner(table.ordinals.get(row))
                    self.count_event(table, row, ordinal, horizon_ms)
            done = done and end == table.size()
        return done

    cdef double progress(self):
        cdef Events events = self.around.events
        cdef Table table
        cdef double rows = 1
        for type_id in self.types:
            table = events.table(type_id)
            rows += 0 if table is None else table.size()
        return (sum(self.cursors.values()) / rows + Node.progress(self)) / 2

    @property
    def kind(self):
        """The name of its kind of state."""
        return type(self.leaf).__name__.lower()

    def memory(self):
        return self.leaf.memory()


cdef class AttributeNode(Node):
    """One test of attributes and constants."""

    kind = "attributes"

    def __cinit__(self, uint32_t index, Surroundings around, str key, Program program):
        self.index = index
        self.around = around
        self.key = key
        self.program = program
        self.signal = Signal(around.truth)
        self.at_birth = self._value(0) == 1

    def attributes_of(self):
        cdef Py_ssize_t place
        return {
            self.program.inputs[place].argument >> 3 for place in range(self.program.input_count)
        }

    cdef int64_t _value(self, uint32_t ordinal) except? -1:
        cdef Program program = self.program
        cdef Py_ssize_t place
        for place in range(program.input_count):
            program.values[place] = self.around.attributes.get(
                ordinal, program.inputs[place].argument
            )
        return program.run()

    cdef int refresh(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms) except -1:
        return self.signal.put(ordinal, self._value(ordinal) == 1, self.around.queue)

    cdef int clear(self, uint32_t ordinal) except -1:
        return self.signal.put(ordinal, False, self.around.queue)


cdef class PersonNode(Node):
    """One condition over a whole person."""

    kind = "person"

    def __cinit__(
        self, uint32_t index, Surroundings around, str key, Condition condition, Texts texts
    ):
        self.index = index
        self.around = around
        self.key = key
        self.condition = condition
        self.texts = texts
        self.signal = Signal(around.truth)
        self.armed = Cells(sizeof(int64_t))
        self.at_birth = condition.at_birth

    def types_of(self):
        return self.condition.type_ids

    def attributes_of(self):
        return [self.texts.intern(name) for name in self.condition.attributes]

    cdef int add_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms
    ) except -1:
        if self.condition.concerns(table.events.get(row), horizon_ms):
            return self.refresh(ordinal, now_ms, horizon_ms)
        return 0

    cdef int refresh(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms) except -1:
        cdef Verdict verdict
        cdef int64_t* armed
        self.condition.evaluate(ordinal, now_ms, horizon_ms, &verdict)
        self.signal.put(ordinal, verdict.holds, self.around.queue)
        if ordinal and verdict.next_ms != NO_TIMER:
            armed = <int64_t*> self.armed.touch(ordinal)
            if armed[0] == 0 or verdict.next_ms < kept_due(armed[0]):
                armed[0] = kept_due(verdict.next_ms)
                self.around.wheel.push(verdict.next_ms, ordinal, self.index)
        return 0

    cdef bint ring(self, uint32_t ordinal, int64_t due_ms) except -1:
        cdef int64_t* armed = <int64_t*> self.armed.find(ordinal)
        if armed == NULL or armed[0] != kept_due(due_ms):
            return False
        armed[0] = 0
        self.refresh(ordinal, due_ms, due_ms)
        return True

    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept:
        cdef int64_t* armed = <int64_t*> self.armed.find(ordinal)
        return armed != NULL and armed[0] == kept_due(due_ms)

    cdef int clear(self, uint32_t ordinal) except -1:
        cdef int64_t* armed = <int64_t*> self.armed.find(ordinal)
        if armed != NULL:
            armed[0] = 0
        return self.signal.put(ordinal, False, self.around.queue)

    def memory(self):
        return self.armed.memory()


def least_count(comparison, int64_t threshold):
    """Return the least count, 1 or more, that compares otherwise than the count before it.

    Below it no row that leaves is noticed: it needs no timer.
    """
    if comparison in (Comparison.GT, Comparison.LE):
        return max(1, threshold // MICRO + 1)
    return max(1, -(-threshold // MICRO))


cdef inline void fill(
    Program program, Events events, Table table, Py_ssize_t row, Py_ssize_t line
) noexcept nogil:
    """Give a program over rows its inputs."""
    cdef Py_ssize_t place
    for place in range(program.input_count):
        program.values[place] = events.read(&program.inputs[place], table, row, line)
