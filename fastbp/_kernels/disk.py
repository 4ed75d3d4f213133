"""Machine code on disk: each piece in a file whose name and digest say what it is, and which is ignored otherwise.

Numba's own files are an index and numbered pieces. Of two processes that add to it at once one may overwrite the
other's piece, and after a full disk or a crash the index may name an older version's: either would run the wrong code.
"""

import hashlib
import json
import os
import pickle
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

DIGEST_BYTES = 32


def _sources() -> str:
    """A hash of all files of this folder: machine code of one holds that of its callees in the others."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _sources()


@cache
def warn_of_no_cache() -> None:
    """Once a process."""
    warnings.warn(
        "fastbp: no folder to keep compiled kernels in, so every process compiles them anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=3,
    )


class Disk(FunctionCache):
    """Where Numba looks for a kernel's machine code, and leaves it.

    Raises
    ------
    RuntimeError
        Where there is no folder that can be written to.
    """

    def __init__(self, function):
        super().__init__(function)
        stamp = numba.__version__, SOURCES, self._impl.locator.get_source_stamp()
        self._cache_file = self.pieces = Pieces(Path(self.cache_path), self._impl.filename_base, stamp)

    def load_overload(self, sig, target_context):
        """As Numba does it, but without a refresh of the target: what that imports, only a compilation needs."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError:  # the folder isn't writable any more, or the disk is full
            warn_of_no_cache()


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
