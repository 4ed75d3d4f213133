"""Metrics of the targets y and the predictions aᴸ, both (n, n_L). Some of them are computed by scikit-learn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ._checks import one_of, sequence, shown, wrong
from ._extras import not_installed
from .activations import ACTIVATIONS

Array = npt.NDArray[Any]
Function = Callable[[Array, Array], float]  # a user's function of y and aᴸ
Metric = str | Function
Metrics = tuple[Metric, ...]
Integers = npt.NDArray[np.int64]


def classes(output: Array, threshold: float, multi_label: bool = False) -> Integers:
    """Return the class numbers, (n,), for aᴸ, (n, n_L): the number of the largest output.

    A single output is class 1 above the threshold, otherwise class 0. If each output is a separate label, return 0 or 1
    for each, (n, n_L).

    Raises
    ------
    ValueError
        If an output is NaN.
    """
    if np.isnan(output).any():
        row = int(np.flatnonzero(np.isnan(output).any(axis=1))[0])
        raise ValueError(wrong("X", "inputs whose outputs are not NaN, to choose their classes", f"NaN for row {row}"))
    if multi_label:
        return (output > threshold).astype(np.int64)
    if output.shape[1] == 1:
        return (output[:, 0] > threshold).astype(np.int64)
    return output.argmax(axis=1)


@dataclass
class PredictedSamples:
    """Samples with their targets and the network's outputs, from which metrics are computed.

    Attributes
    ----------
    targets, labels : (n, n_L), or (n,) class numbers; one of the two is empty
    output : (n, n_L) aᴸ
    threshold : a single output, or that of a separate label, is 1 above it
    multi_label : whether each output is a separate label
    weight : (n,), ≥ 0 and not all 0, or None for equal weights
    """

    targets: Array
    labels: Integers
    output: Array
    threshold: float
    multi_label: bool
    weight: Array | None = None

    @cached_property
    def y(self) -> Array:
        """Targets, (n, n_L)."""
        return self.targets if len(self.targets) else np.eye(self.output.shape[1])[self.labels]

    @cached_property
    def truth(self) -> Integers:
        """True class numbers, (n,); (n, n_L) of 0 and 1 if each output is a separate label."""
        return self._classes(self.targets) if len(self.targets) else self.labels

    @cached_property
    def predicted(self) -> Integers:
        """Predicted class numbers or labels, in the form of `truth`."""
        return self._classes(self.output)

    @cached_property
    def indicators(self) -> npt.NDArray[np.bool_]:
        """Whether each sample belongs to each class, or has each label, (n, n_L)."""
        n_outputs = self.output.shape[1]
        if n_outputs > 1 and not self.multi_label:
            return self.truth[:, None] == np.arange(n_outputs)
        return self.truth.reshape(-1, n_outputs) == 1

    @cached_property
    def is_finite(self) -> bool:
        """Whether all of aᴸ is finite."""
        return bool(np.isfinite(self.output).all())

    def each_label(self) -> list[PredictedSamples]:
        """Return the samples once for each separate label, with that label's output alone. Classes are not split."""
        if not self.multi_label:
            return [self]
        columns = [slice(j, j + 1) for j in range(self.output.shape[1])]
        return [replace(self, targets=self.targets[:, j], output=self.output[:, j], multi_label=False) for j in columns]

    def without_zero_weights(self) -> PredictedSamples:
        """Return the samples whose weight is not 0."""
        if self.weight is None or (self.weight > 0).all():
            return self
        kept = np.flatnonzero(self.weight)
        targets = self.targets[kept] if len(self.targets) else self.targets
        labels = self.labels[kept] if len(self.labels) else self.labels
        return replace(self, targets=targets, labels=labels, output=self.output[kept], weight=self.weight[kept])

    def _classes(self, values: Array) -> Integers:
        return classes(values, self.threshold, self.multi_label)


def mse(samples: PredictedSamples) -> float:
    """Mean squared error: the mean of (y − aᴸ)² over samples and outputs, without the factor ½ of the loss."""
    return float(np.average(_errors(samples) ** 2, axis=0, weights=samples.weight).mean())


