"""What the estimators are given: taken as scikit-learn takes it, or refused with an error that names it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.utils import compute_sample_weight

import fastbp.sklearn as ours
from fastbp import Stream, losses

RNG = np.random.default_rng(0)
N = 60
X, CLASSES, NUMBERS, WEIGHTS = RNG.normal(size=(N, 3)), np.arange(N) % 3, RNG.uniform(1, 3, N), RNG.uniform(1, 2, N)
LABELS = RNG.integers(0, 2, (N, 3))
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
DURATIONS = pd.Series(pd.to_timedelta(np.arange(N), unit="D"))

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def model(kind, library=ours, **options):
    return getattr(library, kind)(**{"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0} | options)


def classifier(**options):
    return model("MLPClassifier", **options)


def regressor(**options):
    return model("MLPRegressor", **options)


FORMS = {
    "classes": CLASSES,
    "two classes": CLASSES % 2,
    "labels": LABELS,
    "a list of labels": LABELS.tolist(),
    "a frame of labels": pd.DataFrame(LABELS),
    "sparse labels": scipy.sparse.csr_matrix(LABELS),
    "0 and 2": 2 * LABELS,
    "0 and -1": -LABELS,
    "booleans": LABELS > 0,
    "one-hot": np.eye(3, dtype=int)[CLASSES],
    "two labels": LABELS[:, :2],
    "text": np.array(["p", "q", "r"])[CLASSES],
    "numbers": NUMBERS,
    "NaN": np.where(CLASSES > 0, CLASSES, np.nan),
    "text and numbers": np.array(["p", 1, 2] * 20, dtype=object),
    "None": np.array([None, 1, 2] * 20, dtype=object),
    "objects": CLASSES.astype(object),
    "several classes": LABELS + CLASSES[:, None],
}


def outcome(call):
    """A number, or the error."""
    try:
        return call()
    except (TypeError, ValueError) as error:
        return error


def assert_as_theirs(call):
    expected, came = outcome(lambda: call(theirs)), outcome(lambda: call(ours))
    if isinstance(expected, Exception):
        assert type(came) is type(expected)
        assert str(came) == str(expected)
    else:
        assert came == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_targets_of_each_form_are_scikit_learns(form):
    assert_as_theirs(lambda library: model("MLPClassifier", library).fit(X, FORMS[form]).loss_)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["classes", "two classes", "sparse labels"])
@pytest.mark.parametrize("way", ["partial_fit", "fit"])
def test_targets_of_another_form_than_before_are_scikit_learns(way, before, form):
    if way == "fit" and form in ("text and numbers", "None"):
        return  # the words depend on the order of a set

    def again(library):
        first = model("MLPClassifier", library, warm_start=way == "fit").fit(X, FORMS[before])
        return getattr(first, way)(X, FORMS[form]).loss_

    assert_as_theirs(again)


@pytest.mark.parametrize("form", ["one-hot", "sparse labels"])
def test_validation_data_of_another_form(form):
    with pytest.raises(ValueError, match="validation_data: The object was not fitted with multilabel input"):
        classifier().fit(X, CLASSES, validation_data=(X, FORMS[form]))


def test_two_classes_are_no_two_labels():
    """scikit-learn takes the one column for both."""
    with pytest.raises(ValueError, match="y: expected 2 columns, one for each output, got 1"):
        classifier().fit(X, LABELS[:, :2]).partial_fit(X, CLASSES % 2)


@pytest.mark.parametrize("Y", [LABELS + 1, 2 * LABELS - 1, (LABELS + 1).astype(float)], ids=["1, 2", "-1, 1", "1.0"])
def test_labels_of_which_none_is_0(Y):
    with pytest.raises(ValueError, match="y: expected 0 and one other number, because each column is a label, got"):
        classifier().fit(X, Y)
    with pytest.raises(ValueError, match="y: expected 0 and one other number"):
        classifier().fit(X, LABELS).partial_fit(X, Y)


def test_dates_that_are_missing_are_no_class():
    with pytest.raises(ValueError, match="y: expected no missing labels, got NaT"):
        classifier().fit(X, np.array(["2020-01-01", "2020-01-02", "NaT"] * 20, "M8[D]"))


@pytest.mark.parametrize(
    "y", [np.arange(N) == 3, np.array(["no", "yes"])[(np.arange(N) == 3) * 1]], ids=["bool", "text"]
)
def test_a_class_of_one_member(y):
    with pytest.raises(ValueError, match="Classes with too few members") as expected:
        model("MLPClassifier", theirs, early_stopping=True).fit(X, y)
    label = re.escape(repr(np.unique(y).tolist()[1]))
    with pytest.raises(ValueError, match=re.escape(str(expected.value)) + f".*True is the class {label}$"):
        classifier(early_stopping=True).fit(X, y)


NO_NUMBERS = {
    "durations": DURATIONS,
    "durations, one missing": DURATIONS.where(np.arange(N) != 5),
    "dates": np.datetime64("2020-01-01") + DURATIONS.to_numpy(),
    "durations in objects": np.array(list(DURATIONS.to_numpy()), dtype=object),
    "a list of durations": list(DURATIONS.to_numpy()),
    "complex numbers in objects": np.array([np.complex128(1j)] * N, dtype=object),
    "text": CLASSES.astype(str),
    "text in objects": pd.Series(CLASSES.astype(str), dtype=object),
    "categories": pd.Series(pd.Categorical(["p", "q", "r"] * 20)),
    "a list of text": ["p"] * N,
}


@pytest.mark.parametrize("y", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_targets_that_are_no_numbers(y):
    for argument, call in {
        "y": lambda: regressor().fit(X, y),
        "y: ": lambda: regressor().fit(X, NUMBERS).partial_fit(X, y),
        "y:": lambda: regressor(warm_start=True).fit(X, NUMBERS).fit(X, y),
        "validation_data[1]": lambda: regressor().fit(X, NUMBERS, validation_data=(X, y)),
    }.items():
        with pytest.raises(TypeError, match=re.escape(argument) + ".*expected numbers, got"):
            call()


def test_numbers_that_are_missing_or_too_large():
    missing = NUMBERS.astype(object)
    missing[7] = None
    with pytest.raises(ValueError, match=r"y: expected finite numbers, got nan at \[7, 0\]"):
        regressor().fit(X, missing)
    with pytest.raises(ValueError, match="y: expected no missing values, got a masked array"):
        regressor().fit(X, np.ma.masked_less(NUMBERS, 2))
    with pytest.raises(ValueError, match="y: expected numbers within float32's range"):
        regressor(dtype="float32").fit(X, NUMBERS * 1e300)
    with pytest.raises(ValueError, match="X: expected numbers within float32's range"):
        regressor().fit(X.astype(np.float32), NUMBERS).partial_fit(X * 1e300, NUMBERS)


def test_dates_and_masked_numbers_are_no_inputs():
    fitted = regressor().fit(X, NUMBERS)
    for call in (lambda X: regressor().fit(X, NUMBERS), lambda X: fitted.partial_fit(X, NUMBERS), fitted.predict):
        for dates in (X.astype("m8[s]"), X.astype("M8[s]"), pd.DataFrame(dict.fromkeys("abc", DURATIONS))):
            with pytest.raises(TypeError, match="X: expected numbers, got dtype"):
                call(dates)
        durations = np.array([list(row) for row in X.astype("m8[s]")], dtype=object)  # of NumPy's, which float() takes
        for dates in (durations, durations.tolist(), pd.DataFrame(durations, dtype=object), [[1.0, *durations[0, :2]]]):
            with pytest.raises(TypeError, match=r"X: expected numbers, got .*timedelta64"):
                call(dates)
        with pytest.raises(ValueError, match="X: expected no missing values, got a masked array"):
            call(np.ma.masked_less(X, 0))


@pytest.mark.parametrize("form", [X.astype(str), X.astype("S"), None, "text", np.zeros(N, [("a", float)])])
def test_inputs_of_predict_that_are_none_are_scikit_learns(form):
    assert_as_theirs(lambda library: model("MLPRegressor", library).fit(X, NUMBERS).predict(form).sum())


OUTSIDE = [
    (
        losses.BinaryCrossEntropy(),
        np.where(X[:, 0] > 0, 1, -1),
        "y: expected numbers in [0, 1], got numbers from -1 to 1",
    ),
    (losses.CrossEntropy(), LABELS + 1, "y: expected numbers in [0, 1]"),
    (losses.CrossEntropy(), CLASSES, "y: expected a column for each class with loss=CrossEntropy()"),
    (losses.Hinge(), CLASSES, "y: expected −1 and 1, or 0 and 1, with loss='hinge'"),
    (losses.Poisson(), -NUMBERS, "y are out of the valid range of the loss 'poisson'"),
    ("poisson", -NUMBERS, "y are out of the valid range of the loss 'poisson'"),
]


@pytest.mark.parametrize(("loss", "y", "words"), OUTSIDE, ids=[f"{loss}" for loss, _, _ in OUTSIDE])
def test_targets_outside_a_losss_range(loss, y, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        regressor(loss=loss).fit(X, y)
    if not isinstance(loss, losses.CrossEntropy):
        fine = (np.abs(X[:, 0]) > 1) * 1
        with pytest.raises(ValueError, match=re.escape(words)):
            regressor(loss=loss).fit(X, fine).partial_fit(X, y)
        with pytest.raises(ValueError, match=re.escape(words.replace("y", "validation_data[1]", 1))):
            regressor(loss=loss).fit(X, fine, validation_data=(X, y))


def test_hinge_takes_0_and_1_for_signs():
    y = (X[:, 0] > 0) * 1
    losses_of = [regressor(loss=losses.Hinge()).fit(X, signs).loss_ for signs in (y, 2 * y - 1)]
    assert losses_of[0] == losses_of[1]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_outputs(before, after):
    first, second = (np.abs(X[:, 0] if columns == 1 else X[:, :columns]) for columns in (before, after))
    expected = f"expected {before} columns?, one for each output, got {after}"
    with pytest.raises(ValueError, match=f"y: {expected}"):
        regressor().fit(X, first).partial_fit(X, second)
    with pytest.raises(ValueError, match=rf"validation_data\[1\]: {expected}"):
        regressor().fit(X, first, validation_data=(X, second))


def test_sparse_targets_are_what_dense_ones_are():
    dense, sparse = (regressor().fit(X, y).loss_ for y in (X[:, :2], scipy.sparse.csr_matrix(X[:, :2])))
    assert dense == sparse


WRONG_WEIGHTS = {
    "too few": np.ones(10),
    "negative": np.where(CLASSES > 0, 1.0, -1.0),
    "NaN": np.full(N, np.nan),
    "one number, NaN": np.nan,
    "infinite": np.full(N, np.inf),
    "all 0": np.zeros(N),
    "text": "ones",
    "digits": ["1"] * N,
    "a dict": {0: 1.0},
    "two columns": np.ones((N, 2)),
    "durations": DURATIONS,
    "complex": np.ones(N) * 1j,
    "sparse": scipy.sparse.csr_matrix(np.ones((N, 1))),
    "missing": pd.Series([1, None] * 30, dtype="Int64"),
    "a sum too large": np.full(N, 1e308),
    "a Stream": Stream([(X, CLASSES)]),
}


@pytest.mark.parametrize("weights", WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match="sample_weight"):
        classifier().fit(X, CLASSES, weights)
    with pytest.raises(ValueError, match="sample_weight"):
        regressor().fit(X, NUMBERS).partial_fit(X, NUMBERS, weights)
    with pytest.raises(ValueError, match=r"validation_data\[2\]"):
        regressor().fit(X, NUMBERS, validation_data=(X, NUMBERS, weights))


@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS.tolist(), pd.Series(WEIGHTS), 2, WEIGHTS > 1.5])
def test_weights_of_each_form_are_scikit_learns(weights):
    assert_as_theirs(lambda library: model("MLPRegressor", library).fit(X, NUMBERS, weights).loss_)


@pytest.mark.parametrize("which", ["train", "validate"])
def test_weights_of_which_a_part_has_none(which):
    """As scikit-learn's error where nothing validates; it divides by 0 where nothing trains."""
    options = {"early_stopping": True, "validation_fraction": 0.5, "batch_size": N}
    kept = next(weights for weights in np.eye(N) if _trains(options, weights) == (which == "validate"))
    words = "sample_weight: Sample weights must contain at least one non-zero number"
    with pytest.raises(ValueError, match=f"{words}.*uses to {which} have the weight 0"):
        classifier(**options).fit(X, CLASSES, kept)
    with pytest.raises(ValueError, match=r"class_weight.*Sample weights must contain"):
        classifier(**options, class_weight={0: 0, 1: 0}).fit(X, np.where(kept > 0, 2, CLASSES % 2))


