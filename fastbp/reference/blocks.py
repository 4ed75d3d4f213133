"""Layers as records. A network is a list of them, and a dict of parameters by name.

Names are such as "dense1.weight" or "residual2.dense1.norm.gamma". A layer of a kind has a number, from 1, among the
layers of this kind in its list. X has the numbers in its first columns, then a column with the number of the category
for each embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from . import layers as of

Array = npt.NDArray[Any]
Parameters = Mapping[str, Array]
Gradients = dict[str, Array]
Back = Callable[[Array], tuple[Array, Gradients]]
Shapes = dict[str, tuple[int, ...]]


@dataclass
class Pass:
    """How a forward pass computes.

    training : whether batch norms use the statistics of the batch
    moves : whether the running statistics are updated
    mask : the dropout mask, given (rate, number of the layer, m, n), or None without dropout
    frozen : names of parameters that are not trained; a batch norm with frozen γ and β uses the running statistics
    number : that of the next layer in the hash of dropout. Dense, Activation and Dropout layers have one, from 2 on.
    """

    training: bool = False
    moves: bool = False
    mask: Callable[[float, int, int, int], Array] | None = None
    frozen: Collection[str] = ()
    number: int = 2

    def next_number(self) -> int:
        """Return the number of a layer."""
        self.number += 1
        return self.number - 1


class Layer:
    """A layer. `forward` takes the parameters of the whole network, and the prefix of the layer's own names."""

    kind: ClassVar[str]

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of the parameters by their own names, and the number of outputs, for n inputs."""
        return {}, n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return y, and a function that takes ∂J/∂y and returns ∂J/∂x and the gradients by full names."""
        raise NotImplementedError


def _named(result: tuple[Array, of.Back], prefix: str, *names: str) -> tuple[Array, Back]:
    """Return the result of an operation, whose gradients get names."""
    y, back = result

    def named(g: Array) -> tuple[Array, Gradients]:
        g, gradients = back(g)
        return g, {prefix + name: gradient for name, gradient in zip(names, gradients, strict=True)}

    return y, named


def _chain(x: Array, steps: Sequence[Callable[[Array], tuple[Array, Back]]]) -> tuple[Array, Back]:
    """Return the result of one operation after the other."""
    backs = []
    for step in steps:
        x, back = step(x)
        backs.append(back)

    def all_back(g: Array) -> tuple[Array, Gradients]:
        gradients: Gradients = {}
        for back in reversed(backs):
            g, some = back(g)
            gradients |= some
        return g, gradients

    return x, all_back


