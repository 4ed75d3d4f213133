"""Callbacks, which a trainer calls during a fit. TensorBoard writes its files with tensorboardX."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np

from .._checks import file_to_write, flag, path as checked_path, real, shown, whole, wrong
from .._extras import not_installed
from .._writing import replacing
from . import _watch
from ._watch import FLOAT64, Callback, FunctionCallback, Watch, as_callbacks, direction

if TYPE_CHECKING:
    from ..trainer import Trainer

    Path = str | os.PathLike[str]

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FunctionCallback",
    "ReduceLROnPlateau",
    "TensorBoard",
    "Watch",
    "as_callbacks",
    "direction",
]


class EarlyStopping(Watch):
    """Stop training when a measure no longer improves, and restore the best weights.

    Each fit resets the callback. A fit with initial_epoch > 0 continues from the last weights and the saved state.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    patience : int
        Number of epochs in a row without improvement after which training stops.
    min_delta : float
        How much better an epoch must be to count as an improvement.
    mode : {"auto", "min", "max"}
        As in `Watch`.
    restore_best_weights : bool
        Whether the trainer has the weights of the best epoch after the fit, even if training was not stopped, was
        interrupted or diverged. The history keeps all epochs.

    Attributes
    ----------
    best, best_epoch
        See `Watch`.
    stopped_epoch : int or None
        The epoch after which training was stopped, or None.
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
        self._weights: list[Any] = []  # the best weights; after they are restored, the last weights if these differ
        self._restored = False

    _state = Watch._state | {
        "stopped_epoch": _watch.is_count_or_none,
        "_waited": _watch.is_count,
        "_weights": _watch.is_arrays,
        "_restored": _watch.is_flag,
    }

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        super().on_fit_begin(trainer, epochs)
        if self._weights and [w.shape for w in self._weights] != [w.shape for w in trainer.get_weights()]:
            came = "an EarlyStopping state with weights of other shapes; load the trainer that this state belongs to"
            raise ValueError(wrong("callbacks", "the state of a training of this network", came))
        if self._restored:
            self._restored = False
            best = trainer.get_weights() if self.restore_best_weights else []
            if self._weights:
                self._give(trainer)
            self._weights = best
        if self._waited >= self.patience:
            trainer.stop_training = True
        else:
            self.stopped_epoch = None

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
        if self._weights:
            last = trainer.get_weights()
            self._give(trainer)
            same = all(map(np.array_equal, last, self._weights))
            finite = all(np.isfinite(array).all() for array in last)
            self._weights = last if finite and not same else []
            self._restored = True

    def _give(self, trainer: Trainer) -> None:
        """Copy the kept weights to the trainer; set_weights would refuse infinite ones and hide why the fit failed."""
        for view, kept in zip(trainer.network.parameters(), self._weights, strict=True):
            view[...] = kept


