"""Model files: zip archives of arrays, as numpy.savez writes them. They are written atomically.

A file may be malicious, so all sizes that it declares are compared with its actual size before they are used.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import ModelFileError, refused
from .._writing import replacing

Array = npt.NDArray[Any]

ARRAYS = ("parameters", "first", "second")
OPTIONAL = ("states",)  # only in files of trainings with callbacks
HEADER_BYTES = 1 << 30  # enough for a million epochs of forty measures
NPY_HEADER_BYTES = 256  # numpy pads the header of a vector to 128
ENCRYPTED = 1  # bit in the flags of a member
BYTE = np.dtype("uint8")


def write(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a model file."""
    text = np.frombuffer(json.dumps(header).encode(), BYTE)
    if text.size > HEADER_BYTES:
        raise ValueError(_checks.wrong("history", f"no more than {HEADER_BYTES:,} bytes as JSON", f"{text.size:,}"))
    with replacing(path) as file:
        np.savez(file, header=text, **arrays)  # type: ignore[arg-type]


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[ModelFile]:
    """Open a model file for reading."""
    with open(_checks.path("path", path), "rb") as file:
        yield ModelFile(file)


class ModelFile:
    """An open model file. It has the expected members, none of them compressed or larger than the file.

    Raises
    ------
    ModelFileError
        If the content differs from what `write` writes. The methods raise it, too.
    """

    def __init__(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        with _content_errors():
            self._archive = ZipFile(file)
            members = self._archive.infolist()
        expected = [f"{name}.npy" for name in ("header", *ARRAYS)]
        names = [member.filename for member in members]
        more = {f"{name}.npy" for name in OPTIONAL}.intersection(names)
        if sorted(names) != sorted([*expected, *more]):
            came = _checks.shown(names)
            raise refused(f"an archive of {came}, not of {', '.join(expected)}")
        for member in members:
            plain = member.compress_type == ZIP_STORED and not member.flag_bits & ENCRYPTED
            if not plain or member.file_size != member.compress_size:
                raise refused(f"a compressed or encrypted {member.filename}")
            if member.header_offset + member.file_size > size:
                raise refused(f"{member.filename} of {member.file_size:,} bytes in a file of {size:,}")
        self._members = {member.filename.removesuffix(".npy"): member for member in members}

    def header(self) -> Any:
        """Return the header, parsed as JSON."""
        member = self._members["header"]
        if member.file_size > HEADER_BYTES:
            raise refused(f"a header of {member.file_size:,} bytes", f"a header of no more than {HEADER_BYTES:,} bytes")
        with _content_errors():
            return json.loads(self._read(member, BYTE, None).tobytes())

    def array(self, name: str, dtype: np.dtype[Any], count: int) -> Array:
        """Return `count` finite numbers; an empty array if the member is optional and missing."""
        if name not in self._members:
            if count > 0:
                raise refused("none", f"{count:,} numbers as {name}")
            return np.empty(0, dtype)
        with _content_errors():
            array = self._read(self._members[name], dtype, count)
        if not np.isfinite(array).all():
            raise refused(f"{array[~np.isfinite(array)][0]} among them", f"finite numbers as {name}")
        return array

    def _read(self, member: ZipInfo, dtype: np.dtype[Any], count: int | None) -> Array:
        """Read a vector of the dtype that fills its member; check its length if count isn't None."""
        with self._archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise refused(f"version {version} of the .npy format in {member.filename}")
            shape, fortran_order, found = np.lib.format.read_array_header_1_0(file, max_header_size=NPY_HEADER_BYTES)
            length = (member.file_size - file.tell()) // dtype.itemsize
            expected = length if count is None else count
            if fortran_order or shape != (expected,) or found != dtype:
                came = f"{_checks.shown(found)} of shape {_checks.shown(shape)}" + " in Fortran order" * fortran_order
                raise refused(came, f"{dtype} of shape ({expected},) in {member.filename}")
            if file.tell() + expected * dtype.itemsize != member.file_size:
                raise refused(f"{member.filename} of {member.file_size:,} bytes for {expected:,} numbers")
            return np.frombuffer(file.read(), dtype)


@contextmanager
def _content_errors() -> Iterator[None]:
    """Raise ModelFileError for all errors of zipfile, json and numpy about bytes that they can't read."""
    try:
        yield
    except (ModelFileError, MemoryError):
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a seek to before the start; others: the disk
            raise
        raise refused(f"{error}") from error
    except Exception as error:
        raise refused(f"{type(error).__name__}: {error}") from error
