"""What fastbp.sklearn measures after each epoch, and the callbacks that it calls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from .._kernels import codes
from .._library.library import is_finite
from .._training.run import stopped
from ..callbacks import as_callbacks
from ..metrics import metric_names, name_of
from ._pieces import Samples, measure


class Measures:
    """Measures the network after each epoch and calls the callbacks.

    Parameters
    ----------
    estimator : the estimator that is fitted
    training : the training samples
    validation : the validation samples, or None
    """

    def __init__(self, estimator: Any, training: Samples, validation: Samples | None) -> None:
        self.estimator, self.trainer, self.validation = estimator, estimator.trainer_, validation
        self.names = metric_names(estimator.metrics)
        self.callbacks = as_callbacks(estimator.callbacks)
        self.busy = bool(self.names or self.callbacks)
        self.sets = {}
        self.unrecorded: list[float] = []
        if self.busy:
            self.sets = {"": self._data(training)} | ({"val_": self._data(validation)} if validation else {})

    @property
    def asked(self) -> bool:
        """Whether a measurement or a callback follows each epoch."""
        return self.busy or self.validation is not None

    @contextmanager
    def around(self, epochs: int) -> Iterator[None]:
        """Call on_fit_begin and on_fit_end of the callbacks."""
        pace = vars(self.estimator).get("_optimizer")
        self.trainer.stop_training = False
        if pace is not None:
            self.trainer._state.learning_rate = pace.learning_rate
        for callback in self.callbacks:
            callback.on_fit_begin(self.trainer, epochs)
        if pace is not None:
            pace.change(self.trainer._state.learning_rate)
        try:
            yield
        finally:
            self._record(self.unrecorded)
            for callback in self.callbacks:
                callback.on_fit_end(self.trainer)

    def score(self) -> float:
        """Return the score of the validation data."""
        assert self.validation is not None
        output = self.estimator._forward(self.validation.X)
        if not is_classifier(self.estimator) and not np.isfinite(output).all():  # a classifier turns NaN into a class
            return math.nan
        return float(self.estimator._score_outputs(output, self.validation))

    def after_epoch(self, loss: float) -> bool:
        """Measure, record and call the callbacks. Return whether to stop."""
        if not self.busy:
            self.unrecorded.append(loss)  # it is faster to record all at the end
            return False
        self._record([loss], self._measured())
        pace = vars(self.estimator).get("_optimizer")
        if pace is not None:
            self.trainer._state.learning_rate = pace.learning_rate
        stop = stopped(self.trainer, self.callbacks, self.trainer.history)
        if pace is not None:
            pace.change(self.trainer._state.learning_rate)
        return stop

    def _record(self, losses: Sequence[float], measured: Mapping[str, float] | None = None) -> None:
        """Add epochs to the histories, with the measurements of the last one."""
        for record in (self.estimator.history_, self.trainer.history):
            record.extend(len(record.epochs) + 1, losses)
            record.add(measured or {})

    def _measured(self) -> dict[str, float]:
        """Return all measurements except the training loss; NaN if the weights aren't finite."""
        finite = is_finite(self.trainer.network._parameters)
        nothing = dict.fromkeys(["loss", *map(name_of, self.names)], math.nan)
        measured: dict[str, float] = {}
        for prefix, data in self.sets.items():
            if self.names or prefix:
                values = measure(self.trainer, data, self.names) if finite else nothing
                measured |= {prefix + name: value for name, value in values.items() if prefix or name != "loss"}
        return measured

    def _data(self, samples: Samples) -> codes.Data | Samples:
        dense = isinstance(samples.X, np.ndarray)
        return self.trainer._state.engine.data(samples.X, *samples[1:4]) if dense else samples
