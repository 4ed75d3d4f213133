"""Chooses the configurations that the tabular estimators try first, from how they do on tables: `make portfolio`.

Trains the present portfolio and random configurations of the space in five folds on each table, keeps their
out-of-fold and test predictions, and chooses the order in which ensembles get better soonest. Each table is also
predicted with an order that the other tables chose. Finished trainings are kept; --write changes the portfolio.

    python -m bench.portfolio [--samples 100] [--only NAME …] [--rows 4000] [--length 16] [--known] [--write]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastbp import tables as recognition
from fastbp.tabular._configurations import Configuration, portfolio, sampled
from fastbp.tabular._linear_member import linear_members
from fastbp.tabular._members import Member
from fastbp.tabular._networks import Folds
from fastbp.tabular._objectives import objective_of
from fastbp.tabular._problem import Problem

from .portfolio_choice import Measured, chosen, orders_compared
from .table_folder import PUBLIC, Table, Task, tables_of, task

ROOT = Path(__file__).parent.parent
FILE = ROOT / "fastbp" / "tabular" / "portfolio.json"
SPLIT, FOLDS = 0, 5
KINDS = {True: "classes", False: "numbers"}
LINEAR = "linear"  # stands for the linear model, which is in every ensemble


def rounded(value: Any) -> Any:
    """Return a record with numbers of three digits, which people can read."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def candidates(classes: bool, samples: int, seed: int) -> list[Configuration]:
    """Return the portfolio, and random configurations."""
    random = (sampled(np.random.default_rng((seed, j)), classes=classes) for j in range(samples))
    records = [rounded(one.record()) for one in [*portfolio(classes), *random]]
    unique = {name_of(record): record for record in records}
    return [Configuration.from_record(record) for record in unique.values()]


def name_of(record: dict[str, Any]) -> str:
    """Return a short name that another configuration doesn't have."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]


def problem_of(given: Task) -> Problem:
    objective = objective_of("log_loss" if given.n_classes else "rmse", classes=bool(given.n_classes))
    return Problem(
        given.X, given.y, None, objective, n_classes=given.n_classes or None, n_folds=FOLDS, random_state=SPLIT
    )


def counted(given: Task, predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what the loss depends on, (n,): the probability of the row's class, or the number in deviations of y."""
    if given.n_classes:
        return np.asarray(predictions[np.arange(len(y)), y], np.float32)
    return np.asarray((predictions - given.y.mean()) / given.y.std(), np.float32)


def train(given: Task, problem: Problem, configuration: Configuration | None, limit: float) -> dict[str, Any]:
    """Train in folds, None: the linear model. Return predictions of the rows, of the test rows, and the seconds."""
    rows = recognition.raw_columns(problem.columns, given.test_X, silent=True)
    started = time.thread_time()
    if configuration is None:
        member: Member = linear_members(problem, math.inf)[0]()
    else:
        folds = Folds(problem, configuration, 0, SPLIT, configuration.epochs)
        for fold in range(problem.n_folds):
            folds.train(fold, lambda: limit - (time.thread_time() - started))
        if not folds.complete:
            raise TimeoutError(f"no network after {limit:g} s")
        member = folds.member(0.0)
    seconds = time.thread_time() - started
    return {
        "oof": counted(given, member.oof, given.y),
        "test": counted(given, member.predict(rows), given.test_y),
        "seconds": seconds,
    }


def measure(table: Table, everyone: list[Configuration], given: argparse.Namespace) -> None:
    """Train what is not kept yet, on a table."""
    place = given.folder / f"{given.tables.resolve().name}-{given.rows}"
    place.mkdir(parents=True, exist_ok=True)
    wanted = {LINEAR: None, **{name_of(one.record()): one for one in everyone}}
    missing = {name: one for name, one in wanted.items() if not (place / f"{table.name}-{name}.npz").exists()}
    if not missing:
        return
    data = task(given.tables, table, SPLIT, given.rows)
    problem = problem_of(data)

    def keep(name: str, one: Configuration | None) -> float:
        found = train(data, problem, one, given.seconds)
        path = place / f"{table.name}-{name}.npz"
        np.savez(path.with_suffix(".part.npz"), **found)
        path.with_suffix(".part.npz").replace(path)
        return found["seconds"]

    started = time.perf_counter()
    with ThreadPoolExecutor(given.jobs) as pool:
        by_view = sorted(missing.items(), key=lambda pair: repr(pair[1].view) if pair[1] else "")
        seconds = sum(pool.map(lambda pair: keep(*pair), by_view))
    took = time.perf_counter() - started
    print(f"{table.name}: {len(missing)} trainings, {seconds:.0f} processor seconds, {took:.0f} s", flush=True)


