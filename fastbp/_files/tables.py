"""Tables in CSV, Parquet and NumPy files. Only this module imports pandas for the command line."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from .._checks import shown
from .._extras import not_installed
from .._writing import replacing
from ..streams import _arrow
from .columns import duplicates

if TYPE_CHECKING:
    from pandas import DataFrame, Series

# The texts that pandas.read_csv reads as missing by default, except the empty text, which Parquet files may contain.
MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
NUMPY_KINDS = "biufUSmM"  # kinds of arrays that can be columns
DIGITS = 100  # the most digits for which an integer Decimal is written out


class TableError(ValueError):
    """A table or model file that the command line can't use. The message names the file or the column."""


def _pandas() -> Any:
    """Return pandas, or raise an ImportError that names the extra to install."""
    try:
        import pandas
    except ImportError:
        raise not_installed("tables need pandas", "cli") from None
    return pandas


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
        ".parquet": lambda path: _read_parquet(path, wanted),
        ".npz": _read_npz,
    }
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise TableError(f"expected a file of type {', '.join(readers)}")
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
    pandas = _pandas()
    options = {"dtype": str, "header": None, "skipinitialspace": True, "encoding": "utf-8-sig"}
    texts = {"keep_default_na": False, "na_values": [""]}  # `missing_in` handles the other texts
    try:
        frame: DataFrame = pandas.read_csv(path, **options, **texts)
        return frame if frame.shape[1] > 1 else _only_column(path)
    except pandas.errors.EmptyDataError:
        raise TableError("the file is empty") from None
    except (pandas.errors.ParserError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"this is not a CSV file in UTF-8: {error}") from None


def _only_column(path: str) -> DataFrame:
    """Read a file with one column. Blank lines inside it are missing values; pandas would skip them."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, skipinitialspace=True))
    filled = [i for i, row in enumerate(rows) if row]
    return _pandas().DataFrame([(row[0] or None) if row else None for row in rows[filled[0] : filled[-1] + 1]])


def _is_header(names: Sequence[str], wanted: Collection[str]) -> bool:
    """Return whether the first line of a file names its columns.

    Numbers may be names if one of them is wanted and they increase or have no gaps, which data seldom does.
    """
    numbers = _pandas().to_numeric(np.array(names, object), errors="coerce")
    if np.isnan(numbers).any():
        return True
    if len(wanted) > 1 and set(wanted) <= set(names):
        return True
    in_order = all(a < b for a, b in pairwise(numbers))
    without_gaps = all(b - a == 1 for a, b in pairwise(sorted(numbers)))
    return not set(wanted).isdisjoint(names) and (in_order or without_gaps)


def _read_parquet(path: str, wanted: Collection[str]) -> DataFrame:
    pandas = _pandas()
    exact = {  # for integer columns with missing values, which NumPy can store only as floats
        kind.lower(): getattr(pandas, f"{kind}Dtype")()
        for kind in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    }
    try:
        table = _arrow.whole(path, wanted)
        frame: DataFrame = table.to_pandas(ignore_metadata=True, types_mapper=lambda kind: exact.get(str(kind)))
    except ImportError:
        raise not_installed("Parquet files need pyarrow", "cli") from None
    except _arrow.ColumnsError as error:
        raise TableError(str(error)) from None
    except (ValueError, TypeError, NotImplementedError) as error:
        raise TableError(f"this is not a Parquet file: {error}") from None
    except OSError as error:
        if error.filename:
            raise
        raise TableError(f"this is not a Parquet file: {error}") from None
    for place, name in enumerate(frame.columns):
        series = frame.iloc[:, place]
        if series.dtype == np.float16:  # pandas hardly supports it
            frame.isetitem(place, series.to_numpy(np.float32))
        elif series.dtype == object:
            _check_cells(name, series)
    return frame


def _check_cells(name: str, series: Series[Any]) -> None:
    """Refuse lists and other values with parts, and bytes that are not UTF-8 text."""
    for row, value in enumerate(series):
        if isinstance(value, str) or not isinstance(value, Iterable):
            continue
        if isinstance(value, bytes):
            with suppress(UnicodeDecodeError):
                value.decode()
                continue
        came = f"{shown(value)} in row {row + 1}"
        raise TableError(f"column {name!r} has {came}, which is neither a number nor text; remove the column")


def _read_npz(path: str) -> DataFrame:
    """Read X as the columns x1, x2 …, and y if the file has it."""
    pandas = _pandas()
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


def missing_in(series: Series[Any], known: Collection[str] = ()) -> npt.NDArray[np.bool_]:
    """Return (n,) whether a value is missing: null, NaN, or a text in MISSING that isn't a known category."""
    missing = series.isna().to_numpy(bool, copy=True)
    if series.dtype.kind not in "iufbmM":
        missing |= series.isin([text for text in MISSING if text not in known]).to_numpy(bool)
    return missing


def texts_in(series: Series[Any]) -> Series[Any]:
    """Return the values as text, spelled the same for every kind of file. No value may be missing."""
    if series.dtype.kind == "f":
        dtype: Any = getattr(series.dtype, "numpy_dtype", series.dtype)  # pandas has dtypes of its own
        numbers = series.to_numpy(dtype)
        return _pandas().Series(numbers.astype(str).astype(object), series.index)
    if isinstance(series.dtype, _pandas().StringDtype):
        return series
    return series.astype(object).map(_text)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < DIGITS and value == int(value):
        return str(int(value))
    text = str(value)
    return text.removesuffix(" 00:00:00") if isinstance(value, datetime | timedelta) else text  # as pandas writes CSV


def numbers_in(series: Series[Any]) -> npt.NDArray[np.float64]:
    """Return (n,) float64, with NaN for text and for True and False, which are categories. No value may be missing."""
    texts = None if series.dtype.kind in "iuf" else texts_in(series)
    numeric = _pandas().to_numeric(series if texts is None else texts, errors="coerce")
    numbers = numeric.to_numpy(np.float64, na_value=np.nan, copy=True)
    if texts is not None:  # older pandas take 1e400 for a text
        for text in texts[np.isnan(numbers)].unique():  # a column of categories has only a few
            with suppress(ValueError):
                if math.isinf(value := float(text)):
                    numbers[texts == text] = value
    return numbers


def write_csv(columns: dict[str, Any], file: Any) -> None:
    """Write columns of one length to an open file or a path. A crash leaves the old file or the new one."""
    frame = _pandas().DataFrame(columns)
    if isinstance(file, str):
        with replacing(file, text=True) as new:
            frame.to_csv(new, index=False)
    else:
        frame.to_csv(file, index=False)
