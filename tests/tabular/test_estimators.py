"""TabularClassifier and TabularRegressor: what they take, what they give, and what they refuse."""

from __future__ import annotations

import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from fastbp.tabular import TabularClassifier, TabularRegressor
from fastbp.tabular._inputs import thread_count

N = 240
RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "size": RNG.normal(size=N),
        "colour": RNG.choice(["red", "blue", "pink", None], N),
        "sold": pandas.date_range("2020-01-05", periods=N, freq="9D"),
        "noise": RNG.normal(size=N),
        "name": [f"n{i}" for i in range(N)],
    }
)
FRAME.loc[::17, "size"] = np.nan
SIGNAL = FRAME["size"].fillna(0).to_numpy() + np.where(FRAME["colour"] == "red", 1.5, 0)
CLASSES = np.where(SIGNAL + RNG.normal(0, 0.3, N) > 0.3, "large", "small")
NUMBERS = 3 * SIGNAL + RNG.normal(0, 0.5, N)
QUICK = {"max_seconds": 60, "n_networks": 6, "cv": 3, "n_jobs": 1, "random_state": 0}


def quick(kind, **options):
    return kind(**(QUICK | options))


@pytest.fixture(scope="module")
def classifier():
    return quick(TabularClassifier).fit(FRAME, CLASSES)


@pytest.fixture(scope="module")
def regressor():
    return quick(TabularRegressor).fit(FRAME, NUMBERS)


# What they learn


