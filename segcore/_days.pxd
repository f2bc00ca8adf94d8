"""Local days of a time zone, from a table of the instants at which its offset changes."""

from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint32_t, uint64_t

from segcore._texts cimport Texts

cdef extern from *:
    """
    #include <stdint.h>
    #define COTERIE_DAY_MS 86400000LL

    static inline int64_t floor_days(int64_t local_ms) {
        return local_ms / COTERIE_DAY_MS - (local_ms % COTERIE_DAY_MS < 0);
    }

    /* A year from 1 March on, of 400-year cycles: leap days come last, so that months are even. */
    static inline int64_t year_of_day(int64_t day, int *month, int *of_month) {
        int64_t shifted = day + 719468;
        int64_t cycle = (shifted < 0 ? shifted - 146096 : shifted) / 146097;
        int64_t rest = shifted - cycle * 146097;
        int64_t year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
        int64_t of_year = rest - (365 * year + year / 4 - year / 100);
        int64_t from_march = (5 * of_year + 2) / 153;
        *of_month = (int) (of_year - (153 * from_march + 2) / 5 + 1);
        *month = (int) (from_march < 10 ? from_march + 3 : from_march - 9);
        return year + cycle * 400 + (*month <= 2);
    }

    static inline int64_t day_of_date(int64_t year, int month, int of_month) {
        int64_t from_march = month > 2 ? month - 3 : month + 9;
        int64_t counted = month > 2 ? year : year - 1;
        int64_t cycle = (counted < 0 ? counted - 399 : counted) / 400;
        int64_t rest = counted - cycle * 400;
        int64_t of_year = (153 * from_march + 2) / 5 + of_month - 1;
        return cycle * 146097 + rest * 365 + rest / 4 - rest / 100 + of_year - 719468;
    }

    static inline int is_leap(int64_t year) {
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    }
    """
    const int64_t DAY_MS "COTERIE_DAY_MS"
    int64_t floor_days(int64_t local_ms) noexcept nogil
    int64_t year_of_day(int64_t day, int* month, int* of_month) noexcept nogil
    int64_t day_of_date(int64_t year, int month, int of_month) noexcept nogil
    bint is_leap(int64_t year) noexcept nogil


cdef struct Span:
    int64_t from_ms
    int64_t offset_ms


cdef struct ZoneTable:
    Span* spans
    Py_ssize_t span_count
    int32_t* hints
    Py_ssize_t hint_count
    int64_t* steps_back
    Py_ssize_t step_count


cdef int64_t local_day(const ZoneTable* zone, int64_t instant_ms) noexcept nogil
cdef int64_t first_ms(const ZoneTable* zone, int64_t day) noexcept nogil
cdef int64_t reach_day(const ZoneTable* zone, int64_t day, int64_t after_ms) noexcept nogil
cdef int64_t next_step_back(const ZoneTable* zone, int64_t after_ms) noexcept nogil
cdef int64_t anniversary_in(int64_t born, int64_t year) noexcept nogil
cdef int64_t next_anniversary(int64_t born, int64_t today) noexcept nogil


cdef class Days:
    cdef readonly str zone
    cdef ZoneTable table
    cdef int _fill(self, list spans) except -1


cdef class Zones:
    cdef Texts texts
    cdef readonly Days default
    cdef list kept
    cdef uint32_t* names
    cdef ZoneTable** tables
    cdef Py_ssize_t count
    cdef Py_ssize_t slot_count
    cdef const ZoneTable* of_text(self, int64_t name_id) except NULL nogil
    cdef int _learn(self, uint32_t name_id) except -1
    cdef int _grow(self) except -1
    cdef Py_ssize_t _slot(self, uint32_t name_id) noexcept nogil
