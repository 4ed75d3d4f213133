"""Training with validation inside the kernels: the same bits as one epoch after another from Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastbp import Callback, DivergenceError, Trainer, schedules
from fastbp._training import course, steps
from fastbp._training.course import Course
from fastbp._training.run import Run
from fastbp.callbacks import EarlyStopping
from tests.cases import CASES, DTYPES, RULES, Case, log_cosh
from tests.test_rewind import DIVERGES, assert_same_state, state

NETWORKS = (
    Case((2, 2, 1), "tanh", "sigmoid"),  # in squares, if there is nothing but plain descent
    Case((4, 8, 3), "tanh", "softmax", "cross_entropy"),
    Case((9, 33, 21, 4), "silu", "identity", "huber", parameter=0.3),
)
BATCHES = ((11, 1), (23, 5), (700, 600))  # samples, and how many a batch has: the last is more than a block
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def epoch_by_epoch(*_) -> None:
    """A callback that must see each epoch."""


@pytest.fixture
def courses(monkeypatch) -> list[int]:
    """Return a list with an entry for each fit whose epochs ran in the kernels."""
    calls = []
    original = Run.by_course
    monkeypatch.setattr(Run, "by_course", lambda self, *args: (calls.append(1), original(self, *args))[1])
    return calls


def fitted(case: Case, callbacks, options, epochs=7, parts=None, **more):
    """Return a trainer after a fit, the history of the fit and the EarlyStopping."""
    X, y = case.data()
    n = max(1, case.n // 3)
    weights = [] if parts is None else [parts[:n]]
    trainer = case.trainer(**{"shuffle": True} | options)
    stopping = EarlyStopping(patience=3, min_delta=1e-4) if callbacks is not None else None
    given = [stopping, *callbacks] if callbacks is not None else []
    if parts is not None:
        more["sample_weight"] = parts[n:]
    validation = (X[:n], y[:n], *weights)
    history = trainer.fit(X[n:], y[n:], epochs=epochs, validation_data=validation, callbacks=given, verbose=0, **more)
    return trainer, history, stopping


def assert_same_fit(case: Case, courses: list[int], options, **more) -> None:
    """A fit in the kernels equals one whose epochs Python sees, in all that training changes."""
    mine, history, stopping = fitted(case, [], options, **more)
    assert len(courses) == 1
    other, expected, watching = fitted(case, [epoch_by_epoch], options, **more)
    assert len(courses) == 1
    assert history == expected
    assert history.epochs == expected.epochs
    assert mine.history == other.history
    assert_same_state(state(mine), state(other))
    told, told_other = stopping.state_dict(), watching.state_dict()
    assert_same_state(told.pop("weights"), told_other.pop("weights"))
    assert told == told_other
    assert stopping.best_epoch is not None
    courses.clear()


@over_dtypes
@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_optimizer_and_batch_gives_the_same_bits(courses, rule, network, dtype):
    for n, batch_size in BATCHES:
        case = replace(network, n=n, dtype=dtype)
        assert_same_fit(case, courses, {"optimizer": rule.optimizer(), "batch_size": batch_size})


@pytest.mark.parametrize("case", [case for case in CASES if case.n == 33], ids=str)
def test_every_activation_and_loss_gives_the_same_bits(courses, case):
    assert_same_fit(case, courses, {"batch_size": 5, "epsilon": case.epsilon / 2})


@over_dtypes
@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"dropout": 0.3},
        {"schedule": schedules.Cosine()},
        {"schedule": schedules.OneCycle(), "optimizer": "adamw", "dropout": 0.1},
        {"clip_norm": 0.05, "max_norm": 0.4},
        {"standardize": True},
        {"n_threads": 2},
    ],
    ids=str,
)
def test_every_option_gives_the_same_bits(courses, options, dtype):
    for network in NETWORKS:
        case = replace(network, n=23, dtype=dtype)
        assert_same_fit(case, courses, {"batch_size": 5} | options)


@over_dtypes
def test_weights_of_samples_count_in_both_parts(courses, dtype):
    weights = np.random.default_rng(4).uniform(0, 2, 23)
    for network in NETWORKS:
        assert_same_fit(replace(network, n=23, dtype=dtype), courses, {"batch_size": 5}, parts=weights)


@over_dtypes
def test_a_loss_of_ones_own(courses, dtype):
    assert_same_fit(Case((9, 33, 4), "tanh", "sigmoid", log_cosh, dtype, n=23), courses, {"batch_size": 5})


def test_class_numbers(courses):
    X, y = np.random.default_rng(0).normal(size=(900, 5)), np.arange(900) % 3
    histories = []
    for callbacks in ([], [epoch_by_epoch]):
        trainer = Trainer([5, 20, 3], loss="cross_entropy", seed=0)
        histories.append(trainer.fit(X, y, epochs=4, validation_split=0.4, callbacks=callbacks, verbose=0))
    assert len(courses) == 1
    assert histories[0] == histories[1]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("sizes", [(2, 2, 1), (9, 33, 21, 4)], ids=str)
def test_the_result_does_not_depend_on_how_calls_are_cut(monkeypatch, courses, sizes, n_threads):
    """With calls for a block each, and with teams."""
    monkeypatch.setattr(steps, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(course, "CHUNK_SECONDS", 1e-9)
    case = Case(sizes, n=40)
    assert_same_fit(case, courses, {"batch_size": 5, "n_threads": n_threads})


def test_training_goes_on_from_a_saved_state(courses, tmp_path):
    case, results = Case((4, 20, 3), "tanh", n=30), []
    X, y = case.data()
    validation = X[:9], y[:9]
    for callbacks in ([], [epoch_by_epoch]):
        path = tmp_path / "model"
        trainer = case.trainer(batch_size=4, optimizer="adam", shuffle=True)
        trainer.fit(X, y, epochs=5, validation_data=validation, callbacks=[EarlyStopping(), *callbacks], verbose=0)
        trainer.save(path)
        trainer, stopping = Trainer.load(path), EarlyStopping(patience=5)
        fit = {"epochs": 12, "initial_epoch": 5, "validation_data": validation, "verbose": 0}
        results.append([trainer.fit(X, y, callbacks=[stopping, *callbacks], **fit), state(trainer), stopping.best])
    assert len(courses) == 2
    assert results[0][0] == results[1][0]
    assert_same_state(results[0][1], results[1][1])
    assert results[0][2] == results[1][2]


@pytest.mark.parametrize(("scale", "name"), [(1.0, "val_loss|loss|largest weight"), (1e300, "val_loss")])
@pytest.mark.parametrize("sizes", [[5, 4, 2], [5, 30, 2]], ids=str)
@pytest.mark.parametrize("restores", [True, False])
def test_a_divergence_leaves_what_the_callback_wants(courses, sizes, scale, name, restores):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    validation, left = (X[:5] * scale, y[:5]), []
    for callbacks in ([], [epoch_by_epoch]):
        trainer = Trainer(sizes, batch_size=8, learning_rate=1.0, **DIVERGES)
        stopping = EarlyStopping(patience=10**6, restore_best_weights=restores)
        with pytest.raises(DivergenceError, match=f"the ({name}) became (nan|inf)") as error:
            trainer.fit(X, y, epochs=2000, validation_data=validation, callbacks=[stopping, *callbacks], verbose=0)
        left.append((state(trainer), trainer.history, str(error.value), stopping.best))
    assert len(courses) == 1
    assert_same_state(left[0][0], left[1][0])
    assert left[0][1:] == left[1][1:]


def test_the_time_limit_ends_a_course_between_batches(courses):
    case = Case((30, 64, 2), n=4000)
    X, y = case.data()
    trainer, stopping = case.trainer(batch_size=16), EarlyStopping(patience=10**6)
    fit = {"validation_data": (X, y), "callbacks": stopping, "verbose": 0}
    history = trainer.fit(X, y, epochs=100_000, max_seconds=0.3, **fit)
    assert courses
    assert 0 < len(history.epochs) < 100_000
    assert len(history["val_loss"]) == len(history.epochs)
    assert trainer.evaluate(X, y)["loss"] == min(history["val_loss"])


class Presses(Callback):
    """Presses Ctrl-C after the first call of a kernel."""

    _only_looks = True

    def on_progress(self, trainer, done):
        raise KeyboardInterrupt


def test_ctrl_c_keeps_the_epochs_and_the_best_weights(courses):
    case = Case((30, 64, 2), n=4000)
    X, y = case.data()
    trainer, stopping = case.trainer(batch_size=16), EarlyStopping(patience=10**6)
    callbacks = [stopping, Presses()]
    history = trainer.fit(X, y, epochs=100_000, validation_data=(X, y), callbacks=callbacks, verbose=0)
    assert courses
    assert history.interrupted
    assert len(history["val_loss"]) == len(history.epochs)
    if history.epochs:
        assert trainer.evaluate(X, y)["loss"] == min(history["val_loss"])


@pytest.mark.parametrize(
    "fit",
    [
        {"metrics": "mse"},
        {"callbacks": [EarlyStopping("loss")]},
        {"callbacks": [EarlyStopping("val_loss", mode="max")]},
        {"callbacks": [EarlyStopping(), EarlyStopping()]},
        {"validation_data": None},
    ],
    ids=["metric", "training loss", "the largest loss", "two callbacks", "no validation"],
)
def test_other_fits_run_epoch_by_epoch(courses, fit):
    case = Case((3, 2), n=20)
    X, y = case.data()
    case.trainer().fit(X, y, **{"validation_data": (X, y), "verbose": 0, "epochs": 2} | fit)
    assert not courses


def test_a_penalty_counts_in_the_validation_loss(courses):
    case = Case((3, 2), n=20)
    X, y = case.data()
    trainer = case.trainer(l2=0.1)
    history = trainer.fit(X, y, validation_data=(X, y), verbose=0)
    assert not courses
    assert history["val_loss"][-1] == trainer.evaluate(X, y)["loss"]


@over_dtypes
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("sizes", [(2, 2, 1), (9, 33, 4)], ids=str)
def test_a_course_trains_on_rows_of_shared_arrays(sizes, shuffle, dtype):
    """As a fit does with copies of these rows."""
    case = Case(sizes, n=60, dtype=dtype)
    X, y = case.data()
    rows = np.random.default_rng(0).permutation(60)
    rows, others = rows[:40], rows[40:]
    weights = np.random.default_rng(1).uniform(0, 2, 60).astype(dtype)
    for w in (None, weights):
        mine, other = (case.trainer(batch_size=7, shuffle=shuffle) for _ in range(2))
        engine = mine._state.engine
        data = engine.data(X, y, weights=w, rows=rows, shuffle=shuffle)
        run = Course(mine._state, data, engine.data(X, y, weights=w, rows=others), epochs=9, patience=3)
        while not run.advance(1e-6):
            assert not run.finished
        parts = [[part[numbers] for part in (X, y, w) if part is not None] for numbers in (rows, others)]
        fit = {"sample_weight": None if w is None else w[rows], "validation_data": parts[1], "verbose": 0}
        history = other.fit(*parts[0][:2], epochs=9, callbacks=EarlyStopping(patience=3), **fit)
        assert run.losses.tolist() == history["loss"]
        assert run.val_losses.tolist() == history["val_loss"]
        assert run.best_epoch == int(np.argmin(history["val_loss"]))
        np.testing.assert_array_equal(mine.network.packed(), other.network.packed())


def test_rates_of_each_batch_replace_the_learning_rate():
    case = Case((4, 20, 3), n=23)
    X, y = case.data()
    mine, other = case.trainer(batch_size=5), case.trainer(batch_size=5, schedule=schedules.Cosine())
    history = other.fit(X, y, epochs=4, validation_data=(X, y), verbose=0)
    rates = case.learning_rate * schedules.Cosine()(np.arange(20) / 5, 4)
    data = mine._state.engine.data(X, y)
    run = Course(mine._state, data, data, epochs=4, rates=rates)
    assert run.advance(10)
    assert run.losses.tolist() == history["loss"]
    assert run.val_losses.tolist() == history["val_loss"]


def test_a_course_that_diverges_ends_with_the_best_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    trainer = Trainer([5, 30, 2], batch_size=8, learning_rate=1.0, **DIVERGES)
    data = trainer._state.engine.data(X, y)
    run = Course(trainer._state, data, data, epochs=2000)
    assert run.advance(60)
    assert run.diverged
    assert run.bad is not None
    assert not np.isfinite(run.bad[1])
    assert np.isfinite(run.losses).all()
    assert trainer.evaluate(X, y)["loss"] == run.val_losses[run.best_epoch] == run.val_losses.min()


def test_a_course_that_is_stopped_has_the_best_weights_so_far():
    case = Case((30, 64, 2), n=4000)
    X, y = case.data()
    trainer = case.trainer(batch_size=16)
    data = trainer._state.engine.data(X, y)
    run = Course(trainer._state, data, data, epochs=100_000)
    while not len(run.losses):
        assert not run.advance(0.05)
    run.stop()
    run.restore()
    assert run.finished
    assert run.advance(1)
    assert trainer.evaluate(X, y)["loss"] == run.val_losses.min()
