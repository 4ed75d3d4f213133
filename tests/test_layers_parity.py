"""Networks of layers in the kernels equal the reference: gradients, training, and what parameters have of their own."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from fastbp import Trainer, losses, reference
from fastbp.layers import Residual as Block
from fastbp.reference import blocks, layer_training
from fastbp.reference.blocks import Activation, BatchNorm, Dense, Encoding, Inputs, LayerNorm, Residual, Scale
from fastbp.reference.networks import Network

from .cases import DTYPES, HIDDEN, OUTPUTS, RULES, parameter_of
from .layer_cases import NETWORKS, data_of, in_float32, parameters_of, random_network
from .layer_trainers import trainer_of
from .test_reference import differences

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}  # relative to the largest number of an array, after 50 steps
SMALL_STEPS = [replace(rule, learning_rate=rule.learning_rate / 10) for rule in RULES]  # that don't amplify rounding
ADAMW = SMALL_STEPS[-1]
RANDOM = {f"random{seed}": random_network(seed) for seed in range(12)}
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_networks = pytest.mark.parametrize("name", [*NETWORKS, *RANDOM])


def the_network(name: str) -> Network:
    return NETWORKS[name] if name in NETWORKS else RANDOM[name]


def prepared(network: Network, n: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Parameters, X and y."""
    return parameters_of(network), *data_of(network, n)


def assert_all_close(got, wanted, tolerance: float, what: str = "", least: float = 1e-2) -> None:
    """Relative to the largest number of each array, or to `least`: some sums are 0 but for rounding."""
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = max(least, abs(array).max(initial=0))
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=f"{what} {name}")


def assert_trains_alike(network: Network, rule=ADAMW, *, n=75, batch_size=8, epochs=5, dtypes=DTYPES, both=None):
    """Compare losses and parameters after 50 steps, of which every tenth has a short batch.

    both: what trainers and the reference call alike.
    """
    p, X, y = prepared(network, n)
    trainers = {
        dtype: trainer_of(network, p, dtype, optimizer=rule.optimizer(), batch_size=batch_size, **(both or {}))
        for dtype in dtypes
    }
    before, state = {name: theta.copy() for name, theta in p.items()}, {}
    seed = next(iter(trainers.values()))._state.dropout_seed
    options = rule.for_reference() | (both or {}) | {"batch_size": batch_size, "seed": seed, "state": state}
    losses = [layer_training.train_epoch(network, p, X, y, **options) for _ in range(epochs)]
    for dtype, trainer in trainers.items():
        history = trainer.fit(X, y, epochs=epochs, verbose=0)
        np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE[dtype], err_msg=f"{rule} {dtype}")
        assert_all_close(trainer.named_parameters(), p, TOLERANCE[dtype], f"{rule} {dtype}")
    assert any(abs(p[name] - before[name]).max() > 1e-3 for name in p if p[name].size)


@over_networks
def test_training_equals_the_reference(name):
    """Every kind of layer, with every optimizer."""
    for rule in SMALL_STEPS if name in NETWORKS else [ADAMW]:
        assert_trains_alike(the_network(name), rule)


@over_dtypes
@over_networks
def test_gradients_equal_the_reference(name, dtype):
    network = the_network(name)
    for n in (1, 3, 17, 300):
        p, X, y = prepared(network, n)
        trainer = trainer_of(network, p, dtype)
        got = trainer.gradients(X, y)
        J, wanted = network.gradients(p, X, y)
        np.testing.assert_allclose(got.loss, J, rtol=TOLERANCE[dtype])
        largest = max(abs(gradient).max(initial=0) for gradient in wanted.values())
        assert_all_close(got.named, wanted, TOLERANCE[dtype] / 10, f"n = {n}", least=largest)
        assert_all_close(trainer.named_parameters(), p, 1e-7)  # also the running statistics
        z, _ = blocks.forward(network.layers, p, X)
        wanted = {"outputs": reference.activation(z, network.output)}
        assert_all_close({"outputs": trainer.predict(X)}, wanted, TOLERANCE[dtype] / 10)


@over_dtypes
@over_networks
def test_gradients_of_inputs_equal_the_reference(name, dtype):
    network = the_network(name)
    p, X, y = prepared(network, 19)
    trainer, w = trainer_of(network, p, dtype), np.random.default_rng(1).uniform(0, 2, 19)
    V = np.random.default_rng(0).normal(size=y.shape).astype(dtype)
    got = {
        "input_gradients": trainer.input_gradients(X, y, w),
        "vjp": trainer.vjp(X, V),
        "jacobian": trainer.jacobian(X),
    }
    wanted = {
        "input_gradients": network.input_gradients(p, X, y, w),
        "vjp": network.vjp(p, X, V),
        "jacobian": network.jacobian(p, X),
    }
    assert_all_close(got, wanted, {"float32": 1e-5, "float64": 1e-11}[dtype])


