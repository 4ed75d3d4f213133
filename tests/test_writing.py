"""Whatever fastbp writes is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import matplotlib as mpl
import pytest

from fastbp import Trainer, _writing, explain, plots
from fastbp.__main__ import main
from fastbp.callbacks import CSVLogger

mpl.use("Agg")

TABLE = "size,colour,y\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n"


def trained() -> Trainer:
    trainer = Trainer([2, 3, 1], seed=0)
    trainer.fit([[0, 1], [1, 0]], [0, 1], epochs=2, verbose=0)
    return trainer


def page(place: Path) -> None:
    explain(trained(), [0, 1], [1]).to_html(place)


def picture(place: Path) -> None:
    plots.save(trained().history.plot(), str(place))


def log(place: Path) -> None:
    Trainer([2, 3, 1], seed=0).fit([[0, 1]], [0], callbacks=[CSVLogger(place)], verbose=0)


def command(text: str):
    def write(place: Path) -> None:
        code = main(text.format(place).split())
        if code:
            raise OSError(f"exit {code}")

    return write


WRITERS = {
    "to_html, page.html": page,
    "plots.save, picture.png": picture,
    "CSVLogger, log.csv": log,
    "Trainer.save, other.npz": lambda place: trained().save(place),
    "predict --out, predictions.csv": command("predict model.npz data.csv --out {}"),
    "explain --out, chains.txt": command("explain model.npz data.csv --out {}"),
    "train --plot, curves.svg": command("train data.csv --out model.npz --epochs 1 --validation 0 --quiet --plot {}"),
}


@pytest.mark.parametrize("case", WRITERS)
def test_a_file_stays_whole_when_writing_fails_half_way(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(TABLE)
    command("train data.csv --out model.npz --epochs 1 --validation 0 --seed 0 --quiet")(tmp_path)
    place = tmp_path / case.split(", ")[1]
    write = WRITERS[case]
    write(place)
    new = place.read_bytes()
    assert new
    place.write_text("what was there")
    before = sorted(os.listdir(tmp_path))
    write_all = os.fsync

    def full(handle: int) -> None:
        (temporary,) = {*os.listdir(tmp_path)} - {*before} or {None}
        if temporary is not None and temporary.startswith(f".{place.name}."):
            raise OSError(28, "No space left on device")
        write_all(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left|exit 2"):
        write(place)
    assert place.read_text() == "what was there"
    assert sorted(os.listdir(tmp_path)) == before
    monkeypatch.setattr(os, "fsync", write_all)
    write(place)
    assert place.read_bytes()[:20] == new[:20]


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path):
    place = tmp_path / "file"
    place.write_text("old")

    def fail() -> None:
        with _writing.replacing(place, text=True) as file:
            file.write("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, capsys, number):
    def full(_file):
        raise OSError(number, os.strerror(number))

    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(TABLE)
    monkeypatch.setattr(_writing.os, "fsync", full)
    with pytest.raises(OSError, match="exit 2"):
        command("train data.csv --target y --out {} --epochs 1 --validation 0 --quiet")(Path("model.npz"))
    assert sorted(os.listdir()) == ["data.csv"]
    message = f"model.npz: can't be written: {os.strerror(number)}; free space, or choose another folder"
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


def test_text_keeps_its_ends_of_lines(tmp_path):
    with _writing.replacing(tmp_path / "file", text=True) as file:
        file.write("θ\r\nδ\n")
    assert (tmp_path / "file").read_bytes() == "θ\r\nδ\n".encode()


def test_a_folder_that_is_not_there_is_named_with_the_file(tmp_path):
    path = tmp_path / "gone" / "model.npz"
    with (
        pytest.raises(FileNotFoundError, match=r"no such folder; make it first: '.*model\.npz'$") as raised,
        _writing.replacing(path),
    ):
        pass
    assert raised.value.filename == str(path)
