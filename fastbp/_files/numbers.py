"""A column of numbers: what the model file stores about it, and the inputs that its values become."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import check_fields, refused
from .fields import are_finite, arguments, check_range, check_word, with_defaults

Array = npt.NDArray[Any]

NUMBERS = ("plain", "point", "comma", "duration", "magnitude")  # spellings of numbers


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, scaled to mean 0 and standard deviation 1.

    Attributes
    ----------
    name : name of the column
    mean, deviation : before scaling; a constant column has the deviation 1
    fill : whether a missing number is replaced by the mean, instead of refused
    indicator : whether an input of its own says that a number is missing
    spelling : how texts are read: "plain", with a decimal "point" or "comma", with a "magnitude" such as k or M behind
        the number, or as a "duration", in days
    unit : the sign or word beside each number, such as $, % or kg
    low, high : the range of the numbers in training; None for columns of earlier versions
    lenient : whether to warn that a missing number is replaced, because training had none
    knots, scores : some numbers of training and their scaled normal scores, between which the second input, the rank
        of a number, is interpolated; () where the scaled number is the only input
    note : what training noticed about the column
    """

    name: str
    mean: float
    deviation: float
    fill: bool
    indicator: bool = False
    spelling: str = "plain"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    lenient: bool = False
    note: str = ""

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return 1 + bool(self.knots) + self.indicator

    @property
    def input_names(self) -> tuple[str, ...]:
        """One text for each input."""
        more = [f"{self.name}: rank"] if self.knots else []
        return (self.name, *more, *([f"{self.name}: missing"] if self.indicator else []))

    @property
    def baseline(self) -> Array:
        """The (width,) inputs of a row that says nothing."""
        return np.zeros(self.width)

    @property
    def words(self) -> str:
        """What the column is, for people."""
        about = [f"in {self.unit}"] if self.unit and self.spelling != "duration" else []
        about += ["in days"] if self.spelling == "duration" else []
        about += ["with a decimal comma"] if self.spelling == "comma" else []
        about += ["with k, M and the like"] if self.spelling == "magnitude" else []
        if self.low is not None and self.high is not None:
            about.append(f"{self.low:.6g} to {self.high:.6g}")
        about.append(f"mean {self.mean:.6g}")
        gaps = ["missing values have an input"] if self.indicator else []
        return "; ".join([", ".join(about), *([self.note] if self.note else []), *gaps])

    def rows(self, numbers: Array) -> Array:
        """Return the (u, width) inputs of numbers; NaN is a missing one."""
        rows = np.zeros((len(numbers), self.width))
        gone = np.isnan(numbers)
        rows[:, 0] = np.where(gone, 0.0, self.scaled(numbers))
        if self.knots:
            rows[:, 1] = np.where(gone, 0.0, np.interp(numbers, self.knots, self.scores))
        if self.indicator:
            rows[:, -1] = gone
        return rows

    def scaled(self, numbers: Array, *, clamped: bool = True) -> Array:
        """Return numbers as the network sees them. Inputs are clamped to training's range, widened by its width."""
        if clamped and self.low is not None and self.high is not None:
            width = self.high - self.low
            numbers = np.clip(numbers, self.low - width, self.high + width)
        return (numbers - self.mean) / self.deviation

    def unscaled(self, z: Array) -> Array:
        """Return numbers in the column's own units, within the range of training, as float64."""
        numbers = np.asarray(z).astype(np.float64) * self.deviation + self.mean
        return numbers if self.low is None or self.high is None else np.clip(numbers, self.low, self.high)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Numbers:
        """Return the column in a record from a file, as in `Table.from_record`."""
        record = with_defaults(cls, record, ("name", "mean", "deviation", "fill"))
        kinds: dict[str, tuple[type, ...]] = {"kind": (str,), "name": (str,), "mean": (float,), "deviation": (float,)}
        kinds |= {"fill": (bool,), "indicator": (bool,), "spelling": (str,), "unit": (str,)}
        kinds |= {
            "low": (float, type(None)),
            "high": (float, type(None)),
            "knots": (list, tuple),
            "scores": (list, tuple),
            "note": (str,),
            "lenient": (bool,),
        }
        check_fields("a column", record, kinds)
        name, mean, deviation = _checks.shown(record["name"]), record["mean"], record["deviation"]
        if not math.isfinite(mean) or not 0 < deviation < math.inf:
            raise refused(f"{mean}, {deviation}", f"a finite mean and a deviation > 0 of {name}")
        check_range(record)
        check_word(record, "spelling", NUMBERS)
        knots, scores = record["knots"], record["scores"]
        rising = all(a < b for a, b in pairwise(knots)) if are_finite(knots, len(scores)) else False
        if not rising or not are_finite(scores, len(knots)) or len(knots) == 1:
            raise refused(
                f"{_checks.shown(knots)}, {_checks.shown(scores)}", f"rising knots and finite scores of {name}"
            )
        return cls(**arguments(record))
