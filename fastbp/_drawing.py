"""Plots of numbers that need no Trainer, and what all plots share. Only this module and plots.py import matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _checks
from ._extras import not_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]


def require_matplotlib() -> None:
    """Raise an ImportError that names the extra to install if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise not_installed("plots need matplotlib", "plot") from None


def axes_of(ax: Axes | None) -> Axes:
    """Return the given axes, or those of a new figure."""
    require_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        return pyplot.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(_checks.wrong("ax", "a matplotlib Axes", _checks.kind_shown(ax, Axes)))
    return ax


def curves(epochs: Sequence[int], columns: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Plot losses on the left axis and metrics on the right one, with training dashed if there is validation.

    A star marks the epoch with the lowest val_loss, or loss where no val_loss was measured.

    Parameters
    ----------
    epochs : (e,) numbers of the epochs
    columns : name → (e,) values; names that start with val_ were measured on validation data
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    ax = axes_of(ax)
    from matplotlib.ticker import MaxNLocator

    losses = {name: values for name, values in columns.items() if name.endswith("loss")}
    metrics = {name: values for name, values in columns.items() if name not in losses}
    lines = _draw(ax, epochs, losses, first_color=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if metrics:
        right = ax.twinx()
        lines += _draw(right, epochs, metrics, first_color=1)
        right.set_ylabel(", ".join(dict.fromkeys(name.removeprefix("val_") for name in metrics)))
    lines += _mark_best(ax, epochs, losses)
    if lines:
        ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3, frameon=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def _draw(ax: Axes, epochs: Sequence[int], columns: Mapping[str, Sequence[float]], first_color: int) -> list[Any]:
    """Draw each quantity in its own color: validation solid, training dashed if there is validation, too."""
    bases = list(dict.fromkeys(name.removeprefix("val_") for name in columns))
    lines = []
    for name, values in columns.items():
        base = name.removeprefix("val_")
        dashed = name == base and f"val_{base}" in columns
        marker = "o" if len(epochs) == 1 else None
        lines += ax.plot(
            epochs,
            values,
            label=name,
            color=f"C{first_color + bases.index(base)}",
            linestyle="--" if dashed else "-",
            marker=marker,
        )
    return lines


def _mark_best(ax: Axes, epochs: Sequence[int], losses: Mapping[str, Sequence[float]]) -> list[Any]:
    """Draw a star at the lowest val_loss, or loss; none if neither is finite."""
    for name in ("val_loss", "loss"):
        values = np.asarray(losses.get(name, ()), np.float64)
        if np.isfinite(values).any():
            best = int(np.nanargmin(values))
            label = f"best {name}: epoch {epochs[best]}"
            return ax.plot(epochs[best], values[best], "*", color="black", markersize=12, zorder=3, label=label)
    return []


def bars(names: Sequence[str], means: Array, spreads: Array, label: str, title: str, ax: Axes | None = None) -> Axes:
    """Plot a horizontal bar for each name, from the top down, with its spread as a line.

    Parameters
    ----------
    names, means, spreads : (n,)
    label : of the numbers
    title : of the plot
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    new = ax is None
    ax = axes_of(ax)
    if new:
        ax.figure.set_size_inches(6.4, 1.2 + 0.3 * max(6, len(names)))  # type: ignore[union-attr]
    places = np.arange(len(names))
    ax.barh(places, means, xerr=spreads, color="C0", alpha=0.8, error_kw={"elinewidth": 1, "capsize": 2})
    ax.set_yticks(places, [name.replace("$", r"\$") for name in names])  # which begins a formula
    ax.invert_yaxis()
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_xlabel(label)
    ax.set_title(title)
    return ax


def range_test(
    learning_rates: Array, losses: Array, smoothed: Array, suggestion: float, ax: Axes | None = None
) -> Axes:
    """Plot losses over learning rates, as measured by `Trainer.find_learning_rate`, and the suggested rate.

    Parameters
    ----------
    learning_rates, losses, smoothed : (k,)
    suggestion : a learning rate
    ax : axes to draw into; by default, those of a new figure

    Returns
    -------
    The axes.
    """
    ax = axes_of(ax)
    ax.plot(learning_rates, losses, color="C0", alpha=0.35, label="loss of a batch")
    ax.plot(learning_rates, smoothed, color="C0", label="smoothed")
    ax.axvline(suggestion, color="black", linestyle=":", label=f"suggestion: {suggestion:.2g}")
    ax.set_xscale("log")
    ax.set_xlabel("learning rate η")
    ax.set_ylabel("loss")
    ax.legend(framealpha=1)  # its line may pass behind the legend
    return ax
