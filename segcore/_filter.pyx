"""A condition over the rows of a table, or over attributes, written as tests of whole columns.

A field compared with constants becomes a test of its column. What is no such test is asked of the
stack machine, after the others.
"""

from libc.stdint cimport (
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    INT64_MIN,
    int64_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, malloc, realloc
from libc.string cimport memset

from segcore._attributes cimport Attributes, ValueColumn
from segcore._column_tests cimport (
    ASKED,
    BLOCK_ROWS,
    BLOCK_WORDS,
    BOTH,
    EITHER,
    IN_RANGES,
    IN_TABLE,
    KEEP,
    NEITHER,
    NEVER,
    Range,
)
from segcore._columns cimport Column
from segcore._history cimport Events
from segcore._program cimport MISSING, field_key
from segcore._table cimport Table
from segcore._values cimport DATE, FLAG, FieldColumn, TEXT, TEXTS

from segcore._program import Source as ProgramSource
from segcore.programs import compile_condition
from segcore.rule import (
    All,
    AnyOf,
    Attribute,
    Compare,
    Comparison,
    EventField,
    ItemField,
    Kind,
    Literal,
    Not,
    OneOf,
    Truth,
)

cdef enum:
    RANGES_MOST = 8             # beyond that a table costs less
    TABLE_MOST = 1 << 26        # bits

cdef dict CODES = {
    Kind.NUMBER: 0, Kind.TEXT: 1, Kind.FLAG: 2, Kind.TIME: 3, Kind.DATE: 4, Kind.TEXTS: 5
}
cdef dict MIRRORED = {
    Comparison.LT: Comparison.GT, Comparison.GT: Comparison.LT,
    Comparison.LE: Comparison.GE, Comparison.GE: Comparison.LE,
}


cdef Program program_over(Texts texts, plan):
    """Return the program of a plan that reads rows or attributes alone."""
    named = (ProgramSource.PROPERTY, ProgramSource.ATTRIBUTE)
    return Program(texts, plan, [
        (each.source, field_key(texts, each.name, each.kind) if each.source in named else 0)
        for each in plan.inputs
    ])


cdef int width_of(uint32_t kind, bint coded, Column column) noexcept:
    if coded:
        return column.item_bytes
    if kind == TEXT or kind == TEXTS:
        return 4
    if kind == FLAG:
        return 1
    return -4 if kind == DATE else 8


cdef int64_t missing_of(int width) noexcept nogil:
    if width == 8:
        return INT64_MIN
    return INT32_MIN if width == -4 else 0


cdef class Filter(ColumnTests):
    """Either `table` is given, or `attributes`: then a place is an ordinal."""

    def __cinit__(self, condition, Texts texts, Events events, Table table, Attributes attributes):
        self.texts, self.events, self.table, self.attributes = texts, events, table, attributes
        self.kept_alive = []
        self.draft = []
        self.spare = <char*> malloc(BLOCK_ROWS * 8)
        self._write(condition)
        self.length = len(self.draft)
        self.code = <int32_t*> calloc(self.length, sizeof(int32_t))
        self.stack = <uint64_t*> calloc((self.length + 1) * BLOCK_WORDS, sizeof(uint64_t))
        if not (self.spare and self.code and self.stack):
            raise MemoryError("no memory for a condition")
        for index, step in enumerate(self.draft):
            self.code[index] = step

    cdef Test* _push(self, int32_t op) except NULL:
        """Add a test and the step that pushes it."""
        cdef Test* moved = <Test*> realloc(self.tests, (self.test_count + 1) * sizeof(Test))
        if moved == NULL:
            raise MemoryError("no memory for a condition")
        self.tests = moved
        moved += self.test_count
        memset(moved, 0, sizeof(Test))
        moved.op = op
        self.draft.append(self.test_count)
        self.test_count += 1
        return moved

    cdef int _write(self, condition) except -1:
        """Write the code of one condition: what it comes to is pushed."""
        if isinstance(condition, All):
            return self._all(condition.operands)
        if isinstance(condition, AnyOf):
            for index, operand in enumerate(condition.operands):
                self._write(operand)
                if index:
                    self.draft.append(EITHER)
            return 0
        if isinstance(condition, Not):
            self._write(condition.operand)
            self.draft.append(NEITHER)
            return 0
        if isinstance(condition, Truth):
            return self._write(condition.operand)
        if isinstance(condition, Literal):
            self._push(NEVER).negated = condition.value is True
            return 0
        if isinstance(condition, Compare) and self._compare(condition):
            return 0
        if isinstance(condition, OneOf) and self._one_of(condition):
            return 0
        if getattr(condition, "kind", None) is Kind.FLAG:
            if self._compare(Compare(Comparison.EQ, condition, Literal(True, Kind.FLAG))):
                return 0
        return self._program(condition)

    cdef int _all(self, operands) except -1:
        """Write what has to hold together, tests first; the others are asked of what is left."""
        cdef Py_ssize_t start, count = 0
        cdef list asked = []
        for operand in operands:
            start = len(self.draft)
            self._write(operand)
            if len(self.draft) == start + 1 and self.tests[self.draft[start]].op == ASKED:
                asked.append(self.draft.pop())
                continue
            if count:
                self.draft.append(BOTH)
            count += 1
        if count == 0:
            self.draft.append(asked.pop(0))
        for index in asked:
            self.draft.append(KEEP - index)
        return 0

    def _column(self, field):
        """Return (column, kind, base, of_item) of a field; the column is None where none is."""
        cdef FieldColumn column
        cdef ValueColumn values
        if isinstance(field, Attribute):
            if self.attributes is None:
                return None
            values = self.attributes.column(
                self.texts.id_of(field.name) << 3 | <uint32_t> CODES[field.kind]
            )
            return (values, CODES[field.kind], 0, False)
        if self.table is None:
            return None
        if isinstance(field, ItemField):
            columns = {
                "sku": self.table.skus, "category": self.table.categories,
                "brand": self.table.brands, "price": self.table.prices,
                "quantity": self.table.quantities,
            }
            return (columns[field.name], CODES[field.kind], 0, True)
        if not isinstance(field, EventField) or field.name in ("id", "type"):
            return None
        if field.name == "occurred_at":
            return (self.table.occurred, CODES[field.kind], 0, False)
        if field.name == "received_at":
            return (self.table.received, CODES[field.kind], 0, False)
        column = self.table.field(self.texts.id_of(field.name) << 3 | <uint32_t> CODES[field.kind])
        if column is None:
            return (None, CODES[field.kind], 0, False)
        return (column.values, column.kind, column.base, False)

    def _raw(self, found, value):
        """Return a constant as the column keeps it, None where it has no such value."""
        cdef ValueColumn values
        cdef int64_t text_id
        column, kind = found[0], found[1]
        if value is None:
            return missing_of(width_of(kind, False, None))
        if kind == FLAG:
            return 1 + (value is True)
        if kind not in (TEXT, TEXTS):
            return value
        if isinstance(value, tuple):
            value = "".join([text + "\x1f" for text in value])
        text_id = self.texts.id_of(value)
        if text_id == 0:
            return None
        if isinstance(column, ValueColumn):
            values = column
            place = values.codes.find(<uint32_t> text_id)
            return None if place < 0 else place + 1
        return text_id

    cdef bint _compare(self, condition) except -1:
        """Write a field compared with a constant; False where this is none."""
        field, literal, comparison = condition.left, condition.right, condition.comparison
        if isinstance(field, Literal):
            field, literal = literal, field
            comparison = MIRRORED.get(comparison, comparison)
        if not isinstance(literal, Literal):
            return False
        found = self._column(field)
        if found is None:
            return False
        equal = comparison in (Comparison.EQ, Comparison.NE)
        if not equal and found[1] in (TEXT, TEXTS, FLAG):
            return False
        if not equal and literal.value is None:
            self._push(NEVER)
            return True
        ranges = []
        value = self._raw(found, literal.value)
        if equal:
            if value is not None:
                ranges.append((value, value))
        elif comparison is Comparison.LT:
            ranges.append((-INT64_MAX, value - 1))
        elif comparison is Comparison.LE:
            ranges.append((-INT64_MAX, value))
        elif comparison is Comparison.GT:
            ranges.append((value + 1, INT64_MAX))
        else:
            ranges.append((value, INT64_MAX))
        self._test_of(found, ranges, comparison is Comparison.NE)
        return True

    cdef bint _one_of(self, condition) except -1:
        """Write a field that is one of some constants; False where this is none."""
        found = self._column(condition.operand)
        if found is None:
            return False
        values = [self._raw(found, option.value) for option in condition.options
                  if option.value is not None]
        self._test_of(found, [(value, value) for value in values if value is not None], False)
        return True

    def _test_of(self, found, list ranges, bint negated):
        """Push the test that a column's value is in one of the ranges, or in none."""
        cdef ValueColumn values
        cdef Test* test = self._push(IN_RANGES)
        column, kind, test.base, test.of_item = found
        if isinstance(column, ValueColumn):
            values = column
            column = values.values
            test.width = width_of(kind, values.coded, column)
        else:
            test.width = width_of(kind, False, None)
        test.missing = missing_of(test.width)
        if test.width == -4:
            ranges = [(max(low, INT32_MIN + 1) if low != INT32_MIN else low, min(high, INT32_MAX))
                      for low, high in ranges]
        if column is None:
            passes = any([low <= test.missing <= high for low, high in ranges])
            test.op, test.negated = NEVER, passes != negated
            return
        self.kept_alive.append(column)
        test.source = <void*> column
        self._settle(test, ranges, negated)

    cdef int _settle(self, Test* test, list ranges, bint negated) except -1:
        """Give a test the values that pass: a few ranges, or a table of bits."""
        cdef Py_ssize_t index
        cdef int64_t value
        cdef list joined = []
        test.negated = negated
        for low, high in sorted(set(ranges)):
            if joined and low <= joined[len(joined) - 1][1] + 1:
                joined[len(joined) - 1][1] = max(high, joined[len(joined) - 1][1])
            elif low <= high:
                joined.append([low, high])
        if not joined:
            test.op = NEVER
            return 0
        test.range_count = len(joined)
        test.ranges = <Range*> calloc(test.range_count, sizeof(Range))
        if test.ranges == NULL:
            raise MemoryError("no memory for a condition")
        for index, (low, high) in enumerate(joined):
            test.ranges[index] = Range(low, high)
        low, high = joined[0][0], joined[len(joined) - 1][1]
        if test.range_count <= RANGES_MOST or test.width in (8, -4) or high - low >= TABLE_MOST:
            return 0
        test.op = IN_TABLE
        test.table = <uint64_t*> calloc((high - low) // 64 + 1, sizeof(uint64_t))
        if test.table == NULL:
            raise MemoryError("no memory for a condition")
        for first, last in joined:
            for value in range(first, last + 1):
                test.table[(value - low) >> 6] |= <uint64_t> 1 << ((value - low) & 63)
        test.ranges[0] = Range(low, high)
        return 0

    cdef int _program(self, condition) except -1:
        """Write what the stack machine has to be asked; over one text, once for each text."""
        cdef Program program
        cdef Test* test
        plan = compile_condition(condition)
        program = program_over(self.texts, plan)
        if self.attributes is not None and len(plan.inputs) == 1:
            field = Attribute(plan.inputs[0].name, plan.inputs[0].kind)
            found = self._column(field)
            if found[1] in (TEXT, TEXTS):
                return self._by_code(program, found)
        self.kept_alive.append(program)
        test = self._push(ASKED)
        test.source = <void*> program
        return 0

    cdef int _by_code(self, Program program, found) except -1:
        """Write a test of a coded attribute by the codes of the texts for which it holds."""
        cdef ValueColumn values = found[0]
        cdef Py_ssize_t code
        cdef list ranges = []
        cdef Py_ssize_t count = 1 if values is None else values.dictionary.size
        for code in range(count):
            program.values[0] = MISSING
            if code:
                program.values[0] = values.dictionary.get(code)
            if program.run() == 1:
                ranges.append((code, code))
        self._test_of(found, ranges, False)
        return 0
