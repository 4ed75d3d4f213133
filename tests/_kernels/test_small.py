"""Tiny networks, whose batches go through squares of 4 units and 4 samples: the reference's weights at every size."""

from __future__ import annotations

import pytest

from tests._kernels.test_epoch import assert_epochs_equal_reference
from tests.cases import DTYPES, Case


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [1, 3, 4, 7, 16, 27, 32])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 2, 1), (4, 8, 3), (5, 3, 9, 2), (13, 20, 4)], ids=str)
def test_batches_of_every_size_equal_reference(sizes, m, dtype):
    """Whole batches and a short last one: no square is left out, and none counts twice."""
    assert_epochs_equal_reference(Case(sizes, "tanh", "sigmoid", dtype=dtype, n=2 * m + m // 2), m, {}, {})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("use_bias", [True, False])
def test_every_parameter_moves(use_bias, dtype):
    case = Case((5, 3, 9, 2), "tanh", "sigmoid", dtype=dtype, use_bias=use_bias)
    trainer = case.trainer(batch_size=4)
    before = trainer.get_weights()
    trainer.fit(*case.data(), verbose=0)
    moved = [(a != b).all() for a, b in zip(trainer.get_weights(), before, strict=True)]
    assert all(moved)
