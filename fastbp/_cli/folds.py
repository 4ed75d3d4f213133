"""Cross-validation: each part of the rows is predicted by a model that was trained on the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from .._extras import not_installed
from .._files import TableError
from .report import SHOWN, Facts
from .split import Rows
from .text import aligned, figure


def check_count(count: int, n_rows: int) -> None:
    """Check the number of folds, 0 for none."""
    if count and not 2 <= count <= n_rows:
        raise TableError(f"--folds: expected a number from 2 to {n_rows}, the number of rows, got {count}")


def parts(groups: Rows, count: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Return the rows that train and those that test, for each fold. Each fold has its share of each group of rows."""
    try:
        from sklearn.model_selection import KFold, StratifiedKFold
    except ImportError:
        raise not_installed("--folds needs scikit-learn", "cli") from None
    stratified = np.bincount(groups).max() >= count
    kind = StratifiedKFold if stratified else KFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a group with fewer rows than folds
        yield from kind(count, shuffle=True, random_state=seed).split(groups, groups)


def summary(folds: list[Facts]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation of each measure over the folds."""
    found = {}
    for name in folds[0]["measured"]:
        values = np.array([fold["measured"].get(name, np.nan) for fold in folds])
        values = values[~np.isnan(values)]
        mean = float(values.mean()) if len(values) else np.nan
        found[name] = {"mean": mean, "deviation": float(values.std(ddof=1)) if len(values) > 1 else np.nan}
    return found


def text(folds: list[Facts], means: dict[str, dict[str, float]]) -> str:
    """Return a table: a line for each fold, then mean ± deviation."""
    names = list(means)
    rows = [["fold", "rows", *(SHOWN.get(name, name.replace("_", " ")) for name in names)]]
    for i, fold in enumerate(folds):
        values = [figure(fold["measured"].get(name, np.nan)) for name in names]
        rows.append([str(i + 1), f"{fold['rows']:,}", *values])
    rows.append(["mean", "", *(figure(means[name]["mean"]) for name in names)])
    rows.append(["deviation", "", *(figure(means[name]["deviation"]) for name in names)])
    return aligned(rows)
