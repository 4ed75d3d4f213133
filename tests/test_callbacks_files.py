"""Callbacks that write files: Checkpoint, CSVLogger, TensorBoard."""

from __future__ import annotations

import csv
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp import Trainer
from fastbp.callbacks import Checkpoint, CSVLogger, EarlyStopping, TensorBoard

from .test_callbacks import NAN, Stub, feed


def test_checkpoint_saves_after_each_epoch_under_a_name_with_measures(tmp_path):
    trainer = Stub()
    checkpoint = Checkpoint(tmp_path / "new" / "run-{epoch:03d}-{val_loss:.2f}.npz")
    feed(checkpoint, [{"loss": 1, "val_loss": v} for v in (0.5, 0.25, 0.375)], trainer, first=9)
    names = ["run-009-0.50.npz", "run-010-0.25.npz", "run-011-0.38.npz"]
    assert trainer.saved == [str(tmp_path / "new" / name) for name in names]
    assert (tmp_path / "new").is_dir()
    assert (checkpoint.best_path, checkpoint.best_epoch) == (trainer.saved[1], 10)


@pytest.mark.parametrize(
    ("monitor", "mode", "saved"), [("auto", "auto", "134"), ("auto", "max", "12"), ("r2", "auto", "14")]
)
def test_checkpoint_saves_the_best_only(monitor, mode, saved):
    trainer = Stub()
    values = [{"loss": 3, "r2": 1}, {"loss": 4, "r2": NAN}, {"loss": 2, "r2": 1}, {"loss": 1, "r2": 2}]
    feed(Checkpoint("{epoch}", monitor, save_best_only=True, mode=mode), values, trainer)
    assert "".join(trainer.saved) == saved


@pytest.mark.parametrize("path", ["{val_loss}", "{}", "{0}", "{epoch:s}", "{loss", "{loss.x}", "{loss[0]}"])
def test_a_checkpoint_path_that_cannot_be_filled_in(path):
    trainer = Stub()
    with pytest.raises(ValueError, match=r"path: expected a path whose fields are among \{loss\}, \{epoch\}, got '"):
        feed(Checkpoint(path), [1], trainer)
    assert not trainer.saved


def test_a_checkpoint_is_a_trainer_of_that_epoch(tmp_path, xor):
    trainer = Trainer([2, 4, 1], seed=0)
    checkpoint = Checkpoint(tmp_path / "{epoch}-{loss:.3g}.npz")
    trainer.fit(*xor, epochs=3, callbacks=[checkpoint, lambda trainer, epoch, measured: epoch == 2], verbose=0)
    assert len(os.listdir(tmp_path)) == checkpoint.best_epoch == 2
    np.testing.assert_array_equal(Trainer.load(checkpoint.best_path).predict(xor[0]), trainer.predict(xor[0]))


class Saver(Stub):
    """Saves its name into the file."""

    def save(self, path):
        super().save(path)
        Path(path).write_text(path)


@pytest.mark.parametrize(
    ("keep", "values", "left"),
    [
        (None, [4, 3, 2, 1], "1234"),
        (1, [4, 3, 2, 1], "4"),
        (2, [4, 3, 2, 1], "34"),
        (9, [4, 3, 2, 1], "1234"),
        (1, [1, 2, 3, 4], "14"),
        (2, [2, 1, 3, 4, 5, 6], "256"),
        (2, [3, 2, 4, 5, 1, 6, 7, 8], "578"),  # the best so far goes when there is a better one
        (1, [NAN, NAN], "2"),
    ],
)
def test_checkpoint_keeps_the_last_and_the_best(tmp_path, keep, values, left):
    (tmp_path / "0").touch()
    checkpoint = Checkpoint(tmp_path / "{epoch}", keep=keep)
    feed(checkpoint, values, Saver())
    assert "".join(sorted(os.listdir(tmp_path))) == f"0{left}"
    assert checkpoint.best_path is None or os.path.exists(checkpoint.best_path)


def test_checkpoint_keeps_the_best_of_the_best_only(tmp_path):
    feed(Checkpoint(tmp_path / "{epoch}", save_best_only=True, keep=2), [5, 6, 4, 3, 7], Saver())
    assert sorted(os.listdir(tmp_path)) == ["3", "4"]


@pytest.mark.parametrize("name", ["model", "{loss:.0f}"])
def test_checkpoint_does_not_delete_what_it_wrote_again(tmp_path, name):
    feed(Checkpoint(tmp_path / name, keep=1), [3, 3, 3], Saver())
    assert len(os.listdir(tmp_path)) == 1


def test_checkpoint_deletes_only_what_it_wrote_in_this_fit_and_there(tmp_path, monkeypatch):
    """In the folder where it was, and not where the program is now; what is gone already is no matter."""
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint("{epoch}", keep=1, mode="max")
    feed(checkpoint, [1, 2], Saver())
    assert os.listdir(tmp_path) == ["2"]
    checkpoint.on_fit_begin(Saver(), 3)
    checkpoint.on_epoch_end(Saver(), 3, {"loss": 1})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("3").touch()
    checkpoint.on_epoch_end(Saver(), 4, {"loss": 2})
    Path("4").unlink()
    checkpoint.on_epoch_end(Saver(), 5, {"loss": 3})
    assert sorted(os.listdir(tmp_path)) == ["2", "elsewhere"]
    assert sorted(os.listdir()) == ["3", "5"]


