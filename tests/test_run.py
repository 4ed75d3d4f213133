"""Passes over the samples: schedules, time, single batches, L-BFGS; every option of training does something."""

from __future__ import annotations

import copy
import itertools
import pickle
import time

import numpy as np
import pytest

from fastbp import Callback, ReduceLROnPlateau, Stream, Trainer, optimizers, schedules
from fastbp._training import steps
from fastbp._training.run import Run

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)).astype("f"), RNG.normal(size=(50, 2)).astype("f")


def trained(epochs=3, **options) -> Trainer:
    options = {"activation": "tanh", "batch_size": 8, "seed": 0, "epsilon": 0.5} | options
    trainer = Trainer([3, 40, 2], **options)
    trainer.fit(X, Y, epochs=epochs, verbose=0)
    return trainer


def weights_of(trainer: Trainer) -> np.ndarray:
    return np.concatenate([w.ravel() for w in trainer.get_weights()])


OPTIONS = [
    *({"optimizer": name} for name in optimizers.OPTIMIZERS if name != "sgd"),
    {"optimizer": optimizers.Adam(beta_1=0.5), "learning_rate": 0.01},
    {"optimizer": optimizers.Adam(beta_2=0.5), "learning_rate": 0.01},
    {"optimizer": optimizers.Adam(epsilon=0.1), "learning_rate": 0.01},
    {"optimizer": optimizers.SGD(weight_decay=0.1)},
    {"optimizer": optimizers.RMSprop(rho=0.5)},
    {"schedule": "cosine"},
    {"initializer": "he"},
    {"dropout": 0.5},
    {"l1": 1e-3},
    {"l2": 1e-3},
    {"clip_value": 1e-3},
    {"clip_norm": 1e-2},
    {"max_norm": 0.1},
]


def test_no_option_is_ignored():
    results = [trained(), *(trained(**options) for options in OPTIONS)]
    rows = np.array([weights_of(trainer) for trainer in results])
    assert np.isfinite(rows).all()
    distances = np.abs(rows[:, None] - rows[None]).max(axis=2)
    np.fill_diagonal(distances, 1)
    assert distances.min() > 1e-5


STARTS_ANEW = ({"optimizer": "lbfgs"}, {"schedule": "cosine"})  # with every fit


@pytest.mark.parametrize("options", [options for options in OPTIONS if options not in STARTS_ANEW], ids=str)
def test_the_optimizers_state_is_kept_from_fit_to_fit_and_in_a_copy(options):
    whole, parts = trained(4, **options), trained(2, **options)
    copied = pickle.loads(pickle.dumps(parts))
    for trainer in (parts, copied):
        trainer.fit(X, Y, epochs=2, verbose=0)
        np.testing.assert_array_equal(weights_of(trainer), weights_of(whole))


def test_penalties_are_in_the_loss():
    plain, penalised = Trainer([3, 4, 2], seed=0), Trainer([3, 4, 2], seed=0, l1=0.5, l2=0.25)
    penalty = sum(0.5 * np.abs(w).sum() + 0.125 * (w**2).sum() for w in plain.weights)
    first = penalised.fit(X, Y, verbose=0)["loss"][0]
    assert penalty > 0.1
    np.testing.assert_allclose(
        Trainer([3, 4, 2], seed=0, l1=0.5, l2=0.25).evaluate(X, Y)["loss"],
        plain.evaluate(X, Y)["loss"] + penalty,
        rtol=1e-5,
    )
    one_batch = Trainer([3, 4, 2], seed=0, l1=0.5, l2=0.25, batch_size=50)
    np.testing.assert_allclose(
        one_batch.fit(X, Y, verbose=0)["loss"][0], plain.evaluate(X, Y)["loss"] + penalty, rtol=1e-5
    )
    assert first > plain.evaluate(X, Y)["loss"]


def test_max_norm_bounds_the_weights_into_every_unit():
    for sizes in ([3, 40, 2], [3, 3, 2]):
        trainer = Trainer(sizes, max_norm=0.25, learning_rate=1, epsilon=1, seed=0)
        trainer.fit(X, Y, verbose=0)
        norms = np.concatenate([np.linalg.norm(theta, axis=1) for theta in trainer.weights])
        assert norms.max() <= 0.25 * (1 + 1e-6)
        assert norms.max() > 0.24


