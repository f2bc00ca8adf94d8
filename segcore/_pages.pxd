"""Large blocks of memory that grow without being copied, in large pages where there are any."""

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #ifndef MREMAP_MAYMOVE
    #define MREMAP_MAYMOVE 1
    extern void *mremap(void *, size_t, size_t, int, ...);
    #endif
    #define PAGES_MAPPED ((size_t) 1 << 20)
    /* With large pages a find at random misses the cache and not the page table too, and what
       grows row by row asks the system for memory seldom. */
    static inline void *pages_advised(void *block, size_t size) {
        if (block == MAP_FAILED) return NULL;
    #ifdef MADV_HUGEPAGE
        madvise(block, size, MADV_HUGEPAGE);
    #endif
        return block;
    }
    static inline void *pages_take(size_t size) {
        if (size < PAGES_MAPPED) return calloc(size, 1);
        return pages_advised(mmap(NULL, size, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
    }
    static inline void pages_give(void *block, size_t size) {
        if (size < PAGES_MAPPED) free(block); else if (block) munmap(block, size);
    }
    /* NULL where the block has to be copied, or there is no memory. */
    static inline void *pages_extend(void *block, size_t old, size_t size) {
        if (old < PAGES_MAPPED) return NULL;
        return pages_advised(mremap(block, old, size, MREMAP_MAYMOVE), size);
    }
    /* What is new is not zeroed; NULL where there is no memory, and the block stays. */
    static inline void *pages_grow(void *block, size_t old, size_t size) {
        if (size < PAGES_MAPPED) return realloc(block, size);
        if (old >= PAGES_MAPPED) return pages_extend(block, old, size);
        void *moved = pages_take(size);
        if (moved && old) memcpy(moved, block, old);
        if (moved) free(block);
        return moved;
    }
    #else
    static inline void *pages_take(size_t size) { return calloc(size, 1); }
    static inline void pages_give(void *block, size_t size) { (void) size; free(block); }
    static inline void *pages_extend(void *block, size_t old, size_t size) {
        (void) block; (void) old; (void) size; return NULL;
    }
    static inline void *pages_grow(void *block, size_t old, size_t size) {
        (void) old; return realloc(block, size);
    }
    #endif
    """
    void* pages_take(size_t size) noexcept nogil
    void pages_give(void* block, size_t size) noexcept nogil
    void* pages_extend(void* block, size_t old, size_t size) noexcept nogil
    void* pages_grow(void* block, size_t old, size_t size) noexcept nogil