def test_every_activation_trains_as_the_reference():
    for name in sorted(set(HIDDEN) - {"exponential"}):
        is_curved = name != "identity"  # α has no effect on the identity
        layers = (Inputs(5), Dense(7, name), Dense(6, name, LayerNorm(), parametric=is_curved), Dense(3))
        assert_trains_alike(Network(layers))


@over_dtypes
def test_every_loss_trains_as_the_reference(dtype):
    for loss, outputs in OUTPUTS.items():
        output, parameter = outputs[0], parameter_of(loss, 3)
        network = Network((Inputs(5), Dense(7, "tanh", BatchNorm()), Dense(3)), output, loss, parameter)
        options = {}
        if parameter is not None:
            options["loss"] = losses.Huber(delta=parameter) if loss == "huber" else losses.Quantile(parameter)
        p, X, _ = prepared(network, 43)
        rng = np.random.default_rng(5)
        y = {
            "cross_entropy": np.eye(3)[rng.integers(0, 3, 43)],
            "binary_cross_entropy": rng.integers(0, 2, (43, 3)),
            "hinge": 2 * rng.integers(0, 2, (43, 3)) - 1,
            "poisson": rng.poisson(1.5, (43, 3)),
        }.get(loss, rng.uniform(0, 1, (43, 3)))
        y = in_float32(y)
        trainer = trainer_of(network, p, dtype, optimizer=ADAMW.optimizer(), batch_size=8, **options)
        state: dict = {}
        for _ in range(3):
            layer_training.train_epoch(network, p, X, y, batch_size=8, state=state, **ADAMW.for_reference())
        trainer.fit(X, y, epochs=3, verbose=0)
        assert_all_close(trainer.named_parameters(), p, TOLERANCE[dtype], loss)


@pytest.mark.parametrize(
    "both",
    [
        {"l1": 0.01, "l2": 0.1},
        {"l1": 0.01, "l2": 0.1, "frozen": ["dense1.weight", "dense2.weight"]},
        {"clip_norm": 0.05},
        {"clip_value": 0.002},
        {"max_norm": 0.8},
        {"l2": 0.1, "clip_norm": 0.05, "clip_value": 0.01, "max_norm": 0.9},
    ],
    ids="-".join,
)
def test_penalties_and_limits_equal_the_reference(both):
    for name in ("everything", "nested"):
        for rule in (SMALL_STEPS[0], ADAMW):
            assert_trains_alike(NETWORKS[name], rule, both=both)


SIZES = (1, 2, 3, 4, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130, 300)  # about vectors, tiles and what is called wide


@pytest.mark.parametrize("width", SIZES)
def test_sizes(width):
    """Every operation with tensors of a width; a width of 1 has no norm, because a normalized single unit is 0."""
    norms = (LayerNorm(), BatchNorm()) if width > 2 else (None, None)
    numbers, inner = width % 5 + 1, width % 40 + 1
    layers = (
        Inputs(numbers, (width, 3), (min(width, 40), 2), Encoding(("pbld", "periodic", "piecewise")[width % 3], inner)),
        Scale(),
        Dense(width, "tanh", norms[0], 0.2, parametric=True),
        Residual((Dense(width + 1, "mish", norms[1]), Dense(width, use_bias=False))),
        *(norms[:1] if width > 2 else ()),
        Dense(width % 6 + 1),
    )
    n = 21 if width < 100 else 300
    assert_trains_alike(Network(layers), n=n, batch_size=8 if width < 100 else 290, epochs=2)


@pytest.mark.parametrize(
    "name", ["dense", "pbld and embeddings", "periodic", "piecewise", "scale", "parametric", "residual"]
)
def test_gradients_equal_central_differences(name):
    """Those of the loss that `evaluate` gives, by every parameter."""
    network = NETWORKS[name]
    p, X, y = prepared(network, 9)
    trainer = trainer_of(network, p)
    gradients = trainer.gradients(X, y).named
    for key, view in trainer.named_parameters().items():
        if key in gradients:
            numeric = differences(lambda: trainer.evaluate(X, y)["loss"], view, 1e-5)
            assert_all_close({key: gradients[key]}, {key: numeric}, 1e-7, least=0.1)


