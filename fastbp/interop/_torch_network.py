"""A network of layers as a PyTorch module, and such modules as the layers of a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import _checks, layers as kinds
from . import _torch_layers as modules
from ._pile import EPSILON, MOMENTUM, Pile
from ._torch_layers import ACTIVATIONS, MODULES, activation_name
from ._torch_parameters import checked, freeze, frozen_of, numbers_of
from ._tree import Node, Tree

OTHERS = (  # modules of a network of layers
    modules.Layers,
    modules.Dense,
    modules.Residual,
    modules.PBLD,
    modules.Periodic,
    modules.PiecewiseLinear,
    modules.Scale,
    modules.Parametric,
    nn.LayerNorm,
    nn.BatchNorm1d,
)
NORMS = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}  # PyTorch's names


def module_of(tree: Tree, dtype: Any, frozen: Container[str]) -> Any:
    """Return the module of a network, with copies of its parameters, in evaluation mode.

    frozen: names of the parameters that get requires_grad=False.
    """
    inputs, width = tree.inputs, tree.inputs.numbers
    encoding = None
    if tree.encoding is not None:
        module = _encoding(tree.encoding)
        encoding = tree.encoding.name, module
        width += module(torch.zeros(1, module.n, dtype=torch.float64)).shape[1] - module.n
    embeddings = []
    for table in tree.embeddings:
        embedding = nn.Embedding(*table.shape, device="meta").to_empty(device="cpu")
        embeddings.append(_filled(embedding, {"weight": table}))
        width += table.shape[1]
    stack, _ = _stacked(tree.nodes, width)
    scaling = back = None
    if tree.scaling is not None:
        numbers = slice(0, inputs.numbers)
        scaling = modules.Affine(inputs.numbers, False)
        _filled(scaling, {"mean": tree.scaling.mean[numbers], "deviation": tree.scaling.deviation[numbers]})
        mean, deviation = tree.scaling.target_mean, tree.scaling.target_deviation
        if mean is not None and deviation is not None:
            back = _filled(modules.Affine(len(mean), True), {"mean": mean, "deviation": deviation})
    network = modules.Layers(inputs.numbers, embeddings, encoding, stack, scaling, back)
    freeze(network, frozen)
    return network.to(torch.from_numpy(np.empty(0, dtype)).dtype).eval()


def _filled(module: Any, arrays: dict[str, Any]) -> Any:
    """Give a module copies of arrays, as float64, so that none loses digits before the module gets its dtype."""
    module.double()
    names = NORMS if isinstance(module, nn.LayerNorm | nn.BatchNorm1d) else {}
    values = {names.get(name, name): torch.from_numpy(np.array(array, np.float64)) for name, array in arrays.items()}
    if isinstance(module, nn.BatchNorm1d):
        values["num_batches_tracked"] = torch.tensor(0)
    module.load_state_dict(values)
    return module


def _encoding(node: Node) -> Any:
    """Return the module that encodes numbers."""
    layer, arrays = node.layer, node.arrays
    if isinstance(layer, kinds.PBLD):
        n, k, frequencies = arrays["weight"].shape
        return _filled(modules.PBLD(n, k + 1, frequencies), arrays)
    if isinstance(layer, kinds.Periodic):
        return _filled(modules.Periodic(*arrays["frequency"].shape), arrays)
    n, edges = arrays["edges"].shape
    return _filled(modules.PiecewiseLinear(n, edges - 1), arrays)


def _stacked(nodes: list[Node], width: int) -> tuple[list[tuple[str, Any]], int]:
    """Return the modules of layers in order with their names, and the width of the last one's outputs."""
    stack = []
    for node in nodes:
        module, width = _module(node, width)
        stack.append((node.short, module))
    return stack, width


