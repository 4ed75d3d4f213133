"""The reference equals finite differences, the article's chains and closed forms. test_torch.py has more."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from fastbp import reference

from .cases import ACTIVATIONS, CASES, HIDDEN, KINKS, Case, log_cosh, parameter_of

FLOAT64 = [case for case in CASES if case.dtype == "float64" and sum(case.sizes) < 60]
AT_ONE = {  # f(1) and f(−1), to 40 digits by mpmath, then rounded
    "identity": (1.0, -1.0),
    "sigmoid": (0.7310585786300049, 0.2689414213699951),
    "tanh": (0.7615941559557649, -0.7615941559557649),
    "relu": (1.0, 0.0),
    "leaky_relu": (1.0, -0.01),
    "elu": (1.0, -0.6321205588285577),
    "selu": (1.0507009873554805, -1.1113307378125628),
    "gelu": (0.8413447460685429, -0.15865525393145705),
    "gelu_tanh": (0.8411919906082767, -0.1588080093917233),
    "silu": (0.7310585786300049, -0.2689414213699951),
    "mish": (0.8650983882673103, -0.3034014613741089),
    "softplus": (1.3132616875182228, 0.3132616875182228),
    "softsign": (0.5, -0.5),
    "hard_sigmoid": (0.6666666666666666, 0.3333333333333333),
    "hard_tanh": (1.0, -1.0),
    "exponential": (2.718281828459045, 0.36787944117144233),
}
JUMPING = ("absolute_error", "quantile", "hinge")


def assert_close_to_differences(gradient, numeric, what: str) -> None:
    """Compare with finite differences, whose relative error is about 1e-6, plus the rounding of J / step."""
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=5e-9, err_msg=what)


def differences(f, parameters: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the central differences of f() for every number of the parameters."""
    gradient = np.empty_like(parameters)
    for index in np.ndindex(parameters.shape):
        kept = parameters[index]
        parameters[index] = kept + step
        above = f()
        parameters[index] = kept - step
        gradient[index] = (above - f()) / (2 * step)
        parameters[index] = kept
    return gradient


def assert_gradients_equal_differences(case: Case, **options) -> None:
    weights, biases, activations = case.parameters()
    X, y = case.data()

    def gradients():
        return reference.gradients(weights, biases, activations, X, y, case.loss, parameter=case.parameter, **options)

    _, weight_gradients, bias_gradients = gradients()
    for l, gradient in enumerate(weight_gradients):
        assert_close_to_differences(gradient, differences(lambda: gradients()[0], weights[l]), f"weights[{l}]")
    for l, gradient in enumerate(bias_gradients):
        assert_close_to_differences(gradient, differences(lambda: gradients()[0], biases[l]), f"biases[{l}]")


@pytest.mark.parametrize("case", FLOAT64, ids=str)
def test_gradients_equal_central_differences(case):
    assert_gradients_equal_differences(case)


@pytest.mark.parametrize("case", [Case((4, 6, 3)), Case((4, 6, 5, 3), "mish", "softmax", "cross_entropy")], ids=str)
@pytest.mark.parametrize("what", ["sample_weight", "l1", "l2", "masks"])
def test_gradients_with_everything_equal_central_differences(case, what):
    rng = np.random.default_rng(3)
    options = {
        "sample_weight": rng.uniform(0, 3, case.n),
        "l1": 0.03,
        "l2": 0.2,
        "masks": [1.25 * rng.integers(0, 2, (case.n, n)) for n in case.sizes[1:-1]],
    }
    assert_gradients_equal_differences(case, **{what: options[what]})
    assert_gradients_equal_differences(case, **options)


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_gradients_of_a_loss_of_ones_own_equal_central_differences(output):
    assert_gradients_equal_differences(Case((4, 6, 3), output=output, loss=log_cosh))


