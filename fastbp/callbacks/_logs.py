"""Callbacks that write logs: CSVLogger, and TensorBoard with tensorboardX."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any

from .._checks import file_to_write, flag, level_outside, path as checked_path, shown, wrong
from .._extras import not_installed
from .._in_use import SECONDS, InUseError, patiently
from .._messages import warn
from .._writing import replacing
from ._base import Callback

Path = str | os.PathLike[str]

PATIENCE = 1.0  # seconds that an epoch waits for a program that has the file open


class CSVLogger(Callback):
    """Write one line per epoch to a CSV file: the number of the epoch in the trainer's count, and the measurements.

    The first epoch determines the columns. A name that first occurs later adds a column, which is empty in the lines
    before. Each line is written before the next epoch begins.

    On Windows, another program such as Excel may have the file open. The callback then keeps its lines and writes them
    when the file is closed. If it is still open at the end of the fit, the lines go to a new file beside it, such as
    log-rest1.csv.

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
        self._unwritten: list[dict[str, float]] = []
        self._in_use = False
        if rows and self._columns[:1] != ["epoch"]:
            expected = f"a file whose first column is epoch, with separator {self.separator!r}"
            raise ValueError(wrong("path", expected, shown(self.separator.join(self._columns))))
        self._replace(rows, SECONDS)

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        self._unwritten.append({"epoch": epoch, **measured})
        self._write_lines(0 if self._in_use else PATIENCE)

    def on_fit_end(self, trainer: Any) -> None:
        """Write the remaining lines to a file beside it if another program still has the file open."""
        if not (self._unwritten and self._write_lines(PATIENCE)):
            return
        root, end = os.path.splitext(self._file)
        place = next(name for k in count(1) if not os.path.exists(name := f"{root}-rest{k}{end}"))
        columns = list(dict.fromkeys(chain(self._columns, *self._unwritten)))
        with replacing(place, text=True) as file:
            self._write(file, [columns, *self._lines(columns)])
        self._unwritten.clear()
        self._warn(f"the last lines are in {place}")

    def _write_lines(self, seconds: float) -> bool:
        """Write the lines that are not written yet. Return whether another program keeps the file open."""
        try:
            patiently(self._append, seconds)
        except InUseError:
            if not self._in_use:
                self._in_use = True
                self._warn("its lines are kept and written later")
            return True
        except BaseException:
            if not self._in_use:  # the lines may be in the file
                self._unwritten.clear()
            raise
        self._in_use = False
        self._unwritten.clear()
        return False

    def _warn(self, then: str) -> None:
        warn(f"{self._file}: another program has this file open; {then}", RuntimeWarning, level_outside())

    def _append(self) -> None:
        columns = list(dict.fromkeys(chain(self._columns, *self._unwritten)))
        if columns != self._columns:
            rows, self._columns, before = self._rows(), columns, self._columns
            try:
                self._replace([columns, *rows[1:]], 0)
            except BaseException:
                self._columns = before
                raise
        with open(self._file, "a", newline="", encoding="utf-8") as file:
            self._write(file, self._lines(columns))

    def _lines(self, columns: Sequence[str]) -> list[list[Any]]:
        return [[row.get(name, "") for name in columns] for row in self._unwritten]

    def _rows(self) -> list[list[str]]:
        with open(self._file, newline="", encoding="utf-8") as file:
            return list(csv.reader(file, delimiter=self.separator))

    def _replace(self, rows: Sequence[list[str]], seconds: float) -> None:
        """Replace the whole file at once, so that a crash leaves the old or the new one."""
        with replacing(self._file, text=True, seconds=seconds, keep=False) as file:
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
