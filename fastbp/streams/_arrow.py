"""Pieces of Parquet files, Arrow files, Tables and Datasets: row groups and record batches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from .. import _names, _pyarrow
from .._checks import wrong
from ._columns import Columns, Selection
from ._pieces import Chunk

Kind = TypeVar("Kind", bound="ByName")

Names = Selection  # its name in older pickles


class ByName:
    """Pieces of files or tables whose columns have names.

    Attributes
    ----------
    asked : the columns that the user asked for
    columns : the columns of the first file
    refusal : the error for a later file that cannot be read with these columns
    """

    asked: Selection
    columns: Columns
    refusal: ValueError | TypeError | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "asked" in state:
            vars(self).update(state)
        elif "places" in state:  # an old pickle, which did not compare files: compare them now
            paths = list(dict.fromkeys(path for path, _ in state["places"]))
            self.__init__(paths, state["names"], state["chunk"])  # type: ignore[misc]
        else:
            old = state["columns"]
            self.__init__(state["table"], Selection(old.target, old.features, old.weight), state["chunk"])  # type: ignore[misc]

    def check(self) -> None:
        """Raise the stored error, if there is one, before anything is read."""
        if self.refusal is not None:
            raise self.refusal

    def compare(self, schema: Any, path: str, *, is_first: bool) -> None:
        """Check the columns of the first file now. Compare those of later files with it, and store an error."""
        if is_first:
            self.columns = self.asked.within(schema, path)
            return
        try:
            self.asked.within(schema, path, self.columns)
        except (ValueError, TypeError) as error:
            self.refusal = self.refusal or error

    @property
    def names(self) -> _names.Names:
        """Names of the columns of X, and of y if there are several."""
        target = self.columns.target
        labels, targets = (
            [label for name in names for label in self.columns.labels(name)]
            for names in (self.columns.features, () if isinstance(target, str) else target)
        )
        return _names.Names(tuple(labels), tuple(targets) if len(targets) > 1 else None)

    def ordered(self: Kind, labels: Sequence[str]) -> Kind:
        """Return the pieces with the features in the order of these labels, unless the user chose an order."""
        columns = self.columns if self.asked.features else self.columns.ordered(labels)
        if columns == self.columns:
            return self
        pieces = copy.copy(self)
        pieces.columns = columns
        return pieces


class RowGroups(ByName):
    """The row groups of Parquet files.

    Parameters
    ----------
    paths : paths of the files
    asked : the columns that the user asked for
    chunk : number of rows that are decoded at a time
    """

    def __init__(self, paths: list[str], asked: Selection, chunk: int) -> None:
        self.chunk, self.asked, self.rows = chunk, asked, 0
        self.places: list[tuple[str, int]] = []
        for path in paths:
            with _pyarrow.open_parquet(path) as file:
                self.compare(file.schema_arrow, path, is_first=path is paths[0])
                self.places += [(path, group) for group in range(file.metadata.num_row_groups)]
                self.rows += file.metadata.num_rows
        if not self.rows:
            raise ValueError(wrong("paths", "at least one row", "none"))

    def __len__(self) -> int:
        return len(self.places)

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        path, group = self.places[i]
        with _pyarrow.open_parquet(path) as file:
            columns = self.asked.within(file.schema_arrow, path, self.columns)
            # Use only this thread, because the others train.
            batches = file.iter_batches(self.chunk, row_groups=[group], columns=columns.names, use_threads=False)
            for k, batch in enumerate(batches):
                yield columns.chunk(batch, f", row group {group}, rows from {k * self.chunk} on")


def batches_of(source: Any, asked: Selection, chunk: int) -> BatchesOfFiles | BatchesOfTable:
    """Return the pieces of Arrow files, of a Table or of a Dataset."""
    _pyarrow.require_pyarrow()
    if isinstance(source, list):
        return BatchesOfFiles(source, asked, chunk)
    return BatchesOfTable(source, asked, chunk)


class BatchesOfFiles(ByName):
    """The record batches of Arrow files. A file in the streaming format is one piece.

    Parameters
    ----------
    paths : paths of the files
    asked : the columns that the user asked for
    chunk : number of rows that are converted at a time
    """

    rows = None  # the files don't store it

    def __init__(self, paths: list[str], asked: Selection, chunk: int) -> None:
        self.chunk, self.asked = chunk, asked
        self.places: list[tuple[str, int | None]] = []
        for path in paths:
            is_file = _pyarrow.is_file_format(path)
            with _pyarrow.open_arrow(path, is_file) as reader:
                self.compare(reader.schema, path, is_first=path is paths[0])
                self.places += [(path, i) for i in range(reader.num_record_batches)] if is_file else [(path, None)]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        path, number = self.places[i]
        with _pyarrow.open_arrow(path, number is not None) as reader:
            columns = self.asked.within(reader.schema, path, self.columns)
            batches = enumerate(reader) if number is None else [(number, reader.get_batch(number))]
            for k, batch in batches:
                yield from _cut(batch, columns, self.chunk, f", record batch {k}")


class BatchesOfTable(ByName):
    """The record batches of a pyarrow Table. A Dataset is one piece with all its record batches.

    Parameters
    ----------
    table : Table or Dataset
    asked : the columns that the user asked for
    chunk : number of rows that are converted at a time
    """

    def __init__(self, table: Any, asked: Selection, chunk: int) -> None:
        self.asked, self.columns, self.chunk = asked, asked.within(table.schema, "source"), chunk
        self.table = table
        is_table = _pyarrow.is_table(table)
        if not is_table:
            self._check_fragments()
        self.rows = int(table.num_rows if is_table else table.count_rows())
        if not self.rows:
            raise ValueError(wrong("source", "at least one row", "none"))
        self.batches = table.select(self.columns.names).to_batches() if is_table else None

    def _check_fragments(self) -> None:
        """Refuse a Dataset if a file lacks a column (pyarrow would fill in nulls) or has lists of another length."""
        for where, schema, in_path in _pyarrow.fragments_of(self.table.get_fragments()):
            for name in self.columns.names:
                if name in schema.names:
                    self.columns.check_width(name, _pyarrow.width(schema, name, where), where)
                elif name not in in_path:
                    raise ValueError(_pyarrow.no_column(where, name, schema.names))

    def __len__(self) -> int:
        return 1 if self.batches is None else len(self.batches)

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        if self.batches is not None:
            yield from _cut(self.batches[i], self.columns, self.chunk, f", record batch {i}")
            return
        ahead = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}  # the Stream reads ahead itself
        batches = self.table.to_batches(columns=self.columns.names, batch_size=self.chunk, **ahead)
        for k, batch in enumerate(batches):
            yield from _cut(batch, self.columns, self.chunk, f", record batch {k}")


def _cut(batch: Any, columns: Columns, chunk: int, place: str) -> Iterator[tuple[str, Chunk]]:
    """Cut a record batch into chunks."""
    for start in range(0, batch.num_rows, chunk):
        yield columns.chunk(batch.slice(start, chunk), f"{place}, rows from {start} on")
