"""fastbp.explanation.contributions: how much each input contributes to what a network predicts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._names import Names, labels_of_row, without_index
from ..losses import BinaryCrossEntropy, CrossEntropy, Hinge
from ..trainer import Trainer
from . import _html, _shares
from ._explanation import Explanation
from ._integrals import Answer, Lines, integrate
from ._layer_lines import LayerLines, copy_of
from ._told import Shares, Told

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Contributions(Shares):
    """How much each input, or group of inputs, contributes to one output of the network, for each of m samples.

    Attributes
    ----------
    names : tuple of str
        The names of the inputs or groups.
    values : (m, n) float64
        The contributions. Those of a sample add up to the difference between outputs and baseline_outputs.
    outputs, baseline_outputs : (m,) float64
        The output that is explained: for the sample, and for the baseline.
    chosen : (m,) int64
        The number of the output that is explained, from 0. For a single output with two classes, the number of the
        class, 0 or 1.
    differences : (m,) float64
        How far the sum of the contributions of a sample is from what it should be.
    told : tuple
        For each sample, what the text and the page say about it.
    kind : str
        What the names are names of: "input", or "column" of a table.
    baseline_name : str
        What the text and the page call the baseline.
    """

    def text(self, width: int = 80, bar: str = "█") -> str:
        """Return a table for each sample, or for several samples their average and one line each.

        Parameters
        ----------
        width : number of characters of a line
        bar : character of which the bars consist
        """
        return _shares.text(self, width, bar)

    def to_html(self, path: str | os.PathLike[str] | None = None, explanation: Explanation | None = None) -> str:
        """Return an HTML page that shows the contributions.

        Parameters
        ----------
        path : file to write it to, optional
            The page is self-contained and works offline.
        explanation : Explanation, optional
            What `fastbp.explain` returned for the same samples. The page shows it below the contributions.

        Returns
        -------
        str
            The page.
        """
        return _html.saved(explanation, self, path)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return _html.frame(None, self)


def contributions(
    trainer: Trainer,
    X: Any,
    *,
    baseline: Any,
    output: int | None = None,
    groups: Mapping[str, slice] | None = None,
) -> Contributions:
    """Compute how much each input contributes to a prediction, with integrated gradients.

    A contribution is (x_i − b_i) times the average of ∂output/∂x_i on the straight line from the baseline b to the
    sample x (Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", 2017). The contributions of a
    sample add up to output(x) − output(b). Lines are divided at the kinks of the activations, and further until the
    sum agrees: its error is below 0.001 of the difference, unless large contributions cancel almost completely.
    Everything is computed in float64. The trainer does not change.

    In a network with embeddings of categories, the categories stay those of the sample on the whole line, so that
    baseline_outputs differ between samples, and their contributions are 0.

    Parameters
    ----------
    trainer : Trainer
    X : (m, n_1), or (n_1,)
        One or several samples.
    baseline : (n_1,)
        Where the lines begin: for example the mean of the training samples, ``X_train.mean(axis=0)``.
    output : int, optional
        The number of the output to explain, from 0. By default it is the only one; or with a loss for classes, the
        probability (with the hinge loss: the output) of the class that is predicted for each sample.
    groups : {name: slice}, optional
        Inputs whose contributions are added up, such as the one-hot inputs of a column. By default, each input counts
        by itself.

    Returns
    -------
    Contributions
        ``print`` it, display it in a notebook, or write it to a file with ``to_html("page.html")``.

    Raises
    ------
    ValueError, TypeError
        For bad input, for a network with several outputs that are not classes and no ``output``, and for a network
        whose outputs are not finite.

    Examples
    --------
    >>> trainer = Trainer([2, 1], initializer=([[[3.0, -1.0]]], [[0.5]]), dtype="float64")
    >>> fastbp.explanation.contributions(trainer, [1, 2], baseline=[0, 0]).values
    array([[ 3., -2.]])
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(_checks.wrong("trainer", "a fastbp.Trainer", _checks.kind_shown(trainer, Trainer)))
    trainer._state.column_names.check("X", Names(labels_of_row(X)))
    X = trainer._state.column_names.inputs("X", X)
    X = _checks.numbers("X", without_index(X))
    X = _checks.matrix("X", X[None] if X.ndim == 1 else X, trainer.layer_sizes[0], trainer._state.dtype_of(X))
    start = _checks.numbers("baseline", without_index(baseline))
    start = _checks.matrix("baseline", start[None], trainer.layer_sizes[0], X.dtype)[0]
    chosen, signs = _chosen(trainer, X, output)
    names = trainer.feature_names or tuple(f"x{j + 1}" for j in range(len(start)))
    units = chosen if trainer.layer_sizes[-1] > 1 else np.zeros_like(chosen)  # of two classes in one output
    values, outputs, baselines = explained(trainer, X, start, units, signs)
    if groups is not None:
        names, values = tuple(groups), grouped(values, groups)
    told = _told(trainer, chosen, None if groups is not None else X)
    return Contributions(names, values, outputs, baselines, chosen, told)


def grouped(values: Array, groups: Mapping[str, slice]) -> Array:
    """Return the sums over groups of columns, (m, number of groups)."""
    return np.stack([values[:, part].sum(axis=1) for part in groups.values()], axis=1)


def explained(
    trainer: Trainer, X: Array, start: Array, units: Array, signs: Array, answer: Answer | None = None
) -> tuple[Array, Array, Array]:
    """Return the contributions, (m, n_1), and the outputs of the samples and the baseline, (m,).

    Parameters
    ----------
    X, start : (m, n_1), (n_1,)
    units, signs : (m,) the output unit of each sample; with −1, what is explained is 1 minus it
    answer : as in `Lines`
    """
    begin, ends = (array.astype(np.float64) for array in (start, X))
    lines: Any
    if trainer.network.layers:
        lines = LayerLines(copy_of(trainer), begin, ends, units, signs, answer)
    else:
        weights, biases = trainer._state.folded()
        lines = Lines(weights, biases, trainer.network.activations, begin, ends, units, signs, answer)
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = lines.ends
    for name, values in zip(("baseline", "X"), outputs, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(_checks.wrong(name, "samples for which the outputs are finite", "others"))
    found = integrate(lines)
    added = np.where(signs < 0, 1.0, 0.0)
    return found.values, found.ends + added, found.starts + added


def _chosen(trainer: Trainer, X: Array, output: int | None) -> tuple[Array, Array]:
    """Return the number of the class or output to explain for each sample, (m,), and its sign, (m,)."""
    n_outputs, loss = trainer.layer_sizes[-1], trainer._state.loss
    plain = np.ones(len(X))
    if output is not None:
        chosen = _checks.whole("output", output, minimum=0)
        if chosen >= n_outputs:
            raise ValueError(_checks.wrong("output", f"an output from 0 to {n_outputs - 1}", chosen))
        return np.full(len(X), chosen), plain
    if n_outputs == 1:
        if not isinstance(loss, BinaryCrossEntropy):
            return np.zeros(len(X), np.int64), plain
        classes = trainer.predict_classes(X)
        return classes, np.where(classes == 1, 1.0, -1.0)
    if isinstance(loss, CrossEntropy | Hinge):
        return trainer.predict_classes(X), plain
    expected = f"the number of the output to explain, from 0 to {n_outputs - 1}"
    raise ValueError(_checks.wrong("output", expected, "None, and the outputs are not classes"))


def _told(trainer: Trainer, chosen: Array, X: Array | None) -> tuple[Told, ...]:
    """Return what the text and the page say about each sample of a trainer without a table."""
    n_outputs, loss = trainer.layer_sizes[-1], trainer._state.loss
    is_class = isinstance(loss, CrossEntropy) or (n_outputs == 1 and isinstance(loss, BinaryCrossEntropy))
    found = []
    for i, number in enumerate(chosen):
        name = f"class {number}" if is_class else "the output" if n_outputs == 1 else f"output {number}"
        explained = f"The probability of {name}" if is_class else name[0].upper() + name[1:]
        cells = () if X is None else tuple(map(_shares.number, X[i]))
        found.append(Told(f"sample {i + 1}", explained, cells))
    return tuple(found)
