"""Trainers for the reference's networks of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastbp import Trainer, layers
from fastbp.reference import blocks
from fastbp.reference.blocks import Layer
from fastbp.reference.networks import Network


def trainer_of(network: Network, p: Mapping[str, np.ndarray], dtype: str = "float64", **options: Any) -> Trainer:
    """Return a trainer of the same network, with the same parameters."""
    options = {"loss": network.loss, "output_activation": network.output, "shuffle": False, "seed": 0} | options
    trainer = Trainer(as_layers(network), dtype=dtype, **options)
    copy_to(trainer, p)
    return trainer


def copy_to(trainer: Trainer, p: Mapping[str, np.ndarray]) -> None:
    """Give a trainer other parameters and statistics."""
    named = trainer.named_parameters()
    assert named.keys() == p.keys()
    for name, view in named.items():
        assert view.shape == p[name].shape, name
        view[...] = p[name]


def as_layers(network: Network) -> list[layers.Layer]:
    """Return the list that Trainer takes."""
    first, *others, last = network.layers
    listed = [layers.Inputs(first.numbers, first.categories, first.dimensions or None, first.sparse)]
    if first.encoding is not None:
        listed.append(_encoding(first.encoding))
    return [*listed, *map(as_layer, others), as_layer(last, is_last=True)]


def _encoding(encoding: blocks.Encoding) -> layers.Layer:
    count = encoding.count
    if encoding.name == "pbld":
        return layers.PBLD(encoding.k + 1, encoding.inner, n_numbers=count)
    if encoding.name == "periodic":
        return layers.Periodic(encoding.inner, n_numbers=count)
    return layers.PiecewiseLinear(encoding.inner, np.linspace(-1, 1, encoding.inner + 1), n_numbers=count)


def as_layer(layer: Layer, is_last: bool = False) -> layers.Layer:
    """Return a layer of fastbp. The last one has the trainer's output activation."""
    if isinstance(layer, blocks.Dense):
        norm = {type(None): None, blocks.LayerNorm: "layer", blocks.BatchNorm: "batch"}[type(layer.norm)]
        activation = None if is_last else layer.activation
        return layers.Dense(layer.n_out, activation, norm, layer.dropout, layer.parametric, layer.use_bias)
    if isinstance(layer, blocks.Residual):
        return layers.Residual([as_layer(inner) for inner in layer.layers])
    if isinstance(layer, blocks.Activation):
        return layers.Activation(layer.name, layer.parametric)
    if isinstance(layer, blocks.Dropout):
        return layers.Dropout(layer.rate)
    if isinstance(layer, blocks.LayerNorm):
        return layers.LayerNorm(layer.epsilon)
    if isinstance(layer, blocks.BatchNorm):
        return layers.BatchNorm(layer.epsilon, layer.momentum)
    assert isinstance(layer, blocks.Scale)
    return layers.Scale()