def test_dropout_leaves_prediction_alone():
    trainer = trained(dropout=0.5)
    plain = Trainer([3, 40, 2], activation="tanh")
    plain.set_weights(trainer.get_weights())
    np.testing.assert_allclose(trainer.predict(X), plain.predict(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        trainer.gradients(X, Y).weights[0], plain.gradients(X, Y).weights[0], rtol=1e-3, atol=1e-6
    )


def test_a_schedule_is_followed_batch_by_batch():
    by_schedule = trained(4, schedule=schedules.StepDecay(every=2, factor=0.5), learning_rate=0.2)
    by_hand = trained(2, learning_rate=0.2)
    by_hand.learning_rate = 0.1
    by_hand.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_allclose(weights_of(by_schedule), weights_of(by_hand), rtol=1e-6)
    assert by_schedule.history["learning_rate"] == [0.2, 0.2, 0.1, 0.1]


def test_a_function_of_the_epoch_gives_eta_itself():
    by_function = trained(2, schedule=lambda epoch: [0.3, 0.05][epoch], learning_rate=9)
    by_hand = trained(1, learning_rate=0.3)
    by_hand.learning_rate = 0.05
    by_hand.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(weights_of(by_function), weights_of(by_hand))


def test_time_is_limited():
    trainer = Trainer([3, 40, 2], seed=0)
    started = time.monotonic()
    history = trainer.fit(X, Y, epochs=10**9, max_seconds=0.2, verbose=0)
    assert 0.2 <= time.monotonic() - started < 60
    assert not history.interrupted
    assert len(history.epochs) > 1
    started = time.monotonic()
    trainer.fit(X, Y, epochs=10**9, validation_data=(X, Y), max_seconds=0.2, verbose=0)
    assert time.monotonic() - started < 60
    with pytest.raises(ValueError, match="max_seconds: expected a finite number > 0, got 0"):
        trainer.fit(X, Y, max_seconds=0)


@pytest.mark.parametrize("options", [{}, {"optimizer": "adam"}, {"dropout": 0.2}, {"schedule": "cosine"}], ids=str)
def test_settings_from_an_earlier_call_are_used_only_while_they_are_right(options):
    """A pickle has none, so each step of a restored trainer makes its own."""
    kept = trained(**options)
    for change in ({"learning_rate": 0.3}, {}, {"batch_size": 4}, {"learning_rate": 0.1}, {"shuffle": False}):
        for name, value in change.items():
            setattr(kept, name, value)
        fresh = pickle.loads(pickle.dumps(kept))
        for method, data in (("fit", (X, Y)), ("train_on_batch", (X[:7], Y[:7])), ("fit", (X[:5], Y[:5]))):
            arguments = {"epochs": 1, "verbose": 0} if method == "fit" else {}
            assert getattr(kept, method)(*data, **arguments) == getattr(fresh, method)(*data, **arguments)
            np.testing.assert_array_equal(weights_of(kept), weights_of(fresh))
            fresh = pickle.loads(pickle.dumps(fresh))


def test_settings_that_stay_are_the_same_object():
    """The engine then has nothing to write into its records."""
    state = trained()._state
    step, progress = steps.constant_step(state, 8, 0.1), steps.start_of(state, 1)
    assert steps.constant_step(state, 8, 0.1) is step
    assert steps.start_of(state, 1) is progress
    for other in ((8, 0.2), (7, 0.2)):
        before, step = step, steps.constant_step(state, *other)
        assert step is not before
        assert (step.batch_size, *step.rates) == other
    state.dropout_seed += 1
    assert steps.constant_step(state, *other).seed == state.dropout_seed
    assert steps.start_of(state, 2) is not progress


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))])
def test_a_copy_has_its_own_progress(clone):
    """A copy may train in another thread."""
    trainer = trained(epochs=1)
    assert steps.start_of(clone(trainer)._state, 1) is not steps.start_of(trainer._state, 1)


def test_an_epoch_after_an_interrupted_one_begins_at_its_beginning(monkeypatch):
    class Interrupts(Callback):
        def on_progress(self, trainer, done):
            raise KeyboardInterrupt

    monkeypatch.setattr(steps, "FIRST_CHUNK", 1)  # a call for each block
    trainer = trained(epochs=1)
    assert trainer.fit(X, Y, verbose=0, callbacks=Interrupts()).interrupted
    fresh = pickle.loads(pickle.dumps(trainer))
    assert trainer.fit(X, Y, verbose=0) == fresh.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(weights_of(trainer), weights_of(fresh))


@pytest.mark.parametrize("rows", [48, 50])
def test_training_on_single_batches_is_training(rows):
    """The bits are the same, unless the last batch has at most four rows: alone, it goes through another kernel."""
    whole = Trainer([3, 40, 2], activation="tanh", batch_size=8, seed=0, epsilon=0.5, shuffle=False)
    whole.fit(X[:rows], Y[:rows], verbose=0)
    single = Trainer([3, 40, 2], activation="tanh", batch_size=8, seed=0, epsilon=0.5)
    losses = [single.train_on_batch(X[i : min(i + 8, rows)], Y[i : min(i + 8, rows)]) for i in range(0, rows, 8)]
    np.testing.assert_allclose(weights_of(single), weights_of(whole), rtol=0, atol=0 if rows == 48 else 1e-6)
    assert single.epochs_trained == 0
    np.testing.assert_allclose(
        np.average(losses, weights=[8] * 6 + [2] * (rows > 48)), whole.history["loss"][0], rtol=1e-5
    )


