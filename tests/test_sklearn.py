"""fastbp.sklearn beside scikit-learn's own estimators, and what it has more."""

from __future__ import annotations

import copy
import pickle
import warnings
from threading import Thread

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_multilabel_classification,
)
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp.sklearn as ours
from fastbp import Callback, EarlyStopping, Trainer, losses, optimizers
from fastbp._engine.engine import Engine

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Got `batch_size` less than 1"
)

IRIS, WINE, DIGITS = (load(return_X_y=True) for load in (load_iris, load_wine, load_digits))
CANCER, DIABETES = (load(return_X_y=True) for load in (load_breast_cancer, load_diabetes))
CANCER = (CANCER[0] / CANCER[0].max(axis=0), CANCER[1])
LABELS = make_multilabel_classification(n_samples=200, random_state=0)
OUTPUTS = (DIABETES[0][:, :7], DIABETES[0][:, 7:])
WEIGHTS = np.random.default_rng(0).uniform(0, 2, 600)
NAMES = [
    "n_iter_",
    "t_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "n_features_in_",
]
NAMES += ["validation_scores_", "best_validation_score_"]


def assert_same(a, b, rtol=1e-8):
    """Two estimators have learnt the same in the same course."""
    for name in NAMES:
        x, y = getattr(a, name, "none"), getattr(b, name, "none")
        if x is None or isinstance(x, str):
            assert x == y, name
        else:
            np.testing.assert_allclose(x, y, rtol=1e-6, err_msg=name)
    for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


# The same numbers as scikit-learn's


CASES = {
    "iris": ("MLPClassifier", IRIS, {}),
    "cancer": ("MLPClassifier", CANCER, {"hidden_layer_sizes": (20, 10), "activation": "tanh"}),
    "logistic": ("MLPClassifier", WINE, {"activation": "logistic"}),
    "no hidden layer": ("MLPClassifier", IRIS, {"hidden_layer_sizes": ()}),
    "one number": ("MLPClassifier", IRIS, {"hidden_layer_sizes": 7, "activation": "identity"}),
    "labels": ("MLPClassifier", LABELS, {"alpha": 0.1}),
    "no shuffle": ("MLPClassifier", CANCER, {"shuffle": False, "batch_size": 64, "alpha": 1}),
    "early stopping": ("MLPClassifier", CANCER, {"early_stopping": True, "n_iter_no_change": 2}),
    "early stopping of labels": ("MLPClassifier", LABELS, {"early_stopping": True}),
    "adam": ("MLPClassifier", CANCER, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    "sgd": ("MLPClassifier", CANCER, {"solver": "sgd", "learning_rate_init": 0.1}),
    "sgd, plain": ("MLPClassifier", CANCER, {"solver": "sgd", "momentum": 0}),
    "sgd, momentum": ("MLPClassifier", CANCER, {"solver": "sgd", "nesterovs_momentum": False}),
    "invscaling": (
        "MLPClassifier",
        CANCER,
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2, "learning_rate_init": 0.5},
    ),
    "adaptive": (
        "MLPClassifier",
        CANCER,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 1, "learning_rate_init": 0.1},
    ),
    "diabetes": ("MLPRegressor", DIABETES, {"alpha": 1, "batch_size": 50}),
    "outputs": ("MLPRegressor", OUTPUTS, {"alpha": 1, "batch_size": 50, "early_stopping": True}),
    "poisson": ("MLPRegressor", DIABETES, {"loss": "poisson", "learning_rate_init": 0.01}),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_scikit_learns(case, weighted):
    name, (X, y), options = CASES[case]
    weights = {"sample_weight": WEIGHTS[: len(X)]} if weighted else {}
    a, b = (
        getattr(module, name)(random_state=3, max_iter=12).set_params(**options).fit(X, y, **weights)
        for module in (theirs, ours)
    )
    assert_same(a, b)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-6)
    assert a.score(X, y) == pytest.approx(b.score(X, y))
    if hasattr(a, "predict_proba"):
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-6)
        np.testing.assert_allclose(a.predict_log_proba(X), b.predict_log_proba(X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "learning_rate": "invscaling"}])
def test_partial_fits_and_warm_starts_go_on_as_scikit_learns(options):
    X, y = IRIS
    a, b = (module.MLPClassifier(random_state=0, max_iter=5, **options) for module in (theirs, ours))
    for estimator in (a, b):
        estimator.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X[:60], y[:60])
    assert_same(a, b)
    for estimator in (a, b):
        estimator.set_params(warm_start=True).fit(X, y).fit(X, y)
    assert_same(a, b)
    for estimator in (a, b):
        estimator.partial_fit(X, y, sample_weight=WEIGHTS[:150])
    assert_same(a, b)


