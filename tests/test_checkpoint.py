"""Saved and loaded trainers go on to the bit; a failure leaves the old file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastbp import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ModelFileError,
    ReduceLROnPlateau,
    Trainer,
    fit_many,
    losses,
    optimizers,
    schedules,
)
from tests.test_run import OPTIONS, X, Y, weights_of

WITH_LOSSES = [
    {"loss": losses.Huber(0.5)},
    {"loss": losses.Quantile([0.2, 0.8])},
    {"use_bias": False},
    {"dtype": "float64"},
    {"shuffle": False},
]


@pytest.mark.parametrize("options", [*OPTIONS, *WITH_LOSSES], ids=str)
def test_training_goes_on_to_the_bit(options, tmp_path):
    trainer = Trainer([3, 40, 7, 2], activation=["tanh", "relu"], batch_size=8, seed=0, epsilon=0.5, **options)
    trainer.fit(X, Y, epochs=2, verbose=0)
    trainer.save(tmp_path / "model.npz")
    other = Trainer.load(tmp_path / "model.npz")
    assert repr(other) == repr(trainer)
    assert other.history == trainer.history
    assert other.history.epochs == trainer.history.epochs
    assert (other.optimizer, other.schedule, other.dropout) == (trainer.optimizer, trainer.schedule, trainer.dropout)
    for t in (trainer, other):
        t.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(weights_of(other), weights_of(trainer))
    assert other.history == trainer.history


@pytest.mark.parametrize("epsilon", ["auto", 0.3])
def test_a_file_keeps_epsilon(epsilon, tmp_path):
    trainer = Trainer([3, 4, 2], epsilon=epsilon)
    trainer.save(tmp_path / "model.npz")
    assert Trainer.load(tmp_path / "model.npz").epsilon == trainer.epsilon == epsilon


RESUME = """
import sys
import numpy as np
from fastbp import Trainer
data = np.load(sys.argv[1])
for path in sys.argv[2:]:
    trainer = Trainer.load(path)
    trainer.fit(data["X"], data["Y"], epochs=13, verbose=0)
    trainer.save(path)
"""


def test_training_goes_on_to_the_bit_in_another_process(tmp_path):
    """20 epochs are 7 and 13, for every optimizer but L-BFGS, whose memory of a search is scipy's."""
    names = [name for name in optimizers.OPTIMIZERS if name != "lbfgs"]
    np.savez(tmp_path / "data.npz", X=X, Y=Y)
    whole = {}
    for name in names:
        whole[name], half = (
            Trainer([3, 40, 2], optimizer=name, dropout=0.3, batch_size=8, seed=0, n_threads=n) for n in (1, 2)
        )
        whole[name].fit(X, Y, epochs=20, verbose=0)
        half.fit(X, Y, epochs=7, verbose=0)
        half.save(tmp_path / name)
    paths = [str(tmp_path / name) for name in ("data.npz", *names)]
    subprocess.run([sys.executable, "-c", RESUME, *paths], check=True)
    for name in names:
        resumed = Trainer.load(tmp_path / name)
        np.testing.assert_array_equal(weights_of(resumed), weights_of(whole[name]))
        assert resumed.history == whole[name].history


