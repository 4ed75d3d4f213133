"""Tables in files: CSV, Parquet and NumPy's archives; the command line's door to pandas."""

from __future__ import annotations

import math
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ._columns import duplicates
from ._writing import replacing

if TYPE_CHECKING:
    from pandas import DataFrame, Series


class TableError(ValueError):
    """A table, or a model's file, that the command line can't work with; the message names the file or the column."""


def _pandas() -> Any:
    """The package, or the word how to get it."""
    try:
        import pandas
    except ImportError:
        raise ImportError("tables need pandas: pip install 'fastbp[cli]'") from None
    return pandas


def read(path: str) -> DataFrame:
    """The table in a .csv, .parquet or .npz file, with a name for each column and at least one row."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise TableError(f"a file called {', '.join(readers)} is expected")
    frame = reader(path)
    names = list(frame.columns)
    if repeated := duplicates(names):
        raise TableError(f"two columns are called {repeated[0]!r}; rename one")
    if not len(frame):
        raise TableError("there are no rows")
    return frame


def _read_csv(path: str) -> DataFrame:
    """Every cell as text, so that a column means the same whatever else its file holds."""
    pandas = _pandas()
    try:
        cells = pandas.read_csv(path, dtype=str, header=None, skipinitialspace=True)
    except pandas.errors.EmptyDataError:
        raise TableError("the file is empty") from None
    except (pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise TableError(f"this is no CSV file in UTF-8: {error}") from None
    header, rows = cells.iloc[0], cells.iloc[1:].reset_index(drop=True)
    if header.isna().any():
        place = int(header.isna().to_numpy().argmax())
        raise TableError(f"column {place + 1} has no name in the first line; name it, or leave it out")
    if pandas.to_numeric(header, errors="coerce").notna().all():
        raise TableError(f"the first line must name the columns, but holds numbers: {', '.join(header)}")
    rows.columns = list(header)
    return rows


def _read_parquet(path: str) -> DataFrame:
    pandas = _pandas()
    try:
        return pandas.read_parquet(path)
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install 'fastbp[cli]'") from None
    except ValueError as error:
        raise TableError(f"this is no Parquet file: {error}") from None


def _read_npz(path: str) -> DataFrame:
    """Columns x1, x2 … of X, and y where it is there."""
    pandas = _pandas()
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it is an .npy file, of one array")
        with found as file:
            arrays = {name: file[name] for name in ("X", "y") if name in file}
    except (ValueError, BadZipFile, EOFError, zlib.error, RuntimeError) as error:  # the last: encrypted, other methods
        raise TableError(f"this is no .npz file of plain arrays: {error}") from None
    X = arrays.get("X")
    if X is None or X.ndim != 2:
        raise TableError("a 2-D array X is expected, and y beside it to train or to evaluate")
    frame = pandas.DataFrame(X, columns=[f"x{j + 1}" for j in range(X.shape[1])])
    if "y" in arrays:
        if arrays["y"].shape not in ((len(X),), (len(X), 1)):
            raise TableError(f"y must have one value for each of X's {len(X)} rows, but has shape {arrays['y'].shape}")
        frame["y"] = arrays["y"].ravel()
    return frame


def numbers_in(series: Series[Any]) -> npt.NDArray[np.float64]:
    """(n,) float64; NaN for what is missing, for text, and for True and False, which are categories."""
    texts = None if series.dtype.kind in "iuf" else series.astype(str)
    numeric = _pandas().to_numeric(series if texts is None else texts, errors="coerce")
    numbers = numeric.to_numpy(np.float64, na_value=np.nan, copy=True)
    if texts is not None:  # older pandas take 1e400 for a text
        for text in texts[np.isnan(numbers)].unique():  # of a column of categories a few
            with suppress(ValueError):
                if math.isinf(value := float(text)):
                    numbers[texts == text] = value
    return numbers


def write_csv(columns: dict[str, Any], file: Any) -> None:
    """Write columns of one length to a path, whole or not at all, or to an open file."""
    frame = _pandas().DataFrame(columns)
    if isinstance(file, str):
        with replacing(file, text=True) as new:
            frame.to_csv(new, index=False)
    else:
        frame.to_csv(file, index=False)