def test_a_table_as_it_is(classifier, regressor):
    assert classifier.score(FRAME, CLASSES) > 0.9
    assert regressor.score(FRAME, NUMBERS) > 0.85
    assert classifier.classes_.tolist() == ["large", "small"]
    assert classifier.feature_names_in_.tolist() == list(FRAME.columns)
    assert [column.name for column in classifier.columns_] == ["size", "colour", "sold", "noise"]
    assert classifier.left_out_ == {"name": "an identifier or text: each row has a different value"}
    probabilities = classifier.predict_proba(FRAME)
    assert probabilities.shape == (N, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert not classifier.interrupted_


def test_what_an_ensemble_consists_of(classifier):
    assert len(classifier.members_) == len(classifier.weights_)
    assert classifier.weights_.min() > 0
    assert np.isclose(classifier.weights_.sum(), 1)
    assert classifier.n_networks_ == 3 * sum(member.family == "network" for member in classifier.members_)
    assert classifier.metric_ == "log_loss"


@pytest.mark.parametrize(("n_networks", "candidates"), [(1, 1), (6, 2), (11, 3)])
def test_the_search_ends_after_so_many_networks(n_networks, candidates):
    board = quick(TabularRegressor, n_networks=n_networks).fit(FRAME, NUMBERS).leaderboard()
    assert (board["family"] == "network").sum() == candidates


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries_are_the_same_table(classifier, library):
    module = pytest.importorskip(library)
    other = module.from_pandas(FRAME) if library == "polars" else module.Table.from_pandas(FRAME)
    np.testing.assert_array_equal(classifier.predict_proba(other), classifier.predict_proba(FRAME))


def test_sparse_columns_of_a_frame_are_made_dense(classifier):
    sparse = FRAME.assign(noise=pandas.arrays.SparseArray(FRAME["noise"]))
    np.testing.assert_array_equal(classifier.predict_proba(sparse), classifier.predict_proba(FRAME))
    quick(TabularRegressor, n_networks=2).fit(sparse, NUMBERS)


def test_arrays_and_lists_are_tables_without_names():
    X = np.column_stack([SIGNAL, FRAME["noise"], np.arange(N)])
    by_array = quick(TabularClassifier).fit(X, CLASSES)
    assert [column.name for column in by_array.columns_] == ["x0", "x1", "x2"]  # no number is taken for an identifier
    by_list = quick(TabularClassifier).fit(X.tolist(), CLASSES.tolist())
    np.testing.assert_array_equal(by_array.predict_proba(X), by_list.predict_proba(X))


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
def test_an_array_has_the_columns_of_the_frame_and_the_other_way_round():
    frame = FRAME[["size", "noise"]]
    array = frame.to_numpy()
    named, unnamed = quick(TabularRegressor).fit(frame, NUMBERS), quick(TabularRegressor).fit(array, NUMBERS)
    np.testing.assert_array_equal(named.predict(array), named.predict(frame))
    np.testing.assert_array_equal(unnamed.predict(frame), unnamed.predict(array))
    np.testing.assert_allclose(unnamed.explain(frame[:2]).values, unnamed.explain(array[:2]).values)
    numbered = quick(TabularRegressor).fit(frame.set_axis([0, 1], axis=1), NUMBERS)
    np.testing.assert_array_equal(numbered.predict(array), numbered.predict(frame.set_axis([0, 1], axis=1)))


def test_classes_of_any_kind():
    for y in (
        CLASSES == "large",
        pandas.Series(CLASSES, dtype="category"),
        pandas.Series(np.where(CLASSES == "large", 7, -3), dtype="Int64"),
        pandas.Series(CLASSES, dtype="string"),
    ):
        model = quick(TabularClassifier, n_networks=3).fit(FRAME, y)
        assert (model.predict(FRAME) == np.asarray(y)).mean() > 0.85
        assert set(model.classes_) == set(y)


def test_many_classes():
    y = np.arange(200) % 100
    X = np.column_stack([y, np.random.default_rng(0).normal(size=200)])
    model = quick(TabularClassifier, n_networks=2, cv=2).fit(X, y)
    assert model.predict_proba(X[:3]).shape == (3, 100)


def test_classes_with_fewer_rows_than_folds():
    y = CLASSES.astype(object)
    y[0] = "unique"
    y[1:3] = "twice"
    model = quick(TabularClassifier).fit(FRAME, y)
    assert model.classes_.tolist() == ["large", "small", "twice", "unique"]
    assert model.score(FRAME[3:], y[3:]) > 0.85


def test_numbers_far_from_zero():
    for scale, shift in ((1, 1e9), (1e30, 0), (1e-30, 0)):
        y = scale * NUMBERS + shift
        model = quick(TabularRegressor, n_networks=3).fit(FRAME, y)
        assert model.score(FRAME, y) > 0.8
        assert np.corrcoef(model.oof_prediction_ - shift, NUMBERS)[0, 1] > 0.9


# Tables that say little


def test_one_class_and_a_constant_number():
    model = quick(TabularClassifier).fit(FRAME, np.full(N, "same"))
    assert set(model.predict(FRAME)) == {"same"}
    assert model.predict_proba(FRAME[:2]).tolist() == [[1.0], [1.0]]
    numbers = quick(TabularRegressor).fit(FRAME, np.full(N, 4.5))
    np.testing.assert_allclose(numbers.predict(FRAME), 4.5)
    np.testing.assert_allclose(numbers.predict_interval(FRAME[:2]), 4.5)
    np.testing.assert_allclose(numbers.predict_std(FRAME[:2]), 0, atol=1e-12)


def test_columns_that_say_nothing():
    nothing = pandas.DataFrame({"gone": np.full(N, np.nan), "same": "a"})
    model = quick(TabularClassifier).fit(nothing, CLASSES)
    np.testing.assert_allclose(model.predict_proba(nothing)[0], model.class_prior_)
    assert model.explain(nothing[:1]).values.shape == (1, 0)
    last = f"row 1: {model.predict(nothing)[0]} {model.class_prior_.max():.3f}"
    assert str(model.explain(nothing[:2])).endswith(last)
    assert last[:5] in model.explain(nothing[:2]).to_html()
    assert len(model.feature_importance()) == 0
    numbers = quick(TabularRegressor, metric="mae").fit(nothing, NUMBERS)
    assert numbers.predict(nothing)[0] == pytest.approx(np.median(NUMBERS), abs=0.1)


def test_one_column_and_two_rows():
    one = quick(TabularRegressor).fit(SIGNAL[:, None], NUMBERS)
    assert one.score(SIGNAL[:, None], NUMBERS) > 0.85
    np.testing.assert_allclose(one.explain(SIGNAL[:3, None]).differences, 0, atol=1e-9)
    two = quick(TabularRegressor).fit([[0.0], [1.0]], [0.0, 1.0])
    assert np.isfinite(two.predict([[0.0], [1.0]])).all()
    for n in (2, 7, 8, 9, 17):
        few = quick(TabularClassifier).fit(SIGNAL[:n, None], np.arange(n) % 2)
        assert few.predict_proba(SIGNAL[:n, None]).shape == (n, 2)
    classes = quick(TabularClassifier).fit([[0.0], [1.0]], ["a", "b"])
    assert set(classes.predict([[0.0], [1.0]])) <= {"a", "b"}


def test_new_categories_and_missing_values_at_prediction(classifier):
    rows = FRAME[:4].assign(colour=["green", None, "red", "blue"], size=[np.nan, 1.0, np.inf, 0.0])
    with pytest.warns(UserWarning, match="'green'"):
        assert np.isfinite(classifier.predict_proba(rows)).all()


def test_a_prediction_does_not_depend_on_the_other_rows(classifier, regressor):
    order = np.random.default_rng(0).permutation(N)
    for model in (classifier, regressor):
        method = getattr(model, "predict_proba", model.predict)
        whole = method(FRAME)
        np.testing.assert_allclose(method(FRAME.iloc[order]), whole[order], rtol=1e-12)
        np.testing.assert_allclose(np.concatenate([method(FRAME[i : i + 1]) for i in range(9)]), whole[:9], rtol=1e-12)


def test_many_rows_are_predicted_in_pieces(classifier, regressor, monkeypatch):
    X = FRAME.sample(500, replace=True, random_state=0)

    def answers():
        numbers = [getattr(regressor, f"predict{name}")(X) for name in ("", "_interval", "_std")]
        return [classifier.predict_proba(X), *numbers]

    whole = answers()
    monkeypatch.setattr("fastbp.tabular._answers.ROWS", 64)
    for n_jobs in (1, 2):
        monkeypatch.setattr(classifier, "n_jobs", n_jobs)
        monkeypatch.setattr(regressor, "n_jobs", n_jobs)
        parts = (
            classifier.predict_proba(X),
            regressor.predict(X),
            regressor.predict_interval(X),
            regressor.predict_std(X),
        )
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


# What they refuse


def test_missing_targets_are_refused_with_advice():
    y = pandas.Series(NUMBERS).where(np.arange(N) > 1)
    with pytest.raises(ValueError, match=r"2 targets are missing \(rows 0, 1\)\. Leave such rows out"):
        quick(TabularRegressor).fit(FRAME, y)
    with pytest.raises(ValueError, match=r"1 target is missing \(row 5\)"):
        quick(TabularClassifier).fit(FRAME, np.where(np.arange(N) == 5, None, CLASSES))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": None, "n_networks": None}, "max_seconds: expected a time limit, or n_networks"),
        ({"metric": "rmse"}, "'rmse', which is for numbers"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"cv": 1}, "cv"),
        ({"cv": 101}, "cv"),
        ({"n_jobs": 0}, "n_jobs: expected a number of threads"),
        ({"types": {"size": "float"}}, "types"),
        ({"drop": ["sise"]}, "did you mean 'size'"),
        ({"n_networks": 0}, "n_networks"),
        ({"drop": [1]}, "drop: expected columns of the table, got '1'"),
        ({"types": {1: "number"}}, "types: expected columns of the table, got '1'"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        quick(TabularClassifier, **options).fit(FRAME, CLASSES)


def test_one_class_has_no_roc_curve():
    with pytest.raises(ValueError, match=r"y: expected two or more classes with metric='roc_auc', got only 'same'"):
        quick(TabularClassifier, metric="roc_auc").fit(FRAME, np.full(N, "same"))


def test_a_lazy_frame_is_refused_with_advice():
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"got LazyFrame; use X\.collect\(\)"):
        quick(TabularClassifier).fit(polars.from_pandas(FRAME).lazy(), CLASSES)


