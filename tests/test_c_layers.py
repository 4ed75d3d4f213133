"""Networks of layers, and losses with several outputs for a target, exported as C."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import Trainer, layers, losses
from tests.layer_cases import NETWORKS, data_of, parameters_of, random_network
from tests.layer_trainers import trainer_of
from tests.test_c import Compiled

# A norm of three numbers whose variance is small multiplies rounding.
TOLERANCES = {"float32": 5e-6, "float64": 1e-12}


def relative(came, expected):
    return np.abs(came - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_every_layer(name, dtype, tmp_path):
    network = NETWORKS[name]
    trainer = trainer_of(network, parameters_of(network), dtype)
    X, _ = data_of(network, 40)
    net = Compiled(trainer.to_c(dtype=dtype), tmp_path, dtype=dtype)
    assert relative(net.predict(X), trainer.predict(X)) < TOLERANCES[dtype]
    assert net.self_test() < net.tolerance


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_of_layers(seed, tmp_path):
    network = random_network(seed)
    trainer = trainer_of(network, parameters_of(network, seed))
    X, _ = data_of(network, 20, seed)
    net = Compiled(trainer.to_c(dtype="float64"), tmp_path, dtype="float64")
    assert relative(net.predict(X), trainer.predict(X)) < 1e-10
    assert net.self_test() < net.tolerance


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_of_every_layer(name, tmp_path):
    network = NETWORKS[name]
    trainer = trainer_of(network, parameters_of(network), "float32")
    X, _ = data_of(network, 300)
    made = trainer.to_c(dtype="int8", calibration=X)
    net = Compiled(made, tmp_path, dtype="int8")
    expected = trainer.predict(X)
    deviation = np.sqrt(np.mean((net.predict(X) - expected) ** 2)) / expected.std(axis=0).max()
    assert deviation == pytest.approx(made.report.deviation, rel=0.01)
    assert deviation < 0.05
    assert net.self_test() < net.tolerance


def test_the_moving_average_is_exported(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    trainer = Trainer([layers.Inputs(4), layers.Dense(8, "tanh", norm="batch"), 1], ema=0.99, standardize=True, seed=0)
    trainer.fit(X, X[:, :1] * X[:, 1:2], epochs=3, verbose=0)
    net = Compiled(trainer.to_c(), tmp_path)
    assert relative(net.predict(X), trainer.predict(X)) < 2e-6


def test_scaled_numbers_beside_categories(tmp_path):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(200, 2)) * 1e3 + 1e5, rng.integers(0, 5, 200)])
    y = X[:, :1] + 1e3 * (X[:, 2:] == 3)
    trainer = Trainer([layers.Inputs(2, [5]), layers.PBLD(4), 16, 1], standardize=True, optimizer="adam", seed=0)
    trainer.fit(X, y, epochs=3, verbose=0)
    net = Compiled(trainer.to_c(), tmp_path)
    assert relative(net.predict(X), trainer.predict(X)) < 1e-6
    X[:, 2] = [-1, 7, np.nan, 1e30] * 50  # the nearest category in place of one that there isn't
    expected = np.column_stack([X[:, :2], [0, 4, 0, 4] * 50])
    assert relative(net.predict(X), trainer.predict(expected)) < 1e-6
    with pytest.raises(ValueError, match="calibration: expected whole numbers 0 … 4 in column 2"):
        trainer.to_c(dtype="int8", calibration=X[:1])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_scaled_inputs_that_a_block_reads_too(dtype, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) * [1, 100, 1e-3, 5] + [0, 1e3, 0, 5]
    trainer = Trainer([layers.Inputs(4), layers.Residual(6), 2], standardize=True, seed=0)
    trainer.fit(X, X[:, :2], epochs=2, verbose=0)
    net = Compiled(trainer.to_c(dtype=dtype, calibration=X if dtype == "int8" else None), tmp_path, dtype=dtype)
    assert relative(net.predict(X), trainer.predict(X)) < (1e-6 if dtype == "float32" else 0.03)
    assert net.self_test() < net.tolerance


@pytest.mark.parametrize(
    ("loss", "n_out", "n_answers"),
    [
        (losses.GaussianNLL(), 4, 2),
        (losses.NegativeBinomial(), 2, 1),
        (losses.Members("squared_error", 3), 6, 2),
        (losses.Members("cross_entropy", 4), 12, 3),
        (losses.Members("binary_cross_entropy", 2), 2, 1),
        (losses.Members("poisson", 2), 2, 1),
        (losses.Members(losses.GaussianNLL(), 3), 12, 2),
        (losses.Members("negative_binomial", 2), 4, 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_losses_with_standard_deviations(loss, n_out, n_answers, dtype, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    scaled = loss.of_targets.name == "squared_error"
    trainer = Trainer([4, 9, n_out], loss=loss, standardize=scaled, seed=0)
    if scaled:
        trainer.fit(X, 100 + 7 * X[:, :n_answers], epochs=2, verbose=0)
    made = trainer.to_c(dtype=dtype, calibration=X if dtype == "int8" else None)
    net = Compiled(made, tmp_path, dtype=dtype)
    came = net.predict(X)
    assert came.shape == (100, 2 * n_answers)
    expected = np.column_stack([trainer.predict(X), trainer.predict_std(X)])
    assert relative(came, expected) < (1e-6 if dtype == "float32" else 0.05)
    assert net.self_test() < net.tolerance
    if "cross_entropy" in loss.of_targets.name:
        same = np.mean(net.classes(came) == trainer.predict_classes(X))
        assert same == 1 if dtype == "float32" else same > 0.9
    else:
        assert "net_class" not in made.header
