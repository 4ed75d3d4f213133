"""scikit-learn's own tests of its multi-layer perceptrons, with the estimators of fastbp.sklearn in their place."""

from __future__ import annotations

import importlib
import sys
from unittest import mock

import pytest
import sklearn.neural_network

from fastbp.sklearn import MLPClassifier, MLPRegressor

PRIVATE = {"test_fit", "test_gradient"}  # they call private methods of scikit-learn's classes

with mock.patch.multiple(sklearn.neural_network, MLPClassifier=MLPClassifier, MLPRegressor=MLPRegressor):
    theirs = importlib.import_module("sklearn.neural_network.tests.test_mlp")
    del sys.modules[theirs.__name__]  # this copy is for these tests alone

globals().update(
    {name: test for name, test in vars(theirs).items() if name.startswith("test_") and name not in PRIVATE}
)

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of what they do on purpose


@pytest.fixture
def global_random_seed():
    """scikit-learn's fixture of this name, with its default."""
    return 42
