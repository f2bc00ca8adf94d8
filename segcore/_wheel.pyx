"""Timers in the order in which they fall due, whatever the order in which they are set.

Buckets of about a second, an hour and half a year, 4,096 of each, and one for what is beyond; a
timer goes into the finest that reaches it and is looked at again when it is the next. Then its
bucket is sorted into the run, or divided into finer ones where it is large. The first of all is the
least of three: the run, a heap of stragglers, and the nearest bucket. So the order never depends on
where a timer lies, and `floor_ms` bears on the cost alone.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #define WHEEL_RUN 12
    #define WHEEL_SPREAD 2048

    static inline int wheel_low(uint64_t bits) { return __builtin_ctzll(bits); }

    static void wheel_insert(wheel_timer *timers, int64_t count) {
        for (int64_t i = 1; i < count; i++) {
            wheel_timer moved = timers[i];
            int64_t place = i;
            for (; place > 0 && wheel_before(&moved, timers + place - 1); place--)
                timers[place] = timers[place - 1];
            timers[place] = moved;
        }
    }
    /* Merges two sorted rows; which is taken is no branch, since nobody could foretell it. */
    static void wheel_merge(const wheel_timer *left, int64_t left_count, const wheel_timer *right,
                            int64_t right_count, wheel_timer *out) {
        const wheel_timer *left_end = left + left_count, *right_end = right + right_count;
        while (left < left_end && right < right_end) {
            int later = wheel_before(right, left);
            *out++ = *(later ? right : left);
            right += later;
            left += !later;
        }
        memcpy(out, left, (char *) left_end - (char *) left);
        memcpy(out + (left_end - left), right, (char *) right_end - (char *) right);
    }
    static void wheel_merge_sort(wheel_timer *timers, int64_t count, wheel_timer *spare) {
        wheel_timer *from = timers, *to = spare;
        for (int64_t i = 0; i < count; i += WHEEL_RUN)
            wheel_insert(timers + i, count - i < WHEEL_RUN ? count - i : WHEEL_RUN);
        for (int64_t width = WHEEL_RUN; width < count; width *= 2) {
            for (int64_t i = 0; i < count; i += 2 * width) {
                int64_t left = count - i < width ? count - i : width;
                int64_t right = count - i - left < width ? count - i - left : width;
                wheel_merge(from + i, left, from + i + left, right, to + i);
            }
            wheel_timer *swapped = from; from = to; to = swapped;
        }
        if (from != timers) memcpy(timers, from, count * sizeof(wheel_timer));
    }
    /* Sorts by spreading over slots of time, as many as half the timers, each then by merging: what
       falls due together is as fast as what does not. Takes as much memory again for a while; -1
       where there is none. */
    static int wheel_sort(wheel_timer *timers, int64_t count) {
        int64_t slots = 1, least = timers[0].due_ms, most = least;
        uint32_t ends[WHEEL_SPREAD + 1];
        int shift = 0;
        if (count <= WHEEL_RUN) { wheel_insert(timers, count); return 0; }
        wheel_timer *spare = (wheel_timer *) malloc(count * sizeof(wheel_timer));
        if (!spare) return -1;
        for (int64_t i = 1; i < count; i++) {
            if (timers[i].due_ms < least) least = timers[i].due_ms;
            if (timers[i].due_ms > most) most = timers[i].due_ms;
        }
        while (slots < count / 2 && slots < WHEEL_SPREAD) slots *= 2;
        memset(ends, 0, (slots + 1) * sizeof(uint32_t));
        while (((uint64_t) most - (uint64_t) least) >> shift >= (uint64_t) slots) shift++;
        #define WHEEL_SLOT(i) (((uint64_t) timers[i].due_ms - (uint64_t) least) >> shift)
        for (int64_t i = 0; i < count; i++) ends[WHEEL_SLOT(i) + 1]++;
        for (int64_t slot = 0; slot < slots; slot++) ends[slot + 1] += ends[slot];
        for (int64_t i = 0; i < count; i++) spare[ends[WHEEL_SLOT(i)]++] = timers[i];
        memcpy(timers, spare, count * sizeof(wheel_timer));
        for (int64_t slot = 0, first = 0; slot < slots; first = ends[slot++])
            if (ends[slot] - first > 1)
                wheel_merge_sort(timers + first, ends[slot] - first, spare);
        free(spare);
        return 0;
    }
    """
    int wheel_low(uint64_t bits) noexcept nogil
    int wheel_sort(Timer* timers, int64_t count) noexcept nogil
    void wheel_merge(
        const Timer* left, int64_t left_count, const Timer* right, int64_t right_count, Timer* out
    ) noexcept nogil

