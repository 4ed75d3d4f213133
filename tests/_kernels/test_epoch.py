"""Whole epochs: the weights that the reference has after the same batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastbp import optimizers, reference, schedules
from fastbp._engine.nothing import NO_BOUNDS, NO_SEED, PLAIN_RULE
from fastbp._kernels import codes
from tests.cases import CASES, DTYPES, HIDDEN, RULES, Case, Rule, as_reference, assert_close, log_cosh

# Over several updates rounding adds up; a relu may even fall to the other side of its kink.
TOLERANCE = {"float32": 2e-3, "float64": 1e-9}
SHORT = [case for case in CASES if case.n in (11, 33)]
# Those of 9 units train in small.py where they can; 21 units are too many for that.
ROWS = SHORT + [replace(case, sizes=(7, 21, 5)) for case in SHORT if case.sizes == (7, 9, 5)]

# Networks and losses for what goes with any of them: on either path when there is nothing but plain descent.
NETWORKS = (
    Case((2, 2, 1), "tanh", "sigmoid"),
    Case((4, 8, 3), "tanh", "softmax", "cross_entropy"),
    Case((9, 33, 21, 4), "silu", "identity", "huber", parameter=0.3),
)
BATCHES = ((11, 1), (23, 5), (700, 600))  # samples, and how many a batch has: the last is more than a block
EXTRAS = {  # bounds that bite, for most batches
    "l1": {"l1": 0.02},
    "l2": {"l2": 0.1},
    "clip_value": {"clip_value": 0.01},
    "clip_norm": {"clip_norm": 0.05},
    "max_norm": {"max_norm": 0.4},
    "all": {"l1": 0.01, "l2": 0.03, "clip_value": 0.02, "clip_norm": 0.05, "max_norm": 0.6},
}

over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_networks = pytest.mark.parametrize("network", NETWORKS, ids=str)
over_batches = pytest.mark.parametrize("batches", BATCHES, ids=str)


def assert_epochs_equal_reference(case: Case, batch_size, options, for_reference, epochs=2, sample_weight=None) -> None:
    """After some epochs: the losses of each, and all parameters.

    The case's trainer gets the options; reference.train_epoch gets for_reference, a dict, or one for each epoch. "seed"
    in it stands for the seed that the trainer has for its dropout.
    """
    trainer = case.trainer(batch_size=batch_size, **options)
    weights, biases, activations = as_reference(trainer)
    X, y = case.data()
    state, losses = {}, []
    for epoch in range(epochs):
        more = for_reference if isinstance(for_reference, dict) else for_reference[epoch]
        if "dropout" in more:
            more = {"seed": trainer._state.dropout_seed, **more}
        more = {
            "learning_rate": case.learning_rate,
            "loss": case.loss,
            "parameter": case.parameter,
            "batch_size": batch_size,
            "use_bias": case.use_bias,
            "sample_weight": sample_weight,
            "state": state,
        } | more
        X64, y64 = X.astype(np.float64), y.astype(np.float64)
        losses.append(reference.train_epoch(weights, biases, activations, X64, y64, **more))
    weighting = {} if sample_weight is None else {"sample_weight": sample_weight}
    history = trainer.fit(X, y, epochs=epochs, verbose=0, **weighting)
    tolerance = TOLERANCE[case.dtype]
    np.testing.assert_allclose(history["loss"], losses, rtol=tolerance, atol=tolerance)
    for l in range(len(weights)):
        assert_close(trainer.weights[l], weights[l], tolerance, f"weights[{l}]")
        assert_close(trainer.biases[l], biases[l], tolerance, f"biases[{l}]")


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_epochs_equal_reference(case):
    """The last batch is short."""
    assert_epochs_equal_reference(case, 5, {"epsilon": case.epsilon / 2}, {})


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
@pytest.mark.parametrize("case", [case for case in ROWS if case.hidden == case.output == "sigmoid"], ids=str)
def test_batches_of_any_size_equal_reference(case, batch_size):
    """What a batch's size changes is the same for every activation and loss."""
    assert_epochs_equal_reference(case, batch_size, {"epsilon": case.epsilon / 2}, {})


@over_dtypes
@pytest.mark.parametrize("sizes", [(4, 8, 3), (4, 40, 3)], ids=str)  # both paths through the kernels
def test_class_numbers_train_as_one_hot_rows(sizes, dtype):
    case = Case(sizes, "tanh", "softmax", "cross_entropy", n=23, dtype=dtype)
    (X, y), rows, numbers = case.data(), case.trainer(batch_size=5), case.trainer(batch_size=5)
    rows.fit(X, y, epochs=2, verbose=0)
    numbers.fit(X, y.argmax(axis=1), epochs=2, verbose=0)
    np.testing.assert_array_equal(numbers.network.packed(), rows.network.packed())
    assert numbers.history == rows.history


