"""The common part of RealMLPClassifier and RealMLPRegressor: parameters, fitting and files."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import _checks, _messages, tables
from .._checks import shown, wrong
from .._extras import not_installed
from .._files.columns import Column
from ..sklearn._input import VALIDATION, Whole, sample_weights, validation_parts
from ..tables._frames import as_frame, column_names
from ..tables._problems import numbered, numbered_from_zero
from ..trainer import Trainer
from . import _realmlp_file
from ._inputs import target_of, thread_count, types_of, weighted_rows
from ._objectives import Objective
from ._realmlp import RECIPES, Recipe, initialize, new_trainer
from ._realmlp_inputs import Features
from ._realmlp_training import BestEpoch, Rows, train_in_kernels, train_until_best

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

STOPPED = "Ctrl-C ended the fit early. The estimator keeps the best epoch so far; interrupted_ is True."
SMOOTHING = 0.1  # of labels, where the log loss isn't what counts
PIECE = 4096  # rows to predict at once
SAMPLE = 1000  # training rows from which the first weights are computed


class BaseRealMLP(BaseEstimator):  # type: ignore[misc]
    """What `RealMLPClassifier` and `RealMLPRegressor` have in common."""

    _kind: ClassVar[str]  # "classifier" or "regressor"
    _table: ClassVar[None] = None  # the command line writes no such estimator
    trainer_: Trainer
    columns_: tuple[Column, ...]
    _features: Features
    _asked: dict[str, Any]  # the parameters at the time of the fit
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "variant": [StrOptions(set(RECIPES))],
        "n_epochs": [Whole(1)],
        "batch_size": [Whole(1)],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "hidden_layer_sizes": ["array-like", tuple],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Whole(1), None],
        "types": [Mapping, None],
        "drop": ["array-like", tuple, set, frozenset],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
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
        types: Mapping[str, str] | None = None,
        drop: Collection[str] = (),
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.variant = variant
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.hidden_layer_sizes = hidden_layer_sizes
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.types = types
        self.drop = drop
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # What the classifier and the regressor implement

    def _objective(self) -> Objective:
        """Return what chooses the epoch."""
        raise NotImplementedError

    def _keep_targets(self, y: Array, weights: Array | None) -> None:
        """Keep what turns the network's output into predictions. y, weights: of the training rows."""

    def _learned(self, y: Array) -> Array:
        """Return the targets in the form that the network learns: class numbers, (n,), or (n, 1)."""
        return y

    def _reported(self, J: Array) -> Array:
        """Return the losses that are reported, given J of the validation rows."""
        return J

    def _encoded(self, y: Array) -> Array:
        """Return class numbers or numbers, and keep the classes."""
        raise NotImplementedError

    def _known(self, y: Array, argument: str) -> Array:
        """Return class numbers or numbers of rows whose classes fit knows."""
        raise NotImplementedError

    def _answers(self, output: Array) -> Array:
        """Return predictions of the network's output."""
        raise NotImplementedError

    # Fitting

    def _recipe(self, label_smoothing: float = 0.0) -> Recipe:
        """Return how the network is built and trained."""
        sizes = tuple(Whole(1).is_satisfied_by(n) and int(n) for n in self.hidden_layer_sizes)
        if not sizes or not all(sizes):
            came = shown(self.hidden_layer_sizes)
            raise ValueError(wrong("hidden_layer_sizes", "at least one integer ≥ 1", came))
        recipe = RECIPES[self.variant][self._kind == "regressor"]
        return replace(
            recipe,
            hidden=sizes,
            learning_rate=recipe.learning_rate if self.learning_rate is None else float(self.learning_rate),
            batch_size=int(self.batch_size),
            epochs=int(self.n_epochs),
            label_smoothing=label_smoothing,
        )

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> Any:
        """Check the arguments and train. If that fails, the estimator stays as it was."""
        before = dict(vars(self))
        try:
            self._fit_checked(X, y, sample_weight, validation_data)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _fit_checked(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        self._validate_params()
        objective, n_threads = self._objective(), thread_count(self.n_jobs)
        self._smoothing = SMOOTHING if objective.name == "accuracy" else 0.0
        recipe = self._recipe(self._smoothing)
        frame = as_frame(self, X, reset=True)
        target = target_of(type(self).__name__, y, len(frame))
        weights = sample_weights("sample_weight", sample_weight, frame, np.dtype(np.float64))
        rows, weights = weighted_rows(len(frame), weights)
        if len(rows) < len(target):  # a row without weight is no row
            frame, target = frame.iloc[rows].reset_index(drop=True), target[rows]
        if len(frame) < 2:
            came = f"{len(frame)} (n_samples = {len(frame)})"
            raise ValueError(wrong("X", "at least 2 rows with a weight above 0", came))
        codes = self._encoded(target)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with numbered(rows):
            self.columns_, self.left_out_ = tables.recognise_inputs(
                frame, drop=column_names("drop", self.drop), types=types_of(self.types, X, frame)
            )
            raw = tables.raw_columns(self.columns_, frame, silent=True)
        if not self.columns_:
            raise ValueError(wrong("X", "a column with different values", f"only columns left out: {self.left_out_}"))
        trains, validates = split(codes, float(self.validation_fraction), seed)
        if validation_data is not None:
            trains = np.arange(len(codes))
        self._features = features = Features.fit(self.columns_, raw.take(trains), recipe.one_hot)
        self._keep_targets(codes[trains], None if weights is None else weights[trains])
        matrix, learned = features.view.matrix(raw), self._learned(codes)
        if validation_data is None:
            other = Rows(matrix[validates], codes[validates], None if weights is None else weights[validates])
        else:
            other = self._validation(validation_data)
        n_classes = len(self.classes_) if objective.classes else None
        self.trainer_ = new_trainer(recipe, features, n_classes, len(trains), seed, n_threads)
        used = Rows(matrix[trains], learned[trains], None if weights is None else weights[trains])
        rng = np.random.default_rng(seed)
        initialize(self.trainer_, recipe, features, used.X[rng.permutation(len(trains))[:SAMPLE]], rng)
        self._train(recipe, objective, used, other)

    def _train(self, recipe: Recipe, objective: Objective, rows: Rows, other: Rows) -> None:
        """Train the network, and keep the losses of the validation rows."""
        if objective.name == "accuracy":  # which kernels don't measure
            best = BestEpoch(other.X, lambda output: objective.loss(other.y, output, other.weights), self.patience)
            found = train_until_best(self.trainer_, recipe.epochs, rows, best, self.verbose)
            self.validation_losses_ = found.losses
        else:
            given = Rows(other.X, self._learned(other.y), other.weights)
            found = train_in_kernels(self.trainer_, recipe.epochs, rows, given, self.patience, self.verbose)
            self.validation_losses_ = self._reported(found.losses)
        self.n_iter_, self.best_epoch_ = len(found.losses), found.best_epoch
        self.validation_loss_ = float(self.validation_losses_[found.best_epoch - 1])
        self.interrupted_, self._asked = found.interrupted, _realmlp_file.parameters_of(self)
        if found.interrupted:
            _messages.warn(STOPPED, stacklevel=_checks.level_outside())

    def _validation(self, given: Any) -> Rows:
        """Return the rows of validation_data."""
        X, y, weights = validation_parts(given)
        frame = as_frame(self, X, reset=False, known=[column.name for column in self.columns_])
        target = self._known(target_of(type(self).__name__, y, len(frame)), "validation_data[1]")
        if not len(target):
            raise ValueError(wrong(VALIDATION.X, "at least one row", "none"))
        weights = sample_weights(VALIDATION.sample_weight, weights, frame, np.dtype(np.float64))
        return Rows(self._features.view.matrix(self._raw(frame)), target, weights)

    def _raw(self, frame: DataFrame) -> tables.RawColumns:
        with numbered_from_zero(len(frame)):
            return tables.raw_columns(self.columns_, frame)

    def _predicted(self, X: Any) -> Array:
        """Return the predictions for rows."""
        check_is_fitted(self)
        raw = self._raw(as_frame(self, X, reset=False, known=[column.name for column in self.columns_]))
        pieces = [raw.take(slice(start, start + PIECE)) for start in range(0, max(1, len(raw)), PIECE)]
        return np.concatenate([self._answers(self.trainer_.predict(self._features.view.matrix(p))) for p in pieces])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that holds no code. A crash leaves the old file or the new one.

        The file contains what `predict` needs. It isn't enough to continue training.

        Parameters
        ----------
        path : str or path
            The file to write, such as "model.npz".
        """
        _realmlp_file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Return the estimator in a file that `save` wrote.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ModelFileError
            If the file is not one that `save` of this class wrote. Loading never runs code from it.
        """
        return _realmlp_file.load(path, {cls._kind: cls})

    def to_onnx(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Return the fitted estimator as an ONNX model, which computes predictions from the raw columns.

        Inputs and outputs are those of ``TabularClassifier.to_onnx`` and ``TabularRegressor.to_onnx``.

        Parameters
        ----------
        path : str or path, optional
            A file to write, such as "model.onnx". A crash leaves the old file or the new one.

        Returns
        -------
        onnx.ModelProto
        """
        check_is_fitted(self)
        try:
            from ._onnx import realmlp_to_onnx
        except ImportError as error:
            raise not_installed("to_onnx needs onnx", "onnx") from error
        return realmlp_to_onnx(self, path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.allow_nan = True
        return tags


def split(y: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Return the numbers of the rows that train, and of those that validate.

    Of the rows in the order of y, each group of 1 / fraction gives one that validates. Both parts therefore have
    similar shares of each class and similar distributions of numbers.
    """
    rng, n = np.random.default_rng(seed), len(y)
    count = min(n - 1, max(1, round(n * fraction)))
    order = np.lexsort((rng.random(n), y))
    ends = np.arange(count + 1) * n // count
    chosen = np.zeros(n, bool)
    chosen[order[rng.integers(ends[:-1], ends[1:])]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
