"""Where files with kernels are: in the package, where wheels have them, and in the user's cache folder.

A file in the package is used if it was built from the package's sources. The name of a file in the cache depends on the
sources and on the versions of Numba and llvmlite, so that a new version has a file of its own. A file that nobody has
used for 90 days is removed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import AbstractContextManager, suppress
from functools import cache
from typing import Any, NamedTuple

from .._messages import warn
from . import folders, kernel_file
from .kernel_file import Image
from .sources import compilers, sources, version

ENDING = ".kernels"
BUILT = "built"  # folder of the package
PACKAGE, CACHE = "package", "cache"
PLACES = (PACKAGE, CACHE)
DTYPES = ("float32", "float64")
NETWORK, GRAPH = "network", "graph"
KERNELS = (NETWORK, GRAPH)
DAYS = 90


class Kind(NamedTuple):
    """Which kernels: their data type, the processor's level and the system, whose rules for calls they follow.

    kernels: "network" for plain networks, "graph" for networks of layers.
    """

    dtype: str
    level: str
    system: str = sys.platform
    kernels: str = NETWORK

    @property
    def facts(self) -> dict[str, str]:
        """What a file with these kernels says about itself if it is written now."""
        return {**self._asdict(), **compilers(), "fastbp": version(), "sources": sources(self.kernels).digest}

    @property
    def name(self) -> str:
        """The file's name in the package."""
        return f"{self.stem}{ENDING}"

    @property
    def name_in_cache(self) -> str:
        """The file's name in the cache, which all versions and systems may share."""
        key = repr(sorted(self.facts.items()))
        return f"{self.stem}-{hashlib.sha256(key.encode()).hexdigest()[:24]}{ENDING}"

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{'graph-' if self.kernels == GRAPH else ''}{self.dtype}-{self.level}"


def find(kind: Kind) -> Image | None:
    """Return kernels from the package or the cache; None if they have to be built."""
    return in_package(kind) or in_cache(kind)


def in_package(kind: Kind) -> Image | None:
    """Return kernels that were installed with the package or stored there, in a folder or a zip."""
    with suppress(OSError, AttributeError):
        loader: Any = _package().__loader__
        found = kernel_file.unpacked(loader.get_data(os.path.join(_folder_of_package(), BUILT, kind.name)))
        if found is not None and _serves(found[0], kind):
            return found[1]
    return None


def _serves(facts: dict[str, str], kind: Kind) -> bool:
    """Return whether the package's file is for these kernels.

    Without source text, the version of fastbp stands for the sources, because nobody edits them.
    """
    now, of_now = sources(kind.kernels), kind._asdict()
    if {name: facts.get(name) for name in of_now} != of_now:
        return False
    return facts.get("sources") == now.digest or (not now.are_text and facts.get("fastbp") == version())


def in_cache(kind: Kind) -> Image | None:
    """Return kernels from the user's cache folder, unless another user could have written them."""
    folder = cache_folder()
    if folder is None:
        return None
    path = os.path.join(folder, kind.name_in_cache)
    try:
        if not os.path.exists(path):
            return None
        folders.check(folder)
        found = kernel_file.unpacked(folders.read(path))
    except folders.Untrusted as error:
        _warn_of_no_cache(f"is not used: {error}")
        return None
    except OSError:
        return None
    return found[1] if found is not None and found[0] == kind.facts else None


def save(image: Image, kind: Kind, into: str = CACHE) -> str | None:
    """Store kernels for other processes.

    Parameters
    ----------
    image : the kernels
    kind : what they are
    into : "cache", "package" or a folder for a wheel, whose files have the same names as the package's

    Returns
    -------
    The file's path, or None if it could not be written. For the cache, a warning says why.
    """
    data = kernel_file.packed(image, kind.facts)
    if into != CACHE:
        folder = os.path.join(_folder_of_package(), BUILT) if into == PACKAGE else into
        with suppress(OSError):
            folders.make(folder)
            folders.write(folder, kind.name, data)
            return os.path.join(folder, kind.name)
        return None
    try:
        folder = _folder_to_write()
        folders.write(folder, kind.name_in_cache, data)
        folders.tidy(folder, ENDING, DAYS)
    except folders.Untrusted as error:
        _warn_of_no_cache(f"is not used: {error}")
        return None
    except OSError as error:
        _warn_of_no_cache(f"cannot be written: {error}")
        return None
    return os.path.join(folder, kind.name_in_cache)


def _folder_to_write() -> str:
    """Return the cache folder, which is made if it's missing.

    Raises
    ------
    OSError, Untrusted
    """
    folder = cache_folder()
    if folder is None:
        raise FileNotFoundError("there is no home folder")
    folders.make(folder)
    folders.check(folder)
    return folder


def building(kind: Kind) -> AbstractContextManager[None]:
    """Let one thread of one process at a time build kernels.

    Look with `find` again in the block, because another one may have built them meanwhile.
    """
    from . import locks  # imports threading, which a process that finds its kernels may not need

    folder = None
    with suppress(OSError, folders.Untrusted):
        folder = _folder_to_write()
    return locks.alone(kind.stem, folder)


def cache_folder() -> str | None:
    """Return FASTBP_CACHE_DIR or fastbp's folder among the user's caches; None if there is no home."""
    given = os.environ.get("FASTBP_CACHE_DIR")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    if sys.platform == "win32":
        above = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        above = os.path.expanduser("~/Library/Caches")
    else:
        above = os.environ.get("XDG_CACHE_HOME", "")
        above = above if os.path.isabs(above) else os.path.expanduser("~/.cache")
    return os.path.join(above, "fastbp") if os.path.isabs(above) else None


def folder_of(place: str) -> str | None:
    """Return the folder of the files in the package or in the cache."""
    return os.path.join(_folder_of_package(), BUILT) if place == PACKAGE else cache_folder()


def path_in(place: str, kind: Kind) -> str | None:
    """Return the path of the kernels in the package or in the cache; None if there are none that serve."""
    folder, found = folder_of(place), in_package(kind) if place == PACKAGE else in_cache(kind)
    name = kind.name if place == PACKAGE else kind.name_in_cache
    return os.path.join(folder, name) if folder and found else None


def stored() -> list[tuple[str, dict[str, str]]]:
    """Return the path of each file in the package and in the cache, and what it says of itself."""
    found = []
    for folder in filter(None, map(folder_of, (PACKAGE, CACHE))):
        with suppress(OSError):
            for name in sorted(os.listdir(folder)):
                path = os.path.join(folder, name)
                if name.endswith(ENDING) and os.path.isfile(path):  # a pipe would be read for ever
                    with suppress(OSError), open(path, "rb") as file:
                        facts = kernel_file.facts_of(file.read(kernel_file.HEADER_BYTES))
                        found += [(path, facts)] if facts is not None else []
    return found


def _package() -> Any:
    return sys.modules[__package__]


def _folder_of_package() -> str:
    return str(_package().__path__[0])


def _warn_of_no_cache(why: str) -> None:
    _warn(
        f"fastbp: the cache folder for kernels {why}; every process builds them again; set FASTBP_CACHE_DIR to a "
        "writable folder of your own"
    )


@cache
def _warn(text: str) -> None:
    """Warn once for each process."""
    warn(text, RuntimeWarning, stacklevel=4)