@over_dtypes
def test_sample_weights_equal_the_reference(dtype):
    network, w = NETWORKS["everything"], np.random.default_rng(2).integers(0, 4, 75).astype(np.float64)
    p, X, y = prepared(network, 75)
    trainer = trainer_of(network, p, dtype, optimizer=ADAMW.optimizer(), batch_size=8)
    options = ADAMW.for_reference() | {"batch_size": 8, "sample_weight": w, "seed": trainer._state.dropout_seed}
    state: dict = {}
    losses = [layer_training.train_epoch(network, p, X, y, state=state, **options) for _ in range(3)]
    history = trainer.fit(X, y, epochs=3, verbose=0, sample_weight=w)
    np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE[dtype])
    assert_all_close(trainer.named_parameters(), p, TOLERANCE[dtype])


@pytest.mark.parametrize("batch_size", [1, 2, 64, 257, 700])
def test_batch_sizes(batch_size):
    """Batches of one sample, which batch norms don't change, and batches of several blocks of the kernels."""
    for name in ("everything", "nested", "dropout", "embeddings", "scale"):
        n = 30 if batch_size < 3 else 1500
        assert_trains_alike(NETWORKS[name], n=n, batch_size=batch_size, epochs=2, dtypes=["float64"])


@over_dtypes
@over_networks
def test_threads_give_the_same_bits(name, dtype):
    network = the_network(name)
    for n, batch_size in ((75, 8), (900, 500)):
        p, X, y = prepared(network, n)
        results = []
        for n_threads in (1, 2, 3, 4):
            trainer = trainer_of(
                network, p, dtype, optimizer=ADAMW.optimizer(), batch_size=batch_size, n_threads=n_threads
            )
            J = trainer.fit(X, y, epochs=1, verbose=0)["loss"]
            derivatives = trainer.jacobian(X), trainer.input_gradients(X, y), trainer.predict(X)
            named = trainer.gradients(X, y).named
            results.append([J, *trainer.named_parameters().values(), *derivatives, *named.values()])
        for other in results[1:]:
            for one, same in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("name", ["everything", "nested", "embeddings"])
def test_saved_and_copied_trainers_go_on_to_the_bit(name, tmp_path):
    network = NETWORKS[name]
    p, X, y = prepared(network, 75)
    options = {"optimizer": "adamw", "batch_size": 8, "shuffle": True, "ema": 0.9, "drop_last": True}
    options |= {"parameter_groups": {"*.bias": {"learning_rate": 0.5, "weight_decay": 0.1}}, "frozen": ["dense1.bias"]}
    whole = trainer_of(network, p, "float32", **options)
    whole.fit(X, y, epochs=2, verbose=0)
    whole.save(tmp_path / "model.npz")
    others = [copy.deepcopy(whole), pickle.loads(pickle.dumps(whole)), Trainer.load(tmp_path / "model.npz")]
    whole.fit(X, y, epochs=2, verbose=0)
    for other in others:
        other.fit(X, y, epochs=2, verbose=0)
        for (key, one), same in zip(whole.named_parameters().items(), other.named_parameters().values(), strict=True):
            np.testing.assert_array_equal(one, same, err_msg=key)
        np.testing.assert_array_equal(whole.predict(X), other.predict(X))


# What parameters have of their own


@over_dtypes
@pytest.mark.parametrize("rule", SMALL_STEPS, ids=str)
def test_groups_and_frozen_layers_equal_the_reference(rule, dtype):
    network = NETWORKS["everything"]
    p, X, y = prepared(network, 75)
    of_biases, of_scales = {"learning_rate": 0.1}, {"learning_rate": 6.0}
    if "weight_decay" in dict(rule.options):
        of_biases, of_scales = of_biases | {"weight_decay": 2.0}, of_scales | {"weight_decay": 6.0}
    groups = {"*": {"learning_rate": 0.5}, "*.bias": of_biases, "scale1": of_scales, "pbld.*": {"learning_rate": 0.1}}
    frozen = ["dense1.weight", "residual1.dense1.norm", "embedding2"]
    trainer = trainer_of(
        network, p, dtype, optimizer=rule.optimizer(), batch_size=8, parameter_groups=groups, frozen=frozen
    )
    factors = {name: (0.5, layer_training.decay_of(name)) for name in p}
    for name in p:
        if name.endswith(".bias"):
            factors[name] = (0.1, 2.0)
        if name.startswith("pbld."):
            factors[name] = (0.1, 1.0)
    factors["scale1.scale"] = (6.0, 6.0)
    still = ["dense1.weight", "embedding2.weight"] + [f"residual1.dense1.norm.{part}" for part in ("gamma", "beta")]
    before, state = {name: theta.copy() for name, theta in p.items()}, {}
    options = rule.for_reference() | {"batch_size": 8, "seed": trainer._state.dropout_seed}
    for _ in range(5):
        layer_training.train_epoch(network, p, X, y, state=state, factors=factors, frozen=still, **options)
    trainer.fit(X, y, epochs=5, verbose=0)
    got = trainer.named_parameters()
    assert_all_close(got, p, TOLERANCE[dtype])
    for name in [*still, "residual1.dense1.norm.mean"]:
        np.testing.assert_array_equal(got[name], before[name], err_msg=name)


