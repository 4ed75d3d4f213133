"""Which layers and units of a network the picture of a page shows. It folds the others, if there are many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ._records import Array, LayerValues

MOST = 16  # the most layers, and units in a layer, that a picture shows
KEPT = (MOST, 8, 6, 4, 3, 2)  # units of a folded layer, as many as the number of chains allows
ENDS = 4  # layers that are shown at each end of a folded network


Theta = tuple[int, int, int]  # l, j, k of a weight, as in `Derivative`


class Shown(NamedTuple):
    """For each layer the units to show, from 0; none for a folded layer."""

    units: tuple[tuple[int, ...], ...]

    def parameters(self, *, bias: bool) -> Iterator[tuple[int, int, int]]:
        """Yield (l, j, k) of each weight between shown units, as in `Derivative`."""
        for l, (before, after) in enumerate(pairwise(self.units), start=1):
            for j in after:
                for k in (*before, -1) if bias and before else before:
                    yield l, j + 1, k + 1


def shown(
    layers: Sequence[LayerValues], weights: Sequence[Array], most: int, *, bias: bool, asked: Theta | None = None
) -> Shown | None:
    """Return the layers and units to show: those that matter most to J.

    Parameters
    ----------
    layers : their values
    weights : [Θ¹, …]
    most : the most terms of chains, over all samples and weights that are shown
    bias : whether there are bias units
    asked : a weight whose units are shown in any case

    Returns
    -------
    Shown, or None if there are too many samples and no weight is asked for
    """
    m = len(layers[0].a)
    folded = range(0) if len(layers) <= MOST else range(ENDS, len(layers) - ENDS)
    for kept in KEPT:
        counts = [0 if i in folded else _count(layer, kept) for i, layer in enumerate(layers)]
        n = sum((a + bias) * b for a, b in pairwise(counts) if a)
        if m * n <= most:
            kept_units = [_largest(layers, weights, i, count) for i, count in enumerate(counts)]
            return Shown(_with(kept_units, asked))
    return None if asked is None else Shown(_with([()] * len(layers), asked))


def _with(units: Sequence[tuple[int, ...]], asked: Theta | None) -> tuple[tuple[int, ...], ...]:
    """Return the units to show, and those of the weight that is asked for."""
    found = list(units)
    if asked is not None:
        l, j, k = asked
        found[l] = tuple(sorted({*found[l], j - 1}))
        if k or not found[l - 1]:  # a layer shows its bias unit if it shows any other
            found[l - 1] = tuple(sorted({*found[l - 1], max(k - 1, 0)}))
    return tuple(found)


def _count(layer: LayerValues, kept: int) -> int:
    """Return the number of units to show of a layer."""
    n = layer.a.shape[1]
    return n if n <= kept else min(kept, KEPT[1])


def _largest(layers: Sequence[LayerValues], weights: Sequence[Array], i: int, count: int) -> tuple[int, ...]:
    """Return the units whose a times ∂J/∂a is largest, on average over the samples; for the outputs, those with δ."""
    layer = layers[i]
    n = layer.a.shape[1]
    if count in (0, n):
        return tuple(range(count))
    if layer is layers[-1]:
        scores = np.abs(layer.delta).mean(axis=0) if layer.delta is not None else np.zeros(n)
    else:
        delta = layers[i + 1].delta
        assert delta is not None  # only the inputs have none
        scores = np.abs(layer.a * (delta @ weights[i])).mean(axis=0)
    return tuple(sorted(np.argsort(-scores, kind="stable")[:count].tolist()))
