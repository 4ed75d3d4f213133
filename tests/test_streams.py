"""Streams: the bits of whole arrays whatever the chunks, every source, the shuffle buffer, readers that fail."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies

from fastbp import (
    Callback,
    DivergenceError,
    EarlyStopping,
    Ensemble,
    Stream,
    Sweep,
    Trainer,
    explain,
    fit_many,
    losses,
    plots,
)
from fastbp.sklearn import MLPClassifier, MLPRegressor
from fastbp.streams._slabs import ShuffleBuffer
from tests.test_run import weights_of

ROOT = Path(__file__).parent.parent
RNG = np.random.default_rng(0)
N = 203
X, Y = RNG.normal(size=(N, 5)).astype("f"), RNG.integers(0, 3, N)
W = RNG.uniform(size=N).astype("f") * (RNG.uniform(size=N) > 0.2)
VALIDATION = {"validation_data": (X, np.eye(3)[Y])}
CUTS = {  # how a pass comes in chunks
    "rows": [1] * N,
    "whole": [N],
    "batches": [32] * 6 + [11],
    "odd": [7, 0, 50, 1, 33, 100, 12],
    "across": [31, 33, 64, 65, 10],
}


def trainer(sizes=(5, 24, 3), **options) -> Trainer:
    options = {"loss": "cross_entropy", "shuffle": False, "seed": 1, "activation": "tanh"} | options
    return Trainer(list(sizes), **options)


def chunks_of(cut, *arrays):
    """A function that gives chunks of these lengths."""
    ends = np.cumsum(cut)

    def chunks():
        return (tuple(array[stop - n : stop] for array in arrays) for n, stop in zip(cut, ends, strict=True))

    return chunks


def assert_same(a: Trainer, b: Trainer) -> None:
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert set(a.history) == set(b.history)
    for name, values in a.history.items():
        np.testing.assert_allclose(values, b.history[name], rtol=1e-14)  # a mean by another division


@pytest.fixture(autouse=True)
def no_reader_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "fastbp reader"]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sizes": (5, 4, 3)},  # tiny networks' kernel
        {"sizes": (5, 4, 3), "batch_size": 1},
        {"batch_size": 300},  # more than there are
        {"sizes": (5, 4, 3), "batch_size": 1000},
        {"dtype": "float64", "optimizer": "nesterov", "schedule": "cosine"},
        {"optimizer": "adam", "dropout": 0.3, "l1": 1e-4, "l2": 1e-3, "clip_norm": 1.0, "max_norm": 3.0},
    ],
    ids=str,
)
def test_chunks_change_no_bit(cut, options):
    whole, streamed = trainer(**options), trainer(**options)
    whole.fit(X, Y, epochs=3, verbose=0)
    streamed.fit(Stream(chunks_of(cut, X, Y), rows=N), epochs=3, verbose=0)
    assert_same(whole, streamed)


@given(
    cut=strategies.lists(strategies.integers(0, 40), min_size=1, max_size=12).filter(any),
    batch_size=strategies.integers(1, 60),
    slab_bytes=strategies.sampled_from([1, 400, 3000, 1 << 22]),
    read_ahead=strategies.integers(1, 4),
    weighted=strategies.booleans(),
    units=strategies.sampled_from([4, 24]),
)
def test_any_chunks_and_slabs_change_no_bit(cut, batch_size, slab_bytes, read_ahead, weighted, units):
    n = sum(cut)
    arrays = (X[:n], Y[:n], W[:n] + 0.1) if weighted else (X[:n], Y[:n])
    arrays = tuple(np.resize(array, (n, *array.shape[1:])) for array in arrays)
    whole, streamed = (trainer((5, units, 3), batch_size=batch_size) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastbp.streams._feed.SLAB_BYTES", slab_bytes)
        streamed.fit(Stream(chunks_of(cut, *arrays), read_ahead=read_ahead), epochs=2, verbose=0)
    whole.fit(*arrays[:2], sample_weight=arrays[2] if weighted else None, epochs=2, verbose=0)
    assert_same(whole, streamed)


@pytest.mark.parametrize("optimizer", ["momentum", "rmsprop", "adagrad", "adamw"])
def test_every_optimizer(optimizer):
    whole, streamed = trainer(optimizer=optimizer), trainer(optimizer=optimizer)
    whole.fit(X, Y, epochs=2, verbose=0)
    streamed.fit(Stream(chunks_of(CUTS["odd"], X, Y)), epochs=2, verbose=0)
    assert_same(whole, streamed)


@pytest.mark.parametrize("cut", [CUTS["rows"], CUTS["across"]], ids=["rows", "across"])
def test_weights_of_samples_and_classes(cut):
    """Also where all samples of a chunk weigh nothing."""
    whole, streamed = trainer(), trainer()
    given = {"epochs": 2, "class_weight": {0: 3, 2: 0.0}, "verbose": 0}
    whole.fit(X, Y, sample_weight=W, **given)
    streamed.fit(Stream(chunks_of(cut, X, Y, W)), **given)
    assert_same(whole, streamed)


@pytest.mark.parametrize("slab_bytes", [1, 1000, 5000])
def test_slabs_of_every_size(slab_bytes, monkeypatch):
    """Of one batch, of some, and fewer than are read ahead."""
    monkeypatch.setattr("fastbp.streams._feed.SLAB_BYTES", slab_bytes)
    for read_ahead in (1, 5):
        whole, streamed = trainer(batch_size=20, dropout=0.2), trainer(batch_size=20, dropout=0.2)
        whole.fit(X, Y, epochs=2, verbose=0)
        streamed.fit(Stream(chunks_of(CUTS["odd"], X, Y), read_ahead=read_ahead), epochs=2, verbose=0)
        assert_same(whole, streamed)


def test_batches_of_several_blocks_and_two_threads(monkeypatch):
    monkeypatch.setattr("fastbp.streams._feed.SLAB_BYTES", 1 << 15)
    big = RNG.normal(size=(3001, 40)).astype("f")
    options = {"sizes": (40, 90, 2), "loss": "squared_error", "batch_size": 700, "n_threads": 2, "optimizer": "adam"}
    whole, streamed = trainer(**options), trainer(**options)
    whole.fit(big, big[:, :2], epochs=2, verbose=0)
    streamed.fit(Stream(chunks_of([1000, 1, 2000], big, big[:, :2])), epochs=2, verbose=0)
    assert_same(whole, streamed)


def test_other_kinds_of_targets_and_dtypes():
    for loss, y in (
        ("cross_entropy", np.eye(3)[Y]),
        ("hinge", Y),
        (losses.Quantile([0.1, 0.5, 0.9]), X[:, 0].astype("d")),
    ):
        whole, streamed = trainer(loss=loss), trainer(loss=loss)
        whole.fit(X.astype("d"), y, verbose=0)
        streamed.fit(Stream(chunks_of(CUTS["across"], X.astype("d"), y)), verbose=0)
        assert_same(whole, streamed)


def test_the_batch_size_may_change_between_epochs():
    def grow(trainer, epoch, measured):
        trainer.batch_size = 10 * epoch

    whole, streamed = trainer(), trainer()
    whole.fit(X, Y, epochs=4, callbacks=grow, verbose=0)
    streamed.fit(Stream(chunks_of(CUTS["odd"], X, Y)), epochs=4, callbacks=grow, verbose=0)
    assert_same(whole, streamed)


def test_validation_metrics_and_callbacks():
    whole, streamed = trainer(), trainer()
    given = {"validation_data": (X, Y), "metrics": ["accuracy", "f1"], "epochs": 30, "verbose": 0}
    whole.fit(X, Y, callbacks=EarlyStopping(patience=2, monitor="val_loss", min_delta=0.01), **given)
    streamed.fit(
        Stream(chunks_of(CUTS["odd"], X, Y)),
        callbacks=EarlyStopping(patience=2, monitor="val_loss", min_delta=0.01),
        **given,
    )
    assert 2 < streamed.epochs_trained < 30
    np.testing.assert_array_equal(weights_of(whole), weights_of(streamed))
    assert whole.history["val_f1"] == streamed.history["val_f1"]


def test_measured_over_a_stream():
    stream = Stream(chunks_of(CUTS["odd"], X, Y, W))
    for options in ({}, {"l2": 0.1}, {"dtype": "float64", "sizes": (5, 4, 3)}):
        t = trainer(**options)
        names = ["accuracy", "mse", "mae", "log_loss", "top_2_accuracy"]
        expected = t.evaluate(X, Y, names, sample_weight=W)
        found = t.evaluate(stream, metrics=names)
        assert set(found) == set(expected)
        for name in names:
            assert found[name] == pytest.approx(expected[name], rel=1e-6)
        t.fit(stream, validation_data=stream, metrics="accuracy", verbose=0)
        assert t.history["val_loss"][0] == pytest.approx(t.evaluate(X, Y, sample_weight=W)["loss"], rel=1e-6)
        assert t.history["val_accuracy"][0] == pytest.approx(t.evaluate(X, Y, "accuracy", sample_weight=W)["accuracy"])


def test_a_stream_iterates_over_its_chunks():
    t, stream = trainer(), Stream.from_arrays(X, Y, chunk=50)
    np.testing.assert_array_equal(np.concatenate([t.predict(x) for x, _ in stream]), t.predict(X))


class Progress(Callback):
    def __init__(self):
        self.heard = []

    def on_progress(self, trainer, done):
        self.heard.append(done)


def test_progress_within_an_epoch_where_the_rows_are_known(monkeypatch):
    monkeypatch.setattr("fastbp.streams._feed.SLAB_BYTES", 1)
    for rows, expected in ((N, np.r_[32:N:32, N] / N), (None, np.zeros(7))):
        heard = Progress()
        trainer().fit(Stream(chunks_of([N], X, Y), rows=rows), callbacks=heard, epochs=2, verbose=0)
        np.testing.assert_allclose(heard.heard, np.r_[expected, 1 + expected])


# Sources


def write_memmap(path, array):
    on_disk = np.memmap(path, array.dtype, "w+", shape=array.shape)
    on_disk[:] = array
    on_disk.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape)


def as_it_comes(stream: Stream, **options) -> Trainer:
    t = trainer(**options)
    t.fit(stream, epochs=2, verbose=0)
    return t


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_arrays_on_disk(tmp_path, dtype):
    x = (10 * np.abs(X)).astype(dtype)
    whole = trainer()
    whole.fit(x, Y, sample_weight=W, epochs=2, verbose=0)
    stream = Stream.from_arrays(write_memmap(tmp_path / "X", x), write_memmap(tmp_path / "y", Y), W, chunk=30)
    assert stream.rows == N
    assert_same(whole, as_it_comes(stream))


def test_frames_are_cut_by_rows():
    pandas = pytest.importorskip("pandas")
    whole = trainer()
    whole.fit(X, Y, epochs=2, verbose=0)
    shuffled = pandas.DataFrame(X, index=np.arange(N)[::-1]), pandas.Series(Y, index=np.arange(N)[::-1])
    assert_same(whole, as_it_comes(Stream.from_arrays(*shuffled, chunk=50)))


def test_an_iterable_and_an_iterator():
    whole, once, again = trainer(), trainer(), trainer()
    whole.fit(X, Y, verbose=0)
    chunks = list(chunks_of(CUTS["odd"], X, Y)())
    again.fit(Stream(chunks), verbose=0)
    once.fit(Stream(iter(chunks)), verbose=0)
    assert_same(whole, again)
    assert_same(whole, once)


def test_a_source_may_use_its_memory_again():
    def chunks():
        x, y = np.empty((20, 5), "f"), np.empty(20, int)
        for start in range(0, N, 20):
            n = min(20, N - start)
            x[:n], y[:n] = X[start : start + n], Y[start : start + n]
            yield x[:n], y[:n]

    whole = trainer()
    whole.fit(X, Y, epochs=2, verbose=0)
    assert_same(whole, as_it_comes(Stream(chunks)))


def table(**columns):
    pyarrow = pytest.importorskip("pyarrow")
    everything = {f"x{j}": X[:, j] for j in range(5)} | {"class": Y, "w": W} | columns
    return pyarrow.table({name: column for name, column in everything.items() if column is not None})


def expected(x=X, y=Y, **options):
    whole = trainer(**options)
    whole.fit(x, y, epochs=2, verbose=0)
    return whole


def test_parquet_files(tmp_path):
    data = table()
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    parquet.write_table(data[:120], paths[0], row_group_size=50)
    parquet.write_table(data[120:], paths[1])
    stream = Stream.from_parquet(paths, "class", features=[f"x{j}" for j in range(5)], chunk=17)
    assert stream.rows == N
    assert_same(expected(), as_it_comes(stream))
    weighted = trainer()
    weighted.fit(X, Y, sample_weight=W, epochs=2, verbose=0)
    assert_same(weighted, as_it_comes(Stream.from_parquet(paths, "class", sample_weight="w")))
    parquet.write_table(data, tmp_path / "all.parquet")
    both = Stream.from_parquet(tmp_path / "all.parquet", ["x0", "x1"], features=["x2", "x3", "x4", "class", "w"])
    x = np.column_stack([X[:, 2:], Y, W])
    options = {"sizes": (5, 7, 2), "loss": "squared_error"}
    assert_same(expected(x, X[:, :2], **options), as_it_comes(both, **options))


def test_arrow_files_tables_and_datasets(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    data = table(w=None)
    kinds = {"file": pyarrow.ipc.new_file, "stream": pyarrow.ipc.new_stream}
    for kind, writer in kinds.items():
        with writer(tmp_path / kind, data.schema) as file:
            file.write_table(data, max_chunksize=60)
    pyarrow.feather = pytest.importorskip("pyarrow.feather")
    pyarrow.feather.write_feather(data, tmp_path / "feather", chunksize=80)  # compressed
    sources = [str(tmp_path / "file"), tmp_path / "stream", tmp_path / "feather", data]
    sources += [[tmp_path / "file"], dataset.dataset(tmp_path / "file", format="ipc")]
    for source in sources:
        assert_same(expected(), as_it_comes(Stream.from_arrow(source, "class", chunk=25)))
    both = as_it_comes(Stream.from_arrow([tmp_path / "file", tmp_path / "stream"], "class"))
    assert_same(expected(np.r_[X, X], np.r_[Y, Y]), both)


def test_columns_of_lists_decimals_and_truth():
    pyarrow = pytest.importorskip("pyarrow")
    truth = Y > 0
    money = pyarrow.array(Y).cast(pyarrow.decimal128(25, 2))
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(X.reshape(-1)), 5)
    data = pyarrow.table({"lists": lists, "truth": pyarrow.array(truth), "money": money, "class": Y})
    x = np.column_stack([X, truth, Y])
    found = as_it_comes(Stream.from_arrow(data, "class", chunk=33), sizes=(7, 9, 3))
    assert_same(expected(x, sizes=(7, 9, 3)), found)


@pytest.mark.parametrize(
    ("columns", "arguments", "kind", "message"),
    [
        ({"x1": ["a"] * N}, {}, TypeError, "column 'x1': expected numbers, True and False, or lists .* got string"),
        ({}, {"target": "klass"}, ValueError, r"expected a column 'klass', got columns \['x0', 'x1',"),
        ({}, {"features": ["x0", "x0"]}, ValueError, "features: expected each column once.* got 'x0' twice"),
        ({}, {"features": []}, TypeError, "features: expected column names, got"),
        ({}, {"target": 3}, TypeError, "target: expected a column name, or several, got 3"),
        ({}, {"sample_weight": ["w"]}, TypeError, "sample_weight: expected a column name"),
        ({}, {"chunk": 0}, ValueError, "chunk: expected an integer ≥ 1"),
    ],
)
def test_tables_that_will_not_do(tmp_path, columns, arguments, kind, message):
    data = table(**columns)
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(data, tmp_path / "t.parquet")
    arguments = {"target": "class"} | arguments
    with pytest.raises(kind, match=message):
        Stream.from_arrow(data, **arguments)
    with pytest.raises(kind, match=message):
        Stream.from_parquet(tmp_path / "t.parquet", **arguments)


def test_missing_values_have_a_place(tmp_path):
    data = table(x1=[None if i == 100 else 1.0 for i in range(N)])
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(data, tmp_path / "t.parquet", row_group_size=60)
    stream = Stream.from_parquet(tmp_path / "t.parquet", "class", sample_weight="w", chunk=50)
    message = r"t.parquet, row group 1, rows from 0 on, column 'x1': expected no missing values, got 1 of them"
    with pytest.raises(ValueError, match=message):
        trainer().fit(stream, verbose=0)


@pytest.mark.parametrize("place", ["list", "value"])
def test_missing_values_in_lists(place):
    pyarrow = pytest.importorskip("pyarrow")
    rows = [[1.0, 2.0], None if place == "list" else [3.0, None], [4.0, 5.0]]
    data = pyarrow.table({"x": pyarrow.array(rows, pyarrow.list_(pyarrow.float64(), 2)), "y": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"column 'x': expected no missing values, got 1 of them"):
        list(Stream.from_arrow(data, "y"))


def test_without_pyarrow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for make in (Stream.from_parquet, Stream.from_arrow):
        with pytest.raises(
            ImportError, match=r"Stream.from_parquet and .from_arrow need pyarrow: .* 'fastbp\[arrow\]'"
        ):
            make(tmp_path / "t", "y")


def test_other_files_and_empty_ones(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "text").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"paths: expected Parquet files, got .*text"):
        Stream.from_parquet(tmp_path / "text", "b")
    with pytest.raises(ValueError, match=r"source: expected Arrow files, got .*text"):
        Stream.from_arrow(tmp_path / "text", "b")
    with pytest.raises(FileNotFoundError):
        Stream.from_parquet(tmp_path / "none", "b")
    with pytest.raises(ValueError, match="source: expected a path, or several, got none"):
        Stream.from_arrow([], "b")
    parquet.write_table(table()[:0], tmp_path / "empty")
    with pytest.raises(ValueError, match="paths: expected at least one row, got none"):
        Stream.from_parquet(tmp_path / "empty", "class")
    with pytest.raises(ValueError, match="source: expected at least one row, got none"):
        Stream.from_arrow(table()[:0], "class")


# Shuffling


def passes(stream: Stream, epochs: int, seed: int = 0) -> np.ndarray:
    """(epochs, n) the order in which rows reach the network, by its inputs: their numbers are in X."""
    t = Trainer([1, 1], seed=seed, batch_size=16)
    feed = t._intake.feed("X", stream, shuffle=True)
    orders = []
    for _ in range(epochs):
        with feed.epoch(16, t._state.random, lambda: None) as slabs:
            orders.append(np.concatenate([slab.X.copy() for slab in slabs]).ravel())
            assert all(len(order) == len(orders[0]) for order in orders)
    return np.array(orders)


def numbered(n: int, cut: int = 100, **options) -> Stream:
    rows = np.arange(n, dtype="f")[:, None]
    return Stream(chunks_of([*[cut] * (n // cut), n % cut], rows, rows), **options)


@pytest.mark.parametrize("size", [1, 2, 16, 100, 160, 999, 1000, 5000])
def test_every_row_comes_once(size):
    for order in passes(numbered(1000, shuffle_buffer=size), 2):
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_the_order_is_the_seeds_whatever_the_chunks():
    same = [passes(numbered(3000, cut, shuffle_buffer=200), 2) for cut in (1, 100, 2999)]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[0], same[2])
    assert (same[0][0] != same[0][1]).mean() > 0.9  # another epoch
    assert (same[0] != passes(numbered(3000, shuffle_buffer=200), 2, seed=1)).mean() > 0.9


def test_a_buffer_for_all_rows_shuffles_them_evenly():
    """Correlation with the source's order, and where the first row comes out, over many epochs."""
    orders = passes(numbered(64, 20, shuffle_buffer=64), 2000)
    first = (orders == 0).argmax(axis=1)
    counts = np.bincount(first // 8, minlength=8)
    assert np.abs(counts - 250).max() < 5 * np.sqrt(250)
    correlations = [np.corrcoef(order, np.arange(64))[0, 1] for order in orders]
    assert abs(np.mean(correlations)) < 5 / np.sqrt(64 * 2000)


def test_how_far_a_smaller_buffer_moves_rows():
    """Each row that comes draws one of `size` that leaves: a row waits for `size` others in the mean."""
    n, size = 40_000, 1000
    (order,) = passes(numbered(n, 1000, shuffle_buffer=size), 1)
    place = np.empty(n)
    place[order.astype(int)] = np.arange(n)
    moved = (place - np.arange(n))[: n - 10 * size]
    assert moved.min() >= -size
    np.testing.assert_allclose(moved.mean(), 0, atol=0.1 * size)  # of those that wait size rows, size rows later
    np.testing.assert_allclose(np.quantile(moved + size, 0.5), size * np.log(2), rtol=0.1)
    np.testing.assert_allclose((moved + size > 3 * size).mean(), np.exp(-3), rtol=0.15)


def test_slices_come_in_random_order(tmp_path):
    rows = np.arange(5000, dtype="f")[:, None]
    orders = passes(Stream.from_arrays(rows, rows, chunk=100, shuffle_buffer=200), 2)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(5000))
        assert abs(np.corrcoef(order, np.arange(5000))[0, 1]) < 0.5
    assert (orders[0] != orders[1]).mean() > 0.9


