"""Threads and workspaces: a level's kernels give the same bits for any number of threads, in any company."""

from __future__ import annotations

import ctypes
import multiprocessing
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from fastbp import Trainer, losses, optimizers
from fastbp._engine.engine import Engine
from fastbp._engine.nothing import NO_BOUNDS, NO_SEED, ends_of
from fastbp._engine.team import TeamSize
from fastbp._kernels import codes
from fastbp._kernels.calls import TrainCall, slot_of
from fastbp._library.library import library

from .cases import Case

SHAPES = (
    Case((20, 40, 5), "tanh", n=77),
    Case((9, 130, 64, 3), "relu", "softmax", "cross_entropy", n=50),
    Case((70, 33, 1), n=65, use_bias=False),
    Case((5, 70, 40), "sigmoid", "sigmoid", "binary_cross_entropy", n=40),
    Case((40, 30, 10), "tanh", "softmax", n=700),  # batches of several blocks
    Case((33, 64, 70, 20, 10), "tanh", n=150),  # two threads keep the rows of the first batch, and not of the second
    Case((300, 450, 600, 3), "tanh", n=40),  # layers whose parts are drawn by ticket
)

WIDE = [Case(sizes, "tanh", n=130) for sizes in ((99, 600, 300, 530), (530, 600, 10))]  # of which wide.py does products
NARROW = [  # layers whose mirrors lead on some host: of as many units as registers hold, more and fewer; of few outputs
    Case(sizes, "tanh", n=50) for sizes in ((3, 16, 10), (5, 33, 9, 20, 12), (9, 70, 1), (4, 129, 34), (4, 47, 18, 2))
]


def trained(case: Case, threads: int, shuffle: bool, weights=None, **options) -> tuple[np.ndarray, list[float]]:
    """Parameters and losses after three epochs, by a team of so many threads, more than there are cores too.

    A kernel call does some batches of an epoch; the last two epochs are those of a copy without workspaces and mirrors.
    """
    options = {"batch_size": 600 if case.n > 256 else 80 if case.n > 100 else 16, **options}
    weights = np.ones(case.n) if weights is None else weights  # so that tiny networks take this way, too
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TeamSize, "choose", lambda self, blocks: (threads, min(blocks, 5)))
        patch.setattr(TeamSize, "record", lambda *_: None)
        trainer = case.trainer(shuffle=shuffle, **options)
        trainer.fit(*case.data(), sample_weight=weights, verbose=0)
        trainer = pickle.loads(pickle.dumps(trainer))
        trainer.fit(*case.data(), epochs=2, sample_weight=weights, verbose=0)
    return np.concatenate([values.ravel() for values in trainer.get_weights()]), trainer.history["loss"]


@pytest.mark.parametrize(("dtype", "shuffle"), [("float32", True), ("float64", False)])
@pytest.mark.parametrize("shape", [*SHAPES, *WIDE], ids=str)
def test_any_number_of_threads_gives_the_same_bits(shape, dtype, shuffle):
    case = replace(shape, dtype=dtype)
    parameters, losses = trained(case, 1, shuffle)
    assert np.isfinite(parameters).all()
    for threads in (2, 3, 4):
        got, got_losses = trained(case, threads, shuffle)
        np.testing.assert_array_equal(got, parameters, err_msg=f"{threads} threads")
        np.testing.assert_array_equal(got_losses, losses, err_msg=f"{threads} threads")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, *NARROW, *WIDE], ids=str)
def test_a_step_at_once_has_the_bits_of_gradient_then_update(shape, dtype):
    """Also where the mirrors lead, and where a call makes them anew. A bound that nothing meets keeps the two apart."""
    case = replace(shape, dtype=dtype)
    apart, its_losses = trained(case, 1, False, clip_value=1e30)
    for threads in (1, 3):
        parameters, losses = trained(case, threads, False)
        np.testing.assert_array_equal(parameters, apart, err_msg=f"{threads} threads")
        np.testing.assert_array_equal(losses, its_losses, err_msg=f"{threads} threads")


BOUNDS = [NO_BOUNDS, *(NO_BOUNDS._replace(**{name: 0.01}) for name in NO_BOUNDS._fields)]
RULES = [optimizers.SGD(), optimizers.Momentum(), optimizers.Adam(), optimizers.AdamW()]


@pytest.mark.parametrize("entry", ["train", "part", "gradients"])
@pytest.mark.parametrize("batch_size", [20, 300], ids=["one block", "two blocks"])
@pytest.mark.parametrize("optimizer", RULES, ids=str)
def test_there_is_memory_for_gradients_whenever_the_kernel_stores_them(optimizer, batch_size, entry):
    for bounds, alpha in product(BOUNDS, (0.0, 0.5)):
        with pytest.MonkeyPatch.context() as patch:
            assert_memory_for_gradients(optimizer, bounds, alpha, batch_size, entry, patch)


