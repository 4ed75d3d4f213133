"""Checks of X and y as in scikit-learn, and the encoding of y for the kernels."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import is_multilabel, unique_labels
from sklearn.utils.validation import validate_data

from .._checks import numbers, wrong
from ..losses import LOSSES, CrossEntropy, Custom, Loss, encode, loss_of
from ._base import BaseMLP
from ._input import FIT, Names, class_weights, refuse
from ._pieces import Samples

Array = npt.NDArray[Any]


def validated(estimator: Any, X: Any, y: Any, names: Names, **options: Any) -> tuple[Any, Array]:
    """Check X and y as scikit-learn does. A y with one column becomes (n,)."""
    refuse(names.X, X)
    refuse(names.y, y, dates=True)
    X, y = validate_data(estimator, X, y, accept_sparse=["csr", "csc"], multi_output=True, order="C", **options)
    return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def check_labels(argument: str, y: Any) -> None:
    """Refuse labels that scikit-learn misreads: NaT, and a matrix of two values, neither of which is 0."""
    if y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError(wrong(argument, "no missing labels", "NaT"))
    if y.ndim == 2 and isinstance(y, np.ndarray) and y.dtype.kind in "biuf" and not (y == 0).any():
        low, high = y.min(), y.max()
        if low != high and is_multilabel(y):
            came = f"{low} and {high}; replace one of them by 0"
            raise ValueError(wrong(argument, "0 and one other number, because each column is a label", came))


def check_columns(argument: str, columns: int, n_outputs: int) -> None:
    """Refuse a y whose number of columns differs from the number of outputs."""
    if columns != n_outputs:
        raise ValueError(wrong(argument, f"{n_outputs} column{'s' * (n_outputs > 1)}, one for each output", columns))


class Classes(BaseMLP):
    """Classes, or labels; a sample may have several labels."""

    def _validate_input(
        self, X: Any, y: Any, *, incremental: bool, reset: bool, names: Names = FIT
    ) -> tuple[Any, Array]:
        X, y = validated(self, X, y, names, dtype=self._x_dtype(), reset=reset)
        if "classes_" not in vars(self) or (not self.warm_start and not incremental):
            check_labels(names.y, y)
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), same=self.warm_start and names is FIT)
        return X, y

    def _check_classes(self, classes: Array, *, same: bool) -> None:
        """Refuse classes that differ from those of the last fit (same), or that are not among them."""
        if same:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _n_outputs(self, y: Array) -> int:
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return y.shape[1]
        return 1 if len(self.classes_) <= 2 else len(self.classes_)

    def _objective(self) -> tuple[Any, str]:
        if self._label_binarizer.y_type_ == "multiclass":
            return "cross_entropy", "softmax"
        return "binary_cross_entropy", "logistic"

    def _encode(self, argument: str, y: Array, n_outputs: int, dtype: np.dtype[Any]) -> Samples:
        name, activation = self._objective()
        if activation == "softmax":
            if y.ndim == 2:
                self._label_binarizer.transform(y[:1])  # raises an error for a matrix of labels
            encoded = np.searchsorted(self.classes_, y)
        else:
            encoded = self._label_binarizer.transform(y) != 0  # as in scikit-learn, a label is 0 or one other value
            check_columns(argument, encoded.shape[1], n_outputs)
        check_labels(argument, y)
        loss = loss_of(name)
        return Samples(None, *encode(argument, encoded, len(encoded), n_outputs, loss, loss.output, dtype))

    def _class_weights(self, y: Any, incremental: bool, dtype: np.dtype[Any]) -> Array | None:
        if self.class_weight is None:
            return None
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which sees only a part of the samples: pass "
                "the weights as a dict; sklearn.utils.compute_class_weight computes them."
            )
        return class_weights(self.class_weight, y, self.classes_, dtype)

    def _score_outputs(self, output: Array, samples: Samples) -> float:
        if len(self.classes_) == 1 and self.n_outputs_ == 1:  # `predict` then returns it for every sample
            return 1.0
        if self.out_activation_ == "softmax":
            right = output.argmax(axis=1) == samples.labels
        else:
            right = ((output > 0.5) == (samples.targets > 0.5)).all(axis=1)
        return float(np.average(right, weights=samples.weights))


class Numbers(BaseMLP):
    """Targets that are numbers, one or several for each sample."""

    def _validate_input(
        self, X: Any, y: Any, *, incremental: bool, reset: bool, names: Names = FIT
    ) -> tuple[Any, Array]:
        refuse(names.y, y)
        if hasattr(y, "tocsr"):
            y = y.toarray()
        if y is not None and getattr(getattr(y, "dtype", None), "kind", "") != "c":
            with suppress(ValueError):  # scikit-learn has its own errors for missing and complex numbers
                numbers(names.y, y)
        return validated(self, X, y, names, y_numeric=True, dtype=self._x_dtype(), reset=reset)

    def _loss(self) -> Loss:
        loss = loss_of(self.loss)
        if type(loss) not in (*LOSSES.values(), Custom):
            expected = "a loss with one output for each target, or a Trainer with this one"
            raise ValueError(wrong("loss", expected, repr(loss.name)))
        return loss

    def _n_outputs(self, y: Array) -> int:
        return 1 if y.ndim == 1 else y.shape[1]

    def _objective(self) -> tuple[Any, str]:
        loss = self._loss()
        return loss, "exp" if loss.name == "poisson" else "identity"

    def _encode(self, argument: str, y: Array, n_outputs: int, dtype: np.dtype[Any]) -> Samples:
        loss, activation = self._objective()
        y = y.reshape(len(y), -1)
        check_columns(argument, y.shape[1], n_outputs)
        if isinstance(loss, CrossEntropy) and n_outputs == 1:
            expected = "a column for each class with loss=CrossEntropy()"
            raise ValueError(wrong(argument, expected, "one column; for class numbers use MLPClassifier"))
        if loss.name == "poisson" and y.min() < 0:
            raise ValueError(f"Some value(s) of {argument} are out of the valid range of the loss 'poisson'.")
        targets, labels = encode(argument, y, len(y), n_outputs, loss, loss.output, dtype)
        constants = None
        if activation == "exp":  # half the deviance is a − y log a plus y log y − y
            y = np.asarray(targets, np.float64)
            constants = (y * np.log(np.where(y > 0, y, 1)) - y).sum(axis=1)
        return Samples(None, targets, labels, constants=constants)

    def _score_outputs(self, output: Array, samples: Samples) -> float:
        return r2(samples.targets, output, samples.weights)


def r2(targets: Array, output: Array, weights: Array | None) -> float:
    """Return R², the mean over outputs. A constant target gives 1 if it is predicted exactly, otherwise 0."""
    targets = np.asarray(targets, np.float64)
    w = 1.0 if weights is None else weights[:, None]
    unexplained = (w * (targets - output) ** 2).sum(axis=0)
    total = (w * (targets - np.average(targets, axis=0, weights=weights)) ** 2).sum(axis=0)
    constant = total == 0
    scores = np.where(constant, unexplained == 0, 1 - unexplained / np.where(constant, 1, total))
    return float(scores.mean())
