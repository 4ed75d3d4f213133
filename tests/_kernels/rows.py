"""Rows of a layer as the workspace has them: padded, and among what earlier batches left."""

from __future__ import annotations

import numpy as np

from fastbp._engine.layout import padded, up_to
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.tuning import HEIGHT

BEYOND = 7.0  # of the next rows after whole tiles, which are another layer's


def lengths(dtype) -> tuple[int, ...]:
    """Of rows: 1, about a vector and its parts, more than two vectors, a prime, one padded beyond its last vector."""
    lanes = REGISTER // np.dtype(dtype).itemsize
    return tuple(sorted({1, 2, lanes // 4 + 1, lanes // 2, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 67, 500}))


def in_memory(values, dtype, padding=0.0, stale=np.nan) -> np.ndarray:
    """Whole tiles of rows: the values and their padding, then stale rows; and one row BEYOND."""
    rows, n = values.shape
    block = np.full((up_to(rows, HEIGHT) + 1, padded(n, np.dtype(dtype).itemsize)), stale, dtype)
    block[:rows, :n] = values
    block[:rows, n:] = padding
    block[-1] = BEYOND
    return block
