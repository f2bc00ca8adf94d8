"""Files as rows of text cells, a few at a time: CSV, plain or gzipped, and Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from services.host.replay.source import Rejections, SourceError

BATCH_ROWS = 10_000
"""Rows of a Parquet file that are in memory at once."""
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
MAX_CELL = min(sys.maxsize, 2**31 - 1)


class Row(NamedTuple):
    """One row. `line` is its line in a CSV file, its number in a Parquet file."""

    line: int
    cells: Sequence[str]


class Table(Protocol):
    """A file that was opened. What is no row is counted in `rejections`, and passed over."""

    @property
    def header(self) -> Sequence[str]:
        """Return the names of the columns."""

    def rows(self, rejections: Rejections) -> Iterator[Row]:
        """Yield the rows from the start; raises SourceError where the file itself is broken."""


def open_table(path: Path, delimiter: str) -> Table:
    """Return the table of a file, by the ending of its name; raises SourceError."""
    name = path.name.lower()
    if not path.is_file():
        raise SourceError(
            f"{path}: expected a file, found {'a directory' if path.is_dir() else 'nothing'}"
        )
    if name.endswith(CSV_ENDINGS):
        return CsvTable(path, delimiter)
    if name.endswith(PARQUET_ENDINGS):
        return ParquetTable(path)
    endings = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS))
    raise SourceError(f"{path}: expected a name that ends with one of {endings}")


class CsvTable:
    """A CSV file in UTF-8 whose first line names the columns."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._path = path
        self._delimiter = delimiter
        with self._open() as file:
            self._header: list[str] = next(self._reader(file), [])
        if not any(self._header):
            raise SourceError(f"{path}:1: expected the names of the columns, found nothing")

    @property
    def header(self) -> Sequence[str]:
        """Return the names of the columns."""
        return self._header

    def rows(self, rejections: Rejections) -> Iterator[Row]:
        """Yield the rows; one of another length than the header is rejected."""
        line = 1
        try:
            with self._open() as file:
                reader = self._reader(file)
                next(reader)
                line = reader.line_num
                for cells in _tolerant(reader, rejections):
                    if len(cells) == len(self._header):
                        yield Row(line + 1, cells)
                    elif cells:
                        rejections.add(f"expected {len(self._header)} cells", line + 1)
                    line = reader.line_num
        except (OSError, EOFError, zlib.error) as error:
            raise SourceError(f"{self._path}:{line}: the file breaks off here: {error}") from None

    def _open(self) -> IO[str]:
        # A byte that is no UTF-8 spoils its row, not the file: it becomes a surrogate, which no
        # event can hold.
        gzipped = self._path.name.lower().endswith(".gz")
        # The text file that is returned closes it.
        binary = gzip.open(self._path) if gzipped else self._path.open("rb")  # noqa: SIM115
        return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def _reader(self, file: IO[str]) -> Any:
        csv.field_size_limit(MAX_CELL)
        return csv.reader(file, delimiter=self._delimiter)


def _tolerant(reader: Any, rejections: Rejections) -> Iterator[list[str]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rejections.add(f"no CSV: {error}", reader.line_num)


class ParquetTable:
    """A Parquet file; its values become the text that a CSV file would hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra: nothing but Parquet needs it
            import pyarrow.parquet as pq  # noqa: PLC0415 - the same
        except ImportError:
            raise SourceError(
                f"{path}: a Parquet file needs pyarrow: pip install 'coterie[files]'"
            ) from None
        self._arrow = pa
        try:
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{path}: no Parquet file: {error}") from None

    @property
    def header(self) -> Sequence[str]:
        """Return the names of the columns."""
        return list(self._file.schema_arrow.names)

    def rows(self, rejections: Rejections) -> Iterator[Row]:  # noqa: ARG002 - Parquet has no broken rows
        """Yield the rows."""
        line = 0
        try:
            for batch in self._file.iter_batches(batch_size=BATCH_ROWS):
                columns = [self._texts(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    line += 1
                    yield Row(line, cells)
        except (OSError, self._arrow.ArrowException) as error:
            raise SourceError(f"{self._path}: the file breaks after row {line}: {error}") from None

    def _texts(self, column: Any) -> list[str]:
        kind = self._arrow.types
        if kind.is_timestamp(column.type):
            column = column.cast(self._arrow.timestamp("ms", column.type.tz), safe=False)
        return [_text(value) for value in column.to_pylist()]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dt.datetime() | dt.date():
            return value.isoformat()
        case _:
            return str(value)
