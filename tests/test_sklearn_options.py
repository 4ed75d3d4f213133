"""Each parameter of the estimators changes what is learnt, also between two fits, and takes scikit-learn's values."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.exceptions import ConvergenceWarning

import fastbp.sklearn as ours
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


# Between two fits

# parameter → what it needs beside itself to play a part, and its other value
CHANGES_BETWEEN = CHANGES | {
    "loss": ({}, "absolute_error"),
    "class_weight": ({}, {0: 9}),
    "warm_start": ({}, False),
    "batch_size": ({}, 7),
    "n_iter_no_change": ({"max_iter": 5, "tol": 1.0}, 2),
}
SCIKIT_LEARNS = set(theirs.MLPClassifier().get_params())
NO_WEIGHTS_CHANGE = {"verbose": True, "n_threads": 2, "metrics": "mse", "callbacks": [lambda *told: None]}
REFUSED = {"hidden_layer_sizes", "dtype"}
REFUSED_BY_PARTIAL_FIT = REFUSED | {"early_stopping", "solver", "optimizer", "learning_rate_init", "learning_rate"}
REFUSED_BY_PARTIAL_FIT |= {"power_t", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"}
NOT_OF_PARTIAL_FIT = {"max_iter", "max_fun", "tol", "n_iter_no_change", "validation_fraction", "warm_start"}
KINDS = {"MLPClassifier": CLASSES, "MLPRegressor": NUMBERS}
ALL = [(kind, name) for kind in KINDS for name in getattr(ours, kind)().get_params()]


def twice(module, kind, others, change, method="fit", **options):
    """A model that was fitted, changed, and fitted again."""
    y = KINDS[kind]
    classes = {"classes": [0, 1, 2]} if (kind, method) == ("MLPClassifier", "partial_fit") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = getattr(module, kind)(**(PLAIN | {"warm_start": True} | others | options))
        getattr(model, method)(X, y, **classes)
        return getattr(model.set_params(**change), method)(X, y)


def learnt(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_what_is_set_between_two_warm_fits_is_applied_or_refused(kind, name):
    if name in NO_WEIGHTS_CHANGE:
        model = twice(ours, kind, {}, {name: NO_WEIGHTS_CHANGE[name]})
        assert name != "n_threads" or model.trainer_.n_threads == 2
        assert name != "metrics" or "mse" in model.history_
        return
    others, value = CHANGES_BETWEEN[name]
    if name in REFUSED:
        with pytest.raises(ValueError, match=f"^{name}: expected .*, as in the last fit, got "):
            twice(ours, kind, others, {name: value})
        return
    model = twice(ours, kind, others, {name: value})
    assert not np.allclose(learnt(model), learnt(twice(ours, kind, others, {})), rtol=1e-9)
    if name != "loss":
        np.testing.assert_allclose(model.to_sklearn().predict(X), model.predict(X))
    if name in SCIKIT_LEARNS and name != "early_stopping":  # scikit-learn's fit fails of that change
        np.testing.assert_allclose(learnt(model), learnt(twice(theirs, kind, others, {name: value})), rtol=1e-6)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_what_is_set_between_two_partial_fits_is_applied_or_refused(kind, name):
    """scikit-learn's partial_fit doesn't notice another optimizer."""
    if name in NO_WEIGHTS_CHANGE or name in NOT_OF_PARTIAL_FIT:
        return
    others, value = CHANGES_BETWEEN[name]
    others = others if name in REFUSED_BY_PARTIAL_FIT else {}
    if name in REFUSED_BY_PARTIAL_FIT:
        with pytest.raises(ValueError, match="early_stopping" if name == "early_stopping" else f"^{name}: expected "):
            twice(ours, kind, others, {name: value}, "partial_fit")
        return
    model = twice(ours, kind, others, {name: value}, "partial_fit")
    assert not np.allclose(learnt(model), learnt(twice(ours, kind, others, {}, "partial_fit")), rtol=1e-9)
    if name in SCIKIT_LEARNS:
        their = twice(theirs, kind, others, {name: value}, "partial_fit")
        np.testing.assert_allclose(learnt(model), learnt(their), rtol=1e-6)


def test_a_refused_change_applies_nothing():
    model = twice(ours, "MLPRegressor", {}, {})
    before, activation = learnt(model), model.trainer_.activation
    for change in ({"loss": "poisson"}, {"dropout": [0.1, 0.1]}, {"solver": "lbfgs", "dropout": 0.5}):
        with pytest.raises(ValueError, match=list(change)[-1]):
            copy.copy(model).set_params(activation="tanh", **change).fit(X, NUMBERS)
    assert model.trainer_.activation == activation
    np.testing.assert_array_equal(learnt(model), before)


def test_a_function_is_the_same_loss_in_each_fit():
    def half_square(output, target):
        return 0.5 * (output - target) ** 2, output - target

    model = MLPRegressor(half_square, (3,), random_state=0).partial_fit(X, NUMBERS)
    engine = model.trainer_._state.engine
    assert model.partial_fit(X, NUMBERS).trainer_._state.engine is engine


# scikit-learn's values

SGD_OF_EACH_KIND = [SGD | {"learning_rate": name} for name in ("constant", "invscaling", "adaptive")]
EARLY = {"early_stopping": True}
VALUES = {
    "hidden_layer_sizes": ([{}], [(), [], 5, np.int32(5), [3, 2], np.array([5, 4]), (np.int64(5),)]),
    "alpha": ([{}], [0, np.int64(1), np.float32(0.1), 1e3]),
    "batch_size": ([{}], ["auto", 1, np.int8(20), 60]),
    "learning_rate_init": ([{}], [1e-300, np.float32(0.01), np.int64(1)]),
    "power_t": ([SGD_OF_EACH_KIND[1]], [0, 1, np.float32(0.3), 20]),
    "max_iter": ([{}], [1, np.uint8(4)]),
    "shuffle": ([{}], [np.bool_(False), np.bool_(True)]),
    "random_state": ([{}, EARLY], [np.int64(4), np.random.RandomState(3), 2**32 - 1]),
    "tol": ([{}, EARLY, *SGD_OF_EACH_KIND], [0, np.float32(0.1), 1e300]),
    "momentum": ([SGD], [0, 1, np.float32(0.5)]),
    "nesterovs_momentum": ([SGD], [np.bool_(False)]),
    "validation_fraction": ([EARLY], [np.float32(0.3), 0.05, 0.9]),
    "beta_1": ([{}], [0, np.float32(0.5), np.nextafter(1, 0)]),
    "beta_2": ([{}], [0, np.float32(0.5), np.nextafter(1, 0)]),
    "epsilon": ([{}], [5e-324, np.float32(1e-8), 1e300]),
    "n_iter_no_change": ([{}, EARLY, *SGD_OF_EACH_KIND], [1, np.inf, np.float32(np.inf), 10**18]),
    "max_fun": ([{"solver": "lbfgs"}], [1, np.int64(3)]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", VALUES)
def test_parameters_take_scikit_learns_values(name, kind):
    for others in VALUES[name][0]:
        for value in VALUES[name][1]:
            models = []
            for module in (theirs, ours):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # no convergence; a batch larger than the samples
                    options = PLAIN | {"max_iter": 5} | others | {name: copy.deepcopy(value)}
                    models.append(getattr(module, kind)(**options).fit(X, KINDS[kind]))
            their, own = models
            assert their.n_iter_ == own.n_iter_, (others, value)
            np.testing.assert_allclose(learnt(their), learnt(own), rtol=1e-6, atol=1e-9, err_msg=f"{others} {value}")
