"""Conversion of PyTorch's nn.Sequential to a Trainer and back, optionally with shared memory.

A Trainer stores its weights transposed, in rows that are padded to whole vectors. PyTorch's tensors can have any
strides, so a module can use the trainer's memory, but a trainer can't use a module's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._extras import not_installed

try:
    import torch
    from torch import nn
except ImportError as error:
    raise not_installed("fastbp.interop.torch needs PyTorch", "torch") from error

from .. import _checks
from ..trainer import Trainer
from ._layers import Stack, layers_of

DTYPES = {torch.float32: np.dtype("float32"), torch.float64: np.dtype("float64")}


class Exponential(nn.Module):
    """e^z, which PyTorch has as a function but not as a module."""

    def forward(self, z: Any) -> Any:
        """Return e^z of each number."""
        return torch.exp(z)


def _has(**expected: Any) -> Callable[[Any], str]:
    """Return a check of a module's attributes, each with one or more allowed values. It returns what is wrong."""

    def complaint(module: Any) -> str:
        for name, values in expected.items():
            allowed = values if isinstance(values, tuple) else (values,)
            if getattr(module, name) not in allowed:
                return f"{name}={' or '.join(map(str, allowed))}"
        return ""

    return complaint


ACTIVATIONS: dict[type, tuple[str, Callable[[Any], str]]] = {  # fastbp's name, and a check that the formula is the same
    nn.Identity: ("identity", _has()),
    nn.Sigmoid: ("sigmoid", _has()),
    nn.Tanh: ("tanh", _has()),
    nn.ReLU: ("relu", _has()),
    nn.LeakyReLU: ("leaky_relu", _has(negative_slope=0.01)),
    nn.ELU: ("elu", _has(alpha=1)),
    nn.SELU: ("selu", _has()),
    nn.GELU: ("gelu", _has(approximate=("none", "tanh"))),
    nn.SiLU: ("silu", _has()),
    nn.Mish: ("mish", _has()),
    nn.Softplus: ("softplus", _has(beta=1, threshold=20)),
    nn.Softsign: ("softsign", _has()),
    nn.Hardsigmoid: ("hard_sigmoid", _has()),
    nn.Hardtanh: ("hard_tanh", _has(min_val=-1, max_val=1)),
    nn.Softmax: ("softmax", _has(dim=(1, -1, None))),
    nn.LogSoftmax: ("softmax", _has(dim=(1, -1, None))),
    Exponential: ("exponential", _has()),
}
MODULES: dict[str, Callable[[], Any]] = {name: kind for kind, (name, _) in ACTIVATIONS.items()} | {
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "softmax": lambda: nn.Softmax(dim=1),
    "log_softmax": lambda: nn.LogSoftmax(dim=1),
}
SUPPORTED = ", ".join(kind.__name__ for kind in (nn.Linear, nn.Dropout, nn.Flatten, *ACTIVATIONS))


def from_torch(module: Any, *, share: bool = False, **options: Any) -> Trainer:
    """Create a Trainer with the layers and the weights of an nn.Sequential, or of a single nn.Linear.

    Parameters
    ----------
    module : torch.nn.Sequential
        A Sequential of Linear layers, each followed by at most one activation and one Dropout. Nested Sequentials,
        Identity and Flatten are allowed; X is already flat. LogSoftmax is imported as softmax, so predict returns
        probabilities.
    share : bool
        Whether the module uses the trainer's memory from now on, so that training one also changes the other. Its
        parameters stay the same objects. By default, the trainer has a copy of the weights.
    **options
        Arguments of Trainer: ``loss=``, ``optimizer=`` … except ``layer_sizes``, ``activation`` and ``initializer``,
        which come from the module. The default ``dtype`` is the module's. ``dropout`` replaces the module's. If the
        module returns logits, without a final activation, the output activation is ``output_activation``, or the
        default for the loss, such as softmax with the cross entropy.

    Raises
    ------
    ValueError, TypeError
        For a module that a Trainer can't represent. The message names the layer, where it is and what is supported.

    Examples
    --------
    >>> module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
    >>> trainer = from_torch(module, loss="cross_entropy", optimizer="adam", batch_size=64)
    """
    share = _checks.flag("share", share)
    stack, linears = Stack("module", options), []
    for place, layer in _flat("module", module):
        if type(layer) is nn.Linear:
            bias = None if layer.bias is None else _numbers(place, layer.bias)
            stack.dense(place, _numbers(place, layer.weight), bias)
            linears.append(layer)
        elif type(layer) is nn.Dropout:
            stack.dropout(place, layer.p)
        elif type(layer) is nn.Flatten:
            _require(place, layer, _has(start_dim=1, end_dim=-1))
        else:
            name, complaint = ACTIVATIONS[type(layer)]
            _require(place, layer, complaint)
            stack.activation(place, "gelu_tanh" if getattr(layer, "approximate", "") == "tanh" else name)
    _check_untied(linears)
    trainer = stack.trainer()
    if share:
        _share(linears, trainer)
    return trainer


