"""Methods of a Trainer that return predictions, measurements and gradients."""

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
        """Return predictions for every row of X: for most losses, the outputs aᴸ, (n, n_L). See `Network.predict`.

        With the losses gaussian_nll and negative_binomial, these are the means μ, (n, n_L / 2). With Members, they are
        the means of the members' predictions, (n, number of targets), or (n, number of classes).
        """
        return self._state.predict(X)

    def predict_std(self, X: Any) -> Array:
        """Return the predicted standard deviation of each target for every row of X.

        Returns
        -------
        (n, number of targets)
            With gaussian_nll, this is σ. With negative_binomial, it is √(μ + α μ²). With Members of one of these, it is
            the standard deviation of the mixture of the members' distributions. With Members of another loss, it is
            the standard deviation of the members' predictions: how much they disagree, not how far y is from the
            prediction.

        Raises
        ------
        ValueError
            If the trainer has another loss.
        """
        return self._state.loss.std(self._state.outputs(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return an interval for every row of X that contains the target with a given probability.

        The ends of the interval are the quantiles (1 − coverage)/2 and (1 + coverage)/2. With gaussian_nll and
        negative_binomial, these are computed from the predicted mean and standard deviation. The coverage is as good as
        the predicted distribution. With the loss quantile, they are two outputs of the network, so the loss must
        contain both quantiles.

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
            If the trainer has another loss, or if the loss quantile lacks one of the two quantiles.
        ImportError
            If the loss is negative_binomial and scipy is not installed.
        """
        coverage = _checks.real("coverage", coverage, above=0, dtype=np.dtype("float64"))
        if coverage >= 1:
            raise ValueError(_checks.wrong("coverage", "a number in (0, 1)", coverage))
        return self._state.loss.interval(self._state.outputs(X), coverage)

    def predict_members(self, X: Any) -> Array:
        """Return the predictions of each member for every row of X, (n, n_members, n_L / n_members).

        With members of gaussian_nll or negative_binomial, these are the means μ, (n, n_members, number of targets).

        Raises
        ------
        ValueError
            If the loss is not Members.
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
        """Return the gradients of J over all samples as one batch. The weights stay unchanged; X, y as in `fit`.

        The gradients of frozen parameters are 0.
        """
        return gradients(self._state, self._intake.data("X", X, "y", y))

    @suggests("input_gradients")
    def input_gradients(self, X: Any, y: Any, sample_weight: Any = None) -> Array:
        """Return ∂J/∂X, the gradient of the loss with respect to the inputs. The weights stay unchanged.

        J is the mean loss over all samples as one batch. Dropout is off, and batch norms use their running statistics.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        (n, n_1) of the trainer's dtype
            Row i is ∂J/∂xᵢ, which contains the factor 1/n of the mean. With standardize=True, J is the loss that
            `evaluate` returns, of the standardized targets, and x has the units of X. For columns of categories, the
            gradient is 0.

        Raises
        ------
        ValueError, TypeError
            For bad input, as in `fit`.

        Examples
        --------
        >>> trainer = Trainer([2, 8, 1], seed=0)
        >>> trainer.input_gradients([[0.5, -1], [1, 2]], [0, 1]).shape
        (2, 2)
        """
        from . import sensitivities  # with the records of the kernels for layers

        return sensitivities.input_gradients(self._state, X, y, sample_weight)

    def jacobian(self, X: Any) -> Array:
        """Return the derivatives of all outputs aᴸ with respect to all inputs, for every row of X.

        With most losses, `predict` returns these outputs. With a row loss such as GaussianNLL, `predict` computes its
        result from them.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers

        Returns
        -------
        (n, n_L, n_1) of the trainer's dtype
            Item [i, j, k] is ∂aᴸⱼ/∂xₖ in row i, in the units of y and X, also with standardize=True. For columns of
            categories, it is 0. At a kink of an activation such as relu, it is the derivative that training uses.

        Raises
        ------
        ValueError, TypeError
            If X has another shape, contains NaN or infinity, or isn't numeric.
        MemoryError
            If the result doesn't fit into memory. Pass fewer rows, or use `vjp`.

        Examples
        --------
        >>> trainer = Trainer([13, 50, 1], seed=0)
        >>> trainer.jacobian(np.zeros((1000, 13))).shape
        (1000, 1, 13)
        """
        from . import sensitivities  # with the records of the kernels for layers

        return sensitivities.jacobian(self._state, X)

    def vjp(self, X: Any, V: Any) -> Array:
        """Return the product of a vector and the Jacobian for every row of X, without the Jacobian itself.

        It takes one forward and one backward pass, however many outputs there are.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers
        V : (n, n_L), or (n,) if n_L is 1
            For each row, a weight for each output, such as the derivatives of your own function of the outputs.

        Returns
        -------
        (n, n_1) of the trainer's dtype
            Item [i, k] is Σⱼ V[i, j] ∂aᴸⱼ/∂xₖ in row i, in the units of y and X. For columns of categories, it is 0.

        Raises
        ------
        ValueError, TypeError
            If X or V has another shape, contains NaN or infinity, or isn't numeric.

        Examples
        --------
        >>> trainer = Trainer([2, 8, 3], seed=0)
        >>> trainer.vjp([[0.5, -1]], [[1, 0, 0]]).shape  # the gradient of the first output
        (1, 2)
        """
        from . import sensitivities  # with the records of the kernels for layers

        return sensitivities.vjp(self._state, X, V)