def table(path, separator=","):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=separator))


def test_csv_holds_every_digit_of_the_history(tmp_path, xor):
    path = tmp_path / "new" / "log.csv"
    trainer = Trainer([2, 4, 1], seed=0)
    trainer.fit(*xor, epochs=2, verbose=0)
    history = trainer.fit(*xor, epochs=3, metrics="mse", validation_data=xor, callbacks=CSVLogger(path), verbose=0)
    rows = table(path)
    assert list(rows[0]) == ["epoch", "loss", "mse", "val_loss", "val_mse"]
    assert [int(row["epoch"]) for row in rows] == [3, 4, 5]
    for name, column in history.items():
        assert [float(row[name]) for row in rows] == column


def test_csv_line_is_in_the_file_after_each_epoch(tmp_path):
    logger, path = CSVLogger(tmp_path / "log"), tmp_path / "log"
    logger.on_fit_begin(Stub(), 2)
    assert path.read_text() == ""
    logger.on_epoch_end(Stub(), 1, {"loss": 0.5})
    assert path.read_text() == "epoch,loss\n1,0.5\n"
    logger.on_epoch_end(Stub(), 2, {"loss": NAN})
    assert path.read_text() == "epoch,loss\n1,0.5\n2,nan\n"
    assert os.listdir(tmp_path) == ["log"]


@pytest.mark.parametrize("separator", [";", "\t", "."])
def test_csv_separator(tmp_path, separator):
    path = tmp_path / "log.csv"
    feed(CSVLogger(path, separator=separator), [0.5, 0.25])
    assert path.read_text().startswith(f"epoch{separator}loss\n")
    assert [row["loss"] for row in table(path, separator)] == ["0.5", "0.25"]


def test_csv_column_that_comes_later(tmp_path):
    path = tmp_path / "log.csv"
    feed(CSVLogger(path), [{"loss": 1}, {"loss": 2, "a,b": 3}, {"a,b": 4}])
    assert table(path) == [
        {"epoch": "1", "loss": "1", "a,b": ""},
        {"epoch": "2", "loss": "2", "a,b": "3"},
        {"epoch": "3", "loss": "", "a,b": "4"},
    ]


@pytest.mark.parametrize("append", [True, False])
def test_csv_of_the_next_fit(tmp_path, append):
    """With append it goes on, also where other things are measured; without it begins anew."""
    path = tmp_path / "log.csv"
    logger = CSVLogger(path, append=append)
    feed(logger, [1, 2])
    feed(logger, [{"loss": 3, "val_loss": 4}], first=3)
    last = {"epoch": "3", "loss": "3", "val_loss": "4"}
    before = [{"epoch": "1", "loss": "1", "val_loss": ""}, {"epoch": "2", "loss": "2", "val_loss": ""}]
    assert table(path) == ([*before, last] if append else [last])


def test_csv_goes_on_after_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,mse\n1,2,3\n2,4")
    feed(CSVLogger(path, append=True), [{"loss": 5, "mse": 6}], first=3)
    assert path.read_text() == "epoch,loss,mse\n1,2,3\n2,4,\n3,5,6\n"


def test_csv_appends_to_none_but_its_own_files(tmp_path):
    path = tmp_path / "log.csv"
    feed(CSVLogger(path, separator=";"), [1])
    before = path.read_text()
    with pytest.raises(ValueError, match="path: expected a file whose first column is epoch, with separator ','"):
        feed(CSVLogger(path, append=True), [1])
    assert path.read_text() == before


def test_csv_stays_where_it_was_when_the_program_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logger = CSVLogger("log.csv")
    logger.on_fit_begin(Stub(), 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    logger.on_epoch_end(Stub(), 1, {"loss": 1})
    assert len(table(tmp_path / "log.csv")) == 1


def test_csv_leaves_nothing_beside_the_file_when_it_cannot_be_put_in_place(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("not today")

    path = tmp_path / "log.csv"
    feed(CSVLogger(path), [1])
    before = path.read_text()
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="not today"):
        feed(CSVLogger(path), [1])
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_tensorboard_without_tensorboardx_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"fastbp\[tensorboard\]"):
        TensorBoard(tmp_path)


class Writer:
    """In place of tensorboardX's SummaryWriter."""

    def __init__(self, folder, **options):
        self.folder, self.scalars, self.closed = folder, [], False
        Writer.all.append(self)

    def add_scalar(self, *scalar):
        self.scalars.append(scalar)

    def close(self):
        self.closed = True


