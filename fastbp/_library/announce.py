"""The message that announces that kernels are being built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .. import _messages

MESSAGE = (
    "fastbp: building its kernels for this machine, once, which can take half a minute; "
    "`python -m fastbp.warmup` builds them beforehand"
)

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_announced: ContextVar[bool] = ContextVar("announced", default=False)
_said: set[str] = set()


@contextmanager
def silent_if(silent: bool) -> Iterator[None]:
    """Don't announce builds in the block; False changes nothing."""
    token = _silent.set((silent or _silent.get()) and not _announced.get())
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def announced_if(announced: bool) -> Iterator[None]:
    """Announce builds in the block, even those of a fit with ``verbose=0``; False changes nothing."""
    token = _announced.set(announced or _announced.get())
    try:
        yield
    finally:
        _announced.reset(token)


def is_silent() -> bool:
    """Return whether builds are not announced here."""
    return _silent.get()


def building() -> None:
    """Announce on standard error that kernels are being built, once for each process."""
    if not _silent.get() and MESSAGE not in _said:
        _said.add(MESSAGE)
        _messages.err(f"{MESSAGE}\n")