def test_no_buffer_and_no_shuffle_leave_the_order():
    order = np.arange(1000)
    np.testing.assert_array_equal(passes(numbered(1000, shuffle_buffer=0), 1)[0], order)
    whole, streamed = trainer(), trainer(shuffle=True)
    whole.fit(X, Y, epochs=2, verbose=0)
    streamed.fit(Stream(chunks_of(CUTS["odd"], X, Y), shuffle_buffer=0), epochs=2, verbose=0)
    assert_same(whole, streamed)


def test_labels_and_weights_go_with_their_rows():
    rng = np.random.default_rng(0)
    columns = [np.arange(50, dtype="f")[:, None], np.arange(50), np.arange(50, dtype="d")]
    buffer = ShuffleBuffer(columns, 16)
    seen = []
    for chosen, rows in itertools.chain(buffer.put(columns, rng), buffer.rest(rng)):
        parts = [column[rows].ravel() for column in chosen]
        np.testing.assert_array_equal(parts[0], parts[1])
        np.testing.assert_array_equal(parts[0], parts[2])
        seen.append(parts[1])
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(50))


def test_fits_go_on_as_one_and_a_loaded_trainer_as_the_saved_one(tmp_path):
    stream = Stream(chunks_of(CUTS["odd"], X, Y), shuffle_buffer=50)
    options = {"shuffle": True, "optimizer": "adam", "dropout": 0.2}
    one, two = trainer(**options), trainer(**options)
    one.fit(stream, epochs=5, verbose=0)
    two.fit(stream, epochs=2, verbose=0)
    two.save(tmp_path / "t.npz")
    for each in (two, Trainer.load(tmp_path / "t.npz")):
        each.fit(stream, epochs=3, verbose=0)
        assert_same(one, each)
    again, other = trainer(**options), trainer(**options | {"seed": 2})
    for each in (again, other):
        each.fit(stream, epochs=5, verbose=0)
    assert_same(one, again)
    assert (weights_of(one) != weights_of(other)).any()


