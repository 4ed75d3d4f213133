"""Network: sizes, activations, and the one buffer in which all parameters live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._kernels import codes, epoch
from ._layout import ALIGNMENT, Layout, aligned_zeros
from .activations import ACTIVATIONS, hidden_activations

Array = npt.NDArray[Any]

DTYPES = (np.dtype("float32"), np.dtype("float64"))
BLOCK = 256  # rows that go through the workspace at once in a prediction


class Network:
    """A feed-forward network: a¹ = X, aˡ⁺¹ = f(aˡ Θˡᵀ + bˡ), for l = 1 … L − 1.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_1 … n_L, inputs and outputs included; L ≥ 2.
    activation : str or sequence of str
        The hidden layers' f: one name for all, or one for each of the L − 2.
    output_activation : str
        The output layer's f.
    use_bias : bool
        Whether there are bias weights bˡ; without them they are zero, and read-only.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range or of the wrong kind; the message names it.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        output_activation: str = "identity",
        use_bias: bool = True,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.layer_sizes = _layer_sizes(layer_sizes)
        n_hidden = len(self.layer_sizes) - 2
        _checks.one_of("output_activation", output_activation, ACTIVATIONS)
        self.activations = (*hidden_activations(activation, n_hidden), output_activation)
        self.use_bias = _checks.flag("use_bias", use_bias)
        self.dtype = _dtype(dtype)
        self._layout = Layout(self.layer_sizes, ALIGNMENT // self.dtype.itemsize)
        self._parameters = aligned_zeros(self._layout.size, self.dtype)
        self._buffers: codes.Buffers | None = None

    @property
    def weights(self) -> list[Array]:
        """[Θ¹, …]: views of shape (n_{l+1}, n_l); write into them to set the weights."""
        return self._layout.weight_views(self._parameters)

    @property
    def biases(self) -> list[Array]:
        """[b¹, …]: views of shape (n_{l+1},); zero and read-only without bias units."""
        views = self._layout.bias_views(self._parameters)
        for view in views:
            view.flags.writeable = self.use_bias
        return views

    @property
    def n_parameters(self) -> int:
        """How many weights there are, bias weights included if the network has them."""
        pairs = zip(self.layer_sizes, self.layer_sizes[1:], strict=False)
        return sum((n + self.use_bias) * n_next for n, n_next in pairs)

    def parameters(self) -> list[Array]:
        """[Θ¹, b¹, Θ², …] as writable views, bˡ only where there are bias units."""
        if not self.use_bias:
            return self.weights
        return [view for pair in zip(self.weights, self.biases, strict=True) for view in pair]

    def predict(self, X: Any) -> Array:
        """aᴸ for every row of X.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers

        Returns
        -------
        (n, n_L) of the network's dtype

        Raises
        ------
        ValueError, TypeError
            For an X of another shape, with NaN or infinity, or not of numbers.
        """
        X = _checks.matrix("X", X, self.layer_sizes[0], self.dtype)
        output = np.empty((len(X), self.layer_sizes[-1]), self.dtype)
        data = self.data(X)
        plan, buffers = self.plan(), self.buffers(min(len(X), BLOCK))
        for start in range(0, len(X), BLOCK):
            epoch.predict(plan, buffers, data, start, min(BLOCK, len(X) - start), output)
        return output

    def plan(self, loss: int = codes.SQUARED_ERROR) -> codes.Plan:
        """The network as kernels read it."""
        layout = self._layout
        return codes.Plan(
            sizes=np.array(layout.sizes),
            widths=np.array(layout.widths),
            columns=np.cumsum([0, *layout.widths]),
            weights=np.array(layout.weights),
            biases=np.array(layout.biases),
            activations=np.array([codes.IDENTITY, *(ACTIVATIONS[name].code for name in self.activations)]),
            loss=loss,
            use_bias=self.use_bias,
        )

    def buffers(self, rows: int) -> codes.Buffers:
        """Parameters, gradients and a workspace for blocks of so many rows; kept for the next call."""
        widths, n_out = self._layout.widths, self.layer_sizes[-1]
        kept = self._buffers
        if kept is None or kept.targets.size < rows * n_out:
            self._buffers = kept = codes.Buffers(
                parameters=self._parameters,
                gradients=aligned_zeros(self._layout.size, self.dtype),
                a=aligned_zeros(rows * sum(widths), self.dtype),
                delta=aligned_zeros(rows * sum(widths[1:]), self.dtype),
                targets=aligned_zeros(rows * n_out, self.dtype),
            )
        return kept

    def data(
        self, X: Array, targets: Array | None = None, labels: Array | None = None, *, shuffle: bool = False
    ) -> codes.Data:
        """Checked arrays as kernels take them."""
        if targets is None:
            targets = np.empty((0, self.layer_sizes[-1]), self.dtype)
        if labels is None:
            labels = np.empty(0, np.int64)
        return codes.Data(X, targets, labels, np.empty(len(X) if shuffle else 0, np.int64))

    def gradient_views(self) -> tuple[list[Array], list[Array]]:
        """Views of what the kernels accumulated: [∂J/∂Θ¹, …] and [∂J/∂b¹, …]."""
        gradients = self.buffers(1).gradients
        return self._layout.weight_views(gradients), self._layout.bias_views(gradients)

    def __repr__(self) -> str:
        return (
            f"Network({list(self.layer_sizes)}, activations={list(self.activations)}, use_bias={self.use_bias}, "
            f"dtype={self.dtype.name!r}): {self.n_parameters:,} parameters"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_buffers": None, "_parameters": self._layout.pack(self._parameters)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("_parameters")
        self.__dict__.update(state)
        # The other machine's vectors may be wider.
        self._layout = Layout(self.layer_sizes, ALIGNMENT // self.dtype.itemsize)
        self._parameters = aligned_zeros(self._layout.size, self.dtype)
        self._layout.unpack(packed, self._parameters)


def _layer_sizes(value: Any) -> tuple[int, ...]:
    expected = "two or more layer sizes, such as [64, 32, 10]"
    sizes = _checks.sequence("layer_sizes", value, expected)
    if len(sizes) < 2:
        raise ValueError(_checks.wrong("layer_sizes", expected, _checks.shown(sizes)))
    return tuple(_checks.whole(f"layer_sizes[{i}]", n, minimum=1) for i, n in enumerate(sizes))


def _dtype(value: Any) -> np.dtype[Any]:
    expected = "float32 or float64"
    try:
        dtype = np.dtype(value)
    except TypeError:
        raise ValueError(_checks.wrong("dtype", expected, _checks.shown(value))) from None
    if value is None or dtype not in DTYPES:
        raise ValueError(_checks.wrong("dtype", expected, _checks.shown(value)))
    return dtype