@dataclass(frozen=True)
class Inputs(Layer):
    """The columns of X: the numbers, encoded by a layer of their own or not, then a row of a table for each category.

    categories and dimensions are the number of rows and of columns of each table. encoding is Encoding or None. With
    sparse, an update of a table changes only rows that the batch has.
    """

    numbers: int
    categories: tuple[int, ...] = ()
    dimensions: tuple[int, ...] = ()
    encoding: Encoding | None = None
    sparse: bool = False
    kind = ""

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of the encoding's parameters and of the tables."""
        shapes, width = self.encoding.shapes(self.numbers) if self.encoding else ({}, self.numbers)
        tables = list(zip(self.categories, self.dimensions, strict=True))
        shapes |= {f"embedding{i}.weight": table for i, table in enumerate(tables, start=1)}
        return shapes, width + sum(self.dimensions)

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return the columns side by side."""
        numbers = x[:, : self.numbers]
        parts = [self.encoding.forward(numbers, p, prefix, how) if self.encoding else (numbers, lambda g: (g, {}))]
        for i in range(len(self.categories)):
            name = f"{prefix}embedding{i + 1}.weight"
            parts.append(_named(of.embedding(x[:, self.numbers + i], p[name]), name, ""))

        def back(g: Array) -> tuple[Array, Gradients]:
            ends = np.cumsum([y.shape[1] for y, _ in parts])[:-1]
            backs = [part(columns) for (_, part), columns in zip(parts, np.split(g, ends, axis=1), strict=True)]
            gradients = {name: gradient for _, some in backs for name, gradient in some.items()}
            return np.column_stack([dx for dx, _ in backs]), gradients

        return np.concatenate([y for y, _ in parts], axis=1), back


@dataclass(frozen=True)
class Encoding(Layer):
    """A layer for the numbers of Inputs: name is "pbld", "periodic" or "piecewise".

    inner is the number of frequencies or bins, and k the number of outputs of PBLD for each number beside the number.
    It encodes the first `count` numbers, or all. The others stand behind.
    """

    name: str
    inner: int
    k: int = 3
    count: int | None = None
    kind = ""

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes that `layers` has."""
        q, k, all_numbers = self.inner, self.k, n
        n = n if self.count is None else self.count
        if self.name == "pbld":
            shapes: Shapes = {"frequency": (n, q), "phase": (n, q), "weight": (n, k, q), "bias": (n, k)}
            width = n * (1 + k)
        elif self.name == "periodic":
            shapes, width = {"frequency": (n, q)}, 2 * n * q
        else:
            shapes, width = {"edges": (n, q + 1)}, n * q
        return {f"{self.name}.{name}": shape for name, shape in shapes.items()}, width + all_numbers - n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return the columns of each number, side by side."""
        prefix = f"{prefix}{self.name}."
        names = {"pbld": ("frequency", "phase", "weight", "bias"), "periodic": ("frequency",), "piecewise": ("edges",)}
        arrays = [p[prefix + name] for name in names[self.name]]
        operation: Callable[..., tuple[Array, of.Back]] = getattr(of, self.name)
        trained = names[self.name] if self.name != "piecewise" else ()
        encoded = x[:, : self.count]
        rest = x[:, encoded.shape[1] :]
        y, back = _named(operation(encoded, *arrays), prefix, *trained)

        def with_rest(g: Array) -> tuple[Array, Gradients]:
            dx, gradients = back(g[:, : y.shape[1]])
            return np.concatenate([dx, g[:, y.shape[1] :]], axis=1), gradients

        return np.concatenate([y, rest], axis=1), with_rest


@dataclass(frozen=True)
class Scale(Layer):
    """A learned factor for each column."""

    kind = "scale"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shape of the factors."""
        return {"scale": (n,)}, n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return s ⊙ x."""
        return _named(of.scale(x, p[prefix + "scale"]), prefix, "scale")


@dataclass(frozen=True)
class LayerNorm(Layer):
    """The norm over the units of a sample."""

    epsilon: float = 1e-5
    kind = "layer_norm"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of γ and β."""
        return {"gamma": (n,), "beta": (n,)}, n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return the norm."""
        result = of.layer_norm(x, p[prefix + "gamma"], p[prefix + "beta"], self.epsilon)
        return _named(result, prefix, "gamma", "beta")


@dataclass(frozen=True)
class BatchNorm(Layer):
    """The norm over the samples of a batch; running statistics in prediction, and for a single sample."""

    epsilon: float = 1e-5
    momentum: float = 0.1
    kind = "batch_norm"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of γ and β and of the running statistics."""
        return dict.fromkeys(("gamma", "beta", "mean", "variance"), (n,)), n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return the norm."""
        gamma, beta, mean, variance = (p[prefix + name] for name in ("gamma", "beta", "mean", "variance"))
        is_frozen = {prefix + "gamma", prefix + "beta"} <= set(how.frozen)
        if how.training and len(x) > 1 and not is_frozen:
            result = of.batch_norm(x, gamma, beta, self.epsilon)
            if how.moves:
                of.move_statistics(mean, variance, x, self.momentum)
        else:
            result = of.running_norm(x, gamma, beta, mean.copy(), variance.copy(), self.epsilon)
        return _named(result, prefix, "gamma", "beta")


@dataclass(frozen=True)
class Dropout(Layer):
    """Set units to 0 in training, and multiply the others by 1/(1 − rate) (Srivastava et al., 2014)."""

    rate: float
    kind = "dropout"

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return x ⊙ mask."""
        return _drop(x, self.rate, how.next_number(), how)


def _drop(x: Array, rate: float, number: int, how: Pass) -> tuple[Array, Back]:
    """Return x ⊙ mask."""
    if how.mask is None or not rate:
        return x, lambda g: (g, {})
    mask = how.mask(rate, number, *x.shape)
    return x * mask, lambda g: (g * mask, {})


