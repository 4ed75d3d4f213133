"""Conversion of PyTorch's nn.Sequential to a Trainer and back, optionally with shared memory.

A Trainer stores its weights transposed, in rows that are padded to whole vectors. PyTorch's tensors can have any
strides, so a module can use the trainer's memory, but a trainer can't use a module's.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from ._torch_layers import ACTIVATIONS, MODULES, Exponential, activation_name, has
from ._torch_network import OTHERS, module_of, pile_of
from ._torch_parameters import DTYPES, checked, freeze, frozen_of, numbers_of, require
from ._tree import frozen_names, has_layers, tree_of

__all__ = ["Exponential", "from_torch", "to_torch"]

SUPPORTED = ", ".join(kind.__name__ for kind in (nn.Linear, nn.Dropout, nn.Flatten, *ACTIVATIONS))


def from_torch(module: Any, *, share: bool = False, **options: Any) -> Trainer:
    """Create a Trainer with the layers and the weights of an nn.Sequential, or of a single nn.Linear.

    Parameters
    ----------
    module : torch.nn.Sequential
        A Sequential of Linear layers, each followed by at most one activation and one Dropout. Nested Sequentials,
        Identity and Flatten are allowed; X is already flat. LogSoftmax is imported as softmax, so predict returns
        probabilities. LayerNorm, BatchNorm1d and the modules that `to_torch` makes are allowed, too; the trainer then
        has a list of layers. Parameters with requires_grad=False become the trainer's ``frozen``.
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
    if isinstance(module, nn.Module) and any(type(part) in OTHERS for part in module.modules()):
        if share:
            raise ValueError(
                _checks.wrong("share", "False for a module with layers of other types than Linear", "True")
            )
        return pile_of(module).trainer(options)
    stack, linears = Stack("module", options), []
    for place, layer in _flat("module", module):
        if type(layer) is nn.Linear:
            bias = None if layer.bias is None else numbers_of(place, layer.bias)
            stack.dense(place, numbers_of(place, layer.weight), bias, frozen_of(layer))
            linears.append(layer)
        elif type(layer) is nn.Dropout:
            stack.dropout(place, layer.p)
        elif type(layer) is nn.Flatten:
            require(place, layer, has(start_dim=1, end_dim=-1))
        else:
            stack.activation(place, activation_name(place, layer))
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
        A trainer with a list of layers becomes another nn.Module, whose modules have the names of
        `Trainer.named_parameters`. It is in evaluation mode. Call ``.train()`` before you train a module with dropout.
        Parameters that the trainer's ``frozen`` matches have requires_grad=False.
    """
    share = _checks.flag("share", share)
    if share and isinstance(trainer, Trainer) and trainer.scaling is not None:
        came = "True for a trainer with standardize=True, whose scaling becomes part of the module's weights"
        raise ValueError(_checks.wrong("share", "False", came))
    if has_layers(trainer):
        if share:
            raise ValueError(_checks.wrong("share", "False for a trainer with a list of layers", "True"))
        return module_of(tree_of(trainer, output), trainer.dtype, frozen_names(trainer))
    modules: list[Any] = []
    frozen = frozen_names(trainer)
    for l, layer in enumerate(layers_of(trainer, output, {*MODULES, "identity"}), 1):
        n_out, n_in = layer.weight.shape
        linear = nn.Linear(n_in, n_out, bias=layer.bias is not None, device="meta")  # draws no initial weights
        linear.weight = nn.Parameter(_tensor(layer.weight, share))
        if layer.bias is not None:
            linear.bias = nn.Parameter(_tensor(layer.bias, share))
        freeze(linear, frozen, f"dense{l}.")
        modules.append(linear)
        if layer.activation != "identity":
            modules.append(MODULES[layer.activation]())
        if layer.rate:
            modules.append(nn.Dropout(layer.rate))
    return nn.Sequential(*modules).eval()


def _flat(place: str, module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the supported layers in order, each with its place; nested Sequentials are flattened."""
    checked(place, module)
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