def test_a_callback_may_stop_training_by_an_attribute():
    trainer = Trainer([3, 4, 2], seed=0)

    def stop(trainer, epoch, measured):
        trainer.stop_training = epoch == 3

    assert trainer.fit(X, Y, epochs=9, callbacks=stop, verbose=0).epochs == [1, 2, 3]
    assert trainer.fit(X, Y, epochs=2, verbose=0).epochs == [4, 5]


def test_a_fit_that_is_refused_leaves_the_stop_of_the_one_that_runs():
    trainer = Trainer([3, 4, 2], seed=0)

    def stop(*_):
        trainer.stop_training = trainer.history.interrupted = True
        with pytest.raises(RuntimeError, match="is already being trained"):
            trainer.fit(X, Y, verbose=0)
        assert trainer.history.interrupted

    assert trainer.fit(X, Y, epochs=9, callbacks=stop, verbose=0).epochs == [1]


def test_weights_are_got_and_set():
    a, b = Trainer([3, 4, 2], seed=0), Trainer([3, 4, 2], seed=1)
    b.set_weights(a.get_weights())
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    a.get_weights()[0][...] = 7
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    with pytest.raises(ValueError, match=r"weights\[1\]: expected shape \(4,\), got \(3,\)"):
        a.set_weights([a.weights[0], np.zeros(3), a.weights[1], a.biases[1]])
    with pytest.raises(ValueError, match="weights: expected 4 arrays, got 1"):
        a.set_weights([a.weights[0]])
    with pytest.raises(ValueError, match=r"weights\[2\]: expected numbers within float32's range, got larger ones"):
        a.set_weights([np.zeros((4, 3)), np.zeros(4), np.full((2, 4), -1e300), np.zeros(2)])
    np.testing.assert_array_equal(weights_of(a)[-2:], weights_of(b)[-2:])
    assert a.weights[1].any()


def test_lbfgs_finds_what_least_squares_finds():
    pytest.importorskip("scipy")
    trainer = Trainer([3, 2], optimizer="lbfgs", dtype="float64")
    history = trainer.fit(X, Y, epochs=100, verbose=0)
    solution, *_ = np.linalg.lstsq(np.c_[X, np.ones(50)].astype(float), Y.astype(float), rcond=None)
    np.testing.assert_allclose(trainer.weights[0], solution[:3].T, atol=1e-4)
    np.testing.assert_allclose(trainer.biases[0], solution[3], atol=1e-4)
    assert 1 < len(history.epochs) < 50
    assert history["loss"] == sorted(history["loss"], reverse=True)
    np.testing.assert_allclose(history["loss"][-1], trainer.evaluate(X, Y)["loss"], rtol=1e-9)


def test_lbfgs_is_stopped_and_watched_as_other_optimizers():
    pytest.importorskip("scipy")
    trainer = Trainer([3, 9, 2], optimizer=optimizers.LBFGS(memory=5), l2=1e-3, seed=0)
    history = trainer.fit(X, Y, epochs=50, callbacks=lambda *a: a[1] == 4, validation_data=(X, Y), verbose=0)
    assert history.epochs == [1, 2, 3, 4]
    assert history["val_loss"] == pytest.approx(history["loss"], rel=1e-5)
    with pytest.raises(ValueError, match=r"dropout: expected nothing with optimizer='lbfgs', got 0\.5"):
        Trainer([3, 9, 2], optimizer="lbfgs", dropout=0.5)


def test_copies_of_trainers_train_apart():
    trainer = trained(optimizer="adam")
    other = copy.deepcopy(trainer)
    other.fit(X, Y, epochs=3, verbose=0)
    again = copy.deepcopy(trainer)
    again.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(weights_of(other), weights_of(again))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda t: t.fit([(X, Y)], verbose=0),
            "optimizer: expected one that trains in batches, because X is an iterable of batches",
        ),
        (
            lambda t: t.train_on_batch(X, Y),
            "optimizer: expected one that trains in batches, because train_on_batch is called",
        ),
        (
            lambda t: Trainer([3, 2], optimizer="lbfgs", learning_rate=1),
            "learning_rate: expected nothing with optimizer",
        ),
    ],
)
def test_what_lbfgs_has_no_use_for(use, message):
    with pytest.raises(ValueError, match=message):
        use(Trainer([3, 2], optimizer="lbfgs"))


def test_weights_that_a_callback_sets_last_stay_with_lbfgs():
    trainer = Trainer([3, 2], optimizer="lbfgs", seed=0)
    first = trainer.get_weights()

    def back(trainer, epoch, measured):
        trainer.set_weights(first)
        return epoch == 3

    trainer.fit(X, Y, epochs=9, callbacks=back, verbose=0)
    np.testing.assert_array_equal(weights_of(trainer), np.concatenate([w.ravel() for w in first]))


