"""The reference's layers equal PyTorch's: values, gradients, running statistics, and training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastbp.reference import blocks, layer_training

from .cases import RULES
from .layer_cases import NETWORKS, data_of, parameters_of
from .layer_torch import LayerModel
from .optional import Package, needs

torch = Package("torch")
pytestmark = needs("torch", "PyTorch")


def assert_all_near(got, wanted, tolerance: float) -> None:
    """Compare arrays by name, relative to the largest number of each."""
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = max(1e-3, abs(array).max())
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_gradients_equal_pytorch(name):
    network = NETWORKS[name]
    for m in (1, 3, 7):
        p, (X, y) = parameters_of(network), data_of(network, m)
        w = np.random.default_rng(0).uniform(0.5, 2, m)
        model = LayerModel(network, p)
        x, t = torch.tensor(X), torch.tensor(y)
        np.testing.assert_allclose(blocks.forward(network.layers, p, X)[0], model.z(x).detach(), rtol=1e-10, atol=1e-12)
        J, gradients = network.gradients(p, X, y, w)
        expected = model.cost(x, t, torch.tensor(w), training=True)
        expected.backward()
        np.testing.assert_allclose(J, expected.item(), rtol=1e-12)
        assert_all_near(gradients, model.gradients(), 1e-11)
        x.requires_grad_()
        model = LayerModel(network, p)
        model.cost(x, t, torch.tensor(w)).backward()
        np.testing.assert_allclose(network.input_gradients(p, X, y, w), x.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_jacobians_equal_pytorch(name):
    network = NETWORKS[name]
    p, (X, _) = parameters_of(network), data_of(network, 5)
    model = LayerModel(network, p)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: model.outputs(x[None])[0]))(torch.tensor(X))
    np.testing.assert_allclose(network.jacobian(p, X), jacobian.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_equals_pytorch(name):
    """Parameters and running statistics after 50 steps; every tenth batch is short."""
    network = NETWORKS[name]
    rule = replace(RULES[-1], learning_rate=RULES[-1].learning_rate / 10)  # small, so as not to amplify rounding
    p, (X, y) = parameters_of(network), data_of(network, 75)
    model, state = LayerModel(network, p), {}
    model.train(X, y, rule, epochs=5, batch_size=8)
    for _ in range(5):
        layer_training.train_epoch(network, p, X, y, batch_size=8, state=state, **rule.for_reference())
    assert_all_near(p, model.numbers(), 1e-9)
