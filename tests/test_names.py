"""Columns go by name: in several files, in frames given to a trainer, in training and validation data."""

from __future__ import annotations

import copy
import json
import pickle
import pkgutil
import re
import warnings

import numpy as np
import pytest

from fastbp import Callback, Ensemble, ModelFileError, Stream, Sweep, Trainer, explain, fit_many, plots
from fastbp._files import TableError
from fastbp._files.tables import read
from tests.test_run import weights_of

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
dataset = pytest.importorskip("pyarrow.dataset")

RNG = np.random.default_rng(0)
COLUMNS = ["age", "income", "zip"]
X = pandas.DataFrame(RNG.normal(size=(60, 3)), columns=COLUMNS)
Y = pandas.Series(RNG.normal(size=60), name="y")
DATA = X.assign(y=Y)
SWAPPED = X[["income", "age", "zip"]]
RENAMED = X.rename(columns={"age": "years"})
SHORT = X[["age", "zip"]]


def trainer(**options) -> Trainer:
    return Trainer([3, 4, 1], **{"seed": 0, "shuffle": False} | options)


def fitted(**options) -> Trainer:
    t = trainer(**options)
    t.fit(X, Y, epochs=1, verbose=0)
    return t


def refused(what="feature"):
    return pytest.raises(ValueError, match=f"The {what} names should match those that were passed during fit")


# Frames given to a trainer, as scikit-learn has it


@pytest.mark.parametrize(
    "frame",
    [SWAPPED, RENAMED, SHORT, DATA, X.add_prefix("x_"), pandas.DataFrame(np.ones((2, 8)), columns=list("abcdefgh"))],
    ids=["order", "renamed", "missing", "unseen", "all", "many"],
)
def test_other_names_are_refused_in_scikit_learns_words(frame):
    from sklearn.linear_model import LinearRegression

    with pytest.raises(ValueError, match="feature names") as theirs:
        LinearRegression().fit(X, Y).predict(frame)
    with refused() as ours:
        fitted().predict(frame)
    assert str(ours.value).startswith(f"X: {theirs.value}")
    assert "in this order: 'age', 'income', 'zip'" in str(ours.value)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("X", lambda t: t.predict(SWAPPED)),
        ("X", lambda t: t.predict_classes(SWAPPED)),
        ("X", lambda t: t.evaluate(SWAPPED, Y)),
        ("X", lambda t: t.gradients(SWAPPED, Y)),
        ("X", lambda t: t.train_on_batch(SWAPPED, Y)),
        ("X", lambda t: t.find_learning_rate(SWAPPED, Y)),
        ("X", lambda t: t.fit(SWAPPED, Y)),
        ("X", lambda t: t.fit(Stream.from_arrays(SWAPPED, Y))),
        ("X", lambda t: t.evaluate(Stream.from_arrays(SWAPPED, Y))),
        ("X of chunk 1", lambda t: t.evaluate(Stream([(X, Y), (SWAPPED, Y)]))),
        ("X of chunk 1", lambda t: t.fit(Stream(lambda: [(X, Y), (SWAPPED, Y)]))),
        (r"batch\[0\]", lambda t: t.fit([(SWAPPED, Y)])),
        (r"validation_data\[0\]", lambda t: t.fit(X, Y, validation_data=(SWAPPED, Y))),
        ("x", lambda t: explain(t, SWAPPED[:2], Y[:2])),
        ("x", lambda t: explain(t, SWAPPED.iloc[0], Y[0])),
        ("X", lambda t: plots.activations(t, SWAPPED)),
        ("X", lambda t: t.predict(pyarrow.Table.from_pandas(SWAPPED))),
        ("X", lambda t: fit_many([t], SWAPPED, Y, verbose=0)),
        ("X", lambda t: fit_many([t], [SWAPPED], [Y], verbose=0)),
    ],
)
def test_wherever_a_frame_goes(argument, call):
    t = fitted()
    before = weights_of(t)
    with pytest.raises(ValueError, match=f"^{argument}: The feature names should match"):
        call(t)
    if "chunk" not in argument:
        np.testing.assert_array_equal(weights_of(t), before)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        (r"validation_data\[0\]", lambda t: t.fit(X, Y, validation_data=(SWAPPED, Y))),
        ("validation_data", lambda t: t.fit(X, Y, validation_data=Stream.from_arrays(SWAPPED, Y))),
        (r"batch\[0\]", lambda t: t.fit([(SWAPPED, Y)], validation_data=(X, Y))),
        (r"batch\[0\]", lambda t: t.fit([(X, Y), (SWAPPED, Y)])),
        ("X of chunk 0", lambda t: t.fit(Stream([(SWAPPED, Y)]), validation_data=(X, Y))),
        ("X of chunk 1", lambda t: t.fit(Stream([(X, Y), (SWAPPED, Y)]))),
        ("X of chunk 1", lambda t: t.evaluate(Stream([(X, Y), (SWAPPED, Y)]))),
        ("X of chunk 0", lambda t: t.fit(X, Y, validation_data=Stream([(SWAPPED, Y)]))),
        (r"validation_data\[0\]", lambda t: fit_many([t], X, Y, validation_data=(SWAPPED, Y), verbose=0)),
        (r"validation_data\[0\]", lambda t: fit_many([t], [X], [Y], validation_data=[(SWAPPED, Y)], verbose=0)),
        (r"validation_data\[0\]", lambda t: Sweep({"seed": [1]}, layer_sizes=[3, 1]).fit(
            X, Y, epochs=1, validation_data=(SWAPPED, Y), verbose=0)),
    ],
)  # fmt: skip
def test_what_comes_in_one_call_must_match(argument, call):
    with pytest.raises(ValueError, match=f"^{argument}: The feature names should match"):
        call(trainer())


