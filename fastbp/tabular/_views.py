"""Views of a table: the features that a configuration's networks see."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._files.columns import Categories, Column
from ..tables import RawColumns, n_numbers
from ._blocks import Block, Fourier, Logs, Lookup, Missing, Pieces, Rank, Scaled, signed_log
from ._means import mean_targets

Array = npt.NDArray[Any]

MANY = 20  # categories, from which on a column becomes mean targets in a view that has them
FEWEST = 4  # pieces or frequencies
FEW = 10  # a number with so many different values needs no rank, logarithm or pieces
RANK_KNOTS = 129
LEAST = 1e-3  # the first and the last rank are so far from 0 and 1
ROWS = 2048  # rows that are written together, so that they stay in the cache
SPREAD = 4.0  # the ratio of the 95th and the 5th percentile of |x| from which a logarithm says more than the number


@dataclass(frozen=True)
class ViewSpec:
    """What a view has.

    Attributes
    ----------
    scaled : whether numbers are scaled by their quartiles, with a smooth clip
    rank : whether numbers become normal scores of their ranks
    log : whether numbers with a wide range become logarithms
    pieces : the number of pieces of the piecewise-linear encoding, or 0
    fourier, sigma : the number of random Fourier features of each number, or 0, and the deviation of their frequencies
    means : whether columns of many categories become mean targets; all others become one-hot features
    seed : of the frequencies, and of the order in which mean targets are computed
    """

    scaled: bool = True
    rank: bool = False
    log: bool = False
    pieces: int = 0
    fourier: int = 0
    sigma: float = 0.5
    means: bool = False
    seed: int = 0


@dataclass(frozen=True)
class View:
    """Features of rows, fixed by the training rows.

    Attributes
    ----------
    blocks : the features, in order
    """

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Number of features."""
        return sum(block.width for block in self.blocks)

    @property
    def n_scaled(self) -> int:
        """How many of the first features are scaled numbers."""
        first = self.blocks[0] if self.blocks else None
        return first.width if isinstance(first, Scaled) else 0

    def matrix(self, raw: RawColumns) -> Array:
        """Return the features of rows, (n, width) of float32."""
        X = np.empty((len(raw), self.width), np.float32)
        for start in range(0, len(raw), ROWS):
            rows = slice(start, start + ROWS)
            part, first = raw.take(rows), 0
            for block in self.blocks:
                block.write(part, X[rows, first : first + block.width])
                first += block.width
        return X


def estimated_width(spec: ViewSpec, columns: tuple[Column, ...]) -> int:
    """Return about how many features a view has, at most."""
    categories = _categories(columns)
    numbers = sum(n_numbers(column) for column in columns)
    each = spec.scaled + spec.rank + spec.log + spec.pieces + spec.fourier
    wide = [column for column in categories if not (spec.means and len(column.places) > MANY)]
    return numbers * each + sum(column.width for column in wide) + len(categories) - len(wide) or 1