@over_dtypes
def test_a_batch_larger_than_a_block_is_still_one_batch(dtype):
    case = Case((5, 7, 3), "tanh", "softmax", "cross_entropy", dtype, n=700)
    assert_epochs_equal_reference(case, 600, {}, {}, epochs=1)


@over_dtypes
@over_batches
@over_networks
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_optimizers_equal_reference(rule: Rule, network, batches, dtype):
    case = replace(network, n=batches[0], dtype=dtype)
    assert_epochs_equal_reference(case, batches[1], {"optimizer": rule.optimizer()}, rule.for_reference())


@over_dtypes
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_optimizers_leave_biases_alone_where_there_are_none(rule, dtype):
    case = Case((9, 33, 21, 4), "tanh", n=23, dtype=dtype, use_bias=False)
    for extras in ({}, EXTRAS["all"]):
        options = {"optimizer": rule.optimizer(), **extras}
        assert_epochs_equal_reference(case, 5, options, rule.for_reference() | extras)


@over_dtypes
@over_batches
@over_networks
@pytest.mark.parametrize("extras", EXTRAS)
def test_penalties_and_limits_equal_reference(extras, network, batches, dtype):
    case = replace(network, n=batches[0], dtype=dtype)
    assert_epochs_equal_reference(case, batches[1], EXTRAS[extras], EXTRAS[extras])


@pytest.mark.parametrize("extras", EXTRAS)
def test_each_limit_changes_the_result(extras):
    """So that the test above compares more than plain descent."""
    case = replace(NETWORKS[1], n=23)
    plain, limited = case.trainer(batch_size=5), case.trainer(batch_size=5, **EXTRAS[extras])
    for trainer in (plain, limited):
        trainer.fit(*case.data(), verbose=0)
    assert abs(plain.weights[0] - limited.weights[0]).max() > 1e-3


@over_dtypes
@over_batches
@over_networks
@pytest.mark.parametrize("rule", RULES[-1:], ids=str)
def test_everything_at_once_equals_reference(rule, network, batches, dtype):
    case = replace(network, n=batches[0], dtype=dtype)
    rates = [0.3, 0.1][: len(case.sizes) - 2]
    options = {"optimizer": rule.optimizer(), "dropout": rates, **EXTRAS["all"]}
    expected = {**rule.for_reference(), "dropout": rates, **EXTRAS["all"]}
    w = np.random.default_rng(5).uniform(0, 2, case.n)
    assert_epochs_equal_reference(case, batches[1], options, expected, sample_weight=w)


@over_dtypes
@over_batches
@over_networks
def test_dropout_equals_reference(network, batches, dtype):
    case = replace(network, n=batches[0], dtype=dtype)
    # At 0.3 weights of silu reach 10, and 1e-7 in the first ones comes out as 1e-2: more than the tolerance is worth.
    options = {"dropout": [0.3, 0.6][: len(case.sizes) - 2], "learning_rate": 0.1}
    assert_epochs_equal_reference(case, batches[1], options, options, epochs=3)


@over_dtypes
@pytest.mark.parametrize("hidden", HIDDEN)
def test_dropout_after_every_activation_equals_reference(hidden, dtype):
    """f′ is that of the unit before it is scaled."""
    case = Case((9, 33, 21, 4), hidden, n=23, dtype=dtype)
    epsilon = 0.3 if hidden == "exponential" else case.epsilon
    assert_epochs_equal_reference(case, 5, {"dropout": 0.25, "epsilon": epsilon}, {"dropout": [0.25, 0.25]})


@over_dtypes
def test_dropout_may_leave_out_a_layer(dtype):
    case = Case((9, 33, 21, 4), "tanh", n=23, dtype=dtype)
    for rates in ([0, 0.5], [0.5, 0]):
        assert_epochs_equal_reference(case, 5, {"dropout": rates}, {"dropout": rates})


@over_dtypes
@over_batches
@over_networks
def test_sample_weights_equal_reference(network, batches, dtype):
    """Whole ones and fractions, some of them 0."""
    case = replace(network, n=batches[0], dtype=dtype)
    rng = np.random.default_rng(4)
    for w in (rng.uniform(0, 2, case.n), rng.integers(0, 3, case.n).astype(float)):
        assert_epochs_equal_reference(case, batches[1], {}, {}, sample_weight=w)


