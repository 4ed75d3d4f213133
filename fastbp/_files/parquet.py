"""Tables in Parquet files, and in folders of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .. import _pyarrow
from .._checks import shown, wrong
from .._names import index_columns, without_index
from . import TableError

if TYPE_CHECKING:
    from pandas import DataFrame

INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def read(source: str | IO[bytes], wanted: Collection[str]) -> DataFrame:
    """Return the frame in a Parquet file or in a folder of them, without the index column that pandas wrote.

    Parameters
    ----------
    source : path of a file or a folder, or an open file
    wanted : names of needed columns, none of which may be the index

    Raises
    ------
    TableError
        If it is not a Parquet file, if the columns of a file in the folder differ, or if a wanted column is the index.
    ImportError
        If pyarrow is not installed.
    """
    _pyarrow.require_pyarrow("Parquet files need pyarrow", "cli")
    try:
        table = _table(source)
    except TableError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _not_parquet(source, error) from None
    except OSError as error:
        if error.filename:
            raise
        raise _not_parquet(source, error) from None
    return framed(table, wanted)


def _not_parquet(source: str | IO[bytes], error: Exception) -> TableError:
    if not isinstance(source, str) or not os.path.isdir(source):
        return TableError(f"this is not a Parquet file: {error}")
    expected = "expected a file, or a folder that has only Parquet files of one table"
    return TableError(f"{expected}, got a folder with other files; name the file of your table")


def framed(table: Any, wanted: Collection[str]) -> DataFrame:
    """Return the frame of a pyarrow Table, without the index column that pandas wrote.

    Raises
    ------
    TableError
        If a wanted column is the index.
    """
    import pandas

    if asked := sorted(index_columns(table.schema) & set(wanted)):
        advice = "call frame.reset_index() and write the file again"
        raise TableError(f"{asked[0]!r} is the index of the pandas frame in this file, not a column; {advice}")
    table = without_index(table).replace_schema_metadata(None)
    exact = {kind.lower(): getattr(pandas, f"{kind}Dtype")() for kind in INTEGERS}  # NumPy's have no missing values
    try:
        frame: DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=lambda kind: exact.get(str(kind)))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise TableError(f"pandas can't hold this table: {error}") from None
    for place in range(frame.shape[1]):
        series = frame.iloc[:, place]
        if series.dtype == np.float16:  # pandas hardly supports it
            frame.isetitem(place, series.to_numpy(np.float32))
    return frame


def _table(source: str | IO[bytes]) -> Any:
    """Return the pyarrow Table of a file or a folder."""
    if isinstance(source, str) and os.path.isdir(source):
        files = _pyarrow.parquet_folder(source)
        _check_alike(files.schema, files.fragments)
        return files.read()
    return _pyarrow.parquet_table(source)


def _check_alike(schema: Any, fragments: Iterable[Any]) -> None:
    """Refuse a file whose columns differ from the schema: pyarrow would fill in nulls or drop columns."""
    first = "the first file of the folder"
    columns = _without_index(schema)
    for where, own, in_path in _pyarrow.fragments_of(fragments):
        there = _without_index(own)
        for name in columns:
            if name not in there and name not in in_path:
                raise TableError(_pyarrow.no_column(where, name, there, first))
        for name in there:
            if name not in columns:
                raise TableError(wrong(where, f"no column {name!r}, as in {first}", f"columns {shown(there)}"))


def _without_index(schema: Any) -> list[str]:
    """Return the columns of a schema that don't hold the index of a pandas frame."""
    index = index_columns(schema)
    return [name for name in schema.names if name not in index]
