"""Blocks of features: functions of the raw columns, fixed by the training rows, whose values networks see.

A block is a frozen dataclass of numbers and arrays, which a file can hold. It writes its features for any rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns

Array = npt.NDArray[Any]

BEND = 3.0  # where the smooth clip bends; its values stay within ± BEND


class Block(Protocol):
    """Features of rows."""

    @property
    def width(self) -> int:
        """Number of features."""
        ...

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features of the rows to out, (n, width) of float32. A missing number gives 0."""
        ...


def clipped(z: Array) -> Array:
    """Return z / √(1 + (z / 3)²), which is z near 0 and stays within ± 3 (RealMLP, arXiv 2407.04491)."""
    return z / np.sqrt(1 + (z / BEND) ** 2)


@dataclass(frozen=True)
class Scaled:
    """Numbers, scaled by the quartiles, with a smooth clip.

    Attributes
    ----------
    columns : (w,) rows of `RawColumns.numbers`
    centers, factors : (w,) z = (x − center) · factor
    """

    columns: Array
    centers: Array
    factors: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.columns)

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        for j, column in enumerate(self.columns):
            z = clipped((raw.numbers[column] - self.centers[j]) * self.factors[j])
            out[:, j] = np.nan_to_num(z, copy=False, nan=0.0)


@dataclass(frozen=True)
class Logs:
    """Signed logarithms of numbers, sign(x) ln(1 + |x| / unit), scaled to mean 0 and deviation 1.

    Differences of logarithms are ratios of numbers, which a network finds in no other way as precisely.

    Attributes
    ----------
    columns : (w,) rows of `RawColumns.numbers`
    units : (w,) > 0
    centers, factors : (w,) of the logarithms
    """

    columns: Array
    units: Array
    centers: Array
    factors: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.columns)

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        for j, column in enumerate(self.columns):
            z = (signed_log(raw.numbers[column], self.units[j]) - self.centers[j]) * self.factors[j]
            out[:, j] = np.nan_to_num(clipped(z / 2) * 2, copy=False, nan=0.0)


def signed_log(x: Array, unit: float) -> Array:
    """Return sign(x) ln(1 + |x| / unit)."""
    return np.sign(x) * np.log1p(np.abs(x) / unit)


@dataclass(frozen=True)
class Rank:
    """A number's rank among those of training as a normal score, linear between the knots.

    Attributes
    ----------
    column : row of `RawColumns.numbers`
    knots : (b,) rising numbers
    scores : (b,) their normal scores
    """

    column: int
    knots: Array
    scores: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return 1

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the feature."""
        x = raw.numbers[self.column]
        out[:, 0] = np.where(np.isnan(x), 0.0, np.interp(x, self.knots, self.scores))


@dataclass(frozen=True)
class Pieces:
    """The piecewise-linear encoding of a number (arXiv 2203.05556).

    Component t is (x − b_t) / (b_{t+1} − b_t), clipped to [0, 1].

    Attributes
    ----------
    column : row of `RawColumns.numbers`
    knots : (t + 1,) rising numbers b
    """

    column: int
    knots: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.knots) - 1

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        x = raw.numbers[self.column][:, None]
        t = np.clip((x - self.knots[:-1]) / np.diff(self.knots), 0, 1)
        out[:] = np.nan_to_num(t, copy=False, nan=0.0)


@dataclass(frozen=True)
class Fourier:
    """Random Fourier features of numbers, cos(2π w z + b), where z is the scaled number.

    Attributes
    ----------
    scaled : the scaling of the p numbers
    frequencies, phases : (p, m) w and b
    """

    scaled: Scaled
    frequencies: Array
    phases: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return self.frequencies.size

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        z = np.empty((len(raw), self.scaled.width), np.float32)
        self.scaled.write(raw, z)
        m = self.frequencies.shape[1]
        w, b = (2 * np.pi * self.frequencies).astype(np.float32), self.phases.astype(np.float32)
        for j in range(self.scaled.width):
            np.cos(z[:, j, None] * w[j] + b[j], out=out[:, j * m : (j + 1) * m])


@dataclass(frozen=True)
class Missing:
    """Whether numbers are missing.

    Attributes
    ----------
    columns : (w,) rows of `RawColumns.numbers`
    """

    columns: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.columns)

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        for j, column in enumerate(self.columns):
            out[:, j] = np.isnan(raw.numbers[column])


@dataclass(frozen=True)
class Lookup:
    """The features of each category of a column, such as its one-hot code or its mean target.

    Attributes
    ----------
    column : row of `RawColumns.places`
    values : (u + 2, w) features of each category, of a missing one and of one that training did not have
    """

    column: int
    values: Array

    @property
    def width(self) -> int:
        """Number of features."""
        return self.values.shape[1]

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the features."""
        out[:] = self.values[raw.places[self.column]]


@dataclass(frozen=True)
class Codes:
    """The number of each row's category, for embeddings.

    A missing category and one that training did not have share the last number.

    Attributes
    ----------
    column : row of `RawColumns.places`
    count : u + 1
    """

    column: int
    count: int

    @property
    def width(self) -> int:
        """Number of features."""
        return 1

    def write(self, raw: RawColumns, out: Array) -> None:
        """Write the numbers."""
        np.minimum(raw.places[self.column], self.count - 1, out=out[:, 0], casting="unsafe")
