"""Callbacks: what may look on and step in while a trainer fits; the door to tqdm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._checks import sequence, shown, wrong

if TYPE_CHECKING:
    from .trainer import Trainer

    EpochFunction = Callable[[Trainer, int, Mapping[str, float]], bool | None]


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


class EpochLines(Callback):
    """A line an epoch, to standard output."""

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self.last = trainer.epochs_trained + epochs

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        sys.stdout.write(f"epoch {epoch}/{self.last}  {measured_text(measured)}\n")
        sys.stdout.flush()


class ProgressBar(Callback):
    """A tqdm bar over the epochs of a fit, in a terminal or a notebook.

    Raises
    ------
    ImportError
        Where tqdm is not installed.
    """

    FORMAT = "{desc} {bar:6} {elapsed}{postfix}"  # four measures, and all in 80 columns

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("a progress bar needs tqdm: pip install 'fastbp[progress]'") from None
        self.tqdm = tqdm

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        self.last = trainer.epochs_trained + epochs
        self.bar = self.tqdm(total=epochs, bar_format=self.FORMAT, desc=f"epoch {trainer.epochs_trained}/{self.last}")

    def on_progress(self, trainer: Trainer, done: float) -> None:
        self.bar.update(done - self.bar.n)

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> None:
        self.bar.set_description_str(f"epoch {epoch}/{self.last}", refresh=False)
        self.bar.set_postfix_str(paired_text(measured), refresh=False)

    def on_fit_end(self, trainer: Trainer) -> None:
        self.bar.refresh()
        self.bar.close()


def number_text(value: float) -> str:
    """Four decimals, or three digits of a small number."""
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.3g}"


def measured_text(measured: Mapping[str, float]) -> str:
    """Names and numbers: loss 0.1234  accuracy 0.9876  val_loss 0.2345  val_accuracy 0.8765."""
    return "  ".join(f"{name} {number_text(value)}" for name, value in measured.items())


def paired_text(measured: Mapping[str, float]) -> str:
    """The same, shorter: loss 0.1234 (val 0.2345) accuracy 0.9876 (val 0.8765)."""
    parts = []
    for name, value in measured.items():
        if not name.startswith("val_"):
            validation = f" (val {number_text(measured[f'val_{name}'])})" if f"val_{name}" in measured else ""
            parts.append(f"{name} {number_text(value)}{validation}")
    return " ".join(parts)


def as_callbacks(value: Any) -> list[Callback]:
    """The callbacks given: one or several, each a Callback or a function."""
    expected = "a Callback or a function of (trainer, epoch, measured), or several"
    items = [value] if isinstance(value, Callback) or callable(value) else sequence("callbacks", value, expected)
    for item in items:
        if isinstance(item, type) or not (isinstance(item, Callback) or callable(item)):
            raise TypeError(wrong("callbacks", expected, shown(item)))
    return [item if isinstance(item, Callback) else FunctionCallback(item) for item in items]


def progress(verbose: Any) -> list[Callback]:
    """The display that `verbose` asks for.

    0 or False: none; 1 or True: a bar; 2: a line an epoch; "auto": a bar in a terminal or a notebook where tqdm is
    installed, else lines.
    """
    if isinstance(verbose, str) and verbose == "auto":
        if interactive():
            try:
                return [ProgressBar()]
            except ImportError:
                pass
        return [EpochLines()]
    if verbose not in (0, 1, 2):
        raise ValueError(wrong("verbose", "'auto', 0 (silent), 1 (a bar) or 2 (a line an epoch)", shown(verbose)))
    if verbose == 0:
        return []
    return [ProgressBar()] if verbose == 1 else [EpochLines()]


def interactive() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
