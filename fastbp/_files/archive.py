"""Model files: zip archives of arrays, as numpy.savez writes them. They are written atomically.

A file of a trainer has a header and arrays with fixed names. A file of an ensemble has a header that refers to any
number of arrays. A file may be malicious, so all sizes that it declares are compared with its actual size before they
are used.
"""

from __future__ import annotations

import errno
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import ModelFileError, refused
from .._writing import replacing

Array = npt.NDArray[Any]

ARRAYS = ("parameters", "first", "second")
OPTIONAL = ("states", "raw")  # only in files of trainings with callbacks, or with a moving average of the parameters
HEADER_BYTES = 1 << 30  # enough for a million epochs of forty measures
NPY_HEADER_BYTES = 256  # numpy pads the header of a vector to 128
ENCRYPTED = 1  # bit in the flags of a member
BYTE = np.dtype("uint8")
REFERENCE = "npy"  # in the header of an ensemble: the only field of an object that stands for an array
DTYPES = ("<f8", "<f4", "<i8", "<i4")  # of arrays of ensembles
STORED = {"i": np.dtype("<i8"), "u": np.dtype("<i8"), "f": np.dtype("<f8")}  # in place of other types
MOST_DIMENSIONS = 3


def write(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a model file."""
    _write(path, json.dumps(header), arrays, "history")


def write_nested(path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
    """Write a file of a header that has arrays anywhere among its JSON values. Equal arrays are written once."""
    arrays: dict[str, Array] = {}
    places: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def reference(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            raise TypeError(_checks.wrong("header", "JSON values and arrays", _checks.shown(value)))
        array = value if value.dtype.str in DTYPES else value.astype(STORED[value.dtype.kind])
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in places:
            places[key] = f"array_{len(places)}"
            arrays[places[key]] = np.array(array, order="C")
        return {REFERENCE: places[key]}

    _write(path, json.dumps(header, default=reference), arrays, "estimator")


def _write(path: str | os.PathLike[str], header: str, arrays: Mapping[str, Array], what: str) -> None:
    text = np.frombuffer(header.encode(), BYTE)
    if text.size > HEADER_BYTES:
        raise ValueError(_checks.wrong(what, f"no more than {HEADER_BYTES:,} bytes as JSON", f"{text.size:,}"))
    with replacing(path) as file:
        np.savez(file, header=text, **arrays)  # type: ignore[arg-type]


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return "trainer" or "ensemble" for a file that this module wrote, or that looks like one; "" for another file."""
    try:
        with ZipFile(path) as archive:
            names = set(archive.namelist())
    except (BadZipFile, EOFError, ValueError, NotImplementedError, struct.error, UnicodeDecodeError):
        return ""
    if "header.npy" not in names:
        return ""
    return "trainer" if "parameters.npy" in names else "ensemble"


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[ModelFile]:
    """Open a model file for reading."""
    with open(_checks.path("path", path), "rb") as file:
        yield ModelFile(file)


@contextmanager
def opened_nested(path: str | os.PathLike[str]) -> Iterator[NestedFile]:
    """Open a file that `write_nested` wrote."""
    with open(_checks.path("path", path), "rb") as file:
        yield NestedFile(file)


class Archive:
    """An open archive of arrays, none of them compressed. Together they are no larger than the file.

    Raises
    ------
    ModelFileError
        If the content differs from what this module writes. The methods raise it, too.
    """

    def __init__(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        with _content_errors():
            self._archive = ZipFile(file)
            members = self._archive.infolist()
        self._check_names([member.filename for member in members])
        for member in members:
            plain = member.compress_type == ZIP_STORED and not member.flag_bits & ENCRYPTED
            if not plain or member.file_size != member.compress_size:
                raise refused(f"a compressed or encrypted {member.filename}")
            if member.header_offset + member.file_size > size:
                raise refused(f"{member.filename} of {member.file_size:,} bytes in a file of {size:,}")
        if (total := sum(member.file_size for member in members)) > size:
            raise refused(f"members of {total:,} bytes in a file of {size:,}")
        self._members = {member.filename.removesuffix(".npy"): member for member in members}

    def _check_names(self, names: list[str]) -> None:
        """Refuse members with other names."""
        raise NotImplementedError

    def _header(self, **options: Any) -> Any:
        member = self._members["header"]
        if member.file_size > HEADER_BYTES:
            raise refused(f"a header of {member.file_size:,} bytes", f"a header of no more than {HEADER_BYTES:,} bytes")
        with _content_errors():
            return json.loads(self._read(member, (BYTE,), 1).tobytes(), **options)

    def _read(self, member: ZipInfo, dtypes: Sequence[np.dtype[Any]], most: int, count: int | None = None) -> Array:
        """Read an array of one of the dtypes that fills its member.

        Parameters
        ----------
        member : of the archive
        dtypes : those that are allowed
        most : number of dimensions, at most
        count : if it is given, the array is a vector of this length
        """
        with self._archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise refused(f"version {version} of the .npy format in {member.filename}")
            shape, fortran_order, found = np.lib.format.read_array_header_1_0(file, max_header_size=NPY_HEADER_BYTES)
            rest = member.file_size - file.tell()
            if count is not None:
                fits = shape == (count,)
            else:
                fits = len(shape) <= most and all(n >= 0 for n in shape)
            if fortran_order or not fits or found not in dtypes:
                came = f"{_checks.shown(found)} of shape {_checks.shown(shape)}" + " in Fortran order" * fortran_order
                shapes = f"of shape ({count},)" if count is not None else f"of {most} dimensions or fewer"
                raise refused(came, f"{' or '.join(map(str, dtypes))} {shapes} in {member.filename}")
            if math.prod(shape) * found.itemsize != rest:
                raise refused(f"{member.filename} of {member.file_size:,} bytes for {math.prod(shape):,} numbers")
            return np.frombuffer(file.read(), found).reshape(shape)


class ModelFile(Archive):
    """The open file of a trainer."""

    def _check_names(self, names: list[str]) -> None:
        expected = [f"{name}.npy" for name in ("header", *ARRAYS)]
        more = {f"{name}.npy" for name in OPTIONAL}.intersection(names)
        if "array_0.npy" in names and "parameters.npy" not in names:
            raise refused("the file of a tabular estimator; use fastbp.tabular.load")
        if sorted(names) != sorted([*expected, *more]):
            raise refused(f"an archive of {_checks.shown(names)}, not of {', '.join(expected)}")

    def header(self) -> Any:
        """Return the header, parsed as JSON."""
        return self._header()

    def array(self, name: str, dtype: np.dtype[Any], count: int) -> Array:
        """Return `count` finite numbers; an empty array if the member is optional and missing."""
        if name not in self._members:
            if count > 0:
                raise refused("none", f"{count:,} numbers as {name}")
            return np.empty(0, dtype)
        with _content_errors():
            array = self._read(self._members[name], (dtype,), 1, count)
        if not np.isfinite(array).all():
            raise refused(f"{array[~np.isfinite(array)][0]} among them", f"finite numbers as {name}")
        return array


class NestedFile(Archive):
    """The open file of an ensemble."""

    def _check_names(self, names: list[str]) -> None:
        if sorted(names) != sorted(["header.npy", *(f"array_{i}.npy" for i in range(len(names) - 1))]):
            raise refused(f"an archive of {_checks.shown(names)}", "a file of an ensemble")

    def header(self) -> Any:
        """Return the header, parsed as JSON, with arrays in place of references to them. They are read-only."""
        dtypes = tuple(map(np.dtype, DTYPES))
        found: dict[str, Array] = {}

        def resolved(record: dict[str, Any]) -> Any:
            if record.keys() != {REFERENCE}:
                return record
            name = record[REFERENCE]
            if type(name) is not str or name == "header" or name not in self._members:
                raise refused(_checks.shown(name), "the name of an array")
            if name not in found:
                found[name] = self._read(self._members[name], dtypes, MOST_DIMENSIONS)
            return found[name]

        return self._header(object_hook=resolved)


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
