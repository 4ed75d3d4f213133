"""The message to whoever waits for a compilation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from . import _messages

MESSAGE = "fastbp: compiling the kernels for this machine, which can take half a minute"
ADVICE = "; `python -m fastbp.warmup` compiles them beforehand"

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_announced: ContextVar[bool] = ContextVar("announced", default=False)
_said: set[str] = set()


@contextmanager
def silent_if(silent: bool) -> Iterator[None]:
    """Keep compilations within the block silent; False changes nothing."""
    token = _silent.set((silent or _silent.get()) and not _announced.get())
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def announced_if(announced: bool) -> Iterator[None]:
    """Announce compilations within the block, also those of a fit with ``verbose=0``; False changes nothing."""
    token = _announced.set(announced or _announced.get())
    try:
        yield
    finally:
        _announced.reset(token)


def is_silent() -> bool:
    """Whether compilations are silent here."""
    return _silent.get()


def say_compiling(*, kept: bool) -> None:
    """Say on standard error, once a process, that a compilation begins; kept: whether its result is kept on disk."""
    text = MESSAGE + (ADVICE if kept else "")
    if not _silent.get() and text not in _said:
        _said.add(text)
        _messages.err(f"{text}\n")


def import_what_kernels_need() -> None:
    """Import the modules of Numba to which machine code on disk refers.

    Numba cannot import them twice: after Ctrl-C in the middle of it this process could load no other kernel.
    """
    import numba.np.arrayobj  # noqa: F401
