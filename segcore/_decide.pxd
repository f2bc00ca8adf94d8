"""From the rows of one person to the answer of a condition, and when time may change it."""

from cpython.ref cimport PyObject
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint32_t, uint64_t

from segcore._days cimport ZoneTable, Zones
from segcore._history cimport Events
from segcore._program cimport Program

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef struct { int64_t key, at_ms, leaves_ms, place; } kept_row;

    static inline int comes_before(const kept_row *left, const kept_row *right) {
        return left->key < right->key || (left->key == right->key && left->at_ms < right->at_ms);
    }

    /* By key, then time. Stable; what is in order already, or in reverse, costs one pass. */
    static inline void sort_kept(kept_row *rows, kept_row *spare, int64_t count) {
        enum { RUN = 12 };
        int64_t place = 1;
        while (place < count && !comes_before(rows + place, rows + place - 1)) place++;
        if (place >= count) return;
        for (place = 1; place < count && comes_before(rows + place, rows + place - 1); place++);
        if (place == count) {
            for (int64_t low = 0, high = count - 1; low < high; low++, high--) {
                kept_row moved = rows[low];
                rows[low] = rows[high];
                rows[high] = moved;
            }
            return;
        }
        for (int64_t start = 0; start < count; start += RUN) {
            int64_t end = start + RUN < count ? start + RUN : count;
            for (place = start + 1; place < end; place++) {
                kept_row moved = rows[place];
                int64_t gap = place;
                for (; gap > start && comes_before(&moved, rows + gap - 1); gap--)
                    rows[gap] = rows[gap - 1];
                rows[gap] = moved;
            }
        }
        kept_row *from = rows, *to = spare;
        for (int64_t width = RUN; width < count; width *= 2) {
            for (int64_t start = 0; start < count; start += 2 * width) {
                int64_t middle = start + width < count ? start + width : count;
                int64_t end = start + 2 * width < count ? start + 2 * width : count;
                int64_t left = start, right = middle;
                for (place = start; place < end; place++) {
                    int later = left == middle
                        || (right < end && comes_before(from + right, from + left));
                    to[place] = later ? from[right++] : from[left++];
                }
            }
            kept_row *turned = from;
            from = to;
            to = turned;
        }
        if (from != rows) memcpy(rows, from, (size_t) count * sizeof(kept_row));
    }

    /* The first place of a row of this key at `at_ms` or later, or of what comes after. */
    static inline int64_t place_from(
        const kept_row *rows, int64_t count, int64_t key, int64_t at_ms
    ) {
        int64_t low = 0;
        while (count > 0) {
            int64_t half = count / 2;
            const kept_row *row = rows + low + half;
            int earlier = row->key < key || (row->key == key && row->at_ms < at_ms);
            low += earlier ? half + 1 : 0;
            count = earlier ? count - half - 1 : half;
        }
        return low;
    }

    static inline int64_t later_by(int64_t at_ms, int64_t span_ms) {
        int64_t sum;
        if (!__builtin_add_overflow(at_ms, span_ms, &sum)) return sum;
        return span_ms > 0 ? INT64_MAX : -INT64_MAX;
    }

    static inline uint64_t hash_text(const char *data, int64_t length) {
        uint64_t hash = 0xCBF29CE484222325ULL;
        for (int64_t place = 0; place < length; place++)
            hash = (hash ^ (uint8_t) data[place]) * 0x100000001B3ULL;
        return hash;
    }

    static inline int64_t bucket_of(uint64_t salt, uint64_t profile_id) {
        uint64_t mixed = salt ^ (profile_id * 0x9E3779B97F4A7C15ULL);
        mixed ^= mixed >> 30;
        mixed *= 0xBF58476D1CE4E5B9ULL;
        mixed ^= mixed >> 27;
        mixed *= 0x94D049BB133111EBULL;
        mixed ^= mixed >> 31;
        return (int64_t) (((unsigned __int128) mixed * 1000000) >> 64);
    }
    """
    ctypedef struct kept_row:
        int64_t key, at_ms, leaves_ms, place
    void sort_kept(kept_row* rows, kept_row* spare, int64_t count) noexcept nogil
    int64_t place_from(
        const kept_row* rows, int64_t count, int64_t key, int64_t at_ms
    ) noexcept nogil
    int64_t later_by(int64_t at_ms, int64_t span_ms) noexcept nogil
    uint64_t hash_text(const char* data, int64_t length) noexcept nogil
    int64_t bucket_of(uint64_t salt, uint64_t profile_id) noexcept nogil


cdef struct Verdict:
    bint holds
    int64_t next_ms


cdef struct PersonRow:
    # A row of a person: `row` is that of the event in its table, `line` -1 or of the table's items.
    int64_t occurred_ms
    int64_t received_ms
    uint64_t sources
    PyObject* table
    int64_t event
    int64_t row
    int64_t line


cdef struct FollowState:
    int32_t then
    bint absent
    bint keyed
    bint bounded
    int64_t within_ms


cdef struct RowsState:
    uint64_t source
    bint windowed
    bint aged
    bint calendar
    bint answers
    bint keyed
    int64_t last_ms
    int64_t older_ms
    int64_t calendar_days
    void* key
    int32_t first_time
    int32_t first_until
    int32_t times_end
    int32_t first_follow
    int32_t follows_end
    kept_row* kept
    int64_t count
    int64_t first_departure_ms
    int64_t last_departure_ms
    int64_t first_arrival_ms


cdef struct FoldState:
    int32_t rows
    int32_t fold
    int32_t slot
    bint of_ids
    void* operand
    int64_t winner


cdef struct AgeState:
    void* operand
    int32_t comparison
    bint against_null
    int64_t span_ms


cdef struct AnniversaryState:
    void* operand
    bint of_time


cdef struct Present:
    uint32_t ordinal
    int64_t horizon_ms
    int64_t next_ms
    const ZoneTable* zone
    int64_t today
    const PersonRow* rows
    int64_t row_count


cdef class Scratch:
    cdef PersonRow* rows
    cdef int64_t row_capacity
    cdef kept_row* kept
    cdef int64_t kept_capacity
    cdef PersonRow* add_row(self, int64_t place) except NULL nogil
    cdef int reserve(self, int64_t kept) except -1 nogil


cdef class Decider:
    cdef Events events
    cdef Zones zones
    cdef Scratch scratch
    cdef list kept_alive
    cdef uint64_t first_profile
    cdef int64_t* slots
    cdef int32_t zone_slot, fold_slot, age_slot, anniversary_slot, bucket_slot
    cdef bint zoned
    cdef void** times
    cdef FollowState* follows
    cdef RowsState* sets
    cdef Py_ssize_t set_count
    cdef FoldState* folds
    cdef Py_ssize_t fold_count
    cdef int32_t* steps
    cdef Py_ssize_t step_count
    cdef AgeState* ages
    cdef Py_ssize_t age_count
    cdef AnniversaryState* anniversaries
    cdef Py_ssize_t anniversary_count
    cdef uint64_t* salts
    cdef Py_ssize_t salt_count
    cdef void* program
    cdef int decide(
        self,
        uint32_t ordinal,
        const PersonRow* rows,
        int64_t row_count,
        int64_t horizon_ms,
        Verdict* out,
    ) except -1 nogil
    cdef int _keep_rows(self, RowsState* state, Present* present) except -1 nogil
    cdef int _bounds(
        self, RowsState* state, Present* present, int64_t* first, int64_t* before
    ) except -1 nogil
    cdef int _keep(self, RowsState* state, Present* present, int64_t place) except -1 nogil
    cdef void _by_day(
        self,
        RowsState* state,
        Present* present,
        int64_t occurred_ms,
        int64_t* arrives_ms,
        int64_t* leaves_ms,
    ) noexcept nogil
    cdef bint _answered(self, const FollowState* follow, const kept_row* row) noexcept nogil
    cdef int _fold(self, FoldState* fold, Present* present) except -1 nogil
    cdef int64_t _fold_values(self, FoldState* fold, Present* present) except? -2 nogil
    cdef int64_t _distinct(self, FoldState* fold, Present* present) except? -2 nogil
    cdef int64_t _distinct_ids(self, FoldState* fold, Present* present) noexcept nogil
    cdef int64_t _newest(self, FoldState* fold, Present* present) except? -2 nogil
    cdef int _compare_ages(self, Present* present) except -1 nogil
    cdef int _come_round(self, Present* present) except -1 nogil


cdef int64_t run_over(Program program, Events events, const PersonRow* row) except? -2 nogil
cdef int64_t place_of(const PersonRow* row) noexcept nogil
cdef bint is_newer(const PersonRow* row, const PersonRow* other) noexcept nogil
cdef int32_t fold_code(object fold) except -1
cdef int32_t comparison_code(object comparison) except -1