def test_the_number_of_threads_outside_of_the_main_thread(monkeypatch):
    monkeypatch.setattr("fastbp._engine.processors.of_process", lambda: 8)
    monkeypatch.setattr("fastbp._engine.processors.quota", lambda: 8)
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(thread_count, -1).result() == 8
    for backend in ("threading", "loky"):
        assert joblib.Parallel(2, backend=backend)([joblib.delayed(thread_count)(-1)] * 2) == [1, 1]
    assert [thread_count(n) for n in (None, 3, -2, -20)] == [1, 3, 7, 1]


@pytest.mark.filterwarnings("error")
def test_no_time_for_any_model_is_said(monkeypatch):
    monkeypatch.setattr("fastbp.tabular._linear_member.SLACK", -1.0)
    model = quick(TabularRegressor, max_seconds=1e-6, n_networks=None)
    with pytest.warns(UserWarning, match="There was time for no model, so the same is predicted for every row"):
        model.fit(FRAME, NUMBERS)


def test_columns_of_a_frame_may_have_numbers_as_names():
    frame = FRAME[["size", "noise", "colour"]].set_axis([0, 1, 2], axis=1)
    model = quick(TabularRegressor, n_networks=1, drop=[1], types={2: "category"}).fit(frame, NUMBERS)
    assert model.left_out_ == {"1": "you dropped it"}
    with pytest.raises(TypeError, match=r"drop: expected a list of column names, got 'size'; write drop=\['size'\]"):
        quick(TabularRegressor, drop="size").fit(FRAME, NUMBERS)