GRADIENTS = 8 * slot_of(TrainCall, "machine", "gradients")  # bytes from the start of a call's record


def assert_memory_for_gradients(optimizer, bounds, alpha, batch_size, entry, patch):
    """If the engine gives the kernel no memory for gradients, this test gives it some, where nothing may be stored."""
    case = Case((6, 25, 4), n=300)
    trainer, (X, y) = case.trainer(), case.data()
    engine, memory, stored = trainer._state.engine, trainer._state.engine.memory(2, 0), []
    kernels, own = library(case.dtype), np.empty(trainer._state.engine.layout.size, case.dtype)
    train = kernels.train

    def spy(call, thread):
        place = ctypes.c_int64.from_address(call.value + GRADIENTS)
        has_memory = place.value != 0
        if not has_memory:
            place.value = own.ctypes.data
        gradients = np.frombuffer((ctypes.c_char * own.nbytes).from_address(place.value), own.dtype)
        if not stored or not has_memory:  # the gradients of a batch come in several calls
            gradients[:] = 123
        blocks = train(call, thread)
        stored.append((has_memory, bool((gradients != 123).any())))
        if not has_memory:
            place.value = 0
        return blocks

    patch.setattr(kernels, "train", spy)
    step = codes.Step(optimizer.rule(), bounds, np.array([0.1]), NO_SEED, batch_size, min(batch_size, 256), alpha)
    data = engine.data(X, y)
    if entry == "train":
        at = codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(1))
        engine.train(data, memory, step, at, 100, 1)
    elif entry == "part":
        with engine.part(data, memory, step._replace(part=codes.Part(0, 300, 0, 300.0)), 1) as (*_, update):
            update(0.1)
    else:
        engine.gradients(data)
    assert stored
    assert all(given == written for given, written in stored)


@pytest.mark.parametrize("batch_size", [20, 300], ids=["one block", "two blocks"])
@pytest.mark.parametrize("optimizer", RULES, ids=str)
def test_a_batch_ends_at_once_only_if_the_result_is_the_same(optimizer, batch_size):
    for bounds, alpha in product(BOUNDS, (0.0, 0.5)):
        assert_same_at_once_and_after(optimizer, bounds, alpha, batch_size)


def assert_same_at_once_and_after(optimizer, bounds, alpha, batch_size):
    case = Case((6, 25, 4), n=300)
    step = codes.Step(optimizer.rule(), bounds, np.array([0.1]), NO_SEED, batch_size, min(batch_size, 256), alpha)
    results = []
    for ends in (ends_of(step), codes.AFTER_BATCH):
        trainer, (X, y) = case.trainer(), case.data()
        engine, at = trainer._state.engine, codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(1))
        with engine._workspace_for(step._replace(ends=codes.AFTER_BATCH)) as workspace:
            decided = step._replace(ends=ends)
            engine._train_by_clock(workspace, engine.data(X, y), engine.memory(2, 0), decided, at, 100, 1)
        results.append((trainer.network._parameters, at.losses))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_plain_gradient_descent_stores_no_gradients():
    plain = codes.Step(optimizers.SGD().rule(), NO_BOUNDS, np.array([0.1]), NO_SEED, 20, 20)
    assert ends_of(plain) == codes.AT_ONCE


OPTIONS = {
    "momentum": {"optimizer": "momentum"},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 1e-3},
    "adam": {"optimizer": "adam", "learning_rate": 1e-3},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "dropout": 0.3},
    "dropout": {"dropout": 0.5},
    "bounds": {"l1": 1e-4, "l2": 1e-3, "clip_value": 0.1, "clip_norm": 0.5, "max_norm": 1.5},
    "gelu": {"activation": "gelu"},
    "huber": {"loss": losses.Huber(0.1), "output_activation": "identity"},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("case", [Case((40, 67, 33, 3), "tanh", n=50), Case((60, 40, 3), "tanh", n=700)], ids=str)
def test_any_number_of_threads_gives_the_same_bits_with_every_option(case, name):
    weights = np.linspace(0, 2, case.n)
    parameters, got = trained(case, 1, True, weights, **OPTIONS[name])
    assert np.isfinite(parameters).all()
    for threads in (2, 3):
        other, other_losses = trained(case, threads, True, weights, **OPTIONS[name])
        np.testing.assert_array_equal(other, parameters, err_msg=f"{threads} threads")
        np.testing.assert_array_equal(other_losses, got, err_msg=f"{threads} threads")


