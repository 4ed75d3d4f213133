"""Networks of layers in the kernels equal PyTorch, where it is installed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from .cases import DTYPES, RULES
from .layer_cases import NETWORKS, data_of, parameters_of
from .layer_torch import LayerModel
from .layer_trainers import trainer_of
from .optional import Package, needs

torch = Package("torch")
pytestmark = needs("torch", "PyTorch")

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
over_networks = pytest.mark.parametrize("name", NETWORKS)


def assert_all_close(got, wanted, tolerance: float, what: str) -> None:
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        scale = max(1e-2, abs(array).max(initial=0))
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=f"{what} {name}")


@over_networks
def test_training_equals_pytorch(name):
    """Parameters and running statistics after 50 steps with each optimizer; every tenth batch is short."""
    network = NETWORKS[name]
    p, (X, y) = parameters_of(network), data_of(network, 75)
    for rule in [replace(rule, learning_rate=rule.learning_rate / 10) for rule in RULES]:
        options = {"optimizer": rule.optimizer(), "batch_size": 8}
        trainers = {dtype: trainer_of(network, p, dtype, **options) for dtype in DTYPES}
        model = LayerModel(network, p, seed=trainers["float64"]._state.dropout_seed)
        model.train(X, y, rule, epochs=5, batch_size=8)
        for dtype, trainer in trainers.items():
            trainer.fit(X, y, epochs=5, verbose=0)
            got = trainer.named_parameters()
            assert_all_close(got, model.numbers(), TOLERANCE[dtype], f"{rule} {dtype}")


@over_networks
def test_gradients_of_inputs_equal_pytorch(name):
    network = NETWORKS[name]
    p, (X, y) = parameters_of(network), data_of(network, 13)
    trainer, model = trainer_of(network, p), LayerModel(network, p)
    V = np.random.default_rng(0).normal(size=y.shape)
    x = torch.tensor(X, requires_grad=True)
    model.cost(x, torch.tensor(y)).backward()
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: model.outputs(row[None])[0]))(torch.tensor(X)).detach()
    got = {"∂J/∂X": trainer.input_gradients(X, y), "jacobian": trainer.jacobian(X), "vjp": trainer.vjp(X, V)}
    wanted = {"∂J/∂X": x.grad.numpy(), "jacobian": jacobian.numpy(), "vjp": np.einsum("ij,ijk->ik", V, jacobian)}
    assert_all_close(got, wanted, 1e-10, name)
