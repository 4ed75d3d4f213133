"""The features that networks see of a table."""

import numpy as np
import pandas as pd
import pytest

from fastbp.tables import recognise_inputs
from fastbp.tabular._objectives import objective_of
from fastbp.tabular._problem import Problem
from fastbp.tabular._views import ViewSpec, _knots, estimated_width, within


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


def test_a_view_of_many_categories_has_mean_targets_where_memory_is_short():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=3000), "place": rng.integers(0, 200, 3000).astype(str)})
    frame["place"] = "p" + frame["place"]
    columns, _ = recognise_inputs(frame)
    spec = within(ViewSpec(pieces=32), columns, 10)
    assert spec.means
    assert spec.pieces < 8
    assert estimated_width(spec, columns) <= 10 < estimated_width(ViewSpec(), columns)


def test_the_width_of_a_view_is_known_if_there_are_many_classes():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"place": [f"p{i}" for i in rng.integers(0, 50, 400)]})
    for n_classes in (10, 11):
        objective = objective_of("log_loss", classes=True)
        problem = Problem(frame, np.arange(400) % n_classes, None, objective, n_classes=n_classes)
        spec = ViewSpec(means=True)
        assert (problem.view(spec)[0].width > 40) == (problem.width(spec) > 40) == (n_classes > 10)


def test_groups_have_no_mean_targets():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 10)
    frame = pd.DataFrame({"person": [f"p{i}" for i in people], "x": rng.normal(size=400)})
    y, objective = rng.normal(size=400), objective_of("rmse", classes=False)
    spec = ViewSpec(means=True)
    alone = Problem(frame, y, None, objective).view(spec)[0]
    together = Problem(frame, y, None, objective, folds=(people % 5).astype(np.int8)).view(spec)[0]
    assert alone.width < 10 < together.width
