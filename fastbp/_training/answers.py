"""What a trained network answers: predictions, measurements and gradients, as methods of a Trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics as metric_functions
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
        """Return predictions for every row of X: the outputs aᴸ, (n, n_L), for most losses. See `Network.predict`.

        With the losses gaussian_nll and negative_binomial, these are the means, (n, n_L / 2). With Members, they are
        the means over the members, (n, n_L / n_members).
        """
        return self._state.predict(X)

    def predict_std(self, X: Any) -> Array:
        """Return the standard deviation of the target for every row of X, which the loss lets the network predict.

        Returns
        -------
        (n, number of targets)
            σ with gaussian_nll, √(μ + α μ²) with negative_binomial. With Members of one of them, it is the standard
            deviation of the mixture of the members' distributions. With Members of another loss, it is that of the
            members' predictions. This is how much they disagree, not how far y is from the prediction.

        Raises
        ------
        ValueError
            If the trainer has another loss.
        """
        return self._state.loss.std(self._state.outputs(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return an interval for every row of X that contains the target with a given probability.

        The probability is right as far as the predicted distribution is. With gaussian_nll and negative_binomial, the
        ends are the quantiles (1 − coverage)/2 and (1 + coverage)/2 of the distribution with the predicted mean and
        standard deviation; counts need scipy. With the loss quantile, they are the outputs for these two quantiles,
        which must be among those of the loss.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers
        coverage : float, in (0, 1)
            Probability that the target lies in the interval.

        Returns
        -------
        (n, number of targets, 2)
            The lower and the upper ends. With the loss quantile, there is one target.

        Raises
        ------
        ValueError
            If the trainer has another loss, or its quantiles don't fit the coverage.
        ImportError
            If the targets are counts and scipy is not installed.
        """
        coverage = _checks.real("coverage", coverage, above=0, dtype=np.dtype("float64"))
        if coverage >= 1:
            raise ValueError(_checks.wrong("coverage", "a number in (0, 1)", coverage))
        return self._state.loss.interval(self._state.outputs(X), coverage)

    def predict_members(self, X: Any) -> Array:
        """Return the predictions of each member for every row of X, (n, n_members, n_L / n_members).

        With members of gaussian_nll or negative_binomial, these are the means, (n, n_members, number of targets). A
        trainer with another loss than Members raises ValueError.
        """
        return self._state.loss.members(self._state.outputs(X))

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
