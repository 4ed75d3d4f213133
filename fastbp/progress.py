"""Progress of a fit: a tqdm bar, or one line per epoch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from . import _messages
from ._checks import shown, wrong
from ._extras import not_installed
from .callbacks import Callback


class EpochLines(Callback):
    """Print one line per epoch to standard output."""

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        self.last = trainer.epochs_trained + epochs

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        _messages.out(f"epoch {epoch}/{self.last}  {measured_text(measured)}\n")


class ProgressBar(Callback):
    """A tqdm bar over the epochs of a fit, in a terminal or a notebook.

    A notebook without ipywidgets shows the bar as text.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """

    FORMAT = "{desc} {bar:6} {elapsed}{postfix}"  # four measures fit into 80 columns

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "IProgress not found")
                from tqdm.auto import tqdm
        except ImportError:
            raise not_installed("a progress bar needs tqdm", "progress") from None
        self.tqdm = tqdm

    def new(self, **options: Any) -> Any:
        """Return a tqdm bar, which shows nothing if standard error can't be written."""
        with _messages.flushable():
            return self.tqdm(file=_messages.Safe(sys.stderr), **options)

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        self.last = trainer.epochs_trained + epochs
        self.bar = self.new(total=epochs, bar_format=self.FORMAT, desc=f"epoch {trainer.epochs_trained}/{self.last}")

    def on_progress(self, trainer: Any, done: float) -> None:
        self.bar.update(done - self.bar.n)

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        self.bar.set_description_str(f"epoch {epoch}/{self.last}", refresh=False)
        self.bar.set_postfix_str(paired_text(measured), refresh=False)

    def on_fit_end(self, trainer: Any) -> None:
        self.bar.refresh()
        self.bar.close()


class Tally:
    """Progress of training many networks: a bar, one line per network, or nothing, chosen as in `progress`.

    Parameters
    ----------
    total : number of networks
    verbose : as in `progress`
    """

    def __init__(self, total: int, verbose: Any) -> None:
        self.total, self.done = total, 0
        displays = progress(verbose)
        self.lines = bool(displays) and isinstance(displays[0], EpochLines)
        self.bar = None
        if displays and isinstance(displays[0], ProgressBar):
            self.bar = displays[0].new(total=total, desc="networks")

    def add(self, line: Callable[[], str]) -> None:
        """Count one more trained network; line() returns its text."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        elif self.lines:
            _messages.out(f"{self.done}/{self.total}  {line()}\n")

    def close(self) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


def number_text(value: float) -> str:
    """Format with four decimals; small numbers with three significant digits."""
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.3g}"


def measured_text(measured: Mapping[str, float]) -> str:
    """Format names and numbers: loss 0.1234  accuracy 0.9876  val_loss 0.2345  val_accuracy 0.8765."""
    return "  ".join(f"{name} {number_text(value)}" for name, value in measured.items())


def paired_text(measured: Mapping[str, float]) -> str:
    """Format them in a shorter way: loss 0.1234 (val 0.2345) accuracy 0.9876 (val 0.8765)."""
    texts = []
    for name, value in measured.items():
        if not name.startswith("val_"):
            validation = f" (val {number_text(measured[f'val_{name}'])})" if f"val_{name}" in measured else ""
            texts.append(f"{name} {number_text(value)}{validation}")
    return " ".join(texts)


def progress(verbose: Any) -> list[Callback]:
    """Return the callback for a value of `verbose`.

    0 or False shows nothing, 1 or True a bar, and 2 one line per epoch. "auto" shows a bar in a terminal or a notebook
    if tqdm is installed, and otherwise lines.
    """
    if isinstance(verbose, str) and verbose == "auto":
        if interactive():
            try:
                return [ProgressBar()]
            except ImportError:
                pass
        return [EpochLines()]
    if getattr(verbose, "ndim", 0) or verbose not in (0, 1, 2):
        raise ValueError(wrong("verbose", "'auto', 0 (silent), 1 (a bar) or 2 (one line per epoch)", shown(verbose)))
    if verbose == 0:
        return []
    return [ProgressBar()] if verbose == 1 else [EpochLines()]


def interactive() -> bool:
    """Return whether standard error is a terminal, or this is a notebook."""
    return _messages.is_terminal(sys.stderr) or "ipykernel" in sys.modules
