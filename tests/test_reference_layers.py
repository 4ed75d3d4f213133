"""The reference's layers equal central differences, and PyTorch's modules where PyTorch has them."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import reference
from fastbp.reference import blocks, layer_training, layers as operations
from fastbp.reference.blocks import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Encoding,
    Inputs,
    LayerNorm,
    Pass,
    Residual,
    Scale,
)
from fastbp.reference.networks import Network

from .cases import HIDDEN, Case
from .layer_cases import NETWORKS, data_of, parameters_of
from .test_reference import differences


def assert_near(got, numeric, what: str, tolerance: float = 1e-7) -> None:
    """Compare with differences, relative to the largest number of the array."""
    np.testing.assert_allclose(
        got, numeric, rtol=tolerance, atol=tolerance * max(0.1, abs(numeric).max()), err_msg=what
    )


def assert_gradients(network: Network, p, X, y, how=Pass, **options) -> None:
    """Compare the gradients of all parameters with central differences."""

    def J():
        return network.gradients(p, X, y, how=how(), **options)[0]

    _, gradients = network.gradients(p, X, y, how=how(), **options)
    trained = {name for name in p if name.rsplit(".", 1)[-1] not in layer_training.UNTRAINED}
    assert gradients.keys() == trained
    for name, gradient in gradients.items():
        assert gradient.shape == p[name].shape
        assert_near(gradient, differences(J, p[name], 1e-5), name)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_central_differences(name):
    network = NETWORKS[name]
    p, (X, y) = parameters_of(network), data_of(network, 7)
    w = np.random.default_rng(0).uniform(0, 2, 7)

    def dropping():
        return Pass(training=True, mask=lambda rate, *key: reference.dropout_mask(rate, 5, 3, *key))

    kept = {key: theta.copy() for key, theta in p.items()}
    assert_gradients(network, p, X, y, dropping, sample_weight=w)
    assert_gradients(network, p, X, y, Pass)
    assert_gradients(network, p, X[:1], y[:1], lambda: Pass(training=True))
    for key, theta in p.items():
        np.testing.assert_allclose(theta, kept[key], rtol=1e-12, err_msg=key)  # also the statistics


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_inputs_equal_central_differences(name):
    network = NETWORKS[name]
    p, (X, y) = parameters_of(network), data_of(network, 5)
    numbers = slice(0, network.layers[0].numbers)
    V = np.random.default_rng(1).normal(size=y.shape)

    def outputs():
        return reference.activation(blocks.forward(network.layers, p, X)[0], network.output)

    jacobian = np.zeros((*y.shape, X.shape[1]))
    J_gradient = np.zeros(X.shape)
    for i, k in np.ndindex(len(X), network.layers[0].numbers):
        kept = X[i, k]
        both = []
        for step in (1e-5, -1e-5):
            X[i, k] = kept + step
            z, _ = blocks.forward(network.layers, p, X)
            both.append((outputs()[i], reference.cost(z, y, network.output, network.loss)))
        X[i, k] = kept
        jacobian[i, :, k] = (both[0][0] - both[1][0]) / 2e-5
        J_gradient[i, k] = (both[0][1] - both[1][1]) / 2e-5
    got = network.jacobian(p, X)
    assert_near(got, jacobian, "jacobian")
    assert not got[:, :, numbers.stop :].any()
    assert_near(network.input_gradients(p, X, y), J_gradient, "input_gradients")
    np.testing.assert_allclose(network.vjp(p, X, V), np.einsum("ij,ijk->ik", V, got), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_parametric_activation_equals_central_differences(name):
    network = Network((Inputs(3), Dense(4, name, parametric=True), Dense(2)))
    p, (X, y) = parameters_of(network), data_of(network, 6)
    assert_gradients(network, p, X, y)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax"])
def test_gradients_of_inputs_of_plain_networks(output):
    loss = "cross_entropy" if output == "softmax" else "squared_error"
    case = Case((4, 6, 5, 3), "tanh", output, loss)
    weights, biases, names = case.parameters()
    X, y = case.data()
    layers = (Inputs(4), *(Dense(len(b), name) for b, name in zip(biases, (*names[:-1], "identity"), strict=True)))
    p = {f"dense{i}.weight": theta for i, theta in enumerate(weights, start=1)}
    p |= {f"dense{i}.bias": b for i, b in enumerate(biases, start=1)}
    network, w = Network(layers, output, loss), np.arange(len(X))
    V = np.random.default_rng(0).normal(size=y.shape)
    for got, wanted in [
        (reference.jacobian(weights, biases, names, X), network.jacobian(p, X)),
        (reference.vjp(weights, biases, names, X, V), network.vjp(p, X, V)),
        (
            reference.input_gradients(weights, biases, names, X, y, loss, sample_weight=w),
            network.input_gradients(p, X, y, w),
        ),
    ]:
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)
    numeric = np.zeros(X.shape)
    numeric = differences(lambda: reference.gradients(weights, biases, names, X, y, loss, sample_weight=w)[0], X, 1e-5)
    assert_near(reference.input_gradients(weights, biases, names, X, y, loss, sample_weight=w), numeric, "∂J/∂X")


def test_a_network_of_dense_layers_trains_as_a_plain_one():
    case = Case((4, 6, 5, 3), "tanh", "identity", n=11)
    weights, biases, names = case.parameters()
    X, y = case.data()
    network = Network((Inputs(4), Dense(6, "tanh", dropout=0.3), Dense(5, "tanh"), Dense(3)))
    p = {f"dense{i}.weight": theta.copy() for i, theta in enumerate(weights, start=1)}
    p |= {f"dense{i}.bias": b.copy() for i, b in enumerate(biases, start=1)}
    options = {
        "optimizer": "adam",
        "batch_size": 4,
        "learning_rate": [0.1, 0.05, 0.02],
        "seed": 9,
        "l2": 0.1,
        "l1": 0.01,
    }
    options |= {"weight_decay": 0.3, "clip_norm": 0.5, "max_norm": 1.0, "sample_weight": np.arange(11)}
    states = {}, {}
    for _ in range(3):
        got = layer_training.train_epoch(network, p, X, y, state=states[0], **options)
        wanted = reference.train_epoch(weights, biases, names, X, y, dropout=[0.3, 0], state=states[1], **options)
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
    for i, (theta, b) in enumerate(zip(weights, biases, strict=True), start=1):
        np.testing.assert_allclose(p[f"dense{i}.weight"], theta, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(p[f"dense{i}.bias"], b, rtol=1e-10, atol=1e-13)


def test_names_and_shapes():
    layers = (
        Inputs(2, (3, 4), (2, 1), Encoding("pbld", 5)),
        Scale(),
        Dense(6, "tanh", BatchNorm(), parametric=True),
        Residual((Dense(4, "tanh", LayerNorm()), Residual((Activation("relu", parametric=True),)), Dense(6))),
        LayerNorm(),
        Dropout(0.1),
        Dense(1),
    )
    shapes, n_outputs = blocks.shapes_of(layers)
    assert n_outputs == 1
    assert shapes == {
        **{"pbld.frequency": (2, 5), "pbld.phase": (2, 5), "pbld.weight": (2, 3, 5), "pbld.bias": (2, 3)},
        **{"embedding1.weight": (3, 2), "embedding2.weight": (4, 1), "scale1.scale": (11,)},
        **{"dense1.weight": (6, 11), "dense1.bias": (6,), "dense1.alpha": (6,)},
        **{f"dense1.norm.{name}": (6,) for name in ("gamma", "beta", "mean", "variance")},
        **{"residual1.dense1.weight": (4, 6), "residual1.dense1.bias": (4,)},
        **{"residual1.dense1.norm.gamma": (4,), "residual1.dense1.norm.beta": (4,)},
        "residual1.residual1.activation1.alpha": (4,),
        **{"residual1.dense2.weight": (6, 4), "residual1.dense2.bias": (6,)},
        **{"layer_norm1.gamma": (6,), "layer_norm1.beta": (6,), "dense2.weight": (1, 6), "dense2.bias": (1,)},
    }
    with pytest.raises(ValueError, match="F has 5 outputs for 6 inputs"):
        blocks.shapes_of((Inputs(6), Residual((Dense(5),))))


def test_piecewise_in_numbers():
    edges = np.array([[0.0, 1.0, 3.0, 3.0, 4.0]])
    x = np.array([[-1.0], [0.5], [2.0], [3.0], [6.0]])
    y, back = operations.piecewise(x, edges)
    np.testing.assert_array_equal(y, [[-1, 0, 0, 0], [0.5, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 0], [1, 1, 1, 3]])
    slopes = back(np.array([[1.0, 10, 100, 1000]] * 5))[0]
    np.testing.assert_array_equal(slopes, [[1], [1], [5], [0], [1000]])


def test_dropout_layers_count_from_two():
    layers = (Inputs(3), Dense(4, dropout=0.4), Residual((Activation("tanh"), Dropout(0.3))), Dense(4), Dropout(0.2))
    seen = []
    p = parameters_of(Network(layers))

    def mask(rate, number, m, n):
        seen.append((rate, number, m, n))
        return np.ones((m, n))

    blocks.forward(layers, p, np.ones((5, 3)), Pass(training=True, mask=mask))
    assert seen == [(0.4, 2, 5, 4), (0.3, 4, 5, 4), (0.2, 6, 5, 4)]


def test_running_statistics_move_only_in_training():
    network = Network((Inputs(3), BatchNorm(momentum=0.25), Dense(2)))
    p, (X, y) = parameters_of(network), data_of(network, 7)
    mean, variance = p["batch_norm1.mean"].copy(), p["batch_norm1.variance"].copy()
    network.gradients(p, X, y)
    network.jacobian(p, X)
    names = ("batch_norm1.gamma", "batch_norm1.beta")
    layer_training.train_epoch(network, p, X, y, batch_size=7, frozen=names)
    layer_training.train_epoch(network, p, X[:1], y[:1])
    np.testing.assert_array_equal(p["batch_norm1.mean"], mean)
    layer_training.train_epoch(network, p, X, y, batch_size=7, frozen=names[:1])
    np.testing.assert_allclose(p["batch_norm1.mean"], 0.75 * mean + 0.25 * X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(p["batch_norm1.variance"], 0.75 * variance + 0.25 * X.var(axis=0, ddof=1), rtol=1e-12)


def trained(**options):
    """Return the parameters of a network after an epoch, and before it."""
    layers = (Inputs(2, (9,), (2,), sparse=options.pop("sparse", False)), Dense(3, "tanh"), Dense(2))
    network = Network(layers)
    p, (X, y) = parameters_of(network), data_of(network, 7)
    before = {name: theta.copy() for name, theta in p.items()}
    layer_training.train_epoch(network, p, X, y, **{"batch_size": 3, "learning_rate": 0.1} | options)
    return p, before, X


def test_frozen_parameters_stay_and_others_go_on():
    p, before, _ = trained(frozen=["dense1.weight"])
    for name in p:
        assert (p[name] == before[name]).all() == (name == "dense1.weight")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_factors_scale_the_step_and_the_decay(optimizer):
    options = {"optimizer": optimizer, "batch_size": 7, "learning_rate": 0.01, "weight_decay": 0.5}
    plain, before, _ = trained(**options | {"weight_decay": 0.0})
    p, _, _ = trained(factors={"dense1.bias": (4.0, 2.0), "dense1.weight": (0.5, 0.0)}, **options)
    step = plain["dense1.bias"] - before["dense1.bias"]
    wanted = before["dense1.bias"] * (1 - 0.01 * 4 * 0.5 * 2) + 4 * step
    np.testing.assert_allclose(p["dense1.bias"], wanted, rtol=1e-10)
    step = plain["dense1.weight"] - before["dense1.weight"]
    np.testing.assert_allclose(p["dense1.weight"], before["dense1.weight"] + step / 2, rtol=1e-10)
    wanted = before["dense2.weight"] * (1 - 0.01 * 0.5) + plain["dense2.weight"] - before["dense2.weight"]
    np.testing.assert_allclose(p["dense2.weight"], wanted, rtol=1e-10)
    np.testing.assert_array_equal(p["dense2.bias"], plain["dense2.bias"])


def test_a_schedule_of_the_decay_and_the_last_batch():
    p, before, _ = trained(learning_rate=[0.0, 0.0, 0.1], weight_decay=1.0, decays=[1, 1, 0.0])
    plain, _, _ = trained(learning_rate=[0.0, 0.0, 0.1])
    for name in p:
        np.testing.assert_array_equal(p[name], plain[name])
    p, before, _ = trained(learning_rate=[0.0, 0.0], drop_last=True)
    for name in p:
        np.testing.assert_array_equal(p[name], before[name])


def test_the_average_begins_as_a_copy():
    network = Network((Inputs(3), BatchNorm(), Dense(2)))
    p, (X, y) = parameters_of(network), data_of(network, 6)
    average, steps = {}, []
    for half in (slice(0, 3), slice(3, 6)):
        layer_training.train_epoch(network, p, X[half], y[half], ema=0.9, average=average)
        steps.append({name: theta.copy() for name, theta in p.items()})
    for name in p:
        wanted = 0.9 * steps[0][name] + 0.1 * steps[1][name]
        wanted = steps[1][name] if name in ("batch_norm1.mean", "batch_norm1.variance") else wanted
        np.testing.assert_allclose(average[name], wanted, rtol=1e-12)


def test_a_sparse_table_changes_only_rows_of_the_batch():
    dense, before, X = trained(optimizer="sgd")
    sparse, *_ = trained(optimizer="sgd", sparse=True)
    for name in dense:
        np.testing.assert_allclose(sparse[name], dense[name], rtol=1e-13)
    options = {"optimizer": "adam", "weight_decay": 0.1, "batch_size": 7}
    dense, before, X = trained(**options)
    sparse, *_ = trained(**options, sparse=True)
    seen = np.isin(np.arange(9), X[:, 2])
    assert 0 < seen.sum() < 9
    name = "embedding1.weight"
    np.testing.assert_allclose(sparse[name][seen], dense[name][seen], rtol=1e-13)
    np.testing.assert_array_equal(sparse[name][~seen], before[name][~seen])
    assert (dense[name][~seen] != before[name][~seen]).all()