def _trains(options, weights):
    """Whether the sample that has a weight is one of those that train."""
    result = outcome(lambda: classifier(**options).fit(X, CLASSES, weights))
    return "uses to validate have" in str(result)


WRONG_VALIDATION = {
    "X alone": X,
    "one part": (X,),
    "four parts": (X, CLASSES, WEIGHTS, WEIGHTS),
    "a dict": {"X": X, "y": CLASSES},
    "text": "ab",
    "a Stream": Stream([(X, CLASSES)]),
    "no y": (X, None),
    "too few columns": (X[:, :2], CLASSES),
    "NaN in X": (X * np.nan, CLASSES),
    "NaN in y": (X, CLASSES * np.nan),
    "too few y": (X, CLASSES[:9]),
    "an unknown class": (X, CLASSES + 1),
    "text for classes": (X, CLASSES.astype(str)),
}


@pytest.mark.parametrize("value", WRONG_VALIDATION.values(), ids=WRONG_VALIDATION)
@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
def test_validation_data_of_a_wrong_form(options, value):
    with pytest.raises(ValueError, match="validation_data"):
        classifier(**options).fit(X, CLASSES, validation_data=value)


def test_a_refused_fit_leaves_the_weights():
    fitted = classifier().fit(X, CLASSES)
    before = fitted.predict_proba(X)
    for wrong in ({"sample_weight": -WEIGHTS}, {"validation_data": X}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fitted.fit(X, CLASSES, **wrong)
        np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize("other", [FRAME[["c", "b", "a"]], FRAME.rename(columns={"a": "d"}), FRAME.assign(d=1)])
def test_frames_whose_columns_are_others(other):
    with pytest.raises(ValueError, match="validation_data: The feature names should match"):
        classifier().fit(FRAME, CLASSES, validation_data=(other, CLASSES))
    with pytest.raises(ValueError, match="The feature names should match"):
        classifier().fit(FRAME, CLASSES).partial_fit(other, CLASSES)


@pytest.mark.parametrize(
    ("value", "y"),
    [
        ({0: 2, 9: 1}, CLASSES),
        ({"0": 2}, CLASSES),
        ({0: -1}, CLASSES),
        ({0: np.nan}, CLASSES),
        ({0: 0, 1: 0, 2: 0}, CLASSES),
        ([{0: 2}], CLASSES),
        ({0: 1, 1: 2}, LABELS),
        ([{0: 1, 1: 2}] * 2, LABELS),
        ([{0: 1, 2: 2}] * 3, LABELS),
        ([{1: -2}] * 3, LABELS),
        ([1, 2, 3], LABELS),
    ],
    ids=str,
)
def test_class_weights_that_are_none(value, y):
    with pytest.raises(ValueError, match="class_weight"):
        classifier(class_weight=value).fit(X, y)


@pytest.mark.parametrize(
    ("value", "y"),
    [
        ({0: 2}, CLASSES),
        ({0: 2, 1: 1, 2: 3, "absent": 9}, CLASSES),
        ("balanced", CLASSES // 2),
        ({"p": 2.0, "r": 0}, FORMS["text"]),
        ([{0: 1, 1: 5}, {0: 2, 1: 1}, {0: 1, 1: 1}], LABELS),
        ([{0: 1, 2: 5}] * 3, 2 * LABELS),
        ("balanced", scipy.sparse.csr_matrix(LABELS)),
    ],
    ids=str,
)
def test_class_weights_are_scikit_learns(value, y):
    expected = model("MLPClassifier", theirs).fit(X, y, compute_sample_weight(value, y)).loss_
    assert classifier(class_weight=value).fit(X, y).loss_ == pytest.approx(expected, rel=1e-9)


def test_class_weights_of_a_class_that_a_part_lacks():
    part = CLASSES > 0
    expected = model("MLPClassifier", theirs).partial_fit(X[part], CLASSES[part], classes=[0, 1, 2]).loss_
    weighted = classifier(class_weight={0: 9}).partial_fit(X[part], CLASSES[part], classes=[0, 1, 2])
    assert weighted.loss_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["batch_size", "max_iter", "n_iter_no_change", "max_fun", "n_threads", "random_state"])
@pytest.mark.parametrize("value", [10.5, np.float64(10.0), True, "10", -1], ids=repr)
def test_integers_are_not_cut(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        classifier(**{name: value}).fit(X, CLASSES)


@pytest.mark.parametrize("size", [10.7, 5.9, True, np.float64(10.0), "10", None, [3]], ids=repr)
def test_sizes_are_not_cut(size):
    for sizes in ((size,), [3, size], size) if size != [3] else ((size,), {3, 4}, {3: 4}):
        with pytest.raises(TypeError, match="hidden_layer_sizes"):  # InvalidParameterError is one, too
            regressor(hidden_layer_sizes=sizes).fit(X, NUMBERS)


def test_sizes_of_each_form():
    for sizes in (5, [5], (np.int32(5),), np.array([5]), np.array(5)):
        assert regressor(hidden_layer_sizes=sizes).fit(X, NUMBERS).coefs_[0].shape == (3, 5)


WIDE = 1 << 20  # columns, of which 8 rows are made dense at once


@pytest.fixture(scope="module")
def wide():
    """A sparse X of 12 rows, which is 100 MB as an array, and classes."""
    rng = np.random.default_rng(0)
    rows = scipy.sparse.csr_array((rng.normal(size=120), rng.integers(0, WIDE, 120), np.arange(0, 121, 10)), (12, WIDE))
    return rows, np.arange(12) % 2


@pytest.fixture
def largest(monkeypatch):
    """The largest array that a sparse matrix was made, in bytes, in a list of one."""
    largest, kinds = [0], (scipy.sparse.csr_matrix, scipy.sparse.csr_array)

    def watch(kind):
        toarray = kind.toarray

        def watched(self, *arguments, **options):
            array = toarray(self, *arguments, **options)
            largest[0] = max(largest[0], array.nbytes)
            return array

        monkeypatch.setattr(kind, "toarray", watched)

    for kind in kinds:
        watch(kind)
    return largest


def test_a_sparse_X_stays_within_bounds(wide, largest):
    rows, y = wide
    fitted = classifier(hidden_layer_sizes=(1,), max_iter=1, metrics="accuracy").fit(rows, y, validation_data=(rows, y))
    fitted.partial_fit(rows, y)
    assert fitted.predict_proba(rows.tocsc()).shape == (12, 2)
    assert fitted.score(rows.tocoo(), y) == (fitted.predict(rows) == y).mean()
    classifier(hidden_layer_sizes=(1,), max_iter=1, early_stopping=True, validation_fraction=0.4).fit(rows, y)
    assert 0 < largest[0] <= 1 << 26


SPARSE = {
    "adam": {},
    "sgd": {"solver": "sgd", "alpha": 0.1},
    "a batch of pieces": {"batch_size": 500},
    "a batch of pieces, with dropout": {"batch_size": 500, "dropout": 0.5},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True},
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("options", SPARSE.values(), ids=SPARSE)
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_a_sparse_X_in_pieces_is_the_dense_one(monkeypatch, kind, options, weighted):
    rng = np.random.default_rng(1)
    dense = np.round(rng.normal(size=(600, 5)))
    y = np.arange(600) % 3 if kind == "MLPClassifier" else dense[:, :2] + 1
    weights = rng.random(600) if weighted else None

    def fitted(X):
        metrics = "accuracy" if kind == "MLPClassifier" else "r2"
        validation_data = None if "early_stopping" in options else (X, y, weights)
        estimator = model(kind, metrics=metrics, **options)
        return estimator.fit(X, y, weights, validation_data=validation_data)

    expected = fitted(dense)
    monkeypatch.setattr("fastbp.sklearn._base.DENSE_BYTES", 0)
    monkeypatch.setattr("fastbp.sklearn._epochs.DENSE_BYTES", 256 * 5 * 8)
    monkeypatch.setattr("fastbp.sklearn._pieces.DENSE_BYTES", 256 * 5 * 8)  # pieces of one block
    for matrix in (scipy.sparse.csr_matrix(dense), scipy.sparse.csc_array(dense)):
        sparse = fitted(matrix)
        exact = options.get("solver") != "lbfgs" and not (weighted and "batch_size" in options)
        assert_near(sparse.coefs_ + sparse.intercepts_, expected.coefs_ + expected.intercepts_, exact)
        np.testing.assert_allclose(sparse.predict(matrix), expected.predict(dense), rtol=0 if exact else 1e-9)
        assert expected.history_
        for name in expected.history_:
            assert sparse.history_[name] == pytest.approx(expected.history_[name], rel=1e-9)


def assert_near(came, expected, exact):
    for a, b in zip(came, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0 if exact else 1e-9, atol=0 if exact else 1e-12)
