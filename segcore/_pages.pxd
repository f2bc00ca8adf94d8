"""Large blocks of memory that grow without being copied; in large pages what is read at random."""

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__)
    #include <stdint.h>
    #include <sys/mman.h>
    #ifndef MREMAP_MAYMOVE
    #define MREMAP_MAYMOVE 1
    #define MREMAP_FIXED 2
    extern void *mremap(void *, size_t, size_t, int, ...);
    #endif
    #define PAGES_MAPPED ((size_t) 1 << 20)
    #define PAGES_LARGE ((size_t) 2 << 20)
    /* Blocks of some large pages consist of such alone: they begin and end on the bounds of one.
       A block that did not would lose them whenever it is moved. */
    static inline size_t pages_whole(size_t size) {
        return size < 2 * PAGES_LARGE ? size : (size + PAGES_LARGE - 1) & ~(PAGES_LARGE - 1);
    }
    static inline void *pages_map(size_t size, int access) {
        size_t spare = size < 2 * PAGES_LARGE ? 0 : PAGES_LARGE;
        char *found = (char *) mmap(NULL, size + spare, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if ((void *) found == MAP_FAILED || !spare) return found;
        size_t before = -(uintptr_t) found & (PAGES_LARGE - 1);
        if (before) munmap(found, before);
        if (before < spare) munmap(found + before + size, spare - before);
        return found + before;
    }
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
        size = pages_whole(size);
        return pages_advised(pages_map(size, PROT_READ | PROT_WRITE), size);
    }
    static inline void pages_give(void *block, size_t size) {
        if (size < PAGES_MAPPED) free(block); else if (block) munmap(block, pages_whole(size));
    }
    static inline void *pages_move(void *block, size_t old, size_t size) {
        old = pages_whole(old);
        size = pages_whole(size);
        int is_off = size >= 2 * PAGES_LARGE && ((uintptr_t) block & (PAGES_LARGE - 1)) != 0;
        void *moved = is_off ? MAP_FAILED : mremap(block, old, size, 0);
        if (moved == MAP_FAILED) {
            void *place = pages_map(size, PROT_NONE);
            if (place == MAP_FAILED) return place;
            moved = mremap(block, old, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
            if (moved == MAP_FAILED) munmap(place, size);
        }
        return moved;
    }
    /* NULL where the block has to be copied, or there is no memory. */
    static inline void *pages_extend(void *block, size_t old, size_t size) {
        if (old < PAGES_MAPPED) return NULL;
        return pages_advised(pages_move(block, old, size), pages_whole(size));
    }
    /* For what is read in order: pages as the system has them. What is new is not zeroed; NULL
       where there is no memory, and the block stays. */
    static inline void *pages_grow(void *block, size_t old, size_t size) {
        if (size < PAGES_MAPPED) return realloc(block, size);
        void *moved = old < PAGES_MAPPED ? pages_map(pages_whole(size), PROT_READ | PROT_WRITE)
                                         : pages_move(block, old, size);
        if (moved == MAP_FAILED) return NULL;
        if (old < PAGES_MAPPED) {
            if (old) memcpy(moved, block, old);
            free(block);
        }
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
