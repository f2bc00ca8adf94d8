"""A stack machine over 64-bit integers in which one value means missing.

Numbers are millionths, texts are ids, flags are 0 and 1. A program reads its inputs from `values`,
which its caller fills; it never fails and never allocates. `segcore.plan` writes the programs.
"""

from libc.stdlib cimport calloc, free

from segcore.rule import Kind


cdef dict KIND_CODES = {Kind.NUMBER: 0, Kind.TEXT: 1, Kind.FLAG: 2, Kind.TIME: 3}


cdef uint32_t kind_code(object kind) except? 99:
    return KIND_CODES[kind]


cdef uint32_t field_key(Texts texts, str name, object kind) except 0:
    """Return the one number of a field: the id of its name, and its kind in the lowest two bits."""
    return texts.intern(name) << 2 | kind_code(kind)


cdef inline bint in_order(int32_t op, int order) noexcept nogil:
    if op == Op.TEXT_LESS:
        return order < 0
    if op == Op.TEXT_LESS_EQUAL:
        return order <= 0
    if op == Op.TEXT_GREATER:
        return order > 0
    return order >= 0


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
    return in_order(op, texts.compare(<uint32_t> left, <uint32_t> right))


cdef inline int64_t examine(Program program, Instruction* step, int64_t value) noexcept nogil:
    """Return the truth of a test of one value."""
    cdef int32_t index
    if step.op == Op.TRUTH:
        return value == 1
    if step.op == Op.NEGATE:
        return value != 1
    if value == MISSING:
        return 0
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

    def _encode(self, constant):
        if constant is None:
            return MISSING
        return self.texts.intern(constant) if isinstance(constant, str) else int(constant)

    cdef int64_t run(self) noexcept nogil:
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
        """Return the result for `values`, with None for missing; for tests."""
        cdef Py_ssize_t index
        for index, value in enumerate(values):
            self.values[index] = self._encode(value)
        cdef int64_t result = self.run()
        return None if result == MISSING else result