@dataclass(frozen=True)
class Activation(Layer):
    """An activation, with a parameter α for each unit if it is parametric."""

    name: str
    parametric: bool = False
    kind = "activation"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shape of α."""
        return {"alpha": (n,)} if self.parametric else {}, n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return f(x), or x + α ⊙ (f(x) − x)."""
        how.next_number()
        return _activate(x, self.name, p, prefix, self.parametric)


def _activate(x: Array, name: str, p: Parameters, prefix: str, parametric: bool) -> tuple[Array, Back]:
    """Return f(x), or x + α ⊙ (f(x) − x)."""
    alpha = p[prefix + "alpha"] if parametric else None
    return _named(of.activate(x, name, alpha), prefix, *(["alpha"] if parametric else []))


@dataclass(frozen=True)
class Dense(Layer):
    """An affine layer, then its norm, its activation and its dropout. norm is LayerNorm(), BatchNorm() or None."""

    n_out: int
    activation: str = "identity"
    norm: Layer | None = None
    dropout: float = 0.0
    parametric: bool = False
    use_bias: bool = True
    kind = "dense"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of Θ, b, the norm and α."""
        norm = self.norm.shapes(self.n_out)[0] if self.norm else {}
        shapes: Shapes = {"weight": (self.n_out, n)} | ({"bias": (self.n_out,)} if self.use_bias else {})
        shapes |= {f"norm.{name}": shape for name, shape in norm.items()}
        return shapes | ({"alpha": (self.n_out,)} if self.parametric else {}), self.n_out

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return the four operations' result."""
        weight, norm, number = p[prefix + "weight"], self.norm, how.next_number()
        bias = p[prefix + "bias"] if self.use_bias else None
        names = ("weight", "bias") if self.use_bias else ("weight",)
        steps: list[Callable[[Array], tuple[Array, Back]]] = [
            lambda x: _named(of.affine(x, weight, bias), prefix, *names)
        ]
        if norm is not None:
            steps.append(lambda x: norm.forward(x, p, prefix + "norm.", how))
        steps.append(lambda x: _activate(x, self.activation, p, prefix, self.parametric))
        steps.append(lambda x: _drop(x, self.dropout, number, how))
        return _chain(x, steps)


@dataclass(frozen=True)
class Residual(Layer):
    """y = x + F(x), where F is a list of layers (He, Zhang, Ren and Sun, 2015, arXiv 1512.03385)."""

    layers: tuple[Layer, ...]
    kind = "residual"

    def shapes(self, n: int) -> tuple[Shapes, int]:
        """Return the shapes of the inner layers."""
        shapes, n_out = shapes_of(self.layers, n)
        if n_out != n:
            raise ValueError(f"Residual: F has {n_out} outputs for {n} inputs")
        return shapes, n

    def forward(self, x: Array, p: Parameters, prefix: str, how: Pass) -> tuple[Array, Back]:
        """Return x + F(x)."""
        y, back = forward(self.layers, p, x, how, prefix)

        def with_x(g: Array) -> tuple[Array, Gradients]:
            dx, gradients = back(g)
            return g + dx, gradients

        return x + y, with_x


def named(layers: Sequence[Layer]) -> Iterator[tuple[str, Layer]]:
    """Return each layer with the prefix of its names, such as "dense2."."""
    counts: Counter[str] = Counter()
    for layer in layers:
        counts[layer.kind] += 1
        yield f"{layer.kind}{counts[layer.kind]}." if layer.kind else "", layer


def shapes_of(layers: Sequence[Layer], n: int = 0) -> tuple[Shapes, int]:
    """Return the shapes of all parameters by their names, and the number of outputs, for n inputs."""
    shapes: Shapes = {}
    for prefix, layer in named(layers):
        some, n = layer.shapes(n)
        shapes |= {prefix + name: shape for name, shape in some.items()}
    return shapes, n


def forward(
    layers: Sequence[Layer], p: Parameters, X: Array, how: Pass | None = None, prefix: str = ""
) -> tuple[Array, Back]:
    """Return the output of the last layer, and the function that takes ∂J/∂output back to X and the parameters."""
    how = how or Pass()

    def step_of(layer: Layer, prefix: str) -> Callable[[Array], tuple[Array, Back]]:
        return lambda x: layer.forward(x, p, prefix, how)

    return _chain(X, [step_of(layer, prefix + name) for name, layer in named(layers)])