def test_names_are_those_of_the_first_frame_that_trains():
    t = trainer()
    assert t.feature_names is None
    t.predict(SWAPPED)
    t.evaluate(SWAPPED, Y)
    t.fit(X.to_numpy(), Y, epochs=1, validation_data=(SWAPPED, Y), verbose=0)
    assert t.feature_names is None  # none of these trained it
    for wrong in (lambda: t.fit(SWAPPED, Y[1:], verbose=0), lambda: t.fit(SWAPPED, Y, validation_data=3, verbose=0)):
        with pytest.raises((ValueError, TypeError)):
            wrong()
    assert t.feature_names is None
    t.fit(X, Y, epochs=1, verbose=0)
    assert t.feature_names == tuple(COLUMNS)


@pytest.mark.parametrize(
    "train",
    [
        lambda t: t.fit(X, Y, validation_split=0.2, verbose=0),
        lambda t: t.train_on_batch(X, Y),
        lambda t: t.fit([(X, Y)], verbose=0),
        lambda t: t.fit(Stream([(X, Y)]), verbose=0),
        lambda t: t.fit(Stream.from_arrays(X, Y), verbose=0),
        lambda t: t.fit(Stream.from_arrow(pyarrow.Table.from_pandas(DATA), "y"), verbose=0),
        lambda t: fit_many([t], X, Y, verbose=0),
        lambda t: fit_many([t, trainer(seed=1)], X, Y, verbose=0),  # together, in one call of a kernel
        lambda t: fit_many([t], X, Y, validation_split=0.2, verbose=0),
        lambda t: fit_many([t], [X], [Y], verbose=0),
        lambda t: fit_many([t], X, Y, n_jobs=1, verbose=0),
    ],
)
def test_whatever_trains_sets_the_names(train):
    t = trainer()
    train(t)
    assert t.feature_names == tuple(COLUMNS)
    with refused():
        t.predict(SWAPPED)


def test_one_of_many_networks_may_know_other_names():
    other = trainer()
    other.fit(SWAPPED, Y, epochs=1, verbose=0)
    with pytest.warns(RuntimeWarning, match="1 of 3 networks failed; the first, number 1: X: The feature names"):
        outcomes = fit_many([trainer(), other, trainer()], X, Y, epochs=2, verbose=0)
    assert [outcome.epochs for outcome in outcomes] == [2, 0, 2]
    np.testing.assert_array_equal(weights_of(outcomes[0].trainer), weights_of(outcomes[2].trainer))