SOLVERS = [{"solver": "adam"}, {"solver": "lbfgs"}]
SOLVERS += [
    {"solver": "sgd", "learning_rate_init": 0.1, "learning_rate": name}
    for name in ("constant", "invscaling", "adaptive")
]


@pytest.mark.parametrize("max_iter", [1, 6])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: "-".join(map(str, solver.values())))
@pytest.mark.parametrize(("kind", "data"), [("MLPClassifier", IRIS), ("MLPRegressor", DIABETES)])
def test_warm_starts_with_early_stopping_are_scikit_learns(kind, data, solver, max_iter):
    options = {"warm_start": True, "early_stopping": True, "max_iter": max_iter, "n_iter_no_change": 2, "tol": 1e-2}
    a, b = (
        getattr(module, kind)(hidden_layer_sizes=5, random_state=2, batch_size=50, **options, **solver)
        for module in (theirs, ours)
    )
    for _ in range(5):
        for estimator in (a, b):
            estimator.fit(*data)
        assert_same(a, b, rtol=1e-4 if solver["solver"] == "lbfgs" else 1e-8)
        assert vars(a).get("_no_improvement_count") == vars(b).get("_no_improvement_count")


@pytest.mark.parametrize("first", [True, False], ids=["first fit", "warm fit"])
@pytest.mark.parametrize(("kind", "data"), [("MLPClassifier", IRIS), ("MLPRegressor", DIABETES)])
def test_early_stopping_survives_a_divergence_as_scikit_learns(kind, data, first):
    """The best weights are those from before; a warm fit has none unless an epoch is better than all before."""
    options = {"solver": "sgd", "early_stopping": True, "max_iter": 4, "random_state": 0, "warm_start": True}
    models = [getattr(module, kind)(hidden_layer_sizes=5, **options) for module in (theirs, ours)]
    for model in models:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, in scikit-learn
            if not first:
                model.set_params(learning_rate_init=1e-5).fit(*data)
            model.set_params(learning_rate_init=1e200)
            if first:
                model.fit(*data)
            else:
                with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
                    model.fit(*data)
    a, b = models
    assert a.n_iter_ == b.n_iter_ == 4
    np.testing.assert_allclose(a.best_validation_score_, b.best_validation_score_)
    np.testing.assert_allclose(a.validation_scores_, b.validation_scores_)
    np.testing.assert_array_equal(np.isfinite(a.loss_curve_), np.isfinite(b.loss_curve_))
    for x, y in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_allclose(x, y)


@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5}])
def test_epochs_that_run_at_once_are_those_one_by_one(options, capsys):
    """verbose asks after each epoch; both stop where scikit-learn does, and leave random_state where it leaves it."""
    X, y = DIGITS
    states, fits = [], []
    for module, verbose in ((ours, False), (ours, True), (theirs, False)):
        states.append(np.random.RandomState(3))
        model = module.MLPClassifier((5,), n_iter_no_change=2, tol=0.01, max_iter=80, verbose=verbose, **options)
        fits.append(model.set_params(random_state=states[-1]).fit(X[:150], y[:150]))
    at_once, one_by_one, their = fits
    assert capsys.readouterr().out.count("Iteration") == at_once.n_iter_ == one_by_one.n_iter_ == their.n_iter_ < 80
    assert at_once.loss_curve_ == one_by_one.loss_curve_
    np.testing.assert_array_equal(at_once.coefs_[0], one_by_one.coefs_[0])
    assert len({state.randint(1 << 30) for state in states}) == 1