@pytest.mark.parametrize("name", ["adamw", "momentum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "n"), [((5, 1100, 700, 3), 300), ((300, 256, 290, 3), 120)])
def test_any_number_of_threads_gives_the_same_bits_of_wide_layers(sizes, n, dtype, name):
    """Threads draw the first network by ticket, DEEP steps at a time. Each thread packs the second one alone."""
    case = Case(sizes, "tanh", dtype=dtype, n=n)
    weights = np.linspace(0, 2, case.n).astype(dtype)
    parameters, got = trained(case, 1, True, weights, epsilon=0.05, **OPTIONS[name])
    assert np.isfinite(parameters).all()
    for threads in (2, 3, 5) if n == 120 else (2, 3):
        other, other_losses = trained(case, threads, True, weights, epsilon=0.05, **OPTIONS[name])
        np.testing.assert_array_equal(other, parameters, err_msg=f"{threads} threads")
        np.testing.assert_array_equal(other_losses, got, err_msg=f"{threads} threads")


@pytest.mark.parametrize("name", ["adam", "adamw", "bounds"])
@pytest.mark.parametrize("n", [150, 256, 260, 515])
def test_any_number_of_threads_gives_the_same_bits_of_parts_of_a_block(n, name):
    """Blocks have 2 or 4 parts. The last block of a batch may have fewer rows than there are parts."""
    case = Case((21, 43, 7), "relu", "softmax", "cross_entropy", n=n)
    options = {"batch_size": 150 if n == 150 else 256 if n < 500 else 512, **OPTIONS[name]}
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_workspace_for", spied(Engine._workspace_for, steps))
        parameters, got = trained(case, 1, True, **options)
        assert {step.parts for step in steps} == {2 if n == 150 else 4}
    for threads in (2, 3, 4):
        other, other_losses = trained(case, threads, True, **options)
        np.testing.assert_array_equal(other, parameters, err_msg=f"{threads} threads")
        np.testing.assert_array_equal(other_losses, got, err_msg=f"{threads} threads")


def spied(method, steps):
    """Return a method of the engine that also notes the steps that it gets."""

    def call(engine, step, *rest):
        steps.append(step)
        return method(engine, step, *rest)

    return call


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_subnormal_numbers_are_0_in_kernels_and_only_there(threads, dtype, monkeypatch):
    """An overfitted network has many of them, and processors compute with them slowly."""
    monkeypatch.setattr(TeamSize, "choose", lambda self, blocks: (threads, blocks))
    case, small = Case((5, 40, 3), "tanh", dtype=dtype, n=20), np.finfo(dtype).tiny / 2
    trainer, (_, y) = case.trainer(), case.data()
    engine = trainer._state.engine
    memory = engine.memory(2, 0)
    memory.first[:] = small
    at = codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(1))
    step = codes.Step(optimizers.Adam().rule(), NO_BOUNDS, np.array([1e-3]), NO_SEED, 20, 20)
    engine.train(engine.data(np.zeros((20, 5), dtype), y), memory, step, at, 1, threads)  # without a gradient for Θ¹
    assert not engine.layout.weight_views(memory.first)[0].any()
    assert np.array(small, dtype) * np.array([1], dtype) > 0


@pytest.mark.parametrize("n_threads", [1, 2, "auto"])
def test_n_threads_changes_no_prediction_and_no_loss(n_threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5000, 30)).astype(np.float32), rng.integers(0, 3, 5000)
    expected, trainer = (Trainer([30, 200, 3], loss="cross_entropy", seed=0, n_threads=n) for n in (1, n_threads))
    for t in (expected, trainer):
        t.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(trainer.predict(X), expected.predict(X))
    assert trainer.evaluate(X, y, metrics=["accuracy"]) == expected.evaluate(X, y, metrics=["accuracy"])


def test_trainers_in_many_python_threads_are_apart():
    def work(seed: int) -> np.ndarray:
        case = SHAPES[seed % len(SHAPES)]
        trainer = case.trainer(n_threads=1 + seed % 2)
        trainer.fit(*case.data(), epochs=3, verbose=0)
        return np.concatenate([values.ravel() for values in trainer.get_weights()])

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(20)))
    for seed, parameters in enumerate(together):
        np.testing.assert_array_equal(parameters, work(seed))


def test_predictions_in_many_python_threads_are_apart():
    trainer = Trainer([30, 50, 3], seed=0)
    X = np.random.default_rng(0).normal(size=(400, 30)).astype(np.float32)
    expected = trainer.predict(X)

    def work(i: int) -> bool:
        return bool((trainer.predict(X[i : i + 100]) == expected[i : i + 100]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, list(range(300)) * 5))


