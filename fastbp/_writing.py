"""Atomic writing of files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from . import _checks
from ._in_use import SECONDS, InUseError, flush_folder, replace

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # no space, or more than the user may take


@contextmanager
def replacing(
    path: str | os.PathLike[str], *, text: bool = False, seconds: float = SECONDS, keep: bool = True
) -> Iterator[IO[Any]]:
    """Open a temporary file beside the path. At the end it is flushed to disk and renamed.

    A crash leaves the old file or the new one.

    Parameters
    ----------
    path : path of the file
    text : whether the file takes UTF-8 text, whose line endings are kept, and not bytes
    seconds : how long to wait for another program that has the file open
    keep : whether to keep the temporary file if the wait was in vain; the error then names it

    Raises
    ------
    InUseError
        If another program has the file open for longer.
    OSError
        That names the file, if its folder isn't there, or the disk is full.
    """
    from pathlib import Path

    place = Path(_checks.file_to_write("path", path))
    temporary = place.parent / f".{place.name}.{os.urandom(4).hex()}"
    try:
        with temporary.open("x", newline="", encoding="utf-8") if text else temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, place, seconds)
    except BaseException as error:
        if keep and isinstance(error, InUseError):  # what took hours to compute isn't lost
            raise InUseError(error.errno, f"{error.strerror}; what was written is in {temporary}", place) from None
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError) and not place.parent.is_dir():
            raise FileNotFoundError(error.errno, "there is no such folder; make it first", str(place)) from None
        if isinstance(error, OSError) and error.errno in FULL and not error.filename:
            why = f"can't be written: {error.strerror}; free space, or choose another folder"
            raise OSError(error.errno, why, str(place)) from None
        raise
    flush_folder(place.parent)
