"""A stack machine over 64-bit integers in which one value means missing.

Numbers are millionths, texts are ids, flags are 0 and 1. A program reads its inputs from `values`,
which its caller fills. It allocates only where a text is made that was never seen before.
`segcore.programs` writes the programs.
"""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp

from segcore.rule import Kind


cdef dict KIND_CODES = {
    Kind.NUMBER: 0, Kind.TEXT: 1, Kind.FLAG: 2, Kind.TIME: 3, Kind.DATE: 4, Kind.TEXTS: 5
}
cdef int64_t MICRO = 1000000
cdef char SEPARATOR = 0x1F
"""What ends each element of texts: a value of that kind is the id of all of them in one text."""


cdef uint32_t kind_code(object kind) except? 99:
    return KIND_CODES[kind]


cdef uint32_t field_key(Texts texts, str name, object kind) except 0:
    """Return the one number of a field: the id of its name, and its kind in the lowest three bits."""
    return texts.intern(name) << 3 | kind_code(kind)


cdef inline bint in_order(int32_t op, int order) noexcept nogil:
    if op == Op.TEXT_LESS:
        return order < 0
    if op == Op.TEXT_LESS_EQUAL:
        return order <= 0
    if op == Op.TEXT_GREATER:
        return order > 0
    return order >= 0


cdef bint has_text(Texts texts, uint32_t element, uint32_t whole) noexcept nogil:
    """Tell whether texts hold this one among them."""
    cdef const char* wanted = texts.arena.data + texts.ends.get(element - 1)
    cdef int64_t length = texts.ends.get(element) - texts.ends.get(element - 1)
    cdef const char* place = texts.arena.data + texts.ends.get(whole - 1)
    cdef const char* end = texts.arena.data + texts.ends.get(whole)
    cdef const char* start = place
    while place < end:
        if place[0] == SEPARATOR:
            if place - start == length and memcmp(start, wanted, length) == 0:
                return True
            start = place + 1
        place += 1
    return False


cdef int64_t count_in(Texts texts, uint32_t text_id, int32_t op) noexcept nogil:
    """Return how many code points a text has, or how many texts are in texts; in millionths."""
    cdef const char* place = texts.arena.data + texts.ends.get(text_id - 1)
    cdef const char* end = texts.arena.data + texts.ends.get(text_id)
    cdef int64_t count = 0
    while place < end:
        if op == Op.COUNT_TEXTS:
            count += place[0] == SEPARATOR
        else:
            count += (place[0] & 0xC0) != 0x80
        place += 1
    return count * MICRO


cdef inline int64_t combine(Texts texts, int32_t op, int64_t left, int64_t right) noexcept nogil:
    """Return the value of an operation on two values."""
    if op == Op.EQUAL:
        return left == right
    if op == Op.UNEQUAL:
        return left != right
    if left == MISSING or right == MISSING:
        return MISSING if op <= Op.DIVIDE else 0
    if op == Op.ADD:
        return micro_add(left, right)
    if op == Op.SUBTRACT:
        return micro_subtract(left, right)
    if op == Op.MULTIPLY:
        return micro_multiply(left, right)
    if op == Op.DIVIDE:
        return micro_divide(left, right)
    if op == Op.LESS:
        return left < right
    if op == Op.LESS_EQUAL:
        return left <= right
    if op == Op.GREATER:
        return left > right
    if op == Op.GREATER_EQUAL:
        return left >= right
    if op == Op.HAS:
        return has_text(texts, <uint32_t> left, <uint32_t> right)
    return in_order(op, texts.compare(<uint32_t> left, <uint32_t> right))


cdef inline int64_t examine(Program program, Instruction* step, int64_t value) except? -2 nogil:
    """Return what one value comes to: the truth of a test, a text's other form, a size."""
    cdef int32_t index
    if step.op == Op.TRUTH:
        return value == 1
    if step.op == Op.NEGATE:
        return value != 1
    if value == MISSING:
        return 0 if step.op <= Op.CONTAINS else MISSING
    if step.op == Op.LOWER or step.op == Op.UPPER:
        return program.form(step.op, <uint32_t> value)
    if step.op == Op.COUNT_POINTS or step.op == Op.COUNT_TEXTS:
        return count_in(program.texts, <uint32_t> value, step.op)
    if step.op == Op.SHIFT:
        return micro_add(value, program.constants[step.first])
    if step.op == Op.ONE_OF:
        for index in range(step.first, step.first + step.second):
            if program.constants[index] == value:
                return 1
        return 0
    if step.op == Op.STARTS_WITH:
        return program.texts.starts_with(<uint32_t> value, <uint32_t> program.constants[step.first])
    if step.op == Op.ENDS_WITH:
        return program.texts.ends_with(<uint32_t> value, <uint32_t> program.constants[step.first])
    return program.texts.contains(<uint32_t> value, <uint32_t> program.constants[step.first])


