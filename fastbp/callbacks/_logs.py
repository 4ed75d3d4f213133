"""Callbacks that write logs: CSVLogger, and TensorBoard with tensorboardX."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._checks import file_to_write, flag, path as checked_path, shown, wrong
from .._extras import not_installed
from .._writing import replacing
from ._base import Callback

Path = str | os.PathLike[str]


class CSVLogger(Callback):
    """Write one line per epoch to a CSV file: the number of the epoch in the trainer's count, and the measurements.

    The first epoch determines the columns. A name that first occurs later adds a column, which is empty in the lines
    before. Each line is written before the next epoch begins.

    Parameters
    ----------
    path : str or path
        The file. Missing folders are created.
    separator : str
        Separator of the columns, one character.
    append : bool
        Whether to append to an existing file. Otherwise each fit overwrites it.
    """

    _writes_file = True

    def __init__(self, path: Path, *, separator: str = ",", append: bool = False) -> None:
        self.path = checked_path("path", path)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(wrong("separator", "one character that is not a quote or a new line", shown(separator)))
        self.separator = separator
        self.append = flag("append", append)

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        self._file = file_to_write("path", self.path)  # absolute: the program may chdir during the fit
        os.makedirs(os.path.dirname(self._file), exist_ok=True)
        rows = self._rows() if self.append and os.path.exists(self._file) else []
        self._columns = rows[0] if rows else []
        if rows and self._columns[:1] != ["epoch"]:
            expected = f"a file whose first column is epoch, with separator {self.separator!r}"
            raise ValueError(wrong("path", expected, shown(self.separator.join(self._columns))))
        self._replace(rows)

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        row = {"epoch": epoch, **measured}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._replace([self._columns, *self._rows()[1:]])
        with open(self._file, "a", newline="", encoding="utf-8") as file:
            self._write(file, [[row.get(name, "") for name in self._columns]])

    def _rows(self) -> list[list[str]]:
        with open(self._file, newline="", encoding="utf-8") as file:
            return list(csv.reader(file, delimiter=self.separator))

    def _replace(self, rows: Sequence[list[str]]) -> None:
        """Replace the whole file at once, so that a crash leaves the old or the new one."""
        with replacing(self._file, text=True) as file:
            self._write(file, (row + [""] * (len(self._columns) - len(row)) for row in rows))

    def _write(self, file: Any, rows: Iterable[Sequence[Any]]) -> None:
        csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(rows)


class TensorBoard(Callback):
    """Log the measurements for TensorBoard, with the trainer's epoch number as the step.

    Training and validation are two runs, ``log_dir/train`` and ``log_dir/validation``, so that one chart shows both.

    Parameters
    ----------
    log_dir : str or path
        Folder to pass to ``tensorboard --logdir``.

    Raises
    ------
    ImportError
        If tensorboardX is not installed.
    """

    _writes_file = True

    def __init__(self, log_dir: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise not_installed("TensorBoard needs tensorboardX", "tensorboard") from None
        self.log_dir = checked_path("log_dir", log_dir)
        self._open = SummaryWriter
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        for name, value in measured.items():
            run = "validation" if name.startswith("val_") else "train"
            if run not in self._writers:
                self._writers[run] = self._open(os.path.join(self.log_dir, run), flush_secs=10)
            self._writers[run].add_scalar(name.removeprefix("val_"), value, epoch)

    def on_fit_end(self, trainer: Any) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