def rmse(samples: PredictedSamples) -> float:
    """Root mean squared error: √ of the mean of (y − aᴸ)² over samples, averaged over outputs as in scikit-learn."""
    return float(np.sqrt(np.average(_errors(samples) ** 2, axis=0, weights=samples.weight)).mean())


def mae(samples: PredictedSamples) -> float:
    """Mean absolute error: the mean of |y − aᴸ| over samples and outputs."""
    return float(np.average(np.abs(_errors(samples)), axis=0, weights=samples.weight).mean())


def r2(samples: PredictedSamples) -> float:
    """Coefficient of determination, 1 − Σ (y − aᴸ)² / Σ (y − ȳ)², averaged over outputs.

    If y is constant for an output, its value is 1 if all predictions are exact, otherwise 0, as in scikit-learn.
    """
    y = np.asarray(samples.y, np.float64)
    residual = np.average(_errors(samples) ** 2, axis=0, weights=samples.weight)
    total = np.average((y - np.average(y, axis=0, weights=samples.weight)) ** 2, axis=0, weights=samples.weight)
    constant = (y == y[0]).all(axis=0)
    scores = np.where(constant, residual == 0, 1 - residual / np.where(constant, 1, total))
    return float(scores.mean())


def accuracy(samples: PredictedSamples) -> float:
    """Fraction of samples with the correct class; with separate labels, of those with all labels correct."""
    right = samples.truth == samples.predicted
    return float(np.average(right.reshape(len(right), -1).all(axis=1), weights=samples.weight))


def balanced_accuracy(samples: PredictedSamples) -> float:
    """Recall, averaged over the classes that occur in y, and then over separate labels."""
    # scikit-learn's balanced_accuracy_score is the same, but warns of predicted classes that are not in y
    recall = partial(_scikit_learn("balanced_accuracy").recall_score, average="macro", zero_division=0)
    return _mean(
        recall(s.truth, s.predicted, labels=np.unique(s.truth), sample_weight=s.weight) for s in samples.each_label()
    )


def averaged(name: str, samples: PredictedSamples) -> float:
    """Return precision, recall or f1: that of class 1 for a single output, otherwise the mean over classes or labels.

    Classes that neither occur nor are predicted are left out of the mean. A class that is never predicted has precision
    0; a class that doesn't occur has recall 0. All separate labels are in the mean.
    """
    score = getattr(_scikit_learn(name), f"{name}_score")
    average = "binary" if samples.output.shape[1] == 1 else "macro"
    options = {"average": average, "zero_division": 0, "sample_weight": samples.weight}
    return float(score(samples.truth, samples.predicted, **options))


def auc(samples: PredictedSamples) -> float:
    """Area under the ROC curve, averaged over classes (each against the rest) or labels.

    It depends only on the order of the outputs, so they need not be probabilities. It is NaN, without a warning, if no
    sample or every sample has one of the classes or labels.
    """
    score = _scikit_learn("auc").roc_auc_score
    y = samples.indicators
    if (y == y[0]).all(axis=0).any():
        return math.nan
    return _mean(score(y[:, j], samples.output[:, j], sample_weight=samples.weight) for j in range(y.shape[1]))


def log_loss(samples: PredictedSamples) -> float:
    """−log of the predicted probability of the true class, averaged over samples, and then over separate labels.

    As in scikit-learn, a probability of 0 is replaced by the machine epsilon of the dtype.
    """
    return _mean(_log_loss(s) for s in samples.each_label())


def _log_loss(samples: PredictedSamples) -> float:
    output, truth, least = samples.output, samples.truth, np.finfo(samples.output.dtype).eps
    chances = (
        output[np.arange(len(truth)), truth] if output.shape[1] > 1 else np.where(truth, output[:, 0], 1 - output[:, 0])
    )
    return float(np.average(-np.log(np.clip(chances, least, 1 - least), dtype=np.float64), weights=samples.weight))