@over_dtypes
def test_the_average_equals_the_reference(dtype):
    network = NETWORKS["everything"]
    p, X, y = prepared(network, 75)
    trainer = trainer_of(network, p, dtype, optimizer=ADAMW.optimizer(), batch_size=8, ema=0.8)
    average, state = {}, {}
    for _ in range(5):
        layer_training.train_epoch(
            network,
            p,
            X,
            y,
            batch_size=8,
            state=state,
            ema=0.8,
            average=average,
            seed=trainer._state.dropout_seed,
            **ADAMW.for_reference(),
        )
    trainer.fit(X, y, epochs=5, verbose=0, validation_data=(X[:20], y[:20]))
    assert_all_close(trainer.named_parameters(), average, TOLERANCE[dtype])
    z, _ = blocks.forward(network.layers, average, X[:20])
    cost = reference.cost(z, y[:20], network.output, network.loss)
    np.testing.assert_allclose(trainer.history["val_loss"][-1], cost, rtol=TOLERANCE[dtype])


@over_dtypes
def test_schedules_and_the_last_batch_equal_the_reference(dtype):
    network, epochs, n_batches = NETWORKS["everything"], 4, 9
    p, X, y = prepared(network, 75)
    trainer = trainer_of(
        network,
        p,
        dtype,
        optimizer=ADAMW.optimizer(),
        batch_size=8,
        schedule="coslog4",
        dropout_schedule="flat_cosine",
        weight_decay_schedule="cosine",
        drop_last=True,
    )
    state = {}
    for epoch in range(epochs):
        t = (epoch + np.arange(n_batches) / n_batches) / epochs
        rates = (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2
        flat = np.where(t < 0.5, 1, (1 + np.cos(np.pi * (2 * t - 1))) / 2)
        options = ADAMW.for_reference() | {"learning_rate": ADAMW.learning_rate * rates}
        options |= {"dropouts": flat, "decays": (1 + np.cos(np.pi * t)) / 2, "seed": trainer._state.dropout_seed}
        layer_training.train_epoch(network, p, X, y, batch_size=8, drop_last=True, state=state, **options)
    trainer.fit(X, y, epochs=epochs, verbose=0)
    assert_all_close(trainer.named_parameters(), p, TOLERANCE[dtype])


def test_sparse_tables_equal_the_reference():
    for rule in SMALL_STEPS:
        layers = (Inputs(2, (40, 3), (3, 5), sparse=True), Dense(7, "tanh"), Dense(2))
        assert_trains_alike(Network(layers), rule)


def test_plain_networks_with_options_of_their_own_equal_the_reference():
    """The kernels of networks of layers train plain networks, too, if a parameter has a factor of its own."""
    network = Network((Inputs(5), Dense(9, "tanh"), Dense(7, "relu"), Dense(3)))
    p, X, y = prepared(network, 75)
    trainer = Trainer(
        [5, 9, 7, 3],
        activation=["tanh", "relu"],
        dropout=[0.2, 0.0],
        dtype="float64",
        shuffle=False,
        optimizer=ADAMW.optimizer(),
        batch_size=8,
        parameter_groups={"dense2": {"learning_rate": 0.5}},
    )
    for name, view in trainer.named_parameters().items():
        view[...] = p[name]
    layers = (Inputs(5), Dense(9, "tanh", dropout=0.2), Dense(7, "relu"), Dense(3))
    factors = {"dense2.weight": (0.5, 1.0), "dense2.bias": (0.5, 0.0)}
    state, seed = {}, trainer._state.dropout_seed
    for _ in range(5):
        options = ADAMW.for_reference() | {"factors": factors, "seed": seed, "state": state, "batch_size": 8}
        layer_training.train_epoch(Network(layers), p, X, y, **options)
    trainer.fit(X, y, epochs=5, verbose=0)
    assert_all_close(trainer.named_parameters(), p, 1e-10)


def test_residual_blocks_of_a_number_are_two_dense_layers():
    network = Network((Inputs(5), Residual((Dense(8, "tanh", LayerNorm()), Dense(5))), Activation("tanh"), Dense(2)))
    p, X, _ = prepared(network, 20)
    one = trainer_of(network, p)
    other = Trainer([5, Block(8, "tanh", "layer"), *list(one.network.layers[2:])], dtype="float64", shuffle=False)
    for name, view in other.named_parameters().items():
        view[...] = p[name]
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
