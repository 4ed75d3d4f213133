"""Spoil the files of tabular estimators in every way and load them.

    python -m tests.stress.mutated_ensembles --count 10000

Each must load as an estimator whose methods work, and which predicts the same when it is saved again, or be refused
with a ModelFileError, in less than a second, and all of them together without 200 MB more of memory. What fails is
printed with the seed and the number that repeat it: ``--seed 0 --only 1234``.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastbp import ModelFileError
from fastbp.tabular import TabularClassifier, TabularRegressor, load

from ._mutations import MUTATIONS
from ._process import in_child
from .mutated_files import LIMIT_BYTES, LIMIT_SECONDS, guard_memory, peak_bytes


def table() -> tuple[pd.DataFrame, Any, Any]:
    """Rows with missing values, and two targets: numbers, which no linear model predicts well, and three classes."""
    rng = np.random.default_rng(0)
    size, price = rng.normal(size=90), np.exp(2 * rng.normal(size=90))
    colour = rng.choice(["red", "green", "blue"], 90)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 90), "D")
    frame = pd.DataFrame({"size": size, "price": price, "colour": colour, "day": days})
    frame.loc[::7, "size"], frame.loc[::5, "colour"] = np.nan, None
    numbers = 20 + np.log(price) * np.where(colour == "red", -3, 1)
    return frame, np.maximum(numbers, 0), np.digitize(price, [0.5, 2])


def good_files(folder: Path) -> list[bytes]:
    """Files of a regressor, and of classifiers of numbers and of text."""
    X, y, classes = table()
    options = {"max_seconds": None, "cv": 2, "n_jobs": 1, "random_state": 0}
    fitted = (
        TabularRegressor(n_networks=4, **options).fit(X, y),
        TabularClassifier(n_networks=4, types={"size": "number"}, **options).fit(X, classes),
        TabularClassifier(n_networks=1, **options).fit(X, np.array(["low", "high"])[(classes > 0).astype(int)]),
    )
    files = []
    for estimator in fitted:
        estimator.save(folder / "good.npz")
        files.append((folder / "good.npz").read_bytes())
    return files


def used(estimator: Any) -> Any:
    """What it predicts; all of its methods are called."""
    X, _, _ = table()
    columns = ["size", "price", "colour", "day"][: estimator.n_features_in_]
    rows = X[columns][:3]
    estimator.predict_std(rows)
    estimator.leaderboard()
    if isinstance(estimator, TabularClassifier):
        estimator.predict(rows)
        return estimator.predict_proba(rows)
    estimator.predict_interval(rows)
    return estimator.predict(rows)


def tried(path: Path) -> tuple[str, float]:
    """What came of a file, and after how many seconds."""
    start = time.perf_counter()
    try:
        estimator = load(path)
    except ModelFileError as error:
        came = "asked for too much memory" if isinstance(error.__cause__, MemoryError) else "refused"
        return came, time.perf_counter() - start
    except Exception as error:
        return f"{type(error).__name__}: {error}", time.perf_counter() - start
    seconds = time.perf_counter() - start
    try:
        predicted = used(estimator)
    except ValueError as error:
        if re.search("feature|column|surrogate", str(error)):  # the names of the columns are spoilt
            return "loaded", seconds
        return f"loaded, but {error}", seconds
    except Exception as error:
        return f"loaded, but {type(error).__name__}: {error}", seconds
    estimator.save(path)
    same = np.array_equal(used(load(path)), predicted, equal_nan=True)
    return ("loaded" if same else "loaded to something else when saved again"), seconds


def run(folder: Path, numbers: range, seed: int) -> int:
    """How many files failed."""
    warnings.simplefilter("ignore")
    files, path = good_files(folder), folder / "model.npz"
    for data in files:
        path.write_bytes(data)
        came = tried(path)[0]
        assert came == "loaded", came
    guard_memory()
    before, slowest, failed = peak_bytes(), 0.0, 0
    outcomes: Counter[tuple[str, str]] = Counter()
    for i in numbers:
        chance = random.Random(f"{seed}/{i}")
        mutation = chance.choice(MUTATIONS)
        path.write_bytes(mutation(chance.choice(files), chance))
        outcome, seconds = tried(path)
        slowest = max(slowest, seconds)
        if outcome not in ("loaded", "refused") or seconds > LIMIT_SECONDS:
            print(f"seed {seed}, number {i}, {mutation.__name__}: {outcome} after {seconds:.3f} s")
            outcome, failed = "FAILED", failed + 1
        outcomes[mutation.__name__, outcome] += 1
    growth = peak_bytes() - before
    for (name, outcome), count in sorted(outcomes.items()):
        print(f"{name:16} {outcome:8} {count:6}")
    print(f"{len(numbers)} files, {failed} failed; slowest {slowest:.3f} s; {growth / 1e6:.0f} MB more at the peak")
    return failed + (growth > LIMIT_BYTES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of the one file to try")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory() as folder:
        return in_child(partial(run, Path(folder), numbers, options.seed))


if __name__ == "__main__":
    sys.exit(main() != 0)
