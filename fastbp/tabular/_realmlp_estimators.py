"""RealMLPClassifier and RealMLPRegressor."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils._param_validation import StrOptions

from .._checks import shown, wrong
from ._inputs import as_classes, as_numbers, class_numbers
from ._objectives import Objective, objective_of
from ._realmlp_base import BaseRealMLP
from ._targets import TargetTransform

Array = npt.NDArray[Any]


class RealMLPClassifier(ClassifierMixin, BaseRealMLP):  # type: ignore[misc]
    """Predict the classes of the rows of a table with one network, by the recipe RealMLP.

    RealMLP (Holzmüller, Grinsztajn and Steinwart, 2024) is a network whose defaults were tuned over many tables. It
    scales numbers robustly and embeds them with periodic functions. The learning rate follows four cycles. The network
    keeps the weights of the epoch with the lowest validation loss. `TabularClassifier` combines many networks. This
    takes longer and usually predicts better.

    The estimator takes a frame as it is, with numbers, categories, dates and missing values.

    Parameters
    ----------
    variant : {"td", "td-s"}
        "td" is RealMLP-TD. "td-s" is the simple variant RealMLP-TD-S, without embeddings, dropout or weight decay.
    n_epochs : int
        Number of epochs.
    batch_size : int
        Number of rows in a batch. An epoch skips a smaller last batch. Each epoch skips other rows.
    learning_rate : float, optional
        The largest η. By default, 0.04 for classes. For numbers, 0.2 with "td" and 0.07 with "td-s".
    hidden_layer_sizes : sequence of int
        Numbers of units of the hidden layers.
    validation_fraction : float in (0, 1)
        Fraction of the rows that validate. They have about the same proportions of the classes as the other rows.
    patience : int, optional
        Number of epochs without improvement after which training ends. By default, all epochs run.
    metric : {"log_loss", "accuracy"}
        Metric of the validation rows that chooses the epoch. With "accuracy", labels are smoothed by 0.1.
    types : mapping of str, optional
        Kinds of some columns: "number", "category", "date", "boolean" or "text". The network doesn't use "text".
    drop : collection of str
        Columns that the network doesn't use.
    n_jobs : int or None
        Number of threads. -1 means all processors, None means one. The results don't depend on it.
    random_state : int, RandomState or None
        Determines the validation rows, the initial weights, the order of the rows and dropout.
    verbose : int
        0 is silent, 1 prints a line for each epoch.

    Attributes
    ----------
    classes_ : (n_classes,) array
        The classes.
    trainer_ : Trainer
        The trained network.
    best_epoch_, n_iter_ : int
        The epoch whose weights the network has, and the number of epochs.
    validation_loss_ : float
        The loss of the validation rows after this epoch: the log loss, or 1 − accuracy.
    validation_losses_ : (n_iter_,) array
        The loss of the validation rows after each epoch.
    interrupted_ : bool
        Whether Ctrl-C ended the training. The network then has the weights of the best epoch so far.
    columns_, left_out_ : tuple, and dict of str
        What each column that the network uses contains, and why it doesn't use each of the others.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = RealMLPClassifier(n_epochs=32, random_state=0).fit(X, y)
    >>> model.predict(X[:2])
    array([0, 0])
    """

    _kind = "classifier"
    _parameter_constraints: ClassVar[dict[str, Any]] = BaseRealMLP._parameter_constraints | {
        "metric": [StrOptions({"log_loss", "accuracy"})]
    }

    def __init__(
        self,
        variant: str = "td",
        *,
        n_epochs: int = 256,
        batch_size: int = 256,
        learning_rate: float | None = None,
        hidden_layer_sizes: Any = (256, 256, 256),
        validation_fraction: float = 0.2,
        patience: int | None = None,
        metric: str = "log_loss",
        types: Mapping[str, str] | None = None,
        drop: Collection[str] = (),
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            variant,
            n_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            hidden_layer_sizes=hidden_layer_sizes,
            validation_fraction=validation_fraction,
            patience=patience,
            types=types,
            drop=drop,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )
        self.metric = metric

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> RealMLPClassifier:
        """Train the network.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
        y : (n_samples,) classes of any kind
        sample_weight : (n_samples,) numbers ≥ 0, optional
            Rows with weight 0 are left out.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows that validate, instead of a fraction of X.
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    def _objective(self) -> Objective:
        return objective_of(self.metric, classes=True)

    def _encoded(self, y: Array) -> Array:
        self.classes_, codes = as_classes(y)
        if len(self.classes_) < 2:
            raise ValueError(wrong("y", "two or more classes", f"one class: {shown(self.classes_.tolist()[0])}"))
        return codes

    def _known(self, y: Array, argument: str) -> Array:
        return class_numbers(argument, y, self.classes_)

    def _answers(self, output: Array) -> Array:
        P = output.astype(np.float64)
        return P / P.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        classes : (n_samples,) array
        """
        probabilities = self._predicted(X)  # which refuses an estimator without classes_
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        probabilities : (n_samples, n_classes) array
        """
        return self._predicted(X)


class RealMLPRegressor(RegressorMixin, BaseRealMLP):  # type: ignore[misc]
    """Predict a number for each row of a table with one network, by the recipe RealMLP.

    `RealMLPClassifier` describes the recipe. The network learns standardized targets with the squared error.
    Predictions are clipped to the range of the training targets.

    Parameters
    ----------
    variant, n_epochs, batch_size, learning_rate, hidden_layer_sizes, validation_fraction, patience
        As in `RealMLPClassifier`.
    types, drop, n_jobs, random_state, verbose
        As in `RealMLPClassifier`.

    Attributes
    ----------
    validation_loss_ : float
        The RMSE of the validation rows after the epoch whose weights the network has, before predictions are limited to
        the range of training.
    trainer_, best_epoch_, n_iter_, validation_losses_, interrupted_, columns_, left_out_
        As in `RealMLPClassifier`.
    n_features_in_, feature_names_in_
        As in `RealMLPClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = RealMLPRegressor(n_epochs=32, random_state=0).fit(X, y)
    >>> model.predict(X[:2]).shape
    (2,)
    """

    _kind = "regressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> RealMLPRegressor:
        """Train the network.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
        y : (n_samples,) numbers
        sample_weight : (n_samples,) numbers ≥ 0, optional
            Rows with weight 0 are left out.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows that validate, instead of a fraction of X.
        """
        self._fit(X, y, sample_weight, validation_data)
        return self

    def _objective(self) -> Objective:
        return objective_of("rmse", classes=False)

    def _encoded(self, y: Array) -> Array:
        return as_numbers(y)

    def _known(self, y: Array, argument: str) -> Array:
        return as_numbers(y)

    def _keep_targets(self, y: Array, weights: Array | None) -> None:
        self._transform = TargetTransform.fit("identity", y, weights)

    def _learned(self, y: Array) -> Array:
        return self._transform.forward(y)[:, None]

    def _reported(self, J: Array) -> Array:
        return np.sqrt(2 * J) * self._transform.scale  # J is half of the squared error

    def _answers(self, output: Array) -> Array:
        return self._transform.backward(output[:, 0])

    def predict(self, X: Any) -> Array:
        """Return the number for each row.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        numbers : (n_samples,) array
        """
        return self._predicted(X)
