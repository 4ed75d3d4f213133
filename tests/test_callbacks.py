from __future__ import annotations

import contextlib
import copy
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp import Callback, DivergenceError, Trainer
from fastbp.callbacks import Checkpoint, CSVLogger, EarlyStopping, FunctionCallback, ReduceLROnPlateau

NAN, INF = math.nan, math.inf


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, trainer, epochs):
        self.calls.append(("begin", epochs))

    def on_progress(self, trainer, done):
        self.calls.append(("progress", done))

    def on_epoch_end(self, trainer, epoch, measured):
        self.calls.append(("epoch", epoch, sorted(measured)))

    def on_fit_end(self, trainer):
        self.calls.append(("end",))


def test_calls_in_order(xor):
    recorder = Recorder()
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=2, metrics=["mse"], validation_data=xor, callbacks=recorder, verbose=0)
    measured = ["loss", "mse", "val_loss", "val_mse"]
    assert recorder.calls == [
        ("begin", 2),
        ("progress", 1),
        ("epoch", 1, measured),
        ("progress", 2),
        ("epoch", 2, measured),
        ("end",),
    ]


def test_a_function_is_called_after_each_epoch_and_true_stops(xor):
    seen = []

    def stop_after_three(trainer, epoch, measured):
        seen.append((epoch, measured["loss"]))
        return epoch == 3

    trainer = Trainer([2, 2, 1], seed=0)
    history = trainer.fit(*xor, epochs=10, callbacks=[stop_after_three], verbose=0)
    assert seen == list(zip([1, 2, 3], history["loss"], strict=True))
    assert trainer.epochs_trained == 3


def test_a_callback_may_set_weights_and_the_learning_rate(xor):
    def freeze(trainer, epoch, measured):
        trainer.weights[0][...] = 0.5
        trainer.learning_rate = 1e-30

    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=3, callbacks=freeze, verbose=0)
    np.testing.assert_array_equal(trainer.weights[0], np.float32(0.5))


def test_watching_changes_nothing(xor):
    alone, watched = Trainer([2, 2, 1], seed=0), Trainer([2, 2, 1], seed=0)
    expected = alone.fit(*xor, epochs=5, verbose=0)
    history = watched.fit(*xor, epochs=5, callbacks=Recorder(), metrics="mse", verbose=0)
    assert history["loss"] == expected["loss"]
    np.testing.assert_array_equal(alone.weights[0], watched.weights[0])


def test_an_exception_in_a_callback_ends_the_fit_and_the_trainer_goes_on(xor):
    recorder = Recorder()

    def fail(trainer, epoch, measured):
        raise RuntimeError("mine")

    trainer = Trainer([2, 2, 1], seed=0)
    with pytest.raises(RuntimeError, match="mine"):
        trainer.fit(*xor, epochs=5, callbacks=[recorder, fail], verbose=0)
    assert recorder.calls[-1] == ("end",)
    assert trainer.epochs_trained == 1
    assert trainer.fit(*xor, verbose=0).epochs == [2]


def test_a_callback_that_fails_at_the_start_is_not_masked(xor):
    class Failing(Callback):
        def on_fit_begin(self, trainer, epochs):
            raise ValueError("mine")

    recorder = Recorder()
    with pytest.raises(ValueError, match="mine"):
        Trainer([2, 2, 1]).fit(*xor, callbacks=[recorder, Failing()], verbose=1)
    assert recorder.calls == [("begin", 1), ("end",)]


@pytest.mark.parametrize("wrong", [3, "early", [3], Callback, [Callback]])
def test_what_is_no_callback(xor, wrong):
    with pytest.raises(TypeError, match="callbacks: expected a Callback"):
        Trainer([2, 2, 1]).fit(*xor, callbacks=wrong, verbose=0)


class Stub:
    """As much of a trainer as callbacks see, with one weight."""

    dtype = np.dtype(np.float32)

    def __init__(self, learning_rate=1.0, optimizer="sgd", absolute=None):
        self.learning_rate = learning_rate
        self.optimizer = SimpleNamespace(name=optimizer)
        self.schedule = None if absolute is None else SimpleNamespace(absolute=absolute)
        self.weight = np.zeros(1)
        self.network = SimpleNamespace(parameters=lambda: [self.weight])
        self.saved = []

    def get_weights(self):
        return [self.weight.copy()]

    def save(self, path):
        self.saved.append(path)


