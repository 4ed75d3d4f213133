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
    "gaussian_nll_3": Case(losses.GaussianNLL(), 6, gaussian_nll, n_targets=3),
    "beta_nll": Case(losses.GaussianNLL(beta=0.5), 4, partial(gaussian_nll, beta=0.5), n_targets=2),
    "negative_binomial": Case("negative_binomial", 4, negative_binomial, "counts", 2),
    "members_squared_error": Case(
        losses.Members("squared_error", 3), 6, partial(members, n_members=3, loss=rows_of("squared_error")), n_targets=2
    ),
    "members_quantile": Case(
        losses.Members(losses.Quantile([0.1, 0.9]), 2),
        4,
        partial(members, n_members=2, loss=rows_of("quantile", parameter=[0.1, 0.9])),
        "one for two",
        2,
    ),
    "members_cross_entropy": Case(
        losses.Members(losses.CrossEntropy(0.1), 3),
        12,
        partial(members, n_members=3, loss=rows_of("cross_entropy", "softmax")),
        "classes",
        4,
    ),
    "members_binary_cross_entropy": Case(
        losses.Members("binary_cross_entropy", 2),
        2,
        partial(members, n_members=2, loss=rows_of("binary_cross_entropy", "sigmoid")),
        "labels",
    ),
    "members_gaussian_nll": Case(
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


@pytest.mark.parametrize("name", [name for name in CASES if name != "beta_nll"])  # whose factor σ^2β isn't a part of J
def test_gradients_equal_central_differences_of_the_loss(name):
    case = CASES[name]
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


def test_a_new_trainer_is_copied_and_its_learning_rate_is_found():
    case = CASES["gaussian_nll"]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    np.testing.assert_array_equal(copy.deepcopy(trainer).predict(X), trainer.predict(X))
    before = trainer.get_weights()
    assert trainer.find_learning_rate(X, y).suggestion > 0
    for one, other in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lbfgs_minimizes_a_likelihood():
    case = CASES["gaussian_nll"]
    X, y, _ = data_of(case)
    trainer = trainer_of(case, optimizer="lbfgs")
    history = trainer.fit(X, y, epochs=50, verbose=0)
    assert history["loss"][-1] < history["loss"][0] - 0.3
    assert np.abs(trainer.gradients(X, y).weights[0]).max() < np.abs(trainer_of(case).gradients(X, y).weights[0]).max()


@over_cases
def test_streams_batches_and_fit_many_train_the_same(name):
    case = CASES[name]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    trainer.fit(X, y, epochs=2, verbose=0)
    streamed, batched, one_of_many = (trainer_of(case) for _ in range(3))
    streamed.fit(Stream([(X, y)]), epochs=2, verbose=0)
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
    case = CASES["gaussian_nll_3"]
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
    case = CASES["members_cross_entropy"]
    X, _, _ = data_of(case)
    trainer = trainer_of(case, epsilon=2.0)
    each = reference.softmax(outputs_of(trainer, X).reshape(-1, 4)).reshape(N, 3, 4)
    np.testing.assert_allclose(trainer.predict_members(X), each)
    np.testing.assert_allclose(trainer.predict(X), each.mean(axis=1))
    np.testing.assert_allclose(trainer.predict_std(X), each.std(axis=1, ddof=1))
    np.testing.assert_array_equal(trainer.predict_classes(X), each.mean(axis=1).argmax(axis=1))
    with pytest.raises(ValueError, match=r"loss: expected quantile, gaussian_nll, .* got 'members'"):
        trainer.predict_interval(X)


def test_members_of_a_likelihood_are_a_mixture():
    case = CASES["members_gaussian_nll"]
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


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_members_of_quantiles_predict_their_mean_quantiles(coverage):
    X = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    loss = losses.Members(losses.Quantile([0.05, 0.25, 0.75, 0.95]), 2)
    trainer = Trainer([3, 5, 8], loss=loss, initializer="glorot", seed=0)
    columns = [1, 2] if coverage == 0.5 else [0, 3]
    expected = np.sort(trainer.predict_members(X).mean(axis=1)[:, columns], axis=1)
    np.testing.assert_allclose(trainer.predict_interval(X, coverage=coverage)[:, 0], expected)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_members_of_counts_predict_quantiles_of_their_moments(coverage):
    stats = pytest.importorskip("scipy.stats")
    X = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    loss = losses.Members("negative_binomial", 2)
    trainer = Trainer([3, 5, 4], loss=loss, initializer="glorot", dtype="float64", seed=0)
    trainer.biases[1][:] = 3
    mean, variance = trainer.predict(X), trainer.predict_std(X) ** 2
    distribution = stats.nbinom(mean**2 / (variance - mean), mean / variance)
    interval = trainer.predict_interval(X, coverage=coverage)
    np.testing.assert_array_equal(interval[:, :, 0], distribution.ppf((1 - coverage) / 2))
    np.testing.assert_array_equal(interval[:, :, 1], distribution.ppf((1 + coverage) / 2))


def test_members_of_the_same_weights_train_like_one_network():
    """The mean over members of equal losses is the loss of one member."""
    X, y, _ = data_of(CASES["gaussian_nll"])
    trainer = Trainer([INPUTS, 7, 6], loss=losses.Members("squared_error", 6), dtype="float64", seed=0)
    alone = Trainer([INPUTS, 7, 1], loss="squared_error", dtype="float64", seed=0)
    theta, b, top, bias = alone.get_weights()
    trainer.set_weights([theta, b, np.repeat(top, 6, axis=0), np.repeat(bias, 6)])
    np.testing.assert_allclose(trainer.gradients(X, y).loss, alone.gradients(X, y).loss, rtol=1e-12)
    np.testing.assert_allclose(trainer.gradients(X, y).weights[0], alone.gradients(X, y).weights[0], rtol=1e-10)
    np.testing.assert_allclose(trainer.predict(X), alone.predict(X), rtol=1e-12)


@pytest.mark.parametrize("name", ["squared_error", "huber", "cross_entropy"])
def test_other_losses_refuse_to_predict_a_spread(name):
    trainer = Trainer([3, 2], loss=name, seed=0)
    X = np.zeros((2, 3))
    for method, expected in (
        (trainer.predict_std, "gaussian_nll, negative_binomial or Members"),
        (trainer.predict_interval, "quantile, gaussian_nll, negative_binomial"),
        (trainer.predict_members, "Members"),
    ):
        with pytest.raises(ValueError, match=f"loss: expected {expected}.* got '{name}'"):
            method(X)


@pytest.mark.parametrize("coverage", [0, 1, -0.5, math.nan])
def test_a_coverage_is_a_probability_between_0_and_1(coverage):
    trainer = trainer_of(CASES["gaussian_nll"])
    with pytest.raises(ValueError, match="coverage: expected a"):
        trainer.predict_interval(np.zeros((2, 3)), coverage)


def test_standardize_trains_as_with_numbers_that_were_scaled_by_hand():
    """Means and standard deviations come back in the units of y, also from members."""
    rng = np.random.default_rng(0)
    X = rng.normal(5, 3, (N, INPUTS))
    y = 1000 + 40 * rng.normal(size=(N, 2)) + 10 * X[:, :2]
    scaled_X, scaled_y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in (X, y))
    for loss, n_outputs in (
        ("gaussian_nll", 4),
        (losses.Members("gaussian_nll", 3), 12),
        (losses.Members("huber", 2), 4),
    ):
        options = {"loss": loss, "dtype": "float64", "seed": 3, "shuffle": False, "optimizer": "adam"}
        trainer, by_hand = (Trainer([INPUTS, 7, n_outputs], standardize=s, **options) for s in (True, False))
        history = trainer.fit(X, y, epochs=5, verbose=0, metrics=["rmse", "r2"])
        expected = by_hand.fit(scaled_X, scaled_y, epochs=5, verbose=0, metrics=["r2"])
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-9)
        np.testing.assert_allclose(history["r2"], expected["r2"], rtol=1e-7)
        mean, std = by_hand.predict(scaled_X), by_hand.predict_std(scaled_X)
        np.testing.assert_allclose(trainer.predict(X), mean * y.std(axis=0) + y.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(trainer.predict_std(X), std * y.std(axis=0), rtol=1e-8)
        errors = trainer.predict(X) - y
        np.testing.assert_allclose(history["rmse"][-1], np.sqrt((errors**2).mean(axis=0)).mean(), rtol=1e-9)


def test_derivatives_by_the_inputs_are_those_of_the_loss_and_of_all_outputs():
    """In the units of X and y: those of μ have the deviation of y as a factor, those of log σ² have none."""
    rng = np.random.default_rng(0)
    X = rng.normal(5, 3, (N, INPUTS))
    y = 1000 + 40 * X[:, 0] + rng.normal(size=N)
    for loss, n_outputs in (("gaussian_nll", 2), (losses.Members("gaussian_nll", 2), 4)):
        trainer = Trainer([INPUTS, 7, n_outputs], standardize=True, loss=loss, dtype="float64", seed=0)
        trainer.fit(X, y, epochs=3, verbose=0)
        above, below = X.copy(), X.copy()
        above[4, 1] += 1e-5
        below[4, 1] -= 1e-5
        found = trainer.input_gradients(X, y)[4, 1]
        numeric = (trainer.evaluate(above, y)["loss"] - trainer.evaluate(below, y)["loss"]) / 2e-5
        np.testing.assert_allclose(found, numeric, rtol=1e-5)
        means = [
            trainer.predict_members(one)[4] if n_outputs > 2 else trainer.predict(one)[4] for one in (above, below)
        ]
        jacobian = trainer.jacobian(X)
        assert jacobian.shape == (N, n_outputs, INPUTS)
        np.testing.assert_allclose(jacobian[4, ::2, 1], np.ravel(means[0] - means[1]) / 2e-5, rtol=1e-5)
        if n_outputs == 2:
            logs = [2 * np.log(trainer.predict_std(one)[4]) for one in (above, below)]
            np.testing.assert_allclose(jacobian[4, 1:, 1], (logs[0] - logs[1]) / 2e-5, rtol=1e-5)
        V = rng.normal(size=(N, n_outputs))
        np.testing.assert_allclose(trainer.vjp(X, V), np.einsum("ij,ijk->ik", V, jacobian), rtol=1e-9, atol=1e-9)


def test_standardize_leaves_counts_and_classes_as_they_are():
    for name in ("negative_binomial", "members_cross_entropy"):
        case = CASES[name]
        X, y, _ = data_of(case)
        trainer = trainer_of(case, standardize=True)
        trainer.fit(X, y, epochs=1, verbose=0)
        assert trainer.scaling is not None
        assert trainer.scaling.target_mean is None


def test_metrics_compare_the_predictions_with_the_targets():
    sk = pytest.importorskip("sklearn.metrics")
    case = CASES["negative_binomial"]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    assert math.isclose(trainer.evaluate(X, y, metrics=["r2"])["r2"], sk.r2_score(y, trainer.predict(X)))
    case = CASES["members_cross_entropy"]
    X, y, _ = data_of(case)
    trainer = trainer_of(case)
    found = trainer.evaluate(X, y, metrics=["accuracy", "log_loss"])
    assert math.isclose(found["log_loss"], sk.log_loss(y, trainer.predict(X)), rel_tol=1e-9)
    assert math.isclose(found["accuracy"], (trainer.predict_classes(X) == y).mean())


def test_weights_of_classes_and_samples_weigh_the_loss_of_members():
    case = CASES["members_cross_entropy"]
    X, y, _ = data_of(case)
    by_class, by_sample = trainer_of(case), trainer_of(case)
    by_class.fit(X, y, epochs=2, class_weight={1: 3, 2: 0.5}, verbose=0)
    by_sample.fit(X, y, epochs=2, sample_weight=np.array([1, 3, 0.5, 1])[y], verbose=0)
    for one, other in zip(by_class.get_weights(), by_sample.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_validation_split_of_members_is_stratified_by_class():
    case = CASES["members_cross_entropy"]
    X, _, _ = data_of(case)
    y = np.arange(N) % 4
    trainer = trainer_of(case)
    intake = trainer._intake
    _, validating = intake.split(intake.data("X", X, "y", y), 0.25)
    assert validating is not None
    counts = np.bincount(validating.labels)
    assert counts.max() - counts.min() <= 1


def test_ensembles_average_the_predictions_of_row_losses():
    case = CASES["gaussian_nll"]
    X, y, _ = data_of(case)
    ensemble = Ensemble(2, [INPUTS, 5, 2], loss="gaussian_nll", seed=0)
    ensemble.fit(X, y, epochs=1, verbose=0)
    each = np.stack([trainer.predict(X) for trainer in ensemble.trainers])
    np.testing.assert_allclose(ensemble.predict(X), each.mean(axis=0), rtol=1e-6)


def test_a_network_of_layers_trains_with_a_row_loss():
    from fastbp.layers import Dense, Inputs, Residual

    X, y, _ = data_of(CASES["gaussian_nll"])
    trainer = Trainer([Inputs(numbers=INPUTS), Dense(8, norm="layer"), Residual(8), 2], loss="gaussian_nll", seed=0)
    history = trainer.fit(X, y, epochs=30, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    assert trainer.predict(X).shape == trainer.predict_std(X).shape == (N, 1)


@pytest.mark.parametrize(
    ("sizes", "loss", "expected"),
    [
        ([3, 3], "gaussian_nll", "layer_sizes: expected two outputs for each target .* got 3"),
        ([3, 5], losses.Members("huber", 2), "layer_sizes: expected a multiple of n_members=2 .* got 5"),
        ([3, 3], losses.Members("gaussian_nll", 3), "layer_sizes: expected two outputs for each target .* got 1"),
        ([3, 2], losses.Members("cross_entropy", 2), "layer_sizes: expected two or more outputs for each member"),
    ],
    ids=["gaussian_nll", "members", "members_of_pairs", "members_of_classes"],
)
def test_a_wrong_number_of_outputs_is_refused(sizes, loss, expected):
    with pytest.raises(ValueError, match=expected):
        Trainer(sizes, loss=loss)


@pytest.mark.parametrize("output", ["tanh", "softmax", "exponential"])
def test_other_output_activations_are_refused(output):
    with pytest.raises(ValueError, match="output_activation: expected 'auto' or 'identity'"):
        Trainer([3, 2], loss="gaussian_nll", output_activation=output)


def test_wrong_arguments_of_losses_are_refused():
    for beta in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="beta: expected"):
            losses.GaussianNLL(beta)
    with pytest.raises(ValueError, match="n_members: expected an integer ≥ 2, got 1"):
        losses.Members("huber", 1)
    for inner, name in ((losses.Members("huber", 2), "members"), (losses.Custom(squared), "custom")):
        with pytest.raises(ValueError, match=f"loss: expected one of fastbp's losses .* got '{name}'"):
            losses.Members(inner, 2)


def test_wrong_targets_are_refused_before_anything_changes():
    trainer = trainer_of(CASES["negative_binomial"])
    before = trainer.get_weights()
    X = np.zeros((5, INPUTS))
    with pytest.raises(ValueError, match=r"y: expected numbers ≥ 0"):
        trainer.fit(X, np.full((5, 2), -1.0), verbose=0)
    with pytest.raises(ValueError, match=r"y: expected shape \(5, 2\)"):
        trainer.fit(X, np.zeros((5, 4)), verbose=0)
    for one, other in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_estimators_refuse_losses_with_other_outputs_than_targets():
    pytest.importorskip("sklearn")
    from fastbp.sklearn import MLPRegressor

    with pytest.raises(ValueError, match="loss: expected a loss with one output for each target"):
        MLPRegressor(loss=losses.GaussianNLL()).fit(np.zeros((4, 2)), np.zeros(4))


def squared(output, target):
    return 0.5 * (output - target) ** 2, output - target


def gaussian_row(outputs, targets):
    e, precision = outputs[0] - targets[0], math.exp(-outputs[1])
    return 0.5 * (outputs[1] + e * e * precision), (e * precision, 0.5 * (1 - e * e * precision))


def halves(outputs, targets):
    e = outputs - targets
    return 0.5 * np.sum(e * e), e


def distances(outputs, targets):
    """√(1 + the squared distance), which is not a sum over outputs; its gradient is an array."""
    root = np.sqrt(1 + np.sum((outputs - targets) ** 2))
    return root, (outputs - targets) / root


@over_dtypes
def test_a_loss_of_rows_of_your_own_trains_as_fastbps_own(dtype):
    X, y, _ = data_of(CASES["gaussian_nll"])
    options = {"dtype": dtype, "seed": 0, "optimizer": "adam", "batch_size": 16, "epsilon": 0.5}
    own = Trainer([INPUTS, 7, 2], loss=losses.Rows(gaussian_row, n_outputs=2, n_targets=1), **options)
    known = Trainer([INPUTS, 7, 2], loss="gaussian_nll", **options)
    for trainer in (own, known):
        trainer.fit(X, y, epochs=8, sample_weight=1 + X[:, 0], verbose=0)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(own.predict(X)[:, :1], known.predict(X), rtol=10 * tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(own.evaluate(X, y)["loss"], known.evaluate(X, y)["loss"], rtol=10 * tolerance)


def test_a_loss_of_rows_of_your_own_trains_layers_many_networks_and_pickled_ones():
    from fastbp.layers import Dense, Inputs, Residual

    X, _, _ = data_of(CASES["gaussian_nll"])
    y, loss = X[:, :2] ** 2, losses.Rows(halves, 2)
    layers = [Inputs(numbers=INPUTS), Dense(8, norm="batch"), Residual(8), 2]
    for sizes in (layers, [INPUTS, 7, 2]):
        known, own, many, copied = (Trainer(sizes, loss=one, seed=0) for one in ("squared_error", loss, loss, loss))
        copied = pickle.loads(pickle.dumps(copied))
        outcomes = fit_many([many, Trainer(sizes, loss=loss, seed=1)], X, y, epochs=2, verbose=0)
        for trainer in (known, own, copied):
            trainer.fit(X, y, epochs=2, verbose=0)
        for trainer in (own, copied, outcomes[0].trainer):
            np.testing.assert_allclose(trainer.predict(X), known.predict(X), rtol=1e-4, atol=1e-5)


def test_gradients_of_a_loss_of_rows_equal_central_differences_through_any_output_activation():
    X, _, _ = data_of(CASES["gaussian_nll"])
    y = X[:, :2] ** 2
    for output in ("identity", "tanh", "softmax"):
        trainer = Trainer(
            [INPUTS, 5, 2], loss=losses.Rows(distances, 2), output_activation=output, dtype="float64", seed=0
        )
        gradient, step, around = trainer.gradients(X, y).weights[0], 1e-5, []
        start = trainer.weights[0][2, 1]
        for shift in (step, -step):
            trainer.weights[0][2, 1] = start + shift
            around.append(trainer.evaluate(X, y)["loss"])
        np.testing.assert_allclose((around[0] - around[1]) / (2 * step), gradient[2, 1], rtol=1e-7)
    assert trainer.evaluate(X, y, metrics=["mse"])["mse"] > 0


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, y: (a[0] ** 2, (a[0], 0.0)), "derivative by output 0 that is not that of central differences"),
        (lambda a, y: (a[0], (1.0,)), "a gradient of 1 numbers"),
        (lambda a, y: a[0], "a pair"),
        (lambda a, y: (a.nothing, (0.0, 0.0)), "that Numba compiles"),
    ],
    ids=["wrong_derivative", "short_gradient", "no_pair", "not_compiled"],
)
def test_wrong_losses_of_rows_are_refused(function, expected):
    with pytest.raises(ValueError, match=f"loss: expected a function .*{expected}"):
        losses.Rows(function, 2)


