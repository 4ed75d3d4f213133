"""First values of the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

DRAWN_AT_ONCE = 1 << 16  # numbers


def uniform(views: Iterable[npt.NDArray[Any]], epsilon: float, rng: np.random.Generator) -> None:
    """Fill every view with numbers drawn uniformly from [−ε, ε], in the order given.

    Method: method.md, "One mini-batch", last paragraph; it breaks the symmetry between the units of a layer.
    """
    for view in views:
        limit = view.dtype.type(epsilon)
        if limit > epsilon:  # the nearest float32 may lie outside
            limit = np.nextafter(limit, view.dtype.type(0))
        rows = np.atleast_2d(view)  # drawn a few at a time, in float64: a second Θˡ would be the peak of memory
        some = max(1, DRAWN_AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), some):
            part = rows[start : start + some]
            part[...] = np.clip(rng.uniform(-epsilon, epsilon, part.shape).astype(view.dtype), -limit, limit)
