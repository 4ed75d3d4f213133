"""A column of dates: what the model file stores about it, and the inputs that its values become."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import check_fields, refused
from .fields import are_finite, arguments, check_range, duplicates, with_defaults

Array = npt.NDArray[Any]

FORMAT = re.compile(r"(?=.*%)(?:%[YymdbBaAHIMSfp]|[^%]){1,99}")  # as in strptime
CYCLES = {"month": 12.0, "weekday": 7.0, "hour": 24.0}
PARTS = ("days", "year", "month", "day", "weekday", "hour")  # of a date


@dataclass(frozen=True)
class Dates:
    """A column of dates and times, or of times of day: elapsed days and parts of dates, each scaled.

    Attributes
    ----------
    name : name of the column
    format : how texts are read, as in `datetime.strptime`, or "ISO8601"
    parts : the parts that become inputs, of PARTS; month, weekday and hour become sine and cosine
    means, deviations : of each input, before scaling
    fill : whether a missing date is replaced by the mean, instead of refused
    indicator : whether an input of its own says that a date is missing
    low, high : the range of training, in days since 1970
    lenient : whether to warn that a missing date is replaced, because training had none
    note : what training noticed about the column
    """

    name: str
    format: str
    parts: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    fill: bool
    indicator: bool
    low: float
    high: float
    lenient: bool = False
    note: str = ""

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return len(self.means) + self.indicator

    @property
    def input_names(self) -> tuple[str, ...]:
        """One text for each input."""
        names: list[str] = []
        for part in self.parts:
            names += [f"{part}, sine", f"{part}, cosine"] if part in CYCLES else [part]
        return tuple(f"{self.name}: {name}" for name in [*names, *(["missing"] if self.indicator else [])])

    @property
    def baseline(self) -> Array:
        """The (width,) inputs of a row that says nothing."""
        return np.zeros(self.width)

    @property
    def words(self) -> str:
        """What the column is, for people."""
        shown = "ISO 8601" if self.format == "ISO8601" else self.format
        if "days" in self.parts:
            first, last = (str(np.datetime64(math.floor(days), "D")) for days in (self.low, self.high))
            shown += f", {first} to {last}"
        gaps = ["missing values have an input"] if self.indicator else []
        return "; ".join([shown, f"as {', '.join(self.parts)}", *([self.note] if self.note else []), *gaps])

    def rows(self, days: Array) -> Array:
        """Return the (u, width) inputs of dates, in days since 1970; NaN is a missing one."""
        gone = np.isnan(days)
        width = self.high - self.low
        raw = parts_of(np.clip(np.where(gone, self.low, days), self.low - width, self.high + width), self.parts)
        rows = np.zeros((len(days), self.width))
        rows[:, : len(self.means)] = (raw - self.means) / self.deviations
        rows[gone] = 0
        if self.indicator:
            rows[:, -1] = gone
        return rows

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Dates:
        """Return the column in a record from a file, as in `Table.from_record`."""
        earlier = [field.name for field in fields(cls) if field.default is MISSING]
        record = with_defaults(cls, record, tuple(earlier))
        kinds: dict[str, tuple[type, ...]] = {"kind": (str,), "name": (str,), "format": (str,), "parts": (list,)}
        kinds |= {"means": (list,), "deviations": (list,), "fill": (bool,), "indicator": (bool,)}
        kinds |= {"low": (float,), "high": (float,), "lenient": (bool,), "note": (str,)}
        check_fields("a column", record, kinds)
        name, parts = _checks.shown(record["name"]), record["parts"]
        if not parts or any(type(part) is not str or part not in PARTS for part in parts) or duplicates(parts):
            raise refused(_checks.shown(parts), f"different parts among {', '.join(PARTS)} of {name}")
        n_inputs = len(parts) + sum(part in CYCLES for part in parts)
        if not are_finite(record["means"], n_inputs) or not are_finite(record["deviations"], n_inputs, above=0.0):
            raise refused("others", f"{n_inputs} finite means and deviations > 0 of {name}")
        check_range(record)
        if record["format"] != "ISO8601" and not FORMAT.fullmatch(record["format"]):
            raise refused(_checks.shown(record["format"]), f"a format of dates of {name}")
        return cls(**arguments(record))


def parts_of(days: Array, parts: Sequence[str]) -> Array:
    """Return the inputs of dates before scaling, (n, number of inputs). Days since 1970 are finite."""
    moments = (days * 86_400.0).round().astype("datetime64[s]")
    months = moments.astype("datetime64[M]")
    whole = moments.astype("datetime64[D]")
    values: dict[str, Callable[[], Array]] = {
        "days": lambda: days,
        "year": lambda: moments.astype("datetime64[Y]").astype(np.int64) + 1970.0,
        "month": lambda: months.astype(np.int64) % 12.0,
        "day": lambda: (whole - months.astype("datetime64[D]")).astype(np.int64) + 1.0,
        "weekday": lambda: (whole.astype(np.int64) + 3) % 7.0,
        "hour": lambda: (moments - whole).astype(np.int64) / 3600.0,
    }
    inputs: list[Array] = []
    for part in parts:
        value = values[part]()
        if part in CYCLES:
            angle = value * (2 * np.pi / CYCLES[part])
            inputs += [np.sin(angle), np.cos(angle)]
        else:
            inputs.append(value)
    return np.stack(inputs, axis=1)
