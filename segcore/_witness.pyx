"""The rows that speak for a clause, as of an event.

A clause is a condition that no `&&`, `||` or `!` takes apart. It is asked of one person as they
were when so many events had come: rows are only ever appended, so those after are left out.
"""

from segcore._decide cimport PersonRow, Verdict, fold_code, is_newer, place_of, run_over
from segcore._history cimport Events, Walk
from segcore._person cimport Group
from segcore._program cimport MISSING, Program
from segcore._table cimport Table

from segcore.condition_plan import plan_condition
from segcore.rule import Fold

LIMIT = 50
"""As many rows as are told at most; of more the newest."""

cdef enum:
    MOST = 50

cdef int32_t LEAST = fold_code(Fold.MIN)
cdef int32_t GREATEST = fold_code(Fold.MAX)
cdef int32_t LATEST = fold_code(Fold.LATEST)
cdef int32_t EARLIEST = fold_code(Fold.EARLIEST)


cdef class Clause(Condition):
    """A `Condition` that says by which of its rows it holds."""

    def __cinit__(self, plan, *_):
        self.speaking_count = len(plan.witnesses)
        self.speaking = <int32_t*> self._room(self.speaking_count, sizeof(int32_t))
        for place, index in enumerate(plan.witnesses):
            self.speaking[place] = index

    cdef int64_t gather(self, uint32_t ordinal, int64_t horizon_ms) except -1 nogil:
        """Do as any condition does, over the events that had come."""
        cdef Walk walk
        cdef Group* group
        cdef int64_t count = 0, event
        self.events.begin(&walk, ordinal)
        event = self.events.step(&walk)
        while event >= 0:
            group = self.group_of(self.events.types.get(event))
            if group != NULL and event < self.event_limit:
                count = self.take_event(
                    <Table> self.events.table_of(event), event, group, count, horizon_ms
                )
            event = self.events.step(&walk)
        return count

    def rows(self, uint32_t ordinal, int64_t horizon_ms, int64_t event_limit, members):
        """Return the (event, line) of the rows that speak for it, newest first; None if it fails.

        Rows are those of the first `event_limit` events, the line is that of its table's items, -1
        for an event as a whole; there are at most `LIMIT`. `members` are the audiences that the
        person is in, of `audience_ids`.
        """
        cdef Verdict verdict
        cdef int64_t best[MOST]
        cdef int64_t count = 0, index
        cdef Py_ssize_t place
        cdef FoldState* fold
        cdef PersonRow* rows
        self.set_members(members)
        self.event_limit = event_limit
        self.evaluate(ordinal, horizon_ms, horizon_ms, &verdict)
        if not verdict.holds:
            return None
        rows = self.scratch.rows
        for place in range(self.speaking_count):
            fold = &self.folds[self.speaking[place]]
            if fold.fold in (LEAST, GREATEST, LATEST, EARLIEST):
                index = self._giving(fold)
                if index >= 0:
                    count = self._rank(best, count, index)
                continue
            for index in range(self.sets[fold.rows].count):
                count = self._rank(best, count, self.sets[fold.rows].kept[index].place)
        return [(rows[best[index]].event, rows[best[index]].line) for index in range(count)]

    cdef int64_t _giving(self, FoldState* fold) except -2:
        """Return the place of the row that gives a fold its value, the newest; -1 for none."""
        cdef PersonRow* rows = self.scratch.rows
        cdef int64_t found = -1, index, place
        if fold.winner >= 0:
            return self.sets[fold.rows].kept[fold.winner].place
        if fold.fold in (LATEST, EARLIEST) or self.slots[fold.slot] == MISSING:
            return -1
        for index in range(self.sets[fold.rows].count):
            place = self.sets[fold.rows].kept[index].place
            if found >= 0 and not is_newer(&rows[place], &rows[found]):
                continue
            if run_over(<Program> fold.operand, self.events, &rows[place]) == self.slots[fold.slot]:
                found = place
        return found

    cdef int64_t _rank(self, int64_t* best, int64_t count, int64_t place) noexcept nogil:
        """Put a row among the newest, once; return how many there are now."""
        cdef PersonRow* rows = self.scratch.rows
        cdef int64_t rank = count, index
        while rank > 0 and is_newer(&rows[place], &rows[best[rank - 1]]):
            rank -= 1
        if rank == MOST or (rank > 0 and best[rank - 1] == place):
            return count
        count = min(count + 1, MOST)
        for index in range(count - 1, rank, -1):
            best[index] = best[index - 1]
        best[rank] = place
        return count


cdef class Finder:
    """Makes clauses over an engine's histories, and reads their rows. For the engine's thread."""

    def __cinit__(self, LiveEngine engine not None):
        self.engine = engine
        self.zones = Zones(engine.texts, engine.zone)
        self.scratch = Scratch()

    def clause(self, expression):
        """Return a clause, of a rule that the engine has: so its texts are known already."""
        return Clause(
            plan_condition(expression),
            self.engine.texts,
            self.engine.events,
            self.engine.attributes,
            self.zones,
            self.scratch,
            self.engine.partition,
        )

    @property
    def text_count(self):
        """How many texts the engine knows."""
        return len(self.engine.texts)

    def forget(self, Py_ssize_t text_count):
        """Let go of texts that clauses derived since there were so many."""
        self.engine.texts.forget(text_count)

    def row(self, int64_t event, int64_t line):
        """Return what tells which row is newer, then its type and SKU, empty for an event."""
        cdef Events events = self.engine.events
        cdef Table table = <Table> events.table_of(event)
        cdef Py_ssize_t row = events.rows.get(event)
        cdef int64_t start = table.id_ends.get(row - 1) if row else 0
        newness = (
            table.occurred.get(row),
            table.received.get(row),
            table.id_heap.data[start:table.id_ends.get(row)].decode(),
            line - table.first_line(row) if line >= 0 else 0,
            event,
            line >= 0,
        )
        sku = events.texts.text(table.skus.get(line)) if line >= 0 else ""
        return newness, events.texts.text(table.type_id), sku