def test_an_interrupted_fit_keeps_whole_epochs(monkeypatch):
    X, y = DIGITS  # nine batches an epoch
    train, calls = Engine.train, []

    def interrupted(*arguments):
        calls.append(None)
        if len(calls) > 10:
            raise KeyboardInterrupt
        *others, _, n_threads = arguments
        return train(*others, 3, n_threads)

    whole = ours.MLPClassifier((5,), random_state=0, max_iter=50).fit(X, y)
    monkeypatch.setattr(Engine, "train", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = ours.MLPClassifier((5,), random_state=0, max_iter=50).fit(X, y)
    assert model.n_iter_ == 3
    assert model.loss_curve_ == whole.loss_curve_[:3]


def test_lbfgs_finds_what_scikit_learns_finds():
    options = {"hidden_layer_sizes": 5, "solver": "lbfgs", "random_state": 0, "max_iter": 8, "alpha": 0.1}
    for name, (X, y), more in (
        ("MLPClassifier", IRIS, {}),
        ("MLPRegressor", DIABETES, {}),
        ("MLPRegressor", DIABETES, {"loss": "poisson"}),
    ):
        a, b = (getattr(module, name)(**options, **more).fit(X, y) for module in (theirs, ours))
        assert a.n_iter_ == b.n_iter_
        assert a.loss_ == pytest.approx(b.loss_, rel=1e-6)


def test_a_sparse_X_gives_what_a_dense_one_gives(monkeypatch):
    X, y = CANCER
    dense = ours.MLPClassifier(random_state=0, max_iter=3).fit(X, y)
    for whole in (1 << 30, 0):  # all at once, and a piece at a time
        monkeypatch.setattr("fastbp.sklearn._base.DENSE_BYTES", whole)
        monkeypatch.setattr("fastbp.sklearn._pieces.DENSE_BYTES", whole)
        for matrix in (scipy.sparse.csr_matrix(X), scipy.sparse.csc_array(X)):
            sparse = ours.MLPClassifier(random_state=0, max_iter=3).fit(matrix, y)
            assert_same(dense, sparse)
            np.testing.assert_array_equal(sparse.predict(matrix), dense.predict(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_that_of_X(dtype):
    model = ours.MLPRegressor(max_iter=2, random_state=0).fit(DIABETES[0].astype(dtype), DIABETES[1])
    assert {part.dtype.name for part in [*model.coefs_, *model.intercepts_]} == {dtype}
    assert model.predict(DIABETES[0]).dtype == dtype


def test_float32_learns_what_float64_learns():
    X, y = DIGITS[0][:300], DIGITS[1][:300]
    wide = ours.MLPClassifier((5, 3), alpha=1e-5, random_state=1, max_iter=50).fit(X, y)
    narrow = ours.MLPClassifier((5, 3), alpha=1e-5, random_state=1, max_iter=50, dtype="float32").fit(X, y)
    assert narrow.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(wide.predict(X), narrow.predict(X))
    np.testing.assert_allclose(wide.predict_proba(X), narrow.predict_proba(X), rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        pytest.param("MLPClassifier", DIGITS, {"max_iter": 20}, marks=pytest.mark.nightly),
        pytest.param("MLPClassifier", CANCER, {"dtype": "float32"}, marks=pytest.mark.nightly),
        ("MLPClassifier", WINE, {"solver": "lbfgs", "max_iter": 50}),
        ("MLPClassifier", IRIS, {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1}),
        pytest.param("MLPRegressor", DIABETES, {"solver": "lbfgs", "max_iter": 50}, marks=pytest.mark.nightly),
    ],
)
def test_it_scores_what_scikit_learns_scores(name, data, options):
    scores = {}
    for module in (theirs, ours):
        known = {k: v for k, v in options.items() if module is ours or k != "dtype"}
        scores[module] = [
            cross_val_score(
                make_pipeline(StandardScaler(), getattr(module, name)(random_state=seed, **known)), *data, cv=3
            ).mean()
            for seed in range(2)
        ]
    assert np.mean(scores[ours]) == pytest.approx(np.mean(scores[theirs]), abs=0.03)


# Warnings, messages, errors


def test_what_it_warns_of():
    with pytest.warns(ConvergenceWarning, match=r"Stochastic Optimizer: Maximum iterations \(2\) reached"):
        ours.MLPClassifier(max_iter=2).fit(*IRIS)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2 iteration"):
        ours.MLPClassifier(max_iter=2, solver="lbfgs").fit(*IRIS)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size"):
        ours.MLPClassifier(max_iter=2, batch_size=500).fit(*IRIS)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        ours.MLPClassifier(max_iter=2, callbacks=interrupt).fit(*IRIS)


def interrupt(trainer, epoch, measured):
    raise KeyboardInterrupt


def test_what_it_prints(capsys):
    ours.MLPClassifier(max_iter=2, verbose=True, early_stopping=True).fit(*IRIS)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["Iteration", "Validation"] * 2
    ours.MLPClassifier(tol=1e9, verbose=True, n_iter_no_change=2).fit(*IRIS)
    assert "did not improve more than tol=1000000000.000000 for 2 consecutive epochs. Stopping." in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_layer_sizes": -1}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be > 0, got"),
        ({"activation": "ghost"}, "'activation' parameter of MLPClassifier must be a str among"),
        ({"activation": ["relu", "tanh"]}, "activation must have a name for each of the 1 hidden layers"),
        ({"solver": "x"}, "'solver' parameter"),
        ({"alpha": -1}, "'alpha' parameter"),
        ({"momentum": 2}, "'momentum' parameter"),
        ({"shuffle": "yes"}, "'shuffle' parameter"),
        ({"dtype": "float16"}, "'dtype' parameter"),
        ({"n_threads": 0}, "'n_threads' parameter"),
        ({"optimizer": "ghost"}, "'optimizer' parameter"),
        ({"optimizer": 5}, "'optimizer' parameter"),
        ({"learning_rate_init": "fast"}, "'learning_rate_init' parameter"),
        ({"beta_1": None}, "'beta_1' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"class_weight": "even"}, "'class_weight' parameter"),
    ],
)
def test_bad_parameters(options, words):
    with pytest.raises(ValueError, match=words):
        ours.MLPClassifier(**options).fit(*IRIS)
    with pytest.raises(ValueError, match=words):
        ours.MLPClassifier(**options).partial_fit(*IRIS, classes=[0, 1, 2])