def _module(node: Node, width: int) -> tuple[Any, int]:
    """Return the module of a layer with so many inputs, and the number of its outputs."""
    layer, arrays = node.layer, node.arrays
    if isinstance(layer, kinds.Residual):
        stack, _ = _stacked(node.body, width)
        block = modules.Residual()
        for name, module in stack:
            block.add_module(name, module)
        return block, width
    if isinstance(layer, kinds.Dense):
        return _dense(layer, arrays)
    if isinstance(layer, kinds.LayerNorm):
        return _filled(nn.LayerNorm(width, eps=layer.epsilon), arrays), width
    if isinstance(layer, kinds.BatchNorm):
        return _filled(nn.BatchNorm1d(width, eps=layer.epsilon, momentum=layer.momentum), arrays), width
    if isinstance(layer, kinds.Scale):
        return _filled(modules.Scale(width), arrays), width
    if isinstance(layer, kinds.Dropout):
        return nn.Dropout(layer.rate), width
    function = MODULES[layer.name]()
    return (_filled(modules.Parametric(function, width), arrays) if layer.parametric else function), width


def _dense(layer: Any, arrays: dict[str, Any]) -> tuple[Any, int]:
    """Return the module of a dense layer, and the number of its outputs."""
    n_out, n_in = arrays["weight"].shape
    norms: dict[Any, Callable[[int], Any]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
    norm = norms[layer.norm](n_out) if layer.norm else None
    if norm is not None:
        parts = {name[5:]: array for name, array in arrays.items() if name.startswith("norm.")}
        _filled(norm, parts)
    function = None if layer.activation in (None, "identity") else MODULES[layer.activation]()
    dropout = nn.Dropout(layer.dropout) if layer.dropout else None
    dense = modules.Dense(
        n_in,
        n_out,
        bias="bias" in arrays,
        norm=norm,
        activation=function,
        dropout=dropout,
        parametric=layer.parametric,
    ).double()
    for name in ("weight", "bias", "alpha"):
        if name in arrays:
            with torch.no_grad():
                getattr(dense, name).copy_(torch.from_numpy(np.array(arrays[name], np.float64)))
    return dense, n_out


def pile_of(module: Any) -> Pile:
    """Return the layers of a module."""
    pile = Pile("module")
    if type(module) is modules.Layers:
        checked("module", module)
        if module.scaling is not None or module.back is not None:
            came = "one with scaling, of a trainer with standardize=True"
            raise ValueError(_checks.wrong("module", "a module that doesn't scale its inputs", came))
        pile.numbers = module.numbers
        for name in module.embeddings:
            embedding = getattr(module, name)
            table = numbers_of(f"module.{name}", embedding.weight)
            pile.table(f"module.{name}", table, embedding.weight.requires_grad)
        names = [*([] if module.encoding is None else [module.encoding]), *module.stack]
        for name in names:
            _add(pile, f"module.{name}", getattr(module, name))
    else:
        _add(pile, "module", module)
    return pile


def _add(pile: Pile, place: str, module: Any) -> None:
    """Add a module to the layers."""
    checked(place, module)
    kind = type(module)
    if isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward:
        for i, child in enumerate(module):
            _add(pile, f"{place}[{i}]", child)
    elif kind is modules.Residual:
        body = Pile("module")
        for name, child in module.named_children():
            _add(body, f"{place}.{name}", child)
        pile.add(place, kinds.Residual(tuple(item.layer for item in body.items)), {}, body=body.items)
    elif kind in (nn.Linear, modules.Dense):
        _add_dense(pile, place, module)
    elif kind in (nn.LayerNorm, nn.BatchNorm1d):
        layer, arrays = _norm(place, module)
        frozen = frozen_of(module)
        pile.add(place, layer, arrays, [name for name, theirs in NORMS.items() if theirs in frozen])
    elif kind is nn.Dropout:
        if module.p:
            pile.add(place, kinds.Dropout(module.p), {})
    elif kind in ACTIVATIONS:
        pile.add(place, kinds.Activation(activation_name(place, module)), {})
    elif kind in OTHERS:
        names = [name for name, _ in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]]
        arrays = {name: numbers_of(place, getattr(module, name)) for name in names}
        trained = dict(module.named_parameters(recurse=False))
        pile.add(place, _layer(place, module, arrays), arrays, frozen_of(module, trained))
    else:
        expected = (
            f"a Sequential of {', '.join(kind.__name__ for kind in (nn.Linear, nn.Dropout, *OTHERS, *ACTIVATIONS))}"
        )
        raise ValueError(_checks.wrong(place, expected, kind.__name__))


