from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from fastbp import Callback, Trainer, callbacks


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


def test_silent(xor, capsys):
    Trainer([2, 2, 1]).fit(*xor, epochs=3, metrics=["mse"], verbose=0)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("verbose", ["auto", 2])
def test_a_line_an_epoch_where_there_is_no_terminal(xor, capsys, verbose):
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=1, verbose=0)
    trainer.fit(*xor, epochs=3, metrics=["mse"], verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d\.\d+", "x", line) for line in lines] == [f"epoch {e}/4  loss x  mse x" for e in (2, 3, 4)]


@pytest.mark.parametrize("terminal", [True, False])
def test_auto_takes_the_bar_in_a_terminal(monkeypatch, terminal):
    monkeypatch.setattr(callbacks, "interactive", lambda: terminal)
    kind = callbacks.ProgressBar if terminal else callbacks.EpochLines
    assert [type(c) for c in callbacks.progress("auto")] == [kind]


def test_auto_falls_back_to_lines_without_tqdm_and_a_bar_asked_for_says_what_to_install(monkeypatch, xor):
    monkeypatch.setattr(callbacks, "interactive", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert [type(c) for c in callbacks.progress("auto")] == [callbacks.EpochLines]
    with pytest.raises(ImportError, match=r"fastbp\[progress\]"):
        Trainer([2, 2, 1]).fit(*xor, verbose=1)


def test_bar_shows_epochs_and_measures_in_eighty_columns(xor, capsys):
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=30, verbose=0)
    trainer.fit(*xor, epochs=30, metrics=["mse"], validation_data=xor, verbose=1)
    frames = capsys.readouterr().err.split("\r")
    assert frames[1].startswith("epoch 30/60")
    last = frames[-1].rstrip()
    assert re.fullmatch(
        r"epoch 60/60 ██████ 00:\d\d, loss 0\.\d{4} \(val 0\.\d{4}\) mse 0\.\d{4} \(val 0\.\d{4}\)", last
    ), last
    assert len(last) < 80


def test_a_callback_that_fails_at_the_start_is_not_masked(xor):
    class Failing(Callback):
        def on_fit_begin(self, trainer, epochs):
            raise ValueError("mine")

    recorder = Recorder()
    with pytest.raises(ValueError, match="mine"):
        Trainer([2, 2, 1]).fit(*xor, callbacks=[recorder, Failing()], verbose=1)
    assert recorder.calls == [("begin", 1), ("end",)]


@pytest.mark.parametrize("verbose", [3, -1, "loud", None, 0.5, [1]])
def test_unknown_verbose(xor, verbose):
    with pytest.raises(ValueError, match="verbose: expected 'auto', 0 "):
        Trainer([2, 2, 1]).fit(*xor, verbose=verbose)


@pytest.mark.parametrize("wrong", [3, "early", [3], Callback, [Callback]])
def test_what_is_no_callback(xor, wrong):
    with pytest.raises(TypeError, match="callbacks: expected a Callback"):
        Trainer([2, 2, 1]).fit(*xor, callbacks=wrong, verbose=0)