def test_a_frame_may_lack_columns_that_are_no_inputs_and_have_others(classifier):
    expected = classifier.predict_proba(FRAME)
    np.testing.assert_array_equal(classifier.predict_proba(FRAME.drop(columns="name")), expected)
    more = FRAME.drop(columns="name")
    more.insert(0, "target", CLASSES)
    np.testing.assert_array_equal(classifier.predict_proba(more), expected)
    np.testing.assert_allclose(classifier.explain(more[:2]).differences, 0, atol=1e-9)
    with pytest.raises(ValueError, match="yet now missing:\n- size"):
        classifier.predict(FRAME.drop(columns="size"))


def test_warnings_count_rows_from_zero(classifier):
    rows = FRAME[:4].assign(colour=["red", "green", None, "red"])
    for method in (classifier.predict, classifier.explain):
        with pytest.warns(UserWarning, match="'green' in row 1"):
            method(rows)


def test_wrong_data_are_refused(classifier):
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="Sparse data"):
        quick(TabularClassifier).fit(sparse.csr_matrix(np.eye(4)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="y: expected 240 values, one for each row of X, got 239"):
        quick(TabularClassifier).fit(FRAME, CLASSES[1:])
    with pytest.raises(TypeError, match="y: expected numbers, got text"):
        quick(TabularRegressor).fit(FRAME, CLASSES)
    with pytest.raises(ValueError, match="Unknown label type"):
        quick(TabularClassifier).fit(FRAME, NUMBERS)
    pairs = np.empty(N, object)
    pairs[:] = [("a", "b")] * N
    with pytest.raises(TypeError, match="y: expected one class for each row, got values of type tuple; convert them"):
        quick(TabularClassifier).fit(FRAME, pairs)
    with pytest.raises(ValueError, match=r"^y: expected numbers or classes, got complex numbers"):
        quick(TabularRegressor).fit(FRAME, NUMBERS + 1j)
    with pytest.raises(ValueError, match="sample_weight: expected X and y with it, got only weights"):
        classifier.feature_importance(sample_weight=np.ones(N))
    with pytest.raises(TypeError, match="float and str_; convert them"):
        quick(TabularClassifier).fit(FRAME, np.array([1.5, *CLASSES[1:]], object))
    with pytest.raises(ValueError, match="numbers ≥ 0, not all 0, with metric='poisson'"):
        quick(TabularRegressor, metric="poisson").fit(FRAME, NUMBERS)
    with pytest.raises(ValueError, match=r"y: expected numbers up to 1e\+37, got .*; divide them"):
        quick(TabularRegressor).fit(FRAME, 1e100 * NUMBERS)
    with pytest.raises(ValueError, match=r"y: expected a range above 1e-37, got .*; multiply y"):
        quick(TabularRegressor).fit(FRAME, 1e-100 * NUMBERS)
    with pytest.raises(ValueError, match="at least 2 rows"):
        quick(TabularClassifier).fit(FRAME[:1], CLASSES[:1])
    with pytest.raises(NotFittedError):
        TabularClassifier().predict(FRAME)
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(FRAME.rename(columns={"size": "width"}))
    with pytest.raises(ValueError, match="same order"):
        classifier.predict(FRAME[list(FRAME.columns)[::-1]])


# Weights


def test_a_row_without_weight_is_no_row():
    kept = np.arange(N) % 3 > 0
    weighted = quick(TabularRegressor).fit(FRAME, NUMBERS, np.where(kept, 2.0, 0))
    fewer = quick(TabularRegressor).fit(FRAME[kept], NUMBERS[kept], np.full(kept.sum(), 2.0))
    np.testing.assert_array_equal(weighted.predict(FRAME), fewer.predict(FRAME))
    np.testing.assert_array_equal(np.isnan(weighted.oof_prediction_), ~kept)


def test_only_the_proportions_of_weights_count():
    weights = np.linspace(1, 2, N)
    expected = quick(TabularRegressor).fit(FRAME, NUMBERS, weights)
    for scale in (1e300, 1e-300):
        model = quick(TabularRegressor).fit(FRAME, NUMBERS, scale * weights)
        np.testing.assert_allclose(model.predict(FRAME), expected.predict(FRAME), rtol=1e-3)
        np.testing.assert_allclose(model.predict_interval(FRAME), expected.predict_interval(FRAME), rtol=1e-2)
        assert model.feature_importance(FRAME, NUMBERS, sample_weight=scale * weights)["importance"]["size"] > 0


def test_weights_move_predictions():
    X = np.zeros((N, 1)) + np.arange(N)[:, None] % 2
    y = np.where(np.arange(N) % 4 < 2, "a", "b")
    even = quick(TabularClassifier).fit(X, y)
    heavy = quick(TabularClassifier).fit(X, y, np.where(y == "a", 9.0, 1.0))
    np.testing.assert_allclose(heavy.class_prior_, [0.9, 0.1])
    assert even.predict_proba(X)[:, 0].mean() == pytest.approx(0.5, abs=0.1)
    assert heavy.predict_proba(X)[:, 0].mean() == pytest.approx(0.9, abs=0.1)


# Groups


def test_rows_of_a_group_validate_together():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 4)  # each person has a look and a number, and four rows
    X = rng.normal(size=(60, 6))[person] + rng.normal(0, 0.01, (N, 6))
    y = rng.normal(size=60)[person]
    names = [f"p{i}" for i in person]
    fooled = quick(TabularRegressor).fit(X, y)
    honest = quick(TabularRegressor).fit(X, y, groups=names)
    errors = [np.sqrt(((model.oof_prediction_ - y) ** 2).mean()) for model in (fooled, honest)]
    assert errors[0] < 0.7 * y.std() < 0.9 * y.std() < errors[1]
    classes = np.where(y > 0, "high", "low")
    model = quick(TabularClassifier).fit(X, classes, np.arange(N) % 4 > 0, groups=names)
    assert log_loss(classes[np.arange(N) % 4 > 0], model.oof_prediction_[np.arange(N) % 4 > 0]) > 0.6


