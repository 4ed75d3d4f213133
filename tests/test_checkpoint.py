"""Saved and loaded trainers go on to the bit; a failure leaves the old file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastbp import ModelFileError, Trainer, losses, optimizers, schedules
from tests.test_run import OPTIONS, X, Y, weights_of

WITH_LOSSES = [
    {"loss": losses.Huber(0.5)},
    {"loss": losses.Quantile([0.2, 0.8])},
    {"use_bias": False},
    {"dtype": "float64"},
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
    assert trainer._loss == losses.Huber(0.5)
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
        ValueError, match="path: expected a file of fastbp's format version 1, got format 'other', version 9"
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
    assert other._loss == trainer._loss


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
