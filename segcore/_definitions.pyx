"""Audiences that are built, that go live, and that are taken out.

Rules share nodes: one that is there is used again, a new one is built over the history in slices
beside what comes in. A node that no audience needs any more is let go.
"""

from libc.stdint cimport int64_t, uint64_t

from segcore._days cimport Zones
from segcore._decide cimport Scratch
from segcore._logic cimport Logic, Signal
from segcore._node cimport AttributeNode, Node, PersonNode, TallyNode
from segcore._person cimport Condition
from segcore._program cimport Program, Source, field_key

from pyroaring import BitMap

from segcore.changes import Definition
from segcore.condition_plan import plan_condition
from segcore.plan import AttributeTest, Member, PersonTest, Tally, plan_rule
from segcore.rule_json import to_json


cdef class DefinitionEngine(PeopleEngine):
    """A `PeopleEngine` whose audiences may be added, changed and removed."""

    def __cinit__(self, directory=None, uint32_t partition=0, str zone="UTC"):
        self.node_by_key = {}
        self.tallies = {}
        self.audience_by_id = {}
        self.building = []
        self.zones = Zones(self.texts, zone)
        self.scratch = Scratch()

    def add_audience(self, str audience_id, uint32_t version, rule):
        """Begin to build an audience over the history; it reports nothing until it is activated.

        Raises ValueError where the rule is not well formed or refers to an audience that is not
        there, and where the id is taken.
        """
        cdef Py_ssize_t text_count
        if audience_id in self.audience_by_id:
            raise ValueError(f"expected a new audience, found {audience_id}, which exists")
        to_json(rule).encode()  # Texts that UTF-8 cannot hold are refused before anything changes.
        text_count = self.texts.count()
        try:
            audience = self._plan(audience_id, version, rule)
        except BaseException:
            self._wire_up()  # Nodes made for it would be found again without having listened.
            self.texts.forget(text_count)
            raise
        self.audiences_in_order.append(audience)
        self.audience_by_id[audience_id] = audience
        self._wire_up()

    cdef Audience _plan(self, str audience_id, uint32_t version, object rule):
        """Return an audience with its nodes, those that are new still to be built."""
        plan = plan_rule(rule)
        cdef Audience audience = Audience(audience_id, version, rule, Signal(self.around.truth))
        cdef list signals = []
        for atom in plan.atoms:
            if isinstance(atom, Member):
                parent = self.audience_by_id.get(atom.audience_id)
                if parent is None:
                    raise ValueError(
                        f"{audience_id}: expected an audience, found {atom.audience_id}"
                    )
                audience.parents.append(parent)
                signals.append(parent.signal)
            else:
                node, signal = self._node(atom)
                signals.append(signal)
                if node not in audience.nodes:
                    audience.nodes.append(node)
        audience.logic = Logic(plan, tuple(signals), self.around.truth)
        return audience

    def _node(self, atom):
        """Return the node of an atom and its signal: those that are there, or new ones."""
        cdef TallyNode tally
        cdef Signal signal
        if isinstance(atom, Tally):
            tally = self._tally_node(atom.leaf)
            signal = tally.signal_of(atom.key)
            if signal is None:
                signal = tally.add_atom(atom.key, atom.comparison, atom.threshold, atom.counts)
                self._build(tally)
            return tally, signal
        node = self.node_by_key.get(atom.key)
        if node is None:
            index = len(self.nodes)
            if isinstance(atom, AttributeTest):
                node = AttributeNode(index, self.around, atom.key, self._program(atom.program))
            else:
                condition = self._condition(atom.expression)
                node = PersonNode(index, self.around, atom.key, condition, self.texts)
            self.nodes.append(node)
            self.node_by_key[atom.key] = node
            self._build(node)
        return node, node.signal

    def _tally_node(self, leaf):
        """Return a node over these rows that counts far enough."""
        for found in self.tallies.setdefault(leaf.key, []):
            if found.suffices(leaf):
                return found
        where = None if leaf.where is None else self._program(leaf.where)
        operand = None if leaf.operand is None else self._program(leaf.operand)
        node = TallyNode(len(self.nodes), self.around, self.texts, leaf, where, operand)
        self.nodes.append(node)
        self.tallies[leaf.key].append(node)
        return node

    def _program(self, plan):
        return Program(self.texts, plan, [self._resolve(wanted) for wanted in plan.inputs])

    def _resolve(self, wanted):
        """Return the (source, argument) of an input of a program."""
        if wanted.source in (Source.PROPERTY, Source.ATTRIBUTE):
            return wanted.source, field_key(self.texts, wanted.name, wanted.kind)
        return wanted.source, 0

    def _condition(self, expression):
        return Condition(
            plan_condition(expression), self.texts, self.events, self.attributes, self.zones,
            self.scratch, self.partition,
        )

    def _build(self, node):
        if node not in self.building:
            self.building.append(node)

    def build(self, Py_ssize_t max_rows):
        """Go on with all builds, each by up to `max_rows` rows or profiles.

        Returns the progress of the one that is furthest behind, 0 to 1; 1 says that all are built.
        """
        cdef Node node
        cdef Py_ssize_t text_count = self.texts.count()
        for node in self.building:
            node.build(max(1, max_rows), self.now_ms, self.horizon_ms)
            self.texts.forget(text_count)
            self.around.queue.empty()
        self.building = [node for node in self.building if not node.live]
        return min([node.progress() for node in self.building], default=1.0)

    cdef int _finish(self, Audience audience) except -1:
        """Finish the build of an audience's nodes."""
        cdef Node node
        cdef Py_ssize_t text_count = self.texts.count()
        for node in audience.nodes:
            while not node.live:
                node.build(1 << 40, self.now_ms, self.horizon_ms)
        self.texts.forget(text_count)
        self.around.queue.empty()
        self.building = [node for node in self.building if not node.live]
        return 0

    cdef Bits _members_now(self, Audience audience):
        """Return for whom the rule holds now; the nodes are built."""
        cdef Bits members = Bits()
        audience.evaluate_all(self.known, members)
        members.put(0, audience.logic.holds(0))
        return members

    def activate(self, str audience_id, uint32_t version):
        """Finish the build of a new audience, evaluate every profile, and return the members.

        From here on the audience reports its changes. Raises KeyError where it does not exist,
        ValueError for another version, for one that is active, and while one it refers to is not.
        """
        cdef Audience audience = self._audience(audience_id)
        if audience.version != version or audience.active:
            raise ValueError(
                f"{audience_id}: expected version {audience.version}, not active before; "
                f"found {version}"
            )
        for parent in audience.parents:
            if not parent.active:
                raise ValueError(f"{audience_id}: expected {parent.audience_id} to be active")
        self._finish(audience)
        audience.take(self._members_now(audience))
        audience.active = True
        self._wire_up()
        return self.members(audience_id)

    def remove_audience(self, str audience_id):
        """Take an audience out; ValueError while another is built on it, KeyError if it is none."""
        cdef Audience audience = self._audience(audience_id)
        for other in self.audiences_in_order:
            if audience in other.parents:
                raise ValueError(f"{audience_id}: expected no use, found {other.audience_id}")
        del self.audience_by_id[audience_id]
        self.audiences_in_order.remove(audience)
        self._wire_up()

    cdef int _wire_up(self) except -1:
        """Order the audiences, let signals know who reads them, and let go of unused nodes."""
        cdef Audience audience
        cdef Node node
        cdef Signal signal
        cdef uint32_t rank = 0
        self._let_go_unused()
        self.audiences_in_order = in_order(self.audiences_in_order)
        for node in self.nodes:
            if node is not None:
                for signal in node.signals_of():
                    signal.unwatch()
        for audience in self.audiences_in_order:
            audience.signal.unwatch()
            audience.rank = rank
            rank += 1
        self.around.queue.room(rank + 1)
        self.birth_audiences = []
        for audience in self.audiences_in_order:
            if audience.active:
                for signal in audience.logic.signals:
                    signal.watch(audience.rank)
                audience.at_birth = (
                    audience.logic.holds(0)
                    or any([each.at_birth for each in audience.nodes])
                    or any([each.at_birth for each in audience.parents])
                )
                if audience.at_birth:
                    self.birth_audiences.append(audience)
        return 0

    def _let_go_unused(self):
        """Forget the nodes that no audience needs, and list who listens to what."""
        used = set()
        for audience in self.audiences_in_order:
            used.update([node.index for node in audience.nodes])
        self.listeners, self.attribute_nodes, self.birth_nodes = {}, {}, []
        self.listening = []
        self.node_by_key, self.tallies = {}, {}
        for index, node in enumerate(self.nodes):
            if index not in used:
                self.nodes[index] = None
            if self.nodes[index] is None:
                continue
            if isinstance(node, TallyNode):
                self.tallies.setdefault(node.key, []).append(node)
            else:
                self.node_by_key[node.key] = node
            for type_id in node.types_of():
                self.listeners.setdefault(type_id, []).append(node)
            for name_id in node.attributes_of():
                self.attribute_nodes.setdefault(name_id, []).append(node)
            if node.at_birth:
                self.birth_nodes.append(node)
        self.building = [node for node in self.building if node.index in used]
        self.around.truth.keep(self._columns_in_use())

    def _columns_in_use(self):
        """Return the columns of all nodes and audiences."""
        cdef Audience audience
        cdef Node node
        cdef Signal signal
        columns = {audience.signal.column for audience in self.audiences_in_order}
        for node in self.nodes:
            if node is not None:
                columns.update([signal.column for signal in node.signals_of()])
        return columns

    def members(self, str audience_id):
        """Return the ordinals of the members now; KeyError unless the audience is active."""
        return members_of(self._active(audience_id).members)

    def is_member(self, str audience_id, uint32_t ordinal):
        """Tell whether a profile is a member now; KeyError unless the audience is active."""
        return self._active(audience_id).has(ordinal) and ordinal != 0

    def member_count(self, str audience_id):
        """Return how many members there are now; KeyError unless the audience is active."""
        cdef Audience audience = self._active(audience_id)
        return audience.members.count() - audience.has(0)

    def audiences(self):
        """Return the audiences in their order, parents first."""
        return tuple([
            Definition(audience.audience_id, audience.version, audience.rule, audience.active)
            for audience in self.audiences_in_order
        ])

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

    def restore_audience(self, str audience_id, uint32_t version, rule, members):
        """Add an audience as a dump had it: with `members`, a roaring bitmap, it is active.

        Raises ValueError where a member is not known.
        """
        cdef Audience audience
        cdef Bits found
        cdef uint64_t stranger = 0
        cdef Py_ssize_t place
        self.add_audience(audience_id, version, rule)
        if members is None:
            return
        audience = self._audience(audience_id)
        found = Bits.from_portable(members)
        for place in range(found.word_count):
            known = self.known.words[place] if place < self.known.word_count else 0
            stranger |= found.words[place] & ~known
        if stranger:
            raise ValueError(f"{audience_id}: expected members that are known")
        self._finish(audience)
        found.put(0, audience.logic.holds(0))
        audience.take(found)
        audience.active = True
        self._wire_up()

    def memory(self):
        """Return the bytes of what is neither node nor column.

        Timers, what is true of whom (a bit for each atom, audience and profile), memberships as
        sets, and who is known.
        """
        cdef Audience audience
        return {
            "timers": self.around.wheel.memory(),
            "truth": self.around.truth.memory(),
            "audiences": sum(
                [audience.members.memory() for audience in self.audiences_in_order]
            ),
            "profiles": self.known.memory() + self.gone.memory(),
        }

    def layout(self):
        """Return what `load_columns` needs to make the same columns, for JSON."""
        return self.events.layout()

    @property
    def columns(self):
        """Where the histories lie: what is written of them, and when it is on disk."""
        return self.store

    def dump_columns(self):
        """Return what a snapshot needs of the columns, and who is known and who is no more."""
        return {**self.store.dump(), **self._profiles()}

    def contents(self):
        """Return what all columns hold, wherever they lie, and who is known and who is no more."""
        return {**dict(self.store.contents()), **self._profiles()}

    def _profiles(self):
        return {
            "profiles.known": self.known.to_portable(),
            "profiles.gone": self.gone.to_portable(),
        }

    def load_columns(self, sections, layout):
        """Take what `dump_columns` gave of columns with this layout, once it is checked."""
        self.events.lay_out(layout)
        self.store.load(sections)
        for name, bits in (("profiles.known", self.known), ("profiles.gone", self.gone)):
            for ordinal in Bits.from_portable(sections[name]).ids():
                bits[ordinal] = True
        self.texts.restore()
        self.owners.restore()
        self.events.restore()
        self.attributes.restore()
        self.profile_count = self.known.count()

    def set_clock(self, int64_t now_ms, int64_t horizon_ms, int64_t arrivals):
        """Go on at the time of a dump."""
        self.now_ms = now_ms
        self.horizon_ms = horizon_ms
        self.arrivals = arrivals


def members_of(Bits bits):
    """Return bits as a bitmap, without the place of nobody."""
    found = BitMap.deserialize(bits.to_portable())
    found.discard(0)
    return found


def in_order(audiences):
    """Return audiences so that each stands behind those it refers to, else as they stood."""
    order = {}

    def place(audience):
        if audience not in order:
            for parent in audience.parents:
                place(parent)
            order[audience] = None

    for audience in audiences:
        place(audience)
    return list(order)