def test_a_file_of_version_1_loads_for_ever(tmp_path):
    """version_1.npz was written when the format was new; what is written now must have the same fields."""
    path = Path(__file__).parent / "version_1.npz"
    trainer = Trainer.load(path)
    assert trainer.layer_sizes == (2, 3, 1)
    assert trainer._state.loss == losses.Huber(0.5)
    assert trainer.schedule == schedules.Cosine(warmup=1)
    assert trainer.history.epochs == [1, 2, 3, 4, 5]
    assert np.isnan(trainer.history["val_loss"]).tolist() == [True] * 3 + [False] * 2
    corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
    expected = [[-0.0619284809], [-0.0642087609], [-0.0624694377], [-0.0648195744]]
    np.testing.assert_allclose(trainer.predict(corners), expected, rtol=1e-6)
    trainer.save(tmp_path / "again.npz")
    with np.load(path) as old, np.load(tmp_path / "again.npz") as new:
        assert json.loads(new["header"].tobytes()).keys() == json.loads(old["header"].tobytes()).keys()
        for name in ("parameters", "first", "second"):
            np.testing.assert_array_equal(new[name], old[name])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    trainer = Trainer([3, 4, 2], seed=0)
    trainer.save(path)
    before = path.read_bytes()

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    trainer.fit(X, Y, verbose=0)
    with pytest.raises(OSError, match="disk full"):
        trainer.save(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model.npz"]


def test_what_has_no_name_is_not_saved(tmp_path):
    own_loss = Trainer([3, 2], loss=lambda a, y: ((a - y) ** 2, 2 * (a - y)))
    with pytest.raises(ValueError, match="loss: expected one of fastbp's own"):
        own_loss.save(tmp_path / "model.npz")
    own_schedule = Trainer([3, 2], schedule=lambda epoch: 0.1)
    with pytest.raises(ValueError, match="schedule: expected one of fastbp's own"):
        own_schedule.save(tmp_path / "model.npz")


def test_a_file_of_another_kind(tmp_path):
    header = np.frombuffer(b'{"format": "other", "version": 9}', np.uint8)
    np.savez(tmp_path / "model.npz", header=header, parameters=header, first=header, second=header)
    with pytest.raises(
        ValueError, match="path: expected a file of fastbp's format version 1 or 2, got format 'other', version 9"
    ):
        Trainer.load(tmp_path / "model.npz")


def test_objects_come_back_with_their_fields(tmp_path):
    trainer = Trainer(
        [3, 9, 2],
        loss=losses.Quantile([0.1, 0.9]),
        optimizer=optimizers.Adam(beta_1=0.7, weight_decay=0.1),
        schedule=schedules.Cosine(warmup=2),
    )
    trainer.save(tmp_path / "model.npz")
    other = Trainer.load(tmp_path / "model.npz")
    assert other.optimizer == trainer.optimizer
    assert other.schedule == trainer.schedule
    assert other._state.loss == trainer._state.loss


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and more"])
def test_a_file_that_is_no_archive(content, tmp_path):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"path: expected a file that Trainer\.save wrote"):
        Trainer.load(tmp_path / "model.npz")


def test_an_archive_of_other_arrays(tmp_path):
    np.savez(tmp_path / "model.npz", X=np.ones(3))
    with pytest.raises(ModelFileError, match=r"path: expected a file that Trainer\.save wrote, got .*header"):
        Trainer.load(tmp_path / "model.npz")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        Trainer.load(tmp_path / "nothing.npz")


NOISY = (X[:, 0] + np.random.default_rng(1).normal(size=len(X)) > 0).astype(int)


def classifier(**options) -> Trainer:
    options = {"optimizer": "adam", "learning_rate": 0.03, "dropout": 0.2, "batch_size": 8, "seed": 3} | options
    return Trainer([3, 16, 2], activation="relu", loss="cross_entropy", **options)


def go_on(trainer: Trainer, callbacks, epochs: int = 14):
    fit = {"validation_split": 0.3, "metrics": "accuracy", "callbacks": callbacks, "verbose": 0}
    return trainer.fit(X, NOISY, epochs=epochs, initial_epoch=trainer.epochs_trained, **fit)


def assert_same(trainer: Trainer, whole: Trainer) -> None:
    np.testing.assert_array_equal(weights_of(trainer), weights_of(whole))
    np.testing.assert_array_equal(trainer._state.memory.first, whole._state.memory.first)
    assert repr(trainer.history.to_dict()) == repr(whole.history.to_dict())
    assert (trainer.learning_rate, trainer._state.random[0]) == (whole.learning_rate, whole._state.random[0])


