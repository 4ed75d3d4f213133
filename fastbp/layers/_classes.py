"""The layers that a list for `Trainer` may contain: frozen dataclasses that check their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .. import _checks
from ..activations import ACTIVATIONS
from ..initializers import INITIALIZERS

FLOAT64 = np.dtype("float64")
NORMS = ("layer", "batch")
MOST = 10_000  # layers, as in a plain network
DEEPEST = 16  # residual blocks inside one another
WIDEST_TABLE = 600  # the most columns that an embedding has by default


@dataclass(frozen=True)
class Layer:
    """Base class of layers."""

    def __repr__(self) -> str:
        told = []
        for i, item in enumerate(fields(self)):
            value = getattr(self, item.name)
            if not _is_same(value, item.default):
                shown = repr(list(value) if isinstance(value, tuple) else value)
                told.append(shown if i == 0 and not isinstance(self, Inputs) else f"{item.name}={shown}")
        return f"{type(self).__name__}({', '.join(told)})"

    def _set(self, **values: Any) -> None:
        """Set the checked values."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


@dataclass(frozen=True, repr=False)
class Inputs(Layer):
    """The columns of X: first numbers, then categories as whole numbers 0 … n − 1.

    An embedding replaces each category by a learnt vector. The output is the numbers, and then these vectors.

    Parameters
    ----------
    numbers : int
        Number of columns that are numbers, ≥ 0.
    categories : sequence of int
        Number of categories in each of the other columns.
    embedding_dim : int or sequence of int, optional
        Length of the vectors: one number for all columns, or one for each. By default, it is 1.6 n^0.56 for n
        categories, rounded, at most 600 (fastai's rule).
    sparse : bool
        Whether an update changes only the vectors of categories that occur in the batch, like PyTorch's
        ``sparse=True``. Weight decay and the optimizer's moments then don't change the others. Large tables are faster.
    """

    numbers: int = 0
    categories: tuple[int, ...] = ()
    embedding_dim: int | tuple[int, ...] | None = None
    sparse: bool = False

    def __post_init__(self) -> None:
        counts = _checks.sequence("categories", self.categories, "a list with the number of categories of each column")
        categories = tuple(_checks.whole(f"categories[{i}]", n, minimum=1) for i, n in enumerate(counts))
        self._set(numbers=_checks.whole("numbers", self.numbers, minimum=0), categories=categories)
        if self.n_columns == 0:
            raise ValueError(_checks.wrong("numbers", "one or more columns of numbers or of categories", "none"))
        dim: Any = self.embedding_dim
        if dim is not None and not categories:
            raise ValueError(_checks.wrong("embedding_dim", "None without categories", _checks.shown(dim)))
        if _checks.is_sequence(dim):
            given = list(dim)
            if len(given) != len(categories):
                expected = f"one number, or one for each of the {len(categories)} columns of categories"
                raise ValueError(_checks.wrong("embedding_dim", expected, f"{len(given)} numbers"))
            dim = tuple(_checks.whole(f"embedding_dim[{i}]", n, minimum=1) for i, n in enumerate(given))
        elif dim is not None:
            dim = _checks.whole("embedding_dim", dim, minimum=1)
        self._set(embedding_dim=dim, sparse=_checks.flag("sparse", self.sparse))
        if self.sparse and not categories:
            raise ValueError(_checks.wrong("sparse", "False without categories", True))

    @property
    def n_columns(self) -> int:
        """Number of columns of X."""
        return self.numbers + len(self.categories)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of the vectors of each column of categories."""
        dim = self.embedding_dim
        if dim is None:
            return tuple(min(WIDEST_TABLE, round(1.6 * n**0.56)) for n in self.categories)
        return dim if isinstance(dim, tuple) else (dim,) * len(self.categories)


@dataclass(frozen=True, repr=False)
class PBLD(Layer):
    """Periodic embedding of each number: (x, W₂ cos(2π x w₁ + b₁) + b₂), "periodic bias linear densenet".

    It must directly follow `Inputs` (Holzmüller, Grinsztajn and Steinwart 2024, arXiv 2407.04491).

    Parameters
    ----------
    dim : int
        Number of values that replace each number, ≥ 2. The first is the number itself.
    n_frequencies : int
        Number of frequencies w₁ of each number.
    sigma : float
        Standard deviation of the initial frequencies. Increase it if the target changes faster.
    n_numbers : int, optional
        Embed only the first n_numbers numbers. The others pass unchanged. By default, all are embedded.
    """

    dim: int = 4
    n_frequencies: int = 16
    sigma: float = 0.1
    n_numbers: int | None = None

    def __post_init__(self) -> None:
        self._set(dim=_checks.whole("dim", self.dim, minimum=2), **_frequencies(self))


@dataclass(frozen=True, repr=False)
class Periodic(Layer):
    """Periodic embedding of each number: its sines sin(2π w x), then its cosines cos(2π w x).

    It must directly follow `Inputs` (Gorishniy, Rubachev and Babenko 2022, arXiv 2203.05556).

    Parameters
    ----------
    n_frequencies : int
        Number of frequencies w of each number. Twice as many columns replace the number.
    sigma : float
        Standard deviation of the initial frequencies.
    n_numbers : int, optional
        Embed only the first n_numbers numbers. The others pass unchanged. By default, all are embedded.
    """

    n_frequencies: int = 16
    sigma: float = 0.1
    n_numbers: int | None = None

    def __post_init__(self) -> None:
        self._set(**_frequencies(self))


@dataclass(frozen=True, repr=False)
class PiecewiseLinear(Layer):
    """Piecewise-linear encoding: one value for each bin of a number, 0 below the bin and 1 above it.

    Value t is (x − e_t) / (e_{t+1} − e_t), clipped to [0, 1]. The first bin has no lower limit, and the last has no
    upper limit. It must directly follow `Inputs` (Gorishniy, Rubachev and Babenko 2022, arXiv 2203.05556).

    Parameters
    ----------
    bins : int
        Number of bins of each number.
    edges : (numbers, bins + 1) or (bins + 1,) increasing numbers, optional
        Edges e of the bins. By default, they are quantiles of the training rows of the first fit. Before this fit, they
        are evenly spaced from −1 to 1. With ``standardize=True``, they are in units of the standardized numbers.
    n_numbers : int, optional
        Encode only the first n_numbers numbers. The others pass unchanged. By default, all are encoded.
    """

    bins: int = 48
    edges: Any = None
    n_numbers: int | None = None

    def __post_init__(self) -> None:
        self._set(bins=_checks.whole("bins", self.bins, minimum=1), n_numbers=_some(self.n_numbers))
        if self.edges is None:
            return
        edges, n = _checks.numbers("edges", self.edges).astype(np.float64), self.bins + 1
        if edges.ndim not in (1, 2) or edges.shape[-1] != n or not edges.size:
            expected = f"shape (numbers, {n}) or ({n},), one more than bins"
            raise ValueError(_checks.wrong("edges", expected, edges.shape))
        _checks.finite("edges", edges)
        if (np.diff(edges) <= 0).any():
            raise ValueError(_checks.wrong("edges", "edges that increase in each row", "some that don't"))
        rows = [tuple(row) for row in edges.reshape(-1, n).tolist()]
        self._set(edges=rows[0] if edges.ndim == 1 else tuple(rows))


@dataclass(frozen=True, repr=False)
class Scale(Layer):
    """Learnt scale: s ⊙ x, with one factor for each column. The factors are 1 at first."""


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected layer: x Θᵀ + b, then the norm, the activation and the dropout.

    Parameters
    ----------
    units : int
        Number of units.
    activation : str, optional
        Activation f. By default, the trainer's `activation`. In the last layer, the trainer's `output_activation`.
    norm : {None, "layer", "batch"}
        `LayerNorm` or `BatchNorm` with its default arguments, in front of the activation.
    dropout : float in [0, 1)
        Fraction of the units to drop for each sample in training.
    parametric : bool
        Whether each unit learns a parameter α, which is 1 at first, and computes z + α (f(z) − z) instead of f(z).
    use_bias : bool
        Whether the units have biases.
    initializer : str, optional
        Initial weights, as in `Trainer`. By default, the trainer's `initializer`.
    """

    units: int
    activation: str | None = None
    norm: str | None = None
    dropout: float = 0.0
    parametric: bool = False
    use_bias: bool = True
    initializer: str | None = None

    def __post_init__(self) -> None:
        self._set(
            units=_checks.whole("units", self.units, minimum=1),
            activation=_activation(self.activation),
            norm=_norm(self.norm),
            dropout=_checks.fraction("dropout", self.dropout),
            parametric=_checks.flag("parametric", self.parametric),
            use_bias=_checks.flag("use_bias", self.use_bias),
        )
        if self.initializer is not None:
            _checks.one_of("initializer", self.initializer, INITIALIZERS)


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Layer norm: γ ⊙ (x − mean) / √(variance + ε) + β, with the mean and variance of each row (Ba et al. 2016).

    Parameters
    ----------
    epsilon : float
        ε > 0.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        self._set(epsilon=_checks.real("epsilon", self.epsilon, above=0, dtype=FLOAT64))


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch norm: γ ⊙ (x − mean) / √(variance + ε) + β, with statistics of each column (Ioffe and Szegedy 2015).

    Training uses the mean and the biased variance of the batch. It also updates running statistics, with the unbiased
    variance as in PyTorch: running ← (1 − momentum) running + momentum · batch. Predictions and validation use the
    running statistics. Training uses them without changing them if a batch has only one sample, or if the layer's
    parameters are frozen, as in Keras. Sample weights don't affect the statistics.

    Parameters
    ----------
    epsilon : float
        ε > 0.
    momentum : float in [0, 1]
        Share of a batch in the running statistics. Keras's momentum is 1 minus this number.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        momentum = _checks.real("momentum", self.momentum, minimum=0, dtype=FLOAT64)
        if momentum > 1:
            raise ValueError(_checks.wrong("momentum", "a number in [0, 1]", _checks.shown(self.momentum)))
        self._set(epsilon=_checks.real("epsilon", self.epsilon, above=0, dtype=FLOAT64), momentum=momentum)


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """Activation f, applied to each column.

    Parameters
    ----------
    name : str
        Name of the activation, as in `Trainer`.
    parametric : bool
        Whether each column learns a parameter α, as in `Dense`.
    """

    name: str
    parametric: bool = False

    def __post_init__(self) -> None:
        self._set(name=_checks.one_of("name", self.name, ACTIVATIONS))
        self._set(parametric=_checks.flag("parametric", self.parametric))


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Set a fraction of the values of each sample to 0 in training, and divide the others by 1 − rate.

    Parameters
    ----------
    rate : float in [0, 1), the fraction
    """

    rate: float

    def __post_init__(self) -> None:
        self._set(rate=_checks.fraction("rate", self.rate))


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Residual block: x + F(x) (He et al. 2016).

    Parameters
    ----------
    layers : int, or list of layers
        The layers F, which must have as many outputs as inputs. An integer n stands for
        ``[Dense(n, activation, norm, dropout), Dense(n_in, "identity")]``, where n_in is the number of inputs.
    activation, norm, dropout : arguments of the first `Dense`, if ``layers`` is an integer
    """

    layers: int | tuple[Layer, ...]
    activation: str | None = None
    norm: str | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        self._set(activation=_activation(self.activation), norm=_norm(self.norm))
        self._set(dropout=_checks.fraction("dropout", self.dropout))
        if not _checks.is_sequence(self.layers):
            self._set(layers=_checks.whole("layers", self.layers, minimum=1))
            return
        given: Any = self.layers
        for name in ("activation", "norm", "dropout"):
            if getattr(self, name):
                came = _checks.shown(getattr(self, name))
                raise ValueError(_checks.wrong(name, "nothing with a list of layers, which have their own", came))
        layers = tuple(item if isinstance(item, Layer) else Dense(item) for item in given)
        if not layers:
            raise ValueError(_checks.wrong("layers", "one or more layers", "none"))
        self._set(layers=layers)
        if _depth(self) > DEEPEST:
            raise ValueError(_checks.wrong("layers", f"blocks no deeper than {DEEPEST} in each other", "deeper ones"))