def _layer(place: str, module: Any, arrays: dict[str, Any]) -> Any:
    """Return fastbp's layer for one of its own modules."""
    if isinstance(module, modules.PBLD):
        _, k, frequencies = arrays["weight"].shape
        return kinds.PBLD(k + 1, frequencies, n_numbers=module.n)
    if isinstance(module, modules.Periodic):
        return kinds.Periodic(arrays["frequency"].shape[1], n_numbers=module.n)
    if isinstance(module, modules.PiecewiseLinear):
        return kinds.PiecewiseLinear(arrays["edges"].shape[1] - 1, arrays["edges"], n_numbers=module.n)
    if isinstance(module, modules.Scale):
        return kinds.Scale()
    return kinds.Activation(activation_name(f"{place}.function", module.function), True)


def _norm(place: str, module: Any) -> tuple[Any, dict[str, Any]]:
    """Return fastbp's norm for PyTorch's, with its parameters."""
    is_batch = isinstance(module, nn.BatchNorm1d)
    attributes = ("affine", "track_running_stats") if is_batch else ("elementwise_affine",)
    for name in attributes:
        if not getattr(module, name):
            raise ValueError(_checks.wrong(place, f"a {type(module).__name__} with {name}=True", module))
    if module.bias is None:
        raise ValueError(_checks.wrong(place, f"a {type(module).__name__} with a bias", module))
    if module.weight.ndim != 1:
        raise ValueError(_checks.wrong(place, "a LayerNorm of one dimension", module))
    if is_batch and module.momentum is None:
        raise ValueError(_checks.wrong(place, "a BatchNorm1d with a momentum", module))
    names = list(NORMS.items())[: 4 if is_batch else 2]
    arrays = {name: numbers_of(place, getattr(module, theirs)) for name, theirs in names}
    return (kinds.BatchNorm(module.eps, module.momentum) if is_batch else kinds.LayerNorm(module.eps)), arrays


def _add_dense(pile: Pile, place: str, module: Any) -> None:
    """Add a Linear layer, or fastbp's with its norm, activation and dropout."""
    arrays = {"weight": numbers_of(place, module.weight)}
    if module.bias is not None:
        arrays["bias"] = numbers_of(place, module.bias)
    layer = kinds.Dense(len(arrays["weight"]), "identity", use_bias=module.bias is not None)
    frozen = list(frozen_of(module))
    if type(module) is modules.Dense:
        alpha = module.alpha is not None
        name = "identity" if module.activation is None else activation_name(f"{place}.activation", module.activation)
        if alpha:
            arrays["alpha"] = numbers_of(place, module.alpha)
            frozen += frozen_of(module, ["alpha"])
        norm = None
        if module.norm is not None:
            found, parts = _norm(f"{place}.norm", module.norm)
            if found.epsilon != EPSILON or getattr(found, "momentum", MOMENTUM) != MOMENTUM:
                expected = f"a norm with eps={EPSILON} and momentum={MOMENTUM}"
                raise ValueError(_checks.wrong(f"{place}.norm", expected, module.norm))
            norm = "batch" if isinstance(found, kinds.BatchNorm) else "layer"
            arrays |= {f"norm.{key}": array for key, array in parts.items()}
            stopped = frozen_of(module.norm)
            frozen += [f"norm.{key}" for key, theirs in NORMS.items() if theirs in stopped]
        rate = 0.0 if module.dropout is None else module.dropout.p
        layer = replace(layer, activation=name, norm=norm, dropout=rate, parametric=alpha)
    pile.add(place, layer, arrays, frozen)
