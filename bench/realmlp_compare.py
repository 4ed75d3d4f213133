"""Compares fastbp's RealMLP estimators with pytabkit's: the same rows train and choose the epoch, in one thread.

    python -m bench.realmlp_compare FILE [--libraries pytabkit fastbp] [--variants td td-s] [--only NAME …] [--seeds 3]
    python -m bench.realmlp_compare FILE --report

Each measurement appends a line to FILE, a CSV file. Measurements that FILE contains are not repeated. Processor seconds
are those of `fit`. The error is the log loss for classes, and RMSE / σ for numbers.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .table_folder import PUBLIC, Task, scores, tables_of, task
from .table_models import answer, coded, validation

ROWS = 5000
NAMES = ("table", "library", "variant", "seed", "validation", "test", "seconds", "epoch")
NOISE = 2.0  # standard errors of the difference of two means over the seeds


def pytabkit(given: Task, variant: str, seed: int, validates: np.ndarray) -> tuple[Any, Callable[[Any], Any]]:
    """Return a model that trains, and a function that prepares rows."""
    import pytabkit
    import torch

    torch.set_num_threads(1)
    options: dict[str, Any] = {"device": "cpu", "random_state": seed, "n_threads": 1, "verbosity": 0}
    if given.n_classes:
        options |= {"val_metric_name": "cross_entropy", "use_ls": False}
    kind = "Classifier" if given.n_classes else "Regressor"
    model = getattr(pytabkit, f"RealMLP_{variant.upper().replace('-', '_')}_{kind}")(**options)
    return lambda X, y: model.fit(X, y, val_idxs=validates)


def fastbp(given: Task, variant: str, seed: int, validates: np.ndarray) -> Any:
    """Return a function that trains."""
    from fastbp.tabular import RealMLPClassifier, RealMLPRegressor

    kind = RealMLPClassifier if given.n_classes else RealMLPRegressor
    model = kind(variant=variant, random_state=seed)
    trains = np.setdiff1d(np.arange(len(given.y)), validates)
    return lambda X, y: model.fit(X.iloc[trains], y[trains], validation_data=(X.iloc[validates], y[validates]))


LIBRARIES = {"pytabkit": pytabkit, "fastbp": fastbp}


def epoch_of(model: Any) -> int:
    """Return the epoch whose parameters the model has."""
    if hasattr(model, "best_epoch_"):
        return int(model.best_epoch_)
    stopped = model.fit_params_["stop_epoch"]
    return int(next(iter(stopped.values())) if isinstance(stopped, dict) else stopped)


def measure(given: Task, library: str, variant: str, seed: int) -> dict[str, Any]:
    """Train a model and return its errors."""
    _, validates = validation(given, 0)
    train, test = coded(given, filled=True)
    fit = LIBRARIES[library](given, variant, seed, validates)
    started = time.process_time()
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        model = fit(train, given.y)
    seconds = time.process_time() - started
    rows = Task(given.X, given.y, given.X, given.y[validates], given.n_classes)
    measured = "log_loss" if given.n_classes else "rmse"
    return {
        "validation": scores(rows, answer(model, train.iloc[validates], given))[measured],
        "test": scores(given, answer(model, test, given))[measured],
        "seconds": seconds,
        "epoch": epoch_of(model),
    }


def known(path: Path) -> list[dict[str, str]]:
    """Return the measurements of a file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(given: argparse.Namespace) -> None:
    """Measure what the file does not have yet."""
    done = {tuple(row[name] for name in NAMES[:4]) for row in known(given.file)}
    if not given.file.exists():
        given.file.write_text(",".join(NAMES) + "\n", "utf-8")
    for seed in range(given.seeds):
        for variant in given.variants:
            for table in tables_of(PUBLIC):
                data = None
                for library in given.libraries:
                    cell = table.name, library, variant, str(seed)
                    if cell in done or (given.only and table.name not in given.only):
                        continue
                    data = data or task(PUBLIC, table, 0, ROWS)
                    found = measure(data, library, variant, seed)
                    values = [*cell, *(f"{found[name]:.5g}" for name in NAMES[4:])]
                    with given.file.open("a", encoding="utf-8") as file:
                        file.write(",".join(values) + "\n")
                    print(*values, flush=True)


def report(path: Path) -> None:
    """Print the means over the seeds, and whether the libraries differ by more than the noise of the seeds."""
    rows = known(path)
    for variant in sorted({row["variant"] for row in rows}):
        print(f"\n| {variant} | pytabkit | fastbp | noise | within | test | test | seconds | seconds |")
        print("| --- |" + " ---: |" * 8)
        ratios, inside, total = [], 0, 0
        for table in dict.fromkeys(row["table"] for row in rows):
            cells = {
                library: [r for r in rows if (r["table"], r["library"], r["variant"]) == (table, library, variant)]
                for library in LIBRARIES
            }
            if not all(cells.values()):
                continue
            values = {
                name: [np.array([float(row[name]) for row in cells[library]]) for library in LIBRARIES]
                for name in ("validation", "test", "seconds")
            }
            theirs, ours = values["validation"]
            noise = NOISE * np.hypot(theirs.std(ddof=1) / len(theirs) ** 0.5, theirs.std(ddof=1) / len(ours) ** 0.5)
            within = ours.mean() <= theirs.mean() + noise
            means = [each.mean() for name in ("test", "seconds") for each in values[name]]
            ratios.append(means[2] / means[3])
            inside, total = inside + within, total + 1
            numbers = " | ".join(f"{x:.4f}" for x in (theirs.mean(), ours.mean(), noise))
            others = f"{means[0]:.4f} | {means[1]:.4f} | {means[2]:.1f} | {means[3]:.2f}"
            print(f"| {table} | {numbers} | {'yes' if within else 'no'} | {others} |")
        if ratios:
            print(f"{inside} of {total} tables; {np.exp(np.log(ratios).mean()):.1f} times as fast (geometric mean)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--variants", nargs="+", choices=("td", "td-s"), default=["td", "td-s"])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if given.report:
        report(given.file)
    else:
        run(given)


if __name__ == "__main__":
    main()
