"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from . import _checks


@contextmanager
def replacing(path: str | os.PathLike[str], *, text: bool = False) -> Iterator[IO[Any]]:
    """A file beside its place, to be written; then flushed to disk and renamed: a crash leaves the old or the new.

    Of bytes, or of text in UTF-8 whose ends of lines stay as they are.
    """
    place = Path(_checks.file_to_write("path", path))
    temporary = place.parent / f".{place.name}.{os.urandom(4).hex()}"
    file: IO[Any] = temporary.open("x", newline="", encoding="utf-8") if text else temporary.open("xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(place.parent)


def _flush_folder(folder: Path) -> None:
    """Make a file's new name last through a loss of power, where the system can."""
    with suppress(OSError):  # Windows opens no folder, some file systems flush none; the file is whole either way
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
