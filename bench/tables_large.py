"""The time and the memory that a tabular estimator takes for a large table, with the limits that it is given.

Trains on random numbers and categories with a target that depends on some of them. Memory is what the process has at
its peak more than before the table was there, next to the size of the table itself.

    python -m bench.tables_large [--rows 100000] [--columns 50] [--seconds 60] [--threads 2] [--classes 0]
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
import pandas as pd

from fastbp.warmup import warm_up

from .memory import MIB, forget_peak, resident

CATEGORIES = ("red", "green", "blue", "black")


def table(rows: int, columns: int, classes: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return numbers and, as every fifth column, categories; and a target that is 0 … classes − 1, or a number."""
    rng = np.random.default_rng(seed)
    frame, signal = {}, np.zeros(rows)
    for j in range(columns):
        if j % 5 == 4:
            codes = rng.integers(len(CATEGORIES), size=rows)
            frame[f"c{j}"] = pd.Categorical.from_codes(codes, CATEGORIES)
            signal += 0.3 * codes
        else:
            values = rng.normal(size=rows)
            frame[f"x{j}"] = values
            signal += np.sin(2 * values) if j % 2 else 0.3 * values
    signal += rng.normal(size=rows)
    if classes:
        return pd.DataFrame(frame), pd.qcut(signal, classes, labels=False)
    return pd.DataFrame(frame), signal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=0, help="of the target; 0 for a number")
    given = parser.parse_args()
    from fastbp.tabular import TabularClassifier, TabularRegressor

    warm_up()
    kind = TabularClassifier if given.classes else TabularRegressor
    small = table(200, given.columns, given.classes, 1)
    kind(max_seconds=1, n_jobs=given.threads, random_state=0).fit(*small)  # what is loaded once is loaded
    forget_peak()
    before = resident("VmRSS")
    X, y = table(given.rows, given.columns, given.classes, 0)
    size = (X.memory_usage(index=False, deep=True).sum() + y.nbytes) / MIB
    forget_peak()
    started = perf_counter()
    model = kind(max_seconds=given.seconds, n_jobs=given.threads, random_state=0).fit(X, y)
    seconds, peak = perf_counter() - started, resident("VmHWM") - before
    test_X, test_y = table(20_000, given.columns, given.classes, 2)
    print(f"{given.rows:,} × {given.columns}: {seconds:.1f} s of {given.seconds:g} s")
    print(f"the table {size:.0f} MiB, the peak {peak:.0f} MiB with it, {peak / size:.2f} × the table")
    print(f"score on {len(test_y):,} other rows: {model.score(test_X, test_y):.4f}")
    print(model.leaderboard().head(8).to_string())


if __name__ == "__main__":
    main()
