"""fastbp.explain: every quantity of the method, by name, for a network and a few samples."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _checks, reference
from .._kernels import codes
from .._names import Names, labels_of_row, names_of, without_index
from ..losses import LOSSES, Custom, Huber, Loss, Quantile
from ..trainer import Trainer
from . import _folding
from ._explanation import Explanation
from ._paths import Paths
from ._records import Derivative, LayerValues
from ._text import count

Array = npt.NDArray[Any]

MAX_PATHS = 10_000  # the most paths, over all weights, that are written out


def explain(trainer: Trainer, x: Any, y: Any, *, weight: tuple[int, int, int] | None = None) -> Explanation:
    """Compute every quantity of the method for a network and a few samples.

    The result has z, a and δ of each layer, each ∂J/∂θ as the sum of the products along its paths, and the update by
    plain gradient descent (docs/method.md). Everything is computed in float64. Dropout is off, and l1 and l2 are left
    out, which the explanation says. With ``standardize=True``, a¹ and y are the scaled numbers. The trainer does not
    change.

    Parameters
    ----------
    trainer : Trainer
    x : (n_1,), or (m, n_1)
        One sample, or a small batch.
    y : as in `Trainer.fit`
        The targets. For one sample, an (n_L,) array, a number or a class number.
    weight : (l, j, k), optional
        A weight whose chains and units are shown in any case. Otherwise, large networks show only some weights.

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
    >>> trainer = Trainer([1, 1, 1], activation="sigmoid", output_activation="sigmoid", use_bias=False, seed=0)
    >>> explanation = fastbp.explain(trainer, [0.7], [0.2])
    >>> explanation.n_derivatives
    8
    """
    data = _data(trainer, x, y)
    asked = None if weight is None else _asked(trainer, weight)
    given = _arguments(trainer, data)
    with np.errstate(over="ignore", invalid="ignore"):
        J, dW, db = reference.gradients(*given[:-1], parameter=given.parameter)
        layers = _layers(given)
        cost_slopes = _cost_slopes(given, layers[-1]) if trainer._state.loss.any_output else None
    kernel_J, kernel_dW, kernel_db = _kernel_gradients(trainer, data)
    if not _all_finite(layers, (*dW, *db, *kernel_dW, *kernel_db)):
        came = f"J = {J:g}, in the trainer's {trainer.dtype} {kernel_J:g}"
        raise ValueError(_checks.wrong("trainer", "a network in which all numbers are finite for x and y", came))
    paths = Paths(layers, given.weights, trainer.use_bias, cost_slopes)
    return _written_out(
        trainer, J, paths, Compared(given.weights, dW, kernel_dW), Compared(given.biases, db, kernel_db), asked
    )


def _kernel_gradients(trainer: Trainer, data: codes.Data) -> tuple[float, list[Array], list[Array]]:
    """Return J and its gradients by all weights and biases, also by frozen ones, which training doesn't compute."""
    state = trainer._state
    if state.settings is None:
        return state.engine.gradients(data)
    from .._layered import AS_USUAL  # which few trainers need

    network = copy.deepcopy(state.network)
    network.set_ways(AS_USUAL)
    return network.engine(state.loss.objective(trainer.layer_sizes[-1], trainer.dtype)).gradients(data)


def _asked(trainer: Trainer, weight: Any) -> _folding.Theta:
    """Return the weight that is asked for, checked."""
    sizes = trainer.layer_sizes
    least = 0 if trainer.use_bias else 1
    numbers = [_checks.whole("weight", number, minimum=0) for number in _checks.sequence("weight", weight, "(l, j, k)")]
    if len(numbers) == 3:
        l, j, k = numbers
        if 1 <= l < len(sizes) and 1 <= j <= sizes[l] and least <= k <= sizes[l - 1]:
            return l, j, k
    expected = f"(l, j, k) of a weight of the network {'-'.join(map(str, sizes))}"
    raise ValueError(_checks.wrong("weight", expected, _checks.shown(weight)))


class Arguments(NamedTuple):
    """The arguments of `reference.gradients`: a network, samples and a loss, all in float64."""

    weights: list[Array]
    biases: list[Array]
    activations: Sequence[str]
    X: Array
    y: Array
    loss: reference.Loss
    parameter: Any