def top_accuracy(k: int, samples: PredictedSamples) -> float:
    """Fraction of samples whose class is among the k largest outputs. Of equal outputs, the later one ranks higher."""
    n_classes = samples.output.shape[1]
    if n_classes == 2:  # scikit-learn expects one column here; k is 1
        return accuracy(samples)
    score = _scikit_learn("top_k_accuracy").top_k_accuracy_score
    return float(score(samples.truth, samples.output, k=k, labels=np.arange(n_classes), sample_weight=samples.weight))


Measured = Callable[[PredictedSamples], float]
OF_NUMBERS: dict[str, Measured] = {"mse": mse, "rmse": rmse, "mae": mae, "r2": r2}  # the others are for classes
OWN = OF_NUMBERS | {"accuracy": accuracy, "log_loss": log_loss}  # the others need scikit-learn
MEANS = ("mse", "mae", "accuracy", "log_loss")  # means over samples, so those of several chunks can be combined
METRICS = OWN | {
    "balanced_accuracy": balanced_accuracy,
    "precision": partial(averaged, "precision"),
    "recall": partial(averaged, "recall"),
    "f1": partial(averaged, "f1"),
    "auc": auc,
    "log_loss": log_loss,
}
TAKEN = ("epoch", "loss", "learning_rate")  # names that a History has for other columns
TOP = re.compile(r"top_(k|[1-9][0-9]*)_accuracy")


def metric_names(value: Any) -> Metrics:
    """Return one or several metrics, names and functions of (y, output), without duplicates.

    Raises
    ------
    ImportError
        If a metric needs scikit-learn, and it is not installed.
    """
    expected = "names of metrics, or functions of (y, output)"
    if value is None or (type(value) is tuple and not value):
        return ()
    if isinstance(value, str) or callable(value):
        value = [value]
    chosen: dict[str, Metric] = {}
    for item in sequence("metrics", value, expected, ordered=False):
        name = name_of(item)
        if not (callable(item) or (isinstance(item, str) and _top(item))):
            one_of("metrics", item, [*METRICS, "top_k_accuracy"])
        if chosen.setdefault(name, item) != item:
            raise ValueError(wrong("metrics", "each name only once", f"two metrics called {name!r}"))
        if isinstance(item, str) and item not in OWN:
            _scikit_learn(item)
    return tuple(chosen.values())


def check_metrics(
    argument: str, targets: Array, metrics: Metrics, *, threshold: float, output_activation: str, multi_label: bool
) -> None:
    """Refuse a metric that is not defined for these targets or outputs.

    Parameters
    ----------
    argument : name of the targets in messages
    targets : (n, n_L), or (0, n_L) for class numbers
    metrics : from `metric_names`
    threshold, multi_label : as in `PredictedSamples`
    output_activation : name of the output activation
    """
    n_outputs = targets.shape[1]
    for name in metrics:
        if not isinstance(name, str) or name in OF_NUMBERS:
            continue
        check_classes(argument, targets, f"metrics has {name!r}", threshold, multi_label)
        k = _top(name)
        if k and (multi_label or k >= n_outputs):
            came = "labels that are not exclusive" if multi_label else f"{n_outputs} output{'s' * (n_outputs > 1)}"
            raise ValueError(wrong("metrics", f"more than {k} exclusive classes for {name!r}", came))
        if name == "log_loss":
            _check_probabilities(output_activation, n_outputs, multi_label)


def check_means(metrics: Metrics) -> None:
    """Refuse a metric that needs all samples at once."""
    for name in metrics:
        if not isinstance(name, str) or not (name in MEANS or _top(name)):
            expected = f"means over samples ({', '.join(MEANS)}, top_k_accuracy), because the data is a Stream"
            raise ValueError(wrong("metrics", expected, repr(name_of(name))))


def check_classes(argument: str, targets: Array, reason: str, threshold: float, multi_label: bool) -> None:
    """Refuse targets that are not classes: 0 and 1, one-hot if exclusive; or −1 and 1 if the threshold is 0."""
    lows = (0,) if threshold > 0 else (0, -1)  # the lower class is 0 or −1, never both
    expected = f"classes (0 and 1, or one-hot), because {reason}"
    if not any(((targets == low) | (targets == 1)).all() for low in lows):
        raise ValueError(wrong(argument, expected, "other numbers"))
    if targets.shape[1] > 1 and not multi_label and not (ones := (targets == 1).sum(axis=1) == 1).all():
        row = int(np.argmin(ones))
        raise ValueError(wrong(argument, expected, f"row {row} with {int((targets[row] == 1).sum())} ones"))


