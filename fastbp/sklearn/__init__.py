"""MLPClassifier and MLPRegressor: scikit-learn's estimators of these names, trained by fastbp; a door to scikit-learn.

>>> from fastbp.sklearn import MLPClassifier  # in place of: from sklearn.neural_network import MLPClassifier

What differs from scikit-learn's, and what there is beside it: docs/from-scikit-learn.md.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils._param_validation import StrOptions
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
    from sklearn.utils.validation import validate_data  # noqa: F401  newer than the rest, to be told of it here
except ImportError as error:
    raise ImportError("fastbp.sklearn needs scikit-learn 1.7 or later: pip install 'fastbp[sklearn]'") from error

from ..losses import Loss
from ._convert import adopted, to_sklearn
from ._targets import Classes, Numbers

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn"]

Array = npt.NDArray[Any]

REGRESSION_LOSSES = ("squared_error", "poisson", "absolute_error", "huber", "quantile")


class MLPClassifier(ClassifierMixin, Classes):  # type: ignore[misc]
    """A neural network that classifies: scikit-learn's MLPClassifier, trained by fastbp.

    Log loss, of one logistic output for two classes, of a softmax for more, of a logistic output for each label.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of each hidden layer.
    activation : str or sequence of str
        Of the hidden layers: scikit-learn's "identity", "logistic", "tanh", "relu" or any that `fastbp.Trainer` has;
        one for all layers, or one for each.
    solver : {"adam", "sgd", "lbfgs"}
        What finds the weights.
    alpha : float
        ≥ 0: J += ½ alpha Σ θ² / samples of the batch, over weights.
    batch_size : int or "auto"
        Samples of a mini-batch; "auto" is 200, or all where there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        With solver="sgd": η as it is; divided by (samples seen)^power_t; or divided by 5 each time that
        n_iter_no_change epochs bring nothing.
    learning_rate_init : float
        η > 0 at first.
    power_t : float
        Of "invscaling".
    max_iter : int
        Epochs; with "lbfgs" its iterations.
    shuffle : bool
        Whether each epoch takes the samples in another order.
    random_state : int, RandomState or None
        Of first weights, of the split of early stopping, of the order of samples; they are scikit-learn's for the same
        random_state. And of dropout.
    tol : float
        Less is no improvement; with "lbfgs" the largest derivative at the end.
    verbose : bool
        Whether each epoch prints its loss.
    warm_start : bool
        Whether fit goes on from the last fit's weights. Parameters that were set meanwhile are applied; for other
        hidden_layer_sizes, another dtype or a loss with another output activation there is a ValueError.
    momentum : float
        Of "sgd", in [0, 1].
    nesterovs_momentum : bool
        Whether it is Nesterov's.
    early_stopping : bool
        Whether a part of the samples is set aside to stop by their score, and the best weights are kept.
    validation_fraction : float
        How large a part.
    beta_1, beta_2 : float
        β₁ and β₂ of "adam", in [0, 1).
    epsilon : float
        ε > 0 of "adam".
    n_iter_no_change : int or infinity
        Epochs without improvement, after which a fit ends.
    max_fun : int
        Calls of the loss that "lbfgs" may make.
    dropout : float or sequence of float
        Which part of the hidden units each sample goes without while training: for all hidden layers, or for each.
    optimizer : str or fastbp.optimizers.Optimizer
        In place of solver: a name takes learning_rate_init, an object has its own learning rate.
    metrics : names or functions of (y, output), one or several, or None
        Measured after each epoch, into history_; the names: fastbp.metrics. y is what the network learns: class
        numbers for more than two classes, 0 and 1 for two, and for labels.
    callbacks : fastbp.Callback or function of (trainer, epoch, measured), or several, or None
        Called after each epoch.
    class_weight : dict, "balanced", list of them or None
        Weights of the classes, which multiply sample_weight. A class without one weighs 1. For several labels it is
        a list with one for each label.
    dtype : {"auto", "float32", "float64"}
        Of weights and arithmetic. "auto" is scikit-learn's way: float32 where X is float32, else float64. float32 is
        up to twice as fast.
    n_threads : int or "auto"
        How many threads may work on the network; "auto" measures what is fastest, and is 1 in joblib's workers.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        (n_l, n_{l+1}) and (n_{l+1},), of each layer: views of what is trained, not copies.
    classes_ : array, or list of arrays
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_
        As scikit-learn's.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_, out_activation_
        As scikit-learn's.
    history_ : fastbp.History
        The loss of each epoch, and what metrics and callbacks were told of it.
    trainer_ : fastbp.Trainer
        What trained; it shows the optimizer, the learning rate and the batch size of the last fit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> MLPClassifier(random_state=0).fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Classes._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }
    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        optimizer: Any = None,
        metrics: Any = (),
        callbacks: Any = (),
        class_weight: Any = None,
        dtype: str = "auto",
        n_threads: Any = "auto",
    ) -> None:
        keep(self, locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPClassifier:
        """Fit the network.

        Parameters
        ----------
        X : (n, n_1) array, frame, or sparse matrix
            A sparse one is made dense, a piece at a time where it is large.
        y : (n,) classes of any kind, or (n, n_L) 0 and 1 for labels
            Labels may be 0 and any one other number, or sparse.
        sample_weight : (n,) numbers ≥ 0, optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Scored after each epoch, into validation_scores_, and measured into history_; with early_stopping=True in
            place of a part of X.

        Returns
        -------
        The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=False, validation_data=validation_data)

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Go through the samples once.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array
            All classes that will ever come; needed in the first call.

        Returns
        -------
        The estimator.
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The class of each row of X, (n,); of labels (n, n_L) of 0 and 1."""
        output = self._outputs(X)
        return self._label_binarizer.inverse_transform(output.ravel() if self.n_outputs_ == 1 else output)

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (n, classes), in the order of classes_; of labels that each is 1."""
        output = self._outputs(X)
        return np.hstack([1 - output, output]) if self.n_outputs_ == 1 else output

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities, out=probabilities)

    def to_sklearn(self) -> Any:
        """An estimator of scikit-learn's of this name, whose weights are views of this one's, not copies.

        Raises
        ------
        ValueError
            Where scikit-learn has no such activation, or no such loss.
        """
        return to_sklearn(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, Numbers):  # type: ignore[misc]
    """A neural network for regression: scikit-learn's MLPRegressor, trained by fastbp.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "absolute_error", "huber", "quantile"}, fastbp.losses.Loss, or function
        The first two are scikit-learn's: ½ (y − a)², and half the Poisson deviance, whose output is an exponential.
        "quantile" is the median's; ``losses.Quantile(0.9)``, ``losses.Huber(delta=2)`` have parameters. A function of
        (output, target) gives the loss and its derivative by the output.
    hidden_layer_sizes : int or sequence of int
        This and all others are as in `MLPClassifier`.
    activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle : as there
    random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping : as there
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun : as there
    dropout, optimizer, metrics, callbacks, dtype, n_threads : as there

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_ : as there
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_, out_activation_ : as there
    history_, trainer_ : as there

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> round(MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y).score(X, y), 1)
    1.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Numbers._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES)), Loss, callable],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        optimizer: Any = None,
        metrics: Any = (),
        callbacks: Any = (),
        dtype: str = "auto",
        n_threads: Any = "auto",
    ) -> None:
        keep(self, locals())

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> MLPRegressor:
        """Fit the network.

        Parameters
        ----------
        X : (n, n_1) array, frame, or sparse matrix
            A sparse one is made dense, a piece at a time where it is large.
        y : (n,) or (n, n_L) numbers
            In the range of the loss.
        sample_weight : (n,) numbers ≥ 0, optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            As in `MLPClassifier.fit`.

        Returns
        -------
        The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=False, validation_data=validation_data)

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Go through the samples once.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`

        Returns
        -------
        The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The network's output for each row of X, (n,), or (n, n_L) of several."""
        output = self._outputs(X)
        return output.ravel() if output.shape[1] == 1 else output

    def to_sklearn(self) -> Any:
        """An estimator of scikit-learn's of this name, whose weights are views of this one's, not copies.

        Raises
        ------
        ValueError
            Where scikit-learn has no such activation, or no such loss.
        """
        return to_sklearn(self)


def from_sklearn(model: Any) -> Any:
    """An estimator with the parameters of scikit-learn's and, where that is fitted, its weights.

    The weights are copied, once: the kernels want them padded to whole vectors. `partial_fit`, and a fit with
    ``warm_start=True``, go on from them; the optimizer starts anew.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or MLPRegressor

    Returns
    -------
    MLPClassifier or MLPRegressor of this module
    """
    return adopted(model, MLPClassifier, MLPRegressor)


def keep(estimator: Any, arguments: dict[str, Any]) -> None:
    """Store the arguments of __init__ as they came."""
    for name, value in arguments.items():
        if name != "self":
            setattr(estimator, name, value)
