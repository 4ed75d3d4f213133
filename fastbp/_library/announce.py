"""The message that announces that kernels are being built."""

from __future__ import annotations

from contextvars import ContextVar, Token

from .. import _messages

MESSAGE = (
    "fastbp: building the kernels for this machine, which happens only once and can take half a minute; "
    "`python -m fastbp.warmup` builds them ahead of time"
)

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_announced: ContextVar[bool] = ContextVar("announced", default=False)
_said: set[str] = set()


class _Set:
    """Set a variable within a block. A generator with `contextmanager` would slow down the shortest fits."""

    def __init__(self, variable: ContextVar[bool], value: bool) -> None:
        self.variable, self.value = variable, value

    def __enter__(self) -> None:
        self.token: Token[bool] = self.variable.set(self.value)

    def __exit__(self, *_: object) -> None:
        self.variable.reset(self.token)


def silent_if(silent: bool) -> _Set:
    """Don't announce builds in the block; False changes nothing."""
    return _Set(_silent, (silent or _silent.get()) and not _announced.get())


def announced_if(announced: bool) -> _Set:
    """Announce builds in the block, even those of a fit with ``verbose=0``; False changes nothing."""
    return _Set(_announced, announced or _announced.get())


def is_silent() -> bool:
    """Return whether builds are not announced here."""
    return _silent.get()


def building() -> None:
    """Announce on standard error that kernels are being built, once for each process."""
    if not _silent.get() and MESSAGE not in _said:
        _said.add(MESSAGE)
        _messages.err(f"{MESSAGE}\n")
