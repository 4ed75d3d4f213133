"""Network: layer sizes, activations, and one buffer with all parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._engine.engine import Engine
from ._engine.layout import Layout, aligned_zeros
from ._kernels import codes
from .activations import ACTIVATIONS, hidden_activations
from .initializers import half_widths, initialize
from .results import Summary, aligned

Array = npt.NDArray[Any]

MAX_LAYERS = 10_000  # each layer takes a few hundred bytes of Python objects, whatever its size
DTYPES = (np.dtype("float32"), np.dtype("float64"))


class Network:
    """Feed-forward network: a¹ = X, aˡ⁺¹ = f(aˡ Θˡᵀ + bˡ) for l = 1 … L − 1.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of units n_1 … n_L, including inputs and outputs; 2 ≤ L ≤ 10,000.
    activation : str or sequence of str
        Activation f of the hidden layers: one name for all, or one for each of the L − 2 layers.
    output_activation : str
        Activation f of the output layer.
    use_bias : bool
        Whether the bias weights bˡ are trained. Otherwise they stay zero.
    dtype : {"float32", "float64"}
        Data type of parameters and computation.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of range. The message names it.
    MemoryError
        If the parameters don't fit into memory. Nothing is allocated.
    """

    layers: tuple[Any, ...] = ()  # those of a network that has more than Θˡ, bˡ and activations; see `_layered`
    categories: tuple[int, ...] = ()  # how many categories each of the last columns of X has, if these are categories
    settled: int | None = None  # a digest of the parameters at the end of the last training, if they are an average
    has_batch_norm = False  # whether a layer needs all rows of a batch at once
    wants_edges = False  # whether training rows are to decide the edges of bins

    def __init__(
        self,
        layer_sizes: Iterable[int],
        *,
        activation: str | Sequence[str] = "tanh",
        output_activation: str = "identity",
        use_bias: bool = True,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.layer_sizes = _layer_sizes(layer_sizes)
        n_hidden = len(self.layer_sizes) - 2
        _checks.one_of("output_activation", output_activation, ACTIVATIONS)
        self.activations = (*hidden_activations(activation, n_hidden), output_activation)
        self.use_bias = _checks.flag("use_bias", use_bias)
        self.dtype = dtype_of(dtype)
        self._allocate()

    @property
    def weights(self) -> list[Array]:
        """[Θ¹, …]: views of shape (n_{l+1}, n_l). Write to them to set the weights."""
        return Views(self._layout.weight_views(self._parameters))

    @property
    def biases(self) -> list[Array]:
        """[b¹, …]: views of shape (n_{l+1},). Without bias units they are zero and not trained."""
        return Views(self._layout.bias_views(self._parameters))

    def set_activations(self, activations: tuple[str, ...]) -> None:
        """Change the activations of the layers 2 … L, but not the weights."""
        self.activations = activations
        vars(self).pop("_predictor", None)

    @property
    def learns(self) -> list[bool]:
        """Whether each Θˡ is trained."""
        return [True] * len(self.weights)

    def initialize(self, initializer: Any, epsilon: float | str, rng: np.random.Generator) -> None:
        """Give the parameters their first values; see `initializers.initialize` and `initializers.half_widths`."""
        epsilons = half_widths(epsilon, self.layer_sizes, self.activations)
        initialize(initializer, self.weights, self.biases if self.use_bias else [], epsilons, rng)

    @property
    def n_parameters(self) -> int:
        """Number of weights, including bias weights if the network has bias units."""
        return self._n_parameters

    def parameters(self) -> list[Array]:
        """Return writable views [Θ¹, b¹, Θ², …]. They include bˡ only if the network has bias units."""
        if not self.use_bias:
            return self.weights
        return [view for pair in zip(self.weights, self.biases, strict=True) for view in pair]

    def named_parameters(self) -> dict[str, Array]:
        """Return writable views of the parameters by name: "dense1.weight" is Θ¹, "dense1.bias" is b¹."""
        weights, biases = self.weights, self.biases
        named: dict[str, Array] = {}
        for l, theta in enumerate(weights):
            named[f"dense{l + 1}.weight"] = theta
            if self.use_bias:
                named[f"dense{l + 1}.bias"] = biases[l]
        return named

    def get_weights(self) -> list[Array]:
        """Return copies of [Θ¹, b¹, Θ², …]; bˡ only if the network has bias units."""
        return [view.copy() for view in self.parameters()]

    def copied(self, buffer: Array) -> list[Array]:
        """Return copies as `get_weights` does, of the parameters in another buffer."""
        weights, biases = self._layout.weight_views(buffer), self._layout.bias_views(buffer)
        pairs = zip(weights, biases, strict=True)
        views = [view for pair in pairs for view in pair] if self.use_bias else weights
        return [view.copy() for view in views]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights to those that `get_weights` returned, or to others of the same shapes."""
        views = self.parameters()
        arrays = own_arrays("weights", views, weights)
        for array, view in zip(arrays, views, strict=True):
            view[...] = array

    def packed(self) -> Array:
        """Return a copy of all parameters as a vector, (n,): Θ¹ row by row, b¹, Θ², …; bˡ also without bias units."""
        return self._layout.pack(self._parameters)

    def unpack(self, packed: Array) -> None:
        """Set all parameters from the vector that `packed` returned."""
        self._layout.unpack(packed, self._parameters)

    def packed_raw(self) -> Array:
        """Return a copy of the parameters that training changes. (0,) if they are the public parameters themselves."""
        return self._parameters[:0]

    def restore(self, packed_raw: Array, settled: int | None) -> None:
        """Set the parameters that training changes, and `settled`, from those of another network."""

    @property
    def n_numbers(self) -> int:
        """Number of columns of X that are numbers, the first ones. The others are categories."""
        return self.layer_sizes[0]

    @property
    def trained(self) -> Array:
        """The buffer that training changes."""
        return self._parameters

    def set_ways(self, ways: Any) -> None:
        """Change how the parameters of a network of layers are trained."""

    def begin(self, steps: int) -> None:
        """Prepare for a training that starts after this number of updates."""

    def end(self) -> None:
        """Remember the parameters at the end of a training."""

    def learn_edges(self, X: Array) -> None:
        """Set the edges of bins, if there are any, to quantiles of training rows, (n, n_1)."""

    def check_inputs(self, argument: str, X: Array) -> None:
        """Refuse an X whose last columns aren't valid categories."""

    def set_parameters(self, buffer: Array) -> None:
        """Set all parameters from another buffer."""
        self._parameters[:] = buffer

    def predict(self, X: Any, *, n_threads: int | str = "auto") -> Array:
        """Return aᴸ for every row of X.

        Several threads may call this at the same time, but not while a thread trains the network.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers
        n_threads : int or "auto"
            Number of threads that share the rows. The result doesn't depend on it.

        Returns
        -------
        (n, n_L) of the network's dtype

        Raises
        ------
        ValueError, TypeError
            If X has another shape, contains NaN or infinity, or isn't numeric.
        """
        n_threads = _checks.thread_count(n_threads)
        return self.predict_with(self._predictor, X, n_threads)

    def predict_with(self, engine: Engine, X: Any, n_threads: int | str) -> Array:
        """Check X, and return aᴸ from an engine of this network."""
        n_in = self.layer_sizes[0]
        output = None
        if _checks.is_ready(X, n_in, self.dtype):
            output = engine.predict(X, n_threads)
        if output is None:
            output = engine.predict(_checks.matrix("X", X, n_in, self.dtype), n_threads)
        assert output is not None  # X is finite here
        return output

    def summary(self, remark: str) -> Summary:
        """Return a table with one line for each layer and one for the totals."""
        rows = [("layer", "units", "activation", "weights", "parameters")]
        rows.append(("1 (input)", str(self.layer_sizes[0]), "", "", ""))
        for l, theta in enumerate(self.weights):
            count = theta.size + self.use_bias * len(theta)
            name = f"{l + 2} (output)" if l + 2 == len(self.layer_sizes) else str(l + 2)
            shape = f"{theta.shape[0]} × {theta.shape[1]}{' + bias' if self.use_bias else ''}"
            rows.append((name, str(len(theta)), self.activations[l], shape, f"{count:,}"))
        lines = aligned(rows)
        lines.insert(1, "─" * max(map(len, lines)))
        size = self.n_parameters * self.dtype.itemsize
        lines.append(f"{self.n_parameters:,} parameters, {size:,} bytes of {self.dtype.name}; {remark}")
        return Summary("\n".join(lines))

    def engine(self, objective: codes.Objective, dropout: tuple[float, ...] = ()) -> Engine:
        """Return the kernels for this network, a loss, and the dropout rates of the hidden layers."""
        activations = tuple(ACTIVATIONS[name].code for name in self.activations)
        return Engine(self._layout, self._parameters, activations, objective, self.use_bias, dropout)

    @cached_property
    def _predictor(self) -> Engine:
        return self.engine(codes.Objective(codes.SQUARED_ERROR))

    def described(self) -> str:
        """Return the list that `Trainer` takes, as text."""
        return str(list(self.layer_sizes))

    def __repr__(self) -> str:
        return (
            f"Network({self.described()}, activations={list(self.activations)}, use_bias={self.use_bias}, "
            f"dtype={self.dtype.name!r}): {self.n_parameters:,} parameters"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {"_parameters": self.packed()}
        del state["_layout"]  # another machine may have wider vectors
        state.pop("_predictor", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("_parameters")
        self.__dict__.update(state)
        self._allocate()
        self.unpack(packed)

    def _allocate(self) -> None:
        self._layout = Layout(self.layer_sizes, self.dtype.itemsize)
        _checks.fits("layer_sizes", "a network", self._layout.size * self.dtype.itemsize)
        self._parameters = aligned_zeros(self._layout.size, self.dtype)
        self._n_parameters = self._layout.n_weights + self.use_bias * sum(self.layer_sizes[1:])


class Views(list[Array]):
    """List of views of the parameters. ``views[l] = value`` writes to the view, like ``views[l][...] = value``."""

    def __setitem__(self, l: Any, value: Any) -> None:
        self[l][...] = value


def own_arrays(argument: str, views: Sequence[Array], given: Any) -> list[Array]:
    """Return arrays of finite numbers with the views' shapes. An array that shares the views' memory is copied.

    Raises
    ------
    ValueError, TypeError
        If the arrays don't fit. Nothing is written.
    """
    expected = f"{len(views)} arrays"
    items = _checks.sequence(argument, given, f"{expected}, with the shapes that get_weights or coefs_ returns")
    if len(items) != len(views):
        raise ValueError(_checks.wrong(argument, expected, len(items)))
    arrays = [_checks.numbers(f"{argument}[{i}]", item) for i, item in enumerate(items)]
    for i, (array, view) in enumerate(zip(arrays, views, strict=True)):
        if array.shape != view.shape:
            raise ValueError(_checks.wrong(f"{argument}[{i}]", f"shape {view.shape}", array.shape))
        _checks.finite_in(f"{argument}[{i}]", array, view.dtype)
        if any(np.may_share_memory(array, other) for other in views):
            arrays[i] = array.copy()
    return arrays


def _layer_sizes(value: Any) -> tuple[int, ...]:
    expected = "two or more layer sizes, such as [64, 32, 10]"
    sizes = _checks.sequence("layer_sizes", value, expected)
    if len(sizes) < 2:
        raise ValueError(_checks.wrong("layer_sizes", expected, _checks.shown(sizes)))
    if len(sizes) > MAX_LAYERS:
        raise ValueError(_checks.wrong("layer_sizes", f"no more than {MAX_LAYERS:,} layers", f"{len(sizes):,}"))
    return tuple(_checks.whole(f"layer_sizes[{i}]", n, minimum=1) for i, n in enumerate(sizes))


def dtype_of(value: Any) -> np.dtype[Any]:
    """Return float32 or float64, given one of them or its name."""
    expected = "float32 or float64"
    try:
        dtype = np.dtype(value)
    except TypeError:
        raise ValueError(_checks.wrong("dtype", expected, _checks.shown(value))) from None
    if value is None or dtype not in DTYPES:
        raise ValueError(_checks.wrong("dtype", expected, _checks.shown(value)))
    return dtype
