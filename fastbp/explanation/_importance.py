"""fastbp.explanation.importance: how much worse a network gets when the values of an input are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks, _drawing, metrics as metric_functions
from .._names import without_index
from .._terminal import shortened
from .._training.measures import penalty
from ..callbacks._watch import direction
from ..trainer import Trainer
from ._shares import Line, bars, number, wrapped, written
from ._told import MOST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

NAME = 30  # characters of a name in a plot
AT_ONCE = 1 << 22  # numbers of shuffled samples that are measured together


@dataclass(frozen=True, eq=False)
class Importance:
    """How much worse a measure gets when the values of an input, or of a group of inputs, are shuffled.

    Attributes
    ----------
    names : tuple of str
        The names of the inputs or groups.
    values : (n, repeats) float64
        By how much the measure gets worse, for each shuffle. About 0 means that the network doesn't need the input.
    measure : str
        The name of the measure.
    measured : float
        The measure without shuffling.
    n_samples : int
        Number of samples.
    kind : str
        What the names are names of: "input", or "column" of a table.
    """

    names: tuple[str, ...]
    values: Array = field(repr=False)
    measure: str
    measured: float
    n_samples: int
    kind: str = "input"

    @property
    def means(self) -> Array:
        """The mean over the shuffles, (n,)."""
        means: Array = self.values.mean(axis=1)
        return means

    @property
    def spreads(self) -> Array:
        """The standard deviation over the shuffles, (n,)."""
        spreads: Array = self.values.std(axis=1)
        return spreads

    @property
    def order(self) -> list[int]:
        """The numbers of the names, the most important first."""
        found: list[int] = np.argsort(-self.means, kind="stable").tolist()
        return found

    def text(self, width: int = 80, bar: str = "█") -> str:
        """Return a table with bars, the most important first.

        Parameters
        ----------
        width : number of characters of a line
        bar : character of which the bars consist
        """
        means, spreads, order, shown = self.means, self.spreads, self.order, self._shown
        repeats, longest = self.values.shape[1], float(max(np.abs(means).max(), spreads.max()))
        *texts, most = written(
            [*means[shown], *spreads[shown], means[order[len(shown) % len(order)]], longest], digits=4
        )[:-1]
        pairs = zip(shown, texts[: len(shown)], texts[len(shown) :], strict=True)
        top = float(means.max())
        lines = [
            Line(
                self.names[j], "", f"{mean} ± {spread}" if repeats > 1 else mean, means[j] / top if means[j] > 0 else 0
            )
            for j, mean, spread in pairs
        ]
        spread = f"mean ± standard deviation of {repeats} shuffles" if repeats > 1 else "one shuffle"
        head = (
            f"{self.measure} of {self.n_samples:,} rows: {number(self.measured)}. How much worse it gets when the "
            f"values of one {self.kind} are shuffled ({spread}):"
        )
        left_out = len(order) - len(shown)
        more = [f"  … and {left_out} more {self.kind}s, each {most} at most"] if left_out else []
        return "\n".join([wrapped(head, width), "", *bars(lines, width, bar), *more])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the means as bars and the spreads as lines, the most important names first.

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
        shown, left_out = self._shown, len(self.names) - len(self._shown)
        names = [shortened(self.names[j], NAME) for j in shown]
        label = f"how much worse the {self.measure} gets"
        more = f", the {len(shown)} most important of {len(self.names)}" if left_out else ""
        title = f"importance of each {self.kind}{more}"
        return _drawing.bars(names, self.means[shown], self.spreads[shown], label, title, ax)

    @property
    def _shown(self) -> list[int]:
        """The numbers of the names that the text and the plot show."""
        order = self.order
        return order if len(order) <= MOST + 1 else order[:MOST]

    def __str__(self) -> str:
        return self.text()


def importance(
    trainer: Trainer,
    X: Any,
    y: Any,
    *,
    metric: str | Callable[[Array, Array], float] | None = None,
    groups: Mapping[str, slice] | None = None,
    repeats: SupportsIndex = 5,
    seed: SupportsIndex = 0,
    mode: str = "auto",
) -> Importance:
    """Compute the permutation importance of each input (Breiman, 2001).

    The values of an input are shuffled among the samples, and the measure is compared with that of the samples as they
    are. Use samples that the network was not trained on. Inputs that carry the same information share their importance:
    shuffling one of them changes little.

    Parameters
    ----------
    trainer : Trainer
    X : (n, n_1)
    y : as in `Trainer.fit`
    metric : name or function of (y, output), optional
        One of the metrics of `Trainer.evaluate`. By default, the loss without penalties.
    groups : {name: slice}, optional
        Inputs that are shuffled together, such as the one-hot inputs of a column. By default, each input is shuffled
        by itself.
    repeats : int
        Number of shuffles of each input.
    seed : int
        The same seed gives the same shuffles.
    mode : {"auto", "min", "max"}
        Whether smaller or larger values of the metric are better. "auto" goes by its name.

    Returns
    -------
    Importance
        ``print`` it to see a table.

    Raises
    ------
    ValueError, TypeError
        For bad input.

    Examples
    --------
    >>> trainer = Trainer([2, 1], initializer=([[[3.0, 0.0]]], [[0.0]]))
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> fastbp.explanation.importance(trainer, X, 3 * X[:, 0]).means.round(1)
    array([8., 0.])
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
    _checks.no_stream("X", X)
    X = trainer._state.column_names.inputs("X", X)
    X = _checks.numbers("X", without_index(X))
    X = _checks.matrix("X", X, trainer.layer_sizes[0], trainer._state.dtype_of(X))
    if len(X) < 2:
        raise ValueError(_checks.wrong("X", "two or more samples, because there is nothing to shuffle in one", len(X)))
    names = metric_functions.metric_names(metric)
    if len(names) > 1:
        raise ValueError(_checks.wrong("metric", "one metric", f"{len(names)}"))
    name = metric_functions.name_of(names[0]) if names else "loss"
    sign = direction(name, _checks.one_of("mode", mode, ["auto", "min", "max"]))

    def measured(samples: Array) -> list[float]:
        values = [trainer.evaluate(X, y, names)[name] for X in samples]
        return values if names else [value - penalty(trainer._state) for value in values]

    features = trainer.feature_names or tuple(f"x{j + 1}" for j in range(X.shape[1]))
    parts = {name: slice(j, j + 1) for j, name in enumerate(features)} if groups is None else groups
    before, values = shuffled(X, measured, list(parts.values()), sign, repeats, seed)
    return Importance(tuple(parts), values, name, before, len(X))


