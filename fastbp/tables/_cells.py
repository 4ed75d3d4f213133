"""The distinct values of a column, on which reading and recognition work, and the rows that hold each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._files.cells import MISSING, numbers_in, text_of, texts_in

if TYPE_CHECKING:
    from pandas import Series

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

TEXTS = ("string", "empty")  # what pandas calls columns of text, and columns without values
MARKS = {  # texts that stand for a missing number or date
    *("", "?", "??", "-", "--", "---", "–", "—", ".", "..", "...", "…", "*", "/", "na", "n.a.", "n.a", "n/a", "none"),
    *("null", "nan", "nil", "missing", "unknown", "unk", "not available", "not applicable", "no data", "tbd", "nat"),
    *("<na>", "#ref!", "#div/0!", "#value!", "#num!", "#name?", "#n/a"),
}


@dataclass
class Cells:
    """A column of a frame.

    Attributes
    ----------
    name : name of the column
    values : its distinct values, (u,); none is null
    codes : the number of each row's value, (n,); −1 for null
    nested : a value that is neither a number nor text, such as a list, or None
    """

    name: str
    values: Series[Any]
    codes: Array
    nested: Any = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def is_numeric(self) -> bool:
        """Whether the values are integers or floats, not text."""
        return self.values.dtype.kind in "iuf"

    @cached_property
    def texts(self) -> Texts:
        """The values as text, spelled the same for every kind of file; (u,) of str."""
        return texts_in(self.values).to_numpy(object)

    @cached_property
    def stripped(self) -> list[str]:
        """The texts without the spaces around them."""
        return [text.strip() for text in self.texts]

    @cached_property
    def marked(self) -> Flags:
        """Whether each value stands for a missing number or date, such as ?; (u,)."""
        if self.is_numeric:
            return np.zeros(len(self.values), bool)
        return self.null | np.fromiter((text.lower() in MARKS for text in self.stripped), bool, len(self.stripped))

    @cached_property
    def plain(self) -> Array:
        """The values as float64 in the plain spelling; NaN for text, and for True and False."""
        return numbers_in(self.values)

    @cached_property
    def counts(self) -> Array:
        """The number of rows of each value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @cached_property
    def null(self) -> Flags:
        """Whether each value is a text that counts as missing, such as NA; (u,)."""
        return self.missing_except(())

    def missing_except(self, known: Collection[str]) -> Flags:
        """Return `null` where some of these texts are known categories."""
        if self.values.dtype.kind in "iufbmM":
            return np.zeros(len(self.values), bool)
        missing = set(MISSING).difference(known)
        gone = (
            text.isspace() or (short in missing and text not in known)
            for text, short in zip(self.texts, self.stripped, strict=True)
        )
        return np.fromiter(gone, bool, len(self.texts))

    def rows(self, flags: Flags, *, null: bool = False) -> Flags:
        """Return (n,) whether a row has a flagged value; null: for a row without a value."""
        return np.append(flags, null)[self.codes]


def cells_of(series: Series[Any]) -> Cells:
    """Return the distinct values of a series. An unhashable or nested value makes the column nested."""
    import pandas

    name = str(series.name)
    if isinstance(series.dtype, pandas.PeriodDtype):
        series = series.dt.to_timestamp()
    if isinstance(series.dtype, pandas.CategoricalDtype):
        codes, values = series.cat.codes.to_numpy(), pandas.Series(series.cat.categories)
        used = np.bincount(codes[codes >= 0], minlength=len(values)) > 0
        if not used.all():
            codes = np.append(np.cumsum(used) - 1, -1).astype(codes.dtype)[codes]
            values = values[used].reset_index(drop=True)
        if values.dtype != object or pandas.api.types.infer_dtype(values) in TEXTS:
            return Cells(name, values, codes)
        series = pandas.Series(values.to_numpy()[codes], dtype=object).where(codes >= 0, None)
    if series.dtype == object and pandas.api.types.infer_dtype(series, skipna=True) not in TEXTS:
        present = series.notna().to_numpy(bool)
        odd = next((value for value in series[present] if _is_nested(value)), None)
        if odd is not None:
            return Cells(name, pandas.Series([], dtype=object), np.full(len(series), -1), odd)
        texts = np.full(len(series), None, object)
        texts[present] = [text_of(value) for value in series[present]]
        series = pandas.Series(texts, dtype=object)
    codes, uniques = pandas.factorize(series)
    return Cells(name, pandas.Series(uniques), codes)


def trimmed(series: Series[Any]) -> Cells:
    """Return the distinct values of a series, as `cells_of`; texts that differ only in spaces around them are one."""
    import pandas

    cells = cells_of(series)
    if cells.values.dtype.kind in "iufbmM" or all(map(str.__eq__, cells.stripped, cells.texts)):
        return cells
    pairs = zip(cells.texts, cells.stripped, strict=True)
    codes, texts = pandas.factorize(np.array([None if text.isspace() else short for text, short in pairs], object))
    return Cells(cells.name, pandas.Series(texts, dtype=object), np.append(codes, -1)[cells.codes])


def _is_nested(value: Any) -> bool:
    """Return whether a value is neither a number, a date nor text."""
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return True
        return False
    return not isinstance(value, str) and (hasattr(value, "__len__") or isinstance(value, set | complex))
