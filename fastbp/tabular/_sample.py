"""Some of the training rows, which the model keeps to explain its predictions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns

Array = npt.NDArray[Any]

KEPT = 500  # training rows


class Sample(NamedTuple):
    """Some of the training rows, drawn at random.

    Attributes
    ----------
    raw : their values
    y : (s,) class numbers, or numbers
    weights : (s,) their weights, or None
    folds : (s,) the fold that each validates
    """

    raw: RawColumns
    y: Array
    weights: Array | None
    folds: Array


def drawn(raw: RawColumns, y: Array, weights: Array | None, folds: Array, seed: int) -> Sample:
    """Return at most KEPT random rows, each with the same chance."""
    n, random = len(y), np.random.default_rng(seed)
    rows = np.sort(random.choice(n, KEPT, replace=False)) if n > KEPT else np.arange(n)
    return Sample(raw.take(rows), y[rows], None if weights is None else weights[rows], folds[rows])
