"""Signals and exceptions in the middle of a fit: weights of a finished batch, a history that fits."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import numpy as np
import pytest

from fastbp import DivergenceError, Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 5)).astype("f"), RNG.uniform(size=(64, 2)).astype("f")
LONG = {"epochs": 10**9, "max_seconds": 60, "verbose": 0}


class Terminated(Exception):
    pass


@pytest.fixture
def handlers():
    """SIGTERM raises, as in a script that wants to tidy up; SIGINT does what Ctrl-C does, also where it was ignored."""

    def raises(*_):
        raise Terminated

    before = [
        (number, signal.signal(number, handler))
        for number, handler in ((signal.SIGTERM, raises), (signal.SIGINT, signal.default_int_handler))
    ]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def send(number: int, seconds: float) -> None:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def new_trainer(sizes, **options) -> Trainer:
    return Trainer(sizes, batch_size=64, learning_rate=0.01, seed=0, **options)


def assert_same_weights(a: Trainer, b: Trainer) -> None:
    for mine, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("options", [{}, {"n_threads": 2}, {"optimizer": "adam", "dropout": 0.3}], ids=str)
@pytest.mark.parametrize("sizes", [(5, 4, 2), (5, 90, 2)], ids=str)  # both paths through the kernels
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_fit_after_whole_batches(handlers, number, sizes, options):
    """Each batch is an epoch here, so that as many epochs of another fit give the same weights."""
    new_trainer(sizes, **options).fit(X, Y, verbose=0)  # compiles
    trainer = new_trainer(sizes, **options)
    send(number, 0.1)
    if number == signal.SIGINT:
        history = trainer.fit(X, Y, **LONG)
        assert history.interrupted
    else:
        with pytest.raises(Terminated):
            trainer.fit(X, Y, **LONG)
    epochs = trainer.epochs_trained
    assert 0 < epochs == len(trainer.history["loss"])
    twin = new_trainer(sizes, **options)
    twin.fit(X, Y, epochs=epochs, verbose=0)
    assert_same_weights(trainer, twin)
    assert trainer.history == twin.history
    for one in (trainer, twin):
        one.fit(X, Y, epochs=2, verbose=0)
    assert_same_weights(trainer, twin)


def test_an_exception_in_a_callback_leaves_the_epoch_that_it_was_told_of():
    def fails(trainer, epoch, measured):
        if epoch == 3:
            raise Terminated

    trainer, twin = new_trainer((5, 4, 2)), new_trainer((5, 4, 2))
    with pytest.raises(Terminated):
        trainer.fit(X, Y, epochs=10, callbacks=fails, verbose=0)
    twin.fit(X, Y, epochs=3, verbose=0)
    assert_same_weights(trainer, twin)
    assert trainer.history == twin.history
    for one in (trainer, twin):
        one.fit(X, Y, epochs=2, verbose=0)
    assert_same_weights(trainer, twin)


@pytest.mark.filterwarnings("ignore:X\\[")  # they are far from unit scale
@pytest.mark.parametrize("scale", [1e30, 1e-40])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "silu"])
def test_extreme_inputs_give_finite_numbers_or_a_divergence(activation, scale):
    """1e30, denormals and a constant column: never a silent NaN."""
    extreme = X * np.float32(scale)
    extreme[:, 0] = 1
    for sizes in ((5, 4, 2), (5, 90, 2)):
        trainer = Trainer(sizes, activation=activation, seed=0)
        with suppress(DivergenceError):
            trainer.fit(extreme, Y, epochs=3, verbose=0)
        assert all(np.isfinite(values).all() for values in trainer.get_weights())
        assert np.isfinite(trainer.history["loss"]).all()
