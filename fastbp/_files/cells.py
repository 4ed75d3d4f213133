"""Cells of a table: which are missing, and those of a column as texts or as numbers."""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pandas import Series

# The texts that pandas.read_csv reads as missing by default, except the empty text, which Parquet files may contain.
MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
DIGITS = 100  # the most digits for which an integer Decimal is written out


def missing_in(series: Series[Any], known: Collection[str] = ()) -> npt.NDArray[np.bool_]:
    """Return (n,) whether a value is missing: null, NaN, or a text in MISSING that isn't a known category."""
    missing = series.isna().to_numpy(bool, copy=True)
    if series.dtype.kind not in "iufbmM":
        missing |= series.isin([text for text in MISSING if text not in known]).to_numpy(bool)
    return missing


def texts_in(series: Series[Any]) -> Series[Any]:
    """Return the values as text, spelled the same for every kind of file. No value may be missing."""
    import pandas

    if series.dtype.kind == "f":
        dtype: Any = getattr(series.dtype, "numpy_dtype", series.dtype)  # pandas has dtypes of its own
        numbers = series.to_numpy(dtype)
        return pandas.Series(numbers.astype(str).astype(object), series.index)
    if isinstance(series.dtype, pandas.StringDtype):
        return series
    return series.astype(object).map(text_of)


def text_of(value: Any) -> str:
    """Return a value as text."""
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
    import pandas

    texts = None if series.dtype.kind in "iuf" else texts_in(series)
    numeric = pandas.to_numeric(series if texts is None else texts, errors="coerce")
    numbers = numeric.to_numpy(np.float64, na_value=np.nan, copy=True)
    if texts is not None:  # older pandas take 1e400 for a text
        for text in texts[np.isnan(numbers)].unique():  # a column of categories has only a few
            with suppress(ValueError):
                if math.isinf(value := float(text)):
                    numbers[texts == text] = value
    return numbers