def test_bad_calls():
    X, y = IRIS
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        ours.MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        ours.MLPClassifier().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        ours.MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        ours.MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        ours.MLPClassifier(max_iter=2, warm_start=True).fit(X, y).fit(X[:90], y[:90])
    with pytest.raises(ValueError, match="The validation set is too small"):
        ours.MLPRegressor(early_stopping=True).fit(X[:8], y[:8])
    with pytest.raises(ValueError, match="out of the valid range of the loss 'poisson'"):
        ours.MLPRegressor(loss="poisson").fit(X, -y)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        ours.MLPRegressor().fit(X * 1e200, X[:, 0] * 1e200)
    with pytest.raises(NotFittedError):
        ours.MLPClassifier().predict(X)
    assert not hasattr(ours.MLPClassifier(solver="lbfgs"), "partial_fit")
    assert not hasattr(ours.MLPClassifier(), "coefs_")


# What scikit-learn's have not


def test_the_weights_are_views():
    model = ours.MLPClassifier(max_iter=2, random_state=0).fit(*IRIS)
    for coefs, theta in zip(model.coefs_, model.trainer_.weights, strict=True):
        assert np.shares_memory(coefs, theta)
        assert coefs.shape == theta.shape[::-1]
    model.coefs_[1][...] = 0
    model.intercepts_[1] = [0, 5, 0]
    assert (model.predict(IRIS[0]) == 1).all()
    model.coefs_ = [np.ones(coefs.shape) for coefs in model.coefs_]
    assert (model.trainer_.weights[0] == 1).all()