class Compared(NamedTuple):
    """The weights or the biases of all layers, and two computations of ∂J/∂θ for each of them."""

    theta: Sequence[Array]
    reference: Sequence[Array]
    kernel: Sequence[Array]


def _data(trainer: Trainer, x: Any, y: Any) -> codes.Data:
    """Check the arguments of `explain`, and return the samples as kernels take them."""
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
    _checks.plain("trainer", trainer.network)
    trainer._state.column_names.check("x", Names(labels_of_row(x)))
    trainer._state.column_names.check("x", names_of(x, y))
    x, y = _checks.numbers("x", without_index(x)), _checks.numbers("y", y)
    if x.ndim == 1:
        x, y = x[None], y if y.ndim == 2 else y[None]
    return trainer._intake.data("x", x, "y", y)


def _arguments(trainer: Trainer, data: codes.Data) -> Arguments:
    """Return the network, the samples and the loss as `reference` takes them."""
    m, n = len(data.X), trainer.n_parameters
    gradients = 3 * n  # those of the reference, those of the kernels, and the sums over the paths
    _checks.fits("x", f"{m:,} samples", 8 * (6 * m * sum(trainer.layer_sizes) + n + gradients))
    weights, biases = ([array.astype(np.float64) for array in arrays] for arrays in (trainer.weights, trainer.biases))
    X, y = data.X.astype(np.float64), _targets(trainer, data)
    return Arguments(weights, biases, trainer.network.activations, X, y, *_formula(trainer._state.loss))


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
    if type(loss) not in LOSSES.values():
        raise ValueError(_checks.wrong("trainer", "a loss that is a sum over outputs", repr(loss.name)))
    if isinstance(loss, Huber):
        return loss.name, loss.delta
    return loss.name, loss.quantiles if isinstance(loss, Quantile) else None


def _layers(given: Arguments) -> tuple[LayerValues, ...]:
    """Return the quantities of all layers, computed with the functions of `reference`."""
    weights, activations = given.weights, given.activations
    z, a = reference.forward(weights, given.biases, activations, given.X)
    deltas = [reference.output_delta(z[-1], given.y, activations[-1], given.loss, given.parameter)]
    for l in reversed(range(1, len(weights))):
        deltas.insert(0, reference.hidden_delta(deltas[0], weights[l], z[l - 1], activations[l - 1]))
    layers = [LayerValues(1, None, a[0])]
    for l, name in enumerate(activations):
        slopes = None if name == "softmax" else reference.through_activation(np.ones_like(z[l]), z[l], name)
        layers.append(LayerValues(l + 2, name, a[l + 1], z[l], deltas[l], slopes))
    return tuple(layers)


def _cost_slopes(given: Arguments, output: LayerValues) -> Array | None:
    """Return ∂J/∂aᴸ, (m, n_L); None for softmax, whose outputs each depend on all of zᴸ."""
    if output.slopes is None:
        return None
    return reference.shares(len(given.X)) * reference.output_losses(output.a, given.y, given.loss, given.parameter)[1]


def _all_finite(layers: Sequence[LayerValues], gradients: Sequence[Array]) -> bool:
    """Return whether all quantities of the layers and all gradients are finite."""
    values = (array for layer in layers for array in (layer.z, layer.a, layer.slopes, layer.delta) if array is not None)
    return all(np.isfinite(array).all() for array in (*values, *gradients))


def _written_out(
    trainer: Trainer, J: float, paths: Paths, weights: Compared, biases: Compared, asked: _folding.Theta | None
) -> Explanation:
    """Return the explanation, with each derivative written out as the sum over its paths if they are few enough."""
    by_path = paths.n_paths <= MAX_PATHS
    gradients = _derivatives(paths, by_path, weights, biases, trainer.learning_rate)
    shown = _folding.shown(paths.layers, paths.weights, MAX_PATHS, bias=trainer.use_bias, asked=asked)
    pictured = _pictured(paths, shown, gradients, weights, biases, trainer.learning_rate)
    reference_difference, kernel_difference = _differences(gradients, weights, biases)
    return Explanation(
        J=J,
        layers=tuple(paths.layers),
        gradients=gradients,
        weight_gradients=list(weights.reference),
        bias_gradients=list(biases.reference) if trainer.use_bias else [],
        loss=trainer.loss,
        learning_rate=trainer.learning_rate,
        view="paths" if by_path else "delta",
        n_paths=paths.n_paths,
        n_derivatives=paths.n_derivatives,
        reference_difference=reference_difference,
        kernel_difference=kernel_difference,
        remarks=_remarks(trainer, paths, gradients),
        pictured=pictured,
        shown_units=() if shown is None else shown.units,
        input_names=trainer._state.column_names.features or (),
        output_names=trainer._state.column_names.targets or (),
    )


