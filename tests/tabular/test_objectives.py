"""The objectives of ensembles equal scikit-learn's metrics, and decisions suit them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

from fastbp.losses import Quantile
from fastbp.tabular._objectives import OF_CLASSES, OF_NUMBERS, class_priors, decide, objective_of


def some_classes(n_classes, n=300):
    """Return class numbers, probabilities with ties, and weights of which some are 0."""
    rng = np.random.default_rng(n_classes)
    y = rng.integers(0, n_classes, n)
    P = rng.integers(1, 6, (n, n_classes)) + 2.0 * np.eye(n_classes)[y]
    return y, P / P.sum(axis=1, keepdims=True), rng.integers(0, 4, n) / 2


def some_numbers(n=300):
    """Return counts, positive predictions and weights of which some are 0."""
    rng = np.random.default_rng(5)
    y = rng.poisson(3.0, n).astype(float)
    return y, y + rng.uniform(0.1, 2.0, n), rng.integers(0, 4, n) / 2


def of_scikit_learn(metric, y, prediction, weight):
    """Return the score that scikit-learn's function of the metric gives."""
    labels = np.arange(prediction.shape[1]) if prediction.ndim == 2 else None
    function, options = {
        "log_loss": (theirs.log_loss, {"labels": labels}),
        "roc_auc": (theirs.roc_auc_score, {"multi_class": "ovr"}),
        "accuracy": (theirs.accuracy_score, {}),
        "balanced_accuracy": (theirs.balanced_accuracy_score, {}),
        "rmse": (theirs.root_mean_squared_error, {}),
        "mae": (theirs.mean_absolute_error, {}),
        "r2": (theirs.r2_score, {}),
        "poisson": (theirs.mean_poisson_deviance, {}),
        "quantile:0.8": (theirs.mean_pinball_loss, {"alpha": 0.8}),
    }[metric]
    if metric == "roc_auc" and prediction.shape[1] == 2:
        prediction = prediction[:, 1]
    if "accuracy" in metric:
        objective = objective_of(metric, classes=True)
        prediction = decide(prediction, objective, class_priors(y, prediction.shape[1], weight))
    return function(y, prediction, sample_weight=weight, **options)


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_objectives_of_classes_equal_scikit_learn(metric):
    objective = objective_of(metric, classes=True)
    for n_classes in (2, 3, 5):
        y, P, weights = some_classes(n_classes)
        for weight in (None, weights):
            expected = of_scikit_learn(metric, y, P, weight)
            assert objective.score(y, P, weight) == pytest.approx(expected, rel=1e-12)
            assert objective.loss(y, P, weight) == pytest.approx(
                1 - expected if objective.greater_is_better else expected, rel=1e-12
            )


@pytest.mark.parametrize("metric", [*OF_NUMBERS, "quantile:0.8"])
def test_objectives_of_numbers_equal_scikit_learn(metric):
    objective = objective_of(metric, classes=False)
    y, prediction, weights = some_numbers()
    for weight in (None, weights):
        expected = of_scikit_learn(metric, y, prediction, weight)
        assert objective.score(y, prediction, weight) == pytest.approx(expected, rel=1e-12)
        assert objective.loss(y, prediction, weight) == pytest.approx(
            1 - expected if objective.greater_is_better else expected, rel=1e-12
        )


@pytest.mark.parametrize("metric", [*OF_CLASSES, *OF_NUMBERS, "quantile:0.8"])
def test_the_losses_of_several_predictions_are_those_of_each(metric):
    classes = metric in OF_CLASSES
    objective = objective_of(metric, classes=classes)
    y, prediction, weights = some_classes(3) if classes else some_numbers()
    several = np.stack([prediction, prediction[::-1], np.roll(prediction, 1, axis=0)])
    for weight in (None, weights):
        assert objective.losses(y, several, weight) == pytest.approx(
            [objective.loss(y, each, weight) for each in several], rel=1e-12
        )


def test_a_class_that_does_not_occur_is_left_out():
    y, P, _ = some_classes(3)
    kept = y != 2
    for metric in ("roc_auc", "balanced_accuracy"):
        objective = objective_of(metric, classes=True)
        by_weight = objective.loss(y, P, kept.astype(float))
        assert objective.loss(y[kept], P[kept]) == pytest.approx(by_weight, rel=1e-12)
    assert np.isnan(objective_of("roc_auc", classes=True).loss(np.zeros(4, int), np.full((4, 2), 0.5)))


def test_impossible_predictions_have_a_finite_loss():
    assert objective_of("log_loss", classes=True).loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(
        36.04, abs=0.01
    )
    assert objective_of("poisson", classes=False).loss(np.array([1.0]), np.array([-1.0])) == pytest.approx(
        1414.8, abs=0.1
    )
    assert objective_of("r2", classes=False).loss(np.full(3, 0.1), np.full(3, 0.1)) == 0


def test_decisions_for_balanced_accuracy_favour_rare_classes():
    """With calibrated probabilities, they have the better balanced accuracy, and the others the better accuracy."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    p = 1 / (1 + np.exp(3 - 1.5 * x))
    y = (rng.uniform(size=len(x)) < p).astype(int)
    P = np.stack([1 - p, p], axis=1)
    priors = class_priors(y, 2)
    likely = decide(P, objective_of("accuracy", classes=True), priors)
    balanced = decide(P, objective_of("balanced_accuracy", classes=True), priors)
    assert theirs.balanced_accuracy_score(y, balanced) > theirs.balanced_accuracy_score(y, likely) + 0.1
    assert theirs.accuracy_score(y, likely) > theirs.accuracy_score(y, balanced) + 0.1


def test_names_of_objectives():
    for metric, classes, name in [
        ("auto", True, "log_loss"),
        ("auto", False, "rmse"),
        ("neg_log_loss", True, "log_loss"),
        ("roc_auc_ovr", True, "roc_auc"),
        ("neg_root_mean_squared_error", False, "rmse"),
        ("neg_mean_poisson_deviance", False, "poisson"),
        (("quantile", 0.9), False, "quantile"),
    ]:
        objective = objective_of(metric, classes=classes)
        assert objective.name == name
        assert objective_of(objective.metric, classes=classes) == objective
    assert objective_of("quantile:0.9", classes=False).network_loss == Quantile(0.9)


def test_wrong_metrics_are_refused():
    for metric, classes, message in [
        ("rmse", True, "metric: expected one of 'log_loss', .*, got 'rmse', which is for numbers"),
        ("accuracy", False, "metric: expected one of 'rmse', .*'quantile:0.9', got 'accuracy', which is for classes"),
        ("quantile:0.9", True, "which is for numbers"),
        ("quantile", False, "such as 'quantile:0.9'"),
        ("quantile:2", False, "a level in \\(0, 1\\) for the quantile, got 2.0"),
        ("quantile:high", False, "a level in \\(0, 1\\) for the quantile, got 'high'"),
        (("quantile", 0), False, "metric: expected a finite number > 0"),
        ("mse", False, "did you mean 'rmse'"),
    ]:
        with pytest.raises(ValueError, match=message):
            objective_of(metric, classes=classes)
    with pytest.raises(TypeError, match="metric: expected the name of a metric"):
        objective_of(3, classes=True)
