"""Which metrics are allowed, and for which targets and outputs."""

from __future__ import annotations

import re
import sys
from functools import partial

import numpy as np
import pytest

from fastbp import metrics as ours

from .test_metrics import EVERY_NAME, gap, measured


def check(names, targets, *, threshold=0.5, output_activation="softmax", multi_label=False):
    ours.check_metrics(
        "y",
        np.asarray(targets, float),
        ours.metric_names(names),
        threshold=threshold,
        output_activation=output_activation,
        multi_label=multi_label,
    )


def test_names_and_functions_are_taken_once_each_in_their_order():
    assert ours.metric_names("mse") == ("mse",)
    assert ours.metric_names(gap) == (gap,)
    assert ours.metric_names(["r2", gap, "mse", "r2", gap]) == ("r2", gap, "mse")
    assert ours.metric_names(()) == ()
    assert ours.metric_names(name for name in EVERY_NAME) == tuple(EVERY_NAME)


def named(name):
    def function(y, output):
        return 0.0

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        (["acuracy"], ValueError, "got 'acuracy'; did you mean 'accuracy'?"),
        ("top_0_accuracy", ValueError, "got 'top_0_accuracy'; did you mean 'top_k_accuracy'?"),
        ("top_-1_accuracy", ValueError, "got 'top_-1_accuracy'"),
        ([3], TypeError, ", 'top_k_accuracy', got 3 (int)"),
        (3, TypeError, "expected names of metrics, or functions of (y, output), got 3 (int)"),
        (dict, TypeError, "functions of (y, output) that have a __name__, got <class 'dict'>"),
        ([partial(gap)], TypeError, "functions of (y, output) that have a __name__, got functools.partial"),
        ([gap, named("gap")], ValueError, "expected each name only once, got two metrics called 'gap'"),
        (["mse", named("mse")], ValueError, "expected each name only once, got two metrics called 'mse'"),
        *(
            (named(name), ValueError, f"isn't called epoch, loss, learning_rate or val_…, got '{name}'")
            for name in ("epoch", "loss", "learning_rate", "val_x")
        ),
    ],
)
def test_what_is_no_metric(metrics, error, message):
    with pytest.raises(error) as caught:
        ours.metric_names(metrics)
    assert str(caught.value).startswith("metrics: ")
    assert message in str(caught.value)


def test_without_scikit_learn_the_commonest_work_and_the_others_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    own = ["accuracy", "log_loss", "mse", "rmse", "mae", "r2"]
    assert len(measured([*own, gap], np.eye(2), np.eye(2))) == 7
    for name in [*set(EVERY_NAME) - set(own), "top_3_accuracy"]:
        with pytest.raises(ImportError, match=rf"the metric '{name}' needs scikit-learn: .*fastbp\[metrics\]"):
            ours.metric_names([gap, name])


OF_CLASSES = sorted(set(EVERY_NAME) - {"mse", "rmse", "mae", "r2"})


@pytest.mark.parametrize("name", OF_CLASSES)
def test_targets_must_be_classes(name):
    numbers = np.eye(6)[:3] + 0.5
    with pytest.raises(ValueError, match=f"y: expected classes .*, because metrics has '{name}', got other numbers"):
        check(["mse", name], numbers)
    check(["mse", "rmse", "mae", "r2", gap], numbers)


def test_targets_of_exclusive_classes_have_one_one_a_row():
    for row, ones in (([1, 1, 0], 2), ([0, 0, 0], 0)):
        targets = [[0, 1, 0], row]
        with pytest.raises(ValueError, match=f"y: expected classes .*'f1', got row 1 with {ones} ones"):
            check("f1", targets)
        check("f1", targets, multi_label=True, output_activation="sigmoid")
        check("f1", [[0.0], [1.0]], output_activation="sigmoid")


@pytest.mark.parametrize(("threshold", "low", "fine"), [(0.5, 0, True), (0.5, -1, False), (0, -1, True), (0, 0, True)])
def test_minus_one_is_a_class_where_the_threshold_is_zero(threshold, low, fine):
    for targets in ([[low], [1]], np.where(np.eye(3) == 1, 1, low)):
        if fine:
            check("accuracy", targets, threshold=threshold, output_activation="tanh")
        else:
            with pytest.raises(ValueError, match="y: expected classes"):
                check("accuracy", targets, threshold=threshold)


def test_three_values_are_not_two_classes():
    with pytest.raises(ValueError, match=r"y: expected classes .* got other numbers"):
        check("accuracy", [[-1], [0], [1]], threshold=0, output_activation="tanh")


def test_class_numbers_need_no_check_of_targets():
    check(OF_CLASSES, np.empty((0, 6)))


@pytest.mark.parametrize(
    ("name", "outputs", "multi_label", "message"),
    [
        ("top_3_accuracy", 3, False, "more than 3 exclusive classes for 'top_3_accuracy', got 3 outputs"),
        ("top_k_accuracy", 5, False, "more than 5 exclusive classes for 'top_k_accuracy', got 5 outputs"),
        ("top_1_accuracy", 1, False, "more than 1 exclusive classes for 'top_1_accuracy', got 1 output"),
        ("top_2_accuracy", 3, True, "got labels that are not exclusive"),
    ],
)
def test_top_k_wants_more_classes_than_k(name, outputs, multi_label, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(name, np.eye(outputs), multi_label=multi_label)
    check(name, np.eye(6))


@pytest.mark.parametrize(
    ("outputs", "multi_label", "activation", "fine"),
    [
        (3, False, "softmax", True),
        (1, False, "sigmoid", True),
        (3, True, "sigmoid", True),
        (3, False, "sigmoid", False),  # they don't add up to 1
        (1, False, "identity", False),
        (1, False, "tanh", False),
        (3, False, "identity", False),
        (3, False, "relu", False),
    ],
)
def test_log_loss_wants_probabilities(outputs, multi_label, activation, fine):
    targets = np.eye(outputs)
    options = {"output_activation": activation, "multi_label": multi_label}
    check(["accuracy", "auc"], targets, **options)
    if fine:
        check("log_loss", targets, **options)
    else:
        expected = "softmax" if outputs > 1 else "sigmoid"
        with pytest.raises(ValueError, match=rf"probabilities \({expected}\) for 'log_loss', got '{activation}'"):
            check("log_loss", targets, **options)
