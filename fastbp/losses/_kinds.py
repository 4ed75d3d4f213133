"""Losses that are sums over outputs, and their base class: names, codes and default output activations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._checks import fraction, real, sequence, shown, wrong
from .._kernels import codes

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Loss:
    """Base class of losses. A loss has a name, a formula for one sample, and a default output activation.

    J is the mean over the samples of a batch, weighted if there are sample weights. Losses of outputs are summed.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    formula: ClassVar[str]
    output: ClassVar[str] = "identity"  # the output activation that "auto" selects
    any_output: ClassVar[bool] = True  # whether other output activations are allowed
    threshold: ClassVar[float | None] = None  # a single output above it is class 1; None: as the activation
    low: ClassVar[float] = -math.inf  # the smallest valid target
    high: ClassVar[float] = math.inf  # the largest valid target
    needs_graph: ClassVar[bool] = False  # whether only the kernels for networks of layers have it

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        """Return the loss in the form that the kernels take."""
        return codes.Objective(self.code)

    @property
    def of_targets(self) -> Loss:
        """The loss that accepts the same targets, with one output for each of them."""
        return self

    def target_columns(self, n_outputs: int) -> int:
        """Return the number of columns of y."""
        return n_outputs

    @property
    def predicts_targets(self) -> bool:
        """Whether predictions have the columns of y, so that metrics can compare them."""
        return True

    def answer(self, outputs: Array) -> Array:
        """Return what `Trainer.predict` returns, given aᴸ, (n, n_L), in the units of y."""
        return outputs

    def answer_activation(self, output: str) -> str:
        """Return the activation that the answers come from, given that of the output layer."""
        return output

    def units(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Return by what aᴸ is multiplied and what is then added, (n_L,) each, if y is standardized."""
        return deviation, mean

    def std(self, outputs: Array) -> Array:
        """Return what `Trainer.predict_std` returns, given aᴸ, (n, n_L), in the units of y."""
        expected = "gaussian_nll, negative_binomial or Members for a standard deviation"
        raise ValueError(wrong("loss", expected, repr(self.name)))

    def interval(self, outputs: Array, coverage: float) -> Array:
        """Return what `Trainer.predict_interval` returns, given aᴸ, (n, n_L), in the units of y."""
        expected = "quantile, gaussian_nll, negative_binomial, or Members of one of them, for an interval"
        raise ValueError(wrong("loss", expected, repr(self.name)))

    def members(self, outputs: Array) -> Array:
        """Return what `Trainer.predict_members` returns, given aᴸ, (n, n_L), in the units of y."""
        raise ValueError(wrong("loss", "Members, which has several predictions", repr(self.name)))


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error: ½ Σ (y − aᴸ)² over the outputs."""

    name, code, formula = "squared_error", codes.SQUARED_ERROR, "½ Σ (y − aᴸ)²"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error: Σ |y − aᴸ| over the outputs."""

    name, code, formula = "absolute_error", codes.ABSOLUTE_ERROR, "Σ |y − aᴸ|"


@dataclass(frozen=True)
class Huber(Loss):
    """Huber loss (Huber, 1964): ½ e² where |e| ≤ delta, otherwise delta (|e| − ½ delta), with e = aᴸ − y.

    The formula is that of PyTorch's HuberLoss.

    Parameters
    ----------
    delta : float
        Size of the error above which the loss is linear instead of quadratic.
    """

    name, code, formula = "huber", codes.HUBER, "Σ ½ e², delta (|e| − ½ delta) beyond delta"

    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", real("delta", self.delta, above=0, dtype=np.dtype("float64")))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        return codes.Objective(self.code, (real("delta", self.delta, above=0, dtype=dtype),))


@dataclass(frozen=True)
class Quantile(Loss):
    """Quantile loss (Koenker and Bassett, 1978): q (y − aᴸ) where y > aᴸ, otherwise (1 − q) (aᴸ − y).

    The mean loss is smallest where aᴸ is the q-quantile of y. The loss is also known as pinball loss.

    Parameters
    ----------
    quantiles : float or sequence of float, each in (0, 1)
        One quantile for all outputs, or one for each output. One network can thus predict several quantiles of one
        target; y may then have the shape (n,).
    """

    name, code, formula = "quantile", codes.QUANTILE, "Σ max(q (y − aᴸ), (1 − q) (aᴸ − y))"

    quantiles: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        value: Any = self.quantiles
        values = [value] if np.ndim(value) == 0 else value
        values = sequence("quantiles", values, "numbers in (0, 1)")
        checked = tuple(real("quantiles", q, above=0, dtype=np.dtype("float64")) for q in values)
        if not checked or max(checked) >= 1:
            raise ValueError(wrong("quantiles", "numbers in (0, 1)", shown(value)))
        object.__setattr__(self, "quantiles", checked)

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        if len(self.quantiles) not in (1, n_outputs):
            expected = f"{len(self.quantiles)} outputs, one for each quantile"
            raise ValueError(wrong("layer_sizes", expected, n_outputs))
        if any(not 0 < dtype.type(q) < 1 for q in self.quantiles):
            expected = f"numbers that are in (0, 1) after conversion to {dtype}"
            raise ValueError(wrong("quantiles", expected, shown(self.quantiles)))
        return codes.Objective(self.code, self.quantiles)

    def interval(self, outputs: Array, coverage: float) -> Array:
        bounds = []
        for q in ((1 - coverage) / 2, (1 + coverage) / 2):
            found = [j for j, own in enumerate(self.quantiles) if math.isclose(own, q, abs_tol=1e-9)]
            if not found:
                expected = f"a number whose quantile {q:.6g} the loss predicts; its quantiles are"
                raise ValueError(wrong("coverage", f"{expected} {shown(self.quantiles)}", coverage))
            bounds.append(outputs[:, found[:1]])
        return np.sort(np.stack(bounds, axis=2), axis=2)  # quantiles of a network may cross


@dataclass(frozen=True)
class Hinge(Loss):
    """Hinge loss: Σ max(0, 1 − y aᴸ) with y = ±1. Class numbers are encoded as one class against the rest."""

    name, code, formula, threshold = "hinge", codes.HINGE, "Σ max(0, 1 − y aᴸ), y = ±1", 0.0
    low, high = -1, 1


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson loss for counts: Σ (aᴸ − y log aᴸ) with aᴸ = e^zᴸ, computed from zᴸ, as in PyTorch's PoissonNLLLoss."""

    name, code, formula = "poisson", codes.POISSON, "Σ (aᴸ − y log aᴸ)"
    output, any_output, low = "exponential", False, 0


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy: −Σ y log aᴸ with aᴸ = softmax(zᴸ), computed from the logits zᴸ.

    Parameters
    ----------
    label_smoothing : float, in [0, 1)
        Smoothing s (Szegedy et al., 2016): y is replaced by (1 − s) y + s / n_L.

    Notes
    -----
    Class weights multiply the whole loss of a sample, including the smoothing, as in Keras. Without smoothing they are
    the same as PyTorch's ``weight``. With smoothing, PyTorch weights each term of s / n_L Σ (−log aᴸ) by its own class.
    """

    name, code, formula = "cross_entropy", codes.CROSS_ENTROPY, "−Σ y log aᴸ"
    output, any_output, low, high = "softmax", False, 0, 1

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_smoothing", fraction("label_smoothing", self.label_smoothing))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        off = self.label_smoothing / n_outputs
        return codes.Objective(self.code, label_off=off, label_on=1 - self.label_smoothing + off)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross entropy: −Σ (y log aᴸ + (1 − y) log(1 − aᴸ)) with aᴸ = sigmoid(zᴸ), computed from the logits zᴸ.

    Each output is a separate label.
    """

    name, code = "binary_cross_entropy", codes.BINARY_CROSS_ENTROPY
    formula = "−Σ (y log aᴸ + (1 − y) log(1 − aᴸ))"
    output, any_output, low, high = "sigmoid", False, 0, 1