def shuffled(
    X: Array,
    measured: Callable[[Array], Sequence[float]],
    parts: Sequence[slice],
    sign: int,
    repeats: SupportsIndex,
    seed: SupportsIndex,
    tell: Callable[[int], object] = lambda _: None,
) -> tuple[float, Array]:
    """Return a measure of X, and by how much it gets worse for each part and shuffle, (number of parts, repeats).

    Parameters
    ----------
    X : (n, n_1)
    measured : returns the measures of several sets of samples, given as (k, n, n_1)
    parts : the columns of X that are shuffled together
    sign : 1 if larger measures are better, otherwise −1
    repeats, seed : as in `importance`
    tell : called with the number of shuffles that are done since the last call
    """
    repeats = _checks.whole("repeats", repeats, minimum=1)
    rng = np.random.default_rng(_checks.whole("seed", seed, minimum=0))
    n, (before,) = len(X), measured(X[None])
    jobs = [(j, i) for j in range(len(parts)) for i in range(repeats)]
    together = max(1, min(len(jobs), AT_ONCE // X.size))  # one call for many shuffles uses the processor better
    copies, values = np.repeat(X[None], together, axis=0), np.zeros((len(parts), repeats))
    for start in range(0, len(jobs), together):
        some = jobs[start : start + together]
        for copy, (j, _) in zip(copies, some, strict=False):
            copy[:, parts[j]] = X[rng.permutation(n), parts[j]]
        for (j, i), value in zip(some, measured(copies[: len(some)]), strict=True):
            values[j, i] = sign * (before - value)
        for copy, (j, _) in zip(copies, some, strict=False):
            copy[:, parts[j]] = X[:, parts[j]]
        tell(len(some))
    return before, values
