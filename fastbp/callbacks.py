"""Callbacks: what may look on and step in while a trainer fits; the door to tensorboardX."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np

from ._checks import file_to_write, flag, one_of, path as checked_path, real, sequence, shown, whole, wrong
from ._writing import replacing

if TYPE_CHECKING:
    from .trainer import Trainer

    EpochFunction = Callable[[Trainer, int, Mapping[str, float]], bool | None]
    Path = str | os.PathLike[str]

FLOAT64 = np.dtype(np.float64)
SMALLER = {"loss", "error", "deviance", "mse", "rmse", "mae"}  # a word of a measure's name: smaller is better
LARGER = {"accuracy", "acc", "precision", "recall", "f1", "auc", "r2", "score"}


class Callback:
    """Override what you need; each does nothing here.

    A plain function ``f(trainer, epoch, measured)`` will do as well: it is called as `on_epoch_end`.
    """

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        """Before the first of `epochs` epochs."""

    def on_progress(self, trainer: Trainer, done: float) -> None:
        """Every tenth of a second or so: `done` epochs of this fit, with the fraction of the running one."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> bool | None:
        """After each epoch, with its number (from 1) and what was measured; return True to stop training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was stopped, interrupted, or failed."""


class FunctionCallback(Callback):
    """A plain function in a callback's place."""

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> bool | None:
        return self.function(trainer, epoch, measured)


def as_callbacks(value: Any) -> list[Callback]:
    """The callbacks given: none, one or several, each a Callback or a function."""
    expected = "a Callback or a function of (trainer, epoch, measured), or several"
    if value is None:
        return []
    items = [value] if isinstance(value, Callback) or callable(value) else sequence("callbacks", value, expected)
    for item in items:
        if isinstance(item, type) or not (isinstance(item, Callback) or callable(item)):
            raise TypeError(wrong("callbacks", expected, shown(item)))
    return [item if isinstance(item, Callback) else FunctionCallback(item) for item in items]


class Watch(Callback):
    """What the callbacks that look for the best epoch have in common.

    Parameters
    ----------
    monitor : str
        The measure's name, as in the History. "auto": val_loss where there is validation, else loss.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better. "auto" goes by the words of the name, as scikit-learn gives names: min
        where one is loss, error, deviance, mse, rmse or mae; else max where one is accuracy, acc, precision, recall,
        f1, auc, r2 or score. Another name wants "min" or "max".
    min_delta : float
        How much better than the best so far an epoch must be, to count as better. NaN never counts.

    Attributes
    ----------
    best : float
        The best so far; infinite before there is one.
    best_epoch : int or None
        Its epoch, by the trainer's number.
    """

    def __init__(self, monitor: str, mode: str, min_delta: SupportsFloat) -> None:
        if not isinstance(monitor, str):
            raise TypeError(
                wrong("monitor", "'auto' or a measure's name", f"{shown(monitor)} ({type(monitor).__name__})")
            )
        self.monitor = monitor
        self.mode = one_of("mode", mode, ["auto", "min", "max"])
        self.min_delta = real("min_delta", min_delta, minimum=0, dtype=FLOAT64)
        self._sign = direction(monitor, self.mode)
        self._reset()

    def _reset(self) -> None:
        self.best = -self._sign * math.inf
        self.best_epoch: int | None = None

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self._reset()

    def _is_better(self, epoch: int, measured: Mapping[str, float]) -> bool:
        """Whether this epoch is better than the best so far; then it is the best so far."""
        name = self.monitor
        if name == "auto":
            name = "val_loss" if "val_loss" in measured else "loss"
        if name not in measured:
            hint = "; for val_ give fit validation_data" if name.startswith("val_") else ""
            raise ValueError(wrong("monitor", f"'auto' or what is measured ({', '.join(measured)})", repr(name)) + hint)
        value = float(measured[name])
        better = self._sign * (value - self.best) > self.min_delta
        if better:
            self.best, self.best_epoch = value, epoch
        return better


def direction(monitor: str, mode: str) -> int:
    """1 where larger is better, −1 where smaller is."""
    words = set(re.split(r"[\W_]+", monitor.lower()))
    if mode == "min" or (mode == "auto" and (monitor == "auto" or words & SMALLER)):
        return -1
    if mode == "max" or words & LARGER:
        return 1
    raise ValueError(wrong("mode", f"'min' or 'max' for {monitor!r}, whose name doesn't say which is better", "'auto'"))


