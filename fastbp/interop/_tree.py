"""A network of layers in the form of other libraries: its layers with their parameters, to them and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from .. import layers as kinds
from .._scaling import Scaling
from ..trainer import Trainer
from ._layers import end_of

Array = np.ndarray[Any, np.dtype[Any]]

NAMES = {  # of layers in the names of parameters
    kinds.Dense: "dense",
    kinds.LayerNorm: "layer_norm",
    kinds.BatchNorm: "batch_norm",
    kinds.Activation: "activation",
    kinds.Dropout: "dropout",
    kinds.Scale: "scale",
    kinds.Residual: "residual",
}
ENCODINGS = {kinds.PBLD: "pbld", kinds.Periodic: "periodic", kinds.PiecewiseLinear: "piecewise"}


@dataclass
class Node:
    """A layer with its parameters.

    Attributes
    ----------
    name : as in the names of its parameters, such as "residual1.dense1"
    layer : of fastbp.layers
    arrays : views of its parameters by the rest of their names, such as "weight" or "norm.gamma"
    body : the layers inside of a residual block
    """

    name: str
    layer: Any
    arrays: dict[str, Array]
    body: list[Node] = field(default_factory=list)

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass
class Tree:
    """The layers of a network.

    Attributes
    ----------
    inputs : the columns of X
    embeddings : the table of each category
    encoding : the layer that encodes numbers, or None
    nodes : the other layers, the last of which has the activation that the other library shall compute
    scaling : of numbers and outputs, or None
    """

    inputs: Any
    embeddings: list[Array]
    encoding: Node | None
    nodes: list[Node]
    scaling: Scaling | None


def has_layers(trainer: Any) -> bool:
    """Return whether a trainer's network has layers of other types than dense ones."""
    return isinstance(trainer, Trainer) and bool(trainer.network.layers)


def frozen_names(trainer: Trainer) -> set[str]:
    """Return the names of the parameters that a trainer's ``frozen`` matches."""
    if not trainer.frozen:
        return set()
    from .._layered import is_match  # which few trainers need

    names = (each.name for each in cast(Any, trainer.network).plan.parameters if each.trained)
    return {name for name in names if any(is_match(name, pattern) for pattern in trainer.frozen)}


def tree_of(trainer: Trainer, output: str = "predict") -> Tree:
    """Return a trainer's layers, with views of its parameters. The arguments are as in `_layers.layers_of`."""
    end = end_of(trainer, output)
    inputs, *others = trainer.network.layers
    parameters = trainer.named_parameters()
    nodes = nodes_of(others, parameters)
    encoding = nodes.pop(0) if nodes and encoding_name(nodes[0].layer) else None
    embeddings = [parameters[f"embedding{i + 1}.weight"] for i in range(len(inputs.categories))]
    if isinstance(nodes[-1].layer, kinds.Dense):
        nodes[-1].layer = replace(nodes[-1].layer, activation=end)
    elif end != "identity":
        nodes.append(Node("output", kinds.Activation(end), {}))
    return Tree(inputs, embeddings, encoding, nodes, trainer._state.scaling_of_outputs)


def _taken(parameters: Mapping[str, Array], name: str) -> dict[str, Array]:
    """Return the parameters of a layer by the rest of their names."""
    return {key[len(name) + 1 :]: array for key, array in parameters.items() if key.startswith(f"{name}.")}


def encoding_name(layer: Any) -> str | None:
    """Return the name of a layer that encodes numbers, None for another one."""
    return ENCODINGS.get(type(layer))


def nodes_of(layers: Any, parameters: Mapping[str, Array], prefix: str = "") -> list[Node]:
    """Return layers in order with their names, which count the layers of each type in a list."""
    counts: Counter[str] = Counter()
    nodes = []
    for layer in layers:
        if alone := encoding_name(layer):
            nodes.append(Node(alone, layer, _taken(parameters, alone)))
            continue
        kind = NAMES[type(layer)]
        counts[kind] += 1
        name = f"{prefix}{kind}{counts[kind]}"
        if isinstance(layer, kinds.Residual):
            nodes.append(Node(name, layer, {}, nodes_of(layer.layers, parameters, f"{name}.")))
        else:
            nodes.append(Node(name, layer, _taken(parameters, name)))
    return nodes
