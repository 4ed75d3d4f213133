"""Contributions and importances of columns, for functions whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas

from fastbp import tables
from fastbp.tabular._explanation import shapley
from fastbp.tabular._importance import as_frame, shuffled

N = 40
RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame({"a": RNG.normal(size=N), "kind": RNG.choice(["x", "y", "z"], N), "b": RNG.normal(size=N)})
COLUMNS, _ = tables.recognise_inputs(FRAME)
RAW = tables.raw_columns(COLUMNS, FRAME)


def additive(raw):
    """2 a + the number of the kind, and b."""
    a, b = raw.numbers
    return np.stack([2 * a + raw.places[0], b], axis=1)


def test_contributions_to_a_sum_are_its_terms():
    rows, background = RAW.take(np.arange(5)), RAW.take(np.arange(5, 20))
    values, outputs, baseline = shapley(additive, rows, background, np.random.default_rng(0))
    assert values.shape == (5, 3, 2)
    np.testing.assert_allclose(outputs, additive(rows))
    np.testing.assert_allclose(baseline, additive(background).mean(axis=0))
    a, b = rows.numbers - background.numbers.mean(axis=1, keepdims=True)
    kinds = rows.places[0] - background.places[0].mean()
    expected = {"a": (2 * a, 0 * a), "kind": (kinds, 0 * a), "b": (0 * b, b)}
    for j, name in enumerate(RAW.names):
        np.testing.assert_allclose(values[:, j], np.stack(expected[name], axis=1), atol=1e-12)


def test_contributions_to_a_product_add_up_and_are_shared():
    def product(raw):
        return (raw.numbers[0] * raw.numbers[1])[:, None]

    rows, background = RAW.take(np.arange(5)), RAW.take(np.arange(5, N))
    values, outputs, baseline = shapley(product, rows, background, np.random.default_rng(0))
    np.testing.assert_allclose(values.sum(axis=1), outputs - baseline, atol=1e-12)
    assert not values[:, RAW.names.index("kind")].any()
    (a, b), means = rows.numbers, background.numbers.mean(axis=1)
    mean = (background.numbers[0] * background.numbers[1]).mean()
    exact = ((a - means[0]) * means[1] + a * b - means[0] * b + a * means[1] - mean) / 2  # of both orders of a and b
    found = values[:, RAW.names.index("a"), 0]
    assert np.abs(found - exact).mean() < 0.5 * np.abs(exact).mean()


def test_importance_is_the_rise_of_the_loss():
    y = RAW.numbers[0]
    asked = []

    def losses(raw):
        asked.append(len(raw))
        return [float(((part - y) ** 2).mean()) for part in np.split(raw.numbers[0], len(raw) // N)]

    values = shuffled(losses, RAW, 4, np.random.default_rng(0))
    assert asked == [N, 4 * N, 4 * N, 4 * N]
    others = [j for j, name in enumerate(RAW.names) if name != "a"]
    assert not values[others].any()
    a = RAW.names.index("a")
    np.testing.assert_allclose(values[a].mean(), 2 * y.var(), rtol=0.5)
    frame = as_frame(RAW.names, values)
    assert frame.index[0] == "a"
    np.testing.assert_allclose(frame["deviation"]["a"], values[a].std())
