"""fastbp.explanation.importance: how much worse a network gets when the values of an input are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics as metric_functions
from .._names import without_index
from .._training.measures import penalty
from ..callbacks._watch import direction
from ..trainer import Trainer
from ._shares import Line, bars, number, wrapped, written

Array = npt.NDArray[Any]

MOST = 15  # the most names in the text; the others are counted


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
        means, spreads, order = self.means, self.spreads, self.order
        shown = order if len(order) <= MOST + 1 else order[:MOST]
        longest = float(np.abs(means).max()) or 1.0
        lines = [
            Line(
                self.names[j], "", f"{means[j] + 0.0:.4f} ± {spreads[j]:.4f}", means[j] / longest if means[j] > 0 else 0
            )
            for j in shown
        ]
        head = (
            f"{self.measure} of {self.n_samples:,} rows: {number(self.measured)}. How much worse it gets when the "
            f"values of one {self.kind} are shuffled (mean ± standard deviation of {self.values.shape[1]} shuffles):"
        )
        left_out = len(order) - len(shown)
        most = written([float(means[order[MOST]]), longest], digits=4)[0] if left_out else ""
        more = [f"  … and {left_out} more {self.kind}s, each {most} at most"] if left_out else []
        return "\n".join([wrapped(head, width), "", *bars(lines, width, bar), *more])

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
    names = metric_functions.metric_names(metric)
    if len(names) > 1:
        raise ValueError(_checks.wrong("metric", "one metric", f"{len(names)}"))
    name = metric_functions.name_of(names[0]) if names else "loss"
    sign = direction(name, _checks.one_of("mode", mode, ["auto", "min", "max"]))

    def measured(X: Array) -> float:
        value = trainer.evaluate(X, y, names)[name]
        return value if names else value - penalty(trainer._state)

    features = trainer.feature_names or tuple(f"x{j + 1}" for j in range(X.shape[1]))
    parts = {name: slice(j, j + 1) for j, name in enumerate(features)} if groups is None else groups
    before, values = shuffled(X, measured, list(parts.values()), sign, repeats, seed)
    return Importance(tuple(parts), values, name, before, len(X))


def shuffled(
    X: Array,
    measured: Callable[[Array], float],
    parts: Sequence[slice],
    sign: int,
    repeats: SupportsIndex,
    seed: SupportsIndex,
) -> tuple[float, Array]:
    """Return a measure of X, and by how much it gets worse for each part and shuffle, (number of parts, repeats).

    Parameters
    ----------
    X : (n, n_1)
    measured : returns the measure of samples
    parts : the columns of X that are shuffled together
    sign : 1 if larger measures are better, otherwise −1
    repeats, seed : as in `importance`
    """
    repeats = _checks.whole("repeats", repeats, minimum=1)
    rng = np.random.default_rng(_checks.whole("seed", seed, minimum=0))
    before, X = measured(X), X.copy()
    values = np.zeros((len(parts), repeats))
    for row, part in zip(values, parts, strict=True):
        kept = X[:, part].copy()
        for i in range(repeats):
            X[:, part] = kept[rng.permutation(len(X))]
            row[i] = sign * (before - measured(X))
        X[:, part] = kept
    return before, values