def test_wrong_groups_are_refused():
    for groups, match in (
        (np.zeros(N), "two or more groups, got only the group 0.0"),
        (np.arange(N - 1), "240 values, one for each row of X, got 239"),
        (np.where(np.arange(N) == 3, np.nan, 1.0), "a group for each row, got missing ones"),
    ):
        with pytest.raises(ValueError, match=f"groups: expected {match}"):
            quick(TabularRegressor).fit(FRAME, NUMBERS, groups=groups)


# What an ensemble gives


def test_out_of_fold_predictions_are_honest():
    y = np.random.default_rng(1).permutation(CLASSES)  # nothing to learn
    model = quick(TabularClassifier).fit(FRAME, y)
    prior = log_loss(y, np.tile(model.class_prior_, (N, 1)))
    assert log_loss(y, model.oof_prediction_) > 0.97 * prior
    learnt = quick(TabularClassifier).fit(FRAME, CLASSES)
    assert log_loss(CLASSES, learnt.oof_prediction_) < 0.5 * prior


def test_intervals_cover_what_they_say(regressor):
    rng = np.random.default_rng(2)
    new = FRAME.sample(4000, replace=True, random_state=2).assign(noise=rng.normal(size=4000))
    signal = new["size"].fillna(0).to_numpy() + np.where(new["colour"] == "red", 1.5, 0)
    y = 3 * signal + rng.normal(0, 0.5, 4000)
    widths = []
    for coverage in (0.5, 0.9):
        low, high = regressor.predict_interval(new, coverage).T
        assert ((low <= y) & (y <= high)).mean() == pytest.approx(coverage, abs=0.09)
        widths.append(high - low)
    assert (widths[1] > widths[0]).all()
    for coverage in (0, 1, "most"):
        with pytest.raises((TypeError, ValueError), match="coverage: expected"):
            regressor.predict_interval(FRAME, coverage)


def test_deviations_tell_where_networks_disagree(classifier, regressor):
    assert classifier.predict_std(FRAME).shape == (N, 2)
    fitted = regressor._fitted
    raw = fitted.columns_of(FRAME)
    every = fitted.line.slope * np.concatenate([member.spread(raw) for member in fitted.members])
    shares = np.concatenate([np.full(3, weight / 3) for weight in fitted.weights])[:, None]
    variance = (shares * every**2).sum(axis=0) - (shares * every).sum(axis=0) ** 2
    np.testing.assert_allclose(regressor.predict_std(FRAME), np.sqrt(np.maximum(variance, 0)), rtol=1e-4, atol=1e-5)
    far = FRAME[:20].assign(size=25.0)
    assert regressor.predict_std(far).mean() > regressor.predict_std(FRAME).mean()