cdef enum:
    LEVELS = 3
    LEVEL_BITS = 12
    SLOTS = 4096  # 2 ** LEVEL_BITS
    MARK_WORDS = 64  # of SLOTS bits
    FINE_BITS = 10  # 1,024 ms
    BEYOND = 12288  # LEVELS * SLOTS: the one bucket for what no level reaches
    RUN_LIMIT = 4096  # a bucket of more is divided, so that no one sort is long
    STRAGGLERS = 8  # a bucket this many times smaller than the run goes into the heap


@cython.final
cdef class Wheel:
    """Timers (due_ms, ordinal, node), least first; what was set twice comes twice.

    Who uses it moves `floor_ms` to the instant up to which all is done: timers that are set for
    later then cost a few steps each, and those for before it a heap.
    """

    def __cinit__(self):
        self.buckets = <Bucket*> calloc(BEYOND + 1, sizeof(Bucket))
        self.marks = <uint64_t*> calloc(LEVELS * MARK_WORDS, sizeof(uint64_t))
        self.nearest = -1
        if self.buckets == NULL or self.marks == NULL:
            raise MemoryError("no memory for a wheel")

    def __dealloc__(self):
        if self.buckets != NULL and self.marks != NULL:
            self.clear()
        free(self.buckets)
        free(self.marks)

    def __len__(self):
        return self.count

    def add(self, int64_t due_ms, uint32_t ordinal, uint32_t node):
        """Set a timer."""
        self.push(due_ms, ordinal, node)

    def peek(self):
        """Return the first timer as (due_ms, ordinal, node), None where there is none."""
        cdef Timer found
        return (found.due_ms, found.ordinal, found.node) if self.first(&found) else None

    def take(self):
        """Take out the first timer and return it, None where there is none."""
        cdef Timer found
        return (found.due_ms, found.ordinal, found.node) if self.pop(&found) else None

    cdef int push(self, int64_t due_ms, uint32_t ordinal, uint32_t node) except -1 nogil:
        """Set a timer."""
        cdef Timer timer
        timer.due_ms = due_ms
        timer.ordinal = ordinal
        timer.node = node
        if self.nearest < 0 or self.floor_ms >> FINE_BITS > self.base:
            self._move_base()
        self._place(timer)
        if self.count == 0 or due_ms < self.soonest_ms:
            self.soonest_ms = due_ms
        self.count += 1
        return 0

    cdef bint first(self, Timer* found) noexcept nogil:
        """Tell whether there is a timer, and write the first; O(1), and nothing moves."""
        cdef const Timer* ready = self._ready()
        cdef const Timer* least
        if self.nearest >= 0:
            least = self.buckets[self.nearest].entries
            if ready == NULL or wheel_before(least, ready):
                ready = least
        if ready == NULL:
            return False
        found[0] = ready[0]
        return True

    cdef int pop(self, Timer* found) except -1 nogil:
        """Take out the first timer and write it; 0 where there is none."""
        cdef const Timer* ready = self._ready()
        while self.nearest >= 0 and (
            ready == NULL or wheel_before(self.buckets[self.nearest].entries, ready)
        ):
            self._open()
            ready = self._ready()
        if ready == NULL:
            return 0
        found[0] = ready[0]
        self.count -= 1
        if ready == self.heap:
            self._pop_heap()
        else:
            self.run_head += 1
            if self.run_head == self.run_end:
                free(self.run)
                self.run = NULL
                self.run_head = self.run_end = self.run_capacity = 0
        self._see_soonest()
        return 1

    cdef void _see_soonest(self) noexcept nogil:
        """Note when the first timer falls due, if there is one."""
        cdef Timer first
        if self.first(&first):
            self.soonest_ms = first.due_ms

    cpdef void clear(self) noexcept nogil:
        """Forget all timers, and give the memory back."""
        cdef Py_ssize_t index
        for index in range(BEYOND + 1):
            free(self.buckets[index].entries)
        memset(self.buckets, 0, (BEYOND + 1) * sizeof(Bucket))
        memset(self.marks, 0, LEVELS * MARK_WORDS * sizeof(uint64_t))
        memset(self.summaries, 0, sizeof(self.summaries))
        free(self.run)
        free(self.heap)
        self.run = self.heap = NULL
        self.run_head = self.run_end = self.run_capacity = 0
        self.heap_size = self.heap_capacity = self.held = self.count = 0
        self.nearest = -1

    cpdef Py_ssize_t memory(self) noexcept nogil:
        """Return how many bytes the timers and what finds them take."""
        return (self.held + self.run_capacity + self.heap_capacity) * sizeof(Timer) + (
            (BEYOND + 1) * sizeof(Bucket) + LEVELS * MARK_WORDS * sizeof(uint64_t)
        )

    cdef inline const Timer* _ready(self) noexcept nogil:
        """Return the first timer of run and heap, or NULL."""
        if self.run_head == self.run_end:
            return self.heap if self.heap_size else NULL
        if self.heap_size and wheel_before(self.heap, self.run + self.run_head):
            return self.heap
        return self.run + self.run_head

    cdef void _move_base(self) noexcept nogil:
        """Let the levels begin at the floor, but not after a timer that lies in them."""
        cdef int64_t floor = max(self.floor_ms >> FINE_BITS, <int64_t> 0)
        if self.nearest >= 0:
            floor = min(floor, self.buckets[self.nearest].entries.due_ms >> FINE_BITS)
            if floor < self.base:
                return
        self.base = floor

    cdef int _place(self, Timer timer) except -1 nogil:
        """Put a timer where it belongs: the heap, or the finest bucket that reaches it."""
        cdef int64_t place = timer.due_ms >> FINE_BITS
        cdef int64_t base = self.base
        cdef Py_ssize_t level
        if place < base:
            return self._push_heap(timer)
        for level in range(LEVELS):
            if place - base < SLOTS:
                return self._append(level * SLOTS + (place & (SLOTS - 1)), timer)
            place >>= LEVEL_BITS
            base >>= LEVEL_BITS
        return self._append(BEYOND, timer)

    cdef int _append(self, Py_ssize_t index, Timer timer) except -1 nogil:
        cdef Bucket* bucket = &self.buckets[index]
        cdef Timer* moved
        cdef Py_ssize_t capacity
        cdef int level
        if bucket.count == bucket.capacity:
            capacity = max(4, bucket.capacity + (bucket.capacity + 1) // 2)
            moved = <Timer*> realloc(bucket.entries, capacity * sizeof(Timer))
            if moved == NULL:
                no_memory(capacity)
            self.held += capacity - bucket.capacity
            bucket.entries = moved
            bucket.capacity = <uint32_t> capacity
        if bucket.count == 0 and index < BEYOND:
            level = <int> (index // SLOTS)
            self.marks[index >> 6] |= (<uint64_t> 1) << (index & 63)
            self.summaries[level] |= (<uint64_t> 1) << ((index >> 6) & (MARK_WORDS - 1))
        if bucket.count and wheel_before(&timer, bucket.entries):
            bucket.entries[bucket.count] = bucket.entries[0]
            bucket.entries[0] = timer
        else:
            bucket.entries[bucket.count] = timer
        bucket.count += 1
        if self.nearest < 0 or wheel_before(&timer, self.buckets[self.nearest].entries):
            self.nearest = index
        return 0

    cdef int _open(self) except -1 nogil:
        """Take the nearest bucket: into the run, or where it is large into finer buckets."""
        cdef Py_ssize_t index = self.nearest
        cdef Bucket opened = self.buckets[index]
        cdef uint32_t place
        memset(&self.buckets[index], 0, sizeof(Bucket))
        self.held -= opened.capacity
        if index < BEYOND:
            self.marks[index >> 6] &= ~((<uint64_t> 1) << (index & 63))
            if self.marks[index >> 6] == 0:
                self.summaries[index // SLOTS] &= ~(
                    (<uint64_t> 1) << ((index >> 6) & (MARK_WORDS - 1))
                )
        if index < SLOTS or opened.count <= RUN_LIMIT:
            self._find_nearest()
            return self._join_run(&opened)
        # Its first is the least of all in buckets, so none of them lies before it.
        self.base = max(self.base, opened.entries.due_ms >> FINE_BITS)
        self._find_nearest()
        for place in range(opened.count):
            self._place(opened.entries[place])
        free(opened.entries)
        return 0

    cdef int _join_run(self, Bucket* opened) except -1 nogil:
        """Sort an opened bucket into the run; a small one into the heap, to leave the run alone."""
        cdef Py_ssize_t rest = self.run_end - self.run_head
        cdef Timer* merged
        cdef uint32_t place
        if <Py_ssize_t> opened.count * STRAGGLERS < rest:
            for place in range(opened.count):
                self._push_heap(opened.entries[place])
            free(opened.entries)
            return 0
        if wheel_sort(opened.entries, opened.count):
            no_memory(opened.count)
        if rest == 0:
            self.run = opened.entries
            self.run_capacity = opened.capacity
            self.run_end = opened.count
            return 0
        merged = <Timer*> malloc((rest + opened.count) * sizeof(Timer))
        if merged == NULL:
            no_memory(rest + opened.count)
        wheel_merge(self.run + self.run_head, rest, opened.entries, opened.count, merged)
        free(self.run)
        free(opened.entries)
        self.run = merged
        self.run_head = 0
        self.run_end = self.run_capacity = rest + opened.count
        return 0

    cdef Py_ssize_t _next_marked(self, int level) noexcept nogil:
        """Return the first bucket of a level, going round from the base; -1 where it has none."""
        cdef Py_ssize_t start = (self.base >> (LEVEL_BITS * level)) & (SLOTS - 1)
        cdef Py_ssize_t word = start >> 6
        cdef uint64_t* marks = self.marks + level * MARK_WORDS
        cdef uint64_t later = self.summaries[level] & (((~<uint64_t> 0) << word) << 1)
        cdef uint64_t bits = marks[word] & ((~<uint64_t> 0) << (start & 63))
        if not self.summaries[level]:
            return -1
        if not bits:
            word = wheel_low(later if later else self.summaries[level])
            bits = marks[word]
        return level * SLOTS + word * 64 + wheel_low(bits)

    cdef void _find_nearest(self) noexcept nogil:
        """Find the bucket with the least timer: the first of one of the levels."""
        cdef Py_ssize_t index
        cdef int level
        self.nearest = BEYOND if self.buckets[BEYOND].count else -1
        for level in range(LEVELS):
            index = self._next_marked(level)
            if index >= 0 and (
                self.nearest < 0
                or wheel_before(self.buckets[index].entries, self.buckets[self.nearest].entries)
            ):
                self.nearest = index

    cdef int _push_heap(self, Timer timer) except -1 nogil:
        cdef Py_ssize_t place = self.heap_size
        cdef Py_ssize_t parent, capacity
        cdef Timer* moved
        if place == self.heap_capacity:
            capacity = max(16, self.heap_capacity * 2)
            moved = <Timer*> realloc(self.heap, capacity * sizeof(Timer))
            if moved == NULL:
                no_memory(capacity)
            self.heap = moved
            self.heap_capacity = capacity
        self.heap_size += 1
        while place > 0:
            parent = (place - 1) // 2
            if not wheel_before(&timer, &self.heap[parent]):
                break
            self.heap[place] = self.heap[parent]
            place = parent
        self.heap[place] = timer
        return 0

    cdef void _pop_heap(self) noexcept nogil:
        """Take out the first timer of the heap, which has one; give memory back by halves."""
        cdef Py_ssize_t place = 0
        cdef Py_ssize_t child
        cdef Timer last
        cdef Timer* moved
        self.heap_size -= 1
        last = self.heap[self.heap_size]
        while True:
            child = 2 * place + 1
            if child >= self.heap_size:
                break
            if child + 1 < self.heap_size:
                child += wheel_before(&self.heap[child + 1], &self.heap[child])
            if not wheel_before(&self.heap[child], &last):
                break
            self.heap[place] = self.heap[child]
            place = child
        self.heap[place] = last
        if self.heap_capacity > 64 and self.heap_size < self.heap_capacity // 4:
            moved = <Timer*> realloc(self.heap, (self.heap_capacity // 2) * sizeof(Timer))
            if moved != NULL:
                self.heap = moved
                self.heap_capacity //= 2


cdef int no_memory(Py_ssize_t capacity) except -1 nogil:
    with gil:
        raise MemoryError(f"no memory for {capacity} timers")
