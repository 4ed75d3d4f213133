"""Pictures of plain arrays; the door to matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def require_matplotlib() -> None:
    """Say which extra to install where matplotlib is not there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'fastbp[plot]'") from None


def curves(epochs: Sequence[int], columns: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Losses on the left axis, metrics on the right one; training dashed where there is validation.

    Parameters
    ----------
    epochs : (e,) numbers of the epochs
    columns : name → (e,) values; names that start with val_ were measured on validation data
    ax : axes to draw into, by default a new figure's
    """
    require_matplotlib()
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    if ax is None:
        ax = pyplot.subplots(layout="constrained")[1]
    losses = {name: values for name, values in columns.items() if name.endswith("loss")}
    metrics = {name: values for name, values in columns.items() if name not in losses}
    lines = _draw(ax, epochs, losses, first_color=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    if metrics:
        right = ax.twinx()
        lines += _draw(right, epochs, metrics, first_color=1)
        right.set_ylabel(", ".join(name for name in metrics if not name.startswith("val_")))
    if lines:
        ax.legend(handles=lines, loc="center right")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def _draw(ax: Axes, epochs: Sequence[int], columns: Mapping[str, Sequence[float]], first_color: int) -> list[Any]:
    """One color for a quantity; its validation solid, its training dashed where both are there."""
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
