"""The reference is right: finite differences, the article's chains path by path, and PyTorch where it is installed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fastbp import reference

from .cases import CASES, as_reference

FLOAT64 = [case for case in CASES if case.dtype == "float64" and sum(case.sizes) < 60]


def assert_close_to_differences(gradient, numeric, what: str) -> None:
    """The differences themselves are good to about 1e-6 of a number, and to rounding / step."""
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9, err_msg=what)


def differences(f, parameters: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of f() by every number of parameters."""
    gradient = np.empty_like(parameters)
    for index in np.ndindex(parameters.shape):
        kept = parameters[index]
        parameters[index] = kept + step
        above = f()
        parameters[index] = kept - step
        gradient[index] = (above - f()) / (2 * step)
        parameters[index] = kept
    return gradient


@pytest.mark.parametrize("case", FLOAT64, ids=str)
def test_gradients_equal_central_differences(case):
    weights, biases, activations = as_reference(case.trainer())
    X, y = case.data()

    def J():
        z, _ = reference.forward(weights, biases, activations, X)
        return reference.cost(z[-1], y, activations[-1], case.loss)

    _, weight_gradients, bias_gradients = reference.gradients(weights, biases, activations, X, y, case.loss)
    for l, gradient in enumerate(weight_gradients):
        assert_close_to_differences(gradient, differences(J, weights[l]), f"weights[{l}]")
    for l, gradient in enumerate(bias_gradients):
        assert_close_to_differences(gradient, differences(J, biases[l]), f"biases[{l}]")


def f(z):
    return 1 / (1 + np.exp(-z))


def f_prime(z):
    return f(z) * (1 - f(z))


def test_article_1_1_1():
    """Both chains of the article's first network, written out: 3 + 5 = 8 derivatives."""
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
    """Every path's chain of derivatives in the article's second network, by (layer, to, from)."""
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
    """All chains of the article's second network, summed over the paths: 4 × 3 + 4 × (5 + 5) = 52 derivatives."""
    x, y = np.array([0.4, -0.9]), np.array([0.1, 0.8])
    weights = [np.array([[0.3, -0.6], [1.1, 0.2]]), np.array([[-0.7, 0.5], [0.9, 1.4]])]
    chains = chains_2_2_2(x, y, *weights)
    assert sum(len(chain) for paths in chains.values() for chain in paths) == 52

    _, gradients, _ = reference.gradients(weights, [np.zeros(2)] * 2, ["sigmoid"] * 2, x[None], y[None])
    for (layer, j, k), paths in chains.items():
        expected = sum(np.prod(chain) for chain in paths)
        np.testing.assert_allclose(gradients[layer - 1][j, k], expected, rtol=1e-13, err_msg=f"θ{layer} {j}{k}")


def test_update_takes_all_gradients_before_any_weight_changes():
    case = next(case for case in FLOAT64 if case.sizes == (7, 9, 5))
    weights, biases, activations = as_reference(case.trainer())
    X, y = case.data()
    _, dW, db = reference.gradients(weights, biases, activations, X, y)
    expected = [theta - 0.5 * g for theta, g in zip(weights + biases, dW + db, strict=True)]
    reference.train_epoch(weights, biases, activations, X, y, learning_rate=0.5, batch_size=len(X))
    for actual, wanted in zip(weights + biases, expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_unknown_names():
    z = np.zeros((1, 1))
    with pytest.raises(ValueError, match="activation: no formula for 'spline'"):
        reference.activation(z, "spline")
    with pytest.raises(ValueError, match="loss: no formula for 'spline'"):
        reference.cost(z, z, "identity", "spline")
