"""scikit-learn's own checks of what an estimator must do."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastbp.tabular import TabularClassifier, TabularRegressor
from tests.cases import name_of_check

QUICK = {"max_seconds": 20, "n_networks": 2, "cv": 2, "n_jobs": 1, "random_state": 0}
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row with weight 2 is in one fold, but two equal rows may be in two folds, which validate each other"
    )
}
CHECKS = [
    pair
    for kind in (TabularClassifier, TabularRegressor)
    for pair in estimator_checks_generator(kind(**QUICK), expected_failed_checks=WEIGHTS, mark="skip")
]


@pytest.mark.filterwarnings("ignore")  # theirs, of what they do on purpose
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name_of_check)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
