"""What is known of each item now, by the text id of its SKU."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._texts cimport Texts


cdef struct CatalogEntry:
    uint32_t sku            # 0: no entry
    uint32_t category       # 0 is missing
    uint32_t brand
    int64_t price           # MISSING is missing


cdef class Catalog:
    cdef readonly Texts texts
    cdef CatalogEntry* entries
    cdef uint64_t mask
    cdef Py_ssize_t count
    cdef readonly uint32_t sku_name         # the ids of the properties that make a bare line
    cdef readonly uint32_t category_name
    cdef readonly uint32_t brand_name
    cdef readonly uint32_t price_name
    cdef readonly uint32_t empty            # the id of the empty text
    cdef int _grow(self) except -1

    cdef inline CatalogEntry* find(self, uint32_t sku) noexcept nogil:
        """Return the place of a SKU: its entry, or an empty one."""
        cdef uint64_t place = (sku * <uint64_t> 0x9E3779B97F4A7C15ULL) >> 32 & self.mask
        while self.entries[place].sku and self.entries[place].sku != sku:
            place = (place + 1) & self.mask
        return &self.entries[place]
