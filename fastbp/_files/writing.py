"""Tables of predictions, written in the type that the file's name says."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from .. import _pyarrow
from .._writing import replacing
from . import TableError, plain

TYPES = (".csv", ".tsv", ".jsonl", ".parquet")
PACKED = ".gz"
AS_CSV = ("", ".txt")


def type_of(path: str) -> str:
    """Return the type in which a file is written: one of TYPES, perhaps with .gz after it.

    Raises
    ------
    TableError
        For a name of another type.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    packed = suffixes.pop() if suffixes[-1:] == [PACKED] else ""
    suffix = suffixes[-1] if suffixes else ""
    kind = ".csv" if suffix in AS_CSV else suffix
    if kind not in TYPES or (kind == ".parquet" and packed):
        raise TableError(
            f"expected a file of type {', '.join(TYPES)}, or one with .gz after .csv, .tsv or .jsonl, got {path!r}"
        )
    return kind + packed


def write(columns: dict[str, Any], place: str | IO[str], kind: str | None = None) -> None:
    """Write columns of one length. A crash leaves the old or the new file.

    Parameters
    ----------
    columns : arrays of floats, and arrays or lists of text, by their names
    place : a path, or a stream of text, which translates line endings itself if its system has others
    kind : one of TYPES, perhaps with .gz after it; by default, that of the path, or .csv for a stream
    """
    if not isinstance(place, str):
        _writer(kind or ".csv")(columns, place)
        return
    kind = kind or type_of(place)
    if kind == ".parquet":
        with replacing(place) as file:
            _pyarrow.write_parquet({name: _plain(column) for name, column in columns.items()}, file)
        return
    with _opened(place, kind.endswith(PACKED)) as file:
        _writer(kind.removesuffix(PACKED))(columns, file)


def _writer(kind: str) -> Callable[[dict[str, Any], IO[str]], None]:
    return {".csv": plain.write, ".tsv": _write_tsv, ".jsonl": _write_jsonl}[kind]


@contextmanager
def _opened(path: str, packed: bool) -> Iterator[IO[str]]:
    """Open a new file for text, which takes the path's place at the end."""
    if not packed:
        with replacing(path, text=True) as plain_file:
            yield plain_file
        return
    with (
        replacing(path) as whole,
        gzip.GzipFile("", "wb", fileobj=whole, mtime=0) as file,  # the same bytes at any time
        io.TextIOWrapper(cast("Any", file), "utf-8", newline="") as text,
    ):
        yield text


def _write_tsv(columns: dict[str, Any], file: IO[str]) -> None:
    plain.write(columns, file, separator="\t")


def _write_jsonl(columns: dict[str, Any], file: IO[str]) -> None:
    """Write an object for each row, with null in place of NaN."""
    for part in plain.parts(columns):
        for row in zip(*map(_plain, part), strict=True):
            file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False) + "\n")


def _plain(column: Any) -> list[Any]:
    """Return the values of a column as JSON has them: float32 with as few digits as tell it apart."""
    values = np.asarray(column)
    if values.dtype.kind == "f":
        return [None if text in ("nan", "inf", "-inf") else float(text) for text in values.astype(str)]
    return values.tolist()