def test_tensorboard_gets_training_and_validation_as_two_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(Writer, "all", [], raising=False)
    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer))
    board = TensorBoard(tmp_path)
    feed(board, [{"loss": 1, "mse": 2, "val_loss": 3, "val_mse": 4}, {"loss": 5, "val_loss": 6}], first=7)
    feed(board, [8], first=9)
    assert [Path(writer.folder).relative_to(tmp_path).name for writer in Writer.all] == ["train", "validation", "train"]
    assert [writer.scalars for writer in Writer.all] == [
        [("loss", 1, 7), ("mse", 2, 7), ("loss", 5, 8)],
        [("loss", 3, 7), ("mse", 4, 7), ("loss", 6, 8)],
        [("loss", 8, 9)],
    ]
    assert all(writer.closed for writer in Writer.all)


def test_tensorboard_writes_event_files(tmp_path):
    """What was written is read back by tensorboardX's own record format: length, checksum, data, checksum."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    feed(TensorBoard(tmp_path), [{"loss": 0.5, "val_loss": 0.25}, {"loss": 0.125, "val_loss": NAN}], first=3)
    scalars = []
    for run in ("train", "validation"):
        (path,) = (tmp_path / run).iterdir()
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            scalars += [(run, event.step, value.tag, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    assert scalars[:3] == [("train", 3, "loss", 0.5), ("train", 4, "loss", 0.125), ("validation", 3, "loss", 0.25)]
    assert scalars[3][:3] == ("validation", 4, "loss")
    assert math.isnan(scalars[3][3])


def test_checkpoint_keeps_its_best_over_fits(tmp_path):
    """And over trainers, since there is one file for all."""
    trainer, other = Saver(), Saver()
    checkpoint = Checkpoint(tmp_path / "best", save_best_only=True)
    feed(checkpoint, [3, 1, 2], trainer)
    feed(checkpoint, [2, 0.5, 4], trainer, first=4)
    feed(checkpoint, [0.75], other)
    assert (len(trainer.saved), len(other.saved)) == (3, 0)
    assert (checkpoint.best, checkpoint.best_epoch) == (0.5, 5)


def test_checkpoint_keeps_the_file_of_its_best_over_fits(tmp_path):
    checkpoint = Checkpoint(tmp_path / "{epoch}", keep=1)
    feed(checkpoint, [2, 1], Saver())
    feed(checkpoint, [5, 6, 7], Saver(), first=3)
    assert sorted(os.listdir(tmp_path)) == ["2", "5"]
    assert checkpoint.best_path == str(tmp_path / "2")


def test_a_best_that_is_not_saved_is_none():
    class Full(Stub):
        def save(self, path):
            raise OSError("no space left")

    checkpoint, trainer = Checkpoint("x", save_best_only=True), Stub()
    with pytest.raises(OSError, match="no space"):
        feed(checkpoint, [1], Full())
    feed(checkpoint, [2], trainer)
    assert (checkpoint.best, trainer.saved) == (2, ["x"])


def test_a_checkpoint_of_the_best_compares_no_two_measures():
    checkpoint = Checkpoint("x", save_best_only=True)
    feed(checkpoint, [{"loss": 1, "val_loss": 2}])
    with pytest.raises(
        ValueError, match=r"monitor: expected 'val_loss', .* value so far, 2, .* got 'loss'; use another"
    ):
        feed(checkpoint, [{"loss": 0.5}])
    always = Checkpoint("{epoch}")
    feed(always, [{"loss": 1, "val_loss": 2}])
    feed(always, [{"loss": 3}], first=2)
    assert (always.best, always.best_path) == (3, "2")


def test_a_state_deletes_no_file_that_the_path_cannot_name(tmp_path):
    """It may come from anybody's model file."""
    (tmp_path / "mine").touch()
    feed(first := Checkpoint(tmp_path / "run-{epoch}", keep=1), [1], Saver())
    state = first.state_dict()
    state["files"] = [*state["files"], {"epoch": 7, "path": 1}, {"loss": 3}]
    goes_on = Checkpoint(tmp_path / "run-{epoch}", keep=1)
    goes_on.load_state_dict(state)
    feed(goes_on, [0.5], Saver(), first=2)
    assert sorted(os.listdir(tmp_path)) == ["mine", "run-2"]
    for wrong in ([str(tmp_path / "mine")], [{"epoch": "1"}], None):
        with pytest.raises(ValueError, match="state: expected files that"):
            Checkpoint("x").load_state_dict(state | {"files": wrong})


def test_a_checkpoint_comes_after_states_and_before_what_uses_its_file(tmp_path):
    """Whatever their order, its file has the states after the epoch; a function behind it finds the file."""
    seen, path = [], tmp_path / "last.npz"

    def use(trainer, epoch, measured):
        seen.append(Trainer.load(path).epochs_trained)

    stopping = EarlyStopping("loss", patience=99)
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(np.eye(2), [0, 1], epochs=3, callbacks=[Checkpoint(path), use, stopping], verbose=0)
    assert seen == [1, 2, 3]
    ((name, state),) = [each for each in Trainer.load(path)._state.callback_states if each[0] == "EarlyStopping"]
    assert (name, state["best_epoch"]) == ("EarlyStopping", stopping.best_epoch)
