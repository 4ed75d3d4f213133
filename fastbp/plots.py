"""Plots of networks, their training and their predictions. Only this module and _drawing.py import matplotlib.

Each function draws into the axes that you pass as ``ax``, or into those of a new pyplot figure, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _checks, reference
from ._drawing import axes_of, curves, range_test, require_matplotlib
from ._symbols import Symbol
from ._writing import replacing
from .metrics import PredictedSamples, accuracy, check_classes
from .trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "activations",
    "confusion_matrix",
    "curves",
    "decision_boundary",
    "gradients",
    "network",
    "range_test",
    "weights",
]

Array = npt.NDArray[Any]

MAX_UNITS = 12  # the most units of a layer that are drawn
MAX_LAYERS = 9  # the most layers whose names fit side by side
MAX_CLASSES = 30  # the most classes for which the counts are readable
GRID = 300  # points per side in the image of a decision boundary
MARKERS = "osD^vP*X<>"  # so that classes differ in more than color


def check_picture(argument: str, path: str) -> None:
    """Check that a path ends in an image format that `save` can write."""
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in kinds:
        raise ValueError(_checks.wrong(argument, f"a file name that ends in .{', .'.join(sorted(kinds))}", repr(path)))


def save(ax: Axes, path: str) -> None:
    """Write the whole figure in the format of the path's extension, and close it."""
    from matplotlib import pyplot

    figure: Any = ax.figure
    try:
        with replacing(path) as file:
            figure.savefig(file, format=Path(path).suffix[1:].lower())
    finally:
        pyplot.close(figure)


def weights(trainer: Trainer, ax: Axes | None = None) -> Axes:
    """Plot a histogram of each Θˡ, one below the other, without biases.

    Parameters
    ----------
    trainer : Trainer
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    rows = {str(Symbol("Θ", l)): theta for l, theta in enumerate(trainer.weights, 1)}
    return _ridges(rows, "weight θ", "weights by layer", ax)


def activations(trainer: Trainer, X: Any, ax: Axes | None = None) -> Axes:
    """Plot a histogram of each aˡ over all units and samples, from the first hidden layer to the output.

    Parameters
    ----------
    trainer : Trainer
    X : as in `Trainer.predict`
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    _checks.plain("trainer", trainer.network)
    X = _checks.matrix("X", trainer._state.column_names.inputs("X", X), trainer.layer_sizes[0], np.float64)
    names = trainer.network.activations
    _, a = reference.forward(*trainer._state.folded(), names, X)
    rows = {f"{Symbol('a', l)}, {name}": a[l - 1] for l, name in enumerate(names, 2)}
    return _ridges(rows, "activation a", "activations by layer", ax)


