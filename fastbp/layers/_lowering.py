"""The operations of a network of layers: a list of layers becomes a `Plan`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .. import _checks
from .._engine.plan import Operation, Parameter, Plan, X
from .._kernels.graph import nodes
from ..activations import ACTIVATIONS, HIDDEN
from ._classes import (
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    Layer,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)

ARGUMENT = "layer_sizes"
NUMBERS = PBLD | Periodic | PiecewiseLinear


class First(NamedTuple):
    """The first values of a parameter."""

    kind: str  # "weight" or "bias" (by an initializer), "constant", "normal", "uniform", or "edges"
    size: float = 0.0  # the constant, the standard deviation, or half the width
    initializer: str | None = None  # of a weight and its bias; None is the trainer's
    activation: str = ""  # behind the weight
    is_last: bool = False  # whether the weight is the last one, in front of the output


class Lowered(NamedTuple):
    """A list of layers in the form that kernels take.

    Attributes
    ----------
    plan : the operations
    layers : the layers, with a name in place of each activation that was left to the trainer, and F of each block
    layer_sizes : the columns of X, then of what each layer makes of them
    activations : f of each hidden layer that has one, and of the outputs
    firsts : the first values of each parameter of the plan
    parts : for each layer, the number of columns that it gives, and where its parameters begin and end in the plan
    """

    plan: Plan
    layers: tuple[Layer, ...]
    layer_sizes: tuple[int, ...]
    activations: tuple[str, ...]
    firsts: tuple[First, ...]
    parts: tuple[tuple[int, int, int], ...]


def asked_output(layers: Sequence[Layer]) -> str | None:
    """Return the output activation that the last layer asks for, or None."""
    last = layers[-1]
    return last.activation if isinstance(last, Dense) else last.name if isinstance(last, Activation) else None


def lowered(layers: Sequence[Layer], activation: str, output: str, use_bias: bool) -> Lowered:
    """Return the operations of a list of layers.

    Parameters
    ----------
    layers : from `layers_of`
    activation : f of the hidden layers that don't say which
    output : f of the outputs
    use_bias : whether `Dense` layers have biases if they don't say that they have none

    Raises
    ------
    ValueError, TypeError
        If the layers don't fit together. The message names the layer.
    """
    _check_order(layers)
    lowering = _Lowering(activation, output, use_bias)
    first, *others = layers
    assert isinstance(first, Inputs)
    embeds = bool(others) and isinstance(others[0], NUMBERS)
    resolved = [lowering.inputs(first, others[0] if embeds else None), *others[:embeds]]  # type: ignore[arg-type]
    count = len(lowering.parameters)
    tables = count - len(first.categories)  # where the parameters of the embeddings of categories begin
    parts = [(first.n_columns, tables, count), (lowering.width, 0, tables)][: 1 + embeds]
    for i, layer in enumerate(others[embeds:], 1 + embeds):
        before = len(lowering.parameters)
        resolved.append(lowering.add(f"{ARGUMENT}[{i}]", layer, "", i + 1 == len(layers)))
        lowering.sizes.append(lowering.width)
        parts.append((lowering.width, before, len(lowering.parameters)))
    if not any(parameter.trained for parameter in lowering.parameters):
        raise ValueError(_checks.wrong(ARGUMENT, "layers with something to learn, such as Dense", "none"))
    plan = Plan(
        tuple(lowering.tensors), tuple(lowering.operations), tuple(lowering.parameters), ACTIVATIONS[output].code
    )
    activations = (*lowering.activations, output)
    return Lowered(plan, tuple(resolved), tuple(lowering.sizes), activations, tuple(lowering.firsts), tuple(parts))


def _check_order(layers: Sequence[Layer]) -> None:
    """Refuse a list whose layers can't stand where they stand."""
    if not isinstance(layers[0], Inputs):
        came = f"{layers[0]!r}"
        raise ValueError(_checks.wrong(f"{ARGUMENT}[0]", "the number of inputs, or Inputs(…)", came))
    if len(layers) < 2:
        raise ValueError(_checks.wrong(ARGUMENT, "Inputs and one or more layers after it", "Inputs alone"))
    last = layers[-1]
    spoiled = isinstance(last, Dropout) or (isinstance(last, Dense) and last.dropout > 0)
    if spoiled or (isinstance(last, Dense | Activation) and last.parametric):
        expected = "a last layer without dropout, whose activation has no parameters"
        raise ValueError(_checks.wrong(f"{ARGUMENT}[{len(layers) - 1}]", expected, f"{last!r}"))