def within(spec: ViewSpec, columns: tuple[Column, ...], width: int) -> ViewSpec:
    """Return a view with at most about so many features: with fewer pieces, frequencies and kinds of features."""
    while estimated_width(spec, columns) > width:
        if spec.pieces or spec.fourier:
            pieces, fourier = (n // 2 if n >= FEWEST else 0 for n in (spec.pieces, spec.fourier))
            spec = replace(spec, scaled=True, pieces=pieces, fourier=fourier)
        elif spec.rank or spec.log:
            spec = replace(spec, scaled=True, log=spec.log and spec.rank, rank=False)
        elif not spec.means:
            spec = replace(spec, means=True)  # in place of a feature for each category
        else:
            return spec
    return spec


def fitted(
    spec: ViewSpec, columns: tuple[Column, ...], raw: RawColumns, targets: Array | None = None
) -> tuple[View, Array]:
    """Return a view, and the features of the training rows, whose mean targets contain only those of other rows.

    Parameters
    ----------
    spec : what the view has
    columns : what each column is
    raw : the values of the training rows
    targets : (n, w) standardized targets, or whether a row has each class, if the view has mean targets
    """
    categories = _categories(columns)
    with_means = [j for j, column in enumerate(categories) if targets is not None and len(column.places) > MANY]
    blocks = [*_number_blocks(spec, raw), *_one_hot_blocks(categories, with_means)]
    means, rng = [], np.random.default_rng(spec.seed)
    for j in with_means:
        means.append(mean_targets(j, raw.places[j], len(categories[j].places) + 2, cast(Array, targets), rng))
    view = View((*blocks, *(each.block for each in means)))
    X = view.matrix(raw)
    first = sum(block.width for block in blocks)
    for each in means:
        X[:, first : first + each.block.width] = each.ordered
        first += each.block.width
    return view, X


def _categories(columns: tuple[Column, ...]) -> list[Categories]:
    return [column for column in columns if isinstance(column, Categories)]


def _one_hot_blocks(categories: list[Categories], with_means: Collection[int]) -> Iterator[Block]:
    """Yield the one-hot features of categories; rare ones share one, and two share one of −1 and 1.

    Columns with mean targets get none. A model that knows a row's category, too, would learn from its mean target what
    the rows before it were, and with them the targets of rows that validate.
    """
    for j, column in enumerate(categories):
        if j in with_means:
            continue
        u, named = len(column.places), len(column.categories)
        codes = np.append(np.arange(u), (u, u))
        codes[named:u], codes[u:] = -1, (-2, -1)  # OTHER and ABSENT
        values = replace(column, statistics=()).rows(codes).astype(np.float32)
        if values.shape[1]:
            yield Lookup(j, values)


def _number_blocks(spec: ViewSpec, raw: RawColumns) -> Iterator[Block]:
    """Yield the features of numbers."""
    numbers = raw.numbers
    if not len(numbers):
        return
    scaled, several = scaled_numbers(numbers), [len(np.unique(x[np.isfinite(x)][:10_000])) > FEW for x in numbers]
    if spec.scaled:
        yield scaled
    if gaps := [j for j, x in enumerate(numbers) if np.isnan(x).any()]:
        yield Missing(np.array(gaps))
    wide = np.array([j for j, x in enumerate(numbers) if several[j] and _is_wide(x)], np.int64)
    if spec.log and len(wide):
        yield _logs(numbers, wide)
    for j, x in enumerate(numbers):
        known = x[~np.isnan(x)]
        if spec.rank and (several[j] or not spec.scaled):
            yield _rank(j, known)
        if spec.pieces and (knots := _knots(known, spec.pieces)) is not None:
            yield Pieces(j, knots)
    if spec.fourier:
        rng = np.random.default_rng(spec.seed)
        shape = len(numbers), spec.fourier
        yield Fourier(scaled, rng.normal(0, spec.sigma, shape), rng.uniform(-np.pi, np.pi, shape))


def scaled_numbers(numbers: Array) -> Scaled:
    """Return the scaling of numbers, (p, n), by the quartiles."""
    pairs = np.array([quartiles_of(x) for x in numbers])
    return Scaled(np.arange(len(numbers)), pairs[:, 0].copy(), pairs[:, 1].copy())


def quartiles_of(x: Array) -> tuple[float, float]:
    """Return the median, and 1 / the distance of the quartiles: if they are equal, 2 / the range, or 0 without one."""
    known = x[~np.isnan(x)]
    if not len(known):
        return 0.0, 0.0
    low, first, median, third, high = np.quantile(known, [0, 0.25, 0.5, 0.75, 1]).tolist()
    width = third - first or (high - low) / 2
    return median, 1 / width if width > 0 else 0.0


def _is_wide(x: Array) -> bool:
    """Return whether a logarithm says more than the number."""
    sizes = np.abs(x[~np.isnan(x)])
    low, high = np.quantile(sizes[sizes > 0], [0.05, 0.95])
    return bool(high > SPREAD * low)


def _logs(numbers: Array, columns: Array) -> Logs:
    units, centers, deviations = np.ones(len(columns)), np.zeros(len(columns)), np.ones(len(columns))
    for i, j in enumerate(columns):
        known = numbers[j][~np.isnan(numbers[j])]
        sizes = np.abs(known[known != 0])
        units[i] = np.quantile(sizes, 0.05) / (10 if (known > 0).all() else 1)
        z = signed_log(known, units[i])
        centers[i], deviations[i] = z.mean(), z.std() or 1.0
    return Logs(columns, units, centers, 1 / deviations)


def _rank(column: int, known: Array) -> Rank:
    """Return the normal scores of ranks, with deviation 1 over the rows."""
    values, counts = np.unique(known, return_counts=True)
    above = np.cumsum(counts)
    ranks = (above - counts / 2) / above[-1]
    places = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], RANK_KNOTS)))
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(min(max(rank, LEAST), 1 - LEAST)) for rank in ranks[places].tolist()])
    every = np.interp(values, values[places], scores)
    mean = np.average(every, weights=counts)
    deviation = np.sqrt(np.average((every - mean) ** 2, weights=counts)) or 1.0
    return Rank(column, values[places], (scores - mean) / deviation)


def _knots(known: Array, pieces: int) -> Array | None:
    """Return the ends of pieces with equally many rows, or None for a number with one value.

    A value that c rows have counts as √c rows. Where most rows have the same value, such as 0, the other values
    therefore get most of the pieces, not only one.
    """
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= pieces + 1:
        return values if len(values) > 1 else None
    places = np.cumsum(np.sqrt(counts))
    ends = np.linspace(places[0], places[-1], pieces + 1)
    return np.unique(np.interp(ends, places, values))
