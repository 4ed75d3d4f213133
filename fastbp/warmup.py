"""Compile the kernels ahead of their first use, for images and first-time users: `python -m fastbp.warmup`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from ._kernels import epoch
from .many import fit_many
from .trainer import Trainer

DTYPES = ("float32", "float64")


def warm_up(dtypes: Sequence[str] = DTYPES) -> float:
    """Compile every kernel that `Trainer` and `fit_many` use, or load it from disk.

    Parameters
    ----------
    dtypes : names out of {"float32", "float64"}

    Returns
    -------
    The seconds that it took.
    """
    started = perf_counter()
    for dtype in dtypes:
        for sizes, m in (((64, 64, 10), 8), ((2, 2, 1), 8)):  # each path through the kernels
            trainer = Trainer(sizes, dtype=dtype)
            X, y = np.zeros((m, sizes[0]), dtype), np.zeros((m, sizes[-1]), dtype)
            trainer.fit(X, y, verbose=0)
            trainer.evaluate(X, y)
            trainer.predict(X)
            trainer.gradients(X, y)
        fit_many([Trainer((2, 2, 1), dtype=dtype) for _ in range(8)], X, y, n_threads=1, verbose=0)
    return perf_counter() - started


def main() -> None:
    """Command line of `python -m fastbp.warmup`."""
    parser = argparse.ArgumentParser(prog="python -m fastbp.warmup", description=__doc__)
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES, dest="dtypes")
    seconds = warm_up(parser.parse_args().dtypes)
    sys.stdout.write(f"kernels ready in {seconds:.1f} s, kept in {epoch.train.stats.cache_path}\n")


if __name__ == "__main__":
    main()
