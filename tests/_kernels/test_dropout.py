"""Dropout's hash: the reference's masks, the right rate, no pattern."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp._kernels import dropout
from fastbp._kernels.codes import Operand, Share
from fastbp._kernels.llvm import at
from tests._kernels.compiled import kernel
from tests._kernels.rows import in_memory, lengths
from tests.cases import DTYPES

SIZES = [(dtype, n) for dtype in DTYPES for n in lengths(dtype)]


@kernel
def drop(a, slope, share, n, rate, batch, layer, seed):
    dropout.drop_out(Operand(at(a, 0), a.shape[1], 1), at(slope, 0), share, n, rate, batch, layer, seed)


def dropped(rows, n, rate, dtype, batch=3, layer=2, seed=2**63 + 7, row=0):
    """a and f′ of ones, and of twos."""
    a, slope = in_memory(np.ones((rows, n)), dtype), in_memory(np.full((rows, n), 2.0), dtype)
    share = Share(row, rows, 0, n)
    drop(a, slope, share, n, rate, batch, layer, np.uint64(seed))
    return a[:rows, :n], slope[:rows, :n]


@pytest.mark.parametrize(("dtype", "n"), SIZES)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.93])
def test_masks_are_the_references(rate, dtype, n):
    a, slope = dropped(5, n, rate, dtype)
    mask = reference.dropout_mask(rate, 2**63 + 7, 3, 2, 5, n)
    np.testing.assert_allclose(a, mask, rtol=1e-6)
    np.testing.assert_array_equal(slope, 2 * a)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_the_rate_is_kept_in_every_row_and_column_and_from_batch_to_batch(rate):
    kept = np.array([dropped(300, 67, rate, "float32", batch)[0] > 0 for batch in range(40)])
    for axes in ((0, 1), (0, 2), (1, 2)):
        count = np.prod([kept.shape[axis] for axis in axes])
        assert np.abs(kept.mean(axis=axes) - (1 - rate)).max() < 5 * np.sqrt(rate * (1 - rate) / count)


def test_neighbours_are_independent():
    kept = np.array([dropped(300, 67, 0.5, "float32", batch, layer)[0] > 0 for batch in range(8) for layer in (2, 3)])
    flat = kept.astype(float) - 0.5
    for other in (np.roll(flat, 1, 0), np.roll(flat, 1, 1), np.roll(flat, 1, 2), np.roll(flat, 16, 2)):
        assert abs((flat * other).mean()) * 4 < 5 / np.sqrt(flat.size)


def test_a_blocks_rows_are_the_batchs():
    whole, _ = dropped(20, 33, 0.4, "float64")
    late, _ = dropped(8, 33, 0.4, "float64", row=12)
    np.testing.assert_array_equal(late, whole[12:])
