"""What decides the machine code: the kernels' sources, and the versions of the packages that compile them."""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

COMPILERS = ("numba", "llvmlite")
PACKAGE = __package__.rpartition(".")[0]
BUILDERS = (f"{__package__}.image", f"{__package__}.build")


def version() -> str:
    """Return the version of fastbp."""
    return str(sys.modules[PACKAGE].__version__)  # an import of fastbp would lead to a higher layer


class Sources(NamedTuple):
    """A digest of the code that decides the machine code, and whether it was computed from source text."""

    digest: str
    are_text: bool


@cache
def sources(kernels: str = "network") -> Sources:
    """Return the digest of the kernels' modules, and of those that make machine code of them.

    Kernels for networks of layers use the others, but not the other way round: a change of theirs changes only theirs.
    """
    from .. import _kernels

    modules = _modules(_kernels)
    if kernels == "graph":
        from .._kernels import graph

        modules += _modules(graph)
    digest, are_text = hashlib.sha256(), True
    for name in (*modules, *BUILDERS):
        content, is_text = _content(name)
        are_text = are_text and is_text
        digest.update(b"%s %d\n" % (name.removeprefix(PACKAGE).encode(), len(content)) + content)
    return Sources(digest.hexdigest(), are_text)


def _modules(package: ModuleType) -> list[str]:
    """Return the names of a package and of the modules in it."""
    modules = sorted(
        f"{package.__name__}.{module.name}" for module in iter_modules(package.__path__) if not module.ispkg
    )
    return [package.__name__, *modules]


def _content(name: str) -> tuple[bytes, bool]:
    """Return the bytes that a module runs from, and whether they are its source, in a folder or in a zip."""
    spec = find_spec(name)
    if spec is None:
        return b"", True
    loader: Any = spec.loader
    with suppress(AttributeError, OSError):  # a program in one file has neither sources nor files
        place = loader.get_filename(name)
        return loader.get_data(place), place.endswith(".py")
    with suppress(AttributeError, ImportError):
        return marshal.dumps(loader.get_code(name), 2), False  # later format versions give other bytes in each process
    return b"", False


@cache
def compilers() -> dict[str, str]:
    """Return the versions of Numba and llvmlite that are installed, "" for none; it imports neither."""
    found: dict[str, str] = {}
    with suppress(OSError, ImportError, ValueError):  # ValueError: another program's module without a spec
        origin = getattr(find_spec(COMPILERS[0]), "origin", None)
        # A listing, because the import of importlib.metadata takes 40 ms.
        for name in os.listdir(os.path.dirname(os.path.dirname(origin or ""))):
            package, _, version = name.removesuffix(".dist-info").partition("-")
            if package in COMPILERS and name.endswith(".dist-info"):
                found[package] = "" if package in found else version  # two after an unfinished upgrade
    return {package: found.get(package) or _said_version(package) for package in COMPILERS}


def _said_version(package: str) -> str:
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError, OSError):  # OSError: of the package importlib-metadata, if it is there
        return metadata.version(package) or ""  # None after an unfinished installation
    return ""