def test_ensembles_match_names():
    ensemble = Ensemble(2, [3, 1], seed=0)
    ensemble.fit(X, Y, verbose=0)
    for call in (
        lambda: ensemble.predict(SWAPPED),
        lambda: ensemble.predict_classes(SWAPPED),
        lambda: ensemble.evaluate(SWAPPED, Y, "mse"),
        lambda: ensemble.fit(SWAPPED, Y, verbose=0),
    ):
        with refused():
            call()


def test_what_has_no_names_is_taken_by_position():
    t, array = fitted(), X.to_numpy()
    expected = t.predict(X)
    numbered = pandas.DataFrame(array)  # its names are numbers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in (array, array.tolist(), numbered, pyarrow.Table.from_pandas(X)):
            np.testing.assert_array_equal(t.predict(same), expected)
        unnamed = trainer()
        unnamed.fit(numbered, Y, epochs=1, verbose=0)
        assert unnamed.feature_names is None
        np.testing.assert_array_equal(unnamed.predict(SWAPPED), unnamed.predict(SWAPPED.to_numpy()))


class Frame:
    """As polars has it: names in a list, and an array."""

    def __init__(self, frame) -> None:
        self.columns, self._array = list(frame.columns), frame.to_numpy()

    def to_numpy(self):
        return self._array


def test_columns_may_be_called_what_other_objects_have():
    odd = X.set_axis(["sparse", "tocsr", "shuffle_buffer"], axis=1)
    t = trainer()
    t.fit(odd, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(t.predict(odd), fitted().predict(X))
    explain(t, odd.iloc[0], Y[0])
    with pytest.raises(TypeError, match="a sparse DataFrame; convert it"):
        t.predict(odd.astype(pandas.SparseDtype("float")))


def test_frames_of_other_libraries():
    t = trainer()
    t.fit(Frame(X), Y, epochs=1, verbose=0)
    assert t.feature_names == tuple(COLUMNS)
    np.testing.assert_array_equal(t.predict(Frame(X)), t.predict(X))
    for other in (Frame(SWAPPED), pyarrow.Table.from_pandas(SWAPPED), pyarrow.RecordBatch.from_pandas(SWAPPED)):
        with refused():
            t.predict(other)


def test_names_that_are_text_in_part_are_refused_as_in_scikit_learn():
    from sklearn.linear_model import LinearRegression

    mixed = X.rename(columns={"zip": 0})
    with pytest.raises(TypeError) as theirs:
        LinearRegression().fit(mixed, Y)
    words = str(theirs.value).partition(". ")[0]
    for call in (lambda: trainer().fit(mixed, Y), lambda: trainer().predict(mixed)):
        with pytest.raises(TypeError, match=re.escape(words)):
            call()


def test_pandas_index_in_an_arrow_table_is_no_input():
    shuffled = DATA.sample(frac=1, random_state=0)
    table = pyarrow.Table.from_pandas(shuffled[COLUMNS])
    assert "__index_level_0__" in table.column_names
    t, same = fitted(), trainer()
    same.fit(table, pyarrow.Table.from_pandas(shuffled[["y"]]), epochs=1, verbose=0)
    assert same.feature_names == tuple(COLUMNS)
    np.testing.assert_array_equal(t.predict(table), t.predict(shuffled[COLUMNS]))


# Targets


def test_several_targets_go_by_name():
    y = pandas.DataFrame(RNG.normal(size=(60, 2)), columns=["height", "width"])
    other = y[["width", "height"]]
    t = Trainer([3, 2], seed=0)
    with pytest.raises(ValueError, match=r"^validation_data\[1\]: The target names should match"):
        t.fit(X, y, validation_data=(X, other), verbose=0)
    t.fit(X, y, validation_data=(X, y), verbose=0)
    for call in (t.evaluate, t.gradients, t.train_on_batch, t.fit, lambda X, y: t.fit([(X, y)], verbose=0)):
        with refused("target"):
            call(X, other)
    both = pyarrow.Table.from_pandas(X.join(y))
    t.evaluate(Stream.from_arrow(both, ["height", "width"]))
    with pytest.raises(ValueError, match=r"^X: The target names should match"):
        t.evaluate(Stream.from_arrow(both, ["width", "height"]))
    t.evaluate(X, y.to_numpy())


def test_one_target_may_have_any_name():
    t = fitted()
    t.evaluate(X, Y.rename("z"))
    t.evaluate(X, Y.to_frame("z"))


# Kept


def test_names_are_kept_in_copies_pickles_and_files(tmp_path):
    t = fitted()
    t.save(tmp_path / "t.npz")
    for same in (copy.deepcopy(t), pickle.loads(pickle.dumps(t)), Trainer.load(tmp_path / "t.npz")):
        assert same.feature_names == tuple(COLUMNS)
        np.testing.assert_array_equal(same.predict(X), t.predict(X))
        with refused():
            same.predict(SWAPPED)
    old = fitted().__getstate__()
    del vars(old["_state"])["column_names"]  # as older versions wrote it
    same = Trainer.__new__(Trainer)
    same.__setstate__(old)
    assert same.feature_names is None


@pytest.mark.parametrize(
    "record",
    [
        {"features": ["a", "b"], "targets": None},
        {"features": ["a", "b", 3], "targets": None},
        {"features": None, "targets": ["a", "b"]},
        {"features": "abc", "targets": None},
        {"features": None},
    ],
    ids=str,
)
def test_names_in_a_file_that_will_not_do(tmp_path, record):
    fitted().save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes())
    assert header["names"] == {"features": COLUMNS, "targets": None}
    arrays["header"] = np.frombuffer(json.dumps(header | {"names": record}).encode(), "u1")
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ModelFileError):
        Trainer.load(tmp_path / "bad.npz")


