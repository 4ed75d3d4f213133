"""Which rows validate, which columns the options name, and which options a training gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastbp._cli.choices import choices
from fastbp._cli.parser import parser
from fastbp._cli.plan import NEVER, planned
from fastbp._cli.recipe import recipe
from fastbp._cli.split import split, strata
from fastbp._files import TableError
from fastbp._files.columns import Categories, Numbers, Table

CLASSES = Table((), Categories("y", ("a", "b", "c"), None))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_split_has_every_row_once_and_every_class_trains(groups, fraction, seed):
    groups = np.array(groups)
    training, validating = split(groups, fraction, np.random.default_rng(seed))
    assert sorted([*training, *validating]) == list(range(len(groups)))
    assert len(training) > 0
    counts = np.bincount(groups)
    assert (len(validating) > 0) == bool((counts > 1).any())
    alone = np.flatnonzero(counts == 1)
    assert set(alone) <= set(groups[training])


@given(st.integers(0, 99))
def test_a_split_is_stratified_and_grows(seed):
    groups = np.repeat([0, 1, 2], [100, 40, 20])
    small, large = (split(groups, f, np.random.default_rng(seed))[1] for f in (0.1, 0.2))
    assert set(small) <= set(large)
    np.testing.assert_allclose(np.bincount(groups[large]), [20, 8, 4], atol=1)


def test_no_row_validates_if_none_should():
    training, validating = split(np.zeros(5, int), 0.0, np.random.default_rng(0))
    assert list(training) == [0, 1, 2, 3, 4]
    assert len(validating) == 0


def test_numbers_are_stratified_by_their_size():
    table = Table((), Numbers("y", 0.0, 1.0, False))
    y = np.random.default_rng(0).exponential(size=200)
    groups = strata(table, y)
    assert np.bincount(groups).tolist() == [20] * 10
    assert y[groups == 9].min() >= y[groups == 8].max()
    assert set(strata(table, y[:7])) == {0}
    assert list(strata(CLASSES, np.array([2.0, 0.0, 1.0]))) == [2, 0, 1]


COLUMNS = ["size", "Colour", "a,b", "sold on", "y"]


def chosen(*options: str):
    return choices(parser().parse_args(["train", "data.csv", *options]), COLUMNS)


def test_options_name_columns():
    found = chosen("--drop", "size,sold on", "--drop", "a,b", "--type", "Colour=category")
    assert found.target == "y"
    assert found.drop == ("size", "sold on", "a,b")
    assert found.features is None
    assert found.types == {"Colour": "category"}
    assert chosen("--features", "size, Colour").features == ("size", "Colour")
    assert chosen("--id", "a,b", "--target", "size").ids == ("a,b",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "colour"], "--target: expected a column of the table, got 'colour'; did you mean 'Colour'?"),
        (["--target", "zzz"], "one of 'size', 'Colour', 'a,b', 'sold on', 'y', got 'zzz'"),
        (["--drop", "sise"], "--drop: expected a column of the table, got 'sise'; did you mean 'size'?"),
        (["--features", "size,y"], "--features: expected columns other than the target, got 'y'"),
        (["--id", "size", "--features", "size"], "--id: expected columns that --features does not name, got 'size'"),
        (["--type", "size"], "--type: expected COLUMN=TYPE, such as age=number, got 'size'"),
        (["--type", "size=nummer"], "after size=, got 'nummer'; did you mean 'number'?"),
        (["--type", "siz=number"], "--type: expected a column of the table, got 'siz'; did you mean 'size'?"),
    ],
)
def test_wrong_names_are_told(options, message):
    with pytest.raises(TableError) as error:
        chosen(*options)
    assert message in str(error.value)


def test_all_wrong_names_are_told_at_once():
    with pytest.raises(TableError) as error:
        chosen("--target", "x1", "--drop", "x2,x3", "--type", "x4=number")
    assert len(str(error.value).splitlines()) == 4


def test_without_y_the_target_must_be_named():
    with pytest.raises(TableError, match="--target: expected the column to predict, one of 'a', 'b', got none"):
        choices(parser().parse_args(["train", "data.csv"]), ["a", "b"])


def plan(*options: str, validates: bool = True):
    return planned(parser().parse_args(["train", "data.csv", *options]), recipe(500), validates=validates)


def test_options_replace_the_recipes():
    usual = plan()
    assert (usual.hidden, usual.epochs) == (recipe(500).hidden, recipe(500).epochs)
    assert usual.patience == recipe(500).patience
    assert plan("--hidden", "auto", "--epochs", "auto", "--patience", "auto") == usual
    own = plan("--hidden", "7,3", "--epochs", "4", "--learning-rate", "0.5", "--l2", "0.25", "--batch-size", "9")
    assert (own.hidden, own.epochs) == ((7, 3), 4)
    assert (own.options["learning_rate"], own.options["l2"], own.options["batch_size"]) == (0.5, 0.25, 9)
    table = Table((Numbers("a", 0.0, 1.0, False),), Categories("y", ("a", "b"), None))
    for options in ([], ["--hidden", ""], ["--optimizer", "lbfgs"], ["--optimizer", "sgd"], ["--activation", "selu"]):
        assert plan(*options).trainer(table, seed=0).layer_sizes[0] == 1
    assert plan("--optimizer", "sgd").trainer(table).learning_rate == 0.1
    assert plan("--hidden", "").trainer(table).layer_sizes == (1, 1)


def test_patience():
    assert plan("--patience", "never").patience == NEVER
    assert plan("--patience", "3").patience == 3
    assert plan(validates=False).patience is None
    assert plan("--patience", "never", validates=False).patience is None
    assert plan("--patience", "3", validates=False).patience == 3
    with pytest.raises(ValueError, match="--patience: expected an integer ≥ 1, got 0"):
        plan("--patience", "0")