def feed(callback, values, trainer=None, name="loss", first=1):
    """A fit that measures these values (or dicts of them), with weights equal to the epoch's number; its last epoch."""
    trainer = trainer or Stub()
    callback.on_fit_begin(trainer, len(values))
    try:
        for epoch, value in enumerate(values, first):
            trainer.weight[...] = epoch
            if callback.on_epoch_end(trainer, epoch, value if isinstance(value, dict) else {name: value}):
                break
    finally:
        callback.on_fit_end(trainer)
    return epoch


@pytest.mark.parametrize(
    ("options", "values", "stopped", "best_epoch"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 4, 2),
        ({"patience": 3}, [3, 2, 2, 2, 1], None, 5),
        ({"patience": 1}, [3, 2, 2], 3, 2),
        ({"patience": 2}, [3, 4, 2, 3, 1, 2, 2], 7, 5),  # epochs that are not better must be in a row
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.5, 1], 3, 1),  # the gains don't add up
        ({"patience": 2, "min_delta": 0.5}, [3, 2.4, 2, 2], 4, 2),
        ({"patience": 2, "mode": "max"}, [3, 2, 1], 3, 1),
        ({"patience": 2, "mode": "max", "min_delta": 0.5}, [1, 1.5, 1.6, 9], None, 4),
        ({"patience": 2}, [NAN, 3, NAN, NAN, 1], 4, 2),
        ({"patience": 2}, [NAN, NAN, 1], 2, None),
        ({"patience": 2}, [INF, INF, 1], 2, None),
    ],
)
def test_early_stopping(options, values, stopped, best_epoch):
    stopping, trainer = EarlyStopping(**options), Stub()
    last = feed(stopping, values, trainer)
    assert stopping.stopped_epoch == stopped
    assert last == (stopped or len(values))
    assert stopping.best_epoch == best_epoch
    assert stopping.best == (values[best_epoch - 1] if best_epoch else INF)
    assert trainer.weight == (best_epoch or last)


def test_best_weights_are_restored_only_if_asked_for():
    stopping, trainer = EarlyStopping(patience=2, restore_best_weights=False), Stub()
    assert feed(stopping, [1, 2, 3], trainer) == trainer.weight == 3


def test_best_weights_are_restored_also_where_nothing_stopped_the_fit():
    stopping, trainer = EarlyStopping(patience=9), Stub()
    feed(stopping, [2, 1, 3], trainer)
    assert (stopping.stopped_epoch, trainer.weight) == (None, 2)


def test_a_pickle_from_before_callbacks_were_a_package_loads():
    here = FunctionCallback.__module__.encode()
    for then in (b"fastbp._watch", b"fastbp.callbacks"):
        restored = pickle.loads(pickle.dumps(FunctionCallback(len), protocol=0).replace(here, then))
        assert isinstance(restored, FunctionCallback)
        assert restored.function is len


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
def test_every_fit_begins_anew(make):
    callback, once = make(monitor="loss"), make(monitor="loss")
    feed(callback, [1, 2, 0])
    feed(callback, [5, 7, 6], first=4)
    feed(once, [5, 7, 6], first=4)
    assert (callback.best, callback.best_epoch) == (5, 4)
    assert vars(callback) == vars(once)


def test_early_stopping_counts_anew_in_every_fit():
    stopping, trainer = EarlyStopping(patience=2), Stub()
    assert feed(stopping, [1, 2, 2, 2], trainer) == 3
    assert feed(stopping, [9, 9], trainer, first=4) == 5
    assert (stopping.stopped_epoch, trainer.weight) == (None, 4)
    assert feed(stopping, [NAN], trainer, first=6) == trainer.weight == 6  # the last fit's weights are forgotten


@pytest.mark.parametrize(
    ("name", "larger"),
    [
        *((name, False) for name in ("loss", "val_loss", "log_loss", "val_mse", "rmse", "mae", "max_error")),
        *((name, False) for name in ("mean_poisson_deviance", "accuracy_loss", "hinge-loss")),
        *((name, True) for name in ("accuracy", "val_balanced_accuracy", "top_3_accuracy", "precision", "recall")),
        *((name, True) for name in ("f1", "val_auc", "r2", "jaccard_score", "My_Accuracy", "acc")),
    ],
)
def test_auto_mode_goes_by_the_name(name, larger):
    stopping = EarlyStopping(name)
    feed(stopping, [1, 2, 0], name=name)
    assert stopping.best == (2 if larger else 0)


