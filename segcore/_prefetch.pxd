"""Asks for memory ahead of its use."""

cdef extern from *:
    """
    #ifndef COTERIE_PREFETCH
    #define COTERIE_PREFETCH
    static inline void coterie_prefetch(const void *place) {
        __builtin_prefetch(place, 1);
        /* GCC takes a function that only prefetches for one without effect, and drops its calls. */
        __asm__ volatile ("");
    }
    #endif
    """
    void prefetch "coterie_prefetch" (const void* place) noexcept nogil
