"""The inputs of an ONNX model of an ensemble: raw columns, and the numbers and places that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .._files.cells import MISSING
from .._files.columns import Categories, Column, Dates
from .._files.dates import CYCLES
from ..interop.onnx import Graph
from ..tables import WAVE_DIGITS, limits_of

ML = "ai.onnx.ml"  # the operators for text
EPOCH = 719_468.0  # days from the 1st of March of the year 0 to 1970


class Inputs:
    """The inputs of a graph, and what they become.

    Parameters
    ----------
    graph : of numbers of 64 bits
    columns : what each raw column is

    Attributes
    ----------
    inputs : of the model, one for each column
    numbers : the rows of `RawColumns.numbers`, (n, 1) each
    places : the rows of `RawColumns.places`, (n,) each
    """

    def __init__(self, graph: Graph, columns: Sequence[Column]) -> None:
        self._graph = graph
        self.inputs: list[Any] = []
        self.places: list[str] = []
        found = [name for column in columns for name in self._column(column)]
        ends = zip(found, *limits_of(columns), strict=True)
        self.numbers = [self._number(name, float(low), float(high)) for name, low, high in ends]

    def _number(self, name: str, low: float, high: float) -> str:
        """Return a number as `raw_columns` returns it: infinity is missing, and others lie within limits."""
        add = self._graph.add
        x = add("Where", add("IsInf", name), np.nan, name)
        if np.isfinite(low):
            x = add("Where", add("Less", x, low), low, x)
            x = add("Where", add("Greater", x, high), high, x)
        return x

    def _column(self, column: Column) -> list[str]:
        """Add the input of a column. Return the numbers that it becomes, (n, 1) each."""
        is_text = isinstance(column, Categories)
        kind = TensorProto.STRING if is_text else TensorProto.DOUBLE
        self.inputs.append(helper.make_tensor_value_info(column.name, kind, ["batch", 1]))
        if isinstance(column, Categories):
            self.places.append(self._places(column))
            return []
        return self._parts(column) if isinstance(column, Dates) else [column.name]

    def _places(self, column: Categories) -> str:
        """Return the places of categories, (n,), as in `RawColumns.places`."""
        known, u = column.places, len(column.places)
        gone = u if column.fill is None else known[column.fill]
        others = {other: column.place(other) for text in known for other in _spellings(text)}
        found = {other: place for other, place in others.items() if place >= 0}
        found |= dict.fromkeys(("", *MISSING), gone) | known
        value = f"fastbp.place_{len(self.places)}"
        options = {"keys_strings": list(found), "values_int64s": list(found.values()), "default_int64": u + 1}
        node = helper.make_node("LabelEncoder", [column.name], [value], name=value, domain=ML, **options)
        self._graph.nodes.append(node)
        return self._graph.add("Reshape", value, self._graph.constant(np.array([-1])))

    def _parts(self, column: Dates) -> list[str]:
        """Return the parts of dates that are given in days since 1970."""
        add = self._graph.add
        days = column.name
        seconds = add("Round", add("Mul", days, 86_400.0))
        whole = add("Floor", add("Div", seconds, 86_400.0))
        year, month, day = self._civil(whole)
        parts: dict[str, Callable[[], str]] = {
            "days": lambda: days,
            "year": lambda: year,
            "month": lambda: month,
            "day": lambda: day,
            "weekday": lambda: self._rest(add("Add", whole, 3.0), 7.0),
            "hour": lambda: add("Div", add("Sub", seconds, add("Mul", whole, 86_400.0)), 3600.0),
        }
        found = []
        for part in column.parts:
            value = parts[part]()
            if part in CYCLES:
                angle = add("Mul", value, 2 * np.pi / CYCLES[part])
                found += [self._rounded(add("Sin", angle)), self._rounded(add("Cos", angle))]
            else:
                found.append(value)
        return found

    def _rounded(self, wave: str) -> str:
        """Return sines as `raw_columns` rounds them."""
        digits = 10.0**WAVE_DIGITS
        return self._graph.add("Div", self._graph.add("Round", self._graph.add("Mul", wave, digits)), digits)

    def _rest(self, x: str, divisor: float) -> str:
        """Return x modulo a number, ≥ 0."""
        whole = self._floored(x, divisor)
        return self._graph.add("Sub", x, self._graph.add("Mul", whole, divisor))

    def _floored(self, x: str, divisor: float) -> str:
        return self._graph.add("Floor", self._graph.add("Div", x, divisor))

    def _civil(self, whole: str) -> tuple[str, str, str]:
        """Return the year, the month 0 … 11 and the day 1 … 31 of days since 1970, by Hinnant's algorithm."""
        add, floored = self._graph.add, self._floored
        z = add("Add", whole, EPOCH)
        era = floored(z, 146_097.0)
        doe = add("Sub", z, add("Mul", era, 146_097.0))  # the day of 400 years
        shorter = add("Sub", add("Sub", doe, floored(doe, 1460.0)), floored(doe, 146_096.0))
        yoe = floored(add("Add", shorter, floored(doe, 36_524.0)), 365.0)
        leaps = add("Sub", floored(yoe, 4.0), floored(yoe, 100.0))
        doy = add("Sub", doe, add("Add", add("Mul", yoe, 365.0), leaps))
        march = floored(add("Add", add("Mul", doy, 5.0), 2.0), 153.0)  # months since March
        day = add("Sub", doy, floored(add("Add", add("Mul", march, 153.0), 2.0), 5.0))
        month = self._rest(add("Add", march, 2.0), 12.0)
        later = add("Cast", add("Less", month, 2.0), to=TensorProto.DOUBLE)  # January and February
        year = add("Add", add("Add", yoe, add("Mul", era, 400.0)), later)
        return year, month, add("Add", day, 1.0)


def _spellings(text: str) -> tuple[str, ...]:
    """Return other texts that tables may have for a category: with a space, with decimals, in other letters."""
    return f" {text}", f"{text} ", f"{text}.0", text.lower(), text.upper()
