"""Fit a trainer to the rows of a table, and keep its best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files.columns import Categories, Table
from .._training.weighting import class_weights
from ..callbacks import Callback, EarlyStopping
from ..tables import CrossFitted, Encoding, Part
from ..trainer import Trainer
from . import report
from .plan import Plan
from .split import Rows

Array = npt.NDArray[Any]

SOME = 2_000  # rows that tell as much about a column as all rows


@dataclass(frozen=True)
class Samples:
    """Rows of X and y, in which classes are numbers and numbers are scaled. A large X is an Encoding.

    Attributes
    ----------
    X, y : the inputs and the targets
    crossed : gives some of the inputs anew for other rows that validate; None if that isn't needed
    """

    X: Array | Encoding
    y: Array
    crossed: CrossFitted | None = None

    @classmethod
    def of(cls, encoding: Encoding, y: Array, *, whole: bool) -> Samples:
        """Return rows with X as an array, if `whole` or if it isn't large."""
        return cls(encoding[:] if whole or not encoding.is_large else encoding, y, encoding.crossed)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, numbers: Rows) -> Samples:
        """Return some of the rows."""
        if len(numbers) == len(self):
            return self
        X = self.X.of(numbers) if isinstance(self.X, Encoding) else self.X[numbers]
        return Samples(X, self.y[numbers])

    def split(self, training: Rows, validation: Rows) -> tuple[Samples, Samples]:
        """Return the rows that train and those that validate. No input is computed from a target of the latter."""
        if self.crossed is None or not len(validation):
            return self.rows(training), self.rows(validation)
        parts = self.crossed.parts(validation)
        return self._rows_with(parts, training), self._rows_with(parts, validation)

    def validating(self, validation: Rows) -> Samples:
        """Return the rows that validate, as `split` does, without those that train."""
        return self.split(validation[:0], validation)[1]

    def as_new(self, numbers: Rows) -> Samples:
        """Return some of the rows with the inputs that they have after training, as `evaluate` computes them."""
        return self.rows(numbers) if self.crossed is None else self._rows_with(self.crossed.parts_of_new(), numbers)

    def _rows_with(self, parts: tuple[Part, ...], rows: Rows) -> Samples:
        """Return some of the rows, with these parts in place of those that `crossed` gave."""
        if isinstance(self.X, Encoding):
            return Samples(replace(self.X, parts=self.X.parts[: -len(parts)] + parts).of(rows), self.y[rows])
        X = self.X[rows]
        for part in parts:
            part.write(rows, X)
        return Samples(X, self.y[rows])

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments of `Trainer.fit`: X and y, or a Stream."""
        return (self.X.stream(self.y),) if isinstance(self.X, Encoding) else (self.X, self.y)

    def weighted(self, *weights: Array) -> Any:
        """Return the samples, perhaps with weights, as validation data of `Trainer.fit`."""
        return self.X.stream(self.y, *weights) if isinstance(self.X, Encoding) else (self.X, self.y, *weights)


def spread(n: int) -> Rows:
    """Return the numbers of at most SOME rows that lie evenly among n."""
    return np.arange(n) if n <= SOME else np.linspace(0, n - 1, SOME).astype(np.int64)


def stopping(plan: Plan) -> list[EarlyStopping]:
    """Return the callback that stops training and restores the best epoch, if the plan has one."""
    return [] if plan.patience is None else [EarlyStopping(patience=plan.patience)]


def fit(
    trainer: Trainer,
    plan: Plan,
    training: Samples,
    validation: Samples | None,
    callbacks: Sequence[Callback],
    **options: Any,
) -> None:
    """Fit the trainer until the plan's epochs are done, or a callback stops it.

    Parameters
    ----------
    trainer : continues after the epochs that it has trained
    callbacks : of which `stopping` restores the best epoch
    **options : class_weight, "balanced" or None, and those of `Trainer.fit`
    """
    balanced = options.pop("class_weight", None)
    weights = balanced_weights(training.y, max(2, trainer.layer_sizes[-1])) if balanced else None
    if weights is not None:
        options["class_weight"] = dict(enumerate(weights.tolist()))
    if validation is not None:
        weighted = () if weights is None else (weights[validation.y.astype(np.int64)],)
        options["validation_data"] = validation.weighted(*weighted)
    done = trainer.epochs_trained
    trainer.fit(*training.arguments, epochs=plan.epochs, initial_epoch=done, callbacks=list(callbacks), **options)


def balanced_weights(y: Array, n_classes: int) -> npt.NDArray[np.float64]:
    """Return the weight of each class; 1 for a class without rows."""
    classes = y.astype(np.int64)
    weights = np.ones(n_classes)
    weights[classes] = class_weights("balanced", classes, n_classes, np.dtype(np.float64))
    return weights


def ending(trainer: Trainer, callbacks: Sequence[Callback]) -> tuple[str, int | None]:
    """Return how the training ended, one of `ENDINGS`, and the epoch whose weights the trainer has; None: the last."""
    stopped = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
    best = stopped[0].best_epoch if stopped else None
    if trainer.history.interrupted:
        return "interrupted", best
    return ("patience" if stopped and stopped[0].stopped_epoch is not None else "epochs"), best


def figures(trainer: Trainer, table: Table, samples: Samples, names: Sequence[str]) -> report.Facts:
    """Return the figures for rows whose target is known; y may have -1 for a class that the model doesn't know."""
    return figures_of(table, outputs(trainer, samples), samples.y, names)


def outputs(trainer: Trainer, samples: Samples) -> Array:
    """Return the outputs of the network, (n, n_L)."""
    X = samples.X
    return X.through(trainer.predict) if isinstance(X, Encoding) else trainer.predict(X)


def figures_of(table: Table, output: Array, y: Array, names: Sequence[str]) -> report.Facts:
    """Return the figures for outputs of the network, given the rows' y, as in `figures`."""
    if isinstance(table.target, Categories):
        return report.of_classes(table.target.categories, y.astype(np.int64), output, names)
    truth = replace(table.target, low=None, high=None).unscaled(y)  # predictions are clamped, but not the truth
    return report.of_numbers(truth, tables.answers(table, output), names)
