"""History: what each epoch measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class History(dict[str, list[float]]):
    """A list of numbers, one an epoch, for each name: ``history["loss"]``, ``history["val_accuracy"]``.

    A dict, so that what takes a dict takes it: ``pandas.DataFrame(history)``, ``json.dumps(history)``. All lists are as
    long as `epochs`; an epoch that did not measure a name has NaN there.

    Attributes
    ----------
    epochs : list of int
        The trainer's number of each epoch, from 1.
    interrupted : bool
        Whether Ctrl-C ended the fit, or the trainer's last one.
    """

    def __init__(self) -> None:
        super().__init__(loss=[])
        self.epochs: list[int] = []
        self.interrupted = False

    def extend(self, first: int, losses: Sequence[float]) -> None:
        """Add epochs first, first + 1, … with their losses."""
        self.epochs.extend(range(first, first + len(losses)))
        self["loss"].extend(losses)
        self._fill()

    def _fill(self) -> None:
        """NaN where the last epochs did not measure a name."""
        for column in self.values():
            column.extend([math.nan] * (len(self.epochs) - len(column)))

    def add(self, measured: Mapping[str, float]) -> None:
        """Add to the last epoch what else it measured."""
        for name, value in measured.items():
            self.setdefault(name, [math.nan] * len(self.epochs))[-1] = value

    def drop_last(self) -> None:
        """Forget the last epoch."""
        del self.epochs[-1]
        for column in self.values():
            del column[-1]

    def last(self) -> tuple[int, dict[str, float]]:
        """The last epoch's number and what it measured."""
        return self.epochs[-1], {name: column[-1] for name, column in self.items()}

    def __missing__(self, name: str) -> list[float]:
        raise KeyError(f"{name!r} was not measured; there is {', '.join(self)}")

    @classmethod
    def restored(cls, columns: Mapping[str, list[float]], epochs: Sequence[int], interrupted: bool) -> History:
        """A History of what another one held."""
        history = cls()
        history.update({name: list(column) for name, column in columns.items()})
        history.epochs, history.interrupted = list(epochs), interrupted
        return history

    def __reduce__(self) -> tuple[Any, ...]:
        return History.restored, (dict(self), self.epochs, self.interrupted)

    def to_dict(self) -> dict[str, list[float]]:
        """A plain dict of lists, its own."""
        return {name: list(column) for name, column in self.items()}

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame, a column for each name, indexed by epoch.

        Raises
        ------
        ImportError
            Where pandas is not installed.
        """
        return frame("History.to_frame", self.to_dict()).set_axis(self.epochs).rename_axis("epoch")

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


class LazyHistory:
    """A History whose lists are made when it is read: that takes longer than epochs of tiny networks do.

    Parameters
    ----------
    history : what it begins with; by default nothing
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = history or History()
        self._unread: list[tuple[int, npt.NDArray[np.float64]]] = []

    def __len__(self) -> int:
        """How many epochs there are."""
        return len(self._history.epochs) + sum(len(losses) for _, losses in self._unread)

    def extend(self, first: int, losses: npt.NDArray[np.float64]) -> None:
        """Add epochs first, first + 1, … with their losses, to which nobody writes any more."""
        self._unread.append((first, losses))

    def read(self) -> History:
        """The History, always the same one."""
        while self._unread:
            first, losses = self._unread.pop(0)
            self._history.extend(first, losses.tolist())
        return self._history

    @property
    def interrupted(self) -> bool:
        """As the History has it."""
        return self._history.interrupted

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        self._history.interrupted = value


def frame(caller: str, data: Any) -> DataFrame:
    """A pandas DataFrame of what pandas takes for one; where it is missing, the word how to get it."""
    try:
        import pandas
    except ImportError:
        raise ImportError(f"{caller} needs pandas: pip install 'fastbp[pandas]'") from None
    return pandas.DataFrame(data)
