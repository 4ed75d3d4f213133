"""scikit-learn's own checks of what an estimator must do, all of them, as `check_estimator` runs them."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastbp.sklearn import MLPClassifier, MLPRegressor
from tests.cases import name_of_check

CHECKS = [pair for kind in (MLPClassifier, MLPRegressor) for pair in estimator_checks_generator(kind())]


@pytest.mark.filterwarnings("ignore")  # theirs, of what they do on purpose
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name_of_check)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
