"""Scaling: the means and deviations with which a Trainer standardizes its inputs and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._library.library import is_finite
from ._records import check_fields, refused

Array = npt.NDArray[Any]

CONSTANT = 1e-12  # a deviation of less than this fraction of the mean is rounding
FIELDS = ("mean", "deviation", "target_mean", "target_deviation")
AT_ONCE = 1 << 16  # numbers to scale at once, so that copies as float64 stay small


@dataclass(frozen=True, eq=False)
class Scaling:
    """What `Trainer` subtracts from each input, and divides it by; the same for targets.

    Attributes
    ----------
    mean, deviation : (n_1,) float64
        Of each input over the training samples of the first fit. The deviation of a constant input is 1.
    target_mean, target_deviation : (n_L,) float64, or None
        Of each target; None if the targets are not scaled.
    """

    mean: Array
    deviation: Array
    target_mean: Array | None = None
    target_deviation: Array | None = None

    def inputs(self, argument: str, X: Array, dtype: np.dtype[Any]) -> Array:
        """Return X, standardized, as a new array of the dtype."""
        return _scaled(argument, X, self.mean, self.deviation, dtype)

    def targets(self, argument: str, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return the targets, standardized if targets are."""
        if self.target_mean is None or self.target_deviation is None or not len(y):
            return y
        return _scaled(argument, y, self.target_mean, self.target_deviation, dtype)

    def outputs(self, a: Array, dtype: npt.DTypeLike) -> Array:
        """Return outputs or standardized targets in the units of y."""
        if self.target_mean is None or self.target_deviation is None or not len(a):
            return a
        with np.errstate(over="ignore"):
            return (a * self.target_deviation + self.target_mean).astype(dtype)

    def folded(self, weights: list[Array], biases: list[Array]) -> None:
        """Change weights and biases, float64, so that the network takes X and returns aᴸ in the units of X and y."""
        weights[0] /= self.deviation
        biases[0] -= weights[0] @ self.mean
        if self.target_mean is not None and self.target_deviation is not None:
            weights[-1] *= self.target_deviation[:, None]
            biases[-1] *= self.target_deviation
            biases[-1] += self.target_mean

    def record(self) -> dict[str, Any]:
        """Return the scaling as JSON values."""
        return {name: None if (array := getattr(self, name)) is None else array.tolist() for name in FIELDS}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], n_in: int, n_out: int) -> Scaling:
        """Return the scaling of a model file, checked."""
        kinds = (list,), (list,), (list, type(None)), (list, type(None))
        check_fields("a scaling", record, dict(zip(FIELDS, kinds, strict=True)))
        if (record["target_mean"] is None) != (record["target_deviation"] is None):
            raise refused("one of two", "both means and deviations of the targets, or neither")
        arrays = {}
        for name in FIELDS:
            values, count, low = record[name], n_out if "target" in name else n_in, "deviation" in name
            expected = f"{name} as {count} finite numbers{' > 0' if low else ''}"
            if values is None:
                continue
            if len(values) != count or any(type(value) not in (int, float) for value in values):
                raise refused(_checks.shown(values), expected)
            array = np.array([float(value) for value in values])
            if not np.isfinite(array).all() or (low and (array <= 0).any()):
                raise refused(_checks.shown(values), expected)
            arrays[name] = array
        return cls(**arrays)


class Moments:
    """Weighted means and deviations of the columns of samples that come in parts (Chan, Golub and LeVeque 1979).

    Parameters
    ----------
    argument : name of the samples in messages
    n : number of columns
    """

    def __init__(self, argument: str, n: int) -> None:
        self.argument, self.weight = argument, 0.0
        self.mean, self.squares = np.zeros(n), np.zeros(n)

    def add(self, rows: Array, weights: Array) -> None:
        """Add rows, (m, n), with their weights, (m,), or (0,) if all are 1."""
        step = max(1, AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), step):
            part = rows[start : start + step].astype(np.float64)
            w = weights[start : start + step].astype(np.float64) if weights.size else np.ones(len(part))
            weight = float(w.sum())
            if weight == 0:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                mean = w @ part / weight
                total, change = self.weight + weight, mean - self.mean
                self.squares += w @ (part - mean) ** 2 + change**2 * (self.weight * weight / total)
                self.mean = self.mean + change * (weight / total)
            self.weight = total

    def read(self) -> tuple[Array, Array]:
        """Return the means and deviations. The deviation of a constant column is 1."""
        deviation = np.sqrt(self.squares / self.weight)
        wild = ~(np.isfinite(self.mean) & np.isfinite(deviation))
        if wild.any():
            expected = "numbers whose squares are finite, because standardize=True"
            raise ValueError(_checks.wrong(self.argument, expected, f"larger ones in column {int(wild.argmax())}"))
        return self.mean, np.where(deviation <= CONSTANT * np.abs(self.mean), 1.0, deviation)


def learnt(parts: Iterable[Any], n_in: int, n_out: int) -> Scaling:
    """Return the scaling of samples, the kernels' data in the units of X and y.

    Parameters
    ----------
    parts : all samples, in parts
    n_in : n_1
    n_out : n_L if the targets are scaled, otherwise 0
    """
    of_X, of_y = Moments("X", n_in), Moments("y", n_out)
    for data in parts:
        of_X.add(data.X, data.weights)
        if n_out:
            of_y.add(data.targets, data.weights)
    return Scaling(*of_X.read(), *(of_y.read() if n_out else ()))


def _scaled(argument: str, values: Array, mean: Array, deviation: Array, dtype: np.dtype[Any]) -> Array:
    """Return (values − mean) / deviation, computed in float64, as a new array of the dtype."""
    scaled = np.empty(values.shape, dtype)
    step = max(1, AT_ONCE // values.shape[1])
    with np.errstate(over="ignore"):
        for start in range(0, len(values), step):
            scaled[start : start + step] = (values[start : start + step] - mean) / deviation
    if not is_finite(scaled.reshape(-1)):
        row, column = map(int, np.argwhere(~np.isfinite(scaled))[0])
        came = f"{values[row, column]:g} in row {row}, column {column}"
        expected = f"numbers that standardize=True can scale by the deviation of training, {deviation[column]:g}"
        raise ValueError(_checks.wrong(argument, expected, came))
    return scaled
