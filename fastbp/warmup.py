"""Compile the kernels ahead of their first use, for images and first-time users: `python -m fastbp.warmup`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from time import perf_counter

import numpy as np

from ._kernels import epoch
from ._team import usable_cores
from .many import fit_many
from .trainer import Trainer

DTYPES = ("float32", "float64")
USES = ("training", "prediction", "tiny")  # the longest compilation first


def warm_up(dtypes: Sequence[str] = DTYPES, uses: Sequence[str] = USES) -> float:
    """Compile every kernel that `Trainer` and `fit_many` use, or load it from disk.

    Parameters
    ----------
    dtypes : names out of {"float32", "float64"}
    uses : out of {"training", "prediction", "tiny"}, the last for networks of layers of at most four units

    Returns
    -------
    The seconds that it took.
    """
    started = perf_counter()
    for dtype, use in product(dtypes, uses):
        sizes = (2, 2, 1) if use == "tiny" else (64, 64, 10)
        trainer = Trainer(sizes, dtype=dtype)
        X, y = np.zeros((8, sizes[0]), dtype), np.zeros((8, sizes[-1]), dtype)
        if use == "prediction":
            trainer.evaluate(X, y)
            trainer.predict(X)
        else:
            trainer.fit(X, y, verbose=0)
        if use == "training":
            trainer.gradients(X, y)
        if use == "tiny":
            fit_many([Trainer(sizes, dtype=dtype) for _ in range(8)], X, y, n_threads=1, verbose=0)
    return perf_counter() - started


def warm_up_apart(dtypes: Sequence[str], uses: Sequence[str]) -> float:
    """The same in processes, of which as many run at once as there are processors; returns the seconds.

    Raises
    ------
    subprocess.CalledProcessError
        Where one of them failed.
    """
    started = perf_counter()

    def compile_in_a_process(use: str, dtype: str) -> None:
        command = [sys.executable, "-m", "fastbp.warmup", "--dtype", dtype, "--only", use]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(compile_in_a_process, *zip(*product(uses, dtypes), strict=True)))
    return perf_counter() - started


def main() -> None:
    """Command line of `python -m fastbp.warmup`."""
    parser = argparse.ArgumentParser(prog="python -m fastbp.warmup", description=__doc__)
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES, dest="dtypes")
    parser.add_argument("--only", nargs="+", default=list(USES), choices=USES, dest="uses", help="what it is for")
    arguments = parser.parse_args()
    alone = usable_cores() == 1 or len(arguments.dtypes) == len(arguments.uses) == 1
    seconds = (warm_up if alone else warm_up_apart)(arguments.dtypes, arguments.uses)
    sys.stdout.write(f"kernels ready in {seconds:.1f} s, kept in {epoch.train.stats.cache_path}\n")


if __name__ == "__main__":
    main()