# Files


def written(tmp_path, kind, frames):
    """Paths of these frames, in files of a kind."""
    paths = []
    for k, frame in enumerate(frames):
        paths.append(tmp_path / f"{k}.{kind}")
        table = frame if isinstance(frame, pyarrow.Table) else pyarrow.Table.from_pandas(frame)
        if kind == "parquet":
            parquet.write_table(table, paths[-1])
        else:
            make = pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file
            with make(paths[-1], table.schema) as file:
                file.write_table(table)
    return paths


def opened(kind, paths, *arguments, **options):
    return (Stream.from_parquet if kind == "parquet" else Stream.from_arrow)(paths, *arguments, **options)


def refuses(stream, message, rows=60):
    """A fit refuses the stream before it begins; a loop over it reads the first file, of so many rows."""
    t, begun = Trainer([len(stream._names.features), 1], seed=0), []
    before = t.get_weights()

    class Begin(Callback):
        def on_fit_begin(self, trainer, epochs):
            begun.append(epochs)

    with pytest.raises(ValueError, match=message):
        t.fit(stream, callbacks=Begin())
    with pytest.raises(ValueError, match=message):
        t.evaluate(stream)
    assert begun == []
    for left, right in zip(t.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)
    read = iter(stream)
    assert len(next(read)[0]) == rows
    with pytest.raises(ValueError, match=message):
        next(read)


KINDS = pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])


@KINDS
def test_files_are_matched_by_name(tmp_path, kind):
    paths = written(tmp_path, kind, [DATA[:20], DATA[20:][["y", "zip", "income", "age"]]])
    stream = opened(kind, paths, "y")
    found = [np.concatenate(parts) for parts in zip(*stream, strict=True)]
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1], Y)


@KINDS
@pytest.mark.parametrize("missing", ["age", "y", "w"])
def test_a_file_that_lacks_a_column_is_named(tmp_path, kind, missing):
    data = DATA.assign(w=1.0)
    paths = written(tmp_path, kind, [data, data.rename(columns={missing: "other"})])
    for options in ({}, {"features": COLUMNS}):
        stream = opened(kind, paths, "y", sample_weight="w", **options)
        refuses(stream, rf"1\.{kind}: expected a column '{missing}', as in .*0\.{kind}, got")
    with pytest.raises(ValueError, match=r"0\.\w+: expected a column 'other', got"):
        opened(kind, paths, "other")  # the first file is checked at once