# The reader


class Waits(Callback):
    """In the first batch, until so many chunks have been read; then a little for more."""

    def __init__(self, read: list[int], count: int):
        self.read, self.count, self.seen = read, count, 0

    def on_progress(self, trainer, done):
        until = time.perf_counter() + 5
        while len(self.read) < self.count and time.perf_counter() < until:
            time.sleep(0.001)
        if not self.seen:
            time.sleep(0.2)
            self.seen = len(self.read)


@pytest.mark.parametrize("read_ahead", [1, 4])
def test_it_reads_ahead_while_the_network_trains_and_not_too_far(monkeypatch, read_ahead):
    """Chunks of a batch, which is a slab: one is trained with, read_ahead wait, and the next has no room."""
    monkeypatch.setattr("fastbp.streams._feed.SLAB_BYTES", 1)
    read: list[int] = []

    def chunks():
        for k in range(20):
            read.append(k)
            yield X[:10], Y[:10]

    waits = Waits(read, 2 + read_ahead)
    trainer(batch_size=10).fit(Stream(chunks, read_ahead=read_ahead), callbacks=waits, verbose=0)
    assert waits.seen == 2 + read_ahead
    assert len(read) == 20


# Ends of all kinds


def test_a_divergence_goes_back_to_the_epochs_start():
    """By a rate that is too large from the second epoch on."""
    stream = Stream(chunks_of(CUTS["odd"], X, X[:, :3]), shuffle_buffer=50)
    options = {"loss": "squared_error", "activation": "relu", "shuffle": True}
    t, twin = trainer(**options), trainer(**options)
    twin.fit(stream, verbose=0)

    def explode(trainer, epoch, measured):
        trainer.learning_rate = 1e20

    with pytest.raises(DivergenceError, match="in epoch 2;"):
        t.fit(stream, epochs=3, callbacks=explode, verbose=0)
    assert_same(t, twin)
    t.learning_rate = twin.learning_rate
    for each in (t, twin):
        each.fit(stream, verbose=0)
    assert_same(t, twin)