@pytest.mark.parametrize("name", HIDDEN)
def test_activations_have_their_values_and_limits(name):
    np.testing.assert_allclose(reference.activation(np.array([[1.0, -1.0]]), name)[0], AT_ONE[name], rtol=1e-14)
    z = np.concatenate([np.linspace(-30, 30, 241), np.random.default_rng(0).normal(0, 3, 200)])[:, None]
    z = z[np.all([abs(z) != 0, *(abs(z - kink) > 1e-3 for kink in KINKS.get(name, ()))], axis=0)][:, None]
    above, below = (reference.activation(z + step, name) for step in (1e-6, -1e-6))
    got = reference.through_activation(np.full_like(z, 2), z, name)
    np.testing.assert_allclose(got, (above - below) / 1e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(HIDDEN) - {"exponential"}))
def test_activations_far_out_are_finite(name):
    z = np.array([[-1000.0, 1000.0]])
    assert np.isfinite(reference.activation(z, name)).all()
    assert np.isfinite(reference.through_activation(np.ones_like(z), z, name)).all()


@pytest.mark.parametrize(("name", "slope"), [("relu", 0), ("leaky_relu", 0.01), ("hard_sigmoid", 0), ("hard_tanh", 0)])
def test_derivatives_at_kinks(name, slope):
    for kink in KINKS[name]:
        assert reference.through_activation(np.ones((1, 1)), np.full((1, 1), float(kink)), name) == slope


@pytest.mark.parametrize("loss", JUMPING)
def test_losses_where_they_have_no_derivative(loss):
    ones = np.ones((2, 5))
    value, slope = reference.output_losses(ones, ones, loss, parameter_of(loss, 5))
    assert not value.any()
    assert not slope.any()


def test_losses_in_numbers():
    a, y = np.array([[2.0, -3.0]]), np.array([[1.0, 1.0]])
    for loss, parameter, values, slopes in [
        ("squared_error", None, [0.5, 8], [1, -4]),
        ("absolute_error", None, [1, 4], [1, -1]),
        ("huber", None, [0.5, 3.5], [1, -1]),
        ("huber", 2.0, [0.5, 6], [1, -2]),
        ("quantile", None, [0.5, 2], [0.5, -0.5]),
        ("quantile", [0.9, 0.2], [0.1, 0.8], [0.1, -0.2]),
        ("hinge", None, [0, 4], [0, -1]),
    ]:
        got = reference.output_losses(a, y, loss, parameter)
        np.testing.assert_allclose(got, ([values], [slopes]), rtol=1e-15, err_msg=loss)


def f(z):
    return 1 / (1 + np.exp(-z))


def f_prime(z):
    return f(z) * (1 - f(z))


def test_article_1_1_1():
    """Both chains of the article's first network are written out: 3 + 5 = 8 derivatives."""
    x, y, theta1, theta2 = 0.7, 0.2, 0.9, -1.3
    z2 = theta1 * x
    a2 = f(z2)
    z3 = theta2 * a2
    a3 = f(z3)
    chain2 = [a3 - y, f_prime(z3), a2]  # ∂J/∂a³, ∂a³/∂z³, ∂z³/∂θ²
    chain1 = [a3 - y, f_prime(z3), theta2, f_prime(z2), x]  # …, ∂z³/∂a², ∂a²/∂z², ∂z²/∂θ¹
    assert len(chain1) + len(chain2) == 8

    weights = [np.array([[theta1]]), np.array([[theta2]])]
    _, (d1, d2), _ = reference.gradients(weights, [np.zeros(1)] * 2, ["sigmoid"] * 2, np.array([[x]]), np.array([[y]]))
    np.testing.assert_allclose(d2[0, 0], np.prod(chain2), rtol=1e-14)
    np.testing.assert_allclose(d1[0, 0], np.prod(chain1), rtol=1e-14)


def chains_2_2_2(x, y, theta1, theta2):
    """Return the chain of derivatives of every path in the article's second network, by (layer, to, from)."""
    z2 = theta1 @ x
    a2 = f(z2)
    z3 = theta2 @ a2
    a3 = f(z3)
    chains = {}
    for j, k in product(range(2), range(2)):
        chains[2, j, k] = [[a3[j] - y[j], f_prime(z3[j]), a2[k]]]
        chains[1, j, k] = [[a3[i] - y[i], f_prime(z3[i]), theta2[i, j], f_prime(z2[j]), x[k]] for i in range(2)]
    return chains