@KINDS
def test_a_file_with_more_columns_needs_features(tmp_path, kind):
    paths = written(tmp_path, kind, [DATA, DATA.assign(id=1.0)])
    message = rf"1\.{kind}: expected the columns of .*0\.{kind}, got also 'id'; .*features"
    refuses(opened(kind, paths, "y"), message)
    chunks = list(opened(kind, paths, "y", features=["zip", "age"]))
    for x, _ in chunks:
        np.testing.assert_array_equal(x, DATA[["zip", "age"]])


def lists(width):
    if not width:
        return pyarrow.array([1.0, 2.0])
    return pyarrow.array([[1.0] * width] * 2, pyarrow.list_(pyarrow.float64(), width))


@KINDS
@pytest.mark.parametrize(("width", "came"), [(3, "lists of 3 numbers"), (0, "numbers")])
def test_lists_of_another_width_in_another_file(tmp_path, kind, width, came):
    tables = [pyarrow.table({"l": lists(k), "y": [0.0, 1.0]}) for k in (2, width)]
    paths = written(tmp_path, kind, tables)
    refuses(opened(kind, paths, "y"), f"column 'l': expected lists of 2 numbers, as in .*, got {came}", rows=2)
    if kind != "stream":
        with pytest.raises(ValueError, match=f"column 'l': expected lists of 2 numbers, as in .*, got {came}"):
            Stream.from_arrow(dataset.dataset(paths, format="parquet" if kind == "parquet" else "ipc"), "y")


def test_a_dataset_names_the_file_that_lacks_a_column(tmp_path):
    for year, frame in ((1, DATA[["y", "zip", "income", "age"]]), (2, DATA)):
        (tmp_path / f"year={year}").mkdir()
        frame.to_parquet(tmp_path / f"year={year}" / "t.parquet")
    features = [*COLUMNS, "year"]
    for x, _ in Stream.from_arrow(dataset.dataset(tmp_path, partitioning="hive"), "y", features=features):
        np.testing.assert_array_equal(x[:, :3], X)
    DATA.drop(columns="age").to_parquet(tmp_path / "year=2" / "t.parquet")
    with pytest.raises(ValueError, match=r"year=2/t.parquet: expected a column 'age', got columns"):
        Stream.from_arrow(dataset.dataset(tmp_path, partitioning="hive"), "y")


# pandas' index


SHUFFLED = DATA.sample(frac=1, random_state=0)
INDEXED = {
    "range": DATA,
    "nameless": SHUFFLED,
    "named": SHUFFLED.rename_axis("id"),
    "two": SHUFFLED.set_index([SHUFFLED["zip"].rename("id"), SHUFFLED.index]),
    "empty metadata": pyarrow.Table.from_pandas(SHUFFLED).replace_schema_metadata(None),
}


@pytest.mark.parametrize("data", INDEXED.values(), ids=INDEXED)
def test_pandas_index_is_no_input(tmp_path, data):
    table = data if isinstance(data, pyarrow.Table) else pyarrow.Table.from_pandas(data)
    expected = table.select([*COLUMNS, "y"]).to_pandas(ignore_metadata=True)
    pyarrow.feather = pytest.importorskip("pyarrow.feather")
    pyarrow.feather.write_feather(table, tmp_path / "t.feather")
    paths = {kind: written(tmp_path, kind, [table])[0] for kind in ("parquet", "arrow", "stream")}
    streams = [opened(kind, path, "y") for kind, path in paths.items()]
    sources = [table, dataset.dataset(table), dataset.dataset(paths["parquet"]), tmp_path / "t.feather"]
    streams += [Stream.from_arrow(source, "y") for source in sources]
    for stream in streams:
        (found,) = stream
        np.testing.assert_array_equal(found[0], expected[COLUMNS])
        np.testing.assert_array_equal(found[1], expected["y"])
    by_command_line = read(str(paths["parquet"]))
    assert list(by_command_line.columns) == [*COLUMNS, "y"]
    np.testing.assert_array_equal(by_command_line, expected)


