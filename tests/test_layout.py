from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fastbp._layout import ALIGNMENT, Layout, aligned_zeros

from .cases import ARCHITECTURES


@pytest.mark.parametrize("sizes", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
def test_views_cover_the_buffer_without_overlap(sizes, lanes):
    layout = Layout(sizes, lanes)
    buffer = aligned_zeros(layout.size, np.float32)
    for view in layout.weight_views(buffer) + layout.bias_views(buffer):
        view[...] += 1
    assert set(np.unique(buffer)) <= {0, 1}
    assert buffer.sum() == sum((n + 1) * n_next for n, n_next in pairwise(sizes))
    for l, view in enumerate(layout.weight_views(buffer)):
        assert view.shape == (sizes[l + 1], sizes[l])
        assert np.shares_memory(view, buffer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_start_on_whole_vectors(dtype):
    lanes = ALIGNMENT // np.dtype(dtype).itemsize
    layout = Layout((3, 17, 1), lanes)
    buffer = aligned_zeros(layout.size, dtype)
    assert buffer.ctypes.data % ALIGNMENT == 0
    assert all(start % lanes == 0 for start in (*layout.weights, *layout.biases))
    assert layout.widths == (lanes, -(-17 // lanes) * lanes, lanes)


def test_packed_is_the_methods_order_whatever_the_lanes():
    packed = np.arange(3.0 * 2 + 3 + 3 + 1)
    for lanes in (1, 4, 16):
        layout = Layout((2, 3, 1), lanes)
        buffer = aligned_zeros(layout.size, np.float64)
        layout.unpack(packed, buffer)
        np.testing.assert_array_equal(layout.weight_views(buffer)[0], [[0, 1], [2, 3], [4, 5]])
        np.testing.assert_array_equal(layout.bias_views(buffer)[0], [6, 7, 8])
        np.testing.assert_array_equal(layout.pack(buffer), packed)