@pytest.mark.parametrize("name", ["kappa", "lossless", "farce", "val_gap", ""])
def test_a_name_that_does_not_say_wants_a_mode(name):
    with pytest.raises(ValueError, match=f"mode: expected 'min' or 'max' for '{name}', because the name .* got 'auto'"):
        EarlyStopping(name)
    stopping = EarlyStopping(name, mode="max")
    feed(stopping, [1, 2, 0], name=name)
    assert stopping.best == 2


def test_mode_overrides_the_name():
    stopping = EarlyStopping("accuracy", mode="min")
    feed(stopping, [1, 2, 0], name="accuracy")
    assert stopping.best == 0


def test_auto_watches_the_validation_loss_else_the_loss():
    stopping = EarlyStopping()
    feed(stopping, [{"loss": 3, "val_loss": 7}, {"loss": 4, "val_loss": 6}])
    assert stopping.best == 6
    feed(stopping, [{"loss": 3, "mse": 1}, {"loss": 4, "mse": 0}])
    assert stopping.best == 3


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau, lambda name: Checkpoint("x", name)])
def test_what_is_not_measured_is_not_to_be_watched(kind):
    measured = {"loss": 1, "accuracy": 2}
    with pytest.raises(ValueError, match=r"monitor: expected .* \(loss, accuracy\), got 'mse'$"):
        feed(kind("mse"), [measured])
    with pytest.raises(ValueError, match=r"got 'val_loss'; pass validation_data to fit"):
        feed(kind("val_loss"), [measured])


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (EarlyStopping, {"patience": 0}, ValueError, "patience: expected an integer ≥ 1, got 0"),
        (EarlyStopping, {"patience": 1.5}, TypeError, "patience: expected an integer ≥ 1"),
        (EarlyStopping, {"min_delta": -1}, ValueError, "min_delta: expected a finite number ≥ 0, got -1"),
        (EarlyStopping, {"mode": "maximum"}, ValueError, "mode: expected one of 'auto', 'max', 'min'"),
        (EarlyStopping, {"monitor": 3}, TypeError, "monitor: expected 'auto' or a measure's name, got 3"),
        (EarlyStopping, {"restore_best_weights": 1}, TypeError, "restore_best_weights: expected True or False"),
        (ReduceLROnPlateau, {"factor": 1}, ValueError, "factor: expected a number > 0 and < 1, got 1"),
        (ReduceLROnPlateau, {"factor": 0}, ValueError, "factor: expected a finite number > 0, got 0"),
        (ReduceLROnPlateau, {"patience": 0}, ValueError, "patience: expected an integer ≥ 1, got 0"),
        (ReduceLROnPlateau, {"cooldown": -1}, ValueError, "cooldown: expected an integer ≥ 0, got -1"),
        (ReduceLROnPlateau, {"min_learning_rate": -1}, ValueError, "min_learning_rate: expected a finite number ≥ 0"),
        (ReduceLROnPlateau, {"monitor": "gap"}, ValueError, "mode: expected 'min' or 'max' for 'gap'"),
        (Checkpoint, {"path": 3}, TypeError, "path: expected a path, got 3"),
        (Checkpoint, {"path": "x", "save_best_only": "yes"}, TypeError, "save_best_only: expected True or False"),
        (Checkpoint, {"path": "x", "keep": 0}, ValueError, "keep: expected an integer ≥ 1, got 0"),
        (Checkpoint, {"path": "x", "keep": 1.5}, TypeError, "keep: expected an integer ≥ 1, got 1.5"),
        (CSVLogger, {"path": None}, TypeError, "path: expected a path, got None"),
        (CSVLogger, {"path": "x", "separator": ", "}, ValueError, "separator: expected one character"),
        (CSVLogger, {"path": "x", "separator": "\n"}, ValueError, "separator: expected one character"),
        (CSVLogger, {"path": "x", "append": 1}, TypeError, "append: expected True or False"),
    ],
)
def test_bad_options(kind, options, error, message):
    with pytest.raises(error) as caught:
        kind(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 3, "factor": 0.5},
        {"patience": 2, "min_delta": 0.3},
        {"patience": 1, "cooldown": 2},
        {"patience": 3, "cooldown": 4, "min_delta": 0.1},
        {"patience": 1, "factor": 0.5, "min_learning_rate": 0.1},
    ],
    ids=str,
)
def test_the_learning_rate_falls_as_pytorch_has_it(mode, options):
    """PyTorch's patience is one less."""
    torch = pytest.importorskip("torch")
    options = {"factor": 0.1, "min_delta": 0.0, "cooldown": 0, "min_learning_rate": 0.0, **options}
    theirs = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs,
        mode,
        factor=options["factor"],
        patience=options["patience"] - 1,
        threshold=options["min_delta"],
        threshold_mode="abs",
        cooldown=options["cooldown"],
        min_lr=options["min_learning_rate"],
        eps=0,
    )
    trainer, ours = Stub(), ReduceLROnPlateau("loss", mode=mode, **options)
    ours.on_fit_begin(trainer, 40)
    rates = []
    for epoch, value in enumerate(np.random.default_rng(0).normal(size=40).tolist(), 1):
        plateau.step(value)
        ours.on_epoch_end(trainer, epoch, {"loss": value})
        assert trainer.learning_rate == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12), epoch
        rates.append(trainer.learning_rate)
    assert len(set(rates)) > 2


