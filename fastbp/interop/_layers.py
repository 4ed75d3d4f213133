"""A network in the form of other libraries: dense layers, each with an activation and a dropout."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..trainer import Trainer

Array = npt.NDArray[Any]

OUTPUTS = ("predict", "logits", "log_softmax")
SCALABLE = ("identity", "relu", "leaky_relu")  # f(s z) = s f(z) for s ≥ 0: dropout may come before or after f


@dataclass
class DenseLayer:
    """A dense layer, the activation and dropout after it, and its place in messages.

    Attributes
    ----------
    place : its place in the model, such as "module[2]"
    weight : (n_out, n_in)
    bias : (n_out,), or None
    activation : fastbp's name, or "log_softmax"
    rate : rate of the dropout after it
    frozen : "weight" and "bias", if the other library doesn't train them
    """

    place: str
    weight: Array
    bias: Array | None
    activation: str = "identity"
    rate: float = 0.0
    frozen: tuple[str, ...] = ()


class Stack:
    """The layers of another library's model, which are added in order and become a Trainer.

    Parameters
    ----------
    argument : the name of the whole model in messages
    options : the caller's keyword arguments for Trainer
    """

    def __init__(self, argument: str, options: dict[str, Any]) -> None:
        refuse_options(argument, options)
        self._argument, self._options = argument, options
        self._layers: list[DenseLayer] = []

    def dense(self, place: str, weight: Array, bias: Array | None, frozen: tuple[str, ...] = ()) -> None:
        """Add a layer of shape (n_out, n_in), of which the other library doesn't train the frozen parameters."""
        if self._layers:
            above = self._layers[-1]
            if weight.shape[1] != len(above.weight):
                expected = f"{len(above.weight)} inputs, because {above.place} has {len(above.weight)} outputs"
                raise ValueError(_checks.wrong(place, expected, weight.shape[1]))
            if above.activation == "softmax":
                raise ValueError(_checks.wrong(place, "nothing after a softmax, which must be last", "another layer"))
        _checks.finite(f"{place}'s weights", weight)
        if bias is not None:
            _checks.finite(f"{place}'s biases", bias)
        self._layers.append(DenseLayer(place, weight, bias, frozen=frozen))

    def activation(self, place: str, name: str) -> None:
        """Set the activation of the layer before it."""
        if name == "identity":
            return
        layer = self._layer_before(place, name)
        if layer.activation != "identity":
            expected = f"no second activation after {layer.place}, which has {layer.activation}"
            raise ValueError(_checks.wrong(place, expected, name))
        if layer.rate and name not in SCALABLE:
            raise ValueError(_checks.wrong(place, "the activation before the dropout", f"{name} after it"))
        layer.activation = name

    def dropout(self, place: str, rate: float) -> None:
        """Set the dropout after the last layer, unless the caller has passed the rates."""
        if rate == 0 or "dropout" in self._options:
            return
        layer = self._layer_before(place, "a dropout")
        if layer.rate:
            raise ValueError(_checks.wrong(place, f"one dropout after {layer.place}", "a second one"))
        layer.rate = rate

    def trainer(self) -> Trainer:
        """Create the Trainer."""
        layers, options = self._layers, dict(self._options)
        if not layers:
            raise ValueError(_checks.wrong(self._argument, "at least one dense layer", "none"))
        last = layers[-1]
        if last.rate:
            expected = "a dropout after hidden layers only; dropout=0 leaves all of them out"
            raise ValueError(_checks.wrong(last.place, expected, "one after the output layer"))
        if last.activation != "identity":
            if options.get("output_activation", "auto") not in ("auto", last.activation):
                expected = f"{last.activation!r}, as in {self._argument}"
                raise ValueError(_checks.wrong("output_activation", expected, repr(options["output_activation"])))
            options["output_activation"] = last.activation
        biases = self._biases(options)
        options.setdefault("dtype", np.result_type(*(layer.weight for layer in layers)))
        options.setdefault("dropout", [layer.rate for layer in layers[:-1]])
        frozen = [f"dense{i}.{name}" for i, layer in enumerate(layers, 1) for name in layer.frozen]
        if frozen:
            options.setdefault("frozen", frozen)
        return Trainer(
            [layers[0].weight.shape[1], *(len(layer.weight) for layer in layers)],
            activation=[layer.activation for layer in layers[:-1]],
            initializer=([layer.weight for layer in layers], biases),
            **options,
        )

    def _layer_before(self, place: str, what: str) -> DenseLayer:
        if not self._layers:
            raise ValueError(_checks.wrong(place, f"a dense layer before {what}", "none"))
        return self._layers[-1]

    def _biases(self, options: dict[str, Any]) -> list[Array]:
        """Return the biases that use_bias asks for, and set use_bias."""
        without = [layer.place for layer in self._layers if layer.bias is None]
        some = len(without) < len(self._layers)
        if "use_bias" not in options:
            if some and without:
                expected = "biases in all layers or in none; use_bias=True adds biases of 0"
                raise ValueError(_checks.wrong(self._argument, expected, f"none in {', '.join(without)}"))
            options["use_bias"] = some
        if not _checks.flag("use_bias", options["use_bias"]):
            if some:
                raise ValueError(_checks.wrong("use_bias", f"True, because {self._argument} has biases", "False"))
            return []
        zeros = (np.zeros(len(layer.weight), layer.weight.dtype) for layer in self._layers)
        return [zero if layer.bias is None else layer.bias for layer, zero in zip(self._layers, zeros, strict=True)]


