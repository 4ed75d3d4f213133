"""Files that another program has open, which Windows protects: wait, then say so, and lose nothing."""

from __future__ import annotations

import ast
import builtins
import errno
import os
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp import Trainer, _in_use
from fastbp.__main__ import main
from fastbp.callbacks import Checkpoint, CSVLogger

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])


class Windows:
    """Windows, with a clock of its own: some files are open in another program until a time."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.until = 0.0, dict[str, float]()
        self._rename, self._remove, self._open = os.replace, os.remove, builtins.open
        monkeypatch.setattr(_in_use, "WINDOWS", True)
        monkeypatch.setattr(_in_use, "monotonic", lambda: self.now)
        monkeypatch.setattr(_in_use, "sleep", self.sleep)
        monkeypatch.setattr(os, "replace", self.replace)
        monkeypatch.setattr(os, "remove", self.remove)
        monkeypatch.setattr(builtins, "open", self.open)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def check(self, *names) -> None:
        if self.now < self.until.get(Path(names[-1]).name, 0):
            raise PermissionError(errno.EACCES, "Access is denied", str(names[0]), 5, str(names[-1]))

    def replace(self, source, target) -> None:
        self.check(source, target)
        self._rename(source, target)

    def remove(self, path) -> None:
        self.check(path)
        self._remove(path)

    def open(self, file, mode="r", *arguments, **options):
        if mode != "r" and not isinstance(file, int):
            self.check(file)
        return self._open(file, mode, *arguments, **options)


@pytest.fixture
def windows(monkeypatch):
    return Windows(monkeypatch)


def test_a_reader_of_the_checkpoint_only_delays_the_fit(windows, tmp_path):
    place = tmp_path / "best.npz"
    trainer = Trainer([2, 3, 1], seed=0)

    def look(trainer, epoch, measured) -> None:
        if epoch == 2:
            windows.until["best.npz"] = windows.now + 5

    history = trainer.fit(*XOR, epochs=4, callbacks=[look, Checkpoint(place)], verbose=0)
    assert history.epochs == [1, 2, 3, 4]
    assert Trainer.load(place).epochs_trained == 4
    assert 5 <= windows.now < 6
    assert os.listdir(tmp_path) == ["best.npz"]


def test_what_cannot_be_replaced_is_kept_and_the_error_says_where(windows, tmp_path):
    place, trainer = tmp_path / "model.npz", Trainer([2, 3, 1], seed=0)
    trainer.save(place)
    old = place.read_bytes()
    trainer.fit(*XOR, epochs=3, verbose=0)
    windows.until["model.npz"] = float("inf")
    with pytest.raises(PermissionError, match="another program has this file open") as raised:
        trainer.save(place)
    assert raised.value.filename == place
    assert 10 <= windows.now < 11
    assert place.read_bytes() == old
    (kept,) = {*os.listdir(tmp_path)} - {"model.npz"}
    assert str(raised.value.strerror).endswith(f"what was written is in {tmp_path / kept}")
    assert Trainer.load(tmp_path / kept).epochs_trained == 3


def test_the_command_line_says_where_the_model_is(windows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("a,y\n1,b\n2,c\n3,b\n4,c\n")
    windows.until["model.npz"] = float("inf")
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--validation", "0", "--quiet"]) == 2
    (kept,) = {*os.listdir(tmp_path)} - {"data.csv"}
    written = f"what was written is in {tmp_path / kept}"
    came = f"another program has this file open, or it is read-only; {written}"
    assert capsys.readouterr().err == f"fastbp: {tmp_path / 'model.npz'}: {came}\n"


def test_elsewhere_a_refusal_is_an_error_at_once(windows, monkeypatch, tmp_path):
    monkeypatch.setattr(_in_use, "WINDOWS", False)
    windows.until["model.npz"] = 3
    with pytest.raises(PermissionError, match="Access is denied"):
        Trainer([2, 3, 1]).save(tmp_path / "model.npz")
    assert windows.now == 0
    assert os.listdir(tmp_path) == []


def test_an_old_checkpoint_that_is_open_is_deleted_later(windows, tmp_path):
    found = []

    def other(trainer, epoch, measured) -> None:
        """Before the Checkpoint is called: open the first file, and close it."""
        found.append(sorted(os.listdir(tmp_path)))
        windows.until["1.npz"] = float("inf") if epoch in (2, 3) else 0

    trainer = Trainer([2, 3, 1], seed=0, learning_rate=0.5)
    trainer.fit(*XOR, epochs=5, callbacks=[other, Checkpoint(tmp_path / "{epoch}.npz", keep=1)], verbose=0)
    assert found == [[], ["1.npz"], ["1.npz", "2.npz"], ["1.npz", "3.npz"], ["4.npz"]]
    assert os.listdir(tmp_path) == ["5.npz"]


def lines(path: Path) -> list[str]:
    return [line.split(",")[0] for line in path.read_text().splitlines()]


def fit_with_log(windows: Windows, place: Path, opened: int, closed: int, epochs: int = 6) -> None:
    """Fit and log while another program has the log open after some epochs, from `opened` until `closed`."""

    def other(trainer, epoch, measured) -> None:
        if epoch == opened:
            windows.until[place.name] = float("inf")
        if epoch == closed:
            del windows.until[place.name]

    history = Trainer([2, 3, 1], seed=0).fit(*XOR, epochs=epochs, callbacks=[other, CSVLogger(place)], verbose=0)
    assert history.epochs == [*range(1, epochs + 1)]


@pytest.mark.parametrize("opened", [1, 3])
def test_a_log_open_in_a_spreadsheet_gets_its_lines_later(windows, tmp_path, opened):
    with pytest.warns(RuntimeWarning, match=r"log.csv: another program has this file open; its lines are kept") as said:
        fit_with_log(windows, tmp_path / "log.csv", opened, 5)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert lines(tmp_path / "log.csv") == ["epoch", *"123456"]
    assert windows.now < 2
    assert os.listdir(tmp_path) == ["log.csv"]


def test_a_log_that_stays_open_has_its_last_lines_beside_it(windows, tmp_path):
    (tmp_path / "log-rest1.csv").write_text("of an earlier fit")
    with pytest.warns(RuntimeWarning, match="another program has this file open") as said:
        fit_with_log(windows, tmp_path / "log.csv", 3, 99)
    assert str(said[-1].message).endswith(f"the last lines are in {tmp_path / 'log-rest2.csv'}")
    assert lines(tmp_path / "log.csv") == ["epoch", *"12"]
    assert lines(tmp_path / "log-rest2.csv") == ["epoch", *"3456"]
    assert sorted(os.listdir(tmp_path)) == ["log-rest1.csv", "log-rest2.csv", "log.csv"]


def test_a_log_that_is_open_before_the_fit_is_an_error_before_training(windows, tmp_path):
    place, trainer = tmp_path / "log.csv", Trainer([2, 3, 1])
    place.write_text("an older log")
    windows.until["log.csv"] = float("inf")
    with pytest.raises(PermissionError, match="another program has this file open"):
        trainer.fit(*XOR, epochs=1, callbacks=[CSVLogger(place)], verbose=0)
    assert (trainer.epochs_trained, place.read_text(), os.listdir(tmp_path)) == (0, "an older log", ["log.csv"])


def test_another_error_of_a_log_ends_the_fit_and_writes_no_line_twice(tmp_path, monkeypatch):
    logger, trainer = CSVLogger(tmp_path / "log.csv"), Trainer([2, 3, 1], seed=0)
    write = logger._write

    def full(file, rows) -> None:
        rows = list(rows)
        write(file, rows)
        if rows and rows[-1][0] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logger, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(*XOR, epochs=4, callbacks=[logger], verbose=0)
    assert lines(tmp_path / "log.csv") == ["epoch", *"12"]


def test_all_renaming_goes_through_one_function():
    """Other calls would not wait."""
    package = Path(fastbp.__file__).parent
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("os", "shutil")
            renames = node.func.attr in ("rename", "renames", "move") or (
                node.func.attr == "replace" and (module or (len(node.args), len(node.keywords)) == (1, 0))
            )
            if renames:
                found.append(path.name)
    assert found == ["_in_use.py"]
