"""Messages to standard output and standard error. An error while writing one never stops the work.

A stream may be missing (``None`` in a service or under pythonw), closed, broken, or unable to encode a character.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from contextvars import ContextVar
from typing import Any

Told = tuple[str, type[Warning]]  # a warning
KEPT: ContextVar[deque[Told] | None] = ContextVar("kept warnings", default=None)


def out(text: str) -> None:
    """Write progress to standard output, if it can be written."""
    with suppress(Exception):
        write(sys.stdout, text)


def err(text: str) -> None:
    """Write a message to standard error, if it can be written."""
    with suppress(Exception):
        write(sys.stderr, text)


def result(text: str) -> None:
    """Write the result of a command to standard output, if there is one.

    Raises
    ------
    OSError
        If the text cannot be written, because the reader has closed the pipe or the disk is full.
    """
    write(sys.stdout, text)


def write(stream: Any, text: str) -> None:
    """Write and flush. Do nothing for None. Characters that the stream cannot encode are escaped."""
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if hasattr(stream, "flush"):
        stream.flush()


def warn(message: str, category: type[Warning] = UserWarning, stacklevel: int = 1) -> None:
    """Call `warnings.warn`, but ignore its errors when standard error is closed. In `kept`, only keep the warning."""
    if (kept_here := KEPT.get()) is not None:
        kept_here.append((message, category))
        return
    with suppress(OSError, ValueError, AttributeError):  # a warning that a filter turns into an error still passes
        warnings.warn(message, category, stacklevel + 1)


@contextmanager
def kept(told: deque[Told]) -> Iterator[None]:
    """Keep warnings in a thread of fastbp, whose stack doesn't lead to the user's line. `give` gives them."""
    token = KEPT.set(told)
    try:
        yield
    finally:
        KEPT.reset(token)


def give(told: deque[Told], stacklevel: int, given: set[Told] | None = None) -> None:
    """Give the warnings that a thread has kept; each only once if `given` remembers them."""
    while told:
        warning = told.popleft()
        if given is None or warning not in given:
            warn(*warning, stacklevel=stacklevel + 1)
        if given is not None:
            given.add(warning)


def is_terminal(stream: Any) -> bool:
    """Return whether the stream is a terminal."""
    with suppress(Exception):
        return bool(stream.isatty())
    return False


@contextmanager
def flushable() -> Iterator[None]:
    """Let a library flush both streams in the block, as joblib does before it starts a process."""
    with ExitStack() as replaced:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            try:
                stream.flush()
            except Exception:
                replaced.enter_context(redirect(Safe(stream)))
        yield


class Safe:
    """A stream that ignores errors, for a library that writes by itself, such as tqdm."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, if possible."""
        with suppress(Exception):
            write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""

    def __eq__(self, other: object) -> bool:  # tqdm.write finds the bars of a stream by this
        return bool(self._stream == getattr(other, "_stream", other))

    def __hash__(self) -> int:
        return hash(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
