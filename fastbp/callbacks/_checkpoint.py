"""Checkpoint: save the trainer after an epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, SupportsIndex

from .. import _in_use
from .._checks import flag, path as checked_path, shown, whole, wrong
from . import _watch
from ._watch import Watch

Path = str | os.PathLike[str]


class Checkpoint(Watch):
    """Save the trainer after each epoch, or after each epoch that is the best so far.

    The file also has the states of the other callbacks of the fit. If you load it, a fit with initial_epoch continues
    bit-identically. Callbacks that have a state, such as EarlyStopping, are therefore called before a Checkpoint.

    As in Keras's ModelCheckpoint, the best value covers all fits that you pass this object to, even of several
    trainers. If "auto" chooses another measure in a later fit, the best value is reset; with save_best_only, this
    raises an error.

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

    _writes_file = True

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

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
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

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
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
                try:
                    os.remove(file)
                except FileNotFoundError:  # another process has deleted it
                    pass
                except PermissionError:
                    if _in_use.WINDOWS:  # another program has it open; it is deleted after a later epoch
                        continue
                    raise
                del self._files[file]