def gradients(trainer: Trainer, X: Any, y: Any, ax: Axes | None = None) -> Axes:
    """Plot a histogram of log₁₀ |∂J/∂θ| for each Θˡ, which shows where gradients vanish or explode.

    Parameters
    ----------
    trainer : Trainer
    X, y : as in `Trainer.fit`
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    rows = {}
    for l, gradient in enumerate(trainer.gradients(X, y).weights, 1):
        sizes = np.abs(gradient[gradient != 0].astype(np.float64))
        zeros = f", {1 - sizes.size / gradient.size:.0%} are 0" if sizes.size < gradient.size else ""
        rows[f"∂J/∂{Symbol('Θ', l)}{zeros}"] = np.log10(sizes)
    return _ridges(rows, "log₁₀ |∂J/∂θ|", "gradients by layer", ax)


def _ridges(rows: Mapping[str, Array], xlabel: str, title: str, ax: Axes | None) -> Axes:
    """Draw a histogram for each row, from top to bottom, all of the same height."""
    for name, values in rows.items():
        _check_drawable(name, values)
    ax = axes_of(ax)
    places = range(len(rows) - 1, -1, -1)
    for place, values in zip(places, rows.values(), strict=True):
        if values.size:
            counts, edges = np.histogram(values, bins=int(np.clip(np.sqrt(values.size), 5, 60)))
            ax.stairs(place + 0.85 * counts / counts.max(), edges, baseline=place, fill=True, color="C0", alpha=0.7)
        ax.axhline(place, color="0.8", linewidth=0.8, zorder=0)
    ax.set_yticks([place + 0.4 for place in places], list(rows))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.1, len(rows))
    ax.set_xlabel(xlabel)
    ax.set_title(title)
    return ax


def decision_boundary(trainer: Trainer, X: Any, y: Any, ax: Axes | None = None) -> Axes:
    """Plot the regions where a network with two inputs predicts each class, and the samples in their classes' colors.

    Parameters
    ----------
    trainer : Trainer
        A network with two inputs and exclusive classes.
    X, y : as in `Trainer.fit`
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    if trainer.layer_sizes[0] != 2:
        expected = "a network with two inputs, for a decision boundary"
        raise ValueError(_checks.wrong("trainer", expected, trainer.layer_sizes[0]))
    samples = _classified(trainer, X, y, "a decision boundary separates classes")
    points = np.asarray(_checks.matrix("X", X, 2, trainer.dtype), np.float64)
    ax = axes_of(ax)
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    n_classes = max(2, trainer._state.n_targets)
    few = n_classes <= 10
    colors = ListedColormap(colormaps["tab10" if few else "turbo"](np.arange(n_classes) / (10 if few else n_classes)))
    margin = 0.1 * np.ptp(points, axis=0)
    margin[margin == 0] = 1.0
    (left, bottom), (right, top) = points.min(axis=0) - margin, points.max(axis=0) + margin
    grid = np.stack(np.meshgrid(np.linspace(left, right, GRID), np.linspace(bottom, top, GRID)), axis=-1)
    regions = trainer.predict_classes(grid.reshape(-1, 2)).reshape(GRID, GRID)
    extent = (left, right, bottom, top)
    ax.imshow(
        regions, cmap=colors, vmin=-0.5, vmax=n_classes - 0.5, alpha=0.3, extent=extent, origin="lower", aspect="auto"
    )
    for k in np.unique(samples.truth):
        own, marker = points[samples.truth == k], MARKERS[k % len(MARKERS)]
        ax.scatter(
            own[:, 0],
            own[:, 1],
            s=24,
            color=colors(int(k)),
            marker=marker,
            edgecolors="black",
            linewidths=0.5,
            label=str(k),
        )
    ax.set_xlabel("input 1")
    ax.set_ylabel("input 2")
    ax.legend(title="class", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def confusion_matrix(
    trainer: Trainer, X: Any, y: Any, ax: Axes | None = None, *, class_names: Sequence[Any] | None = None
) -> Axes:
    """Plot how many samples of each true class the network predicts as each class, with counts for up to 30 classes.

    Parameters
    ----------
    trainer : Trainer
        A network with exclusive classes.
    X, y : as in `Trainer.fit`
    ax : axes to draw into; by default, those of a new figure
    class_names : sequence, optional
        The names of the classes 0, 1, …, such as ``data.target_names``. By default, the names in the table that
        ``fastbp train`` trained the network on, otherwise the numbers.

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    samples = _classified(trainer, X, y, "a confusion matrix counts classes")
    n = max(2, trainer._state.n_targets)
    names = _class_names(trainer, class_names, n)
    counts = np.bincount(samples.truth * n + samples.predicted, minlength=n * n).reshape(n, n)
    ax = axes_of(ax)
    from matplotlib.ticker import MaxNLocator

    image = ax.imshow(counts, cmap="Blues", vmin=0)
    if n <= MAX_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            size = min(10, 120 / n)
            ax.text(column, row, str(count), ha="center", va="center", color=color, fontsize=size)
        ax.set_xticks(range(n), names)
        ax.set_yticks(range(n), names)
        if max(map(len, names)) > 60 // n:  # they would overlap
            for label in ax.get_xticklabels():
                label.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.figure.colorbar(image, ax=ax, label="samples", ticks=MaxNLocator(integer=True))
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.set_title(f"accuracy {accuracy(samples):.3g} of {len(samples.output):,} samples")
    return ax


def _class_names(trainer: Trainer, given: Sequence[Any] | None, n: int) -> list[str]:
    """Return the names of n classes: those given, those in the trainer's table, or the numbers."""
    if given is None:
        found = getattr(trainer._table and trainer._table.target, "categories", ())
        given = found if len(found) == n else range(n)
    names = [str(name) for name in _checks.sequence("class_names", given, f"{n} names")]
    if len(names) != n:
        raise ValueError(_checks.wrong("class_names", f"{n} names, one for each class", f"{len(names)}"))
    return names


def _classified(trainer: Trainer, X: Any, y: Any, reason: str) -> PredictedSamples:
    """Return samples with their classes and the network's outputs."""
    if trainer._state.multi_label:
        came = "labels that are not exclusive"
        raise ValueError(_checks.wrong("trainer", f"a network with exclusive classes, because {reason}", came))
    data = trainer._intake.data("X", X, "y", y, scaled=False)
    check_classes("y", data.targets, reason, trainer._state.threshold, False)
    output = trainer.predict(data.X)
    _check_drawable("outputs", output)  # NaN belongs to no class
    return PredictedSamples(data.targets, data.labels, output, trainer._state.threshold, False)


def network(trainer: Trainer, ax: Axes | None = None) -> Axes:
    """Draw the network: weights as lines and biases as filled units, both colored by value.

    Only the first six and the last six units of a layer with more than 12 units are drawn, and a text under the layer
    says how many it has. The color scale covers the numbers that are drawn.

    Parameters
    ----------
    trainer : Trainer
        A network with at most 9 layers.
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    _check_trainer(trainer)
    _checks.plain("trainer", trainer.network)
    sizes = trainer.layer_sizes
    if len(sizes) > MAX_LAYERS:
        expected = f"a network with at most {MAX_LAYERS} layers"
        raise ValueError(_checks.wrong("trainer", expected, f"{len(sizes)} layers"))
    for name, arrays in (("weights", trainer.weights), ("biases", trainer.biases)):
        for array in arrays:
            _check_drawable(name, array)
    ax = axes_of(ax)
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import CenteredNorm

    drawn = [_drawn_units(n) for n in sizes]
    heights = [_heights(n) for n in sizes]
    lines, values = [], []
    for l, theta in enumerate(trainer.weights):
        for j, to in zip(drawn[l + 1], heights[l + 1], strict=True):
            for k, start in zip(drawn[l], heights[l], strict=True):
                lines.append([(l, start), (l + 1, to)])
                values.append(float(theta[j, k]))
    fillings = [bias[units].astype(np.float64) for bias, units in zip(trainer.biases, drawn[1:], strict=True)]
    largest = max(float(np.abs(array).max()) for array in (np.array(values), *fillings)) or 1.0
    norm = CenteredNorm(0, largest)
    widths = 0.5 + 2 * np.abs(values) / largest
    ax.add_collection(LineCollection(lines, array=np.array(values), cmap="coolwarm", norm=norm, linewidths=widths))
    ax.scatter(np.zeros(len(heights[0])), heights[0], s=140, color="white", edgecolors="black", zorder=3)
    for l, filling in enumerate(fillings, 1):
        place = np.full(len(filling), l)
        ax.scatter(place, heights[l], s=140, c=filling, cmap="coolwarm", norm=norm, edgecolors="black", zorder=3)
    lowest = min(layer[-1] for layer in heights)
    for l, (n, name) in enumerate(zip(sizes, ("input", *trainer.network.activations), strict=True)):
        cut = f"\n{MAX_UNITS} drawn" if n > MAX_UNITS else ""
        ax.text(l, lowest - 0.6, f"{name}\n{n:,} unit{'s' * (n > 1)}{cut}", ha="center", va="top", fontsize=8)
        if cut:
            ax.text(l, 0, "⋮", ha="center", va="center", fontsize=14)
    ax.figure.colorbar(ScalarMappable(norm, "coolwarm"), ax=ax, label="weight (lines), bias (circles)")
    ax.set_xlim(-0.4, len(sizes) - 0.6)
    ax.set_ylim(lowest - 0.6, 0.6 - lowest)
    ax.set_axis_off()
    return ax


def _drawn_units(n: int) -> Array:
    """Return the numbers of the units that are drawn, out of n."""
    half = MAX_UNITS // 2
    return np.arange(n) if n <= MAX_UNITS else np.r_[:half, n - half : n]


def _heights(n: int) -> Array:
    """Return the heights of the drawn units from the top down, around 0, with a gap where units are left out."""
    count = min(n, MAX_UNITS)
    heights = np.arange(count, 0, -1) - 1.0
    if n > MAX_UNITS:
        heights[: MAX_UNITS // 2] += 1
    return heights - heights.max() / 2


def _check_drawable(what: str, values: Array) -> None:
    """Refuse a network with NaN or infinite numbers."""
    bad = values[~np.isfinite(values)]
    if bad.size:
        came = f"{bad.size} that are not finite, such as {bad[0]}"
        raise ValueError(_checks.wrong("trainer", f"finite {what}", came))


def _check_trainer(trainer: object) -> None:
    """Refuse an argument that isn't a Trainer."""
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