@pytest.mark.parametrize("said", ["[]", "{", "{}", '{"index_columns": 3}', '{"index_columns": [["age"], "there"]}'])
def test_metadata_that_pandas_did_not_write(said):
    table = pyarrow.Table.from_pandas(SHUFFLED).replace_schema_metadata({"pandas": said})
    ((x, _),) = Stream.from_arrow(table, "y")
    np.testing.assert_array_equal(x, SHUFFLED[COLUMNS])


def test_files_with_and_without_an_index_go_together(tmp_path):
    paths = written(tmp_path, "parquet", [DATA, SHUFFLED, SHUFFLED.rename_axis("id")])
    for order in (paths, paths[::-1]):
        assert [x.shape[1] for x, _ in Stream.from_parquet(order, "y")] == [3, 3, 3]


def test_an_index_may_be_asked_for():
    table = pyarrow.Table.from_pandas(SHUFFLED.rename_axis("id"))
    ((x, y),) = Stream.from_arrow(table, "y", features=["id", "age"])
    np.testing.assert_array_equal(x, np.column_stack([SHUFFLED.index, SHUFFLED["age"]]))
    ((_, y),) = Stream.from_arrow(table, "id")
    np.testing.assert_array_equal(y, SHUFFLED.index)


def test_names_that_are_no_text_are_text_in_files(tmp_path):
    data = pandas.DataFrame(DATA.to_numpy())
    data.to_parquet(tmp_path / "t.parquet")
    stream = Stream.from_parquet(tmp_path / "t.parquet", "3")
    ((x, y),) = stream
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    with pytest.raises(TypeError, match=r"target: expected a column name, or several, got 3 .*strings, so write '3'"):
        Stream.from_parquet(tmp_path / "t.parquet", 3)


def test_a_folder_of_files_on_the_command_line(tmp_path):
    folder = tmp_path / "t.parquet"
    folder.mkdir()
    DATA.to_parquet(folder / "0.parquet")
    SHUFFLED[["y", "zip", "income", "age"]].to_parquet(folder / "1.parquet")
    frame = read(str(folder))
    np.testing.assert_array_equal(frame, pandas.concat([DATA, SHUFFLED]))
    DATA.drop(columns="age").to_parquet(folder / "1.parquet")
    message = r"1.parquet: expected {} column '{}', as in the first file of the folder, got columns \["
    with pytest.raises(TableError, match=message.format("a", "age")):
        read(str(folder))
    DATA.assign(id=1.0).to_parquet(folder / "1.parquet")
    with pytest.raises(TableError, match=message.format("no", "id")):
        read(str(folder))


# Streams of files and a trainer


TABLE = pyarrow.Table.from_pandas(DATA)
BACKWARDS = TABLE.select(["y", "zip", "income", "age"])


