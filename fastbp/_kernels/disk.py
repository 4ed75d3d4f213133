"""Machine code on disk: each piece in a file whose name and digest say what it is, and which is ignored otherwise.

Numba's own files are an index and numbered pieces. Of two processes that add to it at once one may overwrite the
other's piece, and after a full disk or a crash the index may name an older version's: either would run the wrong code.
"""

import hashlib
import json
import marshal
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numba
from numba import config
from numba.core.caching import FunctionCache, NullCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from .._messages import warn
from .compiling import say_compiling

DIGEST_BYTES = 32


def _sources() -> str:
    """Return a hash of all modules of this folder, because machine code includes that of callees in other modules."""
    digest = hashlib.sha256()
    folder = sys.modules[__package__].__path__
    for name in ["", *sorted(f".{module.name}" for module in iter_modules(folder))]:
        digest.update(name.encode() + _content(__package__ + name))
    return digest.hexdigest()


def _content(module: str) -> bytes:
    """Return the bytes that a module runs from: its source or .pyc, in a folder or a zip, or else its code object."""
    loader: Any = find_spec(module).loader
    with suppress(AttributeError, OSError):
        return loader.get_data(loader.get_filename(module))
    return marshal.dumps(loader.get_code(module), 2)  # later format versions give other bytes in each process


SOURCES = _sources()
ARE_FILES = __file__.endswith(".py") and os.path.exists(__file__)  # not in a zip, not only a .pyc, and not frozen


@cache
def warn_of_no_cache() -> None:
    """Warn once for each process."""
    warn(
        "fastbp: no folder to keep compiled kernels in, so every process compiles them again; "
        "set NUMBA_CACHE_DIR to a writable folder",
        RuntimeWarning,
        stacklevel=3,
    )


class WithoutFiles:
    """Location of the cache if the kernels' sources are not files: in NUMBA_CACHE_DIR or the user's cache folder.

    Numba would otherwise put the cache beside the source file.
    """

    def __init__(self, function, folder):
        self._py_file, self._line = function.__code__.co_filename, function.__code__.co_firstlineno
        self._folder = folder

    @classmethod
    def from_function(cls, function, file):
        if ARE_FILES or not function.__module__.startswith(f"{__package__}."):
            return None
        place = sys.executable if getattr(sys, "frozen", False) else __file__  # a one-file program moves
        name = f"fastbp_{hash_of(os.path.abspath(place))}"
        for folder in filter(None, (config.CACHE_DIR, AppDirs(appname="numba", appauthor=False).user_cache_dir)):
            self = cls(function, os.path.join(folder, name))
            with suppress(OSError):
                self.ensure_cache_path()
                return self
        raise RuntimeError("no folder to keep machine code in")

    def ensure_cache_path(self):
        os.makedirs(self._folder, exist_ok=True)
        tempfile.TemporaryFile(dir=self._folder).close()

    def get_cache_path(self):
        return self._folder

    def get_source_stamp(self):
        """Return None: SOURCES is already a hash of the code."""

    def get_disambiguator(self):
        return str(self._line)


class Implementation(FunctionCache._impl_class):
    _locator_classes = (WithoutFiles, *FunctionCache._impl_class._locator_classes)


class Disk(FunctionCache):
    """The cache in which Numba looks for the machine code of a kernel and stores it.

    Parameters
    ----------
    function : the kernel
    quick : whether its compilation is too short to be announced

    Raises
    ------
    RuntimeError
        If there is no writable folder.
    """

    _impl_class = Implementation

    def __init__(self, function, quick=False):
        super().__init__(function)
        self.quick = quick
        stamp = numba.__version__, SOURCES, self._impl.locator.get_source_stamp()
        self._cache_file = self.pieces = Pieces(Path(self.cache_path), self._impl.filename_base, stamp)

    def load_overload(self, sig, target_context):
        """As Numba does it, but without a refresh of the target: what that imports, only a compilation needs."""
        rtsys.initialize(target_context)
        found = None  # also if the guard ignores an error
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        if found is None and not self.quick:
            say_compiling(kept=True)
        return found

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError:  # the folder isn't writable any more, or the disk is full
            warn_of_no_cache()


class Nowhere(NullCache):
    """The cache if nothing can be stored. It only announces compilations."""

    def __init__(self, quick=False):
        self.quick = quick

    def load_overload(self, sig, target_context):
        if not self.quick:
            say_compiling(kept=False)


def cache_of(function, quick):
    """Return the cache of a kernel: on disk, or none if Numba finds no writable folder."""
    try:
        return Disk(function, quick)
    except RuntimeError:
        warn_of_no_cache()
        return Nowhere(quick)


class Pieces:
    """The files of one kernel: a piece for each signature and processor, which Numba's key names.

    Parameters
    ----------
    folder : Path
    kernel : str, with which the files' names begin
    stamp : what makes pieces old when it changes
    """

    def __init__(self, folder, kernel, stamp):
        self.folder, self.kernel, self.version = folder, kernel, f"{kernel}.{hash_of(stamp)}"

    def load(self, key):
        """What was saved under the key; None if it isn't there, or not whole."""
        path = self._path(key)
        with suppress(OSError):
            about, _, whole = path.read_bytes().partition(b"\n")
            digest, piece = whole[:DIGEST_BYTES], whole[DIGEST_BYTES:]
            if digest == self._digest(path, about, piece):
                return pickle.loads(piece)
        return None

    def abouts(self) -> list[dict[str, str]]:
        """What each of this version's pieces says of itself: signature, processor, target (a hash), numba."""
        found = []
        for path in sorted(self.folder.glob(f"{self.version}.*.nbc")):
            with suppress(OSError, ValueError), path.open("rb") as file:
                found.append(json.loads(file.readline()))
        return found

    def save(self, key, data):
        """Keep it; pieces of other versions go."""
        signature, target, _ = key
        about = {
            "signature": str(signature),
            "target": hash_of(target),
            "processor": target[1],
            "numba": numba.__version__,
        }
        path, about, piece = self._path(key), json.dumps(about).encode(), dumps(data)
        temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}.tmp")
        try:
            temporary.write_bytes(about + b"\n" + self._digest(path, about, piece) + piece)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for old in self.folder.glob(f"{self.kernel}.*nb[ci]"):
            if not old.name.startswith(f"{self.version}."):
                with suppress(OSError):
                    old.unlink()

    def _path(self, key):
        return self.folder / f"{self.version}.{hash_of(key)}.nbc"

    @staticmethod
    def _digest(path, about, piece):
        return hashlib.sha256(path.name.encode() + about + piece).digest()


def hash_of(value: Any) -> str:
    """A short one, the same in every process."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
