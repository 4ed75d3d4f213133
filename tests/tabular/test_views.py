"""The features that networks see of a table."""

import numpy as np
import pytest

from fastbp.tabular._views import _knots


def test_pieces_of_different_numbers_have_equally_many_rows():
    x = np.random.default_rng(0).exponential(size=1601)
    knots = _knots(x, 16)
    assert knots is not None
    assert len(knots) == 17
    np.testing.assert_allclose(np.histogram(x, knots)[0], 100, atol=1)


def test_numbers_that_are_mostly_zero_have_pieces_for_the_others():
    amounts = np.random.default_rng(0).permutation(np.arange(1, 101))
    knots = _knots(np.concatenate([np.zeros(900), amounts]).astype(np.float32), 8)
    assert knots is not None
    assert knots[[0, -1]].tolist() == [0, 100]
    assert len(knots[knots > 10]) >= 5  # quantiles of the rows would be 0 but for the last two


@pytest.mark.parametrize(("x", "expected"), [([3.0, 3.0], None), ([2.0, 1.0, 2.0, 5.0], [1.0, 2.0, 5.0])])
def test_a_number_with_few_values_has_a_piece_between_each_two(x, expected):
    knots = _knots(np.array(x), 8)
    assert (None if knots is None else knots.tolist()) == expected
