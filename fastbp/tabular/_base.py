"""The common part of the two estimators: parameters, fitting, and what an ensemble gives besides its predictions."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .. import _checks, _messages
from .._checks import wrong
from .._files.columns import Column
from ..explanation import Contributions
from ..explanation._of_table import cell_texts
from ..explanation._told import Told
from ..sklearn._input import Whole, sample_weights
from ..tables import RawColumns, Table
from ..tables._frames import as_frame
from . import _file, _importance
from ._explanation import BACKGROUND, shapley
from ._fitted import Fitted, Row
from ._inputs import folds_of_groups, group_numbers, named_estimators, target_of, thread_count
from ._leaderboard import leaderboard, tell
from ._members import Member
from ._networks import NetworkMember
from ._objectives import Objective, objective_of
from ._outside import Outside, fit_estimator
from ._problem import Problem
from ._report import SearchReport
from ._sample import Sample, drawn
from ._search import Search

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

ROWS = 4096  # to predict at once, so that memory does not grow with the rows
STOPPED = "Ctrl-C ended the fit early. The estimator keeps the best ensemble so far; interrupted_ is True."
LATE = "estimators: {} could not be fitted in all folds in time, and is left out. Increase max_seconds."


class BaseTabular(BaseEstimator):  # type: ignore[misc]
    """What `TabularClassifier` and `TabularRegressor` have in common."""

    _kind: ClassVar[str]
    _table: Table | None = None  # of the command line
    _report: SearchReport | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "n_networks": [Whole(1), None],
        "metric": [str, tuple, list],
        "cv": [Whole(2, 100)],
        "estimators": ["array-like", tuple],
        "types": [Mapping, None],
        "drop": ["array-like", tuple, set, frozenset],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        max_seconds: float | None = 60,
        *,
        metric: Any = "auto",
        n_networks: int | None = None,
        cv: int = 5,
        estimators: Sequence[Any] = (),
        types: Mapping[str, str] | None = None,
        drop: Collection[str] = (),
        n_jobs: int | None = -1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.max_seconds = max_seconds
        self.metric = metric
        self.n_networks = n_networks
        self.cv = cv
        self.estimators = estimators
        self.types = types
        self.drop = drop
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # What the classifier and the regressor implement

    def _encoded(self, target: Array, objective: Objective) -> tuple[Array, int | None]:
        """Return class numbers and the number of classes, or numbers and None. Set what depends on the target."""
        raise NotImplementedError

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that holds no code. A crash leaves the old file or the new one.

        The file has what `predict` and the other methods need, and 500 training rows for `explain`. It doesn't have the
        out-of-fold predictions. Members from `estimators` can't be written; use pickle for them.

        Parameters
        ----------
        path : str or path
            Such as "model.npz".
        """
        _file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Return the estimator in a file that `save` wrote.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ModelFileError
            If `save` of this class did not write the file. Loading never runs code from it.
        """
        return _file.load(path, {cls._kind: cls})

    # Fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        classes: bool,
        columns: tuple[Column, ...] | None = None,
        told: Callable[[Row], None] | None = None,
    ) -> Any:
        """Check the arguments, search, and keep what predictions need.

        The command line says what the columns of X are, and is told about each candidate.
        """
        started = time.perf_counter()
        self._validate_params()
        if self.max_seconds is None and self.n_networks is None:
            raise ValueError(wrong("max_seconds", "a time limit, or n_networks", "None for both, which never ends"))
        objective = objective_of(self.metric, classes=classes)
        others = named_estimators(self.estimators, classes=classes)
        n_threads = thread_count(self.n_jobs)
        frame = as_frame(self, X, reset=True)
        n = len(frame)
        target = target_of(type(self).__name__, y, n)
        weights = sample_weights("sample_weight", sample_weight, frame, np.dtype(np.float64))
        together = np.arange(n) if groups is None else group_numbers(groups, n)
        rows = np.arange(n) if weights is None else np.flatnonzero(weights)
        if len(rows) < n:  # a row without weight is no row
            frame, target, together = frame.iloc[rows].reset_index(drop=True), target[rows], together[rows]
            weights = None if weights is None else weights[rows]
        if len(frame) < 2:
            came = f"{len(frame)} (n_samples = {len(frame)})"
            raise ValueError(wrong("X", "at least 2 rows with a weight above 0", came))
        y, n_classes = self._encoded(target, objective)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        folds = None
        if groups is not None:
            folds = folds_of_groups(together, y, int(self.cv), seed, classes=classes)
        problem = Problem(
            *(frame, y, weights, objective),
            n_classes=n_classes,
            n_folds=int(self.cv),
            types=self._types(X, frame),
            drop=self.drop,
            columns=columns,
            random_state=seed,
            folds=folds,
        )
        told = functools.partial(tell, objective) if self.verbose else told
        fitted = self._searched(problem, others, n_threads, seed, started, told)
        self._keep(problem, fitted, seed)
        self.oof_prediction_ = np.full((n, *fitted.oof.shape[1:]), np.nan)
        self.oof_prediction_[rows] = fitted.oof
        return self

    def _searched(
        self,
        problem: Problem,
        others: Sequence[tuple[str, Any]],
        n_threads: int,
        seed: int,
        started: float,
        told: Callable[[Row], None] | None,
    ) -> Fitted:
        """Return the best ensemble. Warn of Ctrl-C and of estimators that were not fitted in time."""
        late: list[str] = []

        def go_on() -> bool:
            return not search.interrupted and time.perf_counter() < search.deadline

        def fit_other(name: str, estimator: Any) -> Outside | None:
            member = fit_estimator(name, estimator, problem, go_on)
            if member is None:
                late.append(name)
            return member

        can_learn = len(problem.columns) > 0 and len(np.unique(problem.y)) > 1
        search = Search(
            problem,
            max_seconds=math.inf if self.max_seconds is None else float(self.max_seconds),
            n_networks=self.n_networks,
            n_jobs=n_threads,
            random_state=seed,
            extra=[functools.partial(fit_other, *pair) for pair in others] if can_learn else [],
            told=told,
            started=started,
        )
        fitted = search.run()
        if fitted.interrupted:
            _messages.warn(STOPPED, stacklevel=_checks.level_outside())
        elif late:
            _messages.warn(LATE.format(", ".join(map(repr, late))), stacklevel=_checks.level_outside())
        return fitted

    def _types(self, X: Any, frame: DataFrame) -> dict[str, str]:
        """Return the kinds of columns that the user chose. Numbers in an array without names stay numbers."""
        chosen = dict(self.types or {})
        if hasattr(X, "columns"):
            return chosen
        numeric = [name for name in frame.columns if frame[name].dtype.kind in "iuf" and frame[name].notna().any()]
        return dict.fromkeys(numeric, "number") | chosen

    def _keep(self, problem: Problem, fitted: Fitted, seed: int) -> None:
        """Set the attributes of a fitted estimator."""
        self._fitted, self._seed = fitted, seed
        self._sample: Sample = drawn(problem.raw, problem.y, problem.weights, problem.folds, seed)
        self.columns_, self.left_out_ = problem.columns, dict(problem.left_out)
        self.metric_ = problem.objective.metric
        self.interrupted_ = fitted.interrupted

    @property
    def members_(self) -> list[Member]:
        """The members of the ensemble. A candidate without weight is none."""
        return list(self._of_fitted("members"))

    @property
    def weights_(self) -> Array:
        """The weight of each member, > 0, with the sum 1."""
        return self._of_fitted("weights")

    @property
    def n_networks_(self) -> int:
        """The number of networks whose predictions are averaged."""
        return sum(len(member.parameters) for member in self.members_ if isinstance(member, NetworkMember))

    def _of_fitted(self, name: str) -> Any:
        if "_fitted" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name}_ before it is fitted")
        return getattr(self._fitted, name)

    # Predictions

    def _raw(self, X: Any) -> RawColumns:
        """Return the values of rows, checked."""
        check_is_fitted(self)
        return self._fitted.columns_of(as_frame(self, X, reset=False))

    def _predicted(self, X: Any) -> Array:
        """Return the probabilities of rows, (m, k), or numbers, (m,)."""
        return self._in_pieces(self._raw(X), self._fitted.predict)

    def _in_pieces(self, raw: RawColumns, function: Callable[[RawColumns], Array]) -> Array:
        """Return a function of rows for all rows, ROWS at a time, in n_jobs threads."""
        parts = [raw.take(slice(start, start + ROWS)) for start in range(0, max(1, len(raw)), ROWS)]
        n_threads = min(len(parts), thread_count(self.n_jobs))
        if n_threads == 1:
            return np.concatenate(list(map(function, parts)))
        with ThreadPoolExecutor(n_threads) as threads:
            return np.concatenate(list(threads.map(function, parts)))

    def predict_std(self, X: Any) -> Array:
        """Return how much the networks disagree: the weighted standard deviation of their predictions.

        This is the uncertainty about the model. It does not contain the noise of the target, which intervals contain.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        deviations : (n_samples, n_classes) of probabilities, or (n_samples,) of numbers
        """
        return self._in_pieces(self._raw(X), self._deviations)

    def _deviations(self, raw: RawColumns) -> Array:
        """Return the deviations over all members and folds."""
        weighted = [(member.spread(raw), w) for member, w in zip(self.members_, self.weights_, strict=True)]
        mean = sum(w * each.mean(axis=0) for each, w in weighted)
        return np.sqrt(sum(w * ((each - mean) ** 2).mean(axis=0) for each, w in weighted))

    # What else an ensemble gives

    def leaderboard(self) -> DataFrame:
        """Return a row for each candidate and one for the ensemble, the best first.

        Returns
        -------
        DataFrame
            The name, the family, the out-of-fold metric, the weight in the ensemble, the processor seconds of training,
            and whether all folds were trained: candidates that are clearly worse end after their first fold. The
            ensemble's metric is computed with weights that were chosen on other rows.
        """
        check_is_fitted(self)
        return leaderboard(self._fitted)

    def feature_importance(
        self, X: Any = None, y: Any = None, *, sample_weight: Any = None, repeats: int = 5
    ) -> DataFrame:
        """Return how much the loss rises when the values of a column are shuffled (permutation importance).

        Columns that carry the same information share their importance.

        Parameters
        ----------
        X, y : rows that the estimator was not fitted on, optional
            By default 500 training rows, each predicted by the networks that did not train on it.
        sample_weight : (n_samples,) weights, optional
        repeats : int
            Number of shuffles of each column.

        Returns
        -------
        DataFrame
            The mean and the deviation over the shuffles, for each column that is an input, the most important first.
        """
        check_is_fitted(self)
        repeats = _checks.whole("repeats", repeats, minimum=1)
        if (X is None) != (y is None):
            raise ValueError(wrong("X, y", "both or neither", f"only {'y' if X is None else 'X'}"))
        if X is None:
            raw, target, weights = self._sample.raw, self._sample.y, self._sample.weights
            predict = self._out_of_fold
        else:
            raw = self._raw(X)
            target = self._known(target_of(type(self).__name__, y, len(raw)))
            weights = sample_weights("sample_weight", sample_weight, target, np.dtype(np.float64))
            predict = functools.partial(self._in_pieces, function=self._fitted.predict)
        if len(raw) < 2:
            raise ValueError(wrong("X", "two or more rows, because there is nothing to shuffle in one", str(len(raw))))

        def losses(rows: RawColumns) -> list[float]:
            parts = np.split(predict(rows), len(rows) // len(raw))
            return [self._fitted.objective.loss(target, part, weights) for part in parts]

        if math.isnan(losses(raw)[0]):
            raise ValueError(wrong("y", f"targets of more than one class for {self.metric_}", "only one class"))
        values = _importance.shuffled(losses, raw, repeats, np.random.default_rng(self._seed))
        return _importance.as_frame(raw.names, values)

    def _out_of_fold(self, rows: RawColumns) -> Array:
        """Return the predictions for the sample's rows, once or several times, by networks that did not see them."""
        predicted, count = self._fitted.fold_predictions(rows), len(self._sample.y)
        return predicted[np.tile(self._sample.folds, len(rows) // count), np.arange(len(rows))]

    def _known(self, target: Array, argument: str = "y") -> Array:
        """Return the class numbers or numbers of targets that fit didn't see."""
        raise NotImplementedError

    def _contributions(self, X: Any) -> tuple[DataFrame, Array, Array, Array]:
        """Return the rows as a frame, and the results of `shapley` for them."""
        check_is_fitted(self)
        frame = as_frame(self, X, reset=False)
        if not len(frame):
            raise ValueError(wrong("X", "at least one row", "none"))
        raw, random = self._fitted.columns_of(frame), np.random.default_rng(self._seed)
        background = self._sample.raw.take(random.permutation(len(self._sample.y))[:BACKGROUND])
        values, outputs, baseline = shapley(self._explained, raw, background, random)
        return frame, values, outputs, baseline

    def _explained(self, raw: RawColumns) -> Array:
        """Return the predictions of rows, (n, k) or (n, 1)."""
        found: Array = self._fitted.predict(raw)
        return found.reshape(len(raw), -1)

    def _shown(
        self, frame: DataFrame, values: Array, outputs: Array, baselines: Array, chosen: Array, told: Sequence[Told]
    ) -> Contributions:
        """Return contributions, (m, p), with the text of each cell."""
        texts = [cell_texts(column, frame[column.name]) for column in self.columns_]
        full = tuple(replace(one, cells=tuple(column[i] for column in texts)) for i, one in enumerate(told))
        names = tuple(column.name for column in self.columns_)
        baseline = f"the mean of {min(BACKGROUND, len(self._sample.y))} training rows"
        return Contributions(names, values, outputs, baselines, chosen, full, "column", baseline)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.allow_nan = True
        tags.non_deterministic = self.n_networks is None
        return tags
