"""fastbp.explain: every quantity of the method, by name, for a network and a few samples."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks, reference
from .._kernels import codes
from .._names import Names, labels_of_row, names_of, without_index
from .._symbols import Symbol
from .._writing import replacing
from ..losses import Custom, Huber, Loss, Quantile
from ..trainer import Trainer
from ._chains import Chains, Layer, Path, count, parameter

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

Array = npt.NDArray[Any]

MAX_PATHS = 10_000  # the most paths, over all weights, that are written out


@dataclass(frozen=True)
class Derivative:
    """∂J/∂θ of one weight as the sum over its paths, and the weight after a step of plain gradient descent.

    Attributes
    ----------
    l, j, k : int
        The weight goes from unit k of layer l (0: the bias unit) to unit j of layer l + 1.
    theta : float
        The weight.
    paths : tuple of Path
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
    paths: tuple[Path, ...] = field(repr=False)
    reference: float
    kernel: float
    updated: float

    @property
    def symbol(self) -> Symbol:
        """The symbol of the weight, θˡ_jk or bˡ_j."""
        return parameter(self.l, self.j, self.k)

    @property
    def sum(self) -> float:
        """Sum of the products of all paths."""
        return math.fsum(path.product for path in self.paths)

    def text(self) -> str:
        """Return the chains as text, with the numbers under the symbols."""
        from ._text import chains_text

        return chains_text(self)

    def latex(self) -> str:
        """Return the chains as a LaTeX aligned environment."""
        from ._text import chains_latex

        return chains_latex(self)

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True, eq=False)
class Explanation:
    """All quantities of one step of the method. `text`, `latex` and `to_html` format them.

    Attributes
    ----------
    J : float
        The cost.
    layers : tuple of Layer
        Each has z, a, delta and slopes, (m, n_l); the inputs have only a.
    gradients : tuple of Derivative
        One for each weight, layer by layer. Empty if the paths are not written out (see ``view``) and there would be
        more than 10,000 terms in all.
    weight_gradients : list of (n_{l+1}, n_l)
        [∂J/∂Θ¹, …] from fastbp.reference.
    bias_gradients : list of (n_{l+1},)
        [∂J/∂b¹, …] from fastbp.reference; empty without bias units.
    loss : str
        Name of the loss.
    learning_rate : float
        η of the step.
    view : {"paths", "delta"}
        "paths" if the chains follow every path; "delta" if there are too many paths, so that the chains stop at δ:
        ∂J/∂Θˡ = (δˡ⁺¹)ᵀ aˡ.
    n_paths, n_derivatives : int
        Number of paths from the weights to the cost, and of local derivatives in their chains: 52 for the article's
        2-2-2 network.
    reference_difference, kernel_difference : float
        The largest difference between the sums over the paths (with "delta", the products with δ) and the gradients of
        fastbp.reference or of the kernels.
    remarks : tuple of str
        What was left out, and why.
    """

    J: float
    layers: tuple[Layer, ...] = field(repr=False)
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

    def gradient(self, l: int, j: int, k: int) -> Derivative:
        """Return ∂J/∂θˡ_jk; for k = 0, ∂J/∂bˡ_j.

        Raises
        ------
        KeyError
            If the explanation has no such weight.
        """
        for derivative in self.gradients:
            if (derivative.l, derivative.j, derivative.k) == (l, j, k):
                return derivative
        raise KeyError((l, j, k))

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_1 … n_L."""
        return tuple(layer.a.shape[1] for layer in self.layers)

    def text(self) -> str:
        """Return the whole explanation as text for a terminal."""
        from ._text import text

        return text(self)

    def latex(self) -> str:
        """Return the equations with their numbers as a LaTeX aligned environment."""
        from ._text import latex

        return latex(self)

    def table(self) -> Table:
        """Return the weights as a table of rich: θ, the sum over the paths, both gradients and the step.

        A rich console also prints a whole Explanation.

        Returns
        -------
        rich.table.Table

        Raises
        ------
        ImportError
            If rich is not installed.
        ValueError
            If there are too many weights to show each.
        """
        from ._rich import weights

        if not self.gradients:
            raise ValueError("table: expected weights few enough to show each, got an explanation without `gradients`")
        return weights(self)

    def __rich__(self) -> Group:
        from ._rich import whole

        return whole(self)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return an HTML page that steps through the network and shows the chains of the weight that you point at.

        Parameters
        ----------
        path : file to write it to, optional
            The page is self-contained and works offline.

        Returns
        -------
        str
            The page.
        """
        from ._html import page

        place = None if path is None else _checks.file_to_write("path", path)
        text = page(self)
        if place is not None:
            with replacing(place, text=True) as file:
                file.write(text)
        return text

    def _repr_html_(self) -> str:
        from ._html import frame

        return frame(self)

    def __str__(self) -> str:
        return self.text()