class _Lowering:
    """The tensors, operations and parameters so far. `current` is the tensor that the next layer reads."""

    def __init__(self, activation: str, output: str, use_bias: bool) -> None:
        self.activation, self.output, self.use_bias = activation, output, use_bias
        self.tensors: list[int] = []
        self.operations: list[Operation] = []
        self.parameters: list[Parameter] = []
        self.firsts: list[First] = []
        self.sizes: list[int] = []
        self.activations: list[str] = []
        self.current = X
        self.number = 1  # of the latest layer that could drop units
        self.foreign = {X}  # tensors that no operation may change in place: their values are needed as they are
        self.counts = Counter[str]()

    @property
    def width(self) -> int:
        """Number of columns of the current tensor."""
        return self.tensors[self.current]

    def tensor(self, size: int) -> int:
        """Make a new tensor of so many columns, which becomes the current one. Return the one before."""
        before, self.current = self.current, len(self.tensors)
        self.tensors.append(size)
        return before

    def parameter(self, name: str, shape: tuple[int, ...], role: str, first: First, by_row: bool = False) -> int:
        """Add a parameter, and return its index."""
        self.parameters.append(Parameter(name, shape, role, by_row))
        self.firsts.append(first)
        return len(self.parameters) - 1

    def name(self, scope: str, kind: str) -> str:
        """Return the name of the next layer of a kind."""
        self.counts[scope + kind] += 1
        return f"{scope}{kind}{self.counts[scope + kind]}"

    def operation(self, op: int, source: int, parameters: tuple[int, ...] = (), **more: Any) -> None:
        """Add an operation that writes the current tensor."""
        self.operations.append(Operation(op, source, self.current, parameters, **more))

    def inputs(self, layer: Inputs, embedding: NUMBERS | None) -> Inputs:
        """Add what becomes of the columns of X: the numbers, embedded or not, and the embeddings of the categories."""
        self.tensors.append(layer.n_columns)
        self.sizes.append(layer.n_columns)
        if embedding is None and not layer.categories:
            return layer
        count = self._embedded(layer, embedding)
        per_number = 0 if embedding is None else _columns_of(embedding)
        rest = layer.numbers - count
        self.tensor(count * per_number + rest + sum(layer.dims))
        self.foreign.add(self.current)  # the derivative of some embeddings is computed from their values
        self.sizes.append(self.width)
        column = count * per_number
        if embedding is not None:
            op, parameters, inner = self._of_numbers(embedding, count)
            self.operation(op, X, parameters, n_read=count, inner=inner)
        if rest:
            self.operation(nodes.NUMBERS, X, first=count, column=column, n_read=rest)
        column += rest
        for i, (n, dim) in enumerate(zip(layer.categories, layer.dims, strict=True)):
            name = f"{self.name('', 'embedding')}.weight"
            table = self.parameter(name, (n, dim), "embedding", First("normal", 1.0), layer.sparse)
            self.operation(nodes.EMBED, X, (table,), first=layer.numbers + i, column=column, n_read=1)
            column += dim
        return replace(layer, embedding_dim=layer.dims) if layer.categories else layer

    def _embedded(self, layer: Inputs, embedding: NUMBERS | None) -> int:
        """Return how many numbers are embedded."""
        if embedding is None:
            return 0
        asked = embedding.n_numbers or layer.numbers
        if not 0 < asked <= layer.numbers:
            expected = f"a layer for at most the {layer.numbers} numbers of Inputs"
            raise ValueError(_checks.wrong(f"{ARGUMENT}[1]", expected, f"{embedding!r}"))
        return asked

    def _of_numbers(self, layer: NUMBERS, count: int) -> tuple[int, tuple[int, ...], int]:
        """Add the parameters of an embedding of numbers. Return its operation, their indices, and the size inside."""
        if isinstance(layer, PiecewiseLinear):
            edges = self.parameter("piecewise.edges", (count, layer.bins + 1), "statistic", First("edges"))
            return nodes.PIECEWISE, (edges,), layer.bins
        inner, kind = layer.n_frequencies, "pbld" if isinstance(layer, PBLD) else "periodic"
        parts: list[tuple[str, tuple[int, ...], First]] = [("frequency", (count, inner), First("normal", layer.sigma))]
        if isinstance(layer, PBLD):
            half = First("uniform", inner**-0.5)
            parts += [("phase", (count, inner), First("uniform", math.pi))]
            parts += [("weight", (count, layer.dim - 1, inner), half), ("bias", (count, layer.dim - 1), half)]
        indices = tuple(self.parameter(f"{kind}.{name}", shape, "frequency", first) for name, shape, first in parts)
        return nodes.PBLD if isinstance(layer, PBLD) else nodes.PERIODIC, indices, inner

    def add(self, argument: str, layer: Layer, scope: str, is_last: bool) -> Layer:
        """Add a layer, and return it with its activations named. argument: what messages call it."""
        adding: dict[type[Layer], Callable[[str, Any, str, bool], Layer]] = {
            Dense: self._dense,
            Residual: self._residual,
            Activation: self._activation,
            Dropout: self._dropout,
            Scale: self._scale,
            LayerNorm: self._norm,
            BatchNorm: self._norm,
        }
        if type(layer) not in adding:
            where = "at the start" if isinstance(layer, Inputs) else "directly after Inputs"
            raise ValueError(_checks.wrong(argument, f"{type(layer).__name__} {where}", f"{layer!r} here"))
        return adding[type(layer)](argument, layer, scope, is_last)

    def _dense(self, argument: str, layer: Dense, scope: str, is_last: bool) -> Layer:
        self.number += 1
        name, number = self.name(scope, "dense"), self.number
        activation = self.output if is_last else layer.activation or self.activation
        if not is_last:
            _check_hidden(argument, layer, activation, layer.parametric)
        first = First("weight", 0.0, layer.initializer, activation, is_last)
        weight = self.parameter(f"{name}.weight", (layer.units, self.width), "weight", first)
        has_bias = self.use_bias and layer.use_bias
        role, values = ("bias", First("bias")) if has_bias else ("statistic", First("constant", 0.0))
        bias = self.parameter(f"{name}.bias", (layer.units,), role, values)
        self.operation(nodes.AFFINE, self.tensor(layer.units), (weight, bias))
        if layer.norm is not None:
            self._normalize(f"{name}.norm", LayerNorm() if layer.norm == "layer" else BatchNorm())
        if not is_last:
            self._activate(name, activation, layer.parametric, layer.dropout, number)
        return replace(layer, activation=activation)

    def _activation(self, argument: str, layer: Activation, scope: str, is_last: bool) -> Layer:
        self.number += 1
        if not is_last:
            _check_hidden(argument, layer, layer.name, layer.parametric)
            self._activate(self.name(scope, "activation"), layer.name, layer.parametric, 0.0, self.number)
        return layer

    def _dropout(self, argument: str, layer: Dropout, scope: str, is_last: bool) -> Layer:
        self.number += 1
        last = self.operations[-1] if self.operations else None
        merges = last is not None and last.op == nodes.ACTIVATE and last.target == self.current and last.rate == 0
        if merges and last is not None and layer.rate > 0 and self.current not in self.foreign:
            self.operations[-1] = last._replace(rate=layer.rate, number=self.number)
        elif layer.rate > 0:
            self._activate("", "identity", False, layer.rate, self.number)
        return layer

    def _activate(self, name: str, activation: str, parametric: bool, rate: float, number: int) -> None:
        """Add an activation and a dropout, in place if no other operation needs the values."""
        if name:
            self.activations.append(activation)
        if activation == "identity" and rate == 0:
            return
        alpha: tuple[int, ...] = ()
        if parametric:
            alpha = (self.parameter(f"{name}.alpha", (self.width,), "alpha", First("constant", 1.0)),)
        if self.current in self.foreign:
            self.operation(nodes.COPY, self.tensor(self.width))
        code = ACTIVATIONS[activation].code
        self.operation(nodes.ACTIVATE, self.current, alpha, code=code, number=number, rate=rate)

    def _scale(self, argument: str, layer: Scale, scope: str, is_last: bool) -> Layer:
        name = self.name(scope, "scale")
        scale = self.parameter(f"{name}.scale", (self.width,), "scale", First("constant", 1.0))
        self.operation(nodes.SCALE, self.tensor(self.width), (scale,))
        return layer

    def _norm(self, argument: str, layer: LayerNorm | BatchNorm, scope: str, is_last: bool) -> Layer:
        kind = "layer_norm" if isinstance(layer, LayerNorm) else "batch_norm"
        self._normalize(self.name(scope, kind), layer)
        return layer

    def _normalize(self, name: str, layer: LayerNorm | BatchNorm) -> None:
        if self.current == X:  # norms read no rows of X itself
            self.operation(nodes.NUMBERS, self.tensor(self.width), n_read=self.width)
        shape, one, zero = (self.width,), First("constant", 1.0), First("constant", 0.0)
        indices = [self.parameter(f"{name}.{part}", shape, "norm", v) for part, v in (("gamma", one), ("beta", zero))]
        if isinstance(layer, LayerNorm):
            op, momentum = nodes.LAYER_NORM, 0.0
        else:
            op, momentum = nodes.BATCH_NORM, layer.momentum
            for part, first in (("mean", zero), ("variance", one)):
                indices.append(self.parameter(f"{name}.{part}", shape, "statistic", first))
        source = self.tensor(self.width)
        self.operation(op, source, tuple(indices), epsilon=layer.epsilon, momentum=momentum)

    def _residual(self, argument: str, layer: Residual, scope: str, is_last: bool) -> Layer:
        start, n = self.current, self.width
        inside = f"{self.name(scope, 'residual')}."
        layers = layer.layers
        if not isinstance(layers, tuple):
            widened = Dense(layers, activation=layer.activation, norm=layer.norm, dropout=layer.dropout)
            layers = (widened, Dense(n, activation="identity"))
        was_foreign = start in self.foreign
        self.foreign.add(start)  # the block adds it at its end
        resolved = tuple(self.add(f"{argument}.layers[{i}]", each, inside, False) for i, each in enumerate(layers))
        if not was_foreign:
            self.foreign.discard(start)
        if self.current == start:
            raise ValueError(_checks.wrong(argument, "a block that changes its inputs", f"{layer!r}"))
        if self.width != n:
            expected = f"a block with {n} outputs, as many as inputs"
            raise ValueError(_checks.wrong(argument, expected, f"one with {self.width}"))
        self.operation(nodes.ADD, start)
        return Residual(resolved)


def _columns_of(layer: NUMBERS) -> int:
    """Return how many columns stand for a number."""
    if isinstance(layer, PiecewiseLinear):
        return layer.bins
    return layer.dim if isinstance(layer, PBLD) else 2 * layer.n_frequencies


def _check_hidden(argument: str, layer: Layer, activation: str, parametric: bool) -> None:
    """Refuse what only the last layer may have, and an α that would have no effect."""
    if activation not in HIDDEN:
        expected = f"an activation other than {activation}, which only the last layer can have"
        raise ValueError(_checks.wrong(argument, expected, f"{layer!r}"))
    if parametric and activation == "identity":
        expected = "an activation other than the identity with parametric=True"
        raise ValueError(_checks.wrong(argument, expected, f"{layer!r}"))
