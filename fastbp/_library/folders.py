"""Folders and files that no other user can have written to, and how a file is written as a whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from time import time

from .._in_use import flush_folder, replace

DAY = 86400.0  # seconds
PATIENCE = 1.0  # seconds to wait for a process that has the old file open
TEMPORARY = ".tmp"


class Untrusted(Exception):
    """Raised if another user could have written a file or could replace it."""


def make(folder: str) -> None:
    """Make a folder and its missing parents. Other users can't write to them, whatever the umask is."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    for each in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker; `check` looks at whose it is
            os.mkdir(each, 0o755)


def check(folder: str) -> None:
    """Check that the folder belongs to this user or root, and that nobody else can write to it. Links are followed.

    Raises
    ------
    Untrusted
    OSError
        If there is no such folder.
    """
    _check(folder, os.stat(folder))


def read(path: str) -> bytes:
    """Return a file's bytes, and note once a day that it is used.

    Raises
    ------
    Untrusted
        If another user could have written them.
    OSError
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        _check(path, status)
        data = file.read()
    if time() - status.st_mtime > DAY:
        with suppress(OSError):
            os.utime(path)
    return data


def _check(path: str, status: os.stat_result) -> None:
    if not hasattr(os, "geteuid"):  # Windows has no such modes; a user's own folders are private there
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise Untrusted(f"{path} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Untrusted(f"other users can write to {path}; run `chmod go-w {path}`")


def write(folder: str, name: str, data: bytes) -> None:
    """Put a file into a folder: whole and readable for everybody, or not at all.

    Raises
    ------
    OSError
    """
    path = os.path.join(folder, name)
    temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}{TEMPORARY}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(temporary, flags, 0o644), "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path, data)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    flush_folder(folder)


def _replace(temporary: str, path: str, data: bytes) -> None:
    """Rename the temporary file. Windows refuses this while another process has the old file open.

    That is no error if the old file holds the same data.
    """
    try:
        replace(temporary, path, PATIENCE)
    except PermissionError:
        if not _holds(path, data):
            raise
        os.unlink(temporary)


def _holds(path: str, data: bytes) -> bool:
    with suppress(OSError), open(path, "rb") as file:
        return file.read() == data
    return False


def tidy(folder: str, ending: str, days: float) -> None:
    """Remove temporary files that killed writers left, and files with the ending that nobody has used for some days."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            limit = 1 if entry.name.endswith(TEMPORARY) else days if entry.name.endswith(ending) else None
            with suppress(OSError):
                if limit and time() - entry.stat(follow_symlinks=False).st_mtime > limit * DAY:
                    os.unlink(entry.path)
