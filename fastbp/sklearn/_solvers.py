"""How the estimators of fastbp.sklearn train: scikit-learn's three solvers and their stopping rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.optimize import _check_optimize_result

from .. import _messages
from .._kernels import codes
from ..optimizers import LBFGS, MOMENTS, OPTIMIZERS, SGD, Adam, Optimizer
from ._epochs import Epochs, Pace, minimize
from ._measures import Measures
from ._pieces import Samples

Array = npt.NDArray[Any]

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
PACE = ["solver", "optimizer", "learning_rate_init", "learning_rate", "power_t", "momentum", "nesterovs_momentum"]
PACE += ["beta_1", "beta_2", "epsilon"]


class Solvers(BaseEstimator):  # type: ignore[misc]
    """Everything between the initial weights and the trained ones."""

    loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    best_loss_: Any

    def _method(self) -> Optimizer:
        """Return the optimizer with the values of the parameters."""
        if isinstance(self.optimizer, Optimizer):
            return self.optimizer
        if self.optimizer == "lbfgs":
            return LBFGS()
        rate = self.learning_rate_init
        if self.optimizer is not None:
            return unchecked(OPTIMIZERS[self.optimizer], learning_rate=rate)
        if self.solver == "lbfgs":
            return unchecked(LBFGS, tolerance=max(self.tol, np.finfo(float).tiny))
        if self.solver == "adam":
            return unchecked(Adam, learning_rate=rate, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        nesterov = bool(self.nesterovs_momentum and self.momentum > 0)
        return unchecked(SGD, learning_rate=rate, momentum=self.momentum, nesterov=nesterov)

    def _equip(self, method: Optimizer) -> None:
        """Start an optimizer: set it in the trainer and create its state."""
        trainer = self.trainer_
        self._optimizer = pace = self._pace(method)
        trainer._state.optimizer, trainer._state.learning_rate = method, pace.learning_rate
        trainer._state.memory = trainer._state.engine.memory(MOMENTS[pace.rule.code], pace.first_step)

    def _start_records(self) -> None:
        self.loss_curve_ = []
        self._no_improvement_count = 0
        if self.early_stopping:
            self.validation_scores_ = []
            self.best_validation_score_ = -np.inf
            self.best_loss_ = None
        else:
            self.validation_scores_ = self.best_validation_score_ = None
            self.best_loss_ = np.inf

    def _complete_records(self) -> None:
        """Add the records that are missing if a warm start changes the solver or the stopping rule."""
        if "loss_curve_" not in vars(self):
            self._start_records()
        if self.early_stopping and self.best_validation_score_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf

    def _fit_stochastic(self, samples: Samples, method: Optimizer, incremental: bool, validation: Any) -> None:
        trainer, n = self.trainer_, samples.X.shape[0]
        if not incremental or "_optimizer" not in vars(self):
            self._equip(method)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._complete_records()
        training = samples
        if self.early_stopping and validation is None:
            training, validation = self._split(samples)
            n = training.X.shape[0]
        trainer._state.batch_size = self._batch_size(n)
        epochs = Epochs(
            trainer,
            training,
            self._optimizer,
            trainer.batch_size,
            self.alpha,
            averages=not is_classifier(self) and self.out_activation_ != "exp",
            order=self._shuffled(n) if self.shuffle else None,
        )
        # As in scikit-learn, a warm start keeps its last weights if no epoch is better than the best of all fits.
        best = [trainer.network._parameters.copy()] if self.early_stopping and self.t_ == 0 else []
        measures, before = Measures(self, training, validation), self._optimizer.learning_rate
        try:
            with measures.around(1 if incremental else self.max_iter):
                epochs.change_rate(before)
                epochs.cut(trainer.batch_size)
                self._epochs(epochs, measures, best, incremental)
        except KeyboardInterrupt:
            _messages.warn("Training interrupted by user.", stacklevel=4)
        if best:
            trainer.network._parameters[...] = best[-1]

    def _epochs(self, epochs: Epochs, measures: Measures, best: list[Array], incremental: bool) -> None:
        """Run epochs until one of scikit-learn's reasons to stop; best gets the weights that early stopping keeps."""
        self.n_iter_ = 0
        losses: Iterator[float] = iter(())
        for remaining in range(self.max_iter, 0, -1):
            loss = next(losses, None)
            if loss is None:
                losses = epochs.run(min(remaining, epochs.at_once, 1 if incremental else self._free_epochs(measures)))
                loss = next(losses)
            if not math.isfinite(loss):
                self._diverge()
            self.n_iter_ += 1
            self.loss_ = loss
            self.t_ += epochs.n
            self.loss_curve_.append(loss)
            if self.verbose:
                say(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
            self._note(measures, best)
            before = self._optimizer.learning_rate
            stop = measures.after_epoch(loss)
            epochs.cut(self.trainer_.batch_size)
            self._optimizer.epoch_ends(self.t_)
            stop = self._stops() or stop
            epochs.change_rate(before)
            self.trainer_._state.learning_rate = self._optimizer.learning_rate
            if stop or incremental:
                return
        _messages.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
            "hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=5,
        )

    def _free_epochs(self, measures: Measures) -> int:
        """Return how many epochs can run before more than their losses is needed or one of them may be the last."""
        if self.verbose or measures.asked or self._optimizer.schedule == "invscaling":
            return 1
        return int(max(1, min(self.n_iter_no_change, self.max_iter) + 1 - self._no_improvement_count))

    def _diverge(self) -> None:
        """Raise an error for a loss that isn't finite. Continue with early stopping, which keeps the best weights.

        In that case the weights become NaN, as in scikit-learn.
        """
        if not self.early_stopping:
            raise ValueError(NON_FINITE)
        for view in self.trainer_.network.parameters():
            view[...] = np.nan

    def _note(self, measures: Measures, best: list[Array]) -> None:
        """Record whether the epoch was better than the best one."""
        score = math.nan if measures.validation is None else self._score_validation(measures)
        if not self.early_stopping:
            self._count(self.loss_curve_[-1] > self.best_loss_ - float(self.tol))
            self.best_loss_ = min(self.best_loss_, self.loss_curve_[-1])
            return
        self._count(score < self.best_validation_score_ + self.tol)
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            best[:] = [self.trainer_.network._parameters.copy()]

    def _score_validation(self, measures: Measures) -> float:
        """Record and return the score of the validation data."""
        score = measures.score()
        if vars(self).get("validation_scores_") is None:
            self.validation_scores_ = []
        self.validation_scores_.append(score)
        if self.verbose:
            say(f"Validation score: {score:f}")
        return score

    def _count(self, no_better: bool) -> None:
        self._no_improvement_count = self._no_improvement_count + 1 if no_better else 0

    def _stops(self) -> bool:
        """Return whether too many epochs brought no improvement and η can't become smaller."""
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        what = "Validation score" if self.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
        pace = self._optimizer
        if pace.slows_down():
            message += f" Setting learning rate to {pace.learning_rate:f}"
            self._no_improvement_count, stops = 0, False
        else:
            message += " Learning rate too small. Stopping." if pace.schedule == "adaptive" else " Stopping."
            stops = True
        if self.verbose:
            say(message)
        return stops

    def _pace(self, method: Optimizer) -> Pace:
        """Return η and the update rule for the parameters."""
        pace = self._plain_pace(method)
        pace.asked = {name: getattr(self, name) for name in PACE}
        return pace

    def _plain_pace(self, method: Optimizer) -> Pace:
        if isinstance(method, LBFGS):
            return Pace(method.rule(), method.learning_rate)
        if self.optimizer is not None:
            own = isinstance(self.optimizer, Optimizer)
            return Pace(method.rule(), method.learning_rate if own else self.learning_rate_init)
        if self.solver == "adam":
            rule = codes.Rule(codes.ADAM, float(self.beta_1), float(self.beta_2), float(self.epsilon), 0.0)
            return Pace(rule, self.learning_rate_init, corrects=True)
        code = codes.NESTEROV if self.nesterovs_momentum else codes.MOMENTUM
        rule = codes.Rule(code if self.momentum > 0 else codes.SGD, float(self.momentum), 0.0, 0.0, 0.0)
        return Pace(rule, self.learning_rate_init, self.learning_rate, self.power_t)

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            _messages.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        return int(min(self.batch_size, n))

    def _split(self, samples: Samples) -> tuple[Samples, Samples]:
        """Split the samples into training and validation samples, stratified if there are two classes."""
        stratify = samples.targets > 0.5 if is_classifier(self) and self.n_outputs_ == 1 else None
        try:
            with config_context(skip_parameter_validation=True):  # validation_fraction is already checked
                train, rest = train_test_split(
                    np.arange(samples.X.shape[0]),
                    random_state=self._random_state,
                    test_size=self.validation_fraction,
                    stratify=stratify,
                )
        except ValueError as error:
            if "Classes with too few members" not in str(error):
                raise
            raise ValueError(f"{error}. {self._binary_classes()}") from error
        if len(rest) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        parts = samples.of(train), samples.of(rest)
        check_weights(
            "sample_weight" if vars(self).get("class_weight") is None else "sample_weight, class_weight", parts
        )
        return parts

    def _binary_classes(self) -> str:
        """Return a text that says which classes scikit-learn's message calls True and False."""
        names = dict(zip(("False", "True"), self.classes_.tolist(), strict=False))
        return " and ".join(f"{name} is the class {label!r}" for name, label in names.items())

    def _shuffled(self, n: int) -> Callable[[], npt.NDArray[np.int64]]:
        """Return a function that gives scikit-learn's order of each epoch: the last order, shuffled again."""
        order, random_state = np.arange(n, dtype=np.int64), self._random_state

        def shuffled() -> npt.NDArray[np.int64]:
            nonlocal order
            places = np.arange(n, dtype=np.int64)
            random_state.shuffle(places)
            order = order[places]
            return order

        return shuffled

    def _fit_lbfgs(self, samples: Samples, method: LBFGS, validation: Any) -> None:
        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": method.tolerance, "maxcor": method.memory}
        self._equip(method)
        self.__dict__.pop("_optimizer")  # a later partial_fit starts a new one
        self.trainer_._state.batch_size = samples.X.shape[0]
        measures, iterations = Measures(self, samples, validation), count(1)

        def after(loss: float) -> bool:
            if self.verbose:
                say(f"Iteration {next(iterations)}, loss = {loss:.8f}")
            if validation is not None:
                self._score_validation(measures)
            return measures.after_epoch(loss)

        with measures.around(self.max_iter):
            result = minimize(self.trainer_, samples, self.alpha, options, after)
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = float(result.fun)


def unchecked(kind: type[Any], **values: Any) -> Any:
    """Return an optimizer with values that only scikit-learn allows, such as momentum=1."""
    optimizer = kind()
    for name, value in values.items():
        object.__setattr__(optimizer, name, value if isinstance(value, bool) else float(value))
    return optimizer


def check_weights(argument: str, parts: tuple[Samples, Samples]) -> None:
    """Refuse a split in which all training or all validation samples have the weight 0."""
    for part, what in zip(parts, ("train", "validate"), strict=True):
        if part.weights is not None and not part.weights.any():
            raise ValueError(
                f"{argument}: Sample weights must contain at least one non-zero number. All {len(part.weights)} "
                f"samples that early stopping uses to {what} have the weight 0. Pass validation_data instead."
            )


def say(text: str) -> None:
    """Print a line to standard output, as scikit-learn's verbose fits do."""
    _messages.out(text + "\n")
