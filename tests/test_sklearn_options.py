"""Each parameter of the estimators changes what is learnt."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastbp.sklearn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X, CLASSES, NUMBERS = RNG.normal(size=(60, 4)), np.arange(60) % 3, RNG.uniform(1, 3, 60)
PLAIN = {"hidden_layer_sizes": (9,), "max_iter": 12, "random_state": 0, "batch_size": 16}
SGD = {"solver": "sgd", "learning_rate_init": 0.1}
LONG = {"max_iter": 60, "learning_rate_init": 0.01}
CHANGES = {
    "hidden_layer_sizes": ({}, (8,)),
    "activation": ({}, "tanh"),
    "solver": ({}, "sgd"),
    "alpha": ({}, 1.0),
    "batch_size": ({}, 20),
    "learning_rate": (SGD, "invscaling"),
    "learning_rate_init": ({}, 0.01),
    "power_t": (SGD | {"learning_rate": "invscaling"}, 0.1),
    "max_iter": ({}, 13),
    "shuffle": ({}, False),
    "random_state": ({}, 1),
    "tol": (LONG | {"n_iter_no_change": 2}, 1.0),
    "momentum": (SGD, 0.5),
    "nesterovs_momentum": (SGD, False),
    "early_stopping": ({}, True),
    "validation_fraction": ({"early_stopping": True}, 0.3),
    "beta_1": ({}, 0.5),
    "beta_2": ({}, 0.5),
    "epsilon": ({}, 0.1),
    "n_iter_no_change": (LONG | {"tol": 1.0}, 2),
    "max_fun": ({"solver": "lbfgs"}, 3),
    "dropout": ({}, 0.5),
    "optimizer": ({}, "rmsprop"),
    "dtype": ({}, "float32"),
}


def weights(kind, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = kind(**(PLAIN | options)).fit(X, y)
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


@pytest.mark.parametrize(("kind", "y"), [(MLPClassifier, CLASSES), (MLPRegressor, NUMBERS)], ids=["classes", "numbers"])
@pytest.mark.parametrize("name", CHANGES)
def test_no_parameter_is_ignored(name, kind, y):
    others, value = CHANGES[name]
    before, after = weights(kind, y, **others), weights(kind, y, **others, **{name: value})
    assert before.shape != after.shape or not np.array_equal(before, after)


def test_the_parameters_of_one_kind_are_not_ignored():
    assert not np.array_equal(weights(MLPClassifier, CLASSES), weights(MLPClassifier, CLASSES, class_weight={0: 9}))
    assert not np.array_equal(weights(MLPRegressor, NUMBERS), weights(MLPRegressor, NUMBERS, loss="poisson"))