def test_the_learning_rate_falls_by_the_defaults():
    trainer = Stub()
    feed(ReduceLROnPlateau(), [1.0] + [0.99995] * 9, trainer)
    assert trainer.learning_rate == 1
    feed(ReduceLROnPlateau(), [1.0] + [0.99995] * 10, trainer)
    assert trainer.learning_rate == 0.1


def test_a_learning_rate_below_the_least_is_left_alone_and_none_rounds_to_zero():
    trainer = Stub(learning_rate=0.01)
    feed(ReduceLROnPlateau(patience=1, min_learning_rate=0.1), [1, 1, 1], trainer)
    assert trainer.learning_rate == 0.01
    feed(ReduceLROnPlateau(patience=1, factor=1e-30), [NAN] * 5, trainer)
    assert trainer.dtype.type(trainer.learning_rate) > 0


@pytest.mark.parametrize(
    ("options", "came"),
    [
        ({"optimizer": "lbfgs"}, "optimizer 'lbfgs', which has none"),
        ({"absolute": True}, "a schedule that sets it"),
        ({"absolute": False}, None),
    ],
)
def test_a_learning_rate_that_is_not_the_trainers_cannot_be_lowered(options, came):
    trainer, callback = Stub(**options), ReduceLROnPlateau(patience=1)
    if came is None:
        feed(callback, [1, 1], trainer)
        assert trainer.learning_rate == 0.1
    else:
        with pytest.raises(ValueError, match=f"callbacks: expected a learning rate .* to lower, got {came}"):
            callback.on_fit_begin(trainer, 1)


def test_the_trainer_takes_the_lower_learning_rate(xor):
    trainer = Trainer([2, 2, 1], learning_rate=0.5, seed=0)
    trainer.fit(*xor, epochs=4, callbacks=ReduceLROnPlateau(patience=1, min_delta=9, factor=0.5), verbose=0)
    assert trainer.learning_rate == 0.5**4  # the first epoch is better than none


def test_the_trainer_stops_early_with_its_best_weights_to_the_bit(xor):
    """A learning rate that jumps after epoch 5 makes it the best one."""

    def jump(trainer, epoch, measured):
        kept[epoch] = [view.copy() for view in trainer.network.parameters()]
        if epoch == 5:
            trainer.learning_rate = 100

    kept = {}
    trainer = Trainer([2, 4, 1], learning_rate=0.05, seed=0)
    stopping = EarlyStopping(patience=3)
    history = trainer.fit(*xor, epochs=20, validation_data=xor, callbacks=[jump, stopping], verbose=0)
    assert (stopping.best_epoch, stopping.stopped_epoch, history.epochs[-1]) == (5, 8, 8)
    assert stopping.best == min(history["val_loss"]) == trainer.evaluate(*xor)["loss"]
    for ours, best, last in zip(trainer.network.parameters(), kept[5], kept[8], strict=True):
        np.testing.assert_array_equal(ours, best)
        assert (ours != last).any()


