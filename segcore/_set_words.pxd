"""What is done to one chunk of a set: 1,024 words, or a sorted array of 16-bit numbers."""

from libc.stdint cimport int32_t, uint16_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
    #define SETS_CLONES __attribute__((target_clones( \\
        "arch=x86-64-v4", "arch=x86-64-v3", "default")))
    #define SETS_WIDE __attribute__((target("arch=icelake-server,prefer-vector-width=512")))
    #define SETS_IS_WIDE __builtin_cpu_supports("avx512vpopcntdq")
    #else
    #define SETS_CLONES
    #define SETS_WIDE
    #define SETS_IS_WIDE 0
    #endif
    #define SETS_WORDS 1024
    #define SETS_MERGE_MOST 256

    /* Clones do not tell processors that count the bits of vectors from others: this does. */
    #define SETS_COUNTED(name, clones, expression)                                                \\
        clones static int32_t name(const uint64_t *restrict a, const uint64_t *restrict b,        \\
                                   uint64_t *restrict out) {                                      \\
            uint64_t count = 0;                                                                   \\
            for (int i = 0; i < SETS_WORDS; i++) {                                                \\
                uint64_t word = expression;                                                       \\
                out[i] = word;                                                                    \\
                count += (uint64_t) __builtin_popcountll(word);                                   \\
            }                                                                                     \\
            return (int32_t) count;                                                               \\
        }
    #define SETS_OPERATION(name, expression)                                                      \\
        SETS_CLONES static void sets_##name(const uint64_t *restrict a,                           \\
                                            const uint64_t *restrict b, uint64_t *restrict out) { \\
            for (int i = 0; i < SETS_WORDS; i++) out[i] = expression;                             \\
        }                                                                                         \\
        SETS_COUNTED(sets_##name##_counted_wide, SETS_WIDE, expression)                           \\
        SETS_COUNTED(sets_##name##_counted_plain, SETS_CLONES, expression)                        \\
        static inline int32_t sets_##name##_counted(const uint64_t *a, const uint64_t *b,         \\
                                                    uint64_t *out) {                              \\
            return SETS_IS_WIDE ? sets_##name##_counted_wide(a, b, out)                           \\
                                : sets_##name##_counted_plain(a, b, out);                         \\
        }
    SETS_OPERATION(and, a[i] & b[i])
    SETS_OPERATION(or, a[i] | b[i])
    SETS_OPERATION(andnot, a[i] & ~b[i])

    #define SETS_COMMON(name, clones)                                                             \\
        clones static int32_t name(const uint64_t *a, const uint64_t *b) {                        \\
            uint64_t count = 0;                                                                   \\
            for (int i = 0; i < SETS_WORDS; i++)                                                  \\
                count += (uint64_t) __builtin_popcountll(a[i] & b[i]);                            \\
            return (int32_t) count;                                                               \\
        }
    SETS_COMMON(sets_common_wide, SETS_WIDE)
    SETS_COMMON(sets_common_plain, SETS_CLONES)
    static inline int32_t sets_common(const uint64_t *a, const uint64_t *b) {
        return SETS_IS_WIDE ? sets_common_wide(a, b) : sets_common_plain(a, b);
    }

    static int32_t sets_filter(const uint16_t *restrict a, int32_t count,
                               const uint64_t *restrict words, uint64_t wanted,
                               uint16_t *restrict out) {
        int32_t kept = 0;
        for (int32_t i = 0; i < count; i++) {
            out[kept] = a[i];
            kept += ((words[a[i] >> 6] >> (a[i] & 63)) & 1) == wanted;
        }
        return kept;
    }
    static int32_t sets_hits(const uint16_t *restrict a, int32_t count,
                             const uint64_t *restrict words) {
        uint32_t found = 0;
        for (int32_t i = 0; i < count; i++) found += (words[a[i] >> 6] >> (a[i] & 63)) & 1;
        return (int32_t) found;
    }
    static int32_t sets_add(uint64_t *restrict words, const uint16_t *restrict a, int32_t count) {
        uint64_t added = 0;
        for (int32_t i = 0; i < count; i++) {
            uint64_t word = words[a[i] >> 6], bit = a[i] & 63;
            added += ~(word >> bit) & 1;
            words[a[i] >> 6] = word | 1ull << bit;
        }
        return (int32_t) added;
    }
    static int32_t sets_remove(uint64_t *restrict words, const uint16_t *restrict a,
                               int32_t count) {
        uint64_t removed = 0;
        for (int32_t i = 0; i < count; i++) {
            uint64_t word = words[a[i] >> 6], bit = a[i] & 63;
            removed += (word >> bit) & 1;
            words[a[i] >> 6] = word & ~(1ull << bit);
        }
        return (int32_t) removed;
    }
    /* Which words hold anything: so that few bits are found without a guess a word. */
    SETS_CLONES static void sets_used(const uint64_t *restrict words, uint8_t *restrict used) {
        for (int i = 0; i < SETS_WORDS; i++) used[i] = words[i] != 0;
    }
    static inline int32_t sets_list(const uint64_t *words, uint16_t *out) {
        uint64_t used[SETS_WORDS / 8];
        int32_t count = 0;
        sets_used(words, (uint8_t *) used);
        for (uint32_t i = 0; i < SETS_WORDS / 8; i++)
            for (; used[i]; used[i] &= used[i] - 1) {
                uint32_t place = i << 3 | (uint32_t) __builtin_ctzll(used[i]) >> 3;
                for (uint64_t word = words[place]; word; word &= word - 1)
                    out[count++] = (uint16_t) (place << 6 | (uint32_t) __builtin_ctzll(word));
            }
        return count;
    }
    static inline int sets_twice(const uint16_t *ordered, int32_t count) {
        uint16_t twice = 0;
        for (int32_t i = 1; i < count; i++) twice |= ordered[i] == ordered[i - 1];
        return twice;
    }
    /* How many of `a` are among the first `wanted` of both merged; of equals, those of `a` first. */
    static inline int32_t sets_share(const uint16_t *a, int32_t a_count, const uint16_t *b,
                                     int32_t b_count, int32_t wanted) {
        int32_t low = wanted > b_count ? wanted - b_count : 0;
        int32_t high = wanted < a_count ? wanted : a_count;
        while (low < high) {
            int32_t middle = (low + high) / 2;
            int among = a[middle] <= b[wanted - middle - 1];
            low = among ? middle + 1 : low;
            high = among ? high : middle;
        }
        return low;
    }
    /* Copies values behind a guard at each end; returns where the next ones go. */
    static inline uint16_t *sets_guard(uint16_t *to, const uint16_t *values, int32_t count) {
        to[0] = 0;
        memcpy(to + 1, values, (size_t) count * 2);
        to[count + 1] = 0xFFFF;
        return to + count + 2;
    }
    #define SETS_RISE(x, y, place) { \
        uint16_t one = *x, other = *y; \
        both[place] = one <= other ? one : other; \
        x += one <= other, y += one > other; }
    #define SETS_FALL(x, y, place) { \
        uint16_t one = *x, other = *y; \
        both[place] = one > other ? one : other; \
        x -= one > other, y -= one <= other; }
    /* Four merges at once, from each end of each half, meet in the middles: neither guesses, and a
       guard at each end spares them the look for it. Of halves of two values and more the shorter
       may go a step too far: it writes what the other has written. What is in both sets comes
       twice, and is taken out after. Neither set is empty. */
    static int32_t sets_merge(const uint16_t *restrict a, int32_t a_count,
                              const uint16_t *restrict b, int32_t b_count,
                              uint16_t *restrict out) {
        uint16_t left[SETS_MERGE_MOST + 4], right[SETS_MERGE_MOST + 4];
        uint16_t both[SETS_MERGE_MOST];
        int32_t total = a_count + b_count, half = total / 2, count = 1;
        int32_t i = sets_share(a, a_count, b, b_count, half), j = half - i;
        uint16_t *left_next = sets_guard(left, a, i), *right_next = sets_guard(right, b, j);
        const uint16_t *p = left + 1, *q = right + 1, *r = left + i, *s = right + j;
        const uint16_t *t = left_next + 1, *u = right_next + 1;
        const uint16_t *v = left_next + a_count - i, *w = right_next + b_count - j;
        sets_guard(left_next, a + i, a_count - i);
        sets_guard(right_next, b + j, b_count - j);
        for (int32_t at = 0; at < (total - half + 1) / 2; at++) {
            SETS_RISE(p, q, at)
            SETS_FALL(r, s, half - 1 - at)
            SETS_RISE(t, u, half + at)
            SETS_FALL(v, w, total - 1 - at)
        }
        if (!sets_twice(both, total)) {
            memcpy(out, both, (size_t) total * 2);
            return total;
        }
        out[0] = both[0];
        for (int32_t at = 1; at < total; at++) {
            out[count] = both[at];
            count += both[at] != both[at - 1];
        }
        return count;
    }
    /* Thirty-two of `a` at a time against those of `b` in their range, one by one. */
    typedef uint16_t sets_lane __attribute__((vector_size(64)));
    #define SETS_LANES 32
    static const sets_lane sets_places = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                          11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                          22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

    #define SETS_STEP 8

    static inline int sets_any(const sets_lane *lane) {
        uint64_t parts[8], any = 0;
        memcpy(parts, lane, sizeof parts);
        for (int i = 0; i < 8; i++) any |= parts[i];
        return any != 0;
    }
    /* Returns how many of `a` are in `b`; with `out` it writes those that are, or are not. What `a`
       lies in may be read to the end of its last 64 bytes. */
    SETS_CLONES static int32_t sets_meet(const uint16_t *a, int32_t a_count, const uint16_t *b,
                                         int32_t b_count, int wanted, uint16_t *out) {
        sets_lane total = {0};
        uint16_t lanes[SETS_LANES];
        int32_t j = 0, kept = 0;
        uint32_t sum = 0;
        for (int32_t i = 0; i < a_count; i += SETS_LANES) {
            sets_lane left = {0}, found = {0};
            int32_t count = a_count - i;
            memcpy(&left, a + i, sizeof left);
            if (count > SETS_LANES) count = SETS_LANES;
            uint16_t last = a[i + count - 1];
            for (; j + SETS_STEP <= b_count && b[j] <= last; j += SETS_STEP)
                for (int k = 0; k < SETS_STEP; k++) found |= (sets_lane) (left == b[j + k]);
            for (int32_t k = j; k < b_count && b[k] <= last; k++)
                found |= (sets_lane) (left == b[k]);
            while (j && b[j - 1] > last) j--; /* the last step may have gone beyond this block */
            found &= (sets_lane) (sets_places < (uint16_t) count);
            total -= found;
            if (!out || (wanted && !sets_any(&found))) continue;
            memcpy(lanes, &found, sizeof lanes);
            for (int32_t k = 0; k < count; k++) {
                out[kept] = a[i + k];
                kept += (lanes[k] != 0) == wanted;
            }
        }
        if (out) return kept;
        memcpy(lanes, &total, sizeof lanes);
        for (int k = 0; k < SETS_LANES; k++) sum += lanes[k];
        return (int32_t) sum;
    }
    """
    void sets_and(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    void sets_or(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    void sets_andnot(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    int32_t sets_and_counted(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    int32_t sets_or_counted(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    int32_t sets_andnot_counted(const uint64_t* a, const uint64_t* b, uint64_t* out) noexcept nogil
    int32_t sets_common(const uint64_t* a, const uint64_t* b) noexcept nogil
    int32_t sets_filter(
        const uint16_t* a, int32_t count, const uint64_t* words, uint64_t wanted, uint16_t* out
    ) noexcept nogil
    int32_t sets_hits(const uint16_t* a, int32_t count, const uint64_t* words) noexcept nogil
    int32_t sets_add(uint64_t* words, const uint16_t* a, int32_t count) noexcept nogil
    int32_t sets_remove(uint64_t* words, const uint16_t* a, int32_t count) noexcept nogil
    int32_t sets_list(const uint64_t* words, uint16_t* out) noexcept nogil
    int32_t sets_merge(
        const uint16_t* a, int32_t a_count, const uint16_t* b, int32_t b_count, uint16_t* out
    ) noexcept nogil
    int32_t sets_meet(
        const uint16_t* a, int32_t a_count, const uint16_t* b, int32_t b_count, int wanted,
        uint16_t* out
    ) noexcept nogil
    int sets_popcount "__builtin_popcountll" (uint64_t word) noexcept nogil
    int sets_lowest "__builtin_ctzll" (uint64_t word) noexcept nogil
