"""Build the kernels before their first use, for images and first-time users: `python -m fastbp.warmup`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from time import perf_counter

from . import _checks, _messages
from ._kernels.levels import LEVEL, LEVELS
from ._library import store
from ._library.announce import silent_if
from ._library.store import DTYPES, PLACES

LEVELS_HERE = tuple(name for name, level in LEVELS.items() if level.machine == LEVEL.machine)


def warm_up(dtypes: Sequence[str] = DTYPES, into: str = store.CACHE, levels: Sequence[str] | None = None) -> float:
    """Build the kernels that are missing, and store them for all processes.

    Parameters
    ----------
    dtypes : some of {"float32", "float64"}
    into : {"cache", "package"}
        "cache" is your cache folder. "package" is the folder where fastbp is installed, for an image in which another
        user runs it.
    levels : list of str or None
        Processor levels, such as ["x86-64-v2", "x86-64-v3", "x86-64-v4"], for an image that runs on other machines.
        None means the level of this machine.

    Returns
    -------
    The time in seconds.

    Raises
    ------
    OSError
        If the folder of the package can't be written.
    RuntimeError
        If the kernels can't be built.
    """
    started = perf_counter()
    _checks.one_of("into", into, PLACES)
    for name in dtypes:
        _checks.one_of("dtypes", name, DTYPES)
    for name in levels or ():
        _checks.one_of("levels", name, LEVELS_HERE)
    for level in levels or (LEVEL.name,):
        for dtype, kernels in product(dtypes, store.KERNELS):
            _warm_up(store.Kind(dtype, level, kernels=kernels), into)
    return perf_counter() - started


def _warm_up(kind: store.Kind, into: str) -> None:
    if into == store.CACHE and kind.level == LEVEL.name:
        from ._library.library import library

        with silent_if(True):
            library(kind.dtype, kind.kernels)  # stays in memory, also if there is no folder for it
    elif _path(kind, into) is None:
        with store.building(kind):
            image = store.find(kind)
            if image is None:
                from ._library import build

                image = build.build(*kind)
            if store.save(image, kind, into) is None and into == store.PACKAGE:
                raise OSError(f"fastbp's own folder cannot be written: {store.folder_of(store.PACKAGE)}")


def _path(kind: store.Kind, into: str) -> str | None:
    """Return the path of the file that makes a build unnecessary. What is in the package is not needed in the cache."""
    return store.path_in(store.PACKAGE, kind) or (store.path_in(into, kind) if into == store.CACHE else None)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `python -m fastbp.warmup`. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fastbp.warmup", description=__doc__)
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES, dest="dtypes")
    what = "your cache folder (default), or the folder of the package, for an image in which other users run fastbp"
    parser.add_argument("--into", default=store.CACHE, choices=PLACES, help=what)
    what = "processor levels, for an image that runs on other machines; default: the level of this machine"
    parser.add_argument("--level", nargs="+", default=[LEVEL.name], choices=LEVELS_HERE, dest="levels", help=what)
    arguments = parser.parse_args(argv)
    try:
        for level in arguments.levels:
            for dtype, kernels in product(arguments.dtypes, store.KERNELS):
                _tell(store.Kind(dtype, level, kernels=kernels), arguments.into)
    except (OSError, RuntimeError) as error:
        _messages.err(f"fastbp: {error}\n")
        return 1
    return 0


def _tell(kind: store.Kind, into: str) -> None:
    """Build kernels, and say so before and after."""
    what = f"{kind.dtype} for {kind.level}{', networks of layers' if kind.kernels == store.GRAPH else ''}"
    if store.find(kind) is None:
        _messages.err(f"building the kernels, {what}, which can take half a minute\n")
    started = perf_counter()
    _warm_up(kind, into)
    seconds = perf_counter() - started
    path = _path(kind, into)
    stored = f"in {path}" if path else "but not stored; set FASTBP_CACHE_DIR to a writable folder"
    _messages.result(f"kernels ready in {seconds:.1f} s, {what}, {stored}\n")


if __name__ == "__main__":
    sys.exit(main())
