"""Tests over columns, 64 rows to a word of bits, and what is done to the rows that pass."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
    #define SCAN_CLONES __attribute__((unused)) \\
        __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
    #else
    #define SCAN_CLONES __attribute__((unused))
    #endif

    /* A byte for each row first, which vectors do, then eight bytes to eight bits by one product. */
    static inline uint64_t scan_pack(const uint8_t *flags) {
        uint64_t word = 0;
        for (int part = 0; part < 8; part++) {
            uint64_t eight;
            memcpy(&eight, flags + 8 * part, 8);
            word |= (eight * 0x0102040810204080ull) >> 56 << (8 * part);
        }
        return word;
    }
    #define SCAN_RANGE(name, type)                                                                \\
        SCAN_CLONES static void name(const type *restrict values, int64_t words, int64_t low,     \\
                                     int64_t high, uint64_t *restrict out) {                      \\
            const type least = (type) low, most = (type) high;                                    \\
            for (int64_t word = 0; word < words; word++) {                                        \\
                uint8_t flags[64];                                                                \\
                const type *part = values + 64 * word;                                            \\
                for (int i = 0; i < 64; i++)                                                      \\
                    flags[i] = (uint8_t) ((part[i] >= least) & (part[i] <= most));                \\
                out[word] = scan_pack(flags);                                                     \\
            }                                                                                     \\
        }
    SCAN_RANGE(scan_range_u8, uint8_t)
    SCAN_RANGE(scan_range_u16, uint16_t)
    SCAN_RANGE(scan_range_u32, uint32_t)
    SCAN_RANGE(scan_range_i32, int32_t)
    SCAN_RANGE(scan_range_i64, int64_t)

    /* The values whose bit is set in a table that begins with `low`. */
    #define SCAN_TABLE(name, type)                                                                \\
        static inline void name(const type *restrict values, int64_t words,                           \\
                         const uint64_t *restrict table, uint64_t low, uint64_t high,             \\
                         uint64_t *restrict out) {                                                \\
            for (int64_t word = 0; word < words; word++) {                                        \\
                uint64_t found = 0;                                                               \\
                const type *part = values + 64 * word;                                            \\
                for (int i = 0; i < 64; i++) {                                                    \\
                    uint64_t at = part[i] - low, inside = at <= high - low;                       \\
                    at = inside ? at : 0;                                                         \\
                    found |= (table[at >> 6] >> (at & 63) & inside) << i;                         \\
                }                                                                                 \\
                out[word] = found;                                                                \\
            }                                                                                     \\
        }
    SCAN_TABLE(scan_table_u8, uint8_t)
    SCAN_TABLE(scan_table_u16, uint16_t)
    SCAN_TABLE(scan_table_u32, uint32_t)

    /* For each row that passes; without words all of them do. */
    #define SCAN_EACH(rows, words, place, action)                                                 \\
        if (!words)                                                                               \\
            for (int64_t place = 0; place < rows; place++) { action; }                            \\
        else                                                                                      \\
            for (int64_t word = 0; word < (rows + 63) / 64; word++)                               \\
                for (uint64_t left = words[word]; left; left &= left - 1) {                       \\
                    int64_t place = 64 * word + __builtin_ctzll(left);                            \\
                    action;                                                                       \\
                }

    static inline void scan_mark(uint64_t *restrict bits, const uint32_t *restrict owners, int64_t rows,
                          const uint64_t *restrict words) {
        SCAN_EACH(rows, words, i, bits[owners[i] >> 6] |= 1ull << (owners[i] & 63))
    }
    static inline void scan_count8(uint8_t *restrict counts, const uint32_t *restrict owners,
                            int64_t rows, const uint64_t *restrict words) {
        SCAN_EACH(rows, words, i, uint8_t *count = counts + owners[i]; *count += *count != 255)
    }
    static inline void scan_count32(uint32_t *restrict counts, const uint32_t *restrict owners,
                             int64_t rows, const uint64_t *restrict words) {
        SCAN_EACH(rows, words, i, counts[owners[i]]++)
    }
    /* Returns 0 where a sum does not fit 64 bits: then it has to be done in 128. */
    static inline int scan_sum64(int64_t *restrict sums, const uint32_t *restrict owners, int64_t rows,
                          const uint64_t *restrict words, const int64_t *restrict values) {
        int over = 0;
        SCAN_EACH(rows, words, i, int64_t *sum = sums + owners[i];
                  int64_t value = values[i] == INT64_MIN ? 0 : values[i];
                  over |= __builtin_add_overflow(*sum, value, sum))
        return !over;
    }
    static inline void scan_sum128(__int128 *restrict sums, const uint32_t *restrict owners, int64_t rows,
                            const uint64_t *restrict words, const int64_t *restrict values) {
        SCAN_EACH(rows, words, i, if (values[i] != INT64_MIN) sums[owners[i]] += values[i])
    }
    /* Sums to 64 bits, INT64_MIN where they are beyond. */
    static inline void scan_narrow(const __int128 *restrict sums, int64_t count, int64_t *restrict out) {
        for (int64_t i = 0; i < count; i++)
            out[i] = sums[i] > INT64_MAX || sums[i] < -(__int128) INT64_MAX ? INT64_MIN
                                                                            : (int64_t) sums[i];
    }

    /* Takes what another thread has found to what this one has; both have `size` cells. */
    SCAN_CLONES static void scan_join_words(uint64_t *restrict bits, const uint64_t *restrict others,
                                            int64_t size) {
        for (int64_t i = 0; i < size; i++) bits[i] |= others[i];
    }
    SCAN_CLONES static void scan_join8(uint8_t *restrict counts, const uint8_t *restrict others,
                                       int64_t size) {
        for (int64_t i = 0; i < size; i++) {
            uint8_t sum = counts[i] + others[i];
            counts[i] = sum < others[i] ? 255 : sum;
        }
    }
    SCAN_CLONES static void scan_join32(uint32_t *restrict counts, const uint32_t *restrict others,
                                        int64_t size) {
        for (int64_t i = 0; i < size; i++) counts[i] += others[i];
    }
    /* Returns 0 where a sum does not fit. */
    SCAN_CLONES static int scan_join64(int64_t *restrict sums, const int64_t *restrict others,
                                       int64_t size) {
        int64_t over = 0;
        for (int64_t i = 0; i < size; i++) {
            int64_t sum = (int64_t) ((uint64_t) sums[i] + (uint64_t) others[i]);
            over |= (sums[i] ^ sum) & (others[i] ^ sum);
            sums[i] = sum;
        }
        return over >= 0;
    }
    static inline void scan_join128(__int128 *restrict sums, const __int128 *restrict others,
                                    int64_t size) {
        for (int64_t i = 0; i < size; i++) sums[i] += others[i];
    }
    """
    void scan_range_u8(const uint8_t* values, int64_t words, int64_t low, int64_t high, uint64_t* out) noexcept nogil
    void scan_range_u16(const uint16_t* values, int64_t words, int64_t low, int64_t high, uint64_t* out) noexcept nogil
    void scan_range_u32(const uint32_t* values, int64_t words, int64_t low, int64_t high, uint64_t* out) noexcept nogil
    void scan_range_i32(const int32_t* values, int64_t words, int64_t low, int64_t high, uint64_t* out) noexcept nogil
    void scan_range_i64(const int64_t* values, int64_t words, int64_t low, int64_t high, uint64_t* out) noexcept nogil
    void scan_table_u8(const uint8_t* values, int64_t words, const uint64_t* table, uint64_t low, uint64_t high, uint64_t* out) noexcept nogil
    void scan_table_u16(const uint16_t* values, int64_t words, const uint64_t* table, uint64_t low, uint64_t high, uint64_t* out) noexcept nogil
    void scan_table_u32(const uint32_t* values, int64_t words, const uint64_t* table, uint64_t low, uint64_t high, uint64_t* out) noexcept nogil
    void scan_mark(uint64_t* bits, const uint32_t* owners, int64_t rows, const uint64_t* words) noexcept nogil
    void scan_count8(uint8_t* counts, const uint32_t* owners, int64_t rows, const uint64_t* words) noexcept nogil
    void scan_count32(uint32_t* counts, const uint32_t* owners, int64_t rows, const uint64_t* words) noexcept nogil
    int scan_sum64(int64_t* sums, const uint32_t* owners, int64_t rows, const uint64_t* words, const int64_t* values) noexcept nogil
    void scan_sum128(void* sums, const uint32_t* owners, int64_t rows, const uint64_t* words, const int64_t* values) noexcept nogil
    void scan_narrow(const void* sums, int64_t count, int64_t* out) noexcept nogil
    void scan_join_words(uint64_t* bits, const uint64_t* others, int64_t size) noexcept nogil
    void scan_join8(uint8_t* counts, const uint8_t* others, int64_t size) noexcept nogil
    void scan_join32(uint32_t* counts, const uint32_t* others, int64_t size) noexcept nogil
    int scan_join64(int64_t* sums, const int64_t* others, int64_t size) noexcept nogil
    void scan_join128(void* sums, const void* others, int64_t size) noexcept nogil
