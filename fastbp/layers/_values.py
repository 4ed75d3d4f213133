"""The initial values of the parameters of a network of layers, and the edges of bins from data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..initializers import half_widths, initialize
from ._lowering import First

Array = npt.NDArray[Any]

ROWS = 1 << 20  # the most rows whose quantiles are computed


def fill(
    firsts: Sequence[First], views: Sequence[Array], initializer: Any, epsilon: float | str, rng: np.random.Generator
) -> None:
    """Write the initial values of the parameters into views of them, in order.

    Parameters
    ----------
    firsts, views : one for each parameter
    initializer, epsilon : as in `Trainer`, for weights without an initializer of their own
    rng : random generator

    Raises
    ------
    ValueError, TypeError
        For a bad initializer.
    """
    if isinstance(initializer, tuple | list):
        _fill_dense(firsts, views, initializer, rng)
    for i, first in enumerate(firsts):
        if first.kind == "weight" and not isinstance(initializer, tuple | list):
            bias = [views[i + 1]] if firsts[i + 1].kind == "bias" else []
            width = _half_width(first, views[i].shape, epsilon)
            initialize(first.initializer or initializer, [views[i]], bias, [width], rng)
        elif first.kind == "constant":
            views[i][...] = first.size
        elif first.kind == "normal":
            views[i][...] = rng.normal(0, first.size, views[i].shape)
        elif first.kind == "uniform":
            views[i][...] = rng.uniform(-first.size, first.size, views[i].shape)
        elif first.kind == "edges":
            views[i][...] = unknown_edges(views[i])


def _fill_dense(firsts: Sequence[First], views: Sequence[Array], given: Any, rng: np.random.Generator) -> None:
    """Copy the user's own arrays into all weights and biases."""
    if any(first.initializer for first in firsts):
        expected = "a name, because a layer has an initializer of its own"
        raise ValueError(_checks.wrong("initializer", expected, "arrays"))
    weights, biases = (
        [view for first, view in zip(firsts, views, strict=True) if first.kind == kind] for kind in ("weight", "bias")
    )
    initialize(given, weights, biases, [], rng)


def _half_width(first: First, shape: tuple[int, ...], epsilon: float | str) -> float:
    """Return ε of a weight for the initializer "uniform"."""
    n_out, n_in = shape
    sizes, activations = [n_in, n_out], [first.activation]
    if not first.is_last:  # then the rule is that of a hidden layer, behind which another stands
        sizes, activations = [*sizes, 1], [*activations, "identity"]
    return half_widths(epsilon, sizes, activations)[0]


def unknown_edges(view: Array) -> Array:
    """Return the edges of bins before the first fit, (bins + 1,)."""
    return np.linspace(-1, 1, view.shape[1]).astype(view.dtype)


def edges_of(numbers: Array, bins: int, dtype: np.dtype[Any]) -> Array:
    """Return the edges of bins that have equally many of the numbers, (columns, bins + 1), increasing in each row.

    A column with fewer different quantiles has fewer bins; the others lie above its maximum, where no row reaches.
    """
    rows = numbers[:: -(-len(numbers) // ROWS)].astype(np.float64)
    quantiles = np.quantile(rows, np.linspace(0, 1, bins + 1), axis=0).T
    return np.stack([_increasing(row.astype(dtype)) for row in quantiles])


def _increasing(row: Array) -> Array:
    """Return numbers that increase: those in a row that differ, and more above them."""
    different = np.unique(row)
    step = max(1.0, float(different[-1] - different[0]), abs(float(different[-1]))) / len(row)
    more = different[-1] + step * np.arange(1, 1 + len(row) - len(different))
    return np.concatenate([different, more]).astype(row.dtype)
