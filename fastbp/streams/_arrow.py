"""Parquet and Arrow files, read piece by piece. Only this module imports pyarrow."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _names
from .._checks import is_sequence, shown, typed, wrong
from .._extras import not_installed

Array = npt.NDArray[Any]
Chunk = tuple[Any, ...]
Kind = TypeVar("Kind", bound="ByName")

BUFFER_BYTES = 1 << 16  # read at a time from a column, instead of its whole row group
MAGIC = b"ARROW1"  # the first bytes of Arrow's file format; the streaming format has no such mark


def _pyarrow() -> Any:
    """Return the package, or raise an ImportError that names the extra to install."""
    try:
        import pyarrow
    except ImportError:
        raise not_installed("Stream.from_parquet and .from_arrow need pyarrow", "arrow") from None
    return pyarrow


class Names(NamedTuple):
    """The names of the columns for X, y and the sample weights."""

    target: str | tuple[str, ...]  # one name makes y (n,), several make it (n, n_L)
    features: tuple[str, ...] | None  # None: all other columns
    weight: str | None

    @classmethod
    def checked(cls, target: Any, features: Any, weight: Any) -> Names:
        """Return the names after checking that each is a text and occurs once."""
        expected = "a column name, or several"
        targets = _texts("target", [target] if isinstance(target, str) else target, expected)
        chosen = None if features is None else _texts("features", features, "column names")
        if weight is not None:
            _texts("sample_weight", [weight], "a column name")
        everything = [*targets, *(chosen or ()), *([] if weight is None else [weight])]
        if repeated := [name for name in everything if everything.count(name) > 1]:
            raise ValueError(wrong("features", "each column once, in X or in y", f"{repeated[0]!r} twice"))
        return cls(target if isinstance(target, str) else targets, chosen, weight)

    def within(self, schema: Any, where: str, first: Columns | None = None) -> Columns:
        """Return these columns of a file or table, which must hold numbers; compare them with the first file's."""
        targets = (self.target,) if isinstance(self.target, str) else self.target
        others = {*targets, self.weight} | _names.index_columns(schema)
        features = self.features or tuple(name for name in schema.names if name not in others)
        extra: list[str] = []
        if first is not None:
            extra, features = [name for name in features if name not in first.features], first.features
        if not features:
            raise ValueError(wrong(where, f"a column for X besides {', '.join(map(repr, targets))}", "none"))
        widths = []
        for name in (*features, *targets, *([] if self.weight is None else [self.weight])):
            count = schema.names.count(name)
            if count != 1:
                came = f"{count} columns of that name" if count else f"columns {shown(schema.names)}"
                expected = f"a column {name!r}" + (f", as in {first.where}" if first else "")
                raise ValueError(wrong(where, expected, came))
            widths.append(_width(schema, name, where))
            if first is not None:
                first.check_width(name, widths[-1], where)
        if first is not None and extra:
            came = f"also {', '.join(map(repr, extra))}; use features= to choose the columns of X"
            raise ValueError(wrong(where, f"the columns of {first.where}", came))
        return Columns(features, self.target, self.weight, where, tuple(widths))


class Columns(NamedTuple):
    """The columns of one file or table that become X, y and the weights."""

    features: tuple[str, ...]
    target: str | tuple[str, ...]
    weight: str | None
    where: str
    widths: tuple[int, ...] = ()  # for each of `names`: 0 for numbers, k for lists of k numbers; () in old pickles

    @property
    def names(self) -> list[str]:
        """Names of all columns that are read."""
        targets = (self.target,) if isinstance(self.target, str) else self.target
        return [*self.features, *targets, *([] if self.weight is None else [self.weight])]

    def width(self, name: str) -> int:
        """Return the width of a column, as in `widths`."""
        return self.widths[self.names.index(name)]

    def check_width(self, name: str, width: int, where: str) -> None:
        """Refuse a column whose width in another file differs."""
        if width != self.width(name):
            expected = f"{_shown_width(self.width(name))}, as in {self.where}"
            raise ValueError(wrong(f"{where}, column {name!r}", expected, _shown_width(width)))

    def labels(self, name: str) -> list[str]:
        """Return the names of the columns of X or y that a column becomes."""
        width = self.width(name)
        return [f"{name}[{i}]" for i in range(width)] if width else [name]

    def ordered(self, labels: Sequence[str]) -> Columns:
        """Return the columns with the features in the order of these labels, if they are the same columns."""
        firsts = {self.labels(name)[0]: name for name in self.features}
        features = tuple(firsts[label] for label in labels if label in firsts)
        if {label for name in self.features for label in self.labels(name)} != set(labels):
            return self
        swapped = self._replace(features=features)
        return swapped._replace(widths=tuple(map(self.width, swapped.names)))

    def chunk(self, batch: Any, piece: str = "") -> tuple[str, Chunk]:
        """Return the name of a record batch for messages, and its X, y and optional weights."""
        where = self.where + piece

        def numbers(name: str) -> Array:
            return _numbers(batch.column(name), f"{where}, column {name!r}")

        def matrix(names: Sequence[str]) -> Array:
            return np.hstack([numbers(name).reshape(batch.num_rows, -1) for name in names])

        y = numbers(self.target) if isinstance(self.target, str) else matrix(self.target)
        weight = () if self.weight is None else (numbers(self.weight),)
        return where, (matrix(self.features), y, *weight)


