"""A network of layers as a keras.Sequential, and such a model as the layers of a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import keras
import numpy as np

from .. import _checks, layers as kinds
from . import _keras_layers as own
from ._pile import Pile
from ._tree import Node, Tree

OTHERS = (  # layers of a network of layers
    own.Inputs,
    own.PBLD,
    own.Periodic,
    own.PiecewiseLinear,
    own.Scale,
    own.Parametric,
    own.Residual,
    keras.layers.LayerNormalization,
    keras.layers.BatchNormalization,
)
BATCH_NORM = {"gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance"}  # Keras's names
Array = Callable[[str, Any], Any]  # a function of a place and a variable


def freeze(layer: Any, variables: Mapping[str, Any], frozen: Container[str]) -> None:
    """Make variables of a layer untrainable whose names in the Trainer are frozen, and the layer if all of them are."""
    found = [variable for name, variable in variables.items() if name in frozen]
    for variable in found:
        variable.trainable = False
    if found and len(found) == len(variables):
        layer.trainable = False  # a batch norm then uses its running statistics, as in fastbp


def model_of(tree: Tree, dtype: str, activations: Callable[[str], list[Any]], frozen: Container[str]) -> Any:
    """Return the model of a network, with copies of its parameters.

    Parameters
    ----------
    dtype : its data type
    activations : a function of fastbp's name that returns the Keras layers for it
    frozen : names of the parameters that aren't trainable
    """
    n_in = tree.inputs.numbers + len(tree.embeddings)
    model = keras.Sequential([keras.Input((n_in,), dtype=dtype)])
    builder = Builder(dtype, activations, frozen)
    scaling = tree.scaling
    if scaling is not None:
        n = tree.inputs.numbers
        mean, variance = np.zeros(n_in), np.ones(n_in)
        mean[:n], variance[:n] = scaling.mean[:n], scaling.deviation[:n] ** 2
        model.add(keras.layers.Normalization(mean=mean, variance=variance, dtype=dtype, name="scaling"))
    if tree.encoding is not None or tree.embeddings:
        builder.inputs(model, tree)
    for node in tree.nodes:
        builder.add(model, node, n_in)
    if scaling is not None and scaling.target_mean is not None and scaling.target_deviation is not None:
        mean, variance = scaling.target_mean, scaling.target_deviation**2
        model.add(keras.layers.Normalization(mean=mean, variance=variance, invert=True, dtype=dtype, name="outputs"))
    return model


class Builder:
    """Adds layers to a model, and gives them their parameters.

    Parameters
    ----------
    dtype, activations, frozen : as in `model_of`
    """

    def __init__(self, dtype: str, activations: Callable[[str], list[Any]], frozen: Container[str]) -> None:
        self.dtype, self.activations, self.frozen = dtype, activations, frozen

    def inputs(self, model: Any, tree: Tree) -> None:
        """Add the layer that encodes the columns of X."""
        encoding, n_encoded, values = None, 0, [*tree.embeddings]
        if tree.encoding is not None:
            layer, arrays = tree.encoding.layer, tree.encoding.arrays
            n_encoded = len(next(iter(arrays.values())))
            if isinstance(layer, kinds.PBLD):
                encoding = own.PBLD(dim=layer.dim, n_frequencies=layer.n_frequencies, dtype=self.dtype, name="pbld")
            elif isinstance(layer, kinds.Periodic):
                encoding = own.Periodic(n_frequencies=layer.n_frequencies, dtype=self.dtype, name="periodic")
            else:
                encoding = own.PiecewiseLinear(bins=layer.bins, dtype=self.dtype, name="piecewise")
        tables = [list(table.shape) for table in tree.embeddings]
        features = own.Inputs(
            numbers=tree.inputs.numbers,
            tables=tables,
            n_encoded=n_encoded,
            encoding=encoding,
            dtype=self.dtype,
            name="inputs",
        )
        model.add(features)
        for variable, value in zip(features.embeddings, values, strict=True):
            variable.assign(value)
        variables = {f"embedding{i}.weight": variable for i, variable in enumerate(features.embeddings, 1)}
        if encoding is not None and tree.encoding is not None:
            for name, array in tree.encoding.arrays.items():
                variable = getattr(encoding, "kernel" if name == "weight" else name)
                variable.assign(array)
                variables[f"{tree.encoding.name}.{name}"] = variable
        for name, variable in variables.items():
            if name in self.frozen:
                variable.trainable = False

    def add(self, model: Any, node: Node, n_in: int) -> None:
        """Add a layer of a network to a model with so many inputs."""
        layer, arrays, name = node.layer, node.arrays, node.short
        if isinstance(layer, kinds.Residual):
            width = model.output_shape[-1] if model.layers else n_in
            body = keras.Sequential([keras.Input((width,), dtype=self.dtype)], name=f"{name}_body")
            for inner in node.body:
                self.add(body, inner, width)
            model.add(own.Residual(body=body, dtype=self.dtype, name=name))
        elif isinstance(layer, kinds.Dense):
            self._dense(model, node)
        elif isinstance(layer, kinds.LayerNorm):
            self._norm(model, node.name, name, "layer", layer.epsilon, 0.0, arrays)
        elif isinstance(layer, kinds.BatchNorm):
            self._norm(model, node.name, name, "batch", layer.epsilon, layer.momentum, arrays)
        elif isinstance(layer, kinds.Scale):
            scale = own.Scale(dtype=self.dtype, name=name)
            model.add(scale)
            scale.scale.assign(arrays["scale"])
            freeze(scale, {f"{node.name}.scale": scale.scale}, self.frozen)
        elif isinstance(layer, kinds.Dropout):
            model.add(keras.layers.Dropout(layer.rate, dtype=self.dtype, name=name))
        else:
            self._activate(model, node.name, layer.name, arrays.get("alpha"))

    def _dense(self, model: Any, node: Node) -> None:
        """Add a dense layer, with its norm, activation and dropout as layers of their own."""
        layer, arrays = node.layer, node.arrays
        use_bias = "bias" in arrays
        dense = keras.layers.Dense(
            layer.units, use_bias=use_bias, kernel_initializer="zeros", dtype=self.dtype, name=node.short
        )
        model.add(dense)
        values = [arrays["weight"].T, arrays["bias"]] if use_bias else [arrays["weight"].T]
        dense.set_weights([np.ascontiguousarray(value) for value in values])
        variables = {"weight": dense.kernel} | ({"bias": dense.bias} if use_bias else {})
        freeze(dense, {f"{node.name}.{part}": variable for part, variable in variables.items()}, self.frozen)
        if layer.norm is not None:
            norm, default = {key[5:]: a for key, a in arrays.items() if key.startswith("norm.")}, kinds.BatchNorm()
            place, name = f"{node.name}.norm", f"{node.short}_norm"
            self._norm(model, place, name, layer.norm, default.epsilon, default.momentum, norm)
        self._activate(model, node.name, layer.activation or "identity", arrays.get("alpha"))
        if layer.dropout:
            model.add(keras.layers.Dropout(layer.dropout, dtype=self.dtype))

    def _norm(
        self, model: Any, place: str, name: str, kind: str, epsilon: float, momentum: float, arrays: dict[str, Any]
    ) -> None:
        """Add a layer norm or a batch norm with a name, whose parameters have names that begin with place."""
        options = {"epsilon": epsilon, "dtype": self.dtype, "name": name}
        if kind == "layer":
            norm = keras.layers.LayerNormalization(**options)
        else:
            norm = keras.layers.BatchNormalization(momentum=1 - momentum, **options)
        model.add(norm)
        norm.set_weights([np.ascontiguousarray(arrays[part]) for part in BATCH_NORM if part in arrays])
        freeze(norm, {f"{place}.gamma": norm.gamma, f"{place}.beta": norm.beta}, self.frozen)

    def _activate(self, model: Any, place: str, name: str, alpha: Any) -> None:
        """Add an activation, with α if there is one, whose name begins with place."""
        for layer in self.activations(name):
            if alpha is None:
                model.add(layer)
                continue
            parametric = own.Parametric(function=layer, dtype=self.dtype)
            model.add(parametric)
            parametric.alpha.assign(alpha)
            freeze(parametric, {f"{place}.alpha": parametric.alpha}, self.frozen)


def add_other(
    pile: Pile, place: str, layer: Any, array_of: Array, name_of: Callable[[str, Any], str], flat: Any
) -> None:
    """Add a layer of OTHERS to the layers of a Trainer.

    Parameters
    ----------
    array_of : a function of a place and a variable that returns an array
    name_of : a function of a place and an activation layer that returns fastbp's name
    flat : a function of a pile, a place and a Keras layer that adds it
    """
    if isinstance(layer, own.Inputs):
        pile.numbers = layer.numbers
        for variable in layer.embeddings:
            pile.table(place, array_of(place, variable), variable.trainable)
        if layer.encoding is not None:
            _add(pile, place, _encoding(layer, array_of), layer.encoding, array_of)
    elif isinstance(layer, own.Residual):
        body = Pile("model")
        flat(body, f"{place}.body", layer.body)
        pile.add(place, kinds.Residual(tuple(item.layer for item in body.items)), {}, body=body.items)
    elif isinstance(layer, keras.layers.LayerNormalization | keras.layers.BatchNormalization):
        _add(pile, place, _norm(place, layer), layer, array_of)
    elif isinstance(layer, own.Scale):
        _add(pile, place, kinds.Scale(), layer, array_of)
    elif isinstance(layer, own.Parametric):
        _add(pile, place, kinds.Activation(name_of(f"{place}.function", layer.function), True), layer, array_of)
    else:
        raise ValueError(_checks.wrong(place, "this layer only inside of fastbp's layer Inputs", type(layer).__name__))


def _encoding(layer: Any, array_of: Array) -> Any:
    """Return fastbp's layer that encodes numbers."""
    encoding, n = layer.encoding, layer.n_encoded
    if isinstance(encoding, own.PBLD):
        return kinds.PBLD(encoding.dim, encoding.n_frequencies, n_numbers=n)
    if isinstance(encoding, own.Periodic):
        return kinds.Periodic(encoding.n_frequencies, n_numbers=n)
    return kinds.PiecewiseLinear(encoding.bins, array_of("edges", encoding.edges), n_numbers=n)


