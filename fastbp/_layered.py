"""GraphNetwork: a network of layers, or a plain network with options that only the kernels of such networks have."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from . import _checks
from ._engine.engine import Engine
from ._engine.graph_engine import GraphEngine, GraphOptions
from ._engine.graph_layout import GraphLayout
from ._engine.layout import aligned_zeros
from ._engine.plan import Parameter, Plan, of_sizes
from ._kernels import codes
from ._kernels.graph import nodes
from .activations import ACTIVATIONS, HIDDEN
from .layers import Inputs, Layer, PiecewiseLinear
from .layers._classes import has_layers, layers_of
from .layers._lowering import lowered
from .layers._values import edges_of, fill, unknown_edges
from .network import Network, Views, dtype_of
from .results import Gradients, Summary, aligned

Array = npt.NDArray[Any]


class Ways(NamedTuple):
    """How the parameters of a network are trained, in its own numbers.

    Attributes
    ----------
    groups : patterns of names, each with factors of the learning rate and of the weight decay, or None for the default
    frozen : patterns of names of parameters that don't change
    ema : decay of the moving average of the parameters, or 0 without one
    drops_last : whether an epoch leaves out a last batch that is short
    """

    groups: tuple[tuple[str, float, float | None], ...] = ()
    frozen: tuple[str, ...] = ()
    ema: float = 0.0
    drops_last: bool = False


AS_USUAL = Ways()


class GraphNetwork(Network):
    """Network whose operations are a `Plan`.

    Parameters
    ----------
    layer_sizes : sequence of int and `layers.Layer`
        Either integers only, a plain network, or a list with layers.
    activation : str or sequence of str
        As in `Network`. If there are layers, one name, for those that don't say which.
    output_activation : str
        Activation f of the outputs.
    use_bias : bool
        Whether `Dense` layers have biases.
    dtype : {"float32", "float64"}
        Data type of parameters and computation.
    ways : how the parameters are trained

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of range, or if layers don't fit together. The message names it.
    MemoryError
        If the parameters don't fit into memory. Nothing is allocated.
    """

    plan: Plan
    layers: tuple[Layer, ...]  # with all activations named; () for a plain network

    def __init__(
        self,
        layer_sizes: Sequence[Any],
        *,
        activation: Any = "tanh",
        output_activation: str = "identity",
        use_bias: bool = True,
        dtype: npt.DTypeLike = "float32",
        ways: Ways = AS_USUAL,
    ) -> None:
        self.ways, self.layers = ways, ()
        if has_layers(layer_sizes):
            use_bias = _checks.flag("use_bias", use_bias)
            self.activation = _one_activation(activation)
            made = lowered(layers_of("layer_sizes", layer_sizes), self.activation, output_activation, use_bias)
            self.plan, self.layers, self._firsts, self._parts = made.plan, made.layers, made.firsts, made.parts
            self.layer_sizes, self.activations, self.use_bias = made.layer_sizes, made.activations, use_bias
            self.dtype = dtype_of(dtype)
            self._check_categories()
            self._allocate()
        else:
            super().__init__(
                layer_sizes,
                activation=activation,
                output_activation=output_activation,
                use_bias=use_bias,
                dtype=dtype,
            )

    def _check_categories(self) -> None:
        """Refuse more categories than the dtype of X has whole numbers."""
        most = 2 ** (np.finfo(self.dtype).nmant + 1)
        if max(self.categories, default=0) > most:
            expected = (
                f"at most {most:,} categories, because {self.dtype.name} can't represent all larger whole numbers"
            )
            raise ValueError(_checks.wrong("categories", expected, f"{max(self.categories):,}"))

    def _allocate(self) -> None:
        if not self.layers:
            self.plan = self._plain_plan(())
        self._layout = cast(Any, GraphLayout(self.plan, self.dtype.itemsize))
        size, copies = self._layout.size, 2 if self.ways.ema > 0 else 1
        _checks.fits("layer_sizes", "a network", copies * size * self.dtype.itemsize)
        self._trained = aligned_zeros(copies * size, self.dtype)
        self._parameters = self._trained[-size:]  # the moving average, if there is one
        self._n_parameters = sum(_count(parameter) for parameter in self.plan.parameters if parameter.trained)
        self._factors = factors(self.plan.parameters, self.ways)

    def _plain_plan(self, dropout: tuple[float, ...]) -> Plan:
        listed = tuple(ACTIVATIONS[name].code for name in self.activations)
        return of_sizes(self.layer_sizes, listed, dropout, self.use_bias)

    @property
    def trained(self) -> Array:
        """The buffer that training changes: the parameters, and the moving average if there is one behind them."""
        return self._trained

    @property
    def inputs(self) -> Inputs:
        """The first layer, which says what the columns of X are."""
        return cast(Inputs, self.layers[0]) if self.layers else Inputs(self.layer_sizes[0])

    @property
    def categories(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.inputs.categories

    @property
    def n_numbers(self) -> int:
        return self.inputs.numbers

    @property
    def has_batch_norm(self) -> bool:  # type: ignore[override]
        """Whether a layer needs all rows of a batch at once."""
        return cast(bool, cast(Any, self._layout).whole_batch)

    @property
    def wants_edges(self) -> bool:  # type: ignore[override]
        """Whether training rows are to decide the edges of bins, which are still those of a new network."""
        if not any(isinstance(layer, PiecewiseLinear) and layer.edges is None for layer in self.layers[1:2]):
            return False
        edges = self.named_parameters()["piecewise.edges"]
        return bool((edges == unknown_edges(edges)).all())

    def learn_edges(self, X: Array) -> None:
        """Set the edges of bins to quantiles of training rows, (n, n_1)."""
        edges = self.named_parameters()["piecewise.edges"]
        edges[...] = edges_of(X[:, : len(edges)], edges.shape[1] - 1, edges.dtype)
        self._follow()

    def named_parameters(self) -> dict[str, Array]:
        return self._named(self._parameters)

    def _named(self, buffer: Array) -> dict[str, Array]:
        views = cast(Any, self._layout).views(buffer)
        return {name: views[name] for name in self._names}

    @property
    def _names(self) -> list[str]:
        """Names of the parameters and statistics, but not of biases that aren't trained."""
        return [each.name for each in self.plan.parameters if each.trained or not each.name.endswith(".bias")]

    def parameters(self) -> list[Array]:
        return Views(self.named_parameters().values())

    def copied(self, buffer: Array) -> list[Array]:
        return [view.copy() for view in self._named(buffer).values()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        super().set_weights(weights)
        self._follow()

    def unpack(self, packed: Array) -> None:
        super().unpack(packed)
        self._follow()

    def set_parameters(self, buffer: Array) -> None:
        super().set_parameters(buffer)
        self._follow()

    def packed_raw(self) -> Array:
        return self._layout.pack(self._trained[: self._layout.size]) if self.ways.ema > 0 else self._trained[:0]

    def restore(self, packed_raw: Array, settled: int | None) -> None:
        if packed_raw.size:
            self._layout.unpack(packed_raw, self._trained[: self._layout.size])
        self.settled = self._digest() if settled is None else settled

    def set_ways(self, ways: Ways) -> None:
        """Change the groups and the frozen parameters, but neither the average nor the batches."""
        self._factors = factors(self.plan.parameters, ways)
        self.ways = self.ways._replace(groups=ways.groups, frozen=ways.frozen)

    def begin(self, steps: int) -> None:
        if self.ways.ema > 0 and (steps == 0 or self.settled not in (None, self._digest())):
            self._follow()  # nothing is trained yet, or somebody has changed the average since
        self.settled = None

    def end(self) -> None:
        self.settled = self._digest()

    def _digest(self) -> int | None:
        """Return a digest of the average, which shows at the next training whether the user has changed it."""
        return zlib.crc32(self.packed().data) if self.ways.ema > 0 else None

    def _follow(self) -> None:
        """Give training the public parameters to start from."""
        if self.ways.ema > 0:
            self._trained[: self._layout.size] = self._parameters

    def initialize(self, initializer: Any, epsilon: float | str, rng: np.random.Generator) -> None:
        if self.layers:
            views = list(cast(Any, self._layout).views(self._parameters).values())
            fill(self._firsts, views, initializer, epsilon, rng)
            self._set_edges()
        else:
            super().initialize(initializer, epsilon, rng)
        self._follow()

    def _set_edges(self) -> None:
        """Write the edges that a layer was given."""
        for layer in self.layers[1:2]:
            if isinstance(layer, PiecewiseLinear) and layer.edges is not None:
                view = self.named_parameters()["piecewise.edges"]
                edges = np.atleast_2d(np.array(layer.edges)).astype(self.dtype)
                if len(edges) not in (1, len(view)):
                    expected = f"one row, or one for each of the {len(view)} numbers"
                    raise ValueError(_checks.wrong("edges", expected, f"{len(edges)} rows"))
                if (np.diff(edges) <= 0).any():
                    raise ValueError(_checks.wrong("edges", f"edges that increase as {self.dtype}", "some that don't"))
                view[...] = edges

    def check_inputs(self, argument: str, X: Array) -> None:
        """Refuse categories that aren't whole numbers 0 … n − 1."""
        for column, n in enumerate(self.categories, self.n_numbers):
            found = X[:, column]
            good = (found >= 0) & (found < n) & (found == np.floor(found))
            if not good.all():
                expected = f"whole numbers 0 … {n - 1} in column {column}, which has {n} categories"
                row = int(good.argmin())
                raise ValueError(_checks.wrong(argument, expected, f"{found[row]:g} in row {row}"))

    def predict_with(self, engine: Engine, X: Any, n_threads: int | str) -> Array:
        if self.categories:
            X = _checks.matrix("X", X, self.layer_sizes[0], self.dtype)
            self.check_inputs("X", X)
        return super().predict_with(engine, X, n_threads)

    @property
    def learns(self) -> list[bool]:
        affine = [operation.parameters[0] for operation in self.plan.operations if operation.op == nodes.AFFINE]
        return [bool(self._factors[i, 0] > 0) for i in affine]

    def gradients_with(self, engine: Engine, data: codes.Data) -> Gradients:
        """Return J and its gradients over all samples."""
        loss, named = cast(Any, engine).named_gradients(data)
        affine = [operation.parameters for operation in self.plan.operations if operation.op == nodes.AFFINE]
        weights, biases = [], []
        for theta, b in affine:
            weight, bias = (self.plan.parameters[i] for i in (theta, b))
            weights.append(named[weight.name])
            biases.append(named.get(bias.name, np.zeros(bias.shape, self.dtype)))
        return Gradients(weights, biases, loss, named)

    def engine(self, objective: codes.Objective, dropout: tuple[float, ...] = ()) -> Engine:
        """Return the kernels for this network, a loss, and the dropout rates of the hidden layers of a plain one."""
        layout, ways = cast(Any, self._layout), self.ways
        if not self.layers:
            layout = GraphLayout(self._plain_plan(dropout), self.dtype.itemsize)
        average = self._parameters if ways.ema > 0 else None
        options = GraphOptions(factors=self._factors, ema=ways.ema, average=average, drops_last=ways.drops_last)
        return cast(Engine, GraphEngine(layout, self._trained[: layout.size], objective, options))

    def summary(self, remark: str) -> Summary:
        if not self.layers:
            return super().summary(remark)
        rows = [("layer", "units", "parameter", "shape", "numbers")]
        shown = set(self._names)
        for layer, (width, start, stop) in zip(self.layers, self._parts, strict=True):
            own = [each for each in self.plan.parameters[start:stop] if each.name in shown]
            cells = [(each.name, " × ".join(map(str, each.shape)), f"{_count(each):,}") for each in own]
            told = [(repr(layer), str(width))] + [("", "")] * max(0, len(cells) - 1)
            rows += [(*a, *b) for a, b in zip(told, cells or [("", "", "")], strict=True)]
        lines = aligned(rows)
        lines.insert(1, "─" * max(map(len, lines)))
        size = self.n_parameters * self.dtype.itemsize
        lines.append(f"{self.n_parameters:,} parameters, {size:,} bytes of {self.dtype.name}; {remark}")
        return Summary("\n".join(lines))

    def described(self) -> str:
        return f"[{', '.join(map(repr, self.layers))}]" if self.layers else super().described()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__() | {"_raw": self.packed_raw()}
        for name in ("_trained", "_factors"):
            state.pop(name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        raw, settled = state.pop("_raw"), state.pop("settled", None)
        super().__setstate__(state)
        self.restore(raw, settled)


def factors(parameters: Sequence[Parameter], ways: Ways) -> Array:
    """Return the factors of the learning rate and of the weight decay, (parameters, 2). Of patterns, the last counts.

    Raises
    ------
    ValueError
        If a pattern matches no parameter.
    """
    plain = np.array([(1.0, each.decayed) for each in parameters])
    table = plain.copy()
    for pattern, of_rate, of_decay in ways.groups:
        for i in matches("parameter_groups", pattern, parameters):
            table[i] = of_rate, plain[i, 1] if of_decay is None else of_decay
    for pattern in ways.frozen:
        table[matches("frozen", pattern, parameters), 0] = 0.0
    return table


def matches(argument: str, pattern: str, parameters: Sequence[Parameter]) -> list[int]:
    """Return the indices of the parameters whose name, or the name of whose layer, a pattern matches."""
    names = [each.name for each in parameters if each.trained]
    found = [i for i, each in enumerate(parameters) if each.trained and is_match(each.name, pattern)]
    if not found:
        expected = f"a pattern that matches some of {', '.join(names)}"
        raise ValueError(_checks.wrong(argument, expected, _checks.shown(pattern)))
    return found


def is_match(name: str, pattern: str) -> bool:
    """Return whether a pattern matches the name of a parameter, or the name of its layer."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _one_activation(value: Any) -> str:
    """Return the activation of layers that name none."""
    if _checks.is_sequence(value):
        names = set(value)
        if len(names) > 1:
            expected = "one name, which all layers without an activation of their own use"
            raise ValueError(_checks.wrong("activation", expected, f"{len(names)} names"))
        value = names.pop() if names else "tanh"
    return _checks.one_of("activation", value, HIDDEN)


def _count(parameter: Parameter) -> int:
    """Return how many numbers a parameter has."""
    return int(np.prod(parameter.shape))
