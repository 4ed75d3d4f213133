"""The inputs of a RealMLP: scaled numbers, one-hot features, and categories that become embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files.columns import Categories, Column
from ..tables import RawColumns
from ._blocks import Block, Codes, Lookup, Missing, clipped
from ._views import View, quartiles_of, scaled_numbers

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Features:
    """What a network sees of a table, fixed by the training rows.

    Attributes
    ----------
    view : n_numbers scaled numbers, n_others features that are not embedded, and a column for each of the categories
    n_numbers, n_others : numbers of these columns
    categories : how many categories each other column has, one of them for a missing or a new one
    """

    view: View
    n_numbers: int
    n_others: int
    categories: tuple[int, ...]

    @property
    def n_plain(self) -> int:
        """Number of the columns that are numbers."""
        return self.n_numbers + self.n_others

    @classmethod
    def fit(cls, columns: tuple[Column, ...], raw: RawColumns, most: int) -> Features:
        """Return the features of a table.

        Parameters
        ----------
        columns : what each column is
        raw : the values of the training rows
        most : categories of a column, the missing one counted, that are one-hot features; more become an embedding
        """
        blocks: list[Block] = []
        if len(raw.numbers):
            blocks.append(scaled_numbers(raw.numbers))
        n_numbers = sum(block.width for block in blocks)
        if gaps := [j for j, x in enumerate(raw.numbers) if np.isnan(x).any()]:
            blocks.append(Missing(np.array(gaps)))
        counts = [len(column.places) + 1 for column in columns if isinstance(column, Categories)]
        blocks += _one_hot([(j, count) for j, count in enumerate(counts) if count <= most], raw)
        n_others = sum(block.width for block in blocks) - n_numbers
        many = [(j, count) for j, count in enumerate(counts) if count > most]
        blocks += [Codes(j, count) for j, count in many]
        return cls(View(tuple(blocks)), n_numbers, n_others, tuple(count for _, count in many))

    @classmethod
    def of_view(cls, view: View) -> Features:
        """Return the features that have this view."""
        codes = [block.count for block in view.blocks if isinstance(block, Codes)]
        n_plain = view.width - len(codes)
        return cls(view, view.n_scaled, n_plain - view.n_scaled, tuple(codes))


def _one_hot(columns: list[tuple[int, int]], raw: RawColumns) -> Iterator[Lookup]:
    """Yield the one-hot features of columns with so many categories, the missing one counted, scaled like numbers."""
    for j, count in columns:
        values = one_hot(count)
        rows = values[raw.places[j]]
        for k, x in enumerate(rows.T):
            center, factor = quartiles_of(x)
            values[:, k] = clipped((values[:, k] - center) * factor)
        yield Lookup(j, values.astype(np.float32))


def one_hot(count: int) -> Array:
    """Return the features of each category of a column, of a missing one, and of a new one, (count + 1, w).

    Two categories share a feature, 1 and −1. A missing one has 0 in all features; −1 if there is only one category.
    count: categories, the missing one counted.
    """
    if count == 2:
        return np.array([[1.0], [-1.0], [-1.0]])
    if count == 3:
        return np.array([[1.0], [-1.0], [0.0], [0.0]])
    return np.vstack([np.eye(count - 1), np.zeros((2, count - 1))])