def test_the_loss_is_that_of_the_out_of_fold_predictions(classifier, regressor):
    assert classifier.loss_ == pytest.approx(log_loss(CLASSES, classifier.oof_prediction_))
    assert regressor.loss_ == pytest.approx(np.sqrt(((regressor.oof_prediction_ - NUMBERS) ** 2).mean()))
    sharp = quick(TabularClassifier, n_networks=1, max_seconds=0.2).fit(FRAME, FRAME["size"] > 0)
    assert sharp.loss_ == pytest.approx(log_loss(FRAME["size"] > 0, sharp.oof_prediction_))


def test_the_leaderboard(classifier):
    board = classifier.leaderboard()
    assert list(board.columns) == ["name", "family", "log_loss", "weight", "seconds", "complete"]
    complete = board[board["complete"]]
    assert complete["log_loss"].is_monotonic_increasing
    assert "ensemble" in set(board["name"])
    assert board["weight"].sum() == pytest.approx(1)
    assert board.set_index("name")["log_loss"]["ensemble"] == classifier.loss_
    by_auc = quick(TabularClassifier, metric="roc_auc", n_networks=3).fit(FRAME, CLASSES).leaderboard()
    assert by_auc["roc_auc"].iloc[0] > 0.9


def test_importance_finds_the_columns_that_matter(classifier, regressor):
    for model, y in ((classifier, CLASSES), (regressor, NUMBERS)):
        for found in (model.feature_importance(), model.feature_importance(FRAME, y, repeats=3)):
            assert list(found.index)[:2] == ["size", "colour"]
            assert found["importance"]["size"] > 10 * abs(found["importance"]["noise"])
    weighted = classifier.feature_importance(FRAME, CLASSES, sample_weight=np.arange(N) % 2)
    assert weighted["importance"]["size"] > 0
    with pytest.raises(ValueError, match="X: expected two or more rows"):
        classifier.feature_importance(FRAME[:1], CLASSES[:1])
    by_auc = quick(TabularClassifier, metric="roc_auc", n_networks=2).fit(FRAME, CLASSES)
    with pytest.raises(ValueError, match="y: expected targets of more than one class for roc_auc"):
        by_auc.feature_importance(FRAME, np.full(N, "large"))
    with pytest.raises(ValueError, match="X, y: expected both or neither, got only X"):
        classifier.feature_importance(FRAME)
    with pytest.raises(ValueError, match=r"y: expected classes among .*'large', 'small'.*, got 'huge'"):
        classifier.feature_importance(FRAME, np.full(N, "huge"))


def test_importance_is_the_mean_of_so_many_shuffles(regressor):
    once = regressor.feature_importance(repeats=1)
    assert (once["deviation"] == 0).all()
    assert (regressor.feature_importance(repeats=3).loc["size", "deviation"]) > 0


def test_contributions_add_up(classifier, regressor):
    found = classifier.explain(FRAME[:5])
    assert found.names == ("size", "colour", "sold", "noise")
    np.testing.assert_allclose(found.differences, 0, atol=1e-9)
    np.testing.assert_allclose(found.outputs, classifier.predict_proba(FRAME[:5]).max(axis=1))
    assert "The probability of" in str(classifier.explain(FRAME[:1]))
    page = found.to_html()
    assert "colour" in page
    assert "pink" in page
    small = classifier.explain(FRAME[:5], label="small")
    np.testing.assert_allclose(small.outputs, classifier.predict_proba(FRAME[:5])[:, 1])
    with pytest.raises(ValueError, match="label: expected classes among"):
        classifier.explain(FRAME[:5], label="huge")
    with pytest.raises(ValueError, match="X: expected at least one row"):
        regressor.explain(FRAME[:0])
    numbers = regressor.explain(FRAME[:5])
    np.testing.assert_allclose(numbers.outputs - numbers.baseline_outputs, numbers.values.sum(axis=1), atol=1e-9)
    assert np.abs(numbers.values[:, 0]).mean() > 5 * np.abs(numbers.values[:, 3]).mean()


# The metric


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "accuracy", "balanced_accuracy"])
def test_metrics_of_classes(metric):
    model = quick(TabularClassifier, metric=metric, n_networks=3).fit(FRAME, CLASSES)
    assert model.metric_ == metric
    assert model.score(FRAME, CLASSES) > 0.85


