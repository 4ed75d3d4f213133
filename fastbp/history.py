"""History: what each epoch measured."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


_reading = RLock()  # held by the thread that makes lists of losses
if hasattr(os, "register_at_fork"):  # no fork may come meanwhile: the child would lack the thread that lets it go
    os.register_at_fork(before=_reading.acquire, after_in_parent=_reading.release, after_in_child=_reading.release)


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
        self.put(len(self.epochs), first, losses)

    def put(self, place: int, first: int, losses: Sequence[float]) -> None:
        """The same from a place in the lists on, which may have been filled already."""
        stop = place + len(losses)
        self.epochs[place:stop] = range(first, first + len(losses))
        self["loss"][place:stop] = losses
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

    Any thread may read it, and Ctrl-C may come meanwhile: losses are let go of once they are in the lists, where each
    has its place.

    Parameters
    ----------
    history : what it begins with; by default nothing
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = History() if history is None else history
        self._unread: list[tuple[int, int, npt.NDArray[np.float64]]] = []  # place, number of the first epoch, losses

    def __len__(self) -> int:
        """How many epochs there are."""
        for place, _, losses in self._unread[-1:]:
            return place + len(losses)
        return len(self._history.epochs)

    def extend(self, first: int, losses: npt.NDArray[np.float64]) -> None:
        """Add epochs first, first + 1, … with their losses, to which nobody writes any more."""
        self._unread.append((len(self), first, losses))

    def read(self) -> History:
        """The History, always the same one."""
        if self._unread:
            with _reading:
                while self._unread:
                    place, first, losses = self._unread[0]
                    self._history.put(place, first, losses.tolist())
                    del self._unread[0]
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