def to_torch(trainer: Trainer, *, share: bool = False, output: str = "predict") -> Any:
    """Create an nn.Sequential that returns what predict returns.

    Parameters
    ----------
    trainer : Trainer
    share : bool
        Whether the module's parameters use the trainer's memory instead of a copy. Training one then also trains the
        other. The parameters have unusual strides: use ``.reshape(-1)`` on them, not ``.view(-1)``.
    output : {"predict", "logits", "log_softmax"}
        What the module returns. "predict" is what predict returns. "logits" leaves the output activation out, for
        PyTorch's CrossEntropyLoss. "log_softmax" is the logarithm of a softmax, for NLLLoss.

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode. Call ``.train()`` before you train a module with dropout.
    """
    share = _checks.flag("share", share)
    if share and isinstance(trainer, Trainer) and trainer.scaling is not None:
        came = "True for a trainer with standardize=True, whose scaling becomes part of the module's weights"
        raise ValueError(_checks.wrong("share", "False", came))
    modules: list[Any] = []
    for layer in layers_of(trainer, output, {*MODULES, "identity"}):
        n_out, n_in = layer.weight.shape
        linear = nn.Linear(n_in, n_out, bias=layer.bias is not None, device="meta")  # draws no initial weights
        linear.weight = nn.Parameter(_tensor(layer.weight, share))
        if layer.bias is not None:
            linear.bias = nn.Parameter(_tensor(layer.bias, share))
        modules.append(linear)
        if layer.activation != "identity":
            modules.append(MODULES[layer.activation]())
        if layer.rate:
            modules.append(nn.Dropout(layer.rate))
    return nn.Sequential(*modules).eval()


def _flat(place: str, module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the supported layers in order, each with its place; nested Sequentials are flattened."""
    if not isinstance(module, nn.Module):
        raise TypeError(_checks.wrong(place, "a torch.nn.Sequential", _checks.kind_shown(module, nn.Module)))
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(_checks.wrong(place, "no forward hooks", f"a {type(module).__name__} with some"))
    if "forward" in vars(module):
        came = f"a {type(module).__name__} with a replaced forward"
        raise ValueError(_checks.wrong(place, "a module that computes what its class does", came))
    if _applies_children_in_turn(module):
        for i, child in enumerate(module):
            yield from _flat(f"{place}[{i}]", child)
    elif type(module) in ACTIVATIONS or type(module) in (nn.Linear, nn.Dropout, nn.Flatten):
        yield place, module
    else:
        expected = f"a Sequential of {SUPPORTED}"
        hint = "; if it applies its children in turn, nn.Sequential(*module.children()) does"
        came = type(module).__name__ + (hint if place == "module" and any(module.children()) else "")
        raise ValueError(_checks.wrong(place, expected, came))


def _applies_children_in_turn(module: Any) -> bool:
    """Return whether a module is a Sequential, or of a subclass that computes the same."""
    kind = type(module)
    is_sequential = isinstance(module, nn.Sequential)
    return is_sequential and kind.forward is nn.Sequential.forward and kind.__call__ is nn.Sequential.__call__


def _require(place: str, layer: Any, complaint: Callable[[Any], str]) -> None:
    """Refuse a layer with an attribute that differs from fastbp's formula."""
    if expected := complaint(layer):
        raise ValueError(_checks.wrong(place, f"a {type(layer).__name__} with {expected}", layer))


def _numbers(place: str, parameter: Any) -> Any:
    """Return a parameter as an array."""
    if parameter.device.type == "meta":
        came = "parameters on the meta device; load the weights first"
        raise ValueError(_checks.wrong(place, "parameters with values", came))
    if parameter.dtype not in DTYPES:
        raise TypeError(_checks.wrong(place, "float32 or float64; module.float() converts it", parameter.dtype))
    return parameter.detach().cpu().numpy()


def _tensor(view: Any, share: bool) -> Any:
    """Return a tensor that shares a view's memory, or a copy in PyTorch's own order."""
    return torch.from_numpy(view if share else np.array(view, order="C"))


def _check_untied(linears: list[Any]) -> None:
    """Refuse layers that share parameters, because a Trainer would train them separately."""
    parameters = [parameter.data_ptr() for linear in linears for parameter in linear.parameters()]
    if len(parameters) > len(set(parameters)):
        raise ValueError(_checks.wrong("module", "separate parameters for each Linear", "some that are shared"))


def _share(linears: list[Any], trainer: Trainer) -> None:
    """Let the modules' parameters use the trainer's memory, either all of them or none."""
    pairs = []
    for linear, weight, bias in zip(linears, trainer.weights, trainer.biases, strict=True):
        pairs.append((linear.weight, weight))
        if trainer.use_bias:
            pairs.append((linear.bias, bias))
    for parameter, _ in pairs:
        if parameter is None:
            raise ValueError(_checks.wrong("share", "False, because a Linear has no bias to share", "True"))
        if parameter.device.type != "cpu" or DTYPES[parameter.dtype] != trainer.dtype:
            came = f"True for {parameter.dtype} on {parameter.device}"
            raise ValueError(_checks.wrong("share", f"False, unless parameters are {trainer.dtype} on the CPU", came))
    for parameter, view in pairs:
        parameter.data = torch.from_numpy(view)