def test_balanced_accuracy_predicts_rare_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 1))
    y = np.where(X[:, 0] + rng.normal(0, 1, 600) > 1.8, "rare", "usual")
    plain = quick(TabularClassifier).fit(X, y)
    balanced = quick(TabularClassifier, metric="balanced_accuracy").fit(X, y)
    assert (balanced.predict(X) == "rare").sum() > 2 * (plain.predict(X) == "rare").sum()


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_metrics_of_numbers(metric):
    model = quick(TabularRegressor, metric=metric, n_networks=3).fit(FRAME, NUMBERS)
    assert model.score(FRAME, NUMBERS) > 0.8


def test_quantiles_and_counts():
    for level in (0.1, 0.9):
        model = quick(TabularRegressor, metric=("quantile", level)).fit(FRAME, NUMBERS)
        assert (model.oof_prediction_ >= NUMBERS).mean() == pytest.approx(level, abs=0.1)
    counts = np.random.default_rng(0).poisson(np.exp(0.7 * SIGNAL))
    model = quick(TabularRegressor, metric="poisson").fit(FRAME, counts)
    assert model.predict(FRAME).min() > 0
    assert np.corrcoef(model.predict(FRAME), np.exp(0.7 * SIGNAL))[0, 1] > 0.7


# Other estimators


def test_other_estimators_join_the_ensemble():
    others = [("forest", RandomForestRegressor(20, random_state=0)), Ridge(), Ridge(alpha=10)]
    model = quick(TabularRegressor, estimators=others).fit(FRAME, NUMBERS)
    names = set(model.leaderboard()["name"])
    assert {"forest", "ridge-1", "ridge-2"} <= names
    assert not hasattr(others[1], "coef_")  # those that the user has stay as they are
    step = np.where(FRAME["noise"].to_numpy() > 0, 10.0, 0.0)
    trees = quick(TabularRegressor, estimators=[("forest", RandomForestRegressor(20, random_state=0))])
    trees.fit(FRAME, step)
    assert "forest" in {member.name for member in trees.members_}
    np.testing.assert_allclose(trees.explain(FRAME[:2]).differences, 0, atol=1e-9)
    assert trees.predict_std(FRAME).shape == (N,)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trees)).predict(FRAME), trees.predict(FRAME))


def test_a_pipeline_gets_the_columns():
    seen = []

    def look(frame):
        seen.append(frame)
        return frame

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["size", "noise"]), (OneHotEncoder(handle_unknown="ignore"), ["colour"])
    )
    pipeline = make_pipeline(FunctionTransformer(look), columns, LogisticRegression())
    weights = np.linspace(1, 2, N)
    model = quick(TabularClassifier, estimators=[("mine", pipeline)]).fit(FRAME, CLASSES, weights)
    board = model.leaderboard().set_index("name")
    assert board["log_loss"]["mine"] < 0.5
    assert list(seen[0].columns)[:2] == ["size", "colour"]
    assert set(seen[0]["colour"].cat.categories) == {"red", "blue", "pink"}
    assert seen[0]["size"].isna().any()


@pytest.mark.parametrize(
    ("estimators", "error", "match"),
    [
        (Ridge(), "InvalidParameterError", "estimators"),
        ([Ridge()], "ValueError", "estimators: expected classifiers, got a regressor, 'ridge'"),
        ([LogisticRegression], "TypeError", "the class LogisticRegression; write LogisticRegression()"),
        ([SVC()], "ValueError", "predict_proba"),
        (["forest"], "TypeError", "estimators: expected a list"),
    ],
)
def test_wrong_estimators_are_refused(estimators, error, match):
    with pytest.raises((TypeError, ValueError), match=match) as raised:
        quick(TabularClassifier, estimators=estimators).fit(FRAME, CLASSES)
    assert type(raised.value).__name__ == error


class Slow(Ridge):
    """A regressor whose fit takes longer than the time limit."""

    def fit(self, X, y, sample_weight=None):
        time.sleep(0.7)
        return super().fit(X, y, sample_weight)


def test_an_estimator_that_is_not_done_in_time_is_left_out():
    model = quick(TabularRegressor, max_seconds=0.7, estimators=[Slow()])
    with pytest.warns(UserWarning, match="'slow' could not be fitted in all folds in time"):
        model.fit(FRAME, NUMBERS)
    assert "slow" not in set(model.leaderboard()["name"])
    assert np.isfinite(model.predict(FRAME)).all()


class Wild(Ridge):
    """A regressor whose predictions are too large for their squares."""

    def predict(self, X):
        return np.full(len(X), self.alpha)

    def fit(self, X, y):
        return self


