"""What an explanation holds: the values of each layer, the derivative of each weight, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._symbols import Symbol
from . import _chains

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class LayerValues:
    """The quantities of layer l for m samples.

    Attributes
    ----------
    l : number of the layer, from 1
    activation : name of f; None for the inputs
    a : (m, n_l)
    z, delta : (m, n_l), or None for the inputs
    slopes : (m, n_l), f′(z); None for the inputs, and for softmax, which doesn't act unit by unit
    """

    l: int
    activation: str | None
    a: Array
    z: Array | None = None
    delta: Array | None = None
    slopes: Array | None = None


@dataclass(frozen=True)
class Derivative:
    """∂J/∂θ of one weight as the sum over its paths, and the weight after one update by plain gradient descent.

    Attributes
    ----------
    l, j, k : int
        The weight goes from unit k of layer l (0: the bias unit) to unit j of layer l + 1.
    theta : float
        The weight.
    paths : tuple
        The paths, each with its ``factors`` and their ``product``.
    reference, kernel : float
        ∂J/∂θ as computed by fastbp.reference and by the trainer's kernels.
    updated : float
        θ − η ∂J/∂θ.
    """

    l: int
    j: int
    k: int
    theta: float
    paths: tuple[_chains.WeightPath, ...] = field(repr=False)
    reference: float
    kernel: float
    updated: float

    @property
    def symbol(self) -> Symbol:
        """The symbol of the weight, θˡ_jk or bˡ_j."""
        return _chains.parameter(self.l, self.j, self.k)

    @property
    def sum(self) -> float:
        """Sum of the products of all paths."""
        return _chains.total(self.paths)

    def text(self) -> str:
        """Return the chains as text, with the numbers under the symbols."""
        return _chains.text(self.symbol, self.paths)

    def latex(self) -> str:
        """Return the chains as a LaTeX aligned environment."""
        return _chains.aligned(_chains.latex_lines(self.symbol, self.paths))

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True, eq=False)
class Quantities:
    """The fields of an `Explanation`, whose docstring describes them; text, HTML and tables are made from these."""

    J: float
    layers: tuple[LayerValues, ...] = field(repr=False)
    gradients: tuple[Derivative, ...] = field(repr=False)
    weight_gradients: list[Array] = field(repr=False)
    bias_gradients: list[Array] = field(repr=False)
    loss: str
    learning_rate: float
    view: str
    n_paths: int
    n_derivatives: int
    reference_difference: float
    kernel_difference: float
    remarks: tuple[str, ...]
    pictured: tuple[Derivative, ...] = field(default=(), repr=False)
    shown_units: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_1 … n_L."""
        return tuple(layer.a.shape[1] for layer in self.layers)

    def names_of(self, layer: LayerValues) -> tuple[str, ...]:
        """Return the names of the layer's units, if they have some."""
        return self.input_names if layer is self.layers[0] else self.output_names if layer is self.layers[-1] else ()