def _add(pile: Pile, place: str, layer: Any, theirs: Any, array_of: Array) -> None:
    """Add a layer with the parameters of Keras's."""
    names = {
        own.PBLD: {"frequency": "frequency", "phase": "phase", "weight": "kernel", "bias": "bias"},
        own.Periodic: {"frequency": "frequency"},
        own.PiecewiseLinear: {"edges": "edges"},
        own.Scale: {"scale": "scale"},
        own.Parametric: {"alpha": "alpha"},
        keras.layers.LayerNormalization: {"gamma": "gamma", "beta": "beta"},
        keras.layers.BatchNormalization: BATCH_NORM,
    }[type(theirs)]
    variables = {name: getattr(theirs, attribute) for name, attribute in names.items()}
    statistics = ("edges", "mean", "variance")
    frozen = [name for name, variable in variables.items() if name not in statistics and not variable.trainable]
    pile.add(place, layer, {name: array_of(place, variable) for name, variable in variables.items()}, frozen)


def _norm(place: str, layer: Any) -> Any:
    """Return fastbp's norm for Keras's."""
    axis = layer.axis if isinstance(layer.axis, int) else list(layer.axis)
    is_batch = isinstance(layer, keras.layers.BatchNormalization)
    if axis not in (-1, 1, [-1], [1]) or not (layer.center and layer.scale):
        kind, came = type(layer).__name__, f"axis={axis}, center={layer.center}, scale={layer.scale}"
        raise ValueError(_checks.wrong(place, f"a {kind} of axis −1 with center=True and scale=True", came))
    if not is_batch and getattr(layer, "rms_scaling", False):
        raise ValueError(_checks.wrong(place, "a LayerNormalization with rms_scaling=False", "True"))
    if not is_batch:
        return kinds.LayerNorm(layer.epsilon)
    return kinds.BatchNorm(layer.epsilon, round(1 - layer.momentum, 12))
