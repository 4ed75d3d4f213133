"""Tables, read from files of any type."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from .._extras import not_installed
from . import TableError, delimited, json_lines, others, parquet
from .dialects import has_wide_letters
from .sources import COMPRESSED, STANDARD_INPUT, Source

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data")
JSON = (".jsonl", ".ndjson", ".json")
TYPES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".feather", ".dta", ".npz")
Reader = Callable[[Any, Collection[str]], "DataFrame"]
NUMPY_KINDS = "biufUSmM"  # kinds of arrays that can be columns


def require_pandas() -> None:
    """Raise an ImportError that names the extra to install if pandas is missing."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise not_installed("tables need pandas", "cli") from None


def read(path: str, wanted: Collection[str] = (), *, named: bool = True) -> DataFrame:
    """Return the table in a file. Column names are different strings, and there is at least one row.

    `attrs["renamed"]` has the new names of columns, with the names in the file: "" for none, or that of another column.
    `attrs["notes"]` has sentences that the user should read.

    Parameters
    ----------
    path : path of the file or folder, or "-" for standard input
    wanted : names of needed columns; the first line of a text table may be all numbers only if it has one of them, and
        none of them may be the index of a Parquet file's frame
    named : whether the first line of a text table has the names; otherwise they are column_1, column_2 …
    """
    require_pandas()
    frame, is_text = _by_path(path, wanted), False
    if frame is None:
        with Source(path) as source:
            reader = _reader(source)
            frame = delimited.read(source, wanted, named=named) if reader is delimited.read else reader(source, wanted)
            is_text = reader is delimited.read
    if not named and not is_text:
        raise TableError("--no-header: expected a text table, such as CSV; this file has its own names of columns")
    names = list(frame.columns)
    frame.columns, frame.attrs["renamed"] = _different(names)
    frame.attrs.setdefault("notes", [])
    if not len(frame):
        raise TableError("expected at least one row, got none")
    return frame


def _by_path(path: str, wanted: Collection[str]) -> DataFrame | None:
    """Return the table in a folder or in a file that must be on disk; None for a file that is read from its start."""
    if path != STANDARD_INPUT and os.path.isdir(path):
        return parquet.read(path, wanted)
    readers: dict[str, Reader] = {".parquet": parquet.read, ".npz": _read_npz, others.STATA: others.read_stata}
    readers |= dict.fromkeys(others.ARROW, others.read_arrow)
    suffix = Path(path).suffix.lower()
    if suffix in readers:
        return readers[suffix](path, wanted)
    if suffix in others.READERS or suffix in others.ADVICE:
        others.refuse(path, suffix)
    if path != STANDARD_INPUT and not os.path.exists(path) and suffix not in (*TEXT, *JSON, *COMPRESSED):
        raise _unknown()
    return None


def _reader(source: Source) -> Reader:
    """Return the function that reads a source: by its name, or by its first bytes."""
    if source.suffix in JSON:
        return json_lines.read
    _refuse_disguised(source)
    if source.suffix in TEXT:
        return delimited.read
    if source.start.startswith(b"PAR1"):
        return _read_parquet
    if re.match(rb"(\xef\xbb\xbf)?\s*(\{|\[\s*\{)", source.start):
        return json_lines.read
    if b"\0" in source.start and not has_wide_letters(source.start):
        raise _unknown()
    return delimited.read


def _read_parquet(source: Source, wanted: Collection[str]) -> DataFrame:
    with source.seekable() as file:
        return parquet.read(file, wanted)


def _refuse_disguised(source: Source) -> None:
    """Refuse spreadsheets and web pages that are called .csv."""
    if source.start.startswith(b"\xd0\xcf\x11\xe0"):
        others.refuse(source.path, ".xls")
    if source.start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise TableError("this is a web page or XML, not a table; if you downloaded it, download the file itself")


def _unknown() -> TableError:
    return TableError(f"expected a file of type {', '.join(TYPES)}")


def _different(names: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return names that are all different and not empty, and for each new one the name that it replaces."""
    taken, new, renamed = set(names), list[str](), dict[str, str]()
    for place, name in enumerate(names):
        other = name
        if not name or name in new:
            stem, number = (name, 2) if name else ("column", place + 1)
            while (other := f"{stem}_{number}") in taken:
                number += 1
            taken.add(other)
            renamed[other] = name
        new.append(other)
    return new, renamed


def _read_npz(path: str, _wanted: Collection[str]) -> DataFrame:
    """Read X as the columns x1, x2 …, and y if the file has it."""
    import pandas

    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it is an .npy file, of one array")
        with found as file:
            arrays = {name: file[name] for name in ("X", "y") if name in file}
    except (ValueError, BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # the last: encrypted, other methods
        raise TableError(f"this is not an .npz file of plain arrays: {error}") from None
    X = arrays.get("X")
    if X is None or X.ndim != 2:
        raise TableError("expected a 2-D array X, and an array y for training and evaluation")
    frame = pandas.DataFrame(_native("X", X), columns=[f"x{j + 1}" for j in range(X.shape[1])])
    if "y" in arrays:
        if arrays["y"].shape not in ((len(X),), (len(X), 1)):
            raise TableError(f"y: expected one value for each of the {len(X)} rows of X, got shape {arrays['y'].shape}")
        frame["y"] = _native("y", arrays["y"].ravel())
    return frame


def _native(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values in a dtype that pandas supports, in the machine's byte order."""
    if array.dtype.kind not in NUMPY_KINDS:
        raise TableError(f"{name}: expected numbers, text or true/false, got dtype {array.dtype}")
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise TableError(f"{name}: expected bytes that are UTF-8 text, got others: {error}") from None
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    with np.errstate(over="ignore"):  # a longdouble may overflow; infinite numbers are refused later
        return array.astype(dtype, copy=False)