def test_an_end_during_a_line_search_leaves_the_weights_before_it():
    pytest.importorskip("scipy")
    trainer = Trainer([3, 9, 2], optimizer="lbfgs", dtype="float64", seed=0)
    tried = []

    class Ends(Callback):
        def on_progress(self, trainer, done):
            tried.append(weights_of(trainer))
            if done == 3:  # the first weights that the fourth iteration tries
                raise KeyboardInterrupt

    trainer.fit(X, Y, epochs=9, callbacks=Ends(), verbose=0)
    assert (weights_of(trainer) != tried[-1]).any()
    np.testing.assert_allclose(trainer.evaluate(X, Y)["loss"], trainer.history["loss"][2], rtol=1e-12)


def test_schedules_go_batch_by_batch_over_a_list_of_batches_too():
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 50, 8)]
    whole = trained(2, schedule="cosine", shuffle=False)
    listed = Trainer([3, 40, 2], activation="tanh", seed=0, epsilon=0.5, schedule="cosine")
    listed.fit(batches, epochs=2, verbose=0)
    np.testing.assert_allclose(weights_of(listed), weights_of(whole), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(schedules.SCHEDULES) - {"constant"}))
def test_the_rate_of_a_batch_is_that_of_the_epochs_batches_to_the_bit(name):
    trainer = Trainer([3, 2], schedule=name, learning_rate=0.3)
    run = Run(trainer._state, trainer, [], 7)
    for n in (1, 13, 1000):
        together = run.rates(3, n)
        assert together.shape == (n,)
        np.testing.assert_array_equal(np.concatenate([run.rates(3, n, np.array([k])) for k in range(n)]), together)


def test_an_epoch_of_batches_may_be_without_end():
    trainer = Trainer([3, 2], seed=0, schedule="cosine")
    before = weights_of(trainer)
    history = trainer.fit(itertools.repeat((X, Y)), steps=10**13, max_seconds=0.02, verbose=0)
    assert history["loss"] == []
    assert np.abs(weights_of(trainer) - before).max() > 0


def test_a_memory_of_lbfgs_beyond_the_machines_is_refused():
    trainer = Trainer([3, 2], optimizer=optimizers.LBFGS(memory=10**9))
    with pytest.raises(
        MemoryError, match=r"memory: expected what fits .* got one of 1,000,000,000 past steps that needs"
    ):
        trainer.fit(X, Y, verbose=0)


def test_a_lowered_learning_rate_is_in_the_history():
    trainer = Trainer([3, 4, 2], seed=0, learning_rate=0.1)
    callback = ReduceLROnPlateau(factor=0.5, patience=1, min_delta=10)
    history = trainer.fit(X, Y, epochs=4, callbacks=callback, verbose=0)
    assert history["learning_rate"][0] == 0.1
    assert history["learning_rate"][-1] < 0.1


def by_stream():
    return {"X": Stream(lambda: [(X, Y)], rows=50)}


def by_batches():
    return {"X": [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 50, 8)]}


@pytest.mark.parametrize("source", [lambda: {"X": X, "y": Y}, by_stream, by_batches])
@pytest.mark.parametrize("schedule", ["cosine", lambda epoch: 0.1 / (1 + epoch)])
def test_a_schedule_goes_on_from_the_initial_epoch(source, schedule):
    whole, parts = (Trainer([3, 9, 2], batch_size=8, seed=0, schedule=schedule) for _ in range(2))
    whole.fit(**source(), epochs=7, verbose=0)
    parts.fit(**source(), epochs=7, callbacks=lambda trainer, epoch, _: epoch == 3, verbose=0)
    assert parts.fit(**source(), epochs=7, initial_epoch=3, verbose=0).epochs == [4, 5, 6, 7]
    np.testing.assert_array_equal(weights_of(parts), weights_of(whole))
    assert parts.history == whole.history


@pytest.mark.parametrize("value", [-1, 1.5, "2", None])
def test_an_initial_epoch_is_a_number_of_epochs(value):
    with pytest.raises((ValueError, TypeError), match="initial_epoch: expected an integer"):
        Trainer([3, 2]).fit(X, Y, initial_epoch=value, verbose=0)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_no_epoch_is_left_after_the_last(optimizer):
    trainer = Trainer([3, 2], optimizer=optimizer, seed=0)
    before = weights_of(trainer)
    assert trainer.fit(X, Y, epochs=3, initial_epoch=3, verbose=0).epochs == []
    assert trainer.fit(X, Y, epochs=3, initial_epoch=5, verbose=0).epochs == []
    np.testing.assert_array_equal(weights_of(trainer), before)