cdef class Program:
    """One compiled expression; `inputs` are resolved by the engine, in the plan's order."""

    def __cinit__(self, Texts texts, plan, inputs):
        """Take a `segcore.plan.Program` and, for each of its inputs, the (source, argument)."""
        cdef Py_ssize_t index
        self.texts = texts
        self.length = len(plan.code)
        self.input_count = len(inputs)
        self.code = <Instruction*> calloc(max(1, self.length), sizeof(Instruction))
        self.constants = <int64_t*> calloc(max(1, len(plan.constants)), sizeof(int64_t))
        self.inputs = <Input*> calloc(max(1, self.input_count), sizeof(Input))
        self.values = <int64_t*> calloc(max(1, self.input_count), sizeof(int64_t))
        self.stack = <int64_t*> calloc(plan.depth, sizeof(int64_t))
        if not (self.code and self.constants and self.inputs and self.values and self.stack):
            raise MemoryError("no memory for a program")
        for index, (op, first, second) in enumerate(plan.code):
            self.code[index] = Instruction(op, first, second)
        for index, constant in enumerate(plan.constants):
            self.constants[index] = self._encode(constant)
        for index, (source, argument) in enumerate(inputs):
            self.inputs[index] = Input(source, argument)

    def __dealloc__(self):
        free(self.code)
        free(self.constants)
        free(self.inputs)
        free(self.values)
        free(self.stack)
        free(self.scratch)

    def _encode(self, constant):
        if constant is None:
            return MISSING
        if isinstance(constant, tuple):
            return self.texts.intern("".join([text + "\x1f" for text in constant]))
        return self.texts.intern(constant) if isinstance(constant, str) else int(constant)

    cdef int64_t form(self, int32_t op, uint32_t text_id) except -1 nogil:
        """Return the id of a text with its letters A to Z small, or a to z great."""
        cdef Py_ssize_t length = self.texts.ends.get(text_id) - self.texts.ends.get(text_id - 1)
        cdef const char* letters = self.texts.arena.data + self.texts.ends.get(text_id - 1)
        cdef char first = b"A" if op == Op.LOWER else b"a"
        cdef char last = b"Z" if op == Op.LOWER else b"z"
        cdef Py_ssize_t index
        cdef bint same = True
        self._reserve(length)
        for index in range(length):
            self.scratch[index] = letters[index]
            if first <= letters[index] <= last:
                self.scratch[index] = letters[index] ^ 0x20
                same = False
        if same:
            return text_id
        return self.texts.intern_bytes(self.scratch, length)

    cdef int _reserve(self, Py_ssize_t size) except -1 nogil:
        cdef char* moved
        if size > self.scratch_bytes:
            moved = <char*> realloc(self.scratch, size * 2)
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for a text of {size} bytes")
            self.scratch = moved
            self.scratch_bytes = size * 2
        return 0

    cdef int64_t run(self) except? -2 nogil:
        """Return what the program comes to for `values`."""
        cdef int64_t* top = self.stack - 1
        cdef Instruction* step = self.code
        cdef Instruction* end = self.code + self.length
        cdef int32_t index
        cdef int64_t found
        while step < end:
            if step.op == Op.LOAD:
                top += 1
                top[0] = self.values[step.first]
            elif step.op == Op.CONSTANT:
                top += 1
                top[0] = self.constants[step.first]
            elif step.op < Op.ONE_OF:
                top -= 1
                top[0] = combine(self.texts, step.op, top[0], top[1])
            elif step.op < Op.CONJOIN:
                top[0] = examine(self, step, top[0])
            else:
                top -= step.first - 1
                found = 0
                for index in range(step.first):
                    found += top[index] == 1
                top[0] = found == step.first if step.op == Op.CONJOIN else found > 0
            step += 1
        return top[0]

    def evaluate(self, values):
        """Return the result for `values`, with None for missing and ids for texts; for tests."""
        cdef Py_ssize_t index
        for index, value in enumerate(values):
            self.values[index] = self._encode(value)
        cdef int64_t result = self.run()
        return None if result == MISSING else result