@over_dtypes
@pytest.mark.parametrize("rule", [RULES[0], RULES[-1]], ids=str)
@pytest.mark.parametrize("batch_size", [5, 300])
def test_a_batch_without_weight_changes_nothing_by_its_data(batch_size, rule, dtype):
    case = Case((9, 33, 21, 4), "tanh", n=2 * batch_size + 3, dtype=dtype)
    w = np.ones(case.n)
    w[:batch_size] = 0
    options = {"optimizer": rule.optimizer(), "l2": 0.1}
    assert_epochs_equal_reference(case, batch_size, options, {**rule.for_reference(), "l2": 0.1}, sample_weight=w)


@over_dtypes
@pytest.mark.parametrize("loss", sorted({case.loss for case in CASES}))
def test_every_loss_takes_sample_weights(loss, dtype):
    case = next(case for case in CASES if case.loss == loss and case.dtype == dtype and case.sizes == (7, 9, 5))
    w = np.random.default_rng(4).uniform(0, 2, case.n)
    assert_epochs_equal_reference(case, 4, {}, {}, sample_weight=w)


@over_dtypes
@pytest.mark.parametrize(("sizes", "batch_size"), [((4, 8, 3), 5), ((9, 33, 21, 4), 600)], ids=str)
def test_a_loss_of_ones_own_trains_as_in_the_reference(sizes, batch_size, dtype):
    case = Case(sizes, "tanh", "sigmoid", log_cosh, dtype, n=batch_size + 18)
    w = np.random.default_rng(4).uniform(0, 2, case.n)
    for sample_weight in (None, w):
        assert_epochs_equal_reference(case, batch_size, {}, {}, sample_weight=sample_weight)


class Falling(schedules.Schedule):
    """1 / (1 + epoch), from batch to batch."""

    def __call__(self, epoch, epochs):
        return 1 / (1 + epoch)