class EarlyStopping(Watch):
    """Stop training when a measure no longer gets better, and go back to the best weights.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    patience : int
        The fit ends after so many epochs in a row that are not better.
    min_delta : float
        How much better counts as better.
    mode : {"auto", "min", "max"}
        As in `Watch`.
    restore_best_weights : bool
        Whether the trainer has the best epoch's weights after the fit, however it ended: also where it wasn't stopped,
        was interrupted, or diverged. The history keeps all epochs.

    Attributes
    ----------
    best, best_epoch
        See `Watch`.
    stopped_epoch : int or None
        The epoch after which training was stopped, if it was.
    """

    def __init__(
        self,
        monitor: str = "auto",
        *,
        patience: SupportsIndex = 10,
        min_delta: SupportsFloat = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        self.patience = whole("patience", patience, minimum=1)
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)
        super().__init__(monitor, mode, min_delta)

    def _reset(self) -> None:
        super()._reset()
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._weights: list[Any] = []

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> bool:
        if self._is_better(epoch, measured):
            self._waited = 0
            if self.restore_best_weights:
                self._weights = trainer.get_weights()
            return False
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
        return self._waited >= self.patience

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights:  # set_weights would refuse ones that are not finite, and so mask what the fit failed of
            for view, best in zip(trainer.network.parameters(), self._weights, strict=True):
                view[...] = best
            self._weights = []


class ReduceLROnPlateau(Watch):
    """Lower the trainer's learning rate when a measure no longer gets better.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    factor : float
        η ← factor · η, 0 < factor < 1.
    patience : int
        After so many epochs in a row that are not better.
    min_delta : float
        How much better counts as better.
    cooldown : int
        So many epochs after a reduction are not counted as ones that are not better.
    min_learning_rate : float
        η goes no lower.
    mode : {"auto", "min", "max"}
        As in `Watch`.

    Raises
    ------
    ValueError
        When a fit begins whose learning rate isn't the trainer's: with optimizer "lbfgs", or a function as schedule.
    """

    def __init__(
        self,
        monitor: str = "auto",
        *,
        factor: SupportsFloat = 0.1,
        patience: SupportsIndex = 10,
        min_delta: SupportsFloat = 1e-4,
        cooldown: SupportsIndex = 0,
        min_learning_rate: SupportsFloat = 0.0,
        mode: str = "auto",
    ) -> None:
        self.factor = real("factor", factor, above=0, dtype=FLOAT64)
        if self.factor >= 1:
            raise ValueError(wrong("factor", "a number > 0 and < 1", shown(factor)))
        self.patience = whole("patience", patience, minimum=1)
        self.cooldown = whole("cooldown", cooldown, minimum=0)
        self.min_learning_rate = real("min_learning_rate", min_learning_rate, minimum=0, dtype=FLOAT64)
        super().__init__(monitor, mode, min_delta)

    def _reset(self) -> None:
        super()._reset()
        self._waited = self._cooling = 0

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        super().on_fit_begin(trainer, epochs)
        absolute = trainer.schedule is not None and trainer.schedule.absolute
        if absolute or trainer.optimizer.name == "lbfgs":
            came = "a schedule that gives it" if absolute else "optimizer 'lbfgs', which has none"
            raise ValueError(wrong("callbacks", "a learning rate for ReduceLROnPlateau to lower", came))

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        waits = not self._is_better(epoch, measured) and self._cooling == 0
        self._waited = self._waited + 1 if waits else 0
        self._cooling = max(0, self._cooling - 1)
        if self._waited == self.patience:
            self._waited, self._cooling = 0, self.cooldown
            # a rate that rounds to 0 would be refused
            least = max(self.min_learning_rate, float(np.finfo(trainer.dtype).tiny))
            if trainer.learning_rate > least:
                trainer.learning_rate = max(self.factor * trainer.learning_rate, least)


