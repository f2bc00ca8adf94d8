"""A stack machine over 64-bit integers in which one value means missing."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._texts cimport Texts

cdef extern from *:
    """
    #include <stdint.h>
    #define COTERIE_MISSING INT64_MIN
    #define COTERIE_MICRO 1000000

    typedef struct { __int128 value; } wide_sum;

    static inline int64_t coterie_narrow(__int128 value) {
        return value > INT64_MAX || value < -(__int128) INT64_MAX ? COTERIE_MISSING
                                                                  : (int64_t) value;
    }
    static inline void wide_clear(wide_sum *sum) { sum->value = 0; }
    static inline void wide_add(wide_sum *sum, int64_t value) { sum->value += value; }
    static inline void wide_subtract(wide_sum *sum, int64_t value) { sum->value -= value; }
    static inline int64_t wide_read(const wide_sum *sum) { return coterie_narrow(sum->value); }

    static inline int64_t coterie_divide(__int128 dividend, int64_t divisor) {
        __int128 quotient = dividend / divisor, rest = dividend % divisor;
        __int128 twice = 2 * (rest < 0 ? -rest : rest);
        __int128 whole = divisor < 0 ? -(__int128) divisor : divisor;
        if (twice > whole || (twice == whole && (quotient & 1)))
            quotient += (dividend < 0) == (divisor < 0) ? 1 : -1;
        return coterie_narrow(quotient);
    }
    static inline int64_t wide_average(const wide_sum *sum, int64_t count) {
        return coterie_divide(sum->value, count);
    }
    static inline int64_t micro_add(int64_t left, int64_t right) {
        return coterie_narrow((__int128) left + right);
    }
    static inline int64_t micro_subtract(int64_t left, int64_t right) {
        return coterie_narrow((__int128) left - right);
    }
    static inline int64_t micro_multiply(int64_t left, int64_t right) {
        return coterie_divide((__int128) left * right, COTERIE_MICRO);
    }
    static inline int64_t micro_divide(int64_t left, int64_t right) {
        return right == 0 ? COTERIE_MISSING
                          : coterie_divide((__int128) left * COTERIE_MICRO, right);
    }
    """
    ctypedef struct wide_sum:
        pass
    const int64_t MISSING "COTERIE_MISSING"
    void wide_clear(wide_sum* sum) noexcept nogil
    void wide_add(wide_sum* sum, int64_t value) noexcept nogil
    void wide_subtract(wide_sum* sum, int64_t value) noexcept nogil
    int64_t wide_read(const wide_sum* sum) noexcept nogil
    int64_t wide_average(const wide_sum* sum, int64_t count) noexcept nogil
    int64_t micro_add(int64_t left, int64_t right) noexcept nogil
    int64_t micro_subtract(int64_t left, int64_t right) noexcept nogil
    int64_t micro_multiply(int64_t left, int64_t right) noexcept nogil
    int64_t micro_divide(int64_t left, int64_t right) noexcept nogil


cpdef enum Op:
    LOAD = 0
    CONSTANT = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    DIVIDE = 5
    EQUAL = 6
    UNEQUAL = 7
    LESS = 8
    LESS_EQUAL = 9
    GREATER = 10
    GREATER_EQUAL = 11
    TEXT_LESS = 12
    TEXT_LESS_EQUAL = 13
    TEXT_GREATER = 14
    TEXT_GREATER_EQUAL = 15
    HAS = 16
    ONE_OF = 17
    STARTS_WITH = 18
    ENDS_WITH = 19
    CONTAINS = 20
    TRUTH = 21
    NEGATE = 22
    LOWER = 23
    UPPER = 24
    COUNT_POINTS = 25
    COUNT_TEXTS = 26
    SHIFT = 27
    CONJOIN = 28
    DISJOIN = 29


cpdef enum Source:
    EVENT_ID = 0
    EVENT_TYPE = 1
    OCCURRED = 2
    RECEIVED = 3
    PROPERTY = 4
    SKU = 5
    CATEGORY = 6
    BRAND = 7
    PRICE = 8
    QUANTITY = 9
    ATTRIBUTE = 10
    EXISTS = 11
    COUNT = 12
    SUM = 13
    MEMBER = 14
    FOLD = 15
    AGE = 16
    ANNIVERSARY = 17
    BUCKET = 18


cdef struct Instruction:
    int32_t op
    int32_t first
    int32_t second


cdef struct Input:
    int32_t source
    uint32_t argument


cdef class Program:
    cdef Texts texts
    cdef Instruction* code
    cdef Py_ssize_t length
    cdef int64_t* constants
    cdef Input* inputs
    cdef readonly Py_ssize_t input_count
    cdef int64_t* values
    cdef int64_t* stack
    cdef char* scratch
    cdef Py_ssize_t scratch_bytes
    cdef int _reserve(self, Py_ssize_t size) except -1 nogil
    cdef int64_t form(self, int32_t op, uint32_t text_id) except -1 nogil
    cdef int64_t run(self) except? -2 nogil


cdef uint32_t kind_code(object kind) except? 99
cdef uint32_t field_key(Texts texts, str name, object kind) except 0