def test_a_stream_without_features_comes_in_the_order_that_the_trainer_knows(tmp_path):
    (path,) = written(tmp_path, "parquet", [BACKWARDS])
    for stream in (Stream.from_arrow(BACKWARDS, "y"), Stream.from_parquet(path, "y"), Stream.from_arrow(
        dataset.dataset(path), "y"
    )):  # fmt: skip
        t, expected = trainer(), trainer()
        expected.fit(X, Y, epochs=1, validation_data=(X, Y), verbose=0)
        t.fit(Stream.from_arrow(TABLE, "y"), epochs=1, validation_data=stream, verbose=0)
        np.testing.assert_array_equal(weights_of(t), weights_of(expected))
        assert t.history["val_loss"] == pytest.approx(expected.history["val_loss"], rel=1e-12)
        assert t.evaluate(stream) == pytest.approx(t.evaluate(X, Y), rel=1e-12)
        t.fit(stream, epochs=1, verbose=0)
        expected.fit(X, Y, epochs=1, verbose=0)
        np.testing.assert_array_equal(weights_of(t), weights_of(expected))
        ((x, _),) = stream
        np.testing.assert_array_equal(x, X[COLUMNS[::-1]])  # the stream itself is as it was
        array = trainer()
        array.fit(X, Y, epochs=1, validation_data=stream, verbose=0)
        assert array.history["val_loss"] == pytest.approx(t.history["val_loss"][:1], rel=1e-12)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (lambda: Stream.from_arrow(TABLE, "y", features=COLUMNS[::-1]), "must be in the same order"),
        (lambda: Stream.from_arrow(TABLE.rename_columns(["a", "b", "c", "y"]), "y"), "unseen at fit time:\n- a"),
        (lambda: Stream.from_arrow(TABLE.append_column("id", TABLE["y"]), "y"), "unseen at fit time:\n- id"),
        (lambda: Stream.from_arrow(TABLE.drop_columns("zip"), "y"), "now missing:\n- zip"),
        (lambda: Stream.from_arrays(SWAPPED, Y), "must be in the same order"),
    ],
)
def test_a_stream_with_other_columns_is_refused(stream, message):
    for t in (trainer(), fitted()):
        with pytest.raises(ValueError, match=f"(?s)^validation_data: The feature names should match.*{message}"):
            t.fit(X, Y, validation_data=stream(), verbose=0)
    with pytest.raises(ValueError, match=f"(?s)^X: The feature names should match.*{message}"):
        fitted().evaluate(stream())


def test_columns_of_lists_are_matched_by_name_too():
    features = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(X[["age", "income"]].to_numpy().ravel()), 2)
    table = pyarrow.table({"l": features, "zip": X["zip"], "y": Y})
    t = trainer()
    t.fit(Stream.from_arrow(table, "y"), epochs=1, verbose=0)
    assert t.feature_names == ("l[0]", "l[1]", "zip")
    expected = t.evaluate(X.to_numpy(), Y)
    assert t.evaluate(Stream.from_arrow(table.select(["zip", "y", "l"]), "y")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "table"])
def test_a_stream_from_an_older_pickle_reads_its_columns_by_name(tmp_path, kind):
    """Before columns were compared, pickles held what the user asked for, and no widths of columns."""
    from fastbp.streams._columns import Columns, Selection

    asked = Selection("y", None, None)
    if kind == "table":
        stream = Stream.from_arrow(pyarrow.Table.from_pandas(DATA), "y")
        old = {"table": stream._pieces.table, "columns": Columns(tuple(COLUMNS), "y", None, "source"), "chunk": 4096}
    else:
        stream = opened(kind, written(tmp_path, kind, [DATA]), "y")
        old = {"places": stream._pieces.places, "names": asked, "chunk": 4096, "rows": 60}
    pieces = type(stream._pieces).__new__(type(stream._pieces))
    pieces.__setstate__(old)
    stream._pieces = pieces
    t = Trainer([3, 1], seed=0)
    t.fit(pickle.loads(pickle.dumps(stream)), verbose=0)
    assert t.feature_names == tuple(COLUMNS)


@pytest.mark.parametrize(
    ("module", "name", "now"),
    [
        ("fastbp.streams", "Stream", "fastbp.streams.Stream"),
        ("fastbp.streams", "_Slices", "fastbp.streams._pieces.Slices"),
        ("fastbp._arrow_files", "Names", "fastbp.streams._columns.Selection"),
        ("fastbp._arrow_files", "Columns", "fastbp.streams._columns.Columns"),
        ("fastbp._arrow_files", "RowGroups", "fastbp.streams._arrow.RowGroups"),
        ("fastbp._arrow_files", "BatchesOfFiles", "fastbp.streams._arrow.BatchesOfFiles"),
        ("fastbp._arrow_files", "BatchesOfTable", "fastbp.streams._arrow.BatchesOfTable"),
        ("fastbp._names", "Names", "fastbp._names.Names"),
    ],
)
def test_older_pickles_name_classes_where_they_were(module, name, now):
    assert pickle.loads(f"c{module}\n{name}\n.".encode()) is pkgutil.resolve_name(now)
