"""Spoil the files of tabular estimators in every way and load them.

    python -m tests.stress.mutated_ensembles --count 10000

Each must load as an estimator whose methods work, and which predicts the same when it is saved again, or be refused
with a ModelFileError, in less than a second, and all of them together without 200 MB more of memory. What fails is
printed with the seed and the number that repeat it: ``--seed 0 --only 1234``.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastbp import ModelFileError
from fastbp.tabular import TabularClassifier, TabularRegressor, load

from ._spoilt import asked, failures


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
    return failures(good_files(folder), folder, lambda path, _: tried(path), numbers, seed)


if __name__ == "__main__":
    sys.exit(asked(run, __doc__) != 0)
