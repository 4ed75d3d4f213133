"""A divergence leaves what the epoch before left."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import Callback, DivergenceError, Trainer
from fastbp._training import passes, steps
from fastbp._training.run import Run
from tests.test_run import X, Y, weights_of

DIVERGES = {"activation": "identity", "output_activation": "identity", "epsilon": 0.5, "dtype": "float64", "seed": 0}


OPTIONS = [
    {"learning_rate": 1.0},
    {"learning_rate": 1.0, "dropout": 0.2},
    {"learning_rate": 0.5, "optimizer": "momentum"},
    {"learning_rate": 0.5, "optimizer": "nesterov", "dropout": 0.2},
]


def state(trainer) -> list[np.ndarray]:
    memory = trainer._state.memory
    return [weights_of(trainer), memory.first, memory.second, memory.steps, trainer._state.random]


def assert_same_state(a, b) -> None:
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("sizes", [[5, 4, 2], [5, 30, 2]], ids=str)  # both paths through the kernels
@pytest.mark.parametrize(("together", "seconds"), [(True, 0.1), (False, 0.1), (True, 0.0)])
def test_a_divergence_leaves_the_epoch_before(monkeypatch, sizes, options, together, seconds):
    """Of a call of the kernel for many epochs, of one for each epoch, and of calls for a block each."""
    for module in (passes, steps):
        monkeypatch.setattr(module, "CHUNK_SECONDS", seconds)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    diverged, stopped = (Trainer(sizes, batch_size=8, **DIVERGES, **options) for _ in range(2))
    with pytest.raises(DivergenceError, match="the weights are reset to those before that epoch") as error:
        diverged.fit(X, y, epochs=2000, verbose=0, callbacks=() if together else lambda *_: None)
    epoch = error.value.epoch
    assert epoch > 2
    stopped.fit(X, y, epochs=epoch - 1, verbose=0)
    assert diverged.history == stopped.history
    assert np.isfinite(weights_of(diverged)).all()
    assert_same_state(state(diverged), state(stopped))


def test_a_last_update_that_overflows_is_a_divergence():
    trainer = Trainer([3, 2], loss="absolute_error", learning_rate=1e38, **DIVERGES | {"dtype": "float32"})
    before = weights_of(trainer)
    for call in (trainer.train_on_batch, lambda X, y: trainer.fit(X, y, verbose=0)):
        with pytest.raises(DivergenceError, match="the largest weight became inf in epoch 1"):
            call(np.full((4, 3), 10.0), np.ones((4, 2)))
        np.testing.assert_array_equal(weights_of(trainer), before)
    assert trainer.epochs_trained == 0


@pytest.mark.parametrize("end", ["time", "Ctrl-C", "another exception"])
@pytest.mark.parametrize("overflows", [False, True])
def test_a_divergence_in_the_call_after_which_a_fit_ends_early_is_told(end, overflows):
    """Of the loss; of the weights, in an epoch's last update."""

    class Ends(Callback):
        def on_progress(self, trainer, done):
            if end != "time":
                raise KeyboardInterrupt if end == "Ctrl-C" else ZeroDivisionError

    options = {"loss": "absolute_error", "learning_rate": 1e38} if overflows else {"learning_rate": 1e3}
    options |= DIVERGES | {"dtype": "float32", "epsilon": 1.0, "batch_size": 64 if overflows else 8}
    scale = 100 if overflows else 1
    rng = np.random.default_rng(0)
    X, y = scale * rng.normal(size=(64, 5)), rng.normal(size=(64, 2))
    sizes = [5, 2] if overflows else [5, 4, 2]
    trainer = Trainer(sizes, **options)
    before = [array.copy() for array in state(trainer)]
    error = ZeroDivisionError if end == "another exception" else DivergenceError
    run, data = Run(trainer._state, trainer, [Ends()], 2000, 1e-9), trainer._intake.data("X", X, "y", y)
    with pytest.raises(error):
        run.over(data, 0, 2000)
    assert trainer.epochs_trained == 0
    assert_same_state(state(trainer), before)


def test_time_that_runs_out_hides_no_divergence():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64, 5)), rng.normal(size=(64, 2))
    options = DIVERGES | {"dtype": "float32", "epsilon": 1}
    trainer = Trainer([5, 4, 2], learning_rate=1e3, batch_size=8, **options)
    before = weights_of(trainer)
    with pytest.raises(DivergenceError, match="the loss became"):
        trainer.fit(X, y, epochs=2000, max_seconds=1e-9, verbose=0)
    np.testing.assert_array_equal(weights_of(trainer), before)


def test_an_overflow_in_an_epochs_last_update_belongs_to_that_epoch():
    """Though the kernel goes on into the next one, where the loss is the first to show it."""
    trainer = Trainer([3, 2], loss="absolute_error", learning_rate=1e38, **DIVERGES | {"dtype": "float32"})
    before = weights_of(trainer)
    with pytest.raises(DivergenceError, match="the largest weight became inf in epoch 1"):
        trainer.fit(np.full((4, 3), 10.0), np.ones((4, 2)), epochs=5, verbose=0)
    np.testing.assert_array_equal(weights_of(trainer), before)
    assert trainer.history["loss"] == []


def test_a_divergence_in_batches_leaves_the_epoch_before():
    trainer = Trainer([3, 9, 2], optimizer="adam", seed=0, activation="identity", output_activation="identity")
    good, bad = (X, Y), (1e25 * X, Y)
    trainer.fit([good, good], epochs=1, verbose=0)
    before = [array.copy() for array in state(trainer)]
    with pytest.raises(DivergenceError) as error:
        trainer.fit([good, bad], epochs=3, verbose=0)
    assert error.value.epoch == 2
    assert_same_state(state(trainer), before)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_validation_loss_that_is_not_finite_leaves_the_epoch_before(optimizer):
    trainer = Trainer([3, 2], optimizer=optimizer, seed=0, activation="identity", output_activation="identity")
    before = [array.copy() for array in state(trainer)]
    with pytest.raises(DivergenceError, match="the val_loss became inf in epoch 1"):
        trainer.fit(X, Y, validation_data=(1e30 * X, Y), epochs=3, verbose=0)
    assert_same_state(state(trainer), before)
    assert trainer.history["loss"] == []


def test_gradients_of_many_samples_are_not_half_a_sum():
    trainer = Trainer([3, 2], seed=0, output_activation="identity")
    many = np.ones((600, 3))
    many[300] = 1e30
    gradients = trainer.gradients(many, np.ones((600, 2)))
    assert not np.isfinite(gradients.loss)
    assert np.isnan(gradients.weights[0]).all()
