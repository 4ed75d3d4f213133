"""Metrics equal those of scikit-learn and those computed by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics as theirs

from fastbp import Trainer, metrics as ours

NAN, INF = math.nan, math.inf
NO_LABELS = np.empty(0, np.int64)
EVERY_NAME = sorted([*ours.METRICS, "top_k_accuracy"])


def measured(names, y, output, *, threshold=0.5, multi_label=False, weight=None):
    """Return the values of metrics in the order of their names. y is (n,) class numbers or (n, n_L)."""
    output = np.asarray(output)
    y = np.asarray(y)
    targets, labels = (np.empty((0, output.shape[1])), y) if y.ndim == 1 else (y, NO_LABELS)
    chosen = ours.metric_names(names)
    return list(
        ours.measure(
            chosen, targets, labels, output, threshold=threshold, multi_label=multi_label, sample_weight=weight
        ).values()
    )


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def weight(request):
    """Return the weights of 60 samples, some of them 0, or None."""
    return np.random.default_rng(9).integers(0, 4, 60) / 2 if request.param else None


@pytest.mark.parametrize("outputs", [1, 3])
def test_metrics_of_numbers_equal_scikit_learn(outputs, weight):
    rng = np.random.default_rng(0)
    y, output = rng.normal(size=(60, outputs)), rng.normal(size=(60, outputs))
    expected = [
        f(y, output, sample_weight=weight)
        for f in (
            theirs.mean_squared_error,
            theirs.root_mean_squared_error,
            theirs.mean_absolute_error,
            theirs.r2_score,
        )
    ]
    assert measured(["mse", "rmse", "mae", "r2"], y, output, weight=weight) == pytest.approx(expected, rel=1e-12)


def test_metrics_of_numbers_by_hand():
    y, output = [[1.0, 0.0], [3.0, 0.0]], [[0.0, 0.0], [3.0, 4.0]]
    # errors 1, 0 and 0, −4; the second output's y is constant and missed: r2 is 0
    assert measured(["mse", "rmse", "mae", "r2"], y, output) == pytest.approx(
        [17 / 4, (math.sqrt(1 / 2) + math.sqrt(8)) / 2, 5 / 4, (1 - 1 / 2 + 0) / 2]
    )
    weighted = measured(["mse", "mae"], y, output, weight=np.array([3.0, 1.0]))
    assert weighted == [(3 / 4 + 16 / 4) / 2, (3 / 4 + 4 / 4) / 2]


def test_r2_of_constant_targets_equals_scikit_learn():
    y = np.ones((5, 2))
    output = np.stack([np.ones(5), np.zeros(5)], 1)
    assert measured("r2", y, output) == [theirs.r2_score(y, output)] == [0.5]


@pytest.mark.parametrize("weight", [None, np.random.default_rng(1).uniform(size=7)])
def test_r2_of_constant_targets_whose_mean_is_rounded(weight):
    y = np.full((7, 2), 0.1)
    output = np.stack([y[:, 0], np.zeros(7)], 1)
    assert measured("r2", y, output, weight=weight) == [0.5]


def test_errors_of_float32_are_taken_in_float64():
    y, output = np.float32([[16777216.0]]), np.float32([[0.1]])
    assert measured("mae", y, output) == [16777216 - float(np.float32(0.1))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("one_hot", [False, True])
def test_metrics_of_classes_equal_scikit_learn(weight, dtype, one_hot):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, 60)
    output = softmax(rng.normal(size=(60, 4)) + np.eye(4)[y]).astype(dtype)
    said, w = output.argmax(axis=1), {"sample_weight": weight}
    expected = {
        "accuracy": theirs.accuracy_score(y, said, **w),
        "balanced_accuracy": theirs.balanced_accuracy_score(y, said, **w),
        "precision": theirs.precision_score(y, said, average="macro", **w),
        "recall": theirs.recall_score(y, said, average="macro", **w),
        "f1": theirs.f1_score(y, said, average="macro", **w),
        "auc": theirs.roc_auc_score(y, output, multi_class="ovr", average="macro", **w),
        "log_loss": theirs.log_loss(y, output, **w),
        "top_1_accuracy": theirs.accuracy_score(y, said, **w),
        "top_2_accuracy": theirs.top_k_accuracy_score(y, output, k=2, **w),
        "top_3_accuracy": theirs.top_k_accuracy_score(y, output, k=3, **w),
    }
    values = measured(list(expected), np.eye(4)[y] if one_hot else y, output, weight=weight)
    assert values == pytest.approx(list(expected.values()), rel=1e-6 if dtype is np.float32 else 1e-12)
    assert len({round(value, 6) for value in values}) >= 7  # so the case distinguishes the metrics


@pytest.mark.parametrize(("threshold", "low"), [(0.5, 0), (0.0, -1), (0.0, 0)])
def test_metrics_of_a_single_output_equal_scikit_learn(weight, threshold, low):
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 60)
    output = np.tanh(rng.normal(size=(60, 1)) + y[:, None]) if threshold == 0 else rng.uniform(size=(60, 1))
    said, w = output[:, 0] > threshold, {"sample_weight": weight}
    expected = {
        "accuracy": theirs.accuracy_score(y, said, **w),
        "balanced_accuracy": theirs.balanced_accuracy_score(y, said, **w),
        "precision": theirs.precision_score(y, said, **w),
        "recall": theirs.recall_score(y, said, **w),
        "f1": theirs.f1_score(y, said, **w),
        "auc": theirs.roc_auc_score(y, output[:, 0], **w),
    }
    if threshold:
        expected["log_loss"] = theirs.log_loss(y, output[:, 0], **w)
    targets = np.where(y == 1, 1, low)[:, None]
    values = measured(list(expected), targets, output, threshold=threshold, weight=weight)
    assert values == pytest.approx(list(expected.values()), rel=1e-12)


def test_metrics_of_labels_equal_scikit_learn(weight):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, (60, 3))
    output = np.clip(rng.uniform(size=(60, 3)) + 0.2 * y, 0, 1)
    said, w = output > 0.5, {"sample_weight": weight}

    def each(score, output):
        return np.mean([score(y[:, j], output[:, j], **w) for j in range(3)])

    expected = {
        "accuracy": theirs.accuracy_score(y, said, **w),
        "balanced_accuracy": each(theirs.balanced_accuracy_score, said),
        "precision": theirs.precision_score(y, said, average="macro", **w),
        "recall": theirs.recall_score(y, said, average="macro", **w),
        "f1": theirs.f1_score(y, said, average="macro", **w),
        "auc": theirs.roc_auc_score(y, output, average="macro", **w),
        "log_loss": each(theirs.log_loss, output),
    }
    values = measured(list(expected), y, output, multi_label=True, weight=weight)
    assert values == pytest.approx(list(expected.values()), rel=1e-12)


def test_labels_go_by_the_threshold():
    y, output = [[1, -1], [-1, 1], [1, 1]], [[0.1, -0.9], [-0.2, 0.3], [0.4, -0.1]]
    values = measured(["accuracy", "recall"], y, output, threshold=0.0, multi_label=True)
    assert values == pytest.approx([2 / 3, (1 + 1 / 2) / 2])


def test_metrics_of_classes_by_hand():
    """The true classes are 0 0 0 1 2, the predicted ones 0 0 1 1 1. Class 2 is never predicted."""
    output = [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]
    names = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "top_2_accuracy", "log_loss", "auc"]
    assert measured(names, [0, 0, 0, 1, 2], output) == pytest.approx(
        [
            3 / 5,
            (2 / 3 + 1 + 0) / 3,
            (1 + 1 / 3 + 0) / 3,
            (2 / 3 + 1 + 0) / 3,
            (4 / 5 + 1 / 2 + 0) / 3,
            1,
            -math.log(0.8 * 0.6 * 0.3 * 0.5 * 0.3) / 5,
            (1 + 2.5 / 4 + 3.5 / 4) / 3,  # the fraction of pairs in the right order; a tie counts half
        ]
    )


def test_of_equal_outputs_the_last_is_first_as_scikit_learn_has_it():
    assert measured(["top_1_accuracy", "top_2_accuracy"], [0, 1, 2], np.zeros((3, 3))) == pytest.approx([1 / 3, 2 / 3])


def test_top_k_is_top_five():
    y = np.arange(8)
    output = np.random.default_rng(4).normal(size=(8, 8))
    values = {k: measured(f"top_{k}_accuracy", y, output)[0] for k in "k456"}
    assert values["4"] < values["5"] == values["k"] < values["6"]


def test_top_one_of_two_outputs_is_accuracy():
    assert measured("top_1_accuracy", [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]) == [2 / 3]


def test_what_a_class_that_is_absent_means():
    """Of four classes, class 2 does not occur, and class 3 neither occurs nor is predicted. There is no warning."""
    y, said = [0, 0, 1, 1], [0, 1, 1, 2]
    output = softmax(3 * np.eye(4)[said])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = measured(["auc", "balanced_accuracy", "precision", "recall", "f1", "log_loss"], y, output)
    assert not caught
    assert math.isnan(values[0])
    assert values[1:5] == pytest.approx([1 / 2, (1 + 1 / 2 + 0) / 3, (1 / 2 + 1 / 2 + 0) / 3, (2 / 3 + 1 / 2 + 0) / 3])
    right, wrong = math.log(output[0, 0]), math.log(output[0, 1])
    assert values[5] == pytest.approx(-(right + wrong) / 2)


@pytest.mark.parametrize("y", [0, 1])
def test_a_single_output_with_one_class_only(y):
    names = ["auc", "balanced_accuracy", "precision", "recall", "f1", "log_loss"]
    values = measured(names, np.full((2, 1), y), [[0.25], [0.75]])
    assert math.isnan(values[0])
    assert values[1:] == pytest.approx([0.5, y, 0.5 * y, 2 / 3 * y, -math.log(0.25 * 0.75) / 2])


def test_auc_of_labels_is_nan_where_one_is_in_all_samples():
    output = np.random.default_rng(5).uniform(size=(3, 2))
    assert math.isnan(measured("auc", [[1, 0], [1, 1], [1, 0]], output, multi_label=True)[0])
    assert 0 <= measured("auc", [[1, 0], [0, 1], [1, 0]], output, multi_label=True)[0] <= 1


def test_auc_needs_the_order_of_the_outputs_alone():
    y = np.random.default_rng(6).integers(0, 3, 30)
    output = np.random.default_rng(7).normal(size=(30, 3))
    assert measured("auc", y, output) == measured("auc", y, np.exp(output) - 7)


def test_a_sample_of_weight_zero_is_as_good_as_not_there():
    """A sample of weight 0 may have a class that no other sample has, or an unusual output."""
    y, output = np.array([0, 1, 0, 1, 2]), softmax(np.random.default_rng(8).normal(size=(5, 3)))
    names = [name for name in EVERY_NAME if name not in ("auc", "top_k_accuracy")] + ["top_2_accuracy"]
    without = measured(names, y[:4], output[:4])
    assert measured(names, y, output, weight=np.array([1, 1, 1, 1, 0.0])) == pytest.approx(without)
    assert measured(names, np.eye(3)[y], output, weight=np.array([1, 1, 1, 1, 0.0])) == pytest.approx(without)
    assert math.isnan(measured("auc", y, output, weight=np.array([1, 1, 1, 1, 0.0]))[0])
    assert not math.isnan(measured("auc", y, output)[0])


@pytest.mark.parametrize("bad", [NAN, INF])
def test_outputs_that_are_not_finite_make_metrics_nan_or_infinite(bad):
    output = np.array([[0.5, 0.5], [bad, 0.5]])
    names = [name for name in EVERY_NAME if name != "top_k_accuracy"]
    assert not np.isfinite(measured(names, [0, 1], output)).any()


def test_measure_of_nothing():
    assert measured((), [0, 1], np.eye(2)) == []


# Functions of the user


def gap(y, output):
    return (output - y).max()


def bias(y, output):
    return float(np.mean(output - y))


def test_own_functions_get_y_and_the_outputs_and_are_measured_under_their_names():
    trainer = Trainer([2, 3], loss="cross_entropy", seed=0)
    X, y = np.eye(2), np.array([0, 2])
    values = trainer.evaluate(X, y, metrics=[gap, "mse", bias])
    assert list(values) == ["loss", "gap", "mse", "bias"]
    assert values["gap"] == pytest.approx((trainer.predict(X) - np.eye(3)[y]).max())
    history = trainer.fit(X, y, epochs=2, metrics=gap, validation_data=(X, y), verbose=0)
    assert list(history) == ["loss", "gap", "val_loss", "val_gap"]
    assert history["gap"] == history["val_gap"]


def test_own_functions_can_change_nothing():
    def sorting(y, output):
        output.sort()

    def zeroing(y, output):
        y[...] = 0

    y = np.ones((3, 1))
    for function in (sorting, zeroing):
        with pytest.raises(ValueError, match="read-only"):
            measured(function, y, np.zeros((3, 1)))
    assert (y == 1).all()


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(3), np.array(0.5), NAN])
def test_what_own_functions_may_return(value):
    (number,) = measured(lambda y, output: value, [[1.0]], [[1.0]])
    assert type(number) is float
    assert number == value or (math.isnan(number) and math.isnan(value))


@pytest.mark.parametrize(
    ("value", "error", "came"),
    [
        (None, TypeError, "None (NoneType)"),
        ("0.5", TypeError, "'0.5' (str)"),
        (True, TypeError, "True (bool)"),
        (np.array([0.5]), TypeError, "array([0.5]) (ndarray)"),
        ([0.5], TypeError, "[0.5] (list)"),
        (1j, TypeError, "1j (complex)"),
        (INF, ValueError, "inf"),
        (-INF, ValueError, "-inf"),
    ],
)
def test_what_own_functions_must_not_return(value, error, came):
    def mine(y, output):
        return value

    with pytest.raises(error) as caught:
        measured(mine, [[1.0]], [[1.0]])
    assert str(caught.value) == f"metrics: expected a finite number or NaN from mine(y, output), got {came}"


# Metrics of a Trainer


@pytest.mark.parametrize(
    ("loss", "output", "y"),
    [
        ("cross_entropy", "softmax", [0, 2, 1, 2]),
        ("cross_entropy", "softmax", np.eye(3)[[0, 2, 1, 2]]),
        ("squared_error", "sigmoid", np.eye(3)[[0, 2, 1, 2]]),
        ("squared_error", "tanh", 2 * np.eye(3)[[0, 2, 1, 2]] - 1),
    ],
)
def test_accuracy_is_that_of_predict_classes(loss, output, y):
    trainer = Trainer([2, 3], loss=loss, output_activation=output, seed=3, epsilon=2)
    X = np.random.default_rng(1).normal(size=(4, 2))
    expected = np.mean(trainer.predict_classes(X) == [0, 2, 1, 2])
    assert trainer.evaluate(X, y, metrics=["accuracy"])["accuracy"] == expected


@pytest.mark.parametrize(("output", "low"), [("sigmoid", 0), ("tanh", -1), ("tanh", 0), ("identity", 0)])
def test_accuracy_of_a_single_output(output, low):
    trainer = Trainer([1, 1], output_activation=output)
    trainer.weights[0][...] = 4
    trainer.biases[0][...] = -1 if output == "sigmoid" else 0
    X, y = [[-1.0], [1.0], [1.0], [-1.0]], [low, 1, low, low]
    values = trainer.evaluate(X, y, metrics=["accuracy", "precision", "recall", "auc"])
    assert [values[name] for name in ("accuracy", "precision", "recall")] == [0.75, 0.5, 1]
    assert values["auc"] == pytest.approx(5 / 6)


def test_log_loss_is_the_cross_entropy(xor):
    X, y = xor
    for sizes, loss in (([2, 3, 2], "cross_entropy"), ([2, 3, 1], "binary_cross_entropy")):
        trainer = Trainer(sizes, loss=loss, seed=0, epsilon=1)
        values = trainer.evaluate(X, y, metrics=["log_loss"])
        assert values["log_loss"] == pytest.approx(values["loss"], rel=1e-5)


def test_accuracy_of_numbers_that_are_no_classes_is_refused():
    trainer = Trainer([2, 1])
    for name in ("accuracy", "f1"):
        with pytest.raises(ValueError, match=f"y: expected classes .* '{name}'"):
            trainer.evaluate(np.ones((3, 2)), [0.5, 1.5, 2.5], metrics=["mse", name])


def test_the_trainer_weighs_samples_in_its_metrics(xor):
    X, y = xor
    trainer = Trainer([2, 2], loss="cross_entropy", seed=0, epsilon=1)
    once = trainer.evaluate(X[[0, 1, 1, 3]], y[[0, 1, 1, 3]], metrics=["mse", "f1", "log_loss"])
    weighted = trainer.evaluate(X, y, metrics=["mse", "f1", "log_loss"], sample_weight=[1, 2, 0, 1])
    assert weighted == pytest.approx(once, rel=1e-6)
    assert weighted != pytest.approx(trainer.evaluate(X, y, metrics=["mse", "f1", "log_loss"]), rel=1e-3)


def test_metrics_of_class_numbers_take_them_one_hot():
    trainer = Trainer([2, 3], loss="cross_entropy", seed=0)
    X, y, names = np.eye(2), np.array([0, 2]), ["mse", "mae", "r2", "accuracy", "f1", gap]
    one_hot = trainer.evaluate(X, np.eye(3)[y], metrics=names)
    assert trainer.evaluate(X, y, metrics=names) == pytest.approx(one_hot)


def test_training_metrics_are_those_of_the_weights_after_the_epoch(digits):
    """Row i is compared with target i even if the epoch is shuffled."""
    X, y, X_test, y_test = digits
    names = ["accuracy", "mse", "f1", "top_3_accuracy"]
    trainer = Trainer([64, 16, 10], loss="cross_entropy", learning_rate=0.5, seed=0)
    history = trainer.fit(X, y, epochs=3, validation_data=(X_test, y_test), metrics=names, verbose=0)
    after = trainer.evaluate(X, y, metrics=names)
    assert history["accuracy"][-1] == after["accuracy"] > 0.5
    assert [history[name][-1] for name in names] == [after[name] for name in names]
    test = trainer.evaluate(X_test, y_test, metrics=names)
    assert [history[f"val_{name}"][-1] for name in ["loss", *names]] == list(test.values())


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_an_output_that_is_no_number_says_no_class(loss):
    trainer = Trainer([2, 3, 3], loss=loss, activation="exponential", initializer="glorot", seed=0)
    trainer.weights[1][...] = [[1, -1, 1]] * 3
    X = np.array([[0, 0], [3e38, 3e38]], np.float32)
    trainer.weights[0][...] = 1  # e^z is infinite: inf − inf
    assert np.isnan(trainer.predict(X)[1]).any()
    with pytest.raises(ValueError, match=r"X: expected inputs whose outputs are not NaN, .* got NaN for row 1"):
        trainer.predict_classes(X)
    assert len(trainer.predict_classes(X[:1])) == 1
