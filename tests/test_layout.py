from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from fastbp._engine.layout import LINE, Layout, aligned_zeros, padded, up_to
from fastbp._kernels.codes import Layer, Objective
from fastbp._kernels.levels import LEVELS, REGISTER
from fastbp._kernels.shapes import strip
from fastbp._kernels.tuning import HEIGHT, LONG, WIDE

from .cases import ARCHITECTURES


@pytest.mark.parametrize("sizes", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("itemsize", [4, 8])
def test_views_cover_the_buffer_without_overlap(sizes, itemsize):
    layout = Layout(sizes, itemsize)
    buffer = aligned_zeros(layout.size, np.float32)
    for view in layout.weight_views(buffer) + layout.bias_views(buffer):
        view[...] += 1
    assert set(np.unique(buffer)) <= {0, 1}
    assert buffer.sum() == sum((n + 1) * n_next for n, n_next in pairwise(sizes))
    for l, view in enumerate(layout.weight_views(buffer)):
        assert view.shape == (sizes[l + 1], sizes[l])
        assert np.shares_memory(view, buffer)


@pytest.mark.parametrize("itemsize", [4, 8])
def test_rows_are_padded_to_the_narrowest_part_of_a_register_that_holds_them(itemsize):
    lanes = REGISTER // itemsize
    for n in (*range(1, 70), 127, 128, 129, 511, 512, 513, 1024):
        width = padded(n, itemsize)
        assert n <= width < n + max(lanes, 2 * LINE // itemsize)
        assert width % lanes == 0 or width in (lanes // 2, lanes // 4)
        if width * itemsize > LONG:
            assert width * itemsize // LINE % 2 == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_part_starts_on_a_cache_line(dtype):
    layout = Layout((3, 17, 1), np.dtype(dtype).itemsize)
    assert aligned_zeros(layout.size, dtype).ctypes.data % LINE == 0
    assert all(start * np.dtype(dtype).itemsize % LINE == 0 for start in layout.weights)


@pytest.mark.parametrize("level", LEVELS)
def test_each_thread_has_room_for_its_transposed_rows(level):
    """`errors_turned` begins at the thread's first row, and has its rows up to the next whole vector."""
    code = """
from fastbp._engine.layout import Layout, up_to
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.shapes import strip
from fastbp._kernels.tuning import HEIGHT
for itemsize in (4, 8):
    width, layout = REGISTER // itemsize, Layout((3, 5, 6, 2), itemsize)
    p, p_next = layout.widths[1:3]
    for rows in range(1, 300):
        row = up_to(rows, width)
        assert row <= -(-rows // HEIGHT) * strip(width)
        assert layout._mirror(1, rows) >= p * p_next + row * (p + p_next)
"""
    environment = {**os.environ, "FASTBP_BUILD_LEVEL": level}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize("rows", [1, 7, 8, 96, 100])
@pytest.mark.parametrize("sizes", [*ARCHITECTURES, (99, 600, 300, 530), (700, 900, 10)], ids=str)
def test_the_parts_of_a_workspace_do_not_overlap(sizes, rows):
    layout = Layout(sizes, 4)
    machine, size = layout.machine((1,) * (len(sizes) - 1), Objective(0), True, rows)
    rows = up_to(rows, HEIGHT)
    layers = [Layer(*row) for row in machine.layers.reshape(len(sizes), -1)]
    parts = [(layer.a, rows * layer.width) for layer in layers]
    parts += [(layer.delta, rows * layer.width) for layer in layers[1:]]
    turned = rows // HEIGHT * strip(REGISTER // 4)  # numbers in each row of δ transposed
    for layer, above in pairwise(layers[1:]):
        narrow = max(layer.width, above.width) * 4 < WIDE
        parts += [(layer.mirror, layer.width * above.width + narrow * turned * (layer.width + above.width))]
    parts += [(machine.zeros, 2 * REGISTER // 4), (machine.targets, rows * layers[-1].width)]
    parts += [(machine.weights, rows * layers[-1].width), (machine.parameter, HEIGHT * layers[-1].width)]
    parts += [(machine.mask, HEIGHT * layers[-1].width), (machine.packed, 0)]
    parts.sort()
    for (start, length), (following, _) in pairwise([*parts, (size, 0)]):
        assert start + length <= following


def test_packed_is_the_methods_order_whatever_the_vectors():
    packed = np.arange(3.0 * 2 + 3 + 3 + 1)
    for itemsize in (4, 8):
        layout = Layout((2, 3, 1), itemsize)
        buffer = aligned_zeros(layout.size, np.float64)
        layout.unpack(packed, buffer)
        np.testing.assert_array_equal(layout.weight_views(buffer)[0], [[0, 1], [2, 3], [4, 5]])
        np.testing.assert_array_equal(layout.bias_views(buffer)[0], [6, 7, 8])
        np.testing.assert_array_equal(layout.pack(buffer), packed)