def test_an_overflow_in_the_last_update_is_a_divergence():
    t = Trainer([1, 1], learning_rate=1e38, batch_size=4, seed=0)
    before = weights_of(t)
    with pytest.raises(DivergenceError):
        t.fit(Stream([(np.full((4, 1), 10, "f"), np.full(4, 15, "f"))]), verbose=0)
    np.testing.assert_array_equal(weights_of(t), before)


class Broken(Exception):
    pass


def failing(after: int, error: BaseException, in_pass: int = 1):
    """A source of batches of 10 rows that raises after so many of them."""
    calls = itertools.count(1)

    def chunks():
        this = next(calls)
        for k in range(N // 10):
            if this == in_pass and k == after:
                raise error
            yield X[10 * k : 10 * k + 10], Y[10 * k : 10 * k + 10]

    return chunks


@pytest.mark.parametrize("in_pass", [1, 2])
@pytest.mark.parametrize("error", [Broken("the disk is gone"), MemoryError(), SystemExit(3)], ids=repr)
def test_what_the_source_raises_ends_the_fit(monkeypatch, error, in_pass):
    """At weights of a finished batch: here all that was handed over before, ten rows each."""
    monkeypatch.setattr("fastbp.streams._feed.SLAB_BYTES", 1)
    t, twin = trainer(batch_size=10), trainer(batch_size=10)
    with pytest.raises(type(error)) as raised:
        t.fit(Stream(failing(7, error, in_pass)), epochs=3, verbose=0)
    assert raised.value is error
    assert t.epochs_trained == in_pass - 1
    twin.fit(Stream(failing(-1, error)), epochs=in_pass - 1, verbose=0)
    twin.fit(X[:70], Y[:70], verbose=0)
    np.testing.assert_array_equal(weights_of(t), weights_of(twin))
    t.fit(X, Y, verbose=0)  # it is free again


def test_a_source_in_a_process_that_is_killed():
    """Its end of the pipe closes: an error, not a hang."""
    if sys.platform != "linux":
        pytest.skip("forks are Linux's here")
    import multiprocessing

    context = multiprocessing.get_context("spawn")

    def chunks():
        reads, writes = context.Pipe(duplex=False)
        process = context.Process(target=send_for_ever, args=(writes,))
        process.start()
        writes.close()
        try:
            for k in itertools.count():
                if k == 5:
                    os.kill(process.pid, signal.SIGKILL)
                yield reads.recv()
        finally:
            process.join()
            reads.close()

    t = trainer(batch_size=16)
    with pytest.raises(EOFError):
        t.fit(Stream(chunks), verbose=0)
    assert np.isfinite(weights_of(t)).all()


def send_for_ever(pipe):
    while True:
        pipe.send((X[:20], Y[:20]))


def test_an_end_that_looks_like_the_last_row_is_told_by_the_rows():
    """A process that writes rows into a pipe, which only ends when it is killed."""
    code = "import sys, time; sys.stdout.buffer.write(bytes(4 * 6 * 50)); sys.stdout.flush(); time.sleep(60)"

    def chunks():
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            for k in itertools.count():
                if k == 4:
                    process.kill()
                numbers = np.frombuffer(process.stdout.read(4 * 6 * 10), "f").reshape(-1, 6)
                if not len(numbers):
                    return
                yield numbers[:, :5], numbers[:, 5]

    with pytest.raises(ValueError, match="X: expected a Stream of 100 rows, got 50 rows in 5 chunks"):
        trainer().fit(Stream(chunks, rows=100), verbose=0)


KILLED = """
import sys
from fastbp import Checkpoint, Stream
from tests.test_streams import CUTS, X, Y, chunks_of, trainer
stream = Stream(chunks_of(CUTS["odd"], X, Y), shuffle_buffer=50)
t = trainer(shuffle=True, optimizer="adam", dropout=0.2)
t.fit(stream, epochs=10**6, callbacks=[Checkpoint(sys.argv[1]), lambda *_: sys.stdout.write(".") and None], verbose=0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_process_that_is_killed_goes_on_from_its_checkpoint(tmp_path):
    """To the bit where a fit that wasn't killed would be."""
    command = [sys.executable, "-u", "-c", KILLED, str(tmp_path / "last.npz")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout.read(20) == b"." * 20
        child.kill()
    stream = Stream(chunks_of(CUTS["odd"], X, Y), shuffle_buffer=50)
    resumed, twin = Trainer.load(tmp_path / "last.npz"), trainer(shuffle=True, optimizer="adam", dropout=0.2)
    assert resumed.epochs_trained >= 20
    resumed.fit(stream, epochs=2, verbose=0)
    twin.fit(stream, epochs=resumed.epochs_trained, verbose=0)
    assert_same(resumed, twin)


def test_a_reader_that_ends_unexpectedly(monkeypatch):
    monkeypatch.setattr("fastbp.streams._feed.Reader._run", lambda self: None)
    with pytest.raises(RuntimeError, match="X: the thread that reads the Stream ended unexpectedly"):
        trainer().fit(Stream(chunks_of([N], X, Y)), verbose=0)


def endless(seconds: float = 0.0):
    def chunks():
        while True:
            yield X, Y
            time.sleep(seconds)

    return chunks


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's here")
@pytest.mark.parametrize("seconds", [0.0, 0.01, 2.0])  # training, now and then waiting, waiting
def test_ctrl_c_ends_the_fit_and_its_reader(seconds):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        history = trainer().fit(Stream(endless(seconds)), verbose=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.interrupted
    wait_for_readers()


def test_the_time_ends_also_while_it_waits():
    started = time.perf_counter()
    history = trainer().fit(Stream(endless(3.0)), max_seconds=0.3, verbose=0)
    assert time.perf_counter() - started < 2.5
    assert not history.interrupted
    wait_for_readers()


def wait_for_readers():
    """Those whose source sleeps end when it has woken up."""
    for thread in threading.enumerate():
        if thread.name == "fastbp reader":
            thread.join(5)


def test_an_error_in_a_callback_ends_the_reader():
    def fail(*_):
        raise Broken

    for callback in (fail, type("Failing", (Callback,), {"on_progress": fail})()):
        with pytest.raises(Broken):
            trainer().fit(Stream(failing(99, Broken())), callbacks=callback, epochs=3, verbose=0)


def test_the_sources_generator_is_closed_in_its_thread():
    closed = []

    def chunks():
        try:
            yield X, Y
            yield X[:, :2], Y
        finally:
            closed.append(threading.current_thread().name)

    with pytest.raises(ValueError, match="X of chunk 1"):
        trainer().fit(Stream(chunks), verbose=0)
    assert closed == ["fastbp reader"]


@pytest.mark.parametrize(
    ("second", "kind", "message"),
    [
        ((X[:, :4], Y), ValueError, r"X of chunk 1: expected a 2-D array of shape \(n, 5\), got shape \(203, 4\)"),
        ((np.where(np.arange(5) + X * 0 == 3, np.nan, X), Y), ValueError, r"X of chunk 1: .* got nan at \[0, 3\]"),
        ((X.astype(str), Y), TypeError, "X of chunk 1: expected .* got text"),
        ((X, Y + 1), ValueError, "y of chunk 1: expected class numbers 0 … 2, got numbers from 1 to 3"),
        ((X, Y[1:]), ValueError, "y of chunk 1: expected 203 rows, as many as X has, got 202"),
        ((X, Y, -W), ValueError, "sample_weight of chunk 1: expected numbers ≥ 0"),
        ((X, Y, W), ValueError, "chunk 1: expected X, class numbers, as in the chunks before, got X, class numbers, s"),
        ((X, np.eye(3)[Y]), ValueError, "chunk 1: expected X, class numbers, as in the chunks before, got X, y"),
        (X, TypeError, r"chunk 1: expected a pair \(X, y\), or \(X, y, sample_weight\), got a ndarray"),
        ((X, Y, W, W), TypeError, r"chunk 1: expected a pair"),
    ],
)
def test_a_chunk_that_will_not_do(second, kind, message):
    t = trainer()
    before = weights_of(t)
    with pytest.raises(kind, match=message):
        t.fit(Stream([(X, Y), second]), verbose=0)
    np.testing.assert_array_equal(weights_of(t), before)  # the slab wasn't full


@pytest.mark.parametrize(
    ("stream", "arguments", "kind", "message"),
    [
        (Stream([]), {}, ValueError, "X: expected a Stream of at least one row, got 0 rows in 0 chunks"),
        (Stream([(X[:0], Y[:0])]), {}, ValueError, "got 0 rows in 1 chunks in pass 1"),
        (Stream(chunks_of([N], X, Y), rows=N + 1), {}, ValueError, "a Stream of 204 rows, got 203 rows in 1 chunks"),
        (Stream(chunks_of([N], X, Y), rows=N - 1), {}, ValueError, "a Stream of 202 rows, got 203 with chunk 0"),
        (Stream(iter([(X, Y)])), {"epochs": 2}, ValueError, "X: expected a Stream of a function .* one of an iterator"),
        (Stream(lambda: 3), {}, TypeError, "source: expected a function that returns an iterable of chunks, got 3"),
        (Stream([(X, Y)]), {"steps": 3}, ValueError, "steps: expected None, because X is a Stream, got 3"),
        (Stream([(X, Y)]), {"y": np.zeros(N)}, ValueError, "y: expected None, because X is a Stream"),
        (Stream([(X, Y)]), {"sample_weight": W}, ValueError, "sample_weight: expected nothing because X is a Stream"),
        (Stream([(X, Y)]), {"validation_split": 0.1}, ValueError, "validation_split: expected nothing because X is a"),
        (Stream([(X, Y)]), {"class_weight": "balanced"}, ValueError, "class_weight: expected a dict of weights"),
        (
            Stream([(X, Y)]),
            {"metrics": "accuracy"},
            ValueError,
            "metrics: expected validation_data to measure, be",
        ),
        (
            Stream([(X, Y)]),
            {"metrics": "f1", "validation_data": Stream([(X, Y)])},
            ValueError,
            "metrics: expected means over samples .* got 'f1'",
        ),
    ],
)
def test_streams_that_will_not_do(stream, arguments, kind, message):
    t = trainer()
    before = weights_of(t)
    with pytest.raises(kind, match=message):
        t.fit(stream, **arguments, verbose=0)
    np.testing.assert_array_equal(weights_of(t), before)


def test_what_does_not_fit_into_memory_is_refused():
    with pytest.raises(MemoryError, match=r"shuffle_buffer: expected what fits .* got one of 1,000,000,000,000 rows"):
        trainer(shuffle=True).fit(Stream([(X, Y)], shuffle_buffer=10**12), verbose=0)
    with pytest.raises(MemoryError, match=r"batch_size: expected what fits .* got 1,000,000,000,000 rows"):
        trainer(batch_size=10**12).fit(Stream([(X, Y)]), verbose=0)


def test_a_source_that_cannot_start_again():
    used_up = iter([(X, Y)])
    t = trainer()
    with pytest.raises(ValueError, match=r"got 0 rows in 0 chunks in pass 2; an iterator can be read only once"):
        t.fit(Stream(lambda: used_up), epochs=2, verbose=0)
    assert t.epochs_trained == 1


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Stream(X), TypeError, "source: expected a function"),
        (lambda: Stream(3), TypeError, "source: expected a function"),
        (lambda: Stream([], rows=0), ValueError, "rows: expected an integer ≥ 1"),
        (lambda: Stream([], shuffle_buffer=-1), ValueError, "shuffle_buffer: expected an integer ≥ 0"),
        (lambda: Stream([], read_ahead=0), ValueError, "read_ahead: expected an integer ≥ 1"),
        (lambda: Stream.from_arrays(X, Y[1:]), ValueError, "y: expected 203 rows, as many as X has, got 202"),
        (lambda: Stream.from_arrays(X[:0], Y[:0]), ValueError, "X: expected at least one row"),
        (lambda: Stream.from_arrays(3, Y), TypeError, "X: expected an array, got 3"),
        (lambda: trainer(optimizer="lbfgs").fit(Stream([(X, Y)])), ValueError, "optimizer: .* because X is a Stream"),
        (lambda: trainer().evaluate(Stream([(X, Y)]), 0 * Y), ValueError, "y: expected None, because X is a Stream"),
        (
            lambda: trainer().evaluate(Stream([(X, Y)]), sample_weight=W),
            ValueError,
            "sample_weight: expected None, because",
        ),
        (lambda: trainer().evaluate(Stream([(X, Y, W * 0)])), ValueError, "X: expected a Stream with some weight > 0"),
        (lambda: trainer().fit(Stream([(X, Y, W * 0)])), ValueError, "X: expected a Stream with some weight > 0"),
        (
            lambda: trainer().fit(X, Y, validation_data=Stream(iter([(X, Y)])), epochs=2),
            ValueError,
            "validation_data: expected a Stream of a function",
        ),
    ],
)
def test_bad_calls(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("X", lambda stream: trainer().predict(stream)),
        ("X", lambda stream: trainer().predict_classes(stream)),
        ("X", trainer().network.predict),
        ("X", lambda stream: trainer().gradients(stream, None)),
        ("X", lambda stream: trainer().train_on_batch(stream, None)),
        ("X", lambda stream: trainer().find_learning_rate(stream, None)),
        ("x", lambda stream: explain(trainer(), stream, None)),
        ("X", lambda stream: plots.activations(trainer(), stream)),
        ("X", lambda stream: plots.confusion_matrix(trainer(), stream, None)),
        ("y", lambda stream: trainer().fit(X, stream)),
        ("sample_weight", lambda stream: trainer().fit(X, Y, sample_weight=stream)),
        (r"validation_data\[0\]", lambda stream: trainer().fit(X, Y, validation_data=(stream, None))),
        ("X", lambda stream: fit_many([trainer()], stream, None)),
        ("X", lambda stream: fit_many([trainer()], [stream], [None])),
        ("X", lambda stream: Ensemble(2, [5, 3]).fit(stream, None)),
        ("X", lambda stream: Ensemble(2, [5, 3]).predict(stream)),
        ("X", lambda stream: Ensemble(2, [5, 3]).evaluate(stream, None, "accuracy")),
        ("X", lambda stream: Sweep({"seed": [1]}, layer_sizes=[5, 3]).fit(stream, None, epochs=1, **VALIDATION)),
        ("X", lambda stream: MLPClassifier().fit(stream, None)),
        ("X", lambda stream: MLPClassifier().partial_fit(stream, Y, classes=[0, 1, 2])),
        ("X", lambda stream: MLPRegressor().fit(stream, None)),
        ("X", lambda stream: MLPClassifier(max_iter=1, solver="sgd", tol=1e9).fit(X, Y).predict(stream)),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_where_a_stream_is_not_taken_the_error_says_what_takes_it(argument, call):
    message = (
        f"^{argument}: expected .*, got a Stream, which only fit and evaluate of a Trainer take; its chunks are arr"
    )
    with pytest.raises(TypeError, match=message):
        call(Stream([(X, Y)]))


def test_many_networks_are_measured_over_one_stream():
    streamed, whole = ([trainer(seed=seed) for seed in range(4)] for _ in "12")
    fit_many(streamed, X, Y, validation_data=Stream(chunks_of(CUTS["odd"], X, Y)), metrics="accuracy", verbose=0)
    fit_many(whole, X, Y, validation_data=(X, Y), metrics="accuracy", verbose=0)
    for a, b in zip(streamed, whole, strict=True):
        np.testing.assert_allclose(a.history["val_loss"], b.history["val_loss"], rtol=1e-6)
        assert a.history["val_accuracy"] == pytest.approx(b.history["val_accuracy"])


def test_targets_out_of_the_outputs_reach_are_said_once():
    t = Trainer([5, 4, 1], output_activation="sigmoid", seed=0)
    with pytest.warns(UserWarning, match="but the output activation 'sigmoid' gives only") as warned:
        t.fit(Stream(chunks_of(CUTS["odd"], X, 3 * X[:, 0])), epochs=2, verbose=0)
    assert len(warned) == 1
    assert warned[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_ends_the_fit():
    t, threads = Trainer([5, 4, 1], output_activation="sigmoid", seed=0), threading.active_count()
    with pytest.raises(UserWarning, match="but the output activation 'sigmoid' gives only"):
        t.fit(Stream(chunks_of(CUTS["odd"], X, 3 * X[:, 0])), epochs=2, verbose=0)
    assert threading.active_count() == threads


# Memory


@pytest.mark.parametrize("shuffle", [False, True])
def test_memory_does_not_grow_with_the_rows(shuffle):
    def peak(rows: int) -> int:
        chunk = np.ones((1000, 50)), np.ones(1000)
        t = Trainer([50, 1], learning_rate=1e-3, shuffle=shuffle, seed=0)
        stream = Stream(lambda: itertools.repeat(chunk, rows // 1000), shuffle_buffer=2000)
        tracemalloc.start()
        t.fit(stream, epochs=2, verbose=0)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1000)
    few, many = peak(100_000), peak(400_000)  # 20 MB in float32, and 80
    assert many < few + 500_000
    assert many < 20e6


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_pages_of_a_mapped_file_do_not_stay(tmp_path):
    def mapped() -> float:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) / 1024

    big = write_memmap(tmp_path / "X", np.ones((100_000, 100), "f"))  # 40 MB
    t = Trainer([100, 1], learning_rate=1e-3, seed=0)
    t.fit(big[:100], np.ones(100), verbose=0)
    before = mapped()
    t.fit(Stream.from_arrays(big, np.ones(100_000)), verbose=0)
    assert mapped() - before < 10
    np.testing.assert_array_equal(big[::1000], 1)


def test_a_chunk_without_some_of_its_rows_is_refused():
    X, y = np.zeros((8, 4)), np.zeros((8, 1))
    with pytest.raises(ValueError, match="of chunk 1"):
        Trainer([4, 3, 1]).fit(Stream([(X, y), (X[:0], y)]), verbose=0)
