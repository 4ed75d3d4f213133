"""What X and y are to the networks of fastbp.sklearn: checked as scikit-learn does, and encoded for the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import validate_data

from ..losses import Loss, loss_of
from ._base import BaseMLP
from ._epochs import Samples

Array = npt.NDArray[Any]


def validated(estimator: Any, X: Any, y: Any, **options: Any) -> tuple[Any, Array]:
    """X and y as scikit-learn checks them; y of one column is (n,)."""
    X, y = validate_data(estimator, X, y, accept_sparse=["csr", "csc"], multi_output=True, order="C", **options)
    return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


class Classes(BaseMLP):
    """Classes, or labels of which a sample may have several."""

    def _validate_input(
        self, X: Any, y: Any, *, incremental: bool, reset: bool, validating: bool = False
    ) -> tuple[Any, Array]:
        X, y = validated(self, X, y, dtype=self._x_dtype(), reset=reset)
        if "classes_" not in vars(self) or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), same=self.warm_start and not validating)
        return X, y

    def _check_classes(self, classes: Array, *, same: bool) -> None:
        """Whether those that came are those that were, or among them."""
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

    def _encode(self, y: Array, dtype: np.dtype[Any]) -> Samples:
        if self.out_activation_ == "softmax":
            return Samples(None, np.empty((0, self.n_outputs_), dtype), np.searchsorted(self.classes_, y))
        targets = np.ascontiguousarray(self._label_binarizer.transform(y), dtype)
        return Samples(None, targets, np.empty(0, np.int64))

    def _weights_of(self, y: Any, sample_weight: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which sees a part of the samples: pass "
                "the weights themselves, as sklearn.utils.compute_class_weight gives them."
            )
        weights = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight

    def _score_outputs(self, output: Array, samples: Samples) -> float:
        if self.out_activation_ == "softmax":
            right = output.argmax(axis=1) == samples.labels
        else:
            right = ((output > 0.5) == (samples.targets > 0.5)).all(axis=1)
        return float(np.average(right, weights=samples.weights))


class Numbers(BaseMLP):
    """Numbers, one or several for each sample."""

    def _validate_input(
        self, X: Any, y: Any, *, incremental: bool, reset: bool, validating: bool = False
    ) -> tuple[Any, Array]:
        X, y = validated(self, X, y, y_numeric=True, dtype=self._x_dtype(), reset=reset)
        if self._loss().name == "poisson" and y.min() < 0:
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'poisson'.")
        return X, y

    def _loss(self) -> Loss:
        return loss_of(self.loss)

    def _n_outputs(self, y: Array) -> int:
        return 1 if y.ndim == 1 else y.shape[1]

    def _objective(self) -> tuple[Any, str]:
        loss = self._loss()
        return loss, "exp" if loss.name == "poisson" else "identity"

    def _encode(self, y: Array, dtype: np.dtype[Any]) -> Samples:
        targets = np.ascontiguousarray(y.reshape(len(y), -1), dtype)
        constants = None
        if self.out_activation_ == "exp":  # half the deviance is y log y − y more than a − y log a
            y = np.asarray(targets, np.float64)
            constants = (y * np.log(np.where(y > 0, y, 1)) - y).sum(axis=1)
        return Samples(None, targets, np.empty(0, np.int64), constants=constants)

    def _score_outputs(self, output: Array, samples: Samples) -> float:
        return r2(samples.targets, output, samples.weights)


def r2(targets: Array, output: Array, weights: Array | None) -> float:
    """R², the mean over outputs; of an output that never changes 1 where it is met, else 0."""
    targets = np.asarray(targets, np.float64)
    w = 1.0 if weights is None else weights[:, None]
    unexplained = (w * (targets - output) ** 2).sum(axis=0)
    total = (w * (targets - np.average(targets, axis=0, weights=weights)) ** 2).sum(axis=0)
    constant = total == 0
    scores = np.where(constant, unexplained == 0, 1 - unexplained / np.where(constant, 1, total))
    return float(scores.mean())
