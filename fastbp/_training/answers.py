"""What a trained network answers: predictions, measurements and gradients, as methods of a Trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import metrics as metric_functions
from .._keywords import suggests
from ..results import Gradients
from .intake import Intake
from .measures import gradients, measure
from .options import Options

Array = npt.NDArray[Any]


class Answers(Options):
    """Methods of `Trainer` that read the network and change nothing."""

    @property
    def _intake(self) -> Intake:
        return Intake(self._state)

    def predict(self, X: Any) -> Array:
        """Return the output aᴸ for every row of X, as an array of shape (n, n_L). See `Network.predict`."""
        return self._state.predict(X)

    def predict_classes(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the class number of every row of X.

        Returns
        -------
        (n,) int64
            Number of the largest output. A single output is class 1 above 0.5 (tanh, softsign, hard_tanh, hinge loss:
            above 0). With the binary cross entropy, several outputs are separate labels: (n, n_L) of 0 and 1.
        """
        return metric_functions.classes(self.predict(X), self._state.threshold, self._state.multi_label)

    @suggests("evaluate")
    def evaluate(self, X: Any, y: Any = None, metrics: Any = (), *, sample_weight: Any = None) -> dict[str, float]:
        """Return J over all samples, with penalties, as "loss", and the metrics. The arguments are as in `fit`."""
        names = metric_functions.metric_names(metrics)
        return measure(self._state, self._intake.measured(X, y, names, sample_weight), names)

    def gradients(self, X: Any, y: Any) -> Gradients:
        """Return the gradients of J over all samples as one batch. The weights stay unchanged; X, y as in `fit`."""
        return gradients(self._state, self._intake.data("X", X, "y", y))
