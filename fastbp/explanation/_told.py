"""What contributions consist of: their numbers, and for each sample what the text and the page say about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MOST = 15  # the most parts of a sample that are shown; the others are added up


@dataclass(frozen=True)
class Told:
    """A sample in words.

    Attributes
    ----------
    label : what the sample is called, such as "row 3"
    explained : what the contributions explain, such as "The probability of setosa"
    cells : the text in each column; none if unknown
    prediction : the class or the number that is predicted; "" if `explained` says it
    probabilities : classes and their probabilities, largest first; none for numbers
    target : the text in the target's column, "" if missing; None if there is no such column
    notes : further sentences
    """

    label: str
    explained: str
    cells: tuple[str, ...] = ()
    prediction: str = ""
    probabilities: tuple[tuple[str, float], ...] = ()
    target: str | None = None
    notes: tuple[str, ...] = ()


class Part(NamedTuple):
    """One contribution: of an input or a column, with the text in its cell ("" if unknown), or of several together."""

    name: str
    cell: str
    value: float


@dataclass(frozen=True, eq=False)
class Shares:
    """The fields of `Contributions`, whose docstring describes them; text and HTML are made from these."""

    names: tuple[str, ...]
    values: Array = field(repr=False)
    outputs: Array = field(repr=False)
    baseline_outputs: Array = field(repr=False)
    chosen: Array = field(repr=False)
    told: tuple[Told, ...] = field(repr=False)
    kind: str = "input"
    baseline_name: str = "the baseline"

    @property
    def differences(self) -> Array:
        """For each sample, how far the sum of the contributions is from what it should be, (m,)."""
        difference: Array = self.values.sum(axis=1) - (self.outputs - self.baseline_outputs)
        return difference

    def parts(self, i: int, most: int = MOST) -> list[Part]:
        """Return the largest contributions to sample i, largest first, and the sum of the others."""
        cells = self.told[i].cells or ("",) * len(self.names)
        return self._largest(self.values[i], cells, most)

    def averages(self, most: int = MOST) -> list[Part]:
        """Return the averages of the absolute contributions over the samples in the same way."""
        return self._largest(np.abs(self.values).mean(axis=0), ("",) * len(self.names), most)

    def _largest(self, values: Array, cells: tuple[str, ...], most: int) -> list[Part]:
        order = np.argsort(-np.abs(values), kind="stable")
        shown = order if len(order) <= most + 1 else order[:most]
        parts = [Part(self.names[j], cells[j], float(values[j])) for j in shown]
        if others := len(order) - len(shown):
            parts.append(Part(f"{others} others together", "", float(values[order[most:]].sum())))
        return parts
