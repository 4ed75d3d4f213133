"""TabularClassifier and TabularRegressor."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin

from .._checks import shown, wrong
from ..explanation import Contributions
from ..explanation._told import Told
from ..tables import RawColumns
from . import _file, _realmlp_file
from ._base import BaseTabular
from ._blend import blended
from ._fitted import Fitted
from ._inputs import as_classes, as_numbers, class_numbers
from ._intervals import Conformal, disagreement
from ._objectives import Objective, class_priors, decide
from ._problem import Problem
from ._realmlp_estimators import RealMLPClassifier, RealMLPRegressor

Array = npt.NDArray[Any]


class TabularClassifier(ClassifierMixin, BaseTabular):  # type: ignore[misc]
    """Predict classes of the rows of a table with an ensemble of networks.

    It takes a frame as it is: numbers, categories, dates and missing values. Until the time is over, `fit` trains
    networks of many configurations and linear models in cross-validation. The prediction is their weighted mean. The
    weights minimize the out-of-fold loss, which is that of rows that a model was not trained on.

    Parameters
    ----------
    max_seconds : float or None
        Time limit of `fit`. There is an answer after about one second; more time makes it better. None sets no limit
        and needs n_networks.
    metric : str or tuple
        The metric to optimize: "log_loss" ("auto"), "roc_auc", "accuracy" or "balanced_accuracy". With
        "balanced_accuracy", `predict` gives rare classes as much weight as frequent ones.
    n_networks : int, optional
        The most networks to train, counted over all folds. At least one configuration is trained in every fold. With
        n_networks and max_seconds=None, or enough time, the same random_state gives the same result.
    cv : int
        Number of folds.
    estimators : list of scikit-learn's estimators, or of pairs (name, estimator)
        They are fitted in the same folds and weighted together with the networks. A `Pipeline` gets a frame of the
        columns: numbers as float64, and categories as pandas's categoricals. Any other estimator gets numbers: scaled
        columns without missing values, and a column for each category.
    types : mapping of str, optional
        The kinds of some columns: "number", "category", "date", "boolean", or "text", which becomes no input.
    drop : collection of str
        Columns that become no inputs.
    n_jobs : int or None
        Number of threads; -1 means all processors, None means one.
    random_state : int, RandomState or None
        Determines the folds and the networks.
    verbose : int
        0 is silent, 1 prints a line for each candidate.

    Attributes
    ----------
    classes_ : (n_classes,) array
    class_prior_ : (n_classes,) array
        The weighted share of each class in training.
    oof_prediction_ : (n_samples, n_classes) array
        The ensemble's probabilities for the training rows, each from models that were not trained on it. NaN for rows
        without weight.
    members_, weights_ : list and (n_members,) array
        The models that the ensemble consists of, and the weight of each.
    n_networks_ : int
        Number of networks in the ensemble.
    loss_ : float
        An estimate of the loss for new rows, from rows that did not choose the weights. For AUC, accuracies and R², it
        is 1 − metric.
    temperature_ : float
        The probabilities are p^(1/temperature), divided by their sum, where p is the weighted mean.
    metric_ : str
        The name of the metric.
    columns_, left_out_ : tuple, and dict of str
        What each column that is an input contains, and why each other column is no input.
    interrupted_ : bool
        Whether Ctrl-C ended the search.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = TabularClassifier(max_seconds=5, n_networks=10, random_state=0).fit(X, y)
    >>> model.predict(X[:2])
    array([0, 0])
    """

    _kind = "classifier"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> TabularClassifier:
        """Search for the best ensemble until the time is over.

        Ctrl-C ends the search early and keeps the best ensemble so far.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
        y : (n_samples,) classes of any kind
        sample_weight : (n_samples,) numbers ≥ 0, optional
            A row without weight is left out.
        groups : (n_samples,) array, optional
            Rows of the same group are in the same fold. Use it if several rows are of one person, place or day.
        """
        return self._fit(X, y, sample_weight, groups, classes=True)

    def _encoded(self, target: Array, objective: Objective) -> tuple[Array, int | None]:
        self.classes_, codes = as_classes(target)
        if objective.name == "roc_auc" and len(self.classes_) < 2:
            only = f"only {shown(self.classes_.tolist()[0])}"
            raise ValueError(wrong("y", "two or more classes with metric='roc_auc'", only))
        return codes, len(self.classes_)

    def _keep(self, problem: Problem, fitted: Fitted, seed: int) -> None:
        super()._keep(problem, fitted, seed)
        self.class_prior_ = class_priors(problem.y, len(self.classes_), problem.weights)

    def _known(self, target: Array, argument: str = "y") -> Array:
        return class_numbers(argument, target, self.classes_)

    @property
    def temperature_(self) -> float:
        """The temperature of the probabilities."""
        return float(self._of_fitted("temperature"))

    def predict(self, X: Any) -> Array:
        """Return the class of each row.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        classes : (n_samples,) array
            The most probable ones. With metric="balanced_accuracy", those with the largest probability in relation to
            their share in training.
        """
        probabilities = self._predicted(X)  # which refuses an estimator without classes_
        return self.classes_[self._decided(probabilities)]

    def _decided(self, probabilities: Array) -> npt.NDArray[np.int64]:
        """Return the numbers of the classes to predict."""
        return decide(probabilities, self._fitted.objective, self.class_prior_)

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

    def explain(self, X: Any, *, label: Any = None) -> Contributions:
        """Return how much each column contributes to the probability of a class.

        The contributions of a row add up to the difference between its probability and the mean probability of 32
        training rows. They are Shapley values with sampled orders of the columns.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A few rows.
        label : class, optional
            By default, the class that is predicted for each row.

        Returns
        -------
        Contributions
            `print` it to see a table; a notebook shows a page.
        """
        frame, values, outputs, baseline = self._contributions(X)
        if label is None:
            chosen = self._decided(outputs)
        else:
            chosen = np.repeat(self._known(np.array([label]), "label"), len(outputs))
        rows = np.arange(len(outputs))
        told = [self._said(i, outputs[i], int(chosen[i])) for i in range(len(outputs))]
        return self._shown(frame, values[rows, :, chosen], outputs[rows, chosen], baseline[chosen], chosen, told)

    def _said(self, row: int, probabilities: Array, chosen: int) -> Told:
        """Return a row in words."""
        names = [str(name) for name in self.classes_]
        first = int(self._decided(probabilities[None])[0])
        order = sorted(range(len(names)), key=lambda k: (k != first, -probabilities[k]))
        ranked = tuple((names[k], float(probabilities[k])) for k in order)
        return Told(f"row {row}", f"The probability of {names[chosen]}", (), names[first], ranked)


class TabularRegressor(RegressorMixin, BaseTabular):  # type: ignore[misc]
    """Predict a number for each row of a table with an ensemble of networks.

    It takes a frame as it is: numbers, categories, dates and missing values. Until the time is over, `fit` trains
    networks of many configurations and linear models in cross-validation. The prediction is their weighted mean. The
    weights minimize the out-of-fold loss, which is that of rows that a model was not trained on.

    Parameters
    ----------
    max_seconds : float or None
        Time limit of `fit`. There is an answer after about one second; more time makes it better. None sets no limit
        and needs n_networks.
    metric : str or tuple
        The metric to optimize: "rmse" ("auto"), "mae", "r2", "poisson" (the deviance, for counts and other targets
        ≥ 0), or a quantile, such as "quantile:0.9".
    n_networks, cv, estimators, types, drop, n_jobs, random_state, verbose
        As in `TabularClassifier`.

    Attributes
    ----------
    oof_prediction_ : (n_samples,) array
        The ensemble's prediction for each training row, from models that were not trained on it. NaN for rows without
        weight.
    members_, weights_, n_networks_, loss_, metric_, columns_, left_out_, interrupted_
        As in `TabularClassifier`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = TabularRegressor(max_seconds=5, n_networks=10, random_state=0).fit(X[:400], y[:400])
    >>> low, high = model.predict_interval(X[400:], coverage=0.9).T
    """

    _kind = "regressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> TabularRegressor:
        """Search for the best ensemble until the time is over.

        Ctrl-C ends the search early and keeps the best ensemble so far.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
        y : (n_samples,) numbers
        sample_weight : (n_samples,) numbers ≥ 0, optional
            A row without weight is left out.
        groups : (n_samples,) array, optional
            Rows of the same group are in the same fold. Use it if several rows are of one person, place or day.
        """
        return self._fit(X, y, sample_weight, groups, classes=False)

    def _encoded(self, target: Array, objective: Objective) -> tuple[Array, int | None]:
        y = as_numbers(target)
        if objective.name == "poisson" and (y.min() < 0 or y.max() == 0):
            came = "only 0" if y.max() == 0 else shown(float(y.min()))
            raise ValueError(wrong("y", "numbers ≥ 0, not all 0, with metric='poisson'", came))
        return y, None

    def _keep(self, problem: Problem, fitted: Fitted, seed: int) -> None:
        super()._keep(problem, fitted, seed)
        spread = disagreement([member.oof[None] for member in fitted.members], fitted.weights)
        self._conformal = Conformal.fit(problem.y, fitted.oof, spread if spread.any() else None, problem.weights)

    def _known(self, target: Array, argument: str = "y") -> Array:
        return as_numbers(target)

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

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return an interval for each row that contains the target with the given probability.

        The intervals are conformal: their widths come from the out-of-fold errors of the training rows. On average,
        they contain this share of new targets if new rows are like the training rows, whatever the distribution of the
        errors is.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
        coverage : float
            A probability in (0, 1).

        Returns
        -------
        intervals : (n_samples, 2) array
            The lower and the upper ends. They are infinite if there are too few training rows for the coverage.
        """
        return self._intervals(self._raw(X), coverage)

    def _intervals(self, raw: RawColumns, coverage: float) -> Array:
        predicted, spread, variance = self._in_pieces(raw, self._for_intervals).T
        return np.stack(self._conformal.interval(predicted, coverage, spread, variance), axis=1)

    def _for_intervals(self, raw: RawColumns) -> Array:
        """Return predictions, how much members of a fold disagree, and the variance between the folds, (m, 3)."""
        each = [member.spread(raw) for member in self.members_]
        folds = blended(each, self.weights_)
        predicted = self._fitted.calibrated(folds.mean(axis=0))
        variance = self._fitted.line.slope**2 * folds.var(axis=0)
        return np.stack([predicted, disagreement(each, self.weights_), variance], axis=1)

    def explain(self, X: Any) -> Contributions:
        """Return how much each column contributes to the prediction.

        The contributions of a row add up to the difference between its prediction and the mean prediction of 32
        training rows. They are Shapley values with sampled orders of the columns.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)
            A few rows.

        Returns
        -------
        Contributions
            `print` it to see a table; a notebook shows a page.
        """
        frame, values, outputs, baseline = self._contributions(X)
        chosen = np.zeros(len(outputs), np.int64)
        told = [Told(f"row {row}", "The prediction") for row in range(len(outputs))]
        return self._shown(frame, values[:, :, 0], outputs[:, 0], np.repeat(baseline, len(outputs)), chosen, told)


def load(path: str | os.PathLike[str]) -> Any:
    """Return the estimator in a file that its `save` or `fastbp train --best` wrote, of any class of this package.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    ModelFileError
        If the file is not such a file. Loading never runs code from it.
    """
    if _realmlp_file.is_realmlp(path):
        return _realmlp_file.load(path, {kind._kind: kind for kind in (RealMLPClassifier, RealMLPRegressor)})
    return _file.load(path, {kind._kind: kind for kind in (TabularClassifier, TabularRegressor)})
