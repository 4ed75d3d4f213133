"""Linear members equal scikit-learn's models, fold by fold, and choose a good penalty."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn import linear_model as theirs

from fastbp.tabular import _linear
from fastbp.tabular._linear import fit_linear, predict_linear_folds
from fastbp.tabular._objectives import objective_of

LOG_LOSS, RMSE = objective_of("log_loss", classes=True), objective_of("rmse", classes=False)
POISSON, MEDIAN = objective_of("poisson", classes=False), objective_of("mae", classes=False)


def a_table(n_classes=None, n=500, p=7, seed=0):
    """Return correlated columns, targets, folds and weights of which some are 0."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) / 2 + rng.normal(size=p)).astype(np.float32)
    Z = X @ rng.normal(size=(p, n_classes or 1))
    if n_classes:
        y = (
            Z + rng.gumbel(size=Z.shape) if n_classes > 2 else np.hstack([Z[:, :1] + rng.logistic(size=(n, 1)), Z * 0])
        ).argmax(1)
    else:
        y = 100 + 5 * (Z[:, 0] + rng.normal(size=n))
    return X, y, rng.permutation(n) % 3, rng.integers(0, 3, n).astype(float)


@pytest.fixture
def one_penalty(monkeypatch):
    """Let λ = 10 be the only penalty, and leave nothing to gain."""
    monkeypatch.setattr(_linear, "PENALTIES", (10.0,))
    monkeypatch.setattr(_linear, "FIRST", 0)
    monkeypatch.setattr(_linear, "LEFT", 1e-10)


def of_scikit_learn(model, X, y, folds, weights):
    """Return the out-of-fold predictions of a scikit-learn model."""
    oof = []
    for fold in range(3):
        inside = folds != fold
        shares = None if weights is None else weights[inside] * len(y) / weights.sum()
        fitted = model.fit(X[inside].astype(float), y[inside], sample_weight=shares)
        predict = getattr(fitted, "predict_proba", fitted.predict)
        oof.append(predict(X[folds == fold].astype(float)))
    found = np.empty((len(y), *oof[0].shape[1:]))
    for fold in range(3):
        found[folds == fold] = oof[fold]
    return found


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_equal_scikit_learn(one_penalty, n_classes, weighted):
    X, y, folds, weights = a_table(n_classes)
    weights = weights if weighted else None
    model = theirs.LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000)
    expected = of_scikit_learn(model, X, y, folds, weights)
    fit = fit_linear(X, y, folds, LOG_LOSS, weights, n_classes=n_classes)
    assert fit.oof == pytest.approx(expected, abs=2e-4)
    assert fit.oof.shape == (500, n_classes)


@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_equal_scikit_learn(one_penalty, weighted):
    X, y, folds, weights = a_table()
    weights = weights if weighted else None
    expected = of_scikit_learn(theirs.Ridge(alpha=10.0), X, y, folds, weights)
    assert fit_linear(X, y, folds, RMSE, weights).oof == pytest.approx(expected, abs=2e-3 * y.std())


def test_counts_equal_scikit_learn(one_penalty):
    X, y, folds, _ = a_table()
    y = np.random.default_rng(1).poisson(np.exp((y - y.mean()) / 30) * 3).astype(float)
    size = y.mean()  # the loss of scikit-learn's model is that of y, ours that of y divided by its mean
    model = theirs.PoissonRegressor(alpha=10 * size / (500 * 2 / 3), tol=1e-9, max_iter=10_000)
    expected = of_scikit_learn(model, X, y, folds, None)
    assert fit_linear(X, y, folds, POISSON).oof == pytest.approx(expected, rel=5e-3)


def test_quantiles_have_their_shares_below():
    X, y, folds, _ = a_table(n=4000)
    for level in (0.1, 0.5, 0.9):
        fit = fit_linear(X, y, folds, objective_of(("quantile", level), classes=False))
        assert (y < fit.oof).mean() == pytest.approx(level, abs=0.02)
    outliers = np.where(np.arange(len(y)) % 20 == 0, 1e4, y)
    inner = outliers < 1e3
    median, mean = (fit_linear(X, outliers, folds, objective).oof for objective in (MEDIAN, RMSE))
    assert np.abs(median - y)[inner].mean() < 0.2 * np.abs(mean - y)[inner].mean()


