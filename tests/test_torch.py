"""Gradients equal PyTorch's, where it is installed: it is no dependency, not even of the tests."""

from __future__ import annotations

import numpy as np
import pytest

from .cases import CASES, assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

ROWS = [case for case in CASES if case.dtype == "float64" and case.sizes == (7, 9, 5)]
FUNCTIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, 1),
}


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_gradients_equal_pytorch(case):
    trainer = case.trainer()
    X, y = map(torch.tensor, case.data())
    weights = [torch.tensor(np.array(theta), requires_grad=True) for theta in trainer.weights]
    biases = [torch.tensor(np.array(b), requires_grad=True) for b in trainer.biases]
    a = X
    for theta, b, name in zip(weights, biases, trainer.network.activations, strict=True):
        z = torch.nn.functional.linear(a, theta, b)
        a = FUNCTIONS[name](z)
    if case.loss == "squared_error":
        J = ((a - y) ** 2).sum() / (2 * len(X))
    elif case.loss == "cross_entropy":
        J = torch.nn.functional.cross_entropy(z, y)
    else:
        J = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(X)
    J.backward()
    got = trainer.gradients(*case.data())
    np.testing.assert_allclose(got.loss, J.item(), rtol=1e-12)
    for l, (theta, b) in enumerate(zip(weights, biases, strict=True)):
        assert_close(got.weights[l], theta.grad.numpy(), 1e-10, f"weights[{l}]")
        if case.use_bias:
            assert_close(got.biases[l], b.grad.numpy(), 1e-10, f"biases[{l}]")
