"""Messages to standard output and standard error, which never end what they are about.

Either stream may be missing (``None`` in a service, or under pythonw), closed, broken, or unable to encode a character.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any


def out(text: str) -> None:
    """Write progress to standard output, if it can be written."""
    with suppress(Exception):
        write(sys.stdout, text)


def err(text: str) -> None:
    """Write a message to standard error, if it can be written."""
    with suppress(Exception):
        write(sys.stderr, text)


def result(text: str) -> None:
    """Write what a command was asked for to standard output, if there is one.

    Raises
    ------
    OSError
        If the text cannot be written: the reader has gone, or the disk is full.
    """
    write(sys.stdout, text)


def write(stream: Any, text: str) -> None:
    """Write and flush; None takes nothing. Characters that the stream cannot encode become escapes."""
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
    """Call `warnings.warn`, which lets a closed standard error end the caller."""
    with suppress(OSError, ValueError, AttributeError):  # a warning that a filter turns into an error is none of these
        warnings.warn(message, category, stacklevel + 1)


def is_terminal(stream: Any) -> bool:
    """Whether somebody watches the stream."""
    with suppress(Exception):
        return bool(stream.isatty())
    return False


@contextmanager
def flushable() -> Iterator[None]:
    """Within the block a library can flush both streams, as joblib does before it starts a process."""
    with ExitStack() as replaced:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            try:
                stream.flush()
            except Exception:
                replaced.enter_context(redirect(Safe(stream)))
        yield


class Safe:
    """A stream for a library that writes by itself, such as tqdm: like the given one, but its errors are ignored."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, if that is possible."""
        with suppress(Exception):
            write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Nothing is left to flush."""

    def __eq__(self, other: object) -> bool:  # by which tqdm.write finds the bars of a stream
        return bool(self._stream == getattr(other, "_stream", other))

    def __hash__(self) -> int:
        return hash(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