class ReduceLROnPlateau(Watch):
    """Reduce the learning rate when a measure no longer improves.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    factor : float
        Factor by which the learning rate is reduced: η ← factor · η, 0 < factor < 1.
    patience : int
        Number of epochs in a row without improvement after which the learning rate is reduced.
    min_delta : float
        How much better an epoch must be to count as an improvement.
    cooldown : int
        Number of epochs after a reduction in which the callback doesn't count epochs without improvement.
    min_learning_rate : float
        Lower bound of η.
    mode : {"auto", "min", "max"}
        As in `Watch`.

    Raises
    ------
    ValueError
        At the start of a fit that doesn't use the trainer's learning rate, because the optimizer is "lbfgs" or the
        schedule is a function.
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

    _state = Watch._state | {"_waited": _watch.is_count, "_cooling": _watch.is_count}

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        super().on_fit_begin(trainer, epochs)
        absolute = trainer.schedule is not None and trainer.schedule.absolute
        if absolute or trainer.optimizer.name == "lbfgs":
            came = "a schedule that sets it" if absolute else "optimizer 'lbfgs', which has none"
            raise ValueError(wrong("callbacks", "a learning rate for ReduceLROnPlateau to lower", came))

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        waits = not self._is_better(epoch, measured) and self._cooling == 0
        self._waited = self._waited + 1 if waits else 0
        self._cooling = max(0, self._cooling - 1)
        if self._waited >= self.patience:
            self._waited, self._cooling = 0, self.cooldown
            # the trainer refuses a learning rate that rounds to 0
            least = max(self.min_learning_rate, float(np.finfo(trainer.dtype).tiny))
            if trainer.learning_rate > least:
                trainer.learning_rate = max(self.factor * trainer.learning_rate, least)


class Checkpoint(Watch):
    """Save the trainer after each epoch, or after each epoch that is the best so far.

    The file also has the states of the other callbacks of the fit. If you load it, a fit with initial_epoch continues
    bit-identically. Callbacks that have a state, such as EarlyStopping, are therefore called before a Checkpoint.

    As in Keras's ModelCheckpoint, the best value covers all fits that you pass this object to, even of several
    trainers. If "auto" comes to mean another measure, the best value is reset; with save_best_only this is an error.

    Parameters
    ----------
    path : str or path
        Where to save. ``{epoch}`` and names of measures in braces are replaced, with an optional format:
        ``"run-{epoch:03d}-{val_loss:.3f}.npz"``. Missing folders are created.
    monitor : str
        The measure, as in `Watch`.
    save_best_only : bool
        Whether to save only an epoch that is the best so far.
    mode : {"auto", "min", "max"}
        As in `Watch`.
    keep : int, optional
        How many of the latest files of a fit to keep, besides the best one. Older files are deleted. By default all
        files are kept.

    Attributes
    ----------
    best, best_epoch
        See `Watch`.
    best_path : str or None
        The path to which the best epoch was saved.
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
        self._best_file, self._best_fields = "", dict[str, float]()
        # Files of this fit, newest last, with the values in their names. Paths are absolute: the program may chdir.
        self._files: dict[str, dict[str, float]] = {}

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        """Keep the best value and the files of earlier fits."""
        if not self._goes_on:
            self._files = {}
        self._goes_on = False

    def _other_measure(self, name: str) -> None:
        if self.save_best_only:
            expected = f"{self._measure!r}, because the best value so far, {self.best:g}, is of this measure"
            raise ValueError(wrong("monitor", expected, f"{name!r}; use another Checkpoint for it"))
        files = self._files
        self._reset()
        self._files = files

    def state_dict(self) -> dict[str, Any]:
        best = [self._best_fields] if self._best_fields else []
        return super().state_dict() | {"files": list(self._files.values()), "best_file": best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        files, best = state.pop("files", None), state.pop("best_file", None)
        if not (_watch.is_saved(files) and _watch.is_saved(best)):
            raise ValueError(wrong("state", "files that Checkpoint.state_dict returns", shown(files)))
        super().load_state_dict(state)
        # Delete only files that this path can name, because the state may come from an untrusted file.
        self._files = {}
        for fields in files:
            with suppress(ValueError):
                self._files[os.path.abspath(self._path(fields))] = fields
        for fields in best:
            with suppress(ValueError):
                self._note_best(self._path(fields), fields)

    def _note_best(self, path: str, fields: dict[str, float]) -> None:
        self.best_path, self._best_file, self._best_fields = path, os.path.abspath(path), fields

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        with self._unchanged_by_failure():
            better = self._is_better(epoch, measured)
            if not better and self.save_best_only:
                return
            fields = {name: float(value) for name, value in measured.items()} | {"epoch": epoch}
            path = self._path(fields)
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            file = os.path.abspath(path)
            if better:
                self._note_best(path, fields)
            if self.keep is not None:
                self._files = {name: other for name, other in self._files.items() if name != file} | {file: fields}
            trainer.save(path)
        if self.keep is not None:
            self._delete(list(self._files)[: -self.keep])

    def _path(self, fields: Mapping[str, float]) -> str:
        """Return the path with its fields replaced."""
        try:
            return self.path.format_map(fields)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            expected = f"a path whose fields are among {', '.join(f'{{{name}}}' for name in fields)}"
            raise ValueError(wrong("path", expected, f"{self.path!r}: {error}")) from None

    @contextmanager
    def _unchanged_by_failure(self) -> Iterator[None]:
        """Undo changes if saving fails: an epoch that isn't saved is not the best so far."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).update(before)
            raise

    def _delete(self, files: Sequence[str]) -> None:
        """Delete these files, except the best one."""
        for file in files:
            if file != self._best_file:
                with suppress(FileNotFoundError):  # another process has deleted it
                    os.remove(file)
                del self._files[file]


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

    def __init__(self, path: Path, *, separator: str = ",", append: bool = False) -> None:
        self.path = checked_path("path", path)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(wrong("separator", "one character that is not a quote or a new line", shown(separator)))
        self.separator = separator
        self.append = flag("append", append)

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self._file = file_to_write("path", self.path)  # absolute: the program may chdir during the fit
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

    def __init__(self, log_dir: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise not_installed("TensorBoard needs tensorboardX", "tensorboard") from None
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
