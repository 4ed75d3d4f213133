"""The common part of the two estimators: parameters, fitting and files."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from .. import _checks, _messages
from .._checks import wrong
from .._files.columns import Column
from .._library.library import library
from ..sklearn._input import Whole, sample_weights
from ..tables._frames import as_frame, column_names
from ..tables._problems import numbered
from ._answers import Answers
from ._blend import usable
from ._exports import Exports
from ._fitted import Fitted, Row
from ._inputs import (
    folds_of_groups,
    group_numbers,
    named_estimators,
    target_of,
    thread_count,
    types_of,
    weighted_rows,
)
from ._leaderboard import tell
from ._objectives import Objective, objective_of
from ._outside import Outside, check_weighting, fit_estimator
from ._problem import Problem
from ._sample import Sample, drawn
from ._search import Search

Array = npt.NDArray[Any]

STOPPED = "Ctrl-C ended the fit early. The estimator keeps the best ensemble so far; interrupted_ is True."
LATE = "estimators: {} could not be fitted in all folds in time. The ensemble is without them. Increase max_seconds."
NONE = "There was time for no model, so the same is predicted for every row. Increase max_seconds."
WILD = "estimators: {} predicted NaN, infinity or very large numbers. The ensemble is without them."


class BaseTabular(Exports, Answers):
    """What `TabularClassifier` and `TabularRegressor` have in common."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "n_networks": [Whole(1), None],
        "metric": [str, tuple, list],
        "cv": [Whole(2, 100)],
        "estimators": ["array-like", tuple],
        "types": [Mapping, None],
        "drop": ["array-like", tuple, set, frozenset, str],
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
        for kernels in ("network", "graph"):  # the first build takes long, and is not a part of the search
            library("float32", kernels)
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
        if weights is not None:
            check_weighting(others)
        together = np.arange(n) if groups is None else group_numbers(groups, n)
        rows, weights = weighted_rows(n, weights)
        if len(rows) < n:  # a row without weight is no row
            frame, target, together = frame.iloc[rows].reset_index(drop=True), target[rows], together[rows]
        if len(frame) < 2:
            came = f"{len(frame)} (n_samples = {len(frame)})"
            raise ValueError(wrong("X", "at least 2 rows with a weight above 0", came))
        y, n_classes = self._encoded(target, objective)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        folds = None
        if groups is not None:
            folds = folds_of_groups(together, y, int(self.cv), seed, classes=classes)
        with numbered(rows):
            problem = Problem(
                *(frame, y, weights, objective),
                n_classes=n_classes,
                n_folds=int(self.cv),
                types=types_of(self.types, X, frame),
                drop=column_names("drop", self.drop),
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
        """Return the best ensemble. Warn of Ctrl-C and of estimators that are left out."""
        late: list[str] = []
        wild: list[str] = []

        def go_on() -> bool:
            return not search.interrupted and time.perf_counter() < search.deadline

        def fit_other(name: str, estimator: Any) -> Outside | None:
            member = fit_estimator(name, estimator, problem, go_on)
            if member is None:
                late.append(name)
            elif not usable(member.oof):
                wild.append(name)
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
            late.clear()
        elif can_learn and len(fitted.log) == 1:
            _messages.warn(NONE, stacklevel=_checks.level_outside())
        for text, names in ((LATE, late), (WILD, wild)):
            if names:
                _messages.warn(text.format(", ".join(map(repr, names))), stacklevel=_checks.level_outside())
        return fitted

    def _keep(self, problem: Problem, fitted: Fitted, seed: int) -> None:
        """Set the attributes of a fitted estimator."""
        self._fitted, self._seed = fitted, seed
        self._sample: Sample = drawn(problem.raw, problem.y, problem.weights, problem.folds, seed)
        self.columns_, self.left_out_ = problem.columns, dict(problem.left_out)
        self.metric_ = problem.objective.metric
        self.interrupted_ = fitted.interrupted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.allow_nan = True
        tags.non_deterministic = self.n_networks is None
        return tags
