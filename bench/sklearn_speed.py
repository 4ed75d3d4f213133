"""Compare fastbp.sklearn with scikit-learn: the same fits with the same number of epochs, in turn.

    python -m bench.sklearn_speed [--rounds 5] [--write]

It prints a Markdown table. Each time is the shortest of all rounds, which other load of the machine affects least.
scikit-learn's BLAS uses all threads, its default, or one; the ratios are relative to the faster of the two. With
--write, the table goes into docs/from-scikit-learn.md.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

GRID = {"hidden_layer_sizes": [(50,), (100,)], "alpha": [1e-5, 1e-3], "learning_rate_init": [1e-3, 1e-2]}  # 8 · 6 fits
PAGE, MARKS = "docs/from-scikit-learn.md", ("<!-- scikit-learn -->", "<!-- /scikit-learn -->")
HEAD = (
    '| ms an epoch | scikit-learn | with one BLAS thread | fastbp | `dtype="float32"` | times as fast | in float32 |',
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)
FOREVER = {"tol": 0, "n_iter_no_change": 10**6}  # all fits then have the same number of epochs


def wide(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return images of 784 pixels in 10 classes. They are noise, because only the time counts."""
    rng = np.random.default_rng(0)
    return rng.random((n, 784)), rng.integers(0, 10, n)


def rows() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return the data and the parameters of the estimators by name."""
    from sklearn.datasets import load_breast_cancer, load_digits

    return {
        "digits, defaults": (load_digits(return_X_y=True), {"max_iter": 100}),
        "breast cancer, defaults": (load_breast_cancer(return_X_y=True), {"max_iter": 100}),
        "784-512-512-10, defaults": (wide(), {"hidden_layer_sizes": (512, 512), "max_iter": 3}),
    }


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    start = perf_counter()
    action()
    return perf_counter() - start


def fit(module: Any, data: Any, options: dict[str, Any], blas_threads: int | None = None) -> float:
    """Return the seconds of a fit."""
    from threadpoolctl import threadpool_limits

    model = module.MLPClassifier(random_state=0, **FOREVER, **options)
    with threadpool_limits(blas_threads) if blas_threads else nullcontext():
        return timed(lambda: model.fit(*data))


def search(module: Any, **options: Any) -> float:
    """Return the seconds of a grid search with 48 fits of digits, in two processes."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    model = module.MLPClassifier(random_state=0, max_iter=30, **FOREVER, **options)
    return timed(lambda: GridSearchCV(model, GRID, cv=6, n_jobs=2, refit=False).fit(*load_digits(return_X_y=True)))


def line(name: str, times: list[tuple[float, ...]], per: int) -> str:
    """Return a row of the table: scikit-learn with all threads and with one, fastbp in X's dtype and in float32."""
    many, one, same, narrow = (min(column) / per for column in zip(*times, strict=True))
    best = min(many, one)
    cells = [f"{1e3 * seconds:.2f}" for seconds in (many, one, same, narrow)]
    return f"| {name} | {' | '.join(cells)} | {best / same:.1f} | {best / narrow:.1f} |"


def grid_line(times: list[tuple[float, ...]]) -> str:
    """Return the row of the grid search, in seconds."""
    theirs, same, narrow = (min(column) for column in zip(*times, strict=True))
    cells = f"{theirs:.2f} s | | {same:.2f} s | {narrow:.2f} s | {theirs / same:.1f} | {theirs / narrow:.1f} |"
    return f"| GridSearchCV, 48 fits of 30 epochs over digits, `n_jobs=2` | {cells}"


class Estimators:
    """asv: the time of ten epochs with scikit-learn's defaults, in fastbp.sklearn and in scikit-learn."""

    params = (
        ["digits, defaults", "breast cancer, defaults"],
        ["fastbp.sklearn", "sklearn.neural_network"],
        ["float64", "float32"],
    )
    param_names = ("data", "module", "dtype")

    def setup(self, name, module, dtype):
        try:
            self.module = import_module(module)
        except ImportError as error:
            raise NotImplementedError(f"not here: {error}") from error
        (X, y), _ = rows()[name]
        self.data = X.astype(dtype), y
        self.time_fit()  # loads the kernels

    def time_fit(self, *_):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(self.module, self.data, {"max_iter": 10})


def main() -> None:
    """Measure, and print the table."""
    from fastbp._cli.machine import processor  # older commits that asv measures lack it

    from .compare import ROOT, write_between

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    theirs, ours = import_module("sklearn.neural_network"), import_module("fastbp.sklearn")
    lines = list(HEAD)
    for name, (data, options) in rows().items():
        narrow = options | {"dtype": "float32"}
        for kind in (options, narrow):  # loads the kernels
            fit(ours, data, kind | {"max_iter": 1})
        times = [
            (
                fit(theirs, data, options),
                fit(theirs, data, options, 1),
                fit(ours, data, options),
                fit(ours, data, narrow),
            )
            for _ in range(arguments.rounds)
        ]
        lines.append(line(name, times, options["max_iter"]))
        print(lines[-1], flush=True)
    search(ours)  # starts the processes
    rounds = range(max(1, arguments.rounds // 2))
    lines.append(grid_line([(search(theirs), search(ours), search(ours, dtype="float32")) for _ in rounds]))
    versions = f"scikit-learn {import_module('sklearn').__version__}, fastbp {import_module('fastbp').__version__}"
    about = f"X in float64, as scikit-learn has it by default; {versions}, {os.cpu_count()} × {processor()}."
    lines += ["", about]
    print(*lines, sep="\n")
    if arguments.write:
        write_between(lines, ROOT / PAGE, MARKS)


if __name__ == "__main__":
    main()
