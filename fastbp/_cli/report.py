"""How good predictions are: figures by name for programs, and tables for people. scikit-learn computes most of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import metrics as metric_functions
from .._extras import not_installed
from .._files.columns import Categories, Table
from .._terminal import shortened
from .text import aligned, counted, figure, listed, paragraph

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Facts = dict[str, Any]

OF_CLASSES = ("accuracy", "log_loss", "auc")
OF_NUMBERS = ("r2", "rmse", "mae")
SHOWN = {"log_loss": "log loss", "auc": "AUC", "r2": "R²", "rmse": "RMSE", "mae": "MAE", "mse": "MSE"}
MATRIX, CLASSES, PAIRS = 12, 30, 10  # the most classes of a confusion matrix and of a table as text; confused pairs
KEPT = 100  # the most classes of a confusion matrix in JSON
CELL = 14  # the most characters of a class's name in the confusion matrix


def metric_names(text: Sequence[str], table: Table) -> tuple[str, ...]:
    """Return the usual metrics of a table, and those of --metrics, which are separated by commas."""
    usual = OF_CLASSES if isinstance(table.target, Categories) else OF_NUMBERS
    asked = [name.strip() for part in text for name in part.split(",")]
    try:
        names = metric_functions.metric_names([*usual, *(name for name in asked if name not in usual)])
    except ValueError as error:
        raise ValueError(f"--metrics{str(error).removeprefix('metrics')}") from None
    check_kind("--metrics", names, is_class=usual is OF_CLASSES)
    return tuple(map(str, names))


def check_kind(option: str, names: Sequence[Any], *, is_class: bool) -> None:
    """Refuse metrics of numbers for a target of classes, and the other way round."""
    of_numbers = list(metric_functions.OF_NUMBERS)
    known = [name for name in metric_functions.METRICS if name not in of_numbers] if is_class else of_numbers
    kind = "classes" if is_class else "numbers"
    for name in names:
        if (name in of_numbers) == is_class:
            expected = f"a metric of {kind} ({', '.join(known)})"
            raise ValueError(f"{option}: expected {expected}, because the target is {kind}, got {name!r}")


def of_classes(
    classes: Sequence[str],
    truth: Integers,
    output: Array,
    names: Sequence[str] = OF_CLASSES,
    decided: Integers | None = None,
) -> Facts:
    """Return the figures for predicted classes.

    Parameters
    ----------
    classes : their names
    truth : (n,) numbers of the classes; -1 for a class that the model doesn't know, which counts as wrong
    output : (n, n_L) outputs of the network
    names : metrics
    decided : (n,) numbers of the predicted classes; by default the most probable ones
    """
    known = truth >= 0
    n_known, k = int(known.sum()), len(classes)
    if not n_known:
        return {"rows": len(truth), "measured": {"accuracy": 0.0}, "baseline": {}, "classes": []}
    y, a = truth[known], np.asarray(output[known], np.float64)
    hard = a if decided is None else _one_hot(decided[known], a.shape[1])
    soft = [name for name in names if name == "log_loss" or name.startswith("top_")]
    measured = measure(soft, y, a) | measure([name for name in names if name not in (*soft, "auc")], y, hard)
    measured["accuracy"] *= n_known / len(truth)
    if "auc" in names:
        measured["auc"] = _auc(y, a)
    shares = np.bincount(y, minlength=k) / n_known
    present = shares[shares > 0]
    baseline = {
        "accuracy": float(shares.max() * n_known / len(truth)),
        "log_loss": float(-(present * np.log(present)).sum()),
        "auc": 0.5,
    }
    found: Facts = {
        "rows": len(truth),
        "measured": {name: measured[name] for name in names},
        "baseline": baseline,
    }
    return found | _each_class(classes, y, metric_functions.classes(hard, 0.5))


def _one_hot(labels: Integers, n_outputs: int) -> Array:
    """Return outputs of a network that predict these classes."""
    return labels[:, None].astype(np.float64) if n_outputs == 1 else np.eye(n_outputs)[labels]


def _each_class(classes: Sequence[str], truth: Integers, predicted: Integers) -> Facts:
    """Return precision, recall and f1 of each class, and the confusion matrix: a row for each true class."""
    try:
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
    except ImportError:
        raise not_installed("reports need scikit-learn", "cli") from None
    labels = np.arange(len(classes))
    each = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    matrix = confusion_matrix(truth, predicted, labels=labels)
    rows = [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
        for name, p, r, f, n in zip(classes, *each, strict=True)
    ]
    return {"classes": rows, "confusion": matrix.tolist() if len(classes) <= KEPT else _pairs(classes, matrix)}


def _pairs(classes: Sequence[str], matrix: Array) -> list[Facts]:
    """Return the pairs of classes that are confused most often."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    found = []
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[i, j]:
            found.append({"class": classes[i], "predicted": classes[j], "rows": int(wrong[i, j])})
    return found


