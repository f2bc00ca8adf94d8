"""What is known of each item now, by the text id of its SKU: open addressing, at most half full.

A line of an event that lacks category, brand or price gets those of this table when it comes in.
"""

from libc.math cimport llrint
from libc.stdlib cimport calloc, free

from segcore._program cimport MISSING

from segcore.rule import NUMBER_LIMIT


cdef class Catalog:
    """The items of one partition. `texts` are those of its engine, after it was loaded."""

    def __cinit__(self, Texts texts not None):
        self.texts = texts
        self.mask = 0
        self._grow()
        self.sku_name = texts.intern("sku")
        self.category_name = texts.intern("category")
        self.brand_name = texts.intern("brand")
        self.price_name = texts.intern("price")
        self.empty = texts.intern("")

    def __dealloc__(self):
        free(self.entries)

    def __len__(self):
        return self.count

    def put(self, str sku, str category, str brand, price):
        """Keep what is known of a SKU from now on; empty texts and None are not known.

        Raises ValueError for a price beyond NUMBER_LIMIT.
        """
        cdef CatalogEntry* entry
        cdef uint32_t sku_id = self.texts.intern(sku)
        cdef uint32_t category_id = self.texts.intern(category) if category else 0
        cdef uint32_t brand_id = self.texts.intern(brand) if brand else 0
        cdef int64_t micro = MISSING
        if price is not None:
            if not -NUMBER_LIMIT <= price <= NUMBER_LIMIT:
                raise ValueError(f"price: expected a number within {NUMBER_LIMIT}, found {price!r}")
            micro = llrint(<double> price * 1e6)
        entry = self.find(sku_id)
        if not entry.sku:
            if <uint64_t> (self.count + 1) * 2 > self.mask:
                self._grow()
                entry = self.find(sku_id)
            self.count += 1
        entry[0] = CatalogEntry(sku_id, category_id, brand_id, micro)

    cdef int _grow(self) except -1:
        """Lay the table out anew with twice the places."""
        cdef CatalogEntry* former = self.entries
        cdef uint64_t former_places = self.mask + 1 if former != NULL else 0
        cdef uint64_t places = former_places * 2 if former_places else 64
        cdef CatalogEntry* entries = <CatalogEntry*> calloc(places, sizeof(CatalogEntry))
        cdef uint64_t place
        if entries == NULL:
            raise MemoryError(f"no memory for a catalog of {places} places")
        self.entries = entries
        self.mask = places - 1
        for place in range(former_places):
            if former[place].sku:
                self.find(former[place].sku)[0] = former[place]
        free(former)
        return 0