def _check_probabilities(output_activation: str, n_outputs: int, multi_label: bool) -> None:
    activation = ACTIVATIONS[output_activation]
    by_itself = n_outputs == 1 or multi_label
    if (activation.low, activation.high) != (0, 1) or not (by_itself or output_activation == "softmax"):
        expected = f"an output_activation that gives probabilities ({'sigmoid' if by_itself else 'softmax'})"
        raise ValueError(wrong("metrics", f"{expected} for 'log_loss'", repr(output_activation)))


def measure(
    metrics: Metrics,
    targets: Array,
    labels: Integers,
    output: Array,
    *,
    threshold: float,
    multi_label: bool,
    sample_weight: Array | None = None,
) -> dict[str, float]:
    """Return the value of each metric under its name.

    Metrics for classes are NaN if an output is NaN or infinite.

    Parameters
    ----------
    metrics : from `metric_names`, checked by `check_metrics`
    targets, labels, output, threshold, multi_label : as in `PredictedSamples`
    sample_weight : (n,), ≥ 0 and not all 0, or None
        Not passed to functions of the user. Samples of weight 0 are left out of the other metrics.

    Raises
    ------
    TypeError, ValueError
        If a user's function doesn't return a finite number or NaN.
    """
    if not metrics:
        return {}
    all_samples = PredictedSamples(targets, labels, output, threshold, multi_label, sample_weight)
    samples = all_samples.without_zero_weights()
    values = {}
    for metric in metrics:
        if not isinstance(metric, str):
            values[name_of(metric)] = _own(metric, all_samples)
        elif metric in OF_NUMBERS or samples.is_finite:
            values[metric] = METRICS[metric](samples) if metric in METRICS else top_accuracy(_top(metric), samples)
        else:
            values[metric] = math.nan
    return values


def _top(name: str) -> int:
    """Return k for top_k_accuracy (5), top_3_accuracy (3) and so on; 0 for other names."""
    match = TOP.fullmatch(name)
    if not match:
        return 0
    return 5 if match[1] == "k" else int(match[1])


def name_of(metric: Any) -> Any:
    """Return the name under which a metric is reported: its own, or that of the user's function."""
    return _function_name(metric) if callable(metric) else metric


def _function_name(function: Any) -> str:
    """Return the name of a user's function, checked."""
    name = getattr(function, "__name__", None)
    if isinstance(function, type) or not isinstance(name, str):
        raise TypeError(wrong("metrics", "names, or functions of (y, output) that have a __name__", shown(function)))
    if name in TAKEN or name.startswith("val_"):
        raise ValueError(wrong("metrics", f"a function that isn't called {', '.join(TAKEN)} or val_…", repr(name)))
    return name


def _own(function: Function, samples: PredictedSamples) -> float:
    """Return the value of a user's function for read-only views of y and aᴸ."""
    y, output = samples.y.view(), samples.output.view()
    y.flags.writeable = output.flags.writeable = False
    value: Any = function(y, output)
    expected = f"a finite number or NaN from {_function_name(function)}(y, output)"
    try:
        if isinstance(value, bool | np.bool_ | str | bytes) or np.ndim(value):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(wrong("metrics", expected, f"{shown(value)} ({type(value).__name__})")) from None
    if math.isinf(number):
        raise ValueError(wrong("metrics", expected, number))
    return number


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _errors(samples: PredictedSamples) -> npt.NDArray[np.float64]:
    """Return y − aᴸ, (n, n_L)."""
    return np.asarray(samples.y, np.float64) - samples.output


def _scikit_learn(name: str) -> Any:
    """Import scikit-learn's metrics, for the metric of that name."""
    try:
        from sklearn import metrics
    except ImportError:
        raise not_installed(f"the metric {name!r} needs scikit-learn", "metrics") from None
    return metrics
