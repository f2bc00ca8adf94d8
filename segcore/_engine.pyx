"""The engine of one partition: what comes in, what time changes, who is in which audience.

An input touches the nodes of its event type or of its attribute; a node sets the bits of its atoms;
a bit that changes queues the audiences that read it, and those queue their children. Nothing else
is looked at. One thread at a time: the owner of an engine guards it.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject

from segcore._prefetch cimport prefetch
from segcore._table cimport Table
from segcore._values cimport checked_time

from segcore.changes import Change
from segcore.history import History
from segcore.storage import ColumnStore

cdef Py_ssize_t AHEAD = 6
"""How many events or timers ahead memory is asked for: about as long as it takes to come."""
cdef Py_ssize_t FLIPS_AHEAD = 24
"""The same for flips, of which each is a few steps."""


cdef class LiveEngine:
    """The state of one partition: histories, and who is in which audience.

    With a `directory` the histories lie in files there. `partition` and `zone`, the workspace's,
    take part in what rules mean. One thread at a time. An ordinal is 1 to 2**32 - 2; a profile is
    known from the first call that names it, and is no more once it was merged or let go: naming it
    then is a ValueError. A call that raises ValueError has changed nothing. Lists of changes come
    in the order in which they happened, and for one instant and profile each audience after those
    that it refers to.
    """

    def __cinit__(self, directory=None, uint32_t partition=0, str zone="UTC"):
        self.store = ColumnStore(directory)
        self.partition = partition
        self.zone = zone
        self.texts = Texts(self.store)
        self.owners = Owners(self.store)
        self.events = Events(self.texts, self.owners, self.store)
        self.attributes = Attributes(self.texts, self.owners, self.store)
        self.known = Bits()
        self.gone = Bits()
        self.around = Surroundings(self.events, self.attributes, self.known)
        self.flips = Flips()
        self.nodes = []
        self.listeners = {}
        self.listening = []
        self.attribute_nodes = {}
        self.birth_nodes = []
        self.audiences_in_order = []
        self.birth_audiences = []
        self.horizon_ms = -1
        self.place = -1

    def ensure_profile(self, uint32_t ordinal):
        """Make a profile known; it enters the audiences of which nothing is required."""
        self._check_ordinal(ordinal)
        self._admit(ordinal)
        self._settle(ordinal, self.now_ms, False)
        return self._changes()

    def add_event(self, uint32_t ordinal, event not None):
        """Take an event that happened at `now_ms` or before and has not come before.

        Raises ValueError for one that is still to happen, and for values that cannot be kept. Costs
        what the nodes over its type cost, and the audiences that see one of their bits change.
        """
        cdef EventView view
        cdef Py_ssize_t text_count = self.texts.count()
        self._check_ordinal(ordinal)
        self._check_time(event.occurred_ms)
        try:
            self.events.draft.encode(ordinal, event, &view)
        except BaseException:
            self.texts.forget(text_count)
            raise
        self._take_in(&view)
        return self._changes()

    def apply(self, Batch batch not None, Py_ssize_t first=0, end=None):
        """Take the events of a batch from `first` to before `end`, each at its own log time.

        Each is as for `add_event`; what time changes before it is done first. Returns the flips, an
        array of `_flips.RECORD`, whose `event` is the place in the batch of the event that was at
        hand. A ValueError leaves those before it applied, untold.
        """
        try:
            self._apply(batch, first, batch.size if end is None else end)
        finally:
            self.place = -1
            self._keep_members()
        return self.take_flips()

    cdef int _apply(self, Batch batch, Py_ssize_t first, Py_ssize_t last) except -1:
        cdef EventView view
        cdef Py_ssize_t place
        cdef int64_t log_ms
        for place in range(first, last):
            if place + AHEAD < last:
                # It may lie beyond the last row: nothing is read there.
                prefetch(&batch.rows[place + 2 * AHEAD])
                self._look_ahead(&batch.rows[place + AHEAD])
            batch.view(place, &view)
            self.place = <int32_t> place
            log_ms = batch.rows[place].log_ms
            if log_ms > self.now_ms:
                if self.around.wheel.is_due(log_ms - 1):
                    self._pass_time(log_ms - 1)
                self.now_ms = log_ms
                self.horizon_ms = max(self.horizon_ms, log_ms - 1)
            self._check_ordinal(view.ordinal)
            self._check_time(view.occurred_ms)
            self._take_in(&view)
        return 0

    cdef int _check_time(self, int64_t occurred_ms) except -1:
        if occurred_ms > self.now_ms:
            raise ValueError(f"occurred_ms: expected at most {self.now_ms}, found {occurred_ms}")
        return 0

    cdef list _listen(self, Py_ssize_t place):
        """List who listens to the types of new tables."""
        cdef Table table
        while place >= len(self.listening):
            table = self.events.tables[len(self.listening)]
            self.listening.append(self.listeners.get(table.type_id, []))
        return self.listening[place]

    cdef int _look_ahead(self, const BatchRow* row) except -1:
        """Begin to bring near what an event that comes soon will touch."""
        cdef Py_ssize_t place = self.events.places.find(row.type_id)
        cdef Py_ssize_t index
        cdef list nodes
        self.events.prefetch(row.ordinal)
        self.known.prefetch(row.ordinal)
        self.around.truth.prefetch(row.ordinal)
        if place >= 0:
            nodes = self._listening(place)
            for index in range(PyList_GET_SIZE(nodes)):
                (<Node> PyList_GET_ITEM(nodes, index)).prefetch(row.ordinal)
        return 0

    cdef int _take_in(self, const EventView* view) except -1:
        """Add an event to the history, let the nodes of its type see it, and settle."""
        cdef Py_ssize_t place = self.events.place_of(view.type_id)
        cdef Py_ssize_t row = self.events.append_to(place, view)
        cdef Py_ssize_t text_count = self.texts.count()
        cdef list nodes = self._listening(place)
        cdef Py_ssize_t index
        self._admit(view.ordinal)
        for index in range(PyList_GET_SIZE(nodes)):
            (<Node> PyList_GET_ITEM(nodes, index)).add_event(
                <Table> self.events.table_pointers[place], row, view.ordinal, self.now_ms,
                self.horizon_ms,
            )
        self.texts.forget(text_count)
        return self._settle(view.ordinal, self.now_ms, False)

    def set_attributes(
        self, uint32_t ordinal, values, as_of_ms, int64_t arrival=0, str came_with=""
    ):
        """Take new values, None to clear; for each attribute the latest `as_of_ms` wins.

        Of equal ones the later arrival wins; who gives numbers to `arrival`, ascending, can compare
        those of two engines. Raises ValueError for values that cannot be kept.
        """
        cdef Node node
        cdef list cells
        cdef set touched = set()
        cdef Py_ssize_t text_count = self.texts.count()
        cdef int64_t instant_ms = checked_time(as_of_ms, "as_of_ms")
        self._check_ordinal(ordinal)
        try:
            cells = self.attributes.encode(values)
        except BaseException:
            self.texts.forget(text_count)
            raise
        source = self.texts.intern(came_with) if came_with else 0
        self._admit(ordinal)
        self.arrivals = max(self.arrivals + 1, arrival)
        for key, value in cells:
            if self.attributes.put(ordinal, key, value, instant_ms, self.arrivals, source):
                touched.update(self.attribute_nodes.get(key >> 3, ()))
        text_count = self.texts.count()
        for node in touched:
            node.refresh(ordinal, self.now_ms, self.horizon_ms)
        self.texts.forget(text_count)
        self._settle(ordinal, self.now_ms, False)
        return self._changes()

    def next_due_ms(self):
        """Return an instant not later than the next at which time changes anything; None if never."""
        cdef Timer first
        return first.due_ms if self._drop_stale(&first) else None

    def advance(self, now_ms, bint inclusive):
        """Do all that is due before `now_ms`, or also at it, each at its own instant, in order.

        Then `now_ms` is the time, unless it is past already.
        """
        self.pass_time(now_ms, inclusive)
        return self._changes()

    def pass_time(self, now_ms, bint inclusive):
        """Do as `advance`, and keep what changes for `take_flips`."""
        cdef int64_t target_ms = checked_time(now_ms, "now_ms")
        cdef int64_t limit_ms = target_ms if inclusive else target_ms - 1
        self._pass_time(limit_ms)
        self.now_ms = max(self.now_ms, target_ms)
        self.horizon_ms = max(self.horizon_ms, limit_ms)
        self._keep_members()

    def take_flips(self):
        """Return what has changed and was not told yet, as `apply` does."""
        self.kept = 0
        return self.flips.take()

    @property
    def settled(self):
        """Whether what time changes at `now_ms` itself has happened too."""
        return self.horizon_ms == self.now_ms

    cdef int _pass_time(self, int64_t limit_ms) except -1:
        """Do all that is due up to `limit_ms`; a timer beyond it is not even looked at.

        The wheel brings together what is due for one profile at one instant, which settles at once.
        """
        cdef Wheel wheel = self.around.wheel
        cdef Py_ssize_t text_count = self.texts.count()
        cdef Timer timer, former
        former.ordinal, former.due_ms = 0, limit_ms
        while wheel.is_due(limit_ms):
            wheel.pop(&timer)
            self._look_ahead_in_time()
            if former.ordinal != timer.ordinal or former.due_ms != timer.due_ms:
                self.texts.forget(text_count)
                self._settle(former.ordinal, former.due_ms, True)
                former = timer
            self._ring(&timer)
        self.texts.forget(text_count)
        self._settle(former.ordinal, former.due_ms, True)
        wheel.floor_ms = limit_ms
        return 0

    cdef int _ring(self, const Timer* timer) except -1:
        """Let the node of a timer that is due do what it has to, if that node is still there."""
        cdef PyObject* node = PyList_GET_ITEM(self.nodes, timer.node)
        if node != <PyObject*> None:
            (<Node> node).ring(timer.ordinal, timer.due_ms)
        return 0

    cdef bint _drop_stale(self, Timer* first) except -1:
        """Find the first valid timer; return whether there is one."""
        cdef Wheel wheel = self.around.wheel
        cdef Node node
        while wheel.first(first):
            node = self.nodes[first.node]
            if node is not None and node.is_due(first.ordinal, first.due_ms):
                return True
            wheel.pop(first)
        return False

    cdef int _look_ahead_in_time(self) except -1:
        """Begin to bring near what a timer that is due soon will touch."""
        cdef const Timer* timer = self.around.wheel.ahead(AHEAD)
        cdef PyObject* node
        if timer != NULL:
            node = PyList_GET_ITEM(self.nodes, timer.node)
            if node != <PyObject*> None:
                (<Node> node).prefetch(timer.ordinal)
                self.around.truth.prefetch(timer.ordinal)
        return 0

    cdef int _refuse_ordinal(self, uint32_t ordinal) except -1:
        if ordinal == 0 or ordinal > ORDINAL_LIMIT:
            raise ValueError(f"expected an ordinal from 1 to {ORDINAL_LIMIT}, found {ordinal}")
        raise ValueError(f"expected a profile, found {ordinal}, which is no more")

    cdef bint _make_known(self, uint32_t ordinal) except -1:
        """Return whether the profile is new."""
        if self.known.get(ordinal) or self.gone.get(ordinal):
            return False
        self.known.put(ordinal, True)
        self.profile_count += 1
        return True

    cdef int _retire(self, uint32_t ordinal) except -1:
        """Let a known profile be no more."""
        self.known.put(ordinal, False)
        self.gone.put(ordinal, True)
        self.profile_count -= 1
        return 0

    cdef int _welcome(self, uint32_t ordinal) except -1:
        """Make a new profile known, and let it enter the audiences of which nothing is required."""
        cdef Node node
        cdef Py_ssize_t text_count = self.texts.count()
        if self._make_known(ordinal):
            for node in self.birth_nodes:
                node.refresh(ordinal, self.now_ms, self.horizon_ms)
            self.texts.forget(text_count)
            self._queue_all(self.birth_audiences)
        return 0

    cdef int _queue_all(self, list audiences) except -1:
        cdef Audience audience
        for audience in audiences:
            self.around.queue.add(audience.rank)
        return 0

    cdef int _evaluate_queued(self, uint32_t ordinal, int64_t at_ms, bint clock) except -1:
        """Evaluate the queued audiences for one profile, parents first; note who flips."""
        cdef PyObject* audience
        cdef bint member
        cdef Py_ssize_t rank = self.around.queue.take()
        while rank >= 0:
            audience = PyList_GET_ITEM(self.audiences_in_order, rank)
            member = (<Audience> audience).logic.holds(ordinal)
            if member != (<Audience> audience).has(ordinal):
                (<Audience> audience).signal.put(ordinal, member, self.around.queue)
                self.flips.add(rank, ordinal, member, at_ms, clock, self.place)
            rank = self.around.queue.take()
        return 0

    cdef int _keep_members(self) except -1:
        """Let the sets of members follow the flips since the last time.

        Nobody reads them in between; and together no flip has to wait for its set to be near.
        """
        cdef Flip* flip
        cdef Py_ssize_t place
        for place in range(self.kept, self.flips.count):
            if place + FLIPS_AHEAD < self.flips.count:
                flip = &self.flips.flips[place + FLIPS_AHEAD]
                self._members_of(flip.rank).prefetch(flip.ordinal)
            flip = &self.flips.flips[place]
            self._members_of(flip.rank).put(flip.ordinal, flip.entered)
        self.kept = self.flips.count
        return 0

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
    def node_count(self):
        """How many nodes all rules share."""
        return sum([node is not None for node in self.nodes])

    cdef list _changes(self):
        """Return what has changed as a list of `Change`."""
        cdef Audience audience
        cdef list changes = []
        cdef Py_ssize_t place
        self._keep_members()
        self.kept = 0
        for place in range(self.flips.count):
            flip = &self.flips.flips[place]
            audience = <Audience> self.audiences_in_order[flip.rank]
            changes.append(Change(
                audience.audience_id, audience.version, flip.ordinal, bool(flip.entered),
                flip.at_ms, bool(flip.clock),
            ))
        self.flips.count = 0
        return changes