def test_article_2_2_2():
    """All chains of the article's second network are summed over the paths: 4 × 3 + 4 × (5 + 5) = 52 derivatives."""
    x, y = np.array([0.4, -0.9]), np.array([0.1, 0.8])
    weights = [np.array([[0.3, -0.6], [1.1, 0.2]]), np.array([[-0.7, 0.5], [0.9, 1.4]])]
    chains = chains_2_2_2(x, y, *weights)
    assert sum(len(chain) for paths in chains.values() for chain in paths) == 52

    _, gradients, _ = reference.gradients(weights, [np.zeros(2)] * 2, ["sigmoid"] * 2, x[None], y[None])
    for (layer, j, k), paths in chains.items():
        expected = sum(np.prod(chain) for chain in paths)
        np.testing.assert_allclose(gradients[layer - 1][j, k], expected, rtol=1e-13, err_msg=f"θ{layer} {j}{k}")


def test_update_takes_all_gradients_before_any_weight_changes():
    case = Case((7, 9, 5))
    weights, biases, activations = case.parameters()
    X, y = case.data()
    _, dW, db = reference.gradients(weights, biases, activations, X, y)
    expected = [theta - 0.5 * g for theta, g in zip(weights + biases, dW + db, strict=True)]
    reference.train_epoch(weights, biases, activations, X, y, learning_rate=0.5, batch_size=len(X))
    for actual, wanted in zip(weights + biases, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


CONSTANT = {  # the change of θ in units of η after t updates by the same g, with ε = 0, in closed form
    "sgd": lambda g, t: g * t,
    "momentum": lambda g, t: g * sum((1 - 0.8**k) / 0.2 for k in range(1, t + 1)),
    "nesterov": lambda g, t: g * sum((1 - 0.8 ** (k + 1)) / 0.2 for k in range(1, t + 1)),
    "rmsprop": lambda g, t: np.sign(g) * sum(1 / math.sqrt(1 - 0.7**k) for k in range(1, t + 1)),
    "adagrad": lambda g, t: np.sign(g) * sum(1 / math.sqrt(k) for k in range(1, t + 1)),
    "adam": lambda g, t: np.sign(g) * t,
}


@pytest.mark.parametrize("optimizer", CONSTANT)
def test_optimizers_with_one_gradient_for_ever(optimizer):
    g, theta, state = np.array([[0.5, -0.25], [3.0, -1e-3]]), np.ones((2, 2)), {}
    for t in range(1, 6):
        reference.update([theta], [g], 0.1, optimizer, state, momentum=0.8, rho=0.7, epsilon=0)
        np.testing.assert_allclose(theta, 1 - 0.1 * CONSTANT[optimizer](g, t), rtol=1e-13)


def test_adam_adds_epsilon_to_the_corrected_root():
    theta = np.zeros(1)
    reference.update([theta], [np.array([3.0])], 1.0, "adam", epsilon=0.5)
    np.testing.assert_allclose(theta, -3 / 3.5, rtol=1e-12)


def test_clipping_by_value_comes_before_that_by_norm():
    gradient = [np.array([[3.0, -10.0]]), np.array([0.5])]
    reference.clip(gradient, by_value=4)
    np.testing.assert_array_equal(np.concatenate([gradient[0][0], gradient[1]]), [3, -4, 0.5])
    reference.clip(gradient, by_norm=6)  # the norm is 5.02
    np.testing.assert_array_equal(gradient[0], [[3, -4]])
    gradient = [np.array([[3.0, -10.0]]), np.array([0.0])]
    reference.clip(gradient, by_value=4, by_norm=2.5)
    np.testing.assert_allclose(gradient[0], [[1.5, -2]], rtol=1e-15)


def test_norms_are_those_of_the_weights_into_a_unit():
    weights = [np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])]
    reference.limit_norms(weights, 2.0)
    np.testing.assert_allclose(weights[0], [[1.2, 1.6], [0.3, 0.4], [0, 0]], rtol=1e-15)


