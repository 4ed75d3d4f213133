"""The message that announces a compilation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .. import _messages

MESSAGE = "fastbp: compiling the kernels for this machine, which can take half a minute"
ADVICE = "; `python -m fastbp.warmup` compiles them beforehand"

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_announced: ContextVar[bool] = ContextVar("announced", default=False)
_said: set[str] = set()


@contextmanager
def silent_if(silent: bool) -> Iterator[None]:
    """Don't announce compilations in the block; False changes nothing."""
    token = _silent.set((silent or _silent.get()) and not _announced.get())
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def announced_if(announced: bool) -> Iterator[None]:
    """Announce compilations in the block, even those of a fit with ``verbose=0``; False changes nothing."""
    token = _announced.set(announced or _announced.get())
    try:
        yield
    finally:
        _announced.reset(token)


def is_silent() -> bool:
    """Return whether compilations are not announced here."""
    return _silent.get()


def say_compiling(*, kept: bool) -> None:
    """Announce a compilation on standard error, once for each process; kept: whether its result is stored on disk."""
    text = MESSAGE + (ADVICE if kept else "")
    if not _silent.get() and text not in _said:
        _said.add(text)
        _messages.err(f"{text}\n")


def import_what_kernels_need() -> None:
    """Import the Numba modules that machine code on disk refers to.

    Numba cannot import them twice. If Ctrl-C interrupted the import, this process could not load another kernel.
    """
    import numba.np.arrayobj  # noqa: F401