@over_dtypes
@over_batches
@over_networks
@pytest.mark.parametrize("rule", [RULES[0], RULES[-1]], ids=str)
def test_each_batch_has_the_schedules_learning_rate(rule, network, batches, dtype):
    case = replace(network, n=batches[0], dtype=dtype)
    count = -(-case.n // batches[1])
    rates = [rule.learning_rate / (1 + epoch + np.arange(count) / count) for epoch in range(3)]
    expected = [rule.for_reference() | {"learning_rate": rate} for rate in rates]
    options = {"optimizer": rule.optimizer(), "schedule": Falling()}
    assert_epochs_equal_reference(case, batches[1], options, expected, epochs=3)


@over_dtypes
@over_networks
def test_a_function_of_the_epoch_gives_the_learning_rate_itself(network, dtype):
    case = replace(network, n=23, dtype=dtype)
    expected = [{"learning_rate": 0.2 / (1 + epoch)} for epoch in range(3)]
    assert_epochs_equal_reference(case, 5, {"schedule": lambda epoch: 0.2 / (1 + epoch)}, expected, epochs=3)


@over_dtypes
@over_networks
def test_optimizers_and_dropout_go_on_from_fit_to_fit(network, dtype):
    case = replace(network, n=23, dtype=dtype)
    options = {"optimizer": optimizers.Adam(learning_rate=0.01), "dropout": 0.2, "batch_size": 5}
    once, twice = case.trainer(**options), case.trainer(**options)
    expected = once.fit(*case.data(), epochs=4, verbose=0)["loss"]
    losses = [loss for epochs in (1, 3) for loss in twice.fit(*case.data(), epochs=epochs, verbose=0)["loss"]]
    np.testing.assert_array_equal(losses, expected)
    for a, b in zip(once.weights, twice.weights, strict=True):
        np.testing.assert_array_equal(a, b)


PLAIN = {"rule": PLAIN_RULE, "bounds": NO_BOUNDS, "seed": NO_SEED}
BOUNDED = {
    "rule": optimizers.AdamW(weight_decay=0.1).rule(),
    "bounds": codes.Bounds(0.01, 0.03, 0.02, 0.05, 0.6),
    "seed": np.uint64(2**64 - 1),
}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("budget", [1, 2, 3, 7])
@pytest.mark.parametrize("moves", [PLAIN, BOUNDED], ids=["plain", "bounded"])
@pytest.mark.parametrize(("case", "batch_size"), [(Case((6, 5, 4), n=37), 10), (Case((6, 25, 4), n=700), 600)], ids=str)
def test_the_result_does_not_depend_on_how_calls_are_cut(case, batch_size, moves, budget, n_threads):
    X, y = case.data()
    options = {"batch_size": batch_size, "shuffle": True, "dropout": 0.2 if moves is BOUNDED else 0}
    whole, cut = case.trainer(**options), case.trainer(**options)
    block = min(batch_size, 256)
    step = codes.Step(**moves, rates=np.array([0.3, 0.1]), batch_size=batch_size, block=block)

    def losses(trainer, budget, n_threads):
        engine = trainer._state.engine
        data, memory = engine.data(X, y, shuffle=True), engine.memory(2, 0)
        at = codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(3))
        calls = 0
        while at.position[codes.EPOCH] < 3:
            assert engine.train(data, memory, step, at, budget, n_threads) <= budget
            calls += 1
        return at.losses, calls

    expected, _ = losses(whole, 1000, 1)
    got, calls = losses(cut, budget, n_threads)
    assert calls >= -(-12 // budget)
    np.testing.assert_array_equal(got, expected)
    for a, b in zip(whole.weights, cut.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@over_dtypes
@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize(
    ("network", "batch_size"), [(NETWORKS[0], 5), (NETWORKS[1], 4), (NETWORKS[2], 5), (NETWORKS[2], 600)], ids=str
)
def test_orders_rates_and_penalties_of_several_epochs(network, batch_size, alpha, dtype):
    """In one call, each epoch has the order that is given for it, each batch its η, and alpha / m times ½ Σ Θ²."""
    epochs, n = 3, 23 if batch_size < 600 else 700
    case = replace(network, n=n, dtype=dtype)
    trainer = case.trainer(batch_size=batch_size)
    weights, biases, activations = as_reference(trainer)
    X, y = case.data()
    orders = [np.random.default_rng(epoch).permutation(n) for epoch in range(epochs)]
    n_batches = -(-n // batch_size)
    rates = np.linspace(0.4, 0.1, epochs * n_batches) * case.learning_rate
    expected = []
    for order, etas in zip(orders, np.split(rates, epochs), strict=True):
        losses = []
        for start, eta in zip(range(0, n, batch_size), etas, strict=True):
            rows = order[start : start + batch_size]
            batch = X[rows].astype(np.float64), y[rows].astype(np.float64)
            more = {"loss": case.loss, "parameter": case.parameter, "learning_rate": eta, "l2": alpha / len(rows)}
            loss = reference.train_epoch(weights, biases, activations, *batch, **more, batch_size=n)
            losses.append(len(rows) * loss)
        expected.append(sum(losses) / n)
    engine = trainer._state.engine
    step = codes.Step(**PLAIN, rates=rates, batch_size=batch_size, block=min(batch_size, 256), alpha=alpha)
    at = codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(epochs))
    targets, labels = (None, y) if y.ndim == 1 else (y, None)
    while at.position[codes.EPOCH] < epochs:
        data = engine.data(X, targets, labels, order=np.concatenate(orders))
        engine.train(data, trainer._state.memory, step, at, 7, 1)
    np.testing.assert_allclose(at.losses, expected, rtol=TOLERANCE[dtype])
    for l in range(len(weights)):
        assert_close(trainer.weights[l], weights[l], TOLERANCE[dtype], f"weights[{l}]")
        assert_close(trainer.biases[l], biases[l], TOLERANCE[dtype], f"biases[{l}]")


def test_padding_stays_zero():
    case = Case((7, 9, 5), "sigmoid", "sigmoid", dtype="float32", n=20)
    trainer = case.trainer(batch_size=3)
    layout, parameters = trainer.network._layout, trainer.network._parameters
    trainer.fit(*case.data(), epochs=5, verbose=0)
    packed = layout.pack(parameters)
    assert np.count_nonzero(parameters) == np.count_nonzero(packed) == packed.size
    assert parameters.size > packed.size


@over_dtypes
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("hidden", ["sigmoid", "softplus", "exponential"])
def test_padding_stays_zero_with_everything(hidden, rule, dtype):
    """Where f(0) isn't 0, and moments, penalties and limits go over whole vectors."""
    case = Case((7, 9, 21, 5), hidden, "softplus", dtype=dtype, n=20)
    trainer = case.trainer(batch_size=3, epsilon=0.2, optimizer=rule.optimizer(), dropout=0.2, **EXTRAS["all"])
    layout, parameters = trainer.network._layout, trainer.network._parameters
    trainer.fit(*case.data(), epochs=3, verbose=0)
    packed = layout.pack(parameters)
    assert np.isfinite(packed).all()
    assert np.count_nonzero(parameters) == np.count_nonzero(packed)
    assert parameters.size > packed.size