def measured(table: Table, everyone: list[Configuration], given: argparse.Namespace) -> Measured | None:
    """Return what is kept of a table: only if all configurations are there."""
    place = given.folder / f"{given.tables.resolve().name}-{given.rows}"
    names = [LINEAR, *(name_of(one.record()) for one in everyone)]
    try:
        kept = [np.load(place / f"{table.name}-{name}.npz") for name in names]
        found = {key: np.stack([one[key] for one in kept]) for key in ("oof", "test", "seconds")}
    except (FileNotFoundError, zipfile.BadZipFile):
        return None
    data = task(given.tables, table, SPLIT, given.rows)
    if table.classes:
        y = np.zeros(len(data.y), int), np.zeros(len(data.test_y), int)  # the only column is that of the row's class
    else:
        y = tuple((part - data.y.mean()) / data.y.std() for part in (data.y, data.test_y))
    return Measured(table.name, table.classes, found["oof"], found["test"], found["seconds"], *y)


def report(results: list[Measured], given: argparse.Namespace) -> Iterator[str]:
    """Say how good the orders are on tables that chose them, and on others."""
    yield f"{'':14s}" + "".join(f"{k:>9d}" for k in given.lengths)
    for name, change in orders_compared(results, given.lengths, given.thrift, given.seed).items():
        yield f"{name:14s}" + "".join(f"{100 * value:+8.1f}%" for value in change)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=PUBLIC, metavar="FOLDER", help="has tables.json and its files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the tables")
    parser.add_argument("--samples", type=int, default=100, help="random configurations in addition to the portfolio")
    parser.add_argument("--seed", type=int, default=0, help="of the random configurations")
    parser.add_argument("--rows", type=int, default=4000, help="at most so many rows of a table")
    parser.add_argument("--seconds", type=float, default=120.0, help="after which a training ends")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once, one thread each")
    parser.add_argument("--length", type=int, default=16, help="configurations of a portfolio")
    parser.add_argument("--thrift", type=float, default=0.5, help="how much seconds count: 0 for not at all")
    parser.add_argument("--folder", type=Path, default=ROOT / ".tables" / "portfolio", help="keeps the predictions")
    parser.add_argument("--known", action="store_true", help="train nothing more, choose from what is kept")
    parser.add_argument("--write", action="store_true", help=f"write {FILE.relative_to(ROOT)}")
    given = parser.parse_args()
    given.lengths = [k for k in (1, 2, 4, 8, 16, 32) if k < given.length] + [given.length]
    tables = [table for table in tables_of(given.tables) if not given.only or table.name in given.only]
    written = {}
    for classes, kind in KINDS.items():
        everyone = candidates(classes, given.samples, given.seed)
        group = [table for table in tables if table.classes is classes]
        if not given.known:
            for table in group:
                measure(table, everyone, given)
        results = [one for one in map(partial(measured, everyone=everyone, given=given), group) if one]
        if len(results) < 2:
            print(f"{kind}: at least two tables are needed")
            continue
        order, losses = chosen(results, given.length, given.thrift)
        written[kind] = [everyone[j].record() for j in order]
        print(f"\n{kind}, {len(results)} tables: change of the loss by the first configurations, from the linear model")
        print("\n".join(report(results, given)))
        for j, loss in zip(order, losses, strict=True):
            seconds = np.mean([one.seconds[j + 1] for one in results])
            print(f"  {100 * np.expm1(loss):+6.1f}%  {seconds:6.1f} s  {json.dumps(rounded(everyone[j].record()))}")
    if given.write:
        if len(written) < len(KINDS):
            parser.error("--write needs tables with classes and tables with numbers")
        FILE.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
