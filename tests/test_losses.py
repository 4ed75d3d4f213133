"""The losses by name and as objects, what they do to y, and one's own."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numba import njit

from fastbp import DivergenceError, Trainer, losses
from fastbp.losses import LOSSES, encode, loss_of


@pytest.mark.parametrize("name", LOSSES)
def test_a_name_is_the_object_with_its_defaults(name):
    loss = loss_of(name)
    assert loss == LOSSES[name]()
    assert loss.name == name
    assert Trainer([2, 2], loss=name).loss == name
    assert pickle.loads(pickle.dumps(loss)) == loss


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Huber(0), "delta: expected a finite number > 0, got 0"),
        (lambda: losses.Quantile(1), r"quantiles: expected numbers in \(0, 1\), got 1"),
        (lambda: losses.Quantile([]), r"quantiles: expected numbers in \(0, 1\), got \[\]"),
        (lambda: losses.CrossEntropy(label_smoothing=1), r"label_smoothing: expected a number in \[0, 1\), got 1"),
        (lambda: Trainer([2, 2], loss=losses.Quantile([0.1, 0.5, 0.9])), "layer_sizes: expected 3 outputs"),
        (lambda: Trainer([2, 2], loss="poisson", output_activation="identity"), "'auto' or 'exponential'"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_class_in_an_objects_place():
    with pytest.raises(TypeError, match=r"loss: expected an object, got the class Huber; write Huber\(\)"):
        Trainer([2, 2], loss=losses.Huber)


def encoded(y, n_outputs, loss):
    return encode("y", y, len(y), n_outputs, loss, loss.output, "float64")


def test_targets_of_the_hinge_loss_are_signs():
    for y in ([0, 1, 1], [-1, 1, 1]):
        np.testing.assert_array_equal(encoded(y, 1, losses.Hinge())[0].ravel(), [-1, 1, 1])
    np.testing.assert_array_equal(encoded([0, 2], 3, losses.Hinge())[0], [[1, -1, -1], [-1, -1, 1]])
    with pytest.raises(ValueError, match="y: expected −1 and 1, or 0 and 1, with loss='hinge'"):
        encoded([0, 2, 1], 1, losses.Hinge())


def test_one_target_goes_to_every_quantile():
    targets, _ = encoded([1.0, 2.0], 3, losses.Quantile([0.1, 0.5, 0.9]))
    np.testing.assert_array_equal(targets, [[1, 1, 1], [2, 2, 2]])


def test_counts_are_not_negative():
    with pytest.raises(ValueError, match="y: expected numbers ≥ 0, got numbers from -1 to 2"):
        encoded([-1, 2], 1, losses.Poisson())


def test_quantiles_are_quantiles():
    """Without inputs the network can only learn the numbers of which a q-th part lies below."""
    y = np.random.default_rng(0).exponential(size=4000)
    trainer = Trainer(
        [1, 3], loss=losses.Quantile([0.1, 0.5, 0.9]), optimizer="adam", learning_rate=0.02, batch_size=200, seed=0
    )
    trainer.fit(np.zeros((4000, 1)), y, epochs=60, verbose=0)
    np.testing.assert_allclose(trainer.biases[0], np.quantile(y, [0.1, 0.5, 0.9]), atol=0.1)


def test_label_smoothing_moves_the_targets_of_labels_and_of_one_hot_rows_alike():
    X, labels = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 4
    smooth = losses.CrossEntropy(label_smoothing=0.2)
    trainer, plain = Trainer([3, 4], loss=smooth, seed=0), Trainer([3, 4], loss="cross_entropy", seed=0)
    loss = trainer.evaluate(X, labels)["loss"]
    np.testing.assert_allclose(trainer.evaluate(X, np.eye(4)[labels])["loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(plain.evaluate(X, np.eye(4)[labels] * 0.8 + 0.05)["loss"], loss, rtol=1e-6)
    assert trainer.evaluate(X, labels, "accuracy")["accuracy"] == plain.evaluate(X, labels, "accuracy")["accuracy"]


def fourth_power(output, target):
    return (output - target) ** 4, 4 * (output - target) ** 3


def half_square(output, target):
    return 0.5 * (output - target) ** 2, output - target


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [half_square, njit(half_square)], ids=["plain", "njit"])
def test_ones_own_loss_trains_as_the_built_in_one(function, dtype):
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.random.default_rng(1).normal(size=(50, 2))
    own, built_in = (
        Trainer([3, 30, 2], loss=loss, activation="tanh", dtype=dtype, seed=0, batch_size=8)
        for loss in (function, "squared_error")
    )
    for trainer in (own, built_in):
        trainer.fit(X, y, epochs=3, sample_weight=np.linspace(0, 1, 50), verbose=0)
    for a, b in zip(own.get_weights(), built_in.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(own.history["loss"], built_in.history["loss"], rtol=1e-5)


def test_ones_own_loss_is_another_one():
    X, y = np.zeros((4, 1)), np.full((4, 1), 3.0)
    trainer = Trainer([1, 1], loss=fourth_power, initializer="zeros")
    assert trainer.evaluate(X, y)["loss"] == 81
    assert trainer.gradients(X, y).biases[0] == -108


def test_a_wrong_derivative_is_found_at_the_start():
    with pytest.raises(ValueError, match=r"loss: expected a function that gives .* got a derivative that is not"):
        Trainer([2, 1], loss=lambda a, y: ((a - y) ** 2, a - y))


@pytest.mark.parametrize("function", [lambda a: a, lambda a, y: a - y, lambda a, y: (a, y, 1, "x")])
def test_a_function_that_is_no_loss(function):
    with pytest.raises(ValueError, match=r"loss: expected a function of \(output, target\) that Numba compiles"):
        Trainer([2, 1], loss=function)


def far_off(output, target):
    e = output - target
    return (e * e, 2 * e) if abs(e) < 5 else (e * e, 3 * e)


def in_parts(output, target):
    return ((output - target) / target) ** 2, 2 * (output - target) / target**2


def tiny(output, target):
    return 1e-5 * (output - target) ** 2, 5e-5 * (output - target)


def test_a_derivative_is_checked_far_off_and_at_any_scale():
    for function in (far_off, tiny):
        with pytest.raises(ValueError, match="a derivative that is not"):
            Trainer([2, 1], loss=function)
    assert Trainer([2, 1], loss=njit(in_parts)).loss == "custom"


def raising(output, target):
    if target > 5:
        raise ValueError("too large")
    return (output - target) ** 2, 2 * (output - target)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loss_that_raises_an_error_is_no_loss_of_0():
    X, y = np.ones((4, 2)), np.array([[1.0], [2], [9], [1]])
    with pytest.raises(DivergenceError, match="the loss became nan"):
        Trainer([2, 1], loss=raising, seed=0).fit(X, y, verbose=0)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (losses.Huber(delta=1e39), "delta: expected a finite number > 0, got 1e[+]39, which is inf in float32"),
        (losses.Huber(delta=1e-46), "delta: expected a finite number > 0, got 1e-46, which is 0 in float32"),
        (losses.Quantile(1e-46), "quantiles: expected numbers that are in .0, 1. after .* float32, got .1e-46"),
        (losses.Quantile(1 - 1e-12), "quantiles: expected numbers that are in .0, 1. after .* float32, got .0.999999"),
    ],
)
def test_parameters_are_within_the_dtypes_range(loss, message):
    with pytest.raises(ValueError, match=message):
        Trainer([2, 1], loss=loss)
    assert Trainer([2, 1], loss=loss, dtype="float64").loss == loss.name
