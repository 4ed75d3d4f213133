"""Where the bytes of a table come from: a file, a compressed file, a pipe or standard input."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from . import TableError

STANDARD_INPUT = "-"
START = 1 << 12  # bytes at the start of a file by which its type is recognized
COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip"}
DAMAGE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


class Source:
    """The bytes of a table, which can be read several times.

    Parameters
    ----------
    path : path of a file, or "-" for standard input

    Attributes
    ----------
    suffix : the type of the file in its name, without the suffix of a compression; "" for standard input
    compression : "gzip", "bzip2", "xz", "zip", or "" for none
    """

    def __init__(self, path: str) -> None:
        self.path, self._kept = path, cast("IO[bytes] | None", None)
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise TableError("expected a table, but standard input is closed")
            self._keep(sys.stdin.buffer)
        elif not os.path.isfile(path):
            with open(path, "rb") as pipe:
                self._keep(pipe)
        with self._opened() as file:
            start = file.read(8)
        place = Path("" if path == STANDARD_INPUT else path)
        named = COMPRESSED.get(place.suffix.lower(), "")
        found = next((name for mark, name in MAGIC.items() if start.startswith(mark)), "")
        if named and not found:
            raise TableError(f"expected a file that is compressed with {named}, got another type of file")
        self.suffix = Path(place.stem if named else place).suffix.lower()
        self.compression = found

    def _keep(self, pipe: IO[bytes]) -> None:
        """Copy what can be read only once to a temporary file."""
        self._kept = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(pipe, self._kept)
        self._kept.flush()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with open(self.path if self._kept is None else os.dup(self._kept.fileno()), "rb") as file:
            file.seek(0)
            yield file

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the file, and decompress it while it is read.

        Raises
        ------
        TableError
            If the compressed file is damaged, or if it is a .zip file of several files.
        """
        try:
            with self._opened() as file:
                if self.compression == "zip":
                    with zipfile.ZipFile(file) as archive, archive.open(self.member(archive)) as member:
                        yield member
                elif self.compression:
                    readers: dict[str, Any] = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}
                    opened = {"fileobj" if self.compression == "gzip" else "filename": file}
                    with readers[self.compression](mode="rb", **opened) as plain:
                        yield plain
                else:
                    yield file
        except DAMAGE as error:
            raise self._damaged(error) from None
        except OSError as error:  # bz2 raises it for damaged data, without a number
            if error.errno is not None:
                raise
            raise self._damaged(error) from None
        except RuntimeError as error:  # zipfile raises it for encrypted files and unknown methods
            if self.compression != "zip":
                raise
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> TableError:
        return TableError(f"this {self.compression} file is damaged or can't be decompressed: {error}")

    def member(self, archive: zipfile.ZipFile) -> str:
        """Return the name of the only file in a .zip file."""
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
        if "[Content_Types].xml" in names:
            raise TableError("this is a spreadsheet or another office document; save it as CSV UTF-8")
        if names and all(name.endswith(".npy") for name in names):
            raise TableError("this is a NumPy file; give it a name that ends in .npz")
        if len(names) != 1:
            some = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            advice = "unpack it, and name the table" if names else "it has no table"
            raise TableError(f"expected a .zip file of one file, got {len(names)} files: {some}; {advice}")
        return names[0]

    @cached_property
    def start(self) -> bytes:
        """The first bytes after decompression."""
        with self.opened() as file:
            return file.read(START)

    @contextmanager
    def seekable(self) -> Iterator[IO[bytes]]:
        """Open the decompressed file so that it can be read in any order."""
        with tempfile.TemporaryFile() as kept, self.opened() as file:
            shutil.copyfileobj(file, kept)
            kept.seek(0)
            yield kept


def text_of(file: IO[bytes], encoding: str) -> io.TextIOWrapper:
    """Return the file as text whose line endings are kept. Close it, which closes the file."""
    return io.TextIOWrapper(cast("Any", file), encoding, newline="")