class ByName:
    """Pieces of files or tables whose columns have names.

    Attributes
    ----------
    asked : the columns that the user asked for
    columns : the columns of the first file
    refusal : the error for a later file that cannot be read with these columns
    """

    asked: Names
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
            self.__init__(state["table"], Names(old.target, old.features, old.weight), state["chunk"])  # type: ignore[misc]

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
    names : names of the columns
    chunk : number of rows that are decoded at a time
    """

    def __init__(self, paths: list[str], names: Names, chunk: int) -> None:
        _pyarrow()
        self.chunk, self.asked, self.rows = chunk, names, 0
        self.places: list[tuple[str, int]] = []
        for path in paths:
            with self._open(path) as file:
                self.compare(file.schema_arrow, path, is_first=path is paths[0])
                self.places += [(path, group) for group in range(file.metadata.num_row_groups)]
                self.rows += file.metadata.num_rows
        if not self.rows:
            raise ValueError(wrong("paths", "at least one row", "none"))

    def __len__(self) -> int:
        return len(self.places)

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        path, group = self.places[i]
        with self._open(path) as file:
            columns = self.asked.within(file.schema_arrow, path, self.columns)
            # Use only this thread, because the others train.
            batches = file.iter_batches(self.chunk, row_groups=[group], columns=columns.names, use_threads=False)
            for k, batch in enumerate(batches):
                yield columns.chunk(batch, f", row group {group}, rows from {k * self.chunk} on")

    @staticmethod
    def _open(path: str) -> Any:
        from pyarrow import ArrowInvalid, parquet

        try:
            return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        except ArrowInvalid as error:
            raise ValueError(wrong("paths", "Parquet files", f"{path}: {error}")) from None


def batches_of(source: Any, names: Names, chunk: int) -> BatchesOfFiles | BatchesOfTable:
    """Return the pieces of Arrow files, of a Table or of a Dataset."""
    _pyarrow()
    if isinstance(source, list):
        return BatchesOfFiles(source, names, chunk)
    return BatchesOfTable(source, names, chunk)


class BatchesOfFiles(ByName):
    """The record batches of Arrow files. A file in the streaming format is one piece.

    Parameters
    ----------
    paths : paths of the files
    names : names of the columns
    chunk : number of rows that are converted at a time
    """

    rows = None  # the files don't store it

    def __init__(self, paths: list[str], names: Names, chunk: int) -> None:
        self.chunk, self.asked = chunk, names
        self.places: list[tuple[str, int | None]] = []
        for path in paths:
            with open(path, "rb") as file:
                is_file = file.read(len(MAGIC)) == MAGIC
            with self._open(path, is_file) as reader:
                self.compare(reader.schema, path, is_first=path is paths[0])
                self.places += [(path, i) for i in range(reader.num_record_batches)] if is_file else [(path, None)]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, i: int) -> Iterator[tuple[str, Chunk]]:
        path, number = self.places[i]
        with self._open(path, number is not None) as reader:
            columns = self.asked.within(reader.schema, path, self.columns)
            batches = enumerate(reader) if number is None else [(number, reader.get_batch(number))]
            for k, batch in batches:
                yield from _cut(batch, columns, self.chunk, f", record batch {k}")

    @staticmethod
    def _open(path: str, is_file: bool) -> Any:
        pyarrow = _pyarrow()
        try:
            source = pyarrow.memory_map(path)
            return pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)
        except pyarrow.ArrowInvalid as error:
            raise ValueError(wrong("source", "Arrow files", f"{path}: {error}")) from None


class BatchesOfTable(ByName):
    """The record batches of a pyarrow Table. A Dataset is one piece with all its record batches.

    Parameters
    ----------
    table : Table or Dataset
    names : names of the columns
    chunk : number of rows that are converted at a time
    """

    def __init__(self, table: Any, names: Names, chunk: int) -> None:
        self.asked, self.columns, self.chunk = names, names.within(table.schema, "source"), chunk
        self.table = table
        is_table = isinstance(table, _pyarrow().Table)
        if not is_table:
            self._check_fragments()
        self.rows = int(table.num_rows if is_table else table.count_rows())
        if not self.rows:
            raise ValueError(wrong("source", "at least one row", "none"))
        self.batches = table.select(self.columns.names).to_batches() if is_table else None

    def _check_fragments(self) -> None:
        """Refuse a Dataset if a file lacks a column (pyarrow would fill in nulls) or has lists of another length."""
        from pyarrow.dataset import get_partition_keys

        for fragment in self.table.get_fragments():
            schema, where = fragment.physical_schema, getattr(fragment, "path", "source")
            in_path = get_partition_keys(fragment.partition_expression)
            for name in self.columns.names:
                if name in schema.names:
                    self.columns.check_width(name, _width(schema, name, where), where)
                elif name not in in_path:
                    raise ValueError(wrong(where, f"a column {name!r}", f"columns {shown(schema.names)}"))

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


def _cut(batch: Any, columns: Columns, chunk: int, piece: str) -> Iterator[tuple[str, Chunk]]:
    """Cut a record batch into chunks."""
    for start in range(0, batch.num_rows, chunk):
        yield columns.chunk(batch.slice(start, chunk), f"{piece}, rows from {start} on")


def _numbers(array: Any, where: str) -> Array:
    """Return (n,) numbers of a column, or (n, k) if it holds lists of k numbers."""
    pyarrow = _pyarrow()
    values = array
    is_list = pyarrow.types.is_fixed_size_list(array.type)
    if is_list and not array.null_count:
        values = array.flatten()
    if values.null_count:
        raise ValueError(wrong(where, "no missing values", f"{values.null_count} of them; fill or drop them"))
    if pyarrow.types.is_decimal(values.type):
        values = values.cast(pyarrow.float64())
    numbers: Array = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(len(array), array.type.list_size) if is_list else numbers


def _is_numeric(kind: Any) -> bool:
    types = _pyarrow().types
    if types.is_fixed_size_list(kind):
        kind = kind.value_type
    return any(check(kind) for check in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal))


def _width(schema: Any, name: str, where: str) -> int:
    """Return 0 for a column of numbers, and k for a column of lists of k numbers."""
    kind = schema.field(name).type
    if not _is_numeric(kind):
        expected = "numbers, True and False, or lists of numbers of one length"
        raise TypeError(wrong(f"{where}, column {name!r}", expected, f"{kind}"))
    return int(kind.list_size) if _pyarrow().types.is_fixed_size_list(kind) else 0


def _shown_width(width: int) -> str:
    return f"lists of {width} numbers" if width else "numbers"


def _texts(argument: str, value: Any, expected: str) -> tuple[str, ...]:
    texts = tuple(value) if is_sequence(value) else ()
    if not texts or not all(isinstance(text, str) for text in texts):
        odd = [name for name in texts or [value] if not isinstance(name, str)]
        is_number = bool(odd) and hasattr(odd[0], "__index__")
        hint = f"; column names in files are strings, so write {str(odd[0])!r}" if is_number else ""
        raise TypeError(wrong(argument, expected, typed(value) + hint))
    return texts


class ColumnsError(ValueError):
    """A file whose columns differ from those of the first file, or whose index is used as a column."""


def whole(path: str, wanted: Collection[str] = ()) -> Any:
    """Return the table in a Parquet file or in a folder of them, without the index column that pandas wrote.

    Raises
    ------
    ColumnsError
        If the columns of a file in the folder differ; the message names the file and the column. If a wanted column is
        the index.
    """
    _pyarrow()
    from pyarrow import parquet

    if os.path.isdir(path):
        files = parquet.ParquetDataset(path)
        _check_alike(files.schema, files.fragments)
        table = files.read()
    else:
        with open(path, "rb") as file:
            table = parquet.ParquetFile(file).read()
    if asked := sorted(_names.index_columns(table.schema) & set(wanted)):
        advice = "call frame.reset_index() and write the file again"
        raise ColumnsError(f"{asked[0]!r} is the index of the pandas frame in this file, not a column; {advice}")
    return _names.without_index(table).replace_schema_metadata(None)


def _check_alike(schema: Any, fragments: Any) -> None:
    """Refuse a file whose columns differ from the schema: pyarrow would fill in nulls or drop columns."""
    from pyarrow.dataset import get_partition_keys

    columns = [name for name in schema.names if name not in _names.index_columns(schema)]
    for fragment in fragments:
        own, in_path = fragment.physical_schema, get_partition_keys(fragment.partition_expression)
        there = [name for name in own.names if name not in _names.index_columns(own)]
        missing = [name for name in columns if name not in there and name not in in_path]
        extra = [name for name in there if name not in columns]
        if missing or extra:
            expected = f"a column {missing[0]!r}" if missing else f"no column {extra[0]!r}"
            came = f"columns {shown(there)}"
            raise ColumnsError(wrong(fragment.path, f"{expected}, as in the first file of the folder", came))