def measure(names: Sequence[str], truth: Integers, output: Array) -> dict[str, float]:
    """Return the metrics of predicted classes, given their numbers, (n,), and the network's outputs."""
    n_outputs = output.shape[1]
    nothing = np.empty((0, n_outputs))
    targets = truth[:, None].astype(np.float64) if n_outputs == 1 else nothing
    labels = np.empty(0, np.int64) if n_outputs == 1 else truth
    if n_outputs > 1:
        output = output / output.sum(axis=1, keepdims=True)  # they add up to 1 in float32 only
    return metric_functions.measure(tuple(names), targets, labels, output, threshold=0.5, multi_label=False)


def _auc(truth: Integers, output: Array) -> float:
    """Return the area under the ROC curve: the mean over the classes that occur, each against the rest."""
    from sklearn.metrics import roc_auc_score

    if output.shape[1] == 1:
        return float(roc_auc_score(truth, output[:, 0])) if 0 < truth.mean() < 1 else math.nan
    occurring = [j for j in np.unique(truth) if not (truth == j).all()]
    areas = [roc_auc_score(truth == j, output[:, j]) for j in occurring]
    return float(np.mean(areas)) if areas else math.nan


def of_numbers(truth: Array, predicted: Array, names: Sequence[str] = OF_NUMBERS) -> Facts:
    """Return the figures for predicted numbers, (n,), in the target's units."""
    y, a = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    options: Any = {"threshold": 0.5, "multi_label": False}
    none = np.empty(0, np.int64)
    measured = metric_functions.measure(tuple(names), y[:, None], none, a[:, None], **options)
    mean = np.full((len(y), 1), y.mean())
    known = tuple(name for name in names if name in metric_functions.OF_NUMBERS)
    baseline = metric_functions.measure(known, y[:, None], none, mean, **options)
    baseline |= {"r2": 0.0} if "r2" in names else {}  # of which rounding makes a tiny number
    return {"rows": len(y), "measured": measured, "baseline": baseline}


def text(parts: dict[str, Facts], *, of_numbers: bool) -> str:
    """Return the figures as tables; parts: such as validation and training. The first one is shown in detail."""
    first = next(iter(parts.values()))
    heads = ["", *parts, "predicting the mean" if of_numbers else "class frequencies"]
    rows = [heads, ["rows", *(f"{part['rows']:,}" for part in parts.values()), ""]]
    for name in first["measured"]:
        values = [figure(part["measured"].get(name, math.nan)) for part in parts.values()]
        base = first["baseline"].get(name)
        rows.append([SHOWN.get(name, name.replace("_", " ")), *values, "" if base is None else figure(base)])
    return aligned(rows) + (_detail(next(iter(parts)), first) if first.get("classes") else "")


def _detail(title: str, facts: Facts) -> str:
    """Return the table of the classes and the confusion matrix."""
    each = facts["classes"]
    shown = each if len(each) <= CLASSES else sorted(each, key=lambda row: row["f1"])[:CLASSES]
    which = title if len(shown) == len(each) else f"{title}, the {CLASSES} classes of {len(each)} with the lowest f1"
    rows = [[f"class ({which})", "precision", "recall", "f1", "rows"]]
    rows += [
        [
            shortened(row["class"], 40),
            *(figure(row[name]) for name in ("precision", "recall", "f1")),
            f"{row['rows']:,}",
        ]
        for row in shown
    ]
    return "\n" + aligned(rows) + "\n" + _confusion([row["class"] for row in each], facts["confusion"])


def _confusion(names: Sequence[str], matrix: list[Any]) -> str:
    if len(names) <= MATRIX:
        short = [shortened(name, CELL) for name in names]
        rows = [["true class / predicted", *short]]
        rows += [[name, *(f"{n:,}" for n in row)] for name, row in zip(short, matrix, strict=True)]
        return aligned(rows)
    pairs = matrix if isinstance(matrix[:1] and matrix[0], dict) or not matrix else _pairs(names, np.array(matrix))
    if not pairs:
        return "No class is confused with another.\n"
    rows = [["true class", "predicted", "rows"]]
    rows += [[shortened(p["class"], 30), shortened(p["predicted"], 30), f"{p['rows']:,}"] for p in pairs]
    return "The most confused classes:\n" + aligned(rows, numbers_from=2, indent="  ")


def unknown_text(names: dict[str, int]) -> str:
    """Return what is said about classes that training did not have; names: the number of rows of each."""
    if not names:
        return ""
    n = sum(names.values())
    which = listed(list(names), 5)
    classes = "a class" if len(names) == 1 else f"{len(names)} classes"
    have, they, them = ("has", "It counts as", "it") if n == 1 else ("have", "They count as", "them")
    return paragraph(
        f"{counted(n, 'row')} {have} {classes} that training did not have ({which}). {they} wrong in the "
        f"accuracy, and the other figures leave {them} out."
    )