def has_layers(layer_sizes: Any) -> bool:
    """Return whether a list has layers among its items."""
    return isinstance(layer_sizes, list | tuple) and any(
        isinstance(item, Layer) or (isinstance(item, type) and issubclass(item, Layer)) for item in layer_sizes
    )


def layers_of(argument: str, value: Sequence[Any]) -> tuple[Layer, ...]:
    """Return the layers of a list that has some: `Inputs` first, and `Dense` for the other integers."""
    if len(value) > MOST:
        raise ValueError(_checks.wrong(argument, f"no more than {MOST:,} layers", f"{len(value):,}"))
    layers = []
    for i, item in enumerate(value):
        name = f"{argument}[{i}]"
        if isinstance(item, type) and issubclass(item, Layer):
            raise TypeError(_checks.wrong(name, "a layer or an integer", _checks.kind_shown(item, Layer)))
        if isinstance(item, Layer):
            layers.append(item)
        else:
            number = _checks.whole(name, item, minimum=1)
            layers.append(Dense(number) if i else Inputs(number))
    return tuple(layers)


def _frequencies(layer: PBLD | Periodic) -> dict[str, Any]:
    count = _checks.whole("n_frequencies", layer.n_frequencies, minimum=1)
    sigma = _checks.real("sigma", layer.sigma, above=0, dtype=FLOAT64)
    return {"n_frequencies": count, "sigma": sigma, "n_numbers": _some(layer.n_numbers)}


def _some(value: Any) -> int | None:
    return None if value is None else _checks.whole("n_numbers", value, minimum=1)


def _activation(value: Any) -> str | None:
    return None if value is None else _checks.one_of("activation", value, ACTIVATIONS)


def _norm(value: Any) -> str | None:
    return None if value is None else _checks.one_of("norm", value, NORMS)


def _depth(layer: Layer) -> int:
    """Return how many blocks are inside one another."""
    inside = layer.layers if isinstance(layer, Residual) else None
    return 0 if inside is None else 1 + max(map(_depth, inside)) if isinstance(inside, tuple) else 1
