"""The weights that one would choose without rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from fastbp.tabular._fitted import prior_weights


def members(*pairs):
    return [SimpleNamespace(family=family, loss=loss) for family, loss in pairs]


def test_the_prior_has_the_best_linear_model_and_the_better_half_of_the_others():
    networks = [("network", 0.5 + 0.01 * i) for i in range(8)]
    found = prior_weights(members(("constant", 0.1), ("linear", 0.7), ("linear", 0.6), *networks))
    np.testing.assert_allclose(found[:3], [0, 0, 0.3])
    np.testing.assert_allclose(found[3:], [0.7 / 4] * 4 + [0] * 4)


def test_the_prior_of_a_family_that_is_missing():
    assert prior_weights(members(("constant", 0.1))).tolist() == [0]
    np.testing.assert_allclose(prior_weights(members(("constant", 0.1), ("linear", 1.0))), [0, 1])
    np.testing.assert_allclose(prior_weights(members(("network", 0.1), ("estimator", 1.0))), [0.5, 0.5])
