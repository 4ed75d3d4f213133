"""First values of the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt


def uniform(views: Iterable[npt.NDArray[Any]], epsilon: float, rng: np.random.Generator) -> None:
    """Fill every view with numbers drawn uniformly from [−ε, ε], in the order given.

    Method: method.md, "One mini-batch", last paragraph; it breaks the symmetry between the units of a layer.
    """
    for view in views:
        limit = view.dtype.type(epsilon)
        if limit > epsilon:  # the nearest float32 may lie outside
            limit = np.nextafter(limit, view.dtype.type(0))
        view[...] = np.clip(rng.uniform(-epsilon, epsilon, view.shape).astype(view.dtype), -limit, limit)
