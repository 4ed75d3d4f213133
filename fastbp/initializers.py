"""Initializers: the first values of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _checks

Array = npt.NDArray[Any]

DRAWN_AT_ONCE = 1 << 16  # how many random numbers to draw at once
VARIANCES = {  # variance of a weight, given the numbers of input units (n_in) and output units (n_out)
    "glorot": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
}
SHORT = {"glorot": "glorot_uniform", "he": "he_normal", "lecun": "lecun_normal"}
SCALED = {f"{family}_{shape}": (family, shape) for family in VARIANCES for shape in ("uniform", "normal")}
INITIALIZERS = ("uniform", *SCALED, *SHORT, "orthogonal", "zeros")
AUTO = {  # activation of layer l+1 → the family and the factor of ε = factor · √(3 · variance); see `half_widths`
    "identity": ("glorot", 1),
    "tanh": ("glorot", 1),
    "softsign": ("glorot", 1),
    "hard_tanh": ("glorot", 1),
    "softmax": ("glorot", 1),
    "sigmoid": ("glorot", 4),
    "hard_sigmoid": ("glorot", 6),
    "exponential": ("glorot", 0.25),
    "relu": ("he", 1),
    "leaky_relu": ("he", 1),
    "elu": ("he", 1),
    "gelu": ("he", 1),
    "gelu_tanh": ("he", 1),
    "silu": ("he", 1),
    "mish": ("he", 1),
    "softplus": ("he", 1),
    "selu": ("lecun", 1),
}


def half_widths(epsilon: float | str, layer_sizes: Sequence[int], activations: Sequence[str]) -> list[float]:
    """Return ε of each layer's weights, (L − 1,), for the initializer "uniform".

    A number is the ε of all layers. "auto" computes the ε of Θˡ and bˡ from n_in = n_l, n_out = n_{l+1} and the
    activation of layer l+1, so that the outputs of a layer vary about as much as its inputs:

        ============================================== =================================================================
        activation                                     ε
        ============================================== =================================================================
        identity, tanh, softsign, hard_tanh, softmax   √(6/(n_in + n_out)): Glorot & Bengio 2010, eq. 16
        sigmoid, hard_sigmoid, exponential in the      the same; the first outputs are then near ½, or near 1
        output layer
        sigmoid in hidden layers                       4 times that, because its slope at 0 is ¼ of tanh's (the tutorial
                                                       of deeplearning.net, 2010)
        hard_sigmoid in hidden layers                  6 times that, because its slope is 1/6
        exponential in hidden layers                   ¼ of that, because larger z grow from layer to layer
        selu                                           √(3/n_in): Klambauer et al. 2017
        relu and all others                            √(6/n_in): He et al. 2015, eq. 10
        ============================================== =================================================================
    """
    if not isinstance(epsilon, str):
        return [epsilon] * len(activations)
    widths = []
    for l, (n_in, n_out) in enumerate(pairwise(layer_sizes)):
        family, factor = AUTO[activations[l]]
        if l + 1 == len(activations) and family == "glorot":
            factor = 1
        widths.append(factor * float(np.sqrt(3 * VARIANCES[family](n_in, n_out))))
    return widths


def initialize(
    initializer: Any,
    weights: Sequence[Array],
    biases: Sequence[Array],
    epsilons: Sequence[float],
    rng: np.random.Generator,
) -> None:
    """Fill weights and biases with their first values.

        ======================== ================================================================================
        name                     Θˡ; n_in = n_l and n_out = n_{l+1}; biases are 0 except for "uniform"
        ======================== ================================================================================
        uniform                  uniform in [−ε, ε], biases too (method.md, "The first weights")
        glorot_uniform, glorot   uniform in ±√(6/(n_in + n_out)): Glorot & Bengio 2010, eq. 16
        glorot_normal            normal, variance 2/(n_in + n_out): the same paper's eq. 12
        he_uniform               uniform in ±√(6/n_in)
        he_normal, he            normal, variance 2/n_in: He et al. 2015, eq. 10
        lecun_uniform            uniform in ±√(3/n_in)
        lecun_normal, lecun      normal, variance 1/n_in: LeCun et al. 1998, section 4.6, eq. 16
        orthogonal               orthonormal rows or columns, whichever are fewer: Saxe et al. 2014
        zeros                    0; all units of a hidden layer then stay identical
        ======================== ================================================================================

    A short name stands for the best-known variant: "glorot" is the default of Keras's Dense layers, "he" is that of its
    paper, and "lecun" is recommended for selu (Klambauer et al. 2017; Keras). The normal distribution is not truncated,
    as in PyTorch; Keras truncates it at two standard deviations.

    Values are drawn in blocks. Only "orthogonal" needs memory for about five more arrays of the size of the largest Θˡ,
    as float64.

    Parameters
    ----------
    initializer : str, or (weights, biases)
        A name, or two lists of arrays: weights (n_{l+1}, n_l) and biases (n_{l+1},). Without bias units, biases is [].
    weights : [(n_2, n_1), …] writable views
    biases : [(n_2,), …] writable views, or [] if there are no bias units
    epsilons : [ε, …]
        ε ≥ 0 of each layer's weights, from `half_widths`, for "uniform".
    rng : numpy.random.Generator
        Not used for arrays and "zeros".

    Raises
    ------
    ValueError, TypeError
        For bad input. Nothing is written.
    """
    if isinstance(initializer, tuple | list):
        _copy(initializer, weights, biases)
        return
    if not isinstance(initializer, str):
        came = f"{_checks.shown(initializer)} ({type(initializer).__name__})"
        raise TypeError(_checks.wrong("initializer", "a name or a pair (weights, biases)", came))
    name = _checks.one_of("initializer", initializer, INITIALIZERS)
    name = SHORT.get(name, name)
    if name == "uniform":
        for l, epsilon in enumerate(epsilons):
            uniform([weights[l], *biases[l : l + 1]], epsilon, rng)
        return
    for view in weights:
        if name == "orthogonal":
            _orthogonal(view, rng)
        elif name == "zeros":
            view[...] = 0
        else:
            _scaled(*SCALED[name], view, rng)
    for view in biases:
        view[...] = 0


def uniform(views: Iterable[Array], epsilon: float, rng: np.random.Generator) -> None:
    """Fill every view with numbers drawn uniformly from [−ε, ε], in the order given.

    Random values break the symmetry between the units of a layer; see method.md, "The first weights".
    """
    for view in views:
        limit = view.dtype.type(epsilon)
        if float(limit) > epsilon:  # the nearest float32 may be outside the range
            limit = np.nextafter(limit, view.dtype.type(0))
        for part in _parts(view):
            part[...] = np.clip(rng.uniform(-epsilon, epsilon, part.shape).astype(view.dtype), -limit, limit)


def _scaled(family: str, shape: str, view: Array, rng: np.random.Generator) -> None:
    """Draw Θˡ with the family's variance. A uniform distribution in ±limit has the variance limit²/3."""
    n_out, n_in = view.shape
    variance = VARIANCES[family](n_in, n_out)
    if shape == "uniform":
        uniform([view], float(np.sqrt(3 * variance)), rng)
        return
    for part in _parts(view):
        part[...] = rng.normal(0, np.sqrt(variance), part.shape)


