"""Losses of rows: gaussian_nll, negative_binomial, Members and Rows, in every way of training and predicting."""

from __future__ import annotations

import copy
import math
import pickle
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastbp import Ensemble, Stream, Trainer, fit_many, losses, reference
from fastbp._engine import engine as engines
from fastbp.reference.costs import losses as output_losses
from fastbp.reference.row_losses import OfRows, gaussian_nll, members, negative_binomial

from .optional import Package, needs

torch = Package("torch")
N, INPUTS = 83, 3  # 83 rows in batches of 16: five, and a short one of 3
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}


def rows_of(name, output="identity", parameter=None):
    """A loss of the reference that is a sum over outputs, as one of rows of zᴸ."""

    def of_rows(z, y):
        values, slopes = output_losses(z, y, output, name, parameter)
        return values.sum(axis=1), slopes

    return of_rows


class Case(NamedTuple):
    loss: Any
    n_outputs: int
    expected: Any  # the same loss of the reference
    targets: str = "numbers"
    n_targets: int = 1


CASES = {
    "gaussian_nll": Case("gaussian_nll", 2, gaussian_nll),
    "gaussian_nll of three": Case(losses.GaussianNLL(), 6, gaussian_nll, n_targets=3),
    "β-NLL": Case(losses.GaussianNLL(beta=0.5), 4, partial(gaussian_nll, beta=0.5), n_targets=2),
    "negative_binomial": Case("negative_binomial", 4, negative_binomial, "counts", 2),
    "members of squared_error": Case(
        losses.Members("squared_error", 3), 6, partial(members, n_members=3, loss=rows_of("squared_error")), n_targets=2
    ),
    "members of quantile": Case(
        losses.Members(losses.Quantile([0.1, 0.9]), 2),
        4,
        partial(members, n_members=2, loss=rows_of("quantile", parameter=[0.1, 0.9])),
        "one for two",
        2,
    ),
    "members of cross_entropy": Case(
        losses.Members(losses.CrossEntropy(0.1), 3),
        12,
        partial(members, n_members=3, loss=rows_of("cross_entropy", "softmax")),
        "classes",
        4,
    ),
    "members of binary_cross_entropy": Case(
        losses.Members("binary_cross_entropy", 2),
        2,
        partial(members, n_members=2, loss=rows_of("binary_cross_entropy", "sigmoid")),
        "labels",
    ),
    "members of gaussian_nll": Case(
        losses.Members(losses.GaussianNLL(), 2), 4, partial(members, n_members=2, loss=gaussian_nll)
    ),
}
over_cases = pytest.mark.parametrize("name", CASES)
over_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def data_of(case, seed=0):
    """X and y, and y as the reference takes it."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (N, INPUTS))
    t = case.n_targets
    if case.targets == "classes":
        y = rng.integers(0, t, N)
        return X, y, 0.9 * np.eye(t)[y] + 0.1 / t
    if case.targets == "one for two":
        y = X[:, 0] + rng.normal(size=N)
        return X, y, np.stack([y, y], axis=1)
    if case.targets == "labels":
        y = rng.integers(0, 2, (N, t))
    else:
        y = rng.poisson(4, (N, t)) if case.targets == "counts" else X[:, :t] + rng.normal(size=(N, t))
    return X, y, y.astype(np.float64)


def trainer_of(case, **options):
    options = {"dtype": "float64", "seed": 1, "batch_size": 16, "shuffle": False} | options
    return Trainer([INPUTS, 7, case.n_outputs], loss=case.loss, **options)


def arrays(trainer):
    return [w.astype(np.float64) for w in trainer.weights], [b.astype(np.float64) for b in trainer.biases]


@over_dtypes
@over_cases
def test_the_loss_and_its_gradients_equal_the_reference(name, dtype):
    case = CASES[name]
    X, y, expected_y = data_of(case)
    weights = np.random.default_rng(2).uniform(0, 2, N)
    trainer = trainer_of(case, dtype=dtype)
    J, dW, db = reference.gradients(*arrays(trainer), ["tanh", "identity"], X, expected_y, OfRows(case.expected))
    found = trainer.gradients(X, y)
    np.testing.assert_allclose(found.loss, J, rtol=TOLERANCE[dtype])
    for one, other in zip([*found.weights, *found.biases], [*dW, *db], strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)
    J, _, _ = reference.gradients(
        *arrays(trainer), ["tanh", "identity"], X, expected_y, OfRows(case.expected), sample_weight=weights
    )
    np.testing.assert_allclose(trainer.evaluate(X, y, sample_weight=weights)["loss"], J, rtol=TOLERANCE[dtype])


@over_dtypes
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@over_cases
def test_training_equals_the_reference(name, optimizer, dtype):
    """Ten epochs of six batches, the last of which is short, with weights of the samples."""
    case = CASES[name]
    X, y, expected_y = data_of(case)
    sample_weight = np.random.default_rng(2).uniform(0, 2, N)
    trainer = trainer_of(case, optimizer=optimizer, learning_rate=0.02, dtype=dtype)
    weights, biases = arrays(trainer)
    history = trainer.fit(X, y, epochs=10, sample_weight=sample_weight, verbose=0)
    state: dict[str, Any] = {}
    for epoch in range(10):
        loss = reference.train_epoch(
            weights,
            biases,
            ["tanh", "identity"],
            X,
            expected_y,
            loss=OfRows(case.expected),
            learning_rate=0.02,
            batch_size=16,
            sample_weight=sample_weight,
            optimizer=optimizer,
            state=state,
        )
        np.testing.assert_allclose(history["loss"][epoch], loss, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype])
    for one, other in zip([*trainer.weights, *trainer.biases], [*weights, *biases], strict=True):
        np.testing.assert_allclose(one, other, rtol=10 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@over_cases
def test_gradients_equal_central_differences_of_the_loss(name):
    case = CASES[name]
    if case.loss == losses.GaussianNLL(beta=0.5):
        pytest.skip("the factor σ^2β is not a part of J")
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    gradient, step = trainer.gradients(X, y).weights[0], 1e-5
    for place in ((0, 0), (3, 1), (6, 2)):
        start, around = trainer.weights[0][place], []
        for shift in (step, -step):
            trainer.weights[0][place] = start + shift
            around.append(trainer.evaluate(X, y)["loss"])
        trainer.weights[0][place] = start
        np.testing.assert_allclose((around[0] - around[1]) / (2 * step), gradient[place], rtol=1e-6, atol=1e-8)


class Fixed:
    """Says that a network trains with some threads, however many processors there are."""

    def __init__(self, n_threads):
        self.team = n_threads

    def choose(self, budget):
        return self.team, budget

    def record(self, *_):
        pass


@over_cases
def test_results_are_bit_identical_for_any_number_of_threads(name, monkeypatch):
    case = CASES[name]
    X, y, _ = data_of(case)
    found = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(engines, "team_size", lambda *_, n=n_threads: Fixed(n))
        trainer = trainer_of(case, optimizer="adam", batch_size=40, dtype="float32")
        history = trainer.fit(X, y, epochs=3, validation_data=(X, y), verbose=0)
        found.append((*trainer.get_weights(), history["loss"], history["val_loss"]))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@over_cases
def test_training_goes_on_to_the_bit_after_a_file_a_pickle_and_a_copy(name, folder):
    case = CASES[name]
    X, y, _ = data_of(case)
    trainer = trainer_of(case, optimizer="adam", shuffle=True)
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.save("a.npz")
    others = [Trainer.load("a.npz"), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)]
    for one in (trainer, *others):
        one.fit(X, y, epochs=2, verbose=0)
        assert one._state.loss == trainer._state.loss
        np.testing.assert_array_equal(one.predict(X), trainer.predict(X))
        for mine, theirs in zip(one.get_weights(), trainer.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@over_cases
def test_streams_batches_and_fit_many_train_the_same(name):
    case = CASES[name]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    trainer.fit(X, y, epochs=2, verbose=0)
    streamed, batched, one_of_many = (trainer_of(case) for _ in range(3))
    streamed.fit(Stream((X, y)), epochs=2, verbose=0)
    batched.fit([(X[i : i + 16], y[i : i + 16]) for i in range(0, N, 16)], epochs=2, verbose=0)
    outcomes = fit_many([one_of_many, trainer_of(case, seed=7)], X, y, epochs=2, verbose=0)
    assert all(outcome.error is None for outcome in outcomes)
    for other in (streamed, batched, outcomes[0].trainer):
        for one, two in zip(trainer.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


def outputs_of(trainer, X):
    """The outputs aᴸ in float64, by the reference."""
    _, a = reference.forward(*arrays(trainer), [*trainer.activation, trainer.output_activation], X)
    return a[-1]


def test_gaussian_nll_predicts_means_standard_deviations_and_intervals():
    case = CASES["gaussian_nll of three"]
    X, _, _ = data_of(case)
    trainer = trainer_of(case)
    mean, s = np.split(outputs_of(trainer, X), 2, axis=1)
    np.testing.assert_allclose(trainer.predict(X), mean)
    np.testing.assert_allclose(trainer.predict_std(X), np.exp(s / 2))
    interval = trainer.predict_interval(X, coverage=0.95)
    assert interval.shape == (N, 3, 2)
    half = 1.959963984540054 * np.exp(s / 2)
    np.testing.assert_allclose(interval, np.stack([mean - half, mean + half], axis=2))


def test_negative_binomial_predicts_the_moments_and_quantiles_of_its_distribution():
    stats = pytest.importorskip("scipy.stats")
    case = CASES["negative_binomial"]
    X, _, _ = data_of(case)
    trainer = trainer_of(case, epsilon=2.0)
    log_mean, log_alpha = np.split(outputs_of(trainer, X), 2, axis=1)
    r = np.exp(-log_alpha)
    distribution = stats.nbinom(r, r / (r + np.exp(log_mean)))
    np.testing.assert_allclose(trainer.predict(X), distribution.mean())
    np.testing.assert_allclose(trainer.predict_std(X), distribution.std())
    interval = trainer.predict_interval(X, coverage=0.8)
    assert interval.shape == (N, 2, 2)
    np.testing.assert_array_equal(interval[:, :, 0], distribution.ppf(0.1))
    np.testing.assert_array_equal(interval[:, :, 1], distribution.ppf(0.9))


def test_the_negative_binomial_loss_is_scipys_log_likelihood():
    stats = pytest.importorskip("scipy.stats")
    case = CASES["negative_binomial"]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    log_mean, log_alpha = np.split(outputs_of(trainer, X), 2, axis=1)
    r = np.exp(-log_alpha)
    expected = -stats.nbinom.logpmf(y, r, r / (r + np.exp(log_mean))).sum(axis=1).mean()
    np.testing.assert_allclose(trainer.evaluate(X, y)["loss"], expected, rtol=1e-11)


def test_quantiles_predict_intervals_of_matching_coverage():
    X = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    trainer = Trainer([3, 5, 3], loss=losses.Quantile([0.05, 0.5, 0.95]), seed=0)
    interval = trainer.predict_interval(X, coverage=0.9)
    outputs = trainer.predict(X)[:, [0, 2]]
    np.testing.assert_array_equal(interval, np.sort(outputs, axis=1)[:, None])
    with pytest.raises(ValueError, match=r"coverage: .* 0\.1 .* got 0\.8"):
        trainer.predict_interval(X, coverage=0.8)


def test_members_predict_their_mean_and_how_much_they_disagree():
    case = CASES["members of cross_entropy"]
    X, _, _ = data_of(case)
    trainer = trainer_of(case, epsilon=2.0)
    each = reference.softmax(outputs_of(trainer, X).reshape(-1, 4)).reshape(N, 3, 4)
    np.testing.assert_allclose(trainer.predict_members(X), each)
    np.testing.assert_allclose(trainer.predict(X), each.mean(axis=1))
    np.testing.assert_allclose(trainer.predict_std(X), each.std(axis=1, ddof=1))
    np.testing.assert_array_equal(trainer.predict_classes(X), each.mean(axis=1).argmax(axis=1))
    with pytest.raises(ValueError, match="loss: expected quantile, gaussian_nll or .* got 'members'"):
        trainer.predict_interval(X)


def test_members_of_a_likelihood_are_a_mixture():
    case = CASES["members of gaussian_nll"]
    X, _, _ = data_of(case)
    trainer = trainer_of(case, epsilon=2.0)
    outputs = outputs_of(trainer, X).reshape(N, 2, 2)
    means, variances = outputs[:, :, 0], np.exp(outputs[:, :, 1])
    mean = means.mean(axis=1)
    std = np.sqrt((variances + means**2).mean(axis=1) - mean**2)
    np.testing.assert_allclose(trainer.predict(X)[:, 0], mean)
    np.testing.assert_allclose(trainer.predict_std(X)[:, 0], std)
    interval = trainer.predict_interval(X, coverage=0.5)
    np.testing.assert_allclose(interval[:, 0, 1], mean + 0.6744897501960817 * std)


def test_members_of_the_same_weights_train_like_one_network():
    """The mean over members of equal losses is the loss of one member."""
    X, y, _ = data_of(CASES["gaussian_nll"])
    trainer = Trainer([INPUTS, 7, 6], loss=losses.Members("squared_error", 6), dtype="float64", seed=0)
    alone = Trainer([INPUTS, 7, 1], loss="squared_error", dtype="float64", seed=0)
    for mine, theirs in zip(trainer.parameters(), alone.parameters(), strict=True) if False else ():
        mine[...] = theirs
    theta, b, top, bias = alone.get_weights()
    trainer.set_weights([theta, b, np.repeat(top, 6, axis=0), np.repeat(bias, 6)])
    np.testing.assert_allclose(trainer.gradients(X, y).loss, alone.gradients(X, y).loss, rtol=1e-12)
    np.testing.assert_allclose(trainer.gradients(X, y).weights[0], alone.gradients(X, y).weights[0], rtol=1e-10)
    np.testing.assert_allclose(trainer.predict(X), alone.predict(X), rtol=1e-12)


@pytest.mark.parametrize("name", ["squared_error", "huber", "mse"])
def test_other_losses_refuse_to_predict_a_spread(name):
    if name == "mse":
        name = "cross_entropy"
    trainer = Trainer([3, 2], loss=name, seed=0)
    X = np.zeros((2, 3))
    for method, expected in (
        (trainer.predict_std, "gaussian_nll, negative_binomial or Members"),
        (trainer.predict_interval, "quantile, gaussian_nll or negative_binomial"),
        (trainer.predict_members, "Members"),
    ):
        with pytest.raises(ValueError, match=f"loss: expected {expected}.* got '{name}'"):
            method(X)


@pytest.mark.parametrize("coverage", [0, 1, -0.5, math.nan])
def test_a_coverage_is_a_probability_between_0_and_1(coverage):
    trainer = trainer_of(CASES["gaussian_nll"])
    with pytest.raises(ValueError, match="coverage: expected a"):
        trainer.predict_interval(np.zeros((2, 3)), coverage)