@pytest.mark.parametrize("schedule", [None, *schedules.SCHEDULES])
@pytest.mark.parametrize("seed", [None, 3])
def test_from_each_checkpoint_a_training_goes_on_to_the_bit(schedule, seed, tmp_path):
    """Schedule, rate, patience, best weights and files are those of the training that nobody interrupted."""

    def callbacks():
        lowers = ReduceLROnPlateau(factor=0.5, patience=1, cooldown=1)
        watchers = EarlyStopping(patience=5), EarlyStopping("val_accuracy", patience=20), lowers
        return [Checkpoint(tmp_path / "{epoch:02d}.npz", keep=50), *watchers]

    whole, told = classifier(schedule=schedule, seed=seed), callbacks()
    go_on(whole, told)
    files = sorted(tmp_path.iterdir())
    assert len(files) == whole.epochs_trained
    assert seed is None or whole.epochs_trained > told[1].best_epoch  # so that weights other than the last are restored
    for file in files:
        trainer, again = Trainer.load(file), callbacks()
        go_on(trainer, again)
        assert_same(trainer, whole)
        assert repr([c.state_dict() for c in again]) == repr([c.state_dict() for c in told])
    whole.save(tmp_path / "end.npz")
    trainer = Trainer.load(tmp_path / "end.npz")
    assert go_on(trainer, callbacks(), 14).epochs == []  # it was over, and stays so
    assert_same(trainer, whole)


def test_a_training_that_was_over_goes_on_with_more_patience(tmp_path):
    parts, whole = classifier(), classifier()
    go_on(parts, EarlyStopping(patience=2), 40)
    ended = parts.epochs_trained
    parts.save(tmp_path / "parts.npz")
    parts = Trainer.load(tmp_path / "parts.npz")
    go_on(parts, EarlyStopping(patience=30), 40)
    go_on(whole, EarlyStopping(patience=30), 40)
    assert ended < parts.epochs_trained
    assert_same(parts, whole)


def test_many_trainings_go_on_as_one_does():
    whole, parts = [[classifier(seed=seed, schedule="one_cycle") for seed in range(3)] for _ in range(2)]
    fit = {"validation_split": 0.3, "verbose": 0}
    fit_many(whole, X, NOISY, epochs=9, callbacks=EarlyStopping(patience=4), **fit)
    # One schedule over all of nine epochs, which end after four.
    first = [EarlyStopping(patience=4), lambda trainer, epoch, measured: epoch == 4]
    fit_many(parts, X, NOISY, epochs=9, callbacks=first, n_jobs=2, **fit)
    fit_many(parts, X, NOISY, epochs=9, initial_epoch=4, callbacks=EarlyStopping(patience=4), n_jobs=2, **fit)
    for trainer, expected in zip(parts, whole, strict=True):
        assert_same(trainer, expected)


class Averages(Callback):
    """A user's own, with numbers and arrays."""

    def __init__(self, more=None):
        self.count, self.mean, self.more = 0, [], more

    def on_epoch_end(self, trainer, epoch, measured):
        self.count += 1
        old = self.mean or trainer.get_weights()
        self.mean = [a + (b - a) / self.count for a, b in zip(old, trainer.get_weights(), strict=True)]

    def state_dict(self):
        return {"count": self.count, "mean": self.mean, "more": self.more}

    def load_state_dict(self, state):
        self.count, self.mean = state["count"], state["mean"]


def test_ones_own_callback_goes_on_too(tmp_path):
    whole, first, second = Averages(), Averages(), Averages()
    go_on(classifier(), whole, 5)
    trainer = classifier()
    go_on(trainer, first, 2)
    trainer.save(tmp_path / "model.npz")
    go_on(Trainer.load(tmp_path / "model.npz"), second, 5)
    assert second.count == 5
    for got, expected in zip(second.mean, whole.mean, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("more", [{1, 2}, np.float32(1), [np.ones(2)], [np.ones(2, "f4"), 3]])
def test_a_state_that_no_file_can_hold_is_refused(more, tmp_path):
    trainer = classifier()
    go_on(trainer, Averages(more), 1)
    with pytest.raises(TypeError, match=r"Averages\.state_dict: expected "):
        trainer.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())
