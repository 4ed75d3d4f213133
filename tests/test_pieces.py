"""The inputs of large tables, which become numbers in pieces while the network trains."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas
import pytest

from fastbp import Stream, Trainer, tables
from fastbp.tables import _pieces, _statistics
from tests.test_run import weights_of

RNG = np.random.default_rng(0)
N = 700
FRAME = pandas.DataFrame(
    {
        "number": RNG.normal(size=N).round(1),
        "gaps": np.where(RNG.uniform(size=N) < 0.1, np.nan, RNG.integers(0, 5, N)),
        "colour": pandas.Categorical(RNG.choice(["red", "blue", "green"], N)),
        "town": [f"town {i}" for i in (RNG.pareto(1, N) * 10).astype(int) % 90],
        "day": pandas.date_range("2020-01-01", periods=N, freq="7h"),
        "y": RNG.choice(["a", "b", "c"], N),
    }
)
TABLE = tables.recognise(FRAME, "y")
X, Y = tables.inputs(TABLE, FRAME), tables.targets(TABLE, FRAME)
TABLE_OF_NUMBERS = tables.recognise(FRAME, "number")


def encoded(table=TABLE):
    return tables.encoded(table, FRAME)


def trainer(**options) -> Trainer:
    sizes = (TABLE.n_inputs, 12, 3)
    return Trainer(sizes, **{"loss": "cross_entropy", "seed": 0, "batch_size": 32, "shuffle": False} | options)


@pytest.mark.parametrize("rows", [slice(None), slice(5, 9), slice(600, 5000), slice(3, 300, 7), slice(None, None, -1)])
def test_slices_are_those_of_the_whole_array(rows):
    np.testing.assert_array_equal(encoded()[rows], X[rows])


def test_rows_by_number_also_of_some_of_some(monkeypatch):
    monkeypatch.setattr(_pieces, "BLOCK", 16)
    every, some = RNG.permutation(N), RNG.permutation(N)[:200]
    np.testing.assert_array_equal(encoded()[every], X[every])
    chosen = encoded().of(every).of(some)
    assert chosen.shape == (200, TABLE.n_inputs)
    np.testing.assert_array_equal(chosen[:], X[every][some])
    np.testing.assert_array_equal(chosen[np.array([3, 3, -1])], X[every][some][[3, 3, -1]])


def test_codes_take_little_memory_whatever_the_column_was():
    kinds = {part.codes.dtype for part in encoded().parts}
    assert kinds == {np.dtype(np.int8), np.dtype(np.int16)}  # 700 days, and fewer values of the others


def test_a_function_gets_parts_of_the_rows(monkeypatch):
    monkeypatch.setattr(_pieces, "THROUGH", 300)
    sizes = []
    found = encoded().through(lambda part: sizes.append(len(part)) or part[:, :2] + 1)
    assert sizes == [300, 300, 100]
    np.testing.assert_array_equal(found, X[:, :2] + 1)


@pytest.mark.parametrize("table", [TABLE, TABLE_OF_NUMBERS])
def test_mean_targets_are_those_of_the_other_folds(table):
    """Computed here row by row."""
    town = next(column for column in table.columns if column.name == "town")
    y = tables.targets(table, FRAME)
    targets = np.eye(3)[y] if table is TABLE else y[:, None]
    folds = np.random.default_rng(0).permutation(N) % _statistics.FOLDS
    means = np.empty(targets.shape)
    for i in range(N):
        others = folds != folds[i]
        same = others & (FRAME["town"] == FRAME["town"][i]).to_numpy()
        all_of_them = targets[others].mean(axis=0)
        means[i] = (targets[same].sum(axis=0) + _statistics.SMOOTH * all_of_them) / (same.sum() + _statistics.SMOOTH)
    rare = np.isin(FRAME["town"], town.others)  # the others have an input of their own
    mean_of_all, deviation = means[rare].mean(axis=0), means[rare].std(axis=0)
    expected = np.where(rare[:, None], (means - mean_of_all) / deviation, 0)
    place = table.slices["town"]
    found = tables.training_inputs(table, FRAME)[:, place.stop - targets.shape[1] : place.stop]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    i = int(rare.argmax())
    row = tables.inputs(table, FRAME)[i, place.stop - targets.shape[1] : place.stop]
    same = (FRAME["town"] == FRAME["town"][i]).to_numpy()
    mean = (targets[same].sum(axis=0) + _statistics.SMOOTH * targets.mean(axis=0)) / (same.sum() + _statistics.SMOOTH)
    np.testing.assert_allclose(row, (mean - mean_of_all) / deviation, rtol=1e-4, atol=1e-5)


def test_a_stream_in_order_trains_as_the_arrays_do():
    weights = RNG.uniform(size=N)
    for given in ((), (weights,)):
        whole, streamed = trainer(), trainer()
        whole.fit(
            X, Y, sample_weight=given[0] if given else None, epochs=2, verbose=0, validation_data=(X[:50], Y[:50])
        )
        validation = encoded().of(np.arange(50)).stream(Y[:50])
        streamed.fit(encoded().stream(Y, *given), epochs=2, verbose=0, validation_data=validation)
        assert whole.history["val_loss"] == pytest.approx(streamed.history["val_loss"])
        np.testing.assert_array_equal(weights_of(whole), weights_of(streamed))
        assert streamed.evaluate(encoded().stream(Y), metrics="accuracy") == whole.evaluate(X, Y, metrics="accuracy")


class Rows:
    """X whose only column is the number of the row."""

    shape, dtype = (1000, 1), np.dtype(np.float32)

    def write(self, rows, X):
        X[:, 0] = rows / 1000


def passes(seed: int, epochs: int, **options) -> list[np.ndarray]:
    """Return the order of the rows in each pass, as the network sees them."""
    seen = []

    class Watched(Rows):
        def write(self, rows, X):
            seen.append(rows.copy())
            super().write(rows, X)

    stream = Stream._of_rows(Watched(), np.zeros(1000))
    Trainer((1, 1), seed=seed, batch_size=7, **options).fit(stream, epochs=epochs, verbose=0)
    return np.split(np.concatenate(seen), epochs)


def test_a_shuffling_trainer_gets_all_rows_in_a_new_order_in_each_epoch():
    first, second, third = passes(0, 3)
    for each in (first, second, third):
        np.testing.assert_array_equal(np.sort(each), np.arange(1000))
    assert (first != second).mean() > 0.99
    assert (second != third).mean() > 0.99
    np.testing.assert_array_equal(passes(0, 3)[2], third)
    assert (passes(1, 1)[0] != first).mean() > 0.99
    np.testing.assert_array_equal(passes(0, 1, shuffle=False)[0], np.arange(1000))
    # neighbours come from anywhere, not from one chunk
    assert np.abs(np.diff(first)).mean() > 250


def test_a_continued_training_gets_the_same_orders(tmp_path):
    options = {"shuffle": True, "optimizer": "adam", "dropout": 0.1}
    whole, part = trainer(**options), trainer(**options)
    whole.fit(encoded().stream(Y), epochs=4, verbose=0)
    part.fit(encoded().stream(Y), epochs=2, verbose=0)
    part.save(tmp_path / "part.npz")
    part = Trainer.load(tmp_path / "part.npz")
    part.fit(encoded().stream(Y), epochs=4, initial_epoch=2, verbose=0)
    np.testing.assert_array_equal(weights_of(whole), weights_of(part))


def test_the_number_of_threads_changes_no_bit():
    found = []
    for n_threads in (1, 2):
        one = trainer(shuffle=True, n_threads=n_threads)
        one.fit(encoded().stream(Y), epochs=2, verbose=0)
        found.append(weights_of(one))
    np.testing.assert_array_equal(*found)


def test_training_takes_less_memory_than_the_array_of_inputs():
    rows = np.tile(np.arange(N), 100)
    many = FRAME.iloc[rows].reset_index(drop=True)
    many["town"], many["y"] = pandas.Categorical(many["town"]), pandas.Categorical(many["y"])
    tracemalloc.start()
    try:
        encoding = tables.training_encoding(tables.recognise(many, "y"), many)
        one = Trainer((encoding.n_inputs, 8, 3), loss="cross_entropy", batch_size=64, seed=0)
        one.fit(encoding.stream(Y[rows]), verbose=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < encoding.n * encoding.n_inputs * 4 / 1.3
