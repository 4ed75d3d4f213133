"""Files that another program has open. Windows refuses to replace or delete them, and sometimes to write to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import TypeVar

WINDOWS = os.name == "nt"
SECONDS = 10.0  # a reader has a file open for milliseconds, a virus scanner or a backup for seconds
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25

Result = TypeVar("Result")


class InUseError(PermissionError):
    """Raised when another program kept a file open for too long."""


def patiently(act: Callable[[], Result], seconds: float = SECONDS) -> Result:
    """Return act(). On Windows, try again for some seconds while another program has its file open.

    Raises
    ------
    InUseError
        If that lasts for longer.
    """
    end, pause = monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            return act()
        except PermissionError as error:
            if not WINDOWS:  # elsewhere, this user lacks the permission
                raise
            if monotonic() >= end:
                text = "another program has this file open, or it is read-only"
                raise InUseError(error.errno, text, error.filename2 or error.filename) from error
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str], seconds: float = SECONDS) -> None:
    """Rename a file, over another one if there is one. All of fastbp's renaming is done here."""
    patiently(lambda: os.replace(source, target), seconds)


def flush_folder(folder: str | os.PathLike[str]) -> None:
    """Make a file's new name survive a loss of power, if the system can."""
    with suppress(OSError):  # Windows can't open a folder, and some file systems can't flush it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