def test_refused_weights_leave_all_as_they_were():
    model = ours.MLPClassifier((5,), max_iter=2, random_state=0).fit(*IRIS)
    coefs, intercepts = [part.copy() for part in model.coefs_], [part.copy() for part in model.intercepts_]
    for name, values, words in (
        ("coefs_", [np.ones((4, 5)), np.ones((3, 5))], r"coefs_\[1\]: expected shape \(5, 3\), got \(3, 5\)"),
        ("coefs_", [np.ones((4, 5))], "coefs_: expected 2 arrays, got 1"),
        ("coefs_", [np.ones((4, 5)), np.full((5, 3), np.nan)], r"coefs_\[1\]: expected finite numbers"),
        ("intercepts_", [np.ones(5), "abc"], r"intercepts_\[1\]: expected numbers"),
        ("intercepts_", [np.ones(5), 1.0], r"intercepts_\[1\]: expected shape \(3,\), got \(\)"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            setattr(model, name, values)
    for before, after in zip([*coefs, *intercepts], [*model.coefs_, *model.intercepts_], strict=True):
        np.testing.assert_array_equal(before, after)


def test_weights_may_change_places():
    model = ours.MLPRegressor(hidden_layer_sizes=(3, 3, 3), max_iter=2, random_state=0).fit(*IRIS)
    first, second = (part.copy() for part in model.coefs_[1:3])
    model.coefs_ = [model.coefs_[0], model.coefs_[2], model.coefs_[1], model.coefs_[3]]
    np.testing.assert_array_equal(model.coefs_[1], second)
    np.testing.assert_array_equal(model.coefs_[2], first)


def test_an_activation_for_each_layer():
    model = ours.MLPClassifier((20, 10), ["gelu", "logistic"], random_state=0).fit(*CANCER)
    assert model.trainer_.activation == ("gelu", "sigmoid")
    assert model.score(*CANCER) > 0.9


def test_dropout_is_repeatable_and_takes_no_random_numbers():
    plain, *dropped = (
        ours.MLPClassifier(max_iter=3, random_state=0, dropout=rate).fit(*IRIS) for rate in (0.0, 0.5, 0.5)
    )
    np.testing.assert_array_equal(dropped[0].coefs_[0], dropped[1].coefs_[0])
    assert not np.allclose(dropped[0].coefs_[0], plain.coefs_[0])
    assert dropped[0].loss_curve_[0] == pytest.approx(plain.loss_curve_[0], rel=0.5)


@pytest.mark.parametrize(
    "optimizer",
    ["rmsprop", "adamw", optimizers.Adagrad(learning_rate=0.1), "lbfgs", optimizers.Adam(learning_rate=0.01)],
)
def test_other_optimizers(optimizer):
    model = make_pipeline(StandardScaler(), ours.MLPClassifier(optimizer=optimizer, random_state=0, max_iter=100))
    assert model.fit(*WINE).score(*WINE) > 0.9


@pytest.mark.parametrize(
    "loss", ["absolute_error", "huber", losses.Quantile(0.5), lambda a, y: (0.5 * (a - y) ** 2, a - y)]
)
def test_other_losses(loss):
    X, y = DIABETES
    y = (y - y.mean()) / y.std()
    model = ours.MLPRegressor(loss, random_state=0, learning_rate_init=0.01, max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.4


def test_a_quantile_is_above_its_part_of_the_samples():
    X, y = DIABETES
    model = make_pipeline(
        StandardScaler(), ours.MLPRegressor(losses.Quantile(0.9), random_state=0, learning_rate_init=0.05)
    )
    assert np.mean(model.fit(X, y).predict(X) > y) == pytest.approx(0.9, abs=0.07)


def test_class_weight_is_sample_weight():
    X, y = IRIS
    weights = np.where(y == 2, 5.0, 1.0)
    a = ours.MLPClassifier(max_iter=5, random_state=0).fit(X, y, sample_weight=weights)
    b = ours.MLPClassifier(max_iter=5, random_state=0, class_weight={2: 5}).fit(X, y)
    assert_same(a, b)
    few = np.r_[:50, 50:60]
    names = np.array(["no", "yes"])[y[few]]
    balanced = ours.MLPClassifier(random_state=0, class_weight="balanced").fit(X[few], names)
    assert balanced.score(X[few], names) == 1


def test_class_weight_multiplies_sample_weight():
    X, y = IRIS
    weights = WEIGHTS[: len(X)]
    a = ours.MLPClassifier(max_iter=5, random_state=0).fit(X, y, sample_weight=weights * np.where(y == 2, 5.0, 1.0))
    b = ours.MLPClassifier(max_iter=5, random_state=0, class_weight={2: 5}).fit(X, y, sample_weight=weights)
    assert_same(a, b)


def test_validation_data_metrics_and_callbacks():
    X, y = CANCER
    told = []
    model = ours.MLPClassifier(
        random_state=0,
        max_iter=30,
        metrics="accuracy",
        callbacks=[lambda trainer, epoch, measured: told.append(measured), EarlyStopping("val_loss", patience=3)],
    ).fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    assert set(told[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.history_["loss"] == model.loss_curve_
    assert model.history_["val_accuracy"] == pytest.approx(model.validation_scores_)
    assert len(told) == model.n_iter_ == len(model.loss_curve_)
    plain = ours.MLPClassifier(random_state=0, max_iter=model.n_iter_).fit(X[:400], y[:400])
    np.testing.assert_allclose(plain.loss_curve_, model.loss_curve_)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_metrics_of_training_are_of_the_rows_that_train(weighted, sparse):
    X, y = CANCER
    rows, weights = np.arange(len(X)), WEIGHTS[: len(X)] if weighted else None
    told = []

    def look(trainer, epoch, measured):
        told.append((measured, (trainer.predict(X)[:, 0] > 0.5) == y))

    options = {
        "random_state": 0,
        "early_stopping": True,
        "validation_fraction": 0.3,
        "max_iter": 2,
        "metrics": "accuracy",
    }
    model = ours.MLPClassifier((5,), callbacks=look, **options)
    model.fit(scipy.sparse.csr_matrix(X) if sparse else X, y, sample_weight=weights)
    state = np.random.RandomState(0)
    for n_in, n_out in ((X.shape[1], 5), (5, 1)):
        state.uniform(size=(n_in + 1, n_out))
    train, rest = train_test_split(rows, random_state=state, test_size=0.3, stratify=y)
    for measured, right in told:
        for name, part in (("accuracy", train), ("val_accuracy", rest)):
            expected = np.average(right[part], weights=None if weights is None else weights[part])
            assert measured[name] == pytest.approx(expected), name
    assert model.history_["val_accuracy"] == pytest.approx(model.validation_scores_)


def test_lbfgs_scores_validation_data_after_each_iteration(capsys):
    X, y = IRIS
    model = ours.MLPClassifier((5,), solver="lbfgs", max_iter=4, random_state=0, verbose=True, metrics="accuracy")
    model.fit(X[::2], y[::2], validation_data=(X[1::2], y[1::2]))
    assert model.validation_scores_ == pytest.approx(model.history_["val_accuracy"])
    assert model.validation_scores_[-1] == pytest.approx(model.score(X[1::2], y[1::2]))
    assert capsys.readouterr().out.count("Iteration") == len(model.validation_scores_) == model.n_iter_ == 4


def test_no_metrics_and_no_callbacks_may_be_None():
    model = ours.MLPClassifier((5,), max_iter=2, random_state=0, metrics=None, callbacks=None).fit(*IRIS)
    assert model.history_["loss"] == model.trainer_.history["loss"] == model.loss_curve_


def test_early_stopping_goes_by_validation_data():
    X, y = CANCER
    model = ours.MLPClassifier(early_stopping=True, random_state=0, n_iter_no_change=3)
    model.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    assert model.score(X[400:], y[400:]) == model.best_validation_score_ == max(model.validation_scores_)


def test_a_callback_stops_and_changes_the_learning_rate():
    def slow(trainer, epoch, measured):
        trainer.learning_rate = 1e-9
        return epoch == 4

    model = ours.MLPClassifier(random_state=0, callbacks=slow).fit(*IRIS)
    assert model.n_iter_ == 4
    assert model.loss_curve_[1] == pytest.approx(model.loss_curve_[3], rel=1e-4)


def test_a_callback_changes_the_rate_and_the_batches_from_the_start():
    class Other(Callback):
        def on_fit_begin(self, trainer, epochs):
            trainer.learning_rate, trainer.batch_size = 0.02, 30

        def on_epoch_end(self, trainer, epoch, measured):
            assert (trainer.learning_rate, trainer.batch_size) == (0.02, 30)

    options = {"hidden_layer_sizes": 5, "random_state": 0, "max_iter": 3, "solver": "sgd"}
    model = ours.MLPClassifier(callbacks=Other(), **options).fit(*IRIS)
    assert_same(theirs.MLPClassifier(learning_rate_init=0.02, batch_size=30, **options).fit(*IRIS), model)


@pytest.mark.parametrize(
    ("options", "optimizer"),
    [
        ({}, optimizers.Adam(learning_rate=0.02, beta_1=0.8, beta_2=0.99, epsilon=1e-4)),
        ({"solver": "sgd"}, optimizers.SGD(learning_rate=0.02, momentum=0.7, nesterov=True)),
        ({"solver": "sgd", "nesterovs_momentum": False}, optimizers.SGD(learning_rate=0.02, momentum=0.7)),
        ({"solver": "lbfgs"}, optimizers.LBFGS(tolerance=1e-4)),
        ({"optimizer": "rmsprop"}, optimizers.RMSprop(learning_rate=0.02)),
        ({"optimizer": optimizers.Adagrad(learning_rate=0.5)}, optimizers.Adagrad(learning_rate=0.5)),
    ],
)
def test_the_trainer_shows_what_trains(options, optimizer):
    """After each of two fits between which everything changes, and while callbacks look on."""
    seen = []
    values = {"learning_rate_init": 0.02, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "momentum": 0.7}
    values |= {"batch_size": 40, "shuffle": False, "activation": "tanh", "loss": "huber"} | options
    before = {"warm_start": True, "max_iter": 2, "random_state": 0, "callbacks": lambda *told: seen.append(told[0])}
    for model in (
        ours.MLPRegressor(hidden_layer_sizes=(5,), **before, **values).fit(*DIABETES),
        ours.MLPRegressor(hidden_layer_sizes=(5,), **before).fit(*DIABETES).set_params(**values).fit(*DIABETES),
    ):
        trainer = model.trainer_
        assert trainer.optimizer == optimizer
        assert trainer.learning_rate == optimizer.learning_rate
        assert trainer.batch_size == (442 if optimizer.name == "lbfgs" else 40)
        assert (trainer.loss, trainer.activation, trainer.shuffle) == ("huber", ("tanh",), False)
        assert trainer.epochs_trained == len(model.history_["loss"]) > 1
        trainer.fit(*DIABETES, epochs=1, verbose=0)  # its memory is that of its optimizer
    assert seen


@pytest.mark.parametrize("options", [{"momentum": 1}, {"momentum": 1, "nesterovs_momentum": False}, {"momentum": 0}])
def test_the_trainer_can_be_saved_and_loaded(options, tmp_path):
    model = ours.MLPClassifier(hidden_layer_sizes=3, solver="sgd", max_iter=2, random_state=0, **options).fit(*IRIS)
    model.trainer_.save(tmp_path / "model.npz")
    loaded = Trainer.load(tmp_path / "model.npz")
    assert loaded.optimizer == model.trainer_.optimizer
    np.testing.assert_array_equal(loaded.predict(IRIS[0]), model.predict_proba(IRIS[0]))


def test_a_callback_lowers_a_rate_that_falls_by_itself():
    def halve(trainer, epoch, measured):
        rates.append(trainer.learning_rate)
        if epoch == 2:
            trainer.learning_rate /= 2

    rates = []
    options = {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1, "max_iter": 4}
    ours.MLPClassifier(hidden_layer_sizes=3, random_state=0, callbacks=halve, **options).fit(*IRIS)
    expected = [0.1, 0.1 / 151**0.5, 0.05 / 301**0.5, 0.05 / 451**0.5]  # scikit-learn's, and half of it
    assert rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("y", [np.zeros(60), np.full(60, 3), np.full(60, "a")])
def test_one_class_is_always_right(y):
    options = {"hidden_layer_sizes": 3, "max_iter": 4, "random_state": 0, "early_stopping": True}
    X = np.random.default_rng(0).normal(size=(60, 2))
    expected, model = (library.MLPClassifier(**options).fit(X, y) for library in (theirs, ours))
    assert_same(expected, model)
    assert model.validation_scores_ == expected.validation_scores_ == [1.0] * model.n_iter_


# To scikit-learn and back


def test_to_scikit_learn_and_back():
    for name, (X, y) in (("MLPClassifier", IRIS), ("MLPRegressor", DIABETES), ("MLPClassifier", LABELS)):
        model = getattr(ours, name)(hidden_layer_sizes=(9, 4), random_state=0, max_iter=5).fit(X, y)
        there = model.to_sklearn()
        assert type(there) is getattr(theirs, name)
        assert np.shares_memory(there.coefs_[0], model.coefs_[0])
        np.testing.assert_allclose(there.predict(X), model.predict(X))
        back = ours.from_sklearn(there)
        np.testing.assert_allclose(back.predict(X), model.predict(X))
        assert_same(back, model)
        back.partial_fit(X, y)
        there.partial_fit(X, y)
        assert_same(there, back)
    assert ours.from_sklearn(theirs.MLPClassifier(alpha=3)).alpha == 3
    with pytest.raises(ValueError, match="scikit-learn has no activation='gelu'"):
        ours.MLPClassifier(activation="gelu").to_sklearn()
    with pytest.raises(ValueError, match="scikit-learn has no loss='huber'"):
        ours.MLPRegressor("huber").to_sklearn()
    with pytest.raises(TypeError, match="model: expected scikit-learn's"):
        ours.from_sklearn(ours.MLPClassifier())


@pytest.mark.parametrize("early", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("solver", [{}, {"solver": "sgd", "learning_rate": "adaptive"}, {"solver": "lbfgs"}])
@pytest.mark.parametrize(("kind", "data"), [("MLPClassifier", IRIS), ("MLPRegressor", DIABETES)])
def test_training_goes_on_in_the_other_library(kind, data, solver, early):
    """As scikit-learn's own model does when it is fitted again."""
    options = {"hidden_layer_sizes": 5, "early_stopping": early, "warm_start": True, "random_state": 0, "max_iter": 5}
    a, b = (getattr(module, kind)(**options, **solver).fit(*data) for module in (theirs, ours))
    there, here = b.to_sklearn(), ours.from_sklearn(copy.deepcopy(a))
    curve = list(vars(b).get("loss_curve_", []))
    for model in (a, there, here):
        model.fit(*data)
    for model in (there, here):
        assert_same(a, model, rtol=1e-4 if solver.get("solver") == "lbfgs" else 1e-8)
    assert vars(b).get("loss_curve_", []) == curve
    if solver.get("solver") != "lbfgs":
        goes_on = ours.from_sklearn(here.to_sklearn())
        goes_on.set_params(early_stopping=False).partial_fit(*data)
        assert len(goes_on.loss_curve_) == len(a.loss_curve_) + 1


def test_to_sklearn_predicts_as_the_model_does():
    """Also where parameters were set that no fit has applied yet."""
    X, y = DIABETES
    model = ours.MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, y)
    model.set_params(activation="tanh", loss="poisson", hidden_layer_sizes=(3, 3))
    there = model.to_sklearn()
    np.testing.assert_allclose(there.predict(X), model.predict(X))
    assert (there.activation, there.loss, there.hidden_layer_sizes) == ("relu", "squared_error", (5,))
    there.set_params(loss="poisson")
    with pytest.raises(ValueError, match="model: expected a loss for the output activation 'identity'"):
        ours.from_sklearn(there)


# Read-only memory


def unpickled(model):
    """From buffers that can't be written to."""
    buffers = []
    data = pickle.dumps(model, 5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])


def mapped(path, mode):
    def load(model):
        joblib.dump(model, path)
        return joblib.load(path, mmap_mode=mode)

    return load


@pytest.mark.parametrize("loaded", ["buffers", "r", "r+"])
@pytest.mark.parametrize(
    "options", [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"early_stopping": True}, {"dropout": 0.2}], ids=str
)
def test_models_in_read_only_memory_train_on(options, loaded, tmp_path):
    X, y, weights = (np.frombuffer(part.tobytes(), part.dtype).reshape(part.shape) for part in (*IRIS, WEIGHTS[:150]))
    assert not X.flags.writeable
    model = ours.MLPClassifier((5,), max_iter=2, random_state=0, warm_start=True, **options).fit(X, y, weights)
    path = tmp_path / "model"
    other = unpickled(model) if loaded == "buffers" else mapped(path, loaded)(model)
    before = path.read_bytes() if path.exists() else None
    for estimator in (model, other):
        estimator.fit(X, y, weights, validation_data=(X, y, weights))
        if estimator.solver != "lbfgs":
            estimator.set_params(early_stopping=False).partial_fit(X, y, weights)
        estimator.coefs_ = [np.frombuffer(part.tobytes()).reshape(part.shape) for part in estimator.coefs_]
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    assert before is None or path.read_bytes() == before


# In scikit-learn's company


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_alike_and_alone(duplicate):
    model = ours.MLPClassifier(random_state=0, max_iter=3).fit(*IRIS)
    other = duplicate(model)
    assert_same(model, other)
    model.partial_fit(*IRIS)
    assert not np.allclose(model.coefs_[0], other.coefs_[0])
    other.partial_fit(*IRIS)
    assert_same(model, other)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_grid_search_in_parallel_finds_what_it_finds_alone(backend):
    from joblib import parallel_backend

    grid = {"mlpclassifier__hidden_layer_sizes": [(5,), (20,)], "mlpclassifier__alpha": [1e-4, 1.0]}
    pipeline = make_pipeline(StandardScaler(), ours.MLPClassifier(random_state=0, max_iter=10))
    alone = GridSearchCV(pipeline, grid, cv=2).fit(*WINE)
    with parallel_backend(backend, n_jobs=2):
        together = GridSearchCV(pipeline, grid, cv=2).fit(*WINE)
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], together.cv_results_["mean_test_score"])


def test_one_thread_where_others_work():
    found = []
    thread = Thread(target=lambda: found.append(ours.MLPClassifier(max_iter=1).fit(*IRIS).trainer_.n_threads))
    thread.start()
    thread.join()
    assert found == [1]
    assert ours.MLPClassifier(max_iter=1, n_threads=2).fit(*IRIS).trainer_.n_threads == 2


def test_inside_other_estimators():
    model = ours.MLPClassifier(max_iter=20, random_state=0)
    assert BaggingClassifier(model, n_estimators=2, random_state=0).fit(*CANCER).score(*CANCER) > 0.8
    assert CalibratedClassifierCV(model, cv=2).fit(*CANCER).score(*CANCER) > 0.8


def test_metadata_and_feature_names():
    X, y = load_iris(return_X_y=True, as_frame=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ours.MLPClassifier(early_stopping=True, max_iter=2).fit(X, y)
    assert list(model.feature_names_in_) == list(X.columns)
    with config_context(enable_metadata_routing=True):
        routed = ours.MLPClassifier(max_iter=2, random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), routed)
        weighted = pipeline.fit(X, y, sample_weight=WEIGHTS[:150])
    plain = make_pipeline(StandardScaler(), ours.MLPClassifier(max_iter=2, random_state=0)).fit(X, y)
    assert not np.allclose(weighted[-1].coefs_[0], plain[-1].coefs_[0])


def test_text_and_boolean_classes():
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = ours.MLPClassifier(random_state=0, max_iter=300).fit(X, names)
    assert set(model.predict(X)) == set(names)
    np.testing.assert_array_equal(model.classes_, np.unique(names))
    assert ours.MLPClassifier(max_iter=100, random_state=0).fit(X, y == 0).predict(X).dtype == bool


def test_read_only_arrays_of_each_dtype_serve_every_way_to_train():
    for dtype in (np.float32, np.float64):
        X, y = (part.astype(dtype) for part in DIABETES)
        for array in (X, y):
            array.flags.writeable = False
        for options in ({}, {"shuffle": False}, {"early_stopping": True}, {"solver": "lbfgs"}, {"batch_size": 7}):
            weights = WEIGHTS[: len(X)].astype(dtype)
            weights.flags.writeable = False
            for weighted in (None, weights):
                model = ours.MLPRegressor(max_iter=2, random_state=0, **options).fit(X, y, sample_weight=weighted)
                assert np.isfinite(model.predict(X)).all()


def test_samples_that_weigh_nothing_play_no_part():
    X, y = IRIS
    weights = np.r_[np.ones(100), np.zeros(50)]
    options = {"random_state": 0, "max_iter": 5, "shuffle": False, "batch_size": 50}
    model = ours.MLPClassifier(**options).fit(X, y == 1, sample_weight=weights)
    np.testing.assert_allclose(model.coefs_[0], ours.MLPClassifier(**options).fit(X[:100], y[:100] == 1).coefs_[0])


def test_an_optimizer_starts_anew_with_another_network():
    model = ours.MLPClassifier(max_iter=2, random_state=0).fit(*IRIS)
    model.set_params(solver="lbfgs").fit(*IRIS).set_params(solver="adam")
    assert np.isfinite(model.partial_fit(*IRIS).coefs_[0]).all()
    assert model._optimizer is not None
    assert model.trainer_._state.memory.first.size