@pytest.mark.filterwarnings("error")
def test_an_estimator_with_wild_predictions_is_left_out():
    model = quick(TabularRegressor, n_networks=1, estimators=[Wild(1e300), Wild(np.nan), Wild(1e99)])
    with pytest.warns(UserWarning, match="'wild-1', 'wild-2' predicted NaN, infinity or very large numbers"):
        model.fit(FRAME, NUMBERS)
    assert model.score(FRAME, NUMBERS) > 0.5
    assert not {"wild-1", "wild-2", "wild-3"} & {member.name for member in model.members_}


def test_no_two_candidates_have_one_name():
    others = [("a", Ridge()), ("a", Ridge(10)), ("a-1", Ridge(100))]
    board = quick(TabularRegressor, n_networks=1, estimators=others).fit(FRAME, NUMBERS).leaderboard()
    assert set(board.query("family == 'estimator'")["name"]) == {"a-1", "a-2", "a-3"}
    for name in ("constant", "ensemble", "linear: scaled", "network 1: 128 relu"):
        with pytest.raises(ValueError, match="estimators: expected names that no other candidate has"):
            quick(TabularRegressor, estimators=[(name, Ridge())]).fit(FRAME, NUMBERS)


def test_an_estimator_without_weights_is_refused_before_the_search():
    fitted = []
    first = make_pipeline(FunctionTransformer(fitted.append), Ridge())
    others = [("first", first), make_pipeline(StandardScaler(), KNeighborsRegressor())]
    with pytest.raises(ValueError, match=r"^estimators: 'pipeline' takes no sample_weight; leave it out"):
        quick(TabularRegressor, max_seconds=None, estimators=others).fit(FRAME, NUMBERS, np.ones(N))
    assert not fitted


def test_an_estimator_that_fails_is_named():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    with pytest.raises(ValueError, match="estimators: 'mine' failed on a frame of the columns: ValueError"):
        quick(TabularClassifier, estimators=[("mine", pipeline)]).fit(FRAME, CLASSES)


# With the rest of scikit-learn


def test_clone_pickle_pipeline_and_search(classifier):
    assert clone(classifier).get_params() == classifier.get_params()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(classifier)).predict_proba(FRAME), classifier.predict_proba(FRAME)
    )
    small = quick(TabularClassifier, n_networks=2, cv=2)
    X = FRAME[["size", "noise"]].fillna(0)
    search = GridSearchCV(small, {"metric": ["log_loss", "roc_auc"]}, cv=2).fit(X, CLASSES)
    assert search.best_params_["metric"] in ("log_loss", "roc_auc")
    assert cross_val_score(make_pipeline(StandardScaler(), small), X, CLASSES, cv=2).mean() > 0.7
    calibrated = CalibratedClassifierCV(small, cv=2).fit(X, CLASSES)
    assert calibrated.predict_proba(X).shape == (N, 2)
    framed = make_pipeline(StandardScaler().set_output(transform="pandas"), small).fit(X, CLASSES)
    assert framed[-1].feature_names_in_.tolist() == ["size", "noise"]


def test_results_depend_on_the_seed_and_not_on_threads(classifier):
    again = quick(TabularClassifier, n_jobs=2).fit(FRAME, CLASSES)
    np.testing.assert_array_equal(again.predict_proba(FRAME), classifier.predict_proba(FRAME))
    other = quick(TabularClassifier, random_state=1).fit(FRAME, CLASSES)
    assert not np.array_equal(other.predict_proba(FRAME), classifier.predict_proba(FRAME))


def test_it_tells_what_it_does(capsys):
    quick(TabularClassifier, n_networks=3).fit(FRAME, CLASSES)
    assert capsys.readouterr().out == ""
    quick(TabularClassifier, n_networks=3, verbose=1).fit(FRAME, CLASSES)
    assert "log_loss 0." in capsys.readouterr().out


class Interrupting(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted while the user presses Ctrl-C."""

    def fit(self, X, y):
        signal.raise_signal(signal.SIGINT)
        self.inner_ = HistGradientBoostingClassifier().fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(X)

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)


def test_ctrl_c_keeps_the_best_so_far():
    model = TabularClassifier(60, cv=3, n_jobs=1, random_state=0, estimators=[Interrupting()])
    with pytest.warns(UserWarning, match="Ctrl-C ended the fit early"):
        model.fit(FRAME, CLASSES)
    assert model.interrupted_
    assert model.score(FRAME, CLASSES) > 0.5