def _train_in_child(queue: multiprocessing.Queue) -> None:
    trainer = SHAPES[0].trainer(n_threads=2)
    trainer.fit(*SHAPES[0].data(), epochs=3, verbose=0)
    queue.put(trainer.network._parameters)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork")  # JAX warns, if another test imported it
def test_training_goes_on_in_a_fork_after_training():
    trainer = SHAPES[0].trainer(n_threads=2)
    trainer.fit(*SHAPES[0].data(), epochs=3, verbose=0)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_train_in_child, args=(queue,))
    child.start()
    got = queue.get(timeout=60)
    child.join()
    np.testing.assert_array_equal(got, trainer.network._parameters)


def test_no_thread_outlives_a_fit():
    trainer = SHAPES[0].trainer(n_threads=2)
    before = threading.active_count()
    trainer.fit(*SHAPES[0].data(), epochs=3, verbose=0)
    assert threading.active_count() == before


def test_what_overflowed_in_a_workspace_does_no_harm_to_shorter_batches():
    case = Case((6, 40, 3), "exponential", "identity", dtype="float32", n=33)
    X, y = case.data()
    clean, dirty = case.trainer(batch_size=16), case.trainer(batch_size=16)
    with np.errstate(all="ignore"):
        assert not np.isfinite(dirty.predict(1e4 * X)).any()
        assert np.isnan(dirty.gradients(1e4 * X, y).weights[0]).all()
    for trainer in (clean, dirty):
        trainer.fit(X, y, epochs=2, verbose=0)
    for a, b in zip(clean.get_weights(), dirty.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert dirty.history["loss"] == clean.history["loss"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_outputs", [2, 3, 5, 7])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy", "binary_cross_entropy", "hinge", "poisson"])
def test_a_workspace_that_a_tiny_network_trained_in_measures_the_same(loss, n_outputs, dtype):
    """Its squares lie where rows have their padding."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 6)), np.eye(n_outputs)[np.arange(60) % n_outputs]
    trainer = Trainer([6, 4, n_outputs], loss=loss, epsilon=1, dtype=dtype, learning_rate=1e-3, seed=0)
    history = trainer.fit(X, y, epochs=2, validation_data=(X, y), verbose=0)
    fresh = Trainer([6, 4, n_outputs], loss=loss, dtype=dtype)
    fresh.set_weights(trainer.get_weights())
    assert history["val_loss"][-1] == fresh.evaluate(X, y)["loss"]
    mine, theirs = trainer.gradients(X, y), fresh.gradients(X, y)
    assert mine.loss == theirs.loss
    for a, b in zip([*mine.weights, *mine.biases], [*theirs.weights, *theirs.biases], strict=True):
        np.testing.assert_array_equal(a, b)
    for weight in (np.arange(1.0, 61), None):  # row by row, and again by squares
        fresh = pickle.loads(pickle.dumps(trainer))
        trainer.fit(X, y, epochs=2, sample_weight=weight, verbose=0)
        fresh.fit(X, y, epochs=2, sample_weight=weight, verbose=0)
        for a, b in zip(trainer.get_weights(), fresh.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert trainer.history["loss"] == fresh.history["loss"]


def test_a_trainer_that_is_trained_by_two_threads_at_once_says_so():
    trainer = Trainer([3, 40, 2], seed=0)
    X, y = np.ones((50, 3), np.float32), np.ones((50, 2), np.float32)
    begun, end = threading.Event(), threading.Event()

    def wait(trainer, epoch, measured):
        begun.set()
        end.wait(30)

    first = threading.Thread(target=trainer.fit, args=(X, y), kwargs={"callbacks": wait, "verbose": 0})
    first.start()
    assert begun.wait(30)
    weights = trainer.get_weights()
    for call in (lambda: trainer.fit(X, y, verbose=0), lambda: trainer.train_on_batch(X, y)):
        with pytest.raises(RuntimeError, match="this Trainer is already being trained"):
            call()
    for a, b in zip(weights, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    end.set()
    first.join()
    assert trainer.fit(X, y, verbose=0).epochs == [2]


def test_a_trainer_is_free_again_after_an_error_in_a_callback():
    trainer = Trainer([3, 4, 2], seed=0)
    X, y = np.ones((5, 3)), np.ones((5, 2))

    def fails(*_):
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        trainer.fit(X, y, callbacks=fails, verbose=0)
    assert trainer.fit(X, y, verbose=0).epochs == [2]
