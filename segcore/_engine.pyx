"""The engine of one partition: what comes in, what time changes, who is in which audience.

An input touches the leaves of its event type or the audiences of its attribute; a leaf that moves
touches the audiences that read it; an audience that flips touches its children. Nothing else is
looked at. One thread at a time: the owner of an engine guards it.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

from pyroaring import BitMap

from segcore._attributes cimport Attributes
from segcore._audience cimport Audience
from segcore._columns cimport ByteColumn
from segcore._history cimport Events
from segcore._leaf cimport Leaf
from segcore._owners cimport Owners
from segcore._program cimport Input, Program, Source, field_key
from segcore._texts cimport Texts
from segcore._timers cimport Timer, Timers
from segcore._values cimport checked_time

from segcore.changes import Change, Definition, Merged
from segcore.history import History
from segcore.plan import plan_rule
from segcore.rule_json import to_json
from segcore.storage import ColumnStore

cdef Py_ssize_t CHUNK = 1024
"""How many profiles are evaluated at once: their inputs stay in the first-level cache."""



cdef class LiveEngine:
    """The state of one partition: histories, and who is in which audience.

    One thread at a time. An ordinal is 1 to 2**32 - 2; a profile is known from the first call that
    names it, and is no more once it was merged or let go: naming it then is a ValueError. A call
    that raises ValueError has changed nothing. Lists of changes come in the order in which they
    happened, and for one instant and profile each audience after those that it refers to.
    """

    def __cinit__(self):
        self.store = ColumnStore()
        self.texts = Texts(self.store)
        self.owners = Owners()
        self.events = Events(self.texts, self.owners, self.store)
        self.attributes = Attributes(self.texts, self.owners, self.store)
        self.timers = Timers()
        self.leaves = []
        self.leaf_by_key = {}
        self.leaves_of_type = {}
        self.building = []
        self.audiences_in_order = []
        self.audience_by_id = {}
        self.attribute_watchers = {}
        self.at_birth = []
        self.profiles = ByteColumn()
        self.horizon_ms = -1

    def __dealloc__(self):
        free(self.queue)

    def ensure_profile(self, uint32_t ordinal):
        """Make a profile known; it enters the audiences of which nothing is required."""
        cdef list changes = []
        self._check_ordinal(ordinal)
        self._admit(ordinal)
        self._settle(ordinal, self.now_ms, False, changes)
        return changes

    def add_event(self, uint32_t ordinal, event not None):
        """Take an event that happened at `now_ms` or before and has not come before.

        Raises ValueError for one that is still to happen, and for values that cannot be kept. Costs
        what the leaves over its type cost, and the audiences that see one of them move.
        """
        cdef list changes = []
        cdef Leaf leaf
        cdef int64_t before
        cdef Py_ssize_t index
        cdef Py_ssize_t text_count = len(self.texts)
        self._check_ordinal(ordinal)
        if event.occurred_ms > self.now_ms:
            raise ValueError(
                f"occurred_ms: expected at most {self.now_ms}, found {event.occurred_ms}"
            )
        try:
            index = self.events.append(ordinal, event)
        except BaseException:
            self.texts.forget(text_count)
            raise
        self._admit(ordinal)
        for leaf in self.leaves_of_type.get(self.events.types.get(index), ()):
            if leaf.live:
                before = leaf.read(Source.COUNT, ordinal)
                leaf.add_event(index, self.horizon_ms)
                self._notice(leaf, ordinal, before)
        self._settle(ordinal, self.now_ms, False, changes)
        return changes

    def set_attributes(
        self, uint32_t ordinal, values, as_of_ms, int64_t arrival=0, str came_with=""
    ):
        """Take new values, None to clear; for each attribute the latest `as_of_ms` wins.

        Of equal ones the later arrival wins; who gives numbers to `arrival`, ascending, can compare
        those of two engines. `came_with` is the identifier that brought them. Raises ValueError for values that cannot be kept.
        """
        cdef list changes = []
        cdef list cells
        cdef int64_t instant_ms = checked_time(as_of_ms, "as_of_ms")
        cdef Py_ssize_t text_count = len(self.texts)
        cdef uint32_t brought_by
        self._check_ordinal(ordinal)
        try:
            cells = self.attributes.encode(values)
            brought_by = self.texts.intern(came_with) if came_with else 0
        except BaseException:
            self.texts.forget(text_count)
            raise
        self._admit(ordinal)
        self.arrivals = max(self.arrivals + 1, arrival)
        for key, value in cells:
            if self.attributes.put(ordinal, key, value, instant_ms, self.arrivals, brought_by):
                self._enqueue_all(self.attribute_watchers.get(key >> 3))
        self._settle(ordinal, self.now_ms, False, changes)
        return changes

    def merge(self, uint32_t winner, uint32_t loser):
        """Make all that the loser had the winner's.

        The winner's changes come back; the loser just is in nothing any more. Costs the winner's
        united history times the leaves over it, and every audience.
        """
        cdef list changes = []
        cdef list inherited = []
        cdef Audience audience
        cdef bint former, absorbed, member
        if winner == loser:
            raise ValueError(f"expected two profiles, found {winner} twice")
        self._check_ordinal(winner)
        self._check_ordinal(loser)
        self._unite(winner, loser)
        for audience in self.audiences_in_order:
            if not audience.active:
                continue
            former, absorbed = audience.has(winner), audience.has(loser)
            member = self._holds(audience, winner)
            audience.put(winner, member)
            audience.put(loser, False)
            if member and absorbed and not former:
                inherited.append(audience.audience_id)
            elif member != former:
                changes.append(self._change(audience, winner, member, self.now_ms, False))
        return Merged(changes, tuple(inherited))

    cdef int _unite(self, uint32_t winner, uint32_t loser) except -1:
        """Give the winner all that the loser had, and count the winner's rows anew."""
        cdef Leaf leaf
        cdef Py_ssize_t index
        self._make_known(winner)
        self._make_known(loser)
        self._retire(loser)
        self.events.unite(winner, loser)
        self.attributes.unite(winner, loser)
        for leaf in self.leaves:
            leaf.clear(winner)
            leaf.clear(loser)
        for index in self.events.of_profile(winner):
            for leaf in self.leaves_of_type.get(self.events.types.get(index), ()):
                if leaf.live or index < leaf.cursor:
                    leaf.add_event(index, self.horizon_ms)
        return 0

    def next_due_ms(self):
        """Return the next instant at which a row leaves a window; None where none will."""
        return self._first_timer().due_ms if self._drop_stale() else None

    def advance(self, now_ms, bint inclusive):
        """Do all that is due before `now_ms`, or also at it, each at its own instant, in order.

        Then `now_ms` is the time, unless it is past already.
        """
        cdef list changes = []
        cdef int64_t target_ms = checked_time(now_ms, "now_ms")
        cdef int64_t limit_ms = target_ms if inclusive else target_ms - 1
        while self._drop_stale() and self._first_timer().due_ms <= limit_ms:
            self._expire_profile(changes)
        self.now_ms = max(self.now_ms, target_ms)
        self.horizon_ms = max(self.horizon_ms, limit_ms)
        return changes

    @property
    def settled(self):
        """Whether what time changes at `now_ms` itself has happened too."""
        return self.horizon_ms == self.now_ms

    cdef Timer _first_timer(self) noexcept:
        return self.timers.heap[0]

    cdef bint _drop_stale(self) except -1:
        """Bring a valid timer to the top; return whether there is one."""
        cdef Timer* first
        while self.timers.size:
            first = &self.timers.heap[0]
            if (<Leaf> self.leaves[first.leaf]).is_due(first.ordinal, first.due_ms):
                return True
            self.timers.pop()
        return False

    cdef int _expire_profile(self, list changes) except -1:
        """Do all that is due for one profile at one instant: the heap brings it together."""
        cdef Timer first = self._first_timer()
        cdef Timer timer = first
        cdef Leaf leaf
        cdef int64_t before
        while timer.due_ms == first.due_ms and timer.ordinal == first.ordinal:
            self.timers.pop()
            leaf = <Leaf> self.leaves[timer.leaf]
            before = leaf.read(Source.COUNT, timer.ordinal)
            leaf.expire(timer.ordinal, timer.due_ms)
            self._notice(leaf, timer.ordinal, before)
            if not self._drop_stale():
                break
            timer = self._first_timer()
        self._settle(first.ordinal, first.due_ms, True, changes)
        return 0

    cdef int _check_ordinal(self, uint32_t ordinal) except -1:
        if not 0 < ordinal < 0xFFFFFFFF:
            raise ValueError(f"expected an ordinal from 1 to {0xFFFFFFFE}, found {ordinal}")
        if self.profiles.peek(ordinal) == GONE:
            raise ValueError(f"expected a profile, found {ordinal}, which is no more")
        return 0

    cdef bint _make_known(self, uint32_t ordinal) except -1:
        """Return whether the profile is new."""
        if self.profiles.peek(ordinal) != UNKNOWN:
            return False
        if ordinal >= self.profiles.size:
            self.profiles.resize(ordinal + 1)
        self.profiles.put(ordinal, KNOWN)
        self.profile_count += 1
        return True

    cdef int _retire(self, uint32_t ordinal) except -1:
        """Let a known profile be no more."""
        self.profiles.put(ordinal, GONE)
        self.profile_count -= 1
        return 0

    cdef int _admit(self, uint32_t ordinal) except -1:
        """Make a profile known; a new one may be in audiences of which nothing is required."""
        if self._make_known(ordinal):
            self._enqueue_all(self.at_birth)
        return 0

    cdef int _notice(self, Leaf leaf, uint32_t ordinal, int64_t before) except -1:
        """Queue the audiences that see a leaf move; `before` is its count."""
        cdef int64_t after = leaf.read(Source.COUNT, ordinal)
        if before != after:
            self._enqueue_all(leaf.value_watchers)
        if (before > 0) != (after > 0):
            self._enqueue_all(leaf.existence_watchers)
        return 0

    cdef int _enqueue_all(self, list audiences) except -1:
        """Queue audiences, each once; the queue descends by rank, so that its end is the next."""
        cdef Audience audience
        cdef Py_ssize_t place
        if audiences is None:
            return 0
        for audience in audiences:
            if audience.queued or not audience.active:
                continue
            audience.queued = True
            place = self.queued
            while place > 0 and self.queue[place - 1] < audience.rank:
                self.queue[place] = self.queue[place - 1]
                place -= 1
            self.queue[place] = audience.rank
            self.queued += 1
        return 0

    cdef int _settle(self, uint32_t ordinal, int64_t at_ms, bint clock, list changes) except -1:
        """Evaluate the queued audiences for one profile, parents first."""
        cdef Audience audience
        cdef bint member
        while self.queued:
            self.queued -= 1
            audience = <Audience> self.audiences_in_order[self.queue[self.queued]]
            audience.queued = False
            member = self._holds(audience, ordinal)
            if member != audience.has(ordinal):
                audience.put(ordinal, member)
                changes.append(self._change(audience, ordinal, member, at_ms, clock))
                self._enqueue_all(audience.children)
        return 0

    cdef object _change(
        self, Audience audience, uint32_t ordinal, bint entered, int64_t at_ms, bint clock
    ):
        return Change(audience.audience_id, audience.version, ordinal, entered, at_ms, clock)

    cdef bint _holds(self, Audience audience, uint32_t ordinal) except -1:
        """Evaluate one audience for one profile."""
        cdef Program program = audience.program
        cdef Py_ssize_t place
        for place in range(program.input_count):
            self._read(&program.inputs[place], ordinal, 1, &program.values[place])
        return program.run() == 1

    cdef int _read(
        self, Input* wanted, uint32_t first, Py_ssize_t count, int64_t* values
    ) except -1:
        """Read one input of a program for `count` profiles from `first` on."""
        cdef Py_ssize_t place
        cdef Leaf leaf
        cdef Audience parent
        if wanted.source == Source.ATTRIBUTE:
            with nogil:
                for place in range(count):
                    values[place] = self.attributes.get(
                        <uint32_t> (first + place), wanted.argument
                    )
        elif wanted.source == Source.MEMBER:
            parent = <Audience> self.audiences_in_order[wanted.argument]
            for place in range(count):
                values[place] = parent.has(<uint32_t> (first + place))
        else:
            leaf = <Leaf> self.leaves[wanted.argument]
            for place in range(count):
                values[place] = leaf.read(wanted.source, <uint32_t> (first + place))
        return 0

    def add_audience(self, str audience_id, uint32_t version, rule):
        """Begin to build an audience over the history; it reports nothing until it is activated.

        Raises ValueError where the rule is not well formed or refers to an audience that is not
        there, and where the id is taken.
        """
        if audience_id in self.audience_by_id:
            raise ValueError(f"expected a new audience, found {audience_id}, which exists")
        to_json(rule).encode()  # Texts that UTF-8 cannot hold are refused before anything changes.
        plan = plan_rule(rule)
        for wanted in plan.program.inputs:
            if wanted.source == Source.MEMBER and wanted.name not in self.audience_by_id:
                raise ValueError(f"{audience_id}: expected an audience, found {wanted.name}")
        cdef Audience audience = Audience(
            audience_id, version, rule, <int32_t> len(self.audiences_in_order)
        )
        cdef int32_t* queue = <int32_t*> realloc(
            self.queue, (audience.rank + 1) * sizeof(int32_t)
        )
        if queue == NULL:
            raise MemoryError("no memory for an audience")
        self.queue = queue
        for leaf in plan.leaves:
            audience.leaves.append(self._leaf(leaf))
        audience.program = Program(
            self.texts, plan.program, [self._resolve(audience, i) for i in plan.program.inputs]
        )
        self.audiences_in_order.append(audience)
        self.audience_by_id[audience_id] = audience

    def _leaf(self, plan):
        """Return the leaf of a plan: the one that is there, or a new one to be built."""
        cdef Leaf leaf = self.leaf_by_key.get(plan.key)
        if leaf is not None:
            return leaf
        programs = [
            None if part is None else Program(
                self.texts, part, [self._resolve(None, wanted) for wanted in part.inputs]
            )
            for part in (plan.where, plan.operand)
        ]
        leaf = Leaf(self.events, self.timers, <uint32_t> len(self.leaves), plan, *programs)
        self.leaves.append(leaf)
        self.leaf_by_key[plan.key] = leaf
        for type_id in leaf.type_ids:
            self.leaves_of_type.setdefault(type_id, []).append(leaf)
        leaf.build(0, self.horizon_ms)
        if not leaf.live:
            self.building.append(leaf)
        return leaf

    def _resolve(self, Audience audience, wanted):
        """Return the (source, argument) of an input, and let its owner know who watches it."""
        cdef Leaf leaf
        if wanted.source == Source.PROPERTY:
            return wanted.source, field_key(self.texts, wanted.name, wanted.kind)
        if wanted.source == Source.ATTRIBUTE:
            key = field_key(self.texts, wanted.name, wanted.kind)
            self.attribute_watchers.setdefault(key >> 3, []).append(audience)
            return wanted.source, key
        if wanted.source == Source.MEMBER:
            parent = self.audience_by_id[wanted.name]
            parent.children.append(audience)
            audience.parents.append(parent)
            return wanted.source, parent.rank
        if wanted.source < Source.ATTRIBUTE:
            return wanted.source, 0
        leaf = self.leaf_by_key[wanted.name]
        existence = wanted.source == Source.EXISTS
        (leaf.existence_watchers if existence else leaf.value_watchers).append(audience)
        return wanted.source, leaf.index

    def build(self, Py_ssize_t max_rows):
        """Read up to `max_rows` events for each leaf that is being built, without the GIL.

        Returns the progress of the one that is furthest behind, 0 to 1; 1 says that all are built.
        """
        cdef Py_ssize_t count = len(self.events)
        cdef Py_ssize_t until
        cdef Leaf leaf
        for leaf in self.building:
            until = min(count, leaf.cursor + max(1, max_rows))
            with nogil:
                leaf.build(until, self.horizon_ms)
        self.building = [leaf for leaf in self.building if not leaf.live]
        return min([leaf.cursor / <double> count for leaf in self.building], default=1.0)

    def activate(self, str audience_id, uint32_t version):
        """Finish the build, evaluate every profile, and return the members.

        From here on the audience reports its changes. Raises KeyError where it does not exist,
        ValueError for another version, for one that is active, and while one it refers to is not.
        """
        cdef Audience audience = self._audience(audience_id)
        cdef Audience parent
        cdef Leaf leaf
        if audience.version != version or audience.active:
            raise ValueError(
                f"{audience_id}: expected version {audience.version}, not active before; "
                f"found {version}"
            )
        for parent in audience.parents:
            if not parent.active:
                raise ValueError(f"{audience_id}: expected {parent.audience_id} to be active")
        self._finish(audience)
        self._evaluate_all(audience)
        self._open(audience)
        return BitMap(audience.ordinals())

    cdef int _finish(self, Audience audience) except -1:
        """Finish the build of an audience's leaves."""
        cdef Leaf leaf
        for leaf in audience.leaves:
            if not leaf.live:
                with nogil:
                    leaf.build(self.events.types.size, self.horizon_ms)
        self.building = [leaf for leaf in self.building if not leaf.live]
        return 0

    cdef int _open(self, Audience audience) except -1:
        """Let an audience report from here on."""
        cdef Audience parent
        audience.put(0, self._holds(audience, 0))
        audience.at_birth = audience.has(0)
        for parent in audience.parents:
            audience.at_birth |= parent.at_birth
        if audience.at_birth:
            self.at_birth.append(audience)
        audience.active = True
        return 0

    cdef int _evaluate_all(self, Audience audience) except -1:
        """Evaluate an audience for every profile, column by column, a chunk at a time."""
        cdef Program program = audience.program
        cdef Py_ssize_t width = max(1, program.input_count)
        cdef int64_t* values = <int64_t*> malloc(width * CHUNK * sizeof(int64_t))
        cdef Py_ssize_t first, count, place, profile
        if values == NULL:
            raise MemoryError("no memory to evaluate an audience")
        try:
            for first in range(0, self.profiles.size, CHUNK):
                count = min(CHUNK, self.profiles.size - first)
                for place in range(program.input_count):
                    self._read(
                        &program.inputs[place], <uint32_t> first, count, values + place * CHUNK
                    )
                with nogil:
                    for profile in range(count):
                        if self.profiles.get(first + profile) != KNOWN:
                            continue
                        for place in range(program.input_count):
                            program.values[place] = values[place * CHUNK + profile]
                        if program.run() == 1:
                            audience.put(<uint32_t> (first + profile), True)
        finally:
            free(values)
        return 0

    def members(self, str audience_id):
        """Return the ordinals of the members now; KeyError unless the audience is active."""
        return BitMap(self._active(audience_id).ordinals())

    def is_member(self, str audience_id, uint32_t ordinal):
        """Tell whether a profile is a member now; KeyError unless the audience is active."""
        return self._active(audience_id).has(ordinal) and ordinal != 0

    def audiences(self):
        """Return the audiences in the order in which they were added, parents first."""
        return tuple([
            Definition(audience.audience_id, audience.version, audience.rule, audience.active)
            for audience in self.audiences_in_order
        ])

    def history(self, uint32_t ordinal):
        """Return all that is known of a profile, in order of arrival.

        Of attribute changes it holds the values that are in effect, with their `as_of_ms`.
        """
        events = [self.events.event(index) for index in self.events.of_profile(ordinal)]
        return History(tuple(events), self.attributes.changes(ordinal))

    @property
    def event_count(self):
        """How many events there are."""
        return len(self.events)

    @property
    def row_count(self):
        """How many events and lines of items there are."""
        return len(self.events) + self.events.row_count

    @property
    def leaf_count(self):
        """How many leaves all rules share."""
        return len(self.leaves)

    cdef Audience _audience(self, str audience_id):
        try:
            return self.audience_by_id[audience_id]
        except KeyError:
            raise KeyError(f"expected an audience that exists, found {audience_id}") from None

    cdef Audience _active(self, str audience_id):
        cdef Audience audience = self._audience(audience_id)
        if not audience.active:
            raise KeyError(f"expected an active audience, found {audience_id}, not built yet")
        return audience

    def _columns(self):
        """Return every column by name, as it is written to a snapshot."""
        return {
            **self.store.columns,
            **self.events.dead_columns(),
            **self.attributes.dead_columns(),
            **self.owners.columns(),
            "profiles": self.profiles,
        }

    def _layout(self):
        """Return what `_lay_out` needs to make the same columns, for JSON."""
        return self.events.layout()

    def _lay_out(self, layout):
        """Make the columns of an engine that had this layout."""
        self.events.lay_out(layout)

    def _ordinals(self, str audience_id):
        """Return the members of an audience as an ascending array; empty while it is not active."""
        return self._audience(audience_id).ordinals()

    def _restore(self, int64_t now_ms, int64_t horizon_ms, int64_t arrivals):
        """Check the columns after they were loaded, and set the clock."""
        cdef Py_ssize_t place
        self.texts.restore()
        self.owners.restore()
        self.events.restore()
        self.attributes.restore()
        self.now_ms = now_ms
        self.horizon_ms = horizon_ms
        self.arrivals = arrivals
        if self.profiles.size < max(
            self.events.newest.size, self.attributes.journal.newest.size, self.owners.winners.size
        ):
            raise ValueError(f"profiles: expected all with a history, found {self.profiles.size}")
        for place in range(self.profiles.size):
            self.profile_count += self.profiles.get(place) == KNOWN

    def _reopen(self, str audience_id, members):
        """Make an audience active with the members that it had; its leaves are built."""
        cdef Audience audience = self._audience(audience_id)
        cdef uint32_t ordinal
        self._finish(audience)
        self._open(audience)
        for ordinal in members:
            if self.profiles.peek(ordinal) != KNOWN:
                raise ValueError(f"{audience_id}: expected members that are known, found {ordinal}")
            audience.put(ordinal, True)