@pytest.mark.parametrize("function", ["gaussian", None, float], ids=str)
@pytest.mark.parametrize("kind", [lambda function: losses.Rows(function, 2), losses.Custom], ids=["rows", "custom"])
def test_a_loss_of_no_function_is_refused(kind, function):
    with pytest.raises(TypeError, match=r"function: expected a function of \(output"):
        kind(function)


def test_what_a_loss_of_rows_cannot_do_is_refused(folder):
    loss = losses.Rows(gaussian_row, n_outputs=2, n_targets=1)
    with pytest.raises(ValueError, match="n_targets: expected at most n_outputs, 2, got 3"):
        losses.Rows(gaussian_row, 2, 3)
    with pytest.raises(ValueError, match="layer_sizes: expected 2 outputs, the n_outputs of the loss Rows, got 3"):
        Trainer([3, 3], loss=loss)
    trainer = Trainer([3, 2], loss=loss)
    with pytest.raises(ValueError, match=r"metrics: expected functions of your own, .* got 'r2'"):
        trainer.evaluate(np.zeros((4, 3)), np.zeros(4), ["r2"])
    with pytest.raises(ValueError, match="loss: expected one of fastbp's own"):
        trainer.save("a.npz")


@needs("torch", "PyTorch")
@over_dtypes
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_gaussian_nll_trains_as_in_pytorch(optimizer, dtype):
    """Means and variances after 50 steps, the same batches and first weights."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (77, 2)).astype(dtype)
    y = (X[:, :1] + np.exp(X[:, 1:]) * 0.3 * rng.normal(size=(77, 1))).astype(dtype)
    trainer = Trainer(
        [2, 13, 2],
        loss="gaussian_nll",
        optimizer=optimizer.lower(),
        learning_rate=0.02,
        dtype=dtype,
        seed=0,
        batch_size=8,
        shuffle=False,
    )
    layers = [torch.nn.Linear(2, 13), torch.nn.Linear(13, 2)]
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1]).to(getattr(torch, dtype))
    with torch.no_grad():
        for layer, theta, b in zip(layers, trainer.weights, trainer.biases, strict=True):
            layer.weight.copy_(torch.tensor(np.array(theta)))
            layer.bias.copy_(torch.tensor(np.array(b)))
    loss, steps = torch.nn.GaussianNLLLoss(eps=1e-12), getattr(torch.optim, optimizer)(model.parameters(), lr=0.02)
    for _ in range(5):
        for start in range(0, 77, 8):
            out, target = model(torch.tensor(X[start : start + 8])), torch.tensor(y[start : start + 8])
            steps.zero_grad()
            loss(out[:, :1], target, out[:, 1:].exp()).backward()
            steps.step()
    trainer.fit(X, y, epochs=5, verbose=0)
    out = model(torch.tensor(X)).detach().numpy()
    tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(trainer.predict(X), out[:, :1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(trainer.predict_std(X), np.exp(out[:, 1:] / 2), rtol=tolerance, atol=tolerance)


def test_gaussian_nll_finds_the_mean_and_the_deviation_of_heteroscedastic_data():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (10_000, 1))
    mean, std = np.sin(3 * X), 0.1 + 0.4 * (X + 1) / 2
    y = mean + std * rng.normal(size=mean.shape)
    trainer = Trainer([1, 32, 2], loss="gaussian_nll", optimizer="adam", learning_rate=0.02, schedule="cosine", seed=0)
    trainer.fit(X, y, epochs=30, verbose=0)
    assert np.sqrt(np.mean((trainer.predict(X) - mean) ** 2)) < 0.05
    assert np.sqrt(np.mean((trainer.predict_std(X) / std - 1) ** 2)) < 0.1
    interval = trainer.predict_interval(X, coverage=0.8)
    inside = (interval[:, :, 0] <= y) & (y <= interval[:, :, 1])
    assert abs(inside.mean() - 0.8) < 0.02


def test_the_negative_binomial_finds_the_mean_and_the_dispersion_of_counts():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (4000, 1))
    mean, alpha = np.exp(1.5 + X), 0.5
    y = rng.poisson(mean * rng.gamma(1 / alpha, alpha, mean.shape))
    trainer = Trainer([1, 16, 2], loss="negative_binomial", optimizer="adam", learning_rate=0.01, seed=0)
    trainer.fit(X, y, epochs=40, verbose=0)
    assert np.sqrt(np.mean((trainer.predict(X) / mean - 1) ** 2)) < 0.1
    assert np.sqrt(np.mean((trainer.predict_std(X) / np.sqrt(mean + alpha * mean**2) - 1) ** 2)) < 0.1