@pytest.mark.parametrize("objective", [LOG_LOSS, RMSE, POISSON])
def test_predictions_for_new_rows_are_those_of_the_folds(objective):
    X, y, folds, _ = a_table(2 if objective.classes else None)
    y = y if objective.classes else np.abs(y)
    fit = fit_linear(X, y, folds, objective, n_classes=2 if objective.classes else None)
    each = predict_linear_folds(fit, X, objective)
    assert each[folds, np.arange(len(y))] == pytest.approx(fit.oof, rel=1e-3, abs=1e-4)


def test_the_penalty_has_the_best_out_of_fold_loss(monkeypatch):
    rng = np.random.default_rng(0)
    folds = np.arange(200) % 5
    for p, signal in ((3, 5.0), (150, 0.02)):
        X = rng.normal(size=(200, p)).astype(np.float32)
        y = signal * X.sum(axis=1) + rng.normal(size=200)
        fit = fit_linear(X, y, folds, RMSE)
        with monkeypatch.context() as changed:
            losses = []
            for penalty in _linear.PENALTIES:
                changed.setattr(_linear, "PENALTIES", (penalty,))
                changed.setattr(_linear, "FIRST", 0)
                losses.append(RMSE.loss(y, fit_linear(X, y, folds, RMSE).oof))
        assert RMSE.loss(y, fit.oof) == pytest.approx(min(losses), rel=1e-3)


def test_more_columns_than_rows_and_useless_columns(one_penalty, monkeypatch):
    X, y, folds, _ = a_table(2, n=60, p=100)
    X[:, 3], X[:, 4] = 1, X[:, 5]
    rotated = fit_linear(X, y, folds, LOG_LOSS, n_classes=2)
    monkeypatch.setattr(_linear, "ROTATED", 10)
    assert fit_linear(X, y, folds, LOG_LOSS, n_classes=2).oof == pytest.approx(rotated.oof, abs=1e-3)
    assert LOG_LOSS.loss(y, rotated.oof) < 0.69


def test_constant_targets_and_missing_classes():
    X, _, folds, _ = a_table(n=60)
    for objective in (RMSE, MEDIAN, POISSON):
        assert fit_linear(X, np.full(60, 3.0), folds, objective).oof == pytest.approx(3, rel=0.05)
    y = (folds == 0).astype(int) * 2 + (np.arange(60) % 2)  # classes 2 and 3 only occur in fold 0
    assert np.isfinite(fit_linear(X, y, folds, LOG_LOSS, n_classes=4).oof).all()


def test_steps_that_are_too_long_are_survived():
    """Rates overflow on the way, without a warning."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 800)).astype(np.float32)
    y = np.where(rng.uniform(size=500) < 0.02, 1e6, 0.0)
    fit = fit_linear(X, y, np.arange(500) % 5, POISSON)
    assert np.isfinite(fit.fold_coefficients).all()
    assert POISSON.loss(y, fit.oof) < 10 * POISSON.loss(y, np.full(500, y.mean()))


def test_it_ends_at_the_deadline():
    """Some steps are always taken, so that there is a good answer."""
    X, y, folds, _ = a_table(2)
    cut, whole = (
        fit_linear(X, y, folds, LOG_LOSS, n_classes=2, deadline=deadline) for deadline in (time.perf_counter(), np.inf)
    )
    assert cut.penalty == _linear.PENALTIES[_linear.FIRST] != whole.penalty
    assert LOG_LOSS.loss(y, cut.oof) == pytest.approx(LOG_LOSS.loss(y, whole.oof), rel=0.05)


def test_blocks_of_rows_give_the_same(monkeypatch):
    X, y, folds, weights = a_table(3)
    whole = fit_linear(X, y, folds, LOG_LOSS, weights, n_classes=3).oof
    monkeypatch.setattr(_linear, "BLOCK", 1)
    assert fit_linear(X, y, folds, LOG_LOSS, weights, n_classes=3).oof == pytest.approx(whole, abs=1e-3)