def _orthogonal(view: Array, rng: np.random.Generator) -> None:
    """Set Θˡ to Q of a normal matrix's QR decomposition. The signs of R's diagonal make Q uniformly distributed."""
    n_out, n_in = view.shape
    q, r = np.linalg.qr(rng.normal(size=(max(n_out, n_in), min(n_out, n_in))))
    q *= np.copysign(1, np.diagonal(r))
    view[...] = q if n_out >= n_in else q.T


def _parts(view: Array) -> Iterator[Array]:
    """Yield a view in blocks, because a copy of all of Θˡ as float64 would raise the peak of memory."""
    rows = np.atleast_2d(view)
    some = max(1, DRAWN_AT_ONCE // rows.shape[1])
    for start in range(0, len(rows), some):
        for column in range(0, rows.shape[1], DRAWN_AT_ONCE):
            yield rows[start : start + some, column : column + DRAWN_AT_ONCE]


def _copy(given: Sequence[Any], weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Check all of the user's arrays, then copy them into the views."""
    if len(given) != 2:
        came = f"a {type(given).__name__} of {len(given)}"
        raise ValueError(_checks.wrong("initializer", "a name or a pair (weights, biases)", came))
    arrays = [*_own("initializer[0]", "Θ", given[0], weights), *_own("initializer[1]", "b", given[1], biases)]
    for view, array in zip([*weights, *biases], arrays, strict=True):
        view[...] = array


def _own(argument: str, symbol: str, given: Any, views: Sequence[Array]) -> list[Array]:
    """Return the arrays, checked against the shapes of the views."""
    expected = f"a list of {len(views)} arrays" if views else "an empty list, as there are no bias units"
    items = _checks.sequence(argument, given, expected)
    if len(items) != len(views):
        raise ValueError(_checks.wrong(argument, expected, f"{len(items)} of them"))
    return [
        _fitting(f"{argument}[{i}]", f"{symbol}{i + 1}", item, view)
        for i, (item, view) in enumerate(zip(items, views, strict=True))
    ]


def _fitting(argument: str, symbol: str, item: Any, view: Array) -> Array:
    """Return an array with the shape of the view, whose numbers are finite in the dtype of the view."""
    array = _checks.numbers(argument, item)
    if array.shape != view.shape:
        hint = "; transpose it" if array.shape == view.shape[::-1] else ""
        raise ValueError(_checks.wrong(argument, f"shape {view.shape} for {symbol}", f"{array.shape}{hint}"))
    _checks.finite_in(argument, array, view.dtype)
    return array
