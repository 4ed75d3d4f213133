"""MLPClassifier and MLPRegressor: scikit-learn's estimators of the same names, trained by fastbp.

>>> from fastbp.sklearn import MLPClassifier  # in place of: from sklearn.neural_network import MLPClassifier

docs/from-scikit-learn.md describes the differences from scikit-learn and the additional parameters.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._extras import not_installed

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils._param_validation import StrOptions
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
    from sklearn.utils.validation import validate_data  # noqa: F401  the newest import; it fails in older versions
except ImportError as error:
    raise not_installed("fastbp.sklearn needs scikit-learn 1.7 or later", "sklearn") from error

from ..losses import Loss
from ._convert import adopted, to_sklearn
from ._targets import Classes, Numbers

__all__ = ["MLPClassifier", "MLPRegressor", "from_sklearn"]

Array = npt.NDArray[Any]

REGRESSION_LOSSES = ("squared_error", "poisson", "absolute_error", "huber", "quantile")


class MLPClassifier(ClassifierMixin, Classes):  # type: ignore[misc]
    """A neural network classifier: scikit-learn's MLPClassifier, trained by fastbp.

    It minimizes the log loss, with one logistic output for two classes, a softmax for more classes, and a logistic
    output for each label of multi-label targets.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Number of units in each hidden layer.
    activation : str or sequence of str
        Activation of the hidden layers: scikit-learn's "identity", "logistic", "tanh" or "relu", or any activation of
        `fastbp.Trainer`. One for all layers, or one for each.
    solver : {"adam", "sgd", "lbfgs"}
        The optimizer.
    alpha : float
        L2 penalty ≥ 0: adds ½ alpha Σ θ² / (samples in the batch) to J, over the weights.
    batch_size : int or "auto"
        Number of samples in a mini-batch; "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"}
        Schedule for solver="sgd". "constant" keeps η. "invscaling" divides it by (samples seen)^power_t. "adaptive"
        divides it by 5 after every n_iter_no_change epochs without improvement.
    learning_rate_init : float
        Initial η > 0.
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        Maximum number of epochs, or of iterations with "lbfgs".
    shuffle : bool
        Whether to shuffle the samples in each epoch.
    random_state : int, RandomState or None
        Determines the first weights, the validation split of early stopping, the order of samples, and dropout. Except
        for dropout, they are the same as scikit-learn's for the same random_state.
    tol : float
        Smallest change that counts as an improvement; with "lbfgs", the largest derivative at which a fit ends.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether fit continues from the weights of the last fit. It applies parameters that you have changed since then.
        Other hidden_layer_sizes, another dtype, or a loss with another output activation raise a ValueError.
    momentum : float
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool
        Whether to use Nesterov's momentum.
    early_stopping : bool
        Whether to set aside a validation split, stop when its score no longer improves, and keep the best weights.
    validation_fraction : float
        Fraction of the samples in the validation split.
    beta_1, beta_2 : float
        β₁ and β₂ of "adam", in [0, 1).
    epsilon : float
        ε > 0 of "adam".
    n_iter_no_change : int or infinity
        Number of epochs without improvement after which a fit ends.
    max_fun : int
        Maximum number of calls of the loss with "lbfgs".
    dropout : float or sequence of float
        Fraction of the hidden units to drop for each sample while training: one for all hidden layers, or one for each.
    optimizer : str or fastbp.optimizers.Optimizer
        Replaces solver. A name uses learning_rate_init; an object has its own learning rate.
    metrics : names or functions of (y, output), one or several, or None
        Measured after each epoch and stored in history_; fastbp.metrics lists the names. y is the encoded target: class
        numbers for more than two classes, and 0 and 1 for two classes and for labels.
    callbacks : fastbp.Callback or function of (trainer, epoch, measured), or several, or None
        Called after each epoch.
    class_weight : dict, "balanced", list of them or None
        Weights of the classes, which multiply sample_weight. A class without a weight has the weight 1. For multi-label
        targets, pass a list with one entry for each label.
    dtype : {"auto", "float32", "float64"}
        Data type of parameters and computation. "auto" is float32 if X is float32, otherwise float64, as in
        scikit-learn. float32 is up to twice as fast.
    n_threads : int or "auto"
        Number of threads for the network. "auto" measures which is fastest, and is 1 in joblib's workers.

    Attributes
    ----------
    coefs_, intercepts_ : list of array
        Weights (n_l, n_{l+1}) and biases (n_{l+1},) of each layer: views of the trained parameters, not copies.
    classes_ : array, or list of arrays
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_
        As in scikit-learn.
    n_iter_, t_, n_layers_, n_outputs_, n_features_in_, feature_names_in_, out_activation_
        As in scikit-learn.
    history_ : fastbp.History
        The loss and the other measurements of each epoch.
    trainer_ : fastbp.Trainer
        The underlying trainer. It has the optimizer, the learning rate and the batch size of the last fit.

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
            A sparse matrix is made dense. If it is large, this happens one piece at a time.
        y : (n,) classes of any kind, or (n, n_L) 0 and 1 for labels
            Labels may use another number in place of 1. They may be sparse.
        sample_weight : (n,) numbers ≥ 0, optional
        validation_data : (X, y) or (X, y, sample_weight), optional
            Its score after each epoch is stored in validation_scores_, and its measurements in history_. With
            early_stopping=True, it replaces the validation split of X.

        Returns
        -------
        The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=False, validation_data=validation_data)

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array
            All classes that can occur in any call; required in the first call.

        Returns
        -------
        The estimator.
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            self._label_binarizer.fit(y if type_of_target(y).startswith("multilabel") else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the class of each row of X, (n,); for labels, (n, n_L) values 0 and 1."""
        output = self._outputs(X)
        return self._label_binarizer.inverse_transform(output.ravel() if self.n_outputs_ == 1 else output)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (n, classes), in the order of classes_; for labels, that each is 1."""
        output = self._outputs(X)
        return np.hstack([1 - output, output]) if self.n_outputs_ == 1 else output

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`."""
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities, out=probabilities)

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator of the same name, whose weights are views of this estimator's, not copies.

        Raises
        ------
        ValueError
            If scikit-learn lacks the activation or the loss.
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
        "squared_error", ½ (y − a)², and "poisson", half the Poisson deviance with an exponential output, are those of
        scikit-learn. "quantile" estimates the median. ``losses.Quantile(0.9)`` and ``losses.Huber(delta=2)`` have
        parameters. A function of (output, target) returns the loss and its derivative with respect to the output.
    hidden_layer_sizes : int or sequence of int
        This and all other parameters are as in `MLPClassifier`.
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
            A sparse matrix is made dense. If it is large, this happens one piece at a time.
        y : (n,) or (n, n_L) numbers
            They must be in the range of the loss.
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
        """Train for one epoch.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`

        Returns
        -------
        The estimator.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the network's output for each row of X, (n,); for several outputs, (n, n_L)."""
        output = self._outputs(X)
        return output.ravel() if output.shape[1] == 1 else output

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator of the same name, whose weights are views of this estimator's, not copies.

        Raises
        ------
        ValueError
            If scikit-learn lacks the activation or the loss.
        """
        return to_sklearn(self)


def from_sklearn(model: Any) -> Any:
    """Return an estimator with the parameters of scikit-learn's and, if it is fitted, its weights.

    The weights are copied, because the kernels need them in padded rows. `partial_fit`, and `fit` with
    ``warm_start=True``, continue from them with a new optimizer.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or MLPRegressor

    Returns
    -------
    MLPClassifier or MLPRegressor of this module
    """
    return adopted(model, MLPClassifier, MLPRegressor)


def keep(estimator: Any, arguments: dict[str, Any]) -> None:
    """Store the arguments of __init__ unchanged."""
    for name, value in arguments.items():
        if name != "self":
            setattr(estimator, name, value)
