"""One model on one split of a table, in a process of its own, which `bench.tables_compare` starts. It prints JSON.

python -m bench.table_cell FOLDER TABLE MODEL SPLIT [--rows 5000] [--seconds 10] [--threads 1]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import resource
import time
import warnings
from pathlib import Path
from typing import Any

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def distribution(package: str) -> str:
    """Return the name that a package is installed by."""
    return "scikit-learn" if package == "sklearn" else package


def used() -> float:
    """Return the processor seconds of this process, all its threads, and its finished children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Train and predict. Return the scores, the seconds, and the versions of the packages."""
    from .table_folder import scores, tables_of, task
    from .table_models import MODELS

    table = next(table for table in tables_of(given.folder) if table.name == given.table)
    kind, data = MODELS[given.model], task(given.folder, table, given.split, given.rows)
    for package in kind.packages:
        importlib.import_module(package)
    timed = {"seconds": given.seconds} if given.model == "fastbp" else {}
    started, before = time.perf_counter(), used()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the epochs of a rival were not enough
        found = kind.run(data, given.split, given.threads, **timed)
    prediction, facts = found if isinstance(found, tuple) else (found, {})
    return {
        **facts,
        "scores": scores(data, prediction),
        "processor": used() - before,
        "wall": time.perf_counter() - started,
        "rows": len(data.y),
        "versions": {name: importlib.metadata.version(name) for name in map(distribution, kind.packages)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table")
    parser.add_argument("model")
    parser.add_argument("split", type=int)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    for pool in POOLS:  # before NumPy is imported
        os.environ[pool] = str(given.threads)
    print(json.dumps(measure(given)))


if __name__ == "__main__":
    main()