def hashed(seed, batch, layer, number):
    """Compute the dropout hash for one unit of one sample with Python's unbounded integers."""
    key = (seed + batch * 0x9E3779B97F4A7C15 + layer * 0xD1B54A32D192ED03) & (2**64 - 1)
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    key = key ^ (key >> 31)
    x = ((number * 0x9E3779B9) & (2**32 - 1)) ^ (key & (2**32 - 1))
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & (2**32 - 1)
    x = ((x ^ (x >> 15)) * 0x846CA68B) & (2**32 - 1)
    return (x ^ (x >> 16) ^ (key >> 32)) >> 8


def test_dropout_mask_is_the_designs_hash():
    seed, batch, layer, m, n = 2**64 - 5, 12345678, 3, 6, 7
    mask = reference.dropout_mask(0.3, seed, batch, layer, m, n)
    for i, k in np.ndindex(m, n):
        kept = hashed(seed, batch, layer, i * n + k) >= round(0.3 * 2**24)
        assert mask[i, k] == (1 / 0.7 if kept else 0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_masks_are_random(rate):
    """The fraction of dropped units is within 5 standard deviations, and no two masks are more alike than by chance."""
    masks = [reference.dropout_mask(rate, seed, batch, 2, 200, 50) for seed in (0, 1) for batch in range(3)]
    masks.append(reference.dropout_mask(rate, 0, 0, 3, 200, 50))
    deviation = math.sqrt(rate * (1 - rate))
    dropped = np.array([mask.reshape(-1) == 0 for mask in masks])
    np.testing.assert_allclose(dropped.mean(axis=1), rate, atol=5 * deviation / 100)
    np.testing.assert_allclose(dropped.reshape(7, 200, 50).mean(axis=1), rate, atol=5 * deviation / 200**0.5)
    correlations = np.corrcoef(dropped) - np.eye(7)
    assert abs(correlations).max() < 0.05


def trained(case: Case, **options):
    """Return the parameters and the loss after an epoch."""
    weights, biases, activations = case.parameters()
    loss = reference.train_epoch(weights, biases, activations, *case.data(), loss=case.loss, **options)
    return [*weights, *biases], loss


def assert_same(actual, expected) -> None:
    for got, wanted in zip(actual[0], expected[0], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-12)


def test_a_sample_of_weight_2_counts_as_two():
    case = Case((4, 6, 3), n=4)
    weights, biases, activations = case.parameters()
    X, y = case.data()
    twice = [0, 1, 1, 3]
    expected = reference.gradients(weights, biases, activations, X[twice], y[twice])
    got = reference.gradients(weights, biases, activations, X, y, sample_weight=np.array([1, 2, 0, 1]))
    assert_same((got[1] + got[2], got[0]), (expected[1] + expected[2], expected[0]))


def test_sample_weights_are_relative_within_a_batch():
    case, w = Case((4, 6, 3), n=8), np.array([1, 2, 3, 4, 5, 6, 7, 8.0])
    assert_same(trained(case, sample_weight=w, batch_size=3), trained(case, sample_weight=w * 10, batch_size=3))
    assert_same(trained(case, sample_weight=np.full(8, 0.3), batch_size=3), trained(case, batch_size=3))


def test_a_batch_without_weight_changes_nothing_and_counts_for_nothing():
    case = Case((4, 6, 3), n=7)
    w = np.array([1, 2, 3, 0, 0, 0, 0.5])
    rates = [0.3, 1e9, 0.3]
    got = trained(case, sample_weight=w, batch_size=3, learning_rate=rates)
    weights, biases, activations = case.parameters()
    X, y = case.data()
    J1, *_ = reference.gradients(weights, biases, activations, X[:3], y[:3], sample_weight=w[:3])
    J3 = reference.train_epoch(
        weights, biases, activations, X[[0, 1, 2]], y[[0, 1, 2]], sample_weight=w[:3], learning_rate=0.3
    )
    assert J1 == J3
    J3 = reference.train_epoch(weights, biases, activations, X[6:], y[6:], learning_rate=0.3)
    assert_same(got, ([*weights, *biases], (6 * J1 + 0.5 * J3) / 6.5))


def test_each_batch_has_its_learning_rate():
    case = Case((4, 6, 3), n=8)
    unmoved, _ = trained(case, batch_size=3, learning_rate=[0, 0, 0])
    for got, wanted in zip(unmoved, [*case.parameters()[0], *case.parameters()[1]], strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert_same(trained(case, batch_size=3, learning_rate=[0.3] * 3), trained(case, batch_size=3, learning_rate=0.3))


def test_weights_decay_and_biases_dont():
    case = Case((4, 6, 3), n=8)
    plain, J = trained(case, batch_size=8, learning_rate=0.5)
    decayed, J_decayed = trained(case, batch_size=8, learning_rate=0.5, weight_decay=0.1)
    assert J_decayed == J
    for got, wanted, theta in zip(decayed[:2], plain[:2], case.parameters()[0], strict=True):
        np.testing.assert_allclose(got, wanted - 0.05 * theta, rtol=1e-12, atol=1e-15)
    for got, wanted in zip(decayed[2:], plain[2:], strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_an_epoch_keeps_to_its_limits():
    case = Case((4, 6, 3), "relu", "identity", n=8)
    start = [*case.parameters()[0], *case.parameters()[1]]
    clipped, _ = trained(case, batch_size=8, learning_rate=1.0, clip_norm=1e-3)
    moved = math.sqrt(sum(((after - before) ** 2).sum() for after, before in zip(clipped, start, strict=True)))
    np.testing.assert_allclose(moved, 1e-3, rtol=1e-9)
    clipped, _ = trained(case, batch_size=8, learning_rate=1.0, clip_value=1e-3)
    assert max(abs(after - before).max() for after, before in zip(clipped, start, strict=True)) < 1.001e-3
    limited, _ = trained(case, batch_size=3, max_norm=0.3)
    assert max(np.linalg.norm(theta, axis=1).max() for theta in limited[:2]) < 0.3 + 1e-12
    assert max(abs(b).max() for b in limited[2:]) > 0.4


def test_a_network_without_biases_clips_by_the_norm_of_its_weights():
    case = Case((4, 6, 3), n=8, use_bias=False)
    start = case.parameters()[0]
    clipped, _ = trained(case, batch_size=8, learning_rate=1.0, clip_norm=1e-3, use_bias=False)
    moved = math.sqrt(sum(((after - before) ** 2).sum() for after, before in zip(clipped[:2], start, strict=True)))
    np.testing.assert_allclose(moved, 1e-3, rtol=1e-9)
    assert not any(b.any() for b in clipped[2:])


def test_the_state_goes_on_from_epoch_to_epoch():
    """One epoch equals two epochs that pass the state on: the optimizer's moments and the batch number for dropout."""
    case = Case((4, 6, 3), n=8)
    options = {"optimizer": "adam", "dropout": [0.4], "seed": 7, "batch_size": 2}
    expected = trained(case, **options)
    weights, biases, activations = case.parameters()
    X, y = case.data()
    state = {}
    losses = [
        reference.train_epoch(weights, biases, activations, X[half], y[half], state=state, **options)
        for half in (slice(0, 4), slice(4, 8))
    ]
    assert_same(([*weights, *biases], np.mean(losses)), expected)


def test_unknown_names():
    z = np.zeros((1, 1))
    with pytest.raises(ValueError, match="activation: no formula for 'spline'"):
        reference.activation(z, "spline")
    with pytest.raises(ValueError, match="loss: no formula for 'spline'"):
        reference.cost(z, z, "identity", "spline")
    with pytest.raises(ValueError, match="optimizer: no formula for 'spline'"):
        reference.update([z], [z], 0.1, "spline")
