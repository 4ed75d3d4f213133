"""Metrics equal scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as theirs

from fastbp import Trainer, metrics as ours


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_metrics_equal_scikit_learn(outputs):
    rng = np.random.default_rng(0)
    y, output = rng.normal(size=(50, outputs)), rng.normal(size=(50, outputs))
    assert ours.mse(y, output) == pytest.approx(theirs.mean_squared_error(y, output))
    assert ours.mae(y, output) == pytest.approx(theirs.mean_absolute_error(y, output))
    assert ours.r2(y, output) == pytest.approx(theirs.r2_score(y, output))


def test_r2_of_constant_targets_equals_scikit_learn():
    y = np.ones((5, 2))
    output = np.stack([np.ones(5), np.zeros(5)], 1)
    assert ours.r2(y, output) == theirs.r2_score(y, output) == 0.5


def test_accuracy_of_labels_that_are_not_exclusive_is_scikit_learns():
    rng = np.random.default_rng(0)
    y, output = rng.integers(0, 2, (40, 2)), rng.uniform(size=(40, 2))
    assert ours.subset_accuracy(y, output) == theirs.accuracy_score(y, output > 0.5)


@pytest.mark.parametrize(
    ("loss", "output", "y"),
    [
        ("cross_entropy", "softmax", [0, 2, 1, 2]),
        ("cross_entropy", "softmax", np.eye(3)[[0, 2, 1, 2]]),
        ("squared_error", "sigmoid", np.eye(3)[[0, 2, 1, 2]]),
        ("squared_error", "tanh", 2 * np.eye(3)[[0, 2, 1, 2]] - 1),
    ],
)
def test_accuracy_is_that_of_predict_classes(loss, output, y):
    trainer = Trainer([2, 3], loss=loss, output_activation=output, seed=3, epsilon=2)
    X = np.random.default_rng(1).normal(size=(4, 2))
    expected = np.mean(trainer.predict_classes(X) == [0, 2, 1, 2])
    assert trainer.evaluate(X, y, metrics=["accuracy"])["accuracy"] == expected


@pytest.mark.parametrize(("output", "low"), [("sigmoid", 0), ("tanh", -1), ("tanh", 0), ("identity", 0)])
def test_accuracy_of_a_single_output(output, low):
    trainer = Trainer([1, 1], output_activation=output)
    trainer.weights[0][...] = 4
    trainer.biases[0][...] = -1 if output == "sigmoid" else 0
    X, y = [[-1.0], [1.0], [1.0], [-1.0]], [low, 1, low, low]
    assert trainer.evaluate(X, y, metrics="accuracy")["accuracy"] == 0.75


def test_accuracy_of_numbers_that_are_no_classes_is_refused():
    trainer = Trainer([2, 1])
    with pytest.raises(ValueError, match="y: expected classes"):
        trainer.evaluate(np.ones((3, 2)), [0.5, 1.5, 2.5], metrics=["accuracy"])


def test_metrics_of_class_numbers_take_them_one_hot():
    trainer = Trainer([2, 3], loss="cross_entropy", seed=0)
    X, y = np.eye(2), np.array([0, 2])
    one_hot = trainer.evaluate(X, np.eye(3)[y], metrics=["mse", "mae", "r2", "accuracy"])
    assert trainer.evaluate(X, y, metrics=["mse", "mae", "r2", "accuracy"]) == pytest.approx(one_hot)


def test_training_metrics_are_those_of_the_weights_after_the_epoch(digits):
    """Also when the epoch's order was shuffled: row i is compared with target i."""
    X, y, X_test, y_test = digits
    trainer = Trainer([64, 16, 10], loss="cross_entropy", learning_rate=0.5, seed=0)
    history = trainer.fit(X, y, epochs=3, validation_data=(X_test, y_test), metrics=["accuracy", "mse"], verbose=0)
    after = trainer.evaluate(X, y, metrics=["accuracy", "mse"])
    assert history["accuracy"][-1] == after["accuracy"] > 0.5
    assert history["mse"][-1] == after["mse"]
    test = trainer.evaluate(X_test, y_test, metrics=["accuracy"])
    assert history["val_accuracy"][-1] == test["accuracy"]
    assert history["val_loss"][-1] == test["loss"]