def _derivatives(
    paths: Paths, by_path: bool, weights: Compared, biases: Compared, eta: float
) -> tuple[Derivative, ...]:
    """Return one Derivative for each weight; none if there are too many weights even for chains that stop at δ."""
    m = len(paths.layers[0].a)
    if not by_path and m * sum(theta.size + paths.use_bias * len(theta) for theta in paths.weights) > MAX_PATHS:
        return ()
    return tuple(_derivative(paths, by_path, theta, weights, biases, eta) for theta in paths.parameters())


def _derivative(
    paths: Paths, by_path: bool, theta: tuple[int, int, int], weights: Compared, biases: Compared, eta: float
) -> Derivative:
    """Return the Derivative by one weight."""
    l, j, k = theta
    index = (j - 1, k - 1) if k else (j - 1,)
    value, gradient, kernel = (float(arrays[l - 1][index]) for arrays in (weights if k else biases))
    updated = np.array([value])
    reference.update([updated], [np.array([gradient])], eta)
    chains = (paths.to_cost if by_path else paths.to_delta)(l, j, k)
    return Derivative(l, j, k, value, chains, gradient, kernel, float(updated[0]))


def _pictured(
    paths: Paths,
    shown: _folding.Shown | None,
    gradients: tuple[Derivative, ...],
    weights: Compared,
    biases: Compared,
    eta: float,
) -> tuple[Derivative, ...]:
    """Return the Derivatives of the weights that the picture shows."""
    if shown is None:
        return ()
    wanted = list(shown.parameters(bias=paths.use_bias))
    if gradients:
        known = {(g.l, g.j, g.k): g for g in gradients}
        return tuple(known[theta] for theta in wanted)
    return tuple(_derivative(paths, False, theta, weights, biases, eta) for theta in wanted)


def _differences(gradients: Sequence[Derivative], weights: Compared, biases: Compared) -> tuple[float, float]:
    """Return the largest difference of the sums over the paths from `reference`, and from the kernels.

    Without sums, these are 0 and the largest difference of the kernels from `reference`.
    """
    if gradients:
        ours, theirs = (max(abs(g.sum - getattr(g, name)) for g in gradients) for name in ("reference", "kernel"))
        return ours, theirs
    pairs = [pair for _, ours, theirs in (weights, biases) for pair in zip(ours, theirs, strict=True)]
    return 0.0, max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)


def _remarks(trainer: Trainer, paths: Paths, gradients: Sequence[Derivative]) -> tuple[str, ...]:
    """Return sentences that say what is left out, and why."""
    remarks = []
    if paths.n_paths > MAX_PATHS:
        remarks.append(
            f"{count(paths.n_paths)} paths are too many to write out (at most {MAX_PATHS:,}). The chains stop at δ: "
            "∂J/∂Θˡ = (δˡ⁺¹)ᵀ aˡ and ∂J/∂bˡ = Σ_samples δˡ⁺¹."
        )
    if not gradients:
        remarks.append("There are too many weights to show each. See weight_gradients and bias_gradients.")
    if paths.cost_slopes is None:
        softmax = trainer.output_activation == "softmax"
        output = "A softmax output depends on all of zᴸ" if softmax else "The output activation goes with the loss"
        remarks.append(f"{output}: ∂J/∂zᴸ has one closed form, with which the chains begin.")
    if trainer._state.bounds.l1 or trainer._state.bounds.l2:
        remarks.append("J and its gradients cover the samples only: l1 and l2 are left out.")
    if any(trainer.dropout):
        remarks.append("Dropout is off.")
    if trainer.optimizer.name != "sgd":
        remarks.append(f"The update is plain gradient descent, not of {trainer.optimizer.name}.")
    if trainer.frozen or trainer.parameter_groups:
        remarks.append("The update is that of a trainer without frozen and parameter_groups.")
    return tuple(remarks)
