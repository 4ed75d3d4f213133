"""History: what each epoch measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class History(Mapping[str, list[float]]):
    """A list of numbers, one an epoch, for each name: ``history["loss"]``, ``history["val_accuracy"]``.

    A mapping: ``dict(history)``, ``history.keys()``, ``"val_loss" in history`` do what they do for a dict. An epoch
    that did not measure a name has NaN there.

    Attributes
    ----------
    epochs : list of int
        The trainer's number of each epoch, from 1.
    interrupted : bool
        Whether Ctrl-C ended the last fit.
    """

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.interrupted = False
        self._columns: dict[str, list[float]] = {}

    def extend(self, first: int, losses: Sequence[float]) -> None:
        """Add epochs first, first + 1, … with their losses."""
        self.epochs.extend(range(first, first + len(losses)))
        self._pad("loss", len(self.epochs) - len(losses)).extend(losses)

    def add(self, measured: Mapping[str, float]) -> None:
        """Add to the last epoch what else it measured."""
        for name, value in measured.items():
            self._pad(name, len(self.epochs) - 1).append(value)

    def last(self) -> tuple[int, dict[str, float]]:
        """The last epoch's number and what it measured."""
        return self.epochs[-1], {name: column[-1] for name, column in self.to_dict().items()}

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._columns:
            raise KeyError(f"{name!r} was not measured; there is {', '.join(self) or 'nothing yet'}")
        return list(self._pad(name, len(self.epochs)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _pad(self, name: str, length: int) -> list[float]:
        """The column, filled with NaN up to the length."""
        column = self._columns.setdefault(name, [])
        column.extend([math.nan] * (length - len(column)))
        return column

    def to_dict(self) -> dict[str, list[float]]:
        """A plain dict of lists."""
        return dict(self)

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame, a column for each name, indexed by epoch.

        Raises
        ------
        ImportError
            Where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("History.to_frame needs pandas: pip install 'fastbp[pandas]'") from None
        return pandas.DataFrame(self.to_dict(), index=pandas.Index(self.epochs, name="epoch"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curves over the epochs; metrics go to a second axis on the right.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        The axes.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        """
        return plots.curves(self.epochs, self.to_dict(), ax)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        epoch, measured = self.last()
        values = ", ".join(f"{name}={value:.4g}" for name, value in measured.items())
        return f"History({len(self.epochs)} epochs; epoch {epoch}: {values})"
