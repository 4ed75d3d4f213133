"""Tables: read from CSV, Parquet and NumPy files."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from .._extras import not_installed
from . import TableError, parquet
from .columns import duplicates

if TYPE_CHECKING:
    from pandas import DataFrame

NUMPY_KINDS = "biufUSmM"  # kinds of arrays that can be columns


def require_pandas() -> None:
    """Raise an ImportError that names the extra to install if pandas is missing."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise not_installed("tables need pandas", "cli") from None


def read(path: str, wanted: Collection[str] = ()) -> DataFrame:
    """Return the table in a .csv, .parquet or .npz file. Column names are strings, and there is at least one row.

    Parameters
    ----------
    path : path of the file
    wanted : names of needed columns; the first line of a CSV file may be all numbers only if it has one of them, and
        none of them may be the index of a Parquet file's frame
    """
    readers = {
        ".csv": lambda path: _read_csv(path, wanted),
        ".parquet": lambda path: parquet.read(path, wanted),
        ".npz": _read_npz,
    }
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise TableError(f"expected a file of type {', '.join(readers)}")
    require_pandas()
    frame = reader(path)
    if repeated := duplicates(list(frame.columns)):
        raise TableError(f"two columns are called {repeated[0]!r}; rename one")
    if not len(frame):
        raise TableError("expected at least one row, got none")
    return frame


def _read_csv(path: str, wanted: Collection[str]) -> DataFrame:
    """Read every cell as text, so that a column means the same whatever other values the file has."""
    cells = _cells(path)
    header, rows = cells.iloc[0], cells.iloc[1:].reset_index(drop=True)
    names = ["" if gone else str(name).strip() for name, gone in zip(header, header.isna(), strict=True)]
    if "" in names:
        raise TableError(f"column {names.index('') + 1} has no name in the first line; name it, or leave it out")
    if not _is_header(names, wanted):
        advice = "add a line of names; if these are names, change one to text, such as x1"
        raise TableError(f"expected column names in the first line, got numbers: {', '.join(names)}; {advice}")
    rows.columns = names
    return rows


def _cells(path: str) -> DataFrame:
    import pandas

    try:
        frame = pandas.read_csv(
            path,
            dtype=str,
            header=None,
            skipinitialspace=True,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=[""],  # `missing_in` handles the other texts
        )
        return frame if frame.shape[1] > 1 else _only_column(path)
    except pandas.errors.EmptyDataError:
        raise TableError("the file is empty") from None
    except (pandas.errors.ParserError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"this is not a CSV file in UTF-8: {error}") from None


def _only_column(path: str) -> DataFrame:
    """Read a file with one column. Blank lines inside it are missing values; pandas would skip them."""
    import pandas

    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, skipinitialspace=True))
    filled = [i for i, row in enumerate(rows) if row]
    return pandas.DataFrame([(row[0] or None) if row else None for row in rows[filled[0] : filled[-1] + 1]])


def _is_header(names: Sequence[str], wanted: Collection[str]) -> bool:
    """Return whether the first line of a file names its columns.

    Numbers may be names if one of them is wanted and they increase or have no gaps, which data seldom does.
    """
    import pandas

    numbers = pandas.to_numeric(np.array(names, object), errors="coerce")
    if np.isnan(numbers).any():
        return True
    if len(wanted) > 1 and set(wanted) <= set(names):
        return True
    in_order = all(a < b for a, b in pairwise(numbers))
    without_gaps = all(b - a == 1 for a, b in pairwise(sorted(numbers)))
    return not set(wanted).isdisjoint(names) and (in_order or without_gaps)


def _read_npz(path: str) -> DataFrame:
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