def refuse_options(argument: str, options: dict[str, Any]) -> None:
    """Refuse arguments of Trainer that the model determines."""
    for name in ("layer_sizes", "activation", "initializer"):
        if name in options:
            expected = f"nothing, because {argument} determines it"
            raise ValueError(_checks.wrong(name, expected, _checks.shown(options[name])))


def end_of(trainer: Trainer, output: str) -> str:
    """Check the arguments of a conversion, and return the name of what the last layer computes of z."""
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
    loss = trainer._state.loss
    if loss.needs_graph and output == "predict":
        expected = (
            f"'logits' with loss={loss.name!r}, whose predictions are computed from several outputs of the network"
        )
        raise ValueError(_checks.wrong("output", expected, repr(output)))
    ends = {"predict": trainer.output_activation, "logits": "identity", "log_softmax": "log_softmax"}
    end = ends[_checks.one_of("output", output, OUTPUTS)]
    if end == "log_softmax" and trainer.output_activation != "softmax":
        expected = f"'predict' or 'logits', because the output activation is {trainer.output_activation!r}"
        raise ValueError(_checks.wrong("output", expected, repr(output)))
    return end


def layers_of(trainer: Trainer, output: str = "predict", known: Collection[str] | None = None) -> list[DenseLayer]:
    """Return a trainer's layers, with views of its weights, or with copies that contain its scaling.

    Parameters
    ----------
    output : what the last layer returns: the values of predict ("predict"), z ("logits"), or a softmax's logarithm
    known : the activations that the other library has; None if it doesn't matter

    Raises
    ------
    ValueError
        If a layer has another activation.
    """
    end = end_of(trainer, output)
    for name in (*trainer.activation, end):
        if known is not None and name not in known:
            raise ValueError(_checks.wrong("trainer", f"activations among {', '.join(sorted(known))}", repr(name)))
    weights: list[Array] = trainer.weights
    biases: list[Any] = trainer.biases if trainer.use_bias else [None] * len(weights)
    if trainer.scaling is not None:  # the scaling becomes part of the first and the last layer
        parts = trainer._state.folded()
        weights, biases = ([array.astype(trainer.dtype) for array in arrays] for arrays in parts)
    return [
        DenseLayer(f"layers.{i}", weight, bias, activation, rate)
        for i, (weight, bias, activation, rate) in enumerate(
            zip(weights, biases, (*trainer.activation, end), (*trainer.dropout, 0.0), strict=True)
        )
    ]
