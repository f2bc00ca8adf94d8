"""A histogram of microseconds in logarithmic buckets: any percentile within one part in 128.

Only buckets that hold something take room, so that each second of a run can have one of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

PRECISION_BITS = 7
"""Each power of two is cut into 128 buckets; below 256 every value has its own."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def bucket_of(value: int) -> int:
    """Return the number of the bucket that holds a value from 0 on; it ascends with the value."""
    shift = max(value.bit_length() - PRECISION_BITS - 1, 0)
    return (shift << PRECISION_BITS) + (value >> shift)


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the least and the greatest value of a bucket."""
    shift = max((bucket >> PRECISION_BITS) - 1, 0)
    least = bucket - (shift << PRECISION_BITS) << shift
    return least, least + (1 << shift) - 1


class Histogram:
    """Counts values from 0 on; negative ones count as 0."""

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self._counts: Counter[int] = Counter(dict(buckets))
        self.count = self._counts.total()
        self.total = 0
        self.greatest = bounds_of(max(self._counts))[1] if self._counts else 0

    def add(self, value: int) -> None:
        """Count one value."""
        value = max(value, 0)
        self._counts[bucket_of(value)] += 1
        self.count += 1
        self.total += value
        self.greatest = max(self.greatest, value)

    def include(self, other: Histogram) -> None:
        """Count all that another counted."""
        self._counts.update(other._counts)
        self.count += other.count
        self.total += other.total
        self.greatest = max(self.greatest, other.greatest)

    def percentile(self, percent: float) -> int:
        """Return the value that so many percent do not pass, rounded up to its bucket's greatest.

        Never more than the greatest value counted; 0 where nothing was.
        """
        wanted = max(1, -int(-self.count * percent // 100))
        seen = 0
        for bucket, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(bounds_of(bucket)[1], self.greatest)
        return self.greatest

    def mean(self) -> float:
        """Return the mean, 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Yield the buckets that hold something, ascending, each with its count."""
        yield from sorted(self._counts.items())
