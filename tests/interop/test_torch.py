"""Conversion of nn.Sequential to a Trainer and back, if PyTorch is installed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastbp import Trainer

from ..cases import ACTIVATIONS, DTYPES
from ..optional import Package, needs

torch, nn, interop = Package("torch"), Package("torch.nn"), Package("fastbp.interop")
pytestmark = needs("torch", "PyTorch")

X = np.random.default_rng(1).normal(size=(40, 7))


def network(name: str = "tanh", dtype: str = "float32", **options) -> Trainer:
    hidden = [name, name] if name not in ("softmax", "exponential") else [name.replace("softmax", "relu"), "tanh"]
    options = {"activation": hidden, "output_activation": name, "initializer": "lecun"} | options
    trainer = Trainer([7, 9, 8, 5], dtype=dtype, seed=0, **options)
    if trainer.use_bias:
        for b in trainer.biases:
            b[...] = np.random.default_rng(2).uniform(-1, 0, b.shape)
    return trainer


def given(module, dtype="float32"):
    return module(torch.from_numpy(X.astype(dtype))).detach().numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_there_and_back(name, dtype):
    trainer = network(name, dtype, dropout=[0.2, 0.0])
    module = interop.to_torch(trainer)
    expected = trainer.predict(X)
    np.testing.assert_allclose(given(module, dtype), expected, rtol=1e-6, atol=1e-6)
    back = interop.from_torch(module)
    np.testing.assert_array_equal(back.predict(X), expected)
    assert (back.activation, back.output_activation) == (trainer.activation, trainer.output_activation)
    assert (back.dropout, back.dtype) == ((0.2, 0.0), np.dtype(dtype))
    assert not np.shares_memory(back.weights[0], module[0].weight.detach().numpy())


def test_without_biases():
    trainer = network(use_bias=False)
    assert interop.to_torch(trainer)[0].bias is None
    assert interop.from_torch(interop.to_torch(trainer)).use_bias is False


@pytest.mark.parametrize("output", ["logits", "log_softmax"])
def test_other_outputs(output):
    trainer = network("softmax")
    module = interop.to_torch(trainer, output=output)
    probabilities = given(nn.Sequential(module, nn.Softmax(dim=1)) if output == "logits" else module)
    probabilities = probabilities if output == "logits" else np.exp(probabilities)
    np.testing.assert_allclose(probabilities, trainer.predict(X), atol=1e-6)


def test_logits_end_as_the_loss_has_it():
    module = interop.to_torch(network("softmax"), output="logits")
    assert interop.from_torch(module).output_activation == "identity"
    trainer = interop.from_torch(module, loss="cross_entropy", optimizer="adam", seed=3)
    assert trainer.output_activation == "softmax"
    np.testing.assert_allclose(trainer.predict(X), given(nn.Sequential(module, nn.Softmax(1))), atol=1e-6)
    assert trainer.fit(X, np.arange(40) % 5, epochs=30, verbose=0)["loss"][-1] < trainer.history["loss"][0]


def test_to_torch_shares_memory_both_ways():
    trainer = network()
    module = interop.to_torch(trainer, share=True)
    for linear, weight, bias in zip(list(module)[::2], trainer.weights, trainer.biases, strict=True):
        assert linear.weight.data_ptr() == weight.ctypes.data
        assert np.shares_memory(linear.bias.detach().numpy(), bias)
    trainer.fit(X, np.zeros((40, 5)), epochs=2, verbose=0)
    np.testing.assert_allclose(given(module), trainer.predict(X), atol=1e-6)
    before = trainer.get_weights()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    module(torch.ones(3, 7)).sum().backward()
    optimizer.step()
    assert abs(trainer.weights[0] - before[0]).max() > 0.01
    np.testing.assert_allclose(given(module), trainer.predict(X), atol=1e-6)


def test_from_torch_lets_the_module_work_on_the_trainers_memory():
    module = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 5))
    parameter, before = module[0].weight, given(module)
    trainer = interop.from_torch(module, share=True)
    assert module[0].weight is parameter
    assert parameter.data_ptr() == trainer.weights[0].ctypes.data
    np.testing.assert_allclose(given(module), before, atol=1e-6)
    trainer.fit(X, np.zeros((40, 5)), epochs=2, verbose=0)
    assert abs(given(module) - before).max() > 1e-3
    np.testing.assert_allclose(given(module), trainer.predict(X), atol=1e-6)


def test_what_cannot_be_shared_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(7, 9), nn.Linear(9, 5, bias=False))
    pointer = module[0].weight.data_ptr()
    with pytest.raises(ValueError, match="share: expected False, because a Linear has no bias"):
        interop.from_torch(module, share=True, use_bias=True)
    with pytest.raises(ValueError, match="share: expected False, unless parameters are float64"):
        interop.from_torch(module[0], share=True, dtype="float64")
    assert module[0].weight.data_ptr() == pointer


def test_modules_pickle_and_copy():
    module = interop.to_torch(network("exponential"), share=True)
    np.testing.assert_array_equal(given(pickle.loads(pickle.dumps(module))), given(module))
    assert copy.deepcopy(module)[0].weight.data_ptr() != module[0].weight.data_ptr()


def test_nested_flat_and_dropout_before_relu():
    inner = nn.Sequential(nn.Linear(7, 9), nn.Dropout(0.3), nn.ReLU())
    trainer = interop.from_torch(
        nn.Sequential(nn.Flatten(), inner, nn.Identity(), nn.Linear(9, 5), nn.LogSoftmax(dim=1))
    )
    assert (trainer.activation, trainer.dropout, trainer.output_activation) == (("relu",), (0.3,), "softmax")


def L(*sizes, **options):
    return nn.Linear(*sizes, **options)


def twice(layer):
    class Twice(nn.Sequential):
        """A Sequential whose call is replaced in a subclass."""

        def __call__(self, inputs):
            return 2 * super().__call__(inputs)

    return Twice(layer)


def with_another_forward(module):
    module.forward = lambda inputs: inputs
    return module


def tied():
    """Return layers, two of which share memory although their parameters are different objects."""
    first, second = L(7, 9), L(9, 7)
    second.weight = nn.Parameter(first.weight.data.T)
    return [first, nn.Tanh(), second]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            lambda: [L(7, 9), nn.InstanceNorm1d(9)],
            r"module\[1\]: expected a Sequential of Linear, .*, got InstanceNorm1d",
        ),
        (lambda: [nn.Sequential(L(7, 9), nn.Conv1d(1, 1, 1))], r"module\[0\]\[1\]: .* got Conv1d"),
        (lambda: [L(7, 9), L(8, 5)], r"module\[1\]: expected 9 inputs, because module\[0\] has 9 outputs, got 8"),
        (lambda: [L(7, 9), nn.ReLU(), nn.Tanh()], r"module\[2\]: expected no second activation after module\[0\]"),
        (lambda: [nn.ReLU(), L(7, 9)], r"module\[0\]: expected a dense layer before relu"),
        (lambda: [nn.Dropout(), L(7, 9)], r"module\[0\]: expected a dense layer before a dropout"),
        (lambda: [L(7, 9), nn.Dropout(0.1)], r"module\[0\]: expected a dropout after hidden layers only"),
        (
            lambda: [L(7, 9), nn.Dropout(0.1), nn.Tanh(), L(9, 5)],
            r"module\[2\]: expected the activation before the dropout",
        ),
        (lambda: [L(7, 9), nn.Softmax(dim=1), L(9, 5)], r"module\[2\]: expected nothing after a softmax"),
        (lambda: [L(7, 9), nn.LeakyReLU(0.2)], r"module\[1\]: expected a LeakyReLU with negative_slope=0.01"),
        (lambda: [L(7, 9), nn.Softmax(dim=0)], r"module\[1\]: expected a Softmax with dim=1"),
        (lambda: [L(7, 9), L(9, 5, bias=False)], r"module: expected biases in all layers .* got none in module\[1\]"),
        (lambda: [L(7, 9).bfloat16()], r"module\[0\]: expected float32 or float64.*, got torch.bfloat16"),
        (list, "module: expected at least one dense layer, got none"),
        (lambda: [L(7, 7)] * 2, "module: expected separate parameters for each Linear"),
        (tied, "module: expected separate parameters for each Linear"),
        (lambda: [twice(L(7, 5))], r"module\[0\]: expected a Sequential of Linear, .*, got Twice"),
        (
            lambda: [with_another_forward(L(7, 5))],
            r"module\[0\]: expected a module that computes what its class does, got a Linear",
        ),
        (
            lambda: [with_another_forward(nn.Sequential(L(7, 5)))],
            r"module\[0\]: .* got a Sequential with a replaced forward",
        ),
        (
            lambda: [L(7, 5, device="meta")],
            r"module\[0\]: expected parameters with values, got parameters on the meta device",
        ),
    ],
)
def test_what_no_trainer_equals(layers, message):
    with pytest.raises((ValueError, TypeError), match=message):
        interop.from_torch(nn.Sequential(*layers()))


def test_other_kinds_of_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = L(7, 9)

    with pytest.raises(ValueError, match=r"got Net; if it applies its children in turn, nn.Sequential"):
        interop.from_torch(Net())
    with pytest.raises(TypeError, match=r"module: expected a torch.nn.Sequential, got 3 \(int\)"):
        interop.from_torch(3)
    hooked = nn.Sequential(L(7, 9))
    hooked[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"module\[0\]: expected no forward hooks"):
        interop.from_torch(hooked)


def test_options_that_the_module_has():
    with pytest.raises(ValueError, match="activation: expected nothing, because module determines it, got 'relu'"):
        interop.from_torch(L(7, 9), activation="relu")
    with pytest.raises(ValueError, match="output_activation: expected 'tanh', as in module, got 'softmax'"):
        interop.from_torch(nn.Sequential(L(7, 9), nn.Tanh()), output_activation="softmax")
    assert interop.from_torch(nn.Sequential(L(7, 9), nn.Dropout(0.5)), dropout=0, batch_size=7).batch_size == 7
    with pytest.raises(ValueError, match="output: expected 'predict' or 'logits'"):
        interop.to_torch(network(), output="log_softmax")
    assert isinstance(interop.to_torch(network("exponential"))[1], interop.torch.Exponential)
