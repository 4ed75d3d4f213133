"""Compile the kernels before their first use, for images and first-time users: `python -m fastbp.warmup`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from time import perf_counter

import numpy as np

from . import _messages
from ._engine.team import usable_cores
from ._kernels import codes, epoch
from ._library.announce import silent_if
from ._training.steps import step_of
from .many import fit_many
from .trainer import Trainer

DTYPES = ("float32", "float64")
USES = ("training", "prediction", "tiny")  # the longest compilation first
MPI = "mpi"  # only for a Trainer with a comm
SECONDS = {"training": 8, "prediction": 4, "tiny": 3, MPI: 2}  # to compile each one, after the ones before it


def warm_up(dtypes: Sequence[str] = DTYPES, uses: Sequence[str] = USES) -> float:
    """Compile every kernel that `Trainer` and `fit_many` use, or load it from disk.

    Parameters
    ----------
    dtypes : some of {"float32", "float64"}
    uses : some of {"training", "prediction", "tiny", "mpi"}
        "tiny" is for small networks, which have their own kernels. "mpi" is what a Trainer with a comm needs in
        addition to "training"; it is not compiled by default.

    Returns
    -------
    The time in seconds.
    """
    with silent_if(True):
        return _warm_up(dtypes, uses)


def _warm_up(dtypes: Sequence[str], uses: Sequence[str]) -> float:
    started = perf_counter()
    for dtype, use in product(dtypes, uses):
        sizes = (2, 2, 1) if use == "tiny" else (64, 64, 10)
        trainer = Trainer(sizes, dtype=dtype)
        X, y = np.zeros((8, sizes[0]), dtype), np.zeros((8, sizes[-1]), dtype)
        if use == "training":
            trainer.fit(X, y, verbose=0)
            trainer.gradients(X, y)
        elif use == "prediction":
            trainer.evaluate(X, y)
            trainer.predict(X)
        elif use == "tiny":
            trainer.fit(X, y, verbose=0)
            fit_many([Trainer(sizes, dtype=dtype) for _ in range(8)], X, y, n_threads=1, verbose=0)
        else:
            _step_as_rank(trainer, trainer._intake.data("X", X, "y", y, shuffle=True))
    return perf_counter() - started


def _step_as_rank(trainer: Trainer, data: codes.Data) -> None:
    """Take a step as a rank of an MPI job does. Its part of the batch is the whole batch."""
    m, rates = len(data.X), np.array([trainer.learning_rate])
    data = trainer._state.engine.reordered(data, trainer._state.random)
    step = step_of(trainer._state, m, rates)._replace(part=codes.Part(0, m, 0, float(m)))
    with trainer._state.engine.part(data, trainer._state.memory, step, 1) as (_, _, update):
        update(float(rates[0]))


def warm_up_in_processes(dtypes: Sequence[str], uses: Sequence[str]) -> float:
    """Do the same as `warm_up`, in one process for each processor, and return the time in seconds.

    Raises
    ------
    subprocess.CalledProcessError
        If one of the processes failed.
    """
    started = perf_counter()
    shares: list[list[tuple[str, str]]] = [[] for _ in range(usable_cores())]
    for use, dtype in product(sorted(uses, key=SECONDS.__getitem__, reverse=True), dtypes):
        least = min(shares, key=lambda share: sum(SECONDS[taken] for taken, _ in share))
        least.append((use, dtype))

    def compile_in_a_process(share: list[tuple[str, str]]) -> None:
        calls = "; ".join(f"warm_up([{dtype!r}], [{use!r}])" for use, dtype in share)
        subprocess.run([sys.executable, "-c", f"from fastbp.warmup import warm_up; {calls}"], check=True)

    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(compile_in_a_process, filter(None, shares)))
    return perf_counter() - started


def main() -> None:
    """The command line of `python -m fastbp.warmup`."""
    parser = argparse.ArgumentParser(prog="python -m fastbp.warmup", description=__doc__)
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES, dest="dtypes")
    what = "kernels to compile; default: all except mpi, which also needs training"
    parser.add_argument("--only", nargs="+", default=list(USES), choices=(*USES, MPI), dest="uses", help=what)
    arguments = parser.parse_args()
    in_one = usable_cores() == 1 or len(arguments.dtypes) == len(arguments.uses) == 1
    seconds = (warm_up if in_one else warm_up_in_processes)(arguments.dtypes, arguments.uses)
    folder = epoch.train.stats.cache_path
    stored = "but not stored, because there is no writable folder; set NUMBA_CACHE_DIR to one"
    if folder:
        stored = f"stored in {folder}"
    _messages.result(f"kernels ready in {seconds:.1f} s, {stored}\n")


if __name__ == "__main__":
    main()