def explain(trainer: Trainer, x: Any, y: Any) -> Explanation:
    """Compute every quantity of the method for a network and a few samples.

    The result has z, a and δ of each layer, each ∂J/∂θ as the sum of the products along its paths, and the step of
    plain gradient descent (docs/method.md). Everything is computed in float64. Dropout is off, and l1 and l2 are left
    out, which the explanation says. The trainer does not change.

    Parameters
    ----------
    trainer : Trainer
    x : (n_1,), or (m, n_1)
        One sample, or a small batch.
    y : as in `Trainer.fit`
        The targets. For one sample, an (n_L,) array, a number or a class number.

    Returns
    -------
    Explanation
        ``print`` it, display it in a notebook, or write it to a file with ``to_html("page.html")``.

    Raises
    ------
    ValueError, TypeError
        For bad input, and for a network whose J or gradients are not finite.

    Examples
    --------
    >>> trainer = Trainer([1, 1, 1], output_activation="sigmoid", use_bias=False, seed=0)
    >>> explanation = fastbp.explain(trainer, [0.7], [0.2])
    >>> explanation.n_derivatives
    8
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
    trainer._state.names.check("x", Names(labels_of_row(x)))
    columns = names_of(x, y)
    trainer._state.names.check("x", columns)
    x, y = _checks.numbers("x", without_index(x)), _checks.numbers("y", y)
    if x.ndim == 1:
        x, y = x[None], y if y.ndim == 2 else y[None]
    data = trainer._intake.data("x", x, "y", y)
    X, targets = data.X.astype(np.float64), _targets(trainer, data)
    weights, biases = ([part.astype(np.float64) for part in parts] for parts in (trainer.weights, trainer.biases))
    parameters = 4 * trainer.n_parameters  # with the gradients of the reference, the kernels and by paths
    _checks.fits("x", f"{len(X):,} samples", 8 * (6 * len(X) * sum(trainer.layer_sizes) + parameters))
    activations, (loss, value) = trainer.network.activations, _formula(trainer._state.loss)
    with np.errstate(over="ignore", invalid="ignore"):
        J, dW, db = reference.gradients(weights, biases, activations, X, targets, loss, parameter=value)
        layers = _layers(weights, biases, activations, X, targets, loss, value)
        cost_slopes = None
        if trainer._state.loss.any_output and layers[-1].slopes is not None:
            cost_slopes = reference.shares(len(X)) * reference.output_losses(layers[-1].a, targets, loss, value)[1]
    kernel_J, kernel_dW, kernel_db = trainer._state.engine.gradients(data)
    numbers = [part for layer in layers for part in (layer.z, layer.a, layer.slopes, layer.delta) if part is not None]
    if not all(np.isfinite(part).all() for part in (*numbers, *dW, *db, *kernel_dW, *kernel_db)):
        came = f"J = {J:g}, in the trainer's {trainer.dtype} {kernel_J:g}"
        raise ValueError(_checks.wrong("trainer", "a network in which all numbers are finite for x and y", came))
    chains = Chains(layers, weights, trainer.use_bias, cost_slopes)
    parts = (weights, dW, kernel_dW), (biases, db, kernel_db)
    by_path = chains.n_paths <= MAX_PATHS
    gradients = _derivatives(chains, by_path, parts, trainer.learning_rate)
    reference_difference, kernel_difference = _differences(gradients, parts)
    return Explanation(
        J=J,
        layers=layers,
        gradients=gradients,
        weight_gradients=dW,
        bias_gradients=db if trainer.use_bias else [],
        loss=trainer.loss,
        learning_rate=trainer.learning_rate,
        view="paths" if by_path else "delta",
        n_paths=chains.n_paths,
        n_derivatives=chains.n_derivatives,
        reference_difference=reference_difference,
        kernel_difference=kernel_difference,
        remarks=_remarks(trainer, chains, gradients),
    )


def _targets(trainer: Trainer, data: codes.Data) -> Array:
    """Return the targets as `reference` takes them, (m, n_L): class numbers as one-hot rows, with label smoothing."""
    n_outputs = trainer.layer_sizes[-1]
    objective = trainer._state.loss.objective(n_outputs, trainer.dtype)
    rows = np.eye(n_outputs)[data.labels] if len(data.labels) else data.targets.astype(np.float64)
    return rows * (objective.label_on - objective.label_off) + objective.label_off


def _formula(loss: Loss) -> tuple[reference.Loss, Any]:
    """Return the loss and its parameter as `reference` takes them."""
    if isinstance(loss, Custom):
        return loss.function, None
    if isinstance(loss, Huber):
        return loss.name, loss.delta
    return loss.name, loss.quantiles if isinstance(loss, Quantile) else None


def _layers(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    loss: reference.Loss,
    value: Any,
) -> tuple[Layer, ...]:
    """Return the quantities of all layers, computed step by step with `reference`."""
    z, a = reference.forward(weights, biases, activations, X)
    deltas = [reference.output_delta(z[-1], y, activations[-1], loss, value)]
    for l in reversed(range(1, len(weights))):
        deltas.insert(0, reference.hidden_delta(deltas[0], weights[l], z[l - 1], activations[l - 1]))
    layers = [Layer(1, None, a[0])]
    for l, name in enumerate(activations):
        slopes = None if name == "softmax" else reference.through_activation(np.ones_like(z[l]), z[l], name)
        layers.append(Layer(l + 2, name, a[l + 1], z[l], deltas[l], slopes))
    return tuple(layers)


Parts = tuple[tuple[Sequence[Array], Sequence[Array], Sequence[Array]], ...]  # θ and both ∂J/∂θ: of weights, of biases


def _derivatives(chains: Chains, by_path: bool, parts: Parts, eta: float) -> tuple[Derivative, ...]:
    """Return one Derivative for each weight; none if there are too many weights even for chains that stop at δ."""
    m = len(chains.layers[0].a)
    if not by_path and m * sum(theta.size + chains.use_bias * len(theta) for theta in chains.weights) > MAX_PATHS:
        return ()
    found = []
    for l, j, k in chains.parameters():
        paths = (chains.paths if by_path else chains.short_paths)(l, j, k)
        index = (j - 1, k - 1) if k else (j - 1,)
        theta, gradient, kernel = (float(part[l - 1][index]) for part in parts[0 if k else 1])
        updated = np.array([theta])
        reference.update([updated], [np.array([gradient])], eta)
        found.append(Derivative(l, j, k, theta, paths, gradient, kernel, float(updated[0])))
    return tuple(found)


def _differences(gradients: Sequence[Derivative], parts: Parts) -> tuple[float, float]:
    """Return the largest differences of the path sums from `reference` and the kernels; without sums, 0 and theirs."""
    if gradients:
        ours, theirs = (max(abs(g.sum - getattr(g, name)) for g in gradients) for name in ("reference", "kernel"))
        return ours, theirs
    pairs = [pair for _, ours, theirs in parts for pair in zip(ours, theirs, strict=True)]
    return 0.0, max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)


def _remarks(trainer: Trainer, chains: Chains, gradients: Sequence[Derivative]) -> tuple[str, ...]:
    """Return sentences that say what is left out, and why."""
    said = []
    if chains.n_paths > MAX_PATHS:
        said.append(
            f"{count(chains.n_paths)} paths are too many to write out (at most {MAX_PATHS:,}). The chains stop at δ: "
            "∂J/∂Θˡ = (δˡ⁺¹)ᵀ aˡ and ∂J/∂bˡ = Σ_samples δˡ⁺¹."
        )
    if not gradients:
        said.append("There are too many weights to show each. See weight_gradients and bias_gradients.")
    if chains.cost_slopes is None:
        softmax = trainer.output_activation == "softmax"
        output = "A softmax output depends on all of zᴸ" if softmax else "The output activation goes with the loss"
        said.append(f"{output}: ∂J/∂zᴸ has one closed form, with which the chains begin.")
    if trainer._state.bounds.l1 or trainer._state.bounds.l2:
        said.append("J and its gradients cover the samples only: l1 and l2 are left out.")
    if any(trainer.dropout):
        said.append("Dropout is off.")
    if trainer.optimizer.name != "sgd":
        said.append(f"The update is plain gradient descent, not of {trainer.optimizer.name}.")
    return tuple(said)