class Checkpoint(Watch):
    """Save the trainer after each epoch, or after each that is the best so far.

    Parameters
    ----------
    path : str or path
        Where; ``{epoch}`` and the names of measures in braces are filled in, formatted if you like:
        ``"run-{epoch:03d}-{val_loss:.3f}.npz"``. Folders that aren't there are made.
    monitor : str
        The measure, as in `Watch`.
    save_best_only : bool
        Whether only an epoch that is the best so far is saved.
    mode : {"auto", "min", "max"}
        As in `Watch`.
    keep : int, optional
        How many files of a fit to keep, and the best one beside these: an older one is deleted when a new one is
        there. All by default.

    Attributes
    ----------
    best, best_epoch
        See `Watch`.
    best_path : str or None
        Where that epoch was saved.
    """

    def __init__(
        self,
        path: Path,
        monitor: str = "auto",
        *,
        save_best_only: bool = False,
        mode: str = "auto",
        keep: SupportsIndex | None = None,
    ) -> None:
        self.path = checked_path("path", path)
        self.save_best_only = flag("save_best_only", save_best_only)
        self.keep = None if keep is None else whole("keep", keep, minimum=1)
        super().__init__(monitor, mode, min_delta=0)

    def _reset(self) -> None:
        super()._reset()
        self.best_path: str | None = None
        self._best_file = ""
        self._files: list[str] = []  # of this fit, the newest last; absolute, as the program may go to another folder

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        better = self._is_better(epoch, measured)
        if not better and self.save_best_only:
            return
        fields = {**measured, "epoch": epoch}
        try:
            path = self.path.format_map(fields)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            expected = f"a path with fields out of {', '.join(f'{{{name}}}' for name in fields)}"
            raise ValueError(wrong("path", expected, f"{self.path!r}: {error}")) from None
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        trainer.save(path)
        file = os.path.abspath(path)
        if better:
            self.best_path, self._best_file = path, file
        self._files = [*(other for other in self._files if other != file), file]
        if self.keep is not None:
            self._delete(self._files[: -self.keep])

    def _delete(self, files: Sequence[str]) -> None:
        """Delete all but the best of these."""
        for file in files:
            if file != self._best_file:
                with suppress(FileNotFoundError):  # somebody tidied up before
                    os.remove(file)
                self._files.remove(file)


class CSVLogger(Callback):
    """Write a line an epoch to a CSV file: its number, by the trainer's count, and what was measured.

    The header is of the first epoch; a name that comes later is one more column, empty in the lines before it. Each
    line is in the file before the next epoch begins.

    Parameters
    ----------
    path : str or path
        The file; folders that aren't there are made.
    separator : str
        Between columns, one character.
    append : bool
        Whether to go on in a file that is there; else each fit begins it anew.
    """

    def __init__(self, path: Path, *, separator: str = ",", append: bool = False) -> None:
        self.path = checked_path("path", path)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(wrong("separator", "one character, no quote and no new line", shown(separator)))
        self.separator = separator
        self.append = flag("append", append)

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self._file = file_to_write("path", self.path)  # absolute: the program may go to another folder during the fit
        os.makedirs(os.path.dirname(self._file), exist_ok=True)
        rows = self._rows() if self.append and os.path.exists(self._file) else []
        self._columns = rows[0] if rows else []
        if rows and self._columns[:1] != ["epoch"]:
            expected = f"a file whose first column is epoch, with separator {self.separator!r}"
            raise ValueError(wrong("path", expected, shown(self.separator.join(self._columns))))
        self._replace(rows)

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
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
        """Write the whole file, so that at any time either the old one or the new one is there."""
        with replacing(self._file, text=True) as file:
            self._write(file, (row + [""] * (len(self._columns) - len(row)) for row in rows))

    def _write(self, file: Any, rows: Iterable[Sequence[Any]]) -> None:
        csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(rows)


class TensorBoard(Callback):
    """Write what is measured for TensorBoard, over the trainer's number of the epoch.

    Training and validation are two runs, ``log_dir/train`` and ``log_dir/validation``, so that one chart shows both.

    Parameters
    ----------
    log_dir : str or path
        The folder that ``tensorboard --logdir`` is given.

    Raises
    ------
    ImportError
        Where tensorboardX is not installed.
    """

    def __init__(self, log_dir: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard needs tensorboardX: pip install 'fastbp[tensorboard]'") from None
        self.log_dir = checked_path("log_dir", log_dir)
        self._open = SummaryWriter
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        for name, value in measured.items():
            run = "validation" if name.startswith("val_") else "train"
            if run not in self._writers:
                self._writers[run] = self._open(os.path.join(self.log_dir, run), flush_secs=10)
            self._writers[run].add_scalar(name.removeprefix("val_"), value, epoch)

    def on_fit_end(self, trainer: Trainer) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