@pytest.mark.parametrize("error", [DivergenceError, KeyboardInterrupt, RuntimeError])
def test_the_best_weights_come_back_also_where_the_fit_fails(xor, error):
    def spoil(trainer, epoch, measured):
        if epoch == 3:
            kept.extend(view.copy() for view in trainer.network.parameters())
            trainer.weights[1][...] = 1e30
            if error is not DivergenceError:
                raise error

    kept = []
    trainer = Trainer([2, 4, 1], learning_rate=0.05, seed=0)
    stopping = EarlyStopping()
    with contextlib.nullcontext() if error is KeyboardInterrupt else pytest.raises(error):
        trainer.fit(*xor, epochs=9, callbacks=[stopping, spoil], verbose=0)
    assert stopping.best_epoch == 3
    for ours, best in zip(trainer.network.parameters(), kept, strict=True):
        np.testing.assert_array_equal(ours, best)


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda: Checkpoint("x"), lambda: CSVLogger("x")])
def test_callbacks_can_be_copied(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = make()
    feed(callback, [1, 2])
    assert vars(copy.deepcopy(callback)) == vars(callback)


def test_a_training_that_is_over_begins_no_epoch(xor):
    class Over(Callback):
        def on_fit_begin(self, trainer, epochs):
            trainer.stop_training = True

    recorder = Recorder()
    assert Trainer([2, 2, 1]).fit(*xor, epochs=3, callbacks=[Over(), recorder], verbose=0).epochs == []
    assert recorder.calls == [("begin", 3), ("end",)]


WATCHES = [EarlyStopping, ReduceLROnPlateau, lambda *arguments, **options: Checkpoint("{epoch}", *arguments, **options)]


@pytest.mark.parametrize("make", WATCHES)
def test_a_state_goes_on_in_another_callback(make):
    values = [4, 3, 3.5, 2, 2.5, 2.5, 5]
    whole, first, second = make(), make(), make()
    feed(whole, values)
    feed(first, values[:3])
    second.load_state_dict(first.state_dict())
    feed(second, values[3:], first=4)
    assert second.best == 2
    assert second.best_epoch == 4
    assert repr(second.state_dict()) == repr(whole.state_dict())
    feed(second, [9], first=8)  # a fit that doesn't go on
    assert second.best == (2 if isinstance(second, Checkpoint) else 9)


@pytest.mark.parametrize("make", WATCHES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"best": "0"}, "state: expected a best that"),
        ({"best": True}, "state: expected a best that"),
        ({"best_epoch": 1.0}, "state: expected a best_epoch that"),
        ({"best_epoch": -1}, "state: expected a best_epoch that"),
        ({"measure": 3}, "state: expected a measure that"),
        ({"more": 3}, "state: expected what .*state_dict returns, got the fields"),
        (
            {"monitor": "val_loss"},
            "callbacks: expected a .* with monitor='val_loss', as in the training that continues",
        ),
        ({"mode": "min"}, "callbacks: expected a .* with mode='min'"),
    ],
)
def test_a_state_of_another_kind_is_refused(make, change, message):
    callback = make()
    with pytest.raises(ValueError, match=message):
        callback.load_state_dict(make().state_dict() | change)
    assert vars(callback) == vars(make())


def test_a_training_with_more_patience_goes_on_from_the_last_weights():
    stopping, trainer = EarlyStopping(patience=2), Stub()
    feed(stopping, [1, 2, 3], trainer)
    assert trainer.weight == 1
    more = EarlyStopping(patience=3)
    more.load_state_dict(stopping.state_dict())
    more.on_fit_begin(trainer, 1)
    assert trainer.weight == 3
    more.on_fit_end(trainer)
    assert trainer.weight == 1


def test_weights_of_another_network_are_refused(xor):
    given = Trainer([2, 3, 1], seed=0)
    stopping = EarlyStopping()
    given.fit(*xor, epochs=3, callbacks=[stopping, lambda trainer, *_: trainer.set_weights(trainer.get_weights())])
    other = Trainer([2, 2, 1], seed=0)
    other._state.callback_states = [
        ("EarlyStopping", {**stopping.state_dict(), "weights": given.get_weights(), "restored": False})
    ]
    with pytest.raises(ValueError, match="callbacks: expected the state of a training of this network"):
        other.fit(*xor, epochs=4, initial_epoch=3, callbacks=EarlyStopping(), verbose=0)


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_another_measure_has_another_best(kind):
    callback = kind()
    callback.on_fit_begin(Stub(), 2)
    callback.on_epoch_end(Stub(), 1, {"loss": 1, "val_loss": 0.1})
    callback.on_epoch_end(Stub(), 2, {"loss": 0.5})
    assert (callback.best, callback.best_epoch) == (0.5, 2)


def test_a_pickle_of_an_old_callback_keeps_its_best():
    watch = EarlyStopping("loss")
    state = vars(watch) | {"best": 0.25, "best_epoch": 3}
    del state["_goes_on"], state["_restored"]  # which 0.1.0 didn't have
    old = EarlyStopping.__new__(EarlyStopping)
    old.__setstate__(state)
    assert (old.best, old.best_epoch, old.stopped_epoch) == (0.25, 3, None)
    Trainer([1, 1]).fit([[1.0]], [0.5], epochs=2, callbacks=old, verbose=0)
    assert old.best_epoch in (1, 2)
