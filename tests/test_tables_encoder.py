"""The recognition of columns as a transformer of scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastbp import tables
from fastbp.sklearn import MLPClassifier
from fastbp.tables import TableEncoder
from tests.cases import name_of_check

N = 200
RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "price": [f"${price:,.2f}" for price in RNG.uniform(5, 5000, N)],
        "colour": RNG.choice(["red", "blue", "pink", None], N),
        "sold": pandas.date_range("2020-01-05", periods=N, freq="9D"),
        "size": RNG.normal(size=N),
        "rare": [f"r{int(i)}" for i in RNG.exponential(20, N)],
        "name": [f"n{i}" for i in range(N)],
    }
)
Y = np.where(FRAME["size"] > 0, "large", "small")


@pytest.mark.parametrize(("estimator", "check"), list(estimator_checks_generator(TableEncoder())), ids=name_of_check)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:column:UserWarning")
def test_it_is_a_transformer(estimator, check):
    check(estimator)


def test_it_is_what_the_command_line_does():
    encoder = TableEncoder().fit(FRAME, Y)
    whole = FRAME.assign(y=Y)
    assert encoder.table_ == tables.recognise(whole, "y")
    np.testing.assert_array_equal(encoder.transform(FRAME), tables.inputs(encoder.table_, whole))
    np.testing.assert_array_equal(TableEncoder().fit_transform(FRAME, Y), tables.training_inputs(encoder.table_, whole))
    assert encoder.get_feature_names_out().tolist() == list(encoder.table_.input_names)
    assert encoder.table_.left_out == (("name", "an identifier or text: each row has a different value"),)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries_are_the_same_table(library):
    module = pytest.importorskip(library)
    pytest.importorskip("narwhals")
    other = module.from_pandas(FRAME) if library == "polars" else module.Table.from_pandas(FRAME)
    encoder = TableEncoder().fit(other, Y)
    np.testing.assert_array_equal(encoder.transform(other), TableEncoder().fit(FRAME, Y).transform(FRAME))


def test_a_frame_of_no_library_is_refused():
    class Frame:
        columns = ("a",)

    with pytest.raises(TypeError, match="X: expected a frame that narwhals reads, or an array, got Frame"):
        TableEncoder().fit(Frame(), Y)


def test_other_columns_are_refused():
    encoder = TableEncoder().fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names"):
        encoder.transform(FRAME.rename(columns={"price": "cost"}))
    with pytest.raises(ValueError, match="same order"):
        encoder.transform(FRAME[list(FRAME.columns)[::-1]])


def test_it_writes_frames():
    encoder = TableEncoder().set_output(transform="pandas")
    frame = encoder.fit_transform(FRAME.set_axis(range(5, 5 + N)), Y)
    assert list(frame.columns) == list(encoder.table_.input_names)
    assert list(frame.index) == list(range(5, 5 + N))


@pytest.mark.parametrize("options", [{"missing": "drop"}, {"unknown": 3}, {"task": "text"}, {"types": "a"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter of TableEncoder must be"):
        TableEncoder(**options).fit(FRAME, Y)


def test_options_do_what_they_say():
    encoder = clone(TableEncoder(missing="mean", types={"rare": "text"}, drop=["size"])).fit(FRAME, Y)
    assert [column.name for column in encoder.table_.columns] == ["price", "colour", "sold"]
    strict = TableEncoder(unknown="error").fit(FRAME, Y)
    with pytest.raises(ValueError, match="'colour' has 'grey' in 200 rows"):
        strict.transform(FRAME.assign(colour="grey"))
    numbers = TableEncoder(task="numbers").fit(FRAME, np.arange(N) % 3)
    assert numbers.table_.loss == "squared_error"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_stands_before_estimators_and_is_pickled():
    frame = FRAME.drop(columns="rare")  # folds have categories of their own
    for model in (LogisticRegression(), MLPClassifier((16,), alpha=1, learning_rate_init=0.01, random_state=0)):
        pipeline = make_pipeline(TableEncoder(), model)
        assert cross_val_score(pipeline, frame, Y, cv=3).mean() > 0.85
        fitted = pipeline.fit(frame, Y)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(frame), fitted.predict(frame))
    pipeline = make_pipeline(TableEncoder(), Ridge())
    assert cross_val_score(pipeline, frame, frame["size"] * 3 + 1, cv=3).mean() > 0.9


def test_a_target_may_be_a_column_of_any_name():
    encoder = TableEncoder().fit(FRAME.rename(columns={"size": "y"}), pandas.Series(Y, name="price"))
    assert encoder.table_.target.name == "y_"
    assert encoder.n_features_in_ == 6


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_two_columns_of_one_name_are_refused(kind):
    X = pandas.DataFrame([[i, i % 3, "u"] for i in range(30)], columns=["a", "b", "a"])
    if kind == "pyarrow":
        pyarrow = pytest.importorskip("pyarrow")
        X = pyarrow.table([pyarrow.array(X.iloc[:, place]) for place in range(3)], names=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"^X: expected columns of different names, got two called 'a'; rename one$"):
        TableEncoder().fit(X, Y[:30])


def test_columns_may_have_numbers_as_names():
    frame = pandas.DataFrame({0: [1.5, 2.5, 3.5], 1: [3.0, 1.0, 2.0]})
    assert TableEncoder(drop=[1]).fit_transform(frame, [1.0, 2.0, 3.0]).shape == (3, 1)
    with pytest.raises(TypeError, match="drop: expected a list of column names"):
        TableEncoder(drop="0").fit(frame, [1.0, 2.0, 3.0])
