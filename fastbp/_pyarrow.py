"""Parquet, Arrow and text files by pyarrow, which only this module imports: open them, compare them, take numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from typing import IO, Any, NamedTuple

import numpy as np

from ._checks import shown, wrong
from ._extras import not_installed

BUFFER_BYTES = 1 << 16  # read at a time from a column, instead of its whole row group
MAGIC = b"ARROW1"  # the first bytes of Arrow's file format; the streaming format has no such mark


def require_pyarrow(needs: str = "Stream.from_parquet and .from_arrow need pyarrow", extra: str = "arrow") -> None:
    """Raise an ImportError that names the extra to install if pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise not_installed(needs, extra) from None


def open_parquet(path: str) -> Any:
    """Open a Parquet file to read it in small steps."""
    require_pyarrow()
    from pyarrow import ArrowInvalid, parquet

    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except ArrowInvalid as error:
        raise ValueError(wrong("paths", "Parquet files", f"{path}: {error}")) from None


def is_file_format(path: str) -> bool:
    """Return whether a file has Arrow's file format. Otherwise it has the streaming format."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_arrow(path: str, is_file: bool) -> Any:
    """Open a file in Arrow's file format or in its streaming format."""
    require_pyarrow()
    import pyarrow

    try:
        source = pyarrow.memory_map(path)
        return pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(wrong("source", "Arrow files", f"{path}: {error}")) from None


def is_table(source: Any) -> bool:
    """Return whether it is a Table. Otherwise it is a Dataset."""
    import pyarrow

    return isinstance(source, pyarrow.Table)


def parquet_folder(path: str) -> Any:
    """Return the dataset of the Parquet files in a folder."""
    from pyarrow import parquet

    return parquet.ParquetDataset(path)


def parquet_table(source: str | IO[bytes]) -> Any:
    """Return the table in a Parquet file, which may be open."""
    from pyarrow import parquet

    with open(source, "rb") if isinstance(source, str) else nullcontext(source) as file:
        return parquet.ParquetFile(file).read()


def write_parquet(columns: dict[str, list[Any]], file: IO[bytes]) -> None:
    """Write columns to an open file."""
    require_pyarrow("Parquet files need pyarrow", "cli")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), file)


class Fragment(NamedTuple):
    """A file of a dataset."""

    where: str  # its name in messages
    schema: Any
    in_path: Collection[str]  # the columns whose values the names of its folders give, such as year=2024


def fragments_of(fragments: Iterable[Any]) -> Iterator[Fragment]:
    """Yield the files of a dataset, to compare them: pyarrow fills in nulls for a column that a file lacks."""
    from pyarrow.dataset import get_partition_keys

    for fragment in fragments:
        in_path = get_partition_keys(fragment.partition_expression)
        yield Fragment(getattr(fragment, "path", "source"), fragment.physical_schema, in_path)


def no_column(where: str, name: str, there: Collection[str], other: str = "") -> str:
    """Return the message for a file that lacks a column, which another file may have."""
    return wrong(where, f"a column {name!r}" + (f", as in {other}" if other else ""), f"columns {shown(there)}")


def width(schema: Any, name: str, where: str) -> int:
    """Return 0 for a column of numbers, and k for a column of lists of k numbers."""
    from pyarrow import types

    kind = schema.field(name).type
    is_list = types.is_fixed_size_list(kind)
    each = kind.value_type if is_list else kind
    if not any(check(each) for check in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)):
        expected = "numbers, True and False, or lists of numbers of one length"
        raise TypeError(wrong(f"{where}, column {name!r}", expected, f"{kind}"))
    return int(kind.list_size) if is_list else 0


def numbers(array: Any, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return (n,) numbers of a column, or (n, k) if it holds lists of k numbers."""
    from pyarrow import float64, types

    values = array
    is_list = types.is_fixed_size_list(array.type)
    if is_list and not array.null_count:
        values = array.flatten()
    if values.null_count:
        raise ValueError(wrong(where, "no missing values", f"{values.null_count} of them; fill or drop them"))
    if types.is_decimal(values.type):
        values = values.cast(float64())
    found: np.ndarray[Any, np.dtype[Any]] = values.to_numpy(zero_copy_only=False)
    return found.reshape(len(array), array.type.list_size) if is_list else found


def text_blocks(
    file: Any, separator: str, width: int, quoted: bool, size: int, named: bool = True
) -> Iterator[list[tuple[np.ndarray[Any, np.dtype[np.int32]], Any]] | None]:
    """Yield the columns of a UTF-8 text table by blocks: in each, the code of each cell, -1 if empty, and the texts.

    None stands for a row that doesn't have `width` cells, or for anything else that needs another reader.

    Parameters
    ----------
    file : open file of bytes
    separator : the character between two cells
    width : number of columns
    quoted : whether there are quotation marks
    size : bytes of a block
    named : whether the first line has the names
    """
    import pyarrow
    from pyarrow import compute, csv

    names = [str(place) for place in range(width)]
    kind = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    as_text = {"column_types": dict.fromkeys(names, kind), "null_values": [""], "strings_can_be_null": True}
    quotes = {"quote_char": '"' if quoted else False, "newlines_in_values": quoted}
    try:
        blocks = csv.open_csv(
            file,
            csv.ReadOptions(block_size=size, column_names=names, skip_rows_after_names=int(named), use_threads=False),
            csv.ParseOptions(delimiter=separator, **quotes),
            csv.ConvertOptions(**as_text),
            memory_pool=pyarrow.system_memory_pool(),  # the others keep twice as much
        )
        for block in blocks:
            columns = []
            for column in block.columns:
                texts = column.dictionary
                if len(texts) and compute.any(compute.starts_with(texts, " ")).as_py():
                    return (yield None)
                columns.append((column.indices.fill_null(-1).to_numpy(zero_copy_only=False), texts))
            yield columns
    except pyarrow.ArrowInvalid:
        yield None


def no_texts() -> Any:
    """Return an array of no texts."""
    import pyarrow

    return pyarrow.array([], pyarrow.string())


def united(parts: Collection[Any]) -> tuple[Any, list[np.ndarray[Any, np.dtype[np.int32]]]]:
    """Return the different texts of arrays in the order in which they come, and for each array their places in it."""
    import pyarrow
    from pyarrow import compute

    pool = pyarrow.system_memory_pool()
    texts = pyarrow.chunked_array(parts, pyarrow.string())
    encoded = compute.dictionary_encode(texts, memory_pool=pool).unify_dictionaries(memory_pool=pool)
    if not encoded.length():
        return no_texts(), [np.empty(0, np.int32) for _ in parts]
    places = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return encoded.chunk(0).dictionary, np.split(places, np.cumsum([len(part) for part in parts])[:-1])
