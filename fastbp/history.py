"""History: the measurements of each epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _drawing
from ._extras import not_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


_reading = RLock()  # held by the thread that makes the lists of losses
if hasattr(os, "register_at_fork"):  # don't fork while it is held: the child would lack the thread that releases it
    os.register_at_fork(before=_reading.acquire, after_in_parent=_reading.release, after_in_child=_reading.release)


class History(dict[str, list[float]]):
    """Dict of lists with one number per epoch for each name: ``history["loss"]``, ``history["val_accuracy"]``.

    You can pass it wherever a dict is accepted, such as ``pandas.DataFrame(history)`` or ``json.dumps(history)``. All
    lists are as long as `epochs`. An epoch in which a name was not measured has NaN in its list.

    Attributes
    ----------
    epochs : list of int
        Number of each epoch in the trainer's count, from 1.
    interrupted : bool
        Whether Ctrl-C ended the fit; in ``trainer.history``, the last fit.
    """

    def __init__(self) -> None:
        self["loss"] = []
        self.epochs: list[int] = []
        self.interrupted = False

    def extend(self, first: int, losses: Sequence[float]) -> None:
        """Add the losses of consecutive epochs, the first of which has the number `first`."""
        self.epochs += range(first, first + len(losses))
        self["loss"] += losses
        if len(self) > 1:
            self._fill()

    def put(self, place: int, first: int, losses: Sequence[float]) -> None:
        """Write them into the lists from a given index, over values that may already be there."""
        stop = place + len(losses)
        self.epochs[place:stop] = range(first, first + len(losses))
        self["loss"][place:stop] = losses
        self._fill()

    def _fill(self) -> None:
        """Append NaN to the lists of names that the last epochs did not measure."""
        for column in self.values():
            if len(column) < len(self.epochs):
                column.extend([math.nan] * (len(self.epochs) - len(column)))

    def add(self, measured: Mapping[str, float]) -> None:
        """Add more measurements to the last epoch."""
        for name, value in measured.items():
            self.setdefault(name, [math.nan] * len(self.epochs))[-1] = value

    def drop_last(self) -> None:
        """Delete the last epoch."""
        del self.epochs[-1]
        for column in self.values():
            del column[-1]

    def last(self) -> tuple[int, dict[str, float]]:
        """Return the number and the measurements of the last epoch."""
        return self.epochs[-1], {name: column[-1] for name, column in self.items()}

    def __missing__(self, name: str) -> list[float]:
        raise KeyError(f"{name!r} was not measured; there is {', '.join(self)}")

    @classmethod
    def restored(cls, columns: Mapping[str, list[float]], epochs: Sequence[int], interrupted: bool) -> History:
        """Return a History with the contents of a saved one."""
        history = cls()
        history.update({name: list(column) for name, column in columns.items()})
        history.epochs, history.interrupted = list(epochs), interrupted
        return history

    def __reduce__(self) -> tuple[Any, ...]:
        return History.restored, (dict(self), self.epochs, self.interrupted)

    def to_dict(self) -> dict[str, list[float]]:
        """Return a plain dict with copies of the lists."""
        return {name: list(column) for name, column in self.items()}

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame with a column for each name, indexed by epoch.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame("History.to_frame", self.to_dict()).set_axis(self.epochs).rename_axis("epoch")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the curves over the epochs. Metrics have a second axis on the right.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Axes to draw on; a new figure by default.

        Returns
        -------
        The axes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return _drawing.curves(self.epochs, self.to_dict(), ax)

    def __repr__(self) -> str:
        if not self.epochs:
            return "History(no epochs)"
        epoch, measured = self.last()
        values = ", ".join(f"{name}={value:.4g}" for name, value in measured.items())
        return f"History({len(self.epochs)} epochs; epoch {epoch}: {values})"


class LazyHistory:
    """A History that makes its lists only when it is read. Making them takes longer than epochs of tiny networks.

    Any thread may read it, and Ctrl-C may interrupt it. Each loss has a fixed index in the lists, and the arrays are
    released only after the lists have their values.

    Parameters
    ----------
    history : the initial History; empty by default
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = History() if history is None else history
        self._unread: list[tuple[int, int, npt.NDArray[np.float64]]] = []  # index, number of the first epoch, losses

    def __len__(self) -> int:
        """Number of epochs."""
        for place, _, losses in self._unread[-1:]:
            return place + len(losses)
        return len(self._history.epochs)

    def extend(self, first: int, losses: npt.NDArray[np.float64]) -> None:
        """Add epochs first, first + 1, … with their losses, an array that is not written to again."""
        self._unread.append((len(self), first, losses))

    def read(self) -> History:
        """Return the History, always the same object."""
        if self._unread:
            with _reading:
                while self._unread:
                    place, first, losses = self._unread[0]
                    self._history.put(place, first, losses.tolist())
                    del self._unread[0]
        return self._history

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the last fit."""
        return self._history.interrupted

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        self._history.interrupted = value


def frame(caller: str, data: Any) -> DataFrame:
    """Return a pandas DataFrame. If pandas is missing, raise an ImportError that names the extra to install."""
    try:
        import pandas
    except ImportError:
        raise not_installed(f"{caller} needs pandas", "pandas") from None
    return pandas.DataFrame(data)
