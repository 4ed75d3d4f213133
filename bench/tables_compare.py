"""Compares fastbp's tabular estimators with other models on the tables of a folder: `make tables-compare`.

Each model trains in a process of its own on one thread (fastbp: --threads) and predicts the rows that it has not seen.
Finished measurements are kept, so a run that is stopped continues where it was. --write writes docs/tables-compare.md.

    python -m bench.tables_compare [--tables FOLDER] [--only NAME …] [--models NAME …] [--splits 3] [--write]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastbp._cli.machine import processor

from .compare import write_between
from .ranks import chance, critical_difference, draw, ranks
from .table_folder import PUBLIC, Table, tables_of
from .table_models import MODELS

ROOT = Path(__file__).parent.parent
PAGE, PICTURE, MARKS = (
    ROOT / "docs" / "tables-compare.md",
    "tables-compare.svg",
    ("<!-- compared -->", "<!-- /compared -->"),
)
MEASURES = {True: ("log_loss", "log loss"), False: ("rmse", "RMSE / σ")}
LONGEST = 1800  # seconds, after which a model is given up


class Cell(NamedTuple):
    """One measurement: a model on a split of a table. The seconds are fastbp's limit, 0 for others."""

    table: str
    model: str
    split: int
    seconds: float


Found = dict[Cell, dict[str, Any]]


class Name(NamedTuple):
    """A model, and fastbp's limit in seconds."""

    model: str
    seconds: float

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"fastbp, {self.seconds:g} s" if self.seconds else MODELS[self.model].title

    def at(self, split: int) -> tuple[str, int, float]:
        """Return a cell without its table."""
        return self.model, split, self.seconds


def cells(tables: list[Table], given: argparse.Namespace) -> Iterator[Cell]:
    """Split after split, so that a run that is stopped has whole splits."""
    for split in range(given.splits):
        for table in tables:
            for model in given.models:
                for seconds in given.seconds if model == "fastbp" else [0.0]:
                    yield Cell(table.name, model, split, seconds)


def known(path: Path) -> Found:
    """Return the measurements that earlier runs kept."""
    found: Found = {}
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            found[Cell(*record.pop("cell"))] = record
    return found


def measure(cell: Cell, given: argparse.Namespace) -> dict[str, Any]:
    """Train and predict in a process. Return what it measured, or {"failure": what it said}."""
    threads = given.threads if cell.model == "fastbp" else 1
    names = [str(given.tables.resolve()), cell.table, cell.model, str(cell.split)]
    options = {"--rows": given.rows, "--seconds": cell.seconds, "--threads": threads}
    command = [sys.executable, "-m", "bench.table_cell", *names, *(str(x) for pair in options.items() for x in pair)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"failure": f"not finished after {LONGEST} s"}
    if ended.returncode:
        return {"failure": ended.stderr.strip()[-500:]}
    return json.loads(ended.stdout.splitlines()[-1])


def run(tables: list[Table], given: argparse.Namespace) -> Found:
    """Measure what is not known yet, and return what is asked for. Measurements that failed are not kept."""
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / f"cells-{given.tables.resolve().name}-{given.rows}.jsonl"
    kept, found = known(path), {}
    for cell in cells(tables, given):
        if cell not in kept:
            if given.known:
                continue
            who = f"{cell.table}, {Name(cell.model, cell.seconds).title}, split {cell.split}"
            result = measure(cell, given)
            if "failure" in result:
                print(f"{who}: {result['failure']}", flush=True)
                continue
            kept[cell] = result
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"cell": cell, **result}) + "\n")
            said = ", ".join(f"{name} {value:.4f}" for name, value in result["scores"].items())
            print(f"{who}: {said}, {result['processor']:.1f} s", flush=True)
        found[cell] = kept[cell]
    return found


def mean(found: Found, table: Table, one: Name, what: str, splits: Sequence[int]) -> float:
    """Return a model's loss ("loss"), or its seconds ("processor", "wall"): the mean over these splits."""
    measure = MEASURES[table.classes][0]
    records = [found[Cell(table.name, *one.at(split))] for split in splits]
    return statistics.mean(record["scores"][measure] if what == "loss" else record[what] for record in records)


def splits_of(found: Found, table: Table, *several: Name) -> list[int]:
    """Return the splits of a table that all these models have."""
    sets = [{cell.split for cell in found if cell == Cell(table.name, *one.at(cell.split))} for one in several]
    return sorted(set.intersection(*sets))


def ranked(found: Found, tables: list[Table], names: list[Name]) -> list[Name]:
    """Return the models that have a split of each table. The first splits are measured first, so they share one."""
    return [one for one in names if all(splits_of(found, table, one) for table in tables)]


def losses(found: Found, tables: list[Table], names: list[Name]) -> np.ndarray:
    """Return (tables, models): means over the splits that all these models have."""
    rows = [(table, splits_of(found, table, *names)) for table in tables]
    return np.array([[mean(found, table, one, "loss", splits) for one in names] for table, splits in rows])


def score_lines(found: Found, tables: list[Table], names: list[Name]) -> list[str]:
    """Return the table of losses. A model without some splits has the mean of those it has, and their number."""
    lines = [
        "| table | rows | " + " | ".join(one.title for one in names) + " |",
        "| --- | ---: |" + " ---: |" * len(names),
    ]
    for classes, (_, measure) in MEASURES.items():
        group = [table for table in tables if table.classes is classes]
        if group:
            lines.append(f"| *{measure}* | |{' |' * len(names)}")
        for table in group:
            everything = len({cell.split for cell in found if cell.table == table.name})
            values, cells = [], []
            for one in names:
                splits = splits_of(found, table, one)
                values.append(mean(found, table, one, "loss", splits) if len(splits) == everything else math.inf)
                text = f"{mean(found, table, one, 'loss', splits):.3f}" if splits else "–"
                cells.append(text if len(splits) in (0, everything) else f"{text} ({len(splits)})")
            best = min(range(len(names)), key=values.__getitem__)
            cells[best] = f"**{cells[best]}**"
            rows = next(record["rows"] for cell, record in found.items() if cell.table == table.name)
            lines.append(f"| {table.name} | {rows:,} | " + " | ".join(cells) + " |")
    return lines


def wins(found: Found, tables: list[Table], ours: Name, other: Name) -> str:
    """Return on how many tables ours has the smaller loss, over the splits that both have."""
    if ours == other:
        return "–"
    both = [(table, splits) for table in tables if (splits := splits_of(found, table, ours, other))]
    ahead = sum(mean(found, t, ours, "loss", splits) < mean(found, t, other, "loss", splits) for t, splits in both)
    return f"{ahead} of {len(both)}"


def model_lines(found: Found, tables: list[Table], names: list[Name]) -> list[str]:
    """Return the table of models: mean ranks, the tables on which fastbp is better, seconds, how each is used."""
    placed_ones = ranked(found, tables, names)
    groups = {measure: [t for t in tables if t.classes is classes] for classes, (_, measure) in MEASURES.items()}
    groups = {measure: group for measure, group in groups.items() if group}
    placed = {
        measure: dict(zip(placed_ones, ranks(losses(found, group, placed_ones)), strict=True))
        for measure, group in groups.items()
    }
    own = [one for one in names if one.seconds]
    heads = ["model", *(f"mean rank, {measure}" for measure in groups), *(f"{one.title}, is better on" for one in own)]
    heads += ["processor seconds a table", "how it is used"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 2) + " --- |"]
    for one in names:
        line = [one.title, *(f"{placed[m][one]:.2f}" if one in placed_ones else "–" for m in groups)]
        line += [wins(found, tables, mine, one) for mine in own]
        each = [mean(found, t, one, "processor", s) for t in tables if (s := splits_of(found, t, one))]
        line += [f"{statistics.mean(each):.1f}" if each else "–", MODELS[one.model].use]
        lines.append("| " + " | ".join(line) + " |")
    return lines


def page(found: Found, tables: list[Table], names: list[Name], given: argparse.Namespace) -> list[str]:
    """Return the lines of the page, and draw its picture."""
    names = [one for one in names if any(cell == Cell(cell.table, *one.at(cell.split)) for cell in found)]
    several = ranked(found, tables, names)
    lines = [*model_lines(found, tables, names), ""]
    if len(several) > 2 and len(tables) > 2:
        table = losses(found, tables, several)
        difference = critical_difference(len(several), len(tables))
        if given.write:
            heading = f"Mean ranks on {len(tables)} tables; the best is on the left"
            draw([one.title for one in several], ranks(table), difference, heading, PAGE.with_name(PICTURE))
        lines += [
            f"![Mean ranks of the models, and the critical difference]({PICTURE})",
            "",
            f"The ranks are those of the mean losses on all {len(tables)} tables, over the splits that all these",
            "models have. Bars join models whose mean ranks",
            f"are closer than the critical difference of {difference:.2f} (Nemenyi's test, 5 %). If all models were",
            f"equally good, mean ranks that differ so much would have a probability of {chance(table):.1g}",
            "(Friedman's test).",
            "",
        ]
    return [*lines, *score_lines(found, tables, names), "", *covered_lines(found, names), *conditions(found, given)]


def covered_lines(found: Found, names: list[Name]) -> list[str]:
    """Return what share of the targets lies in the 90 % intervals of each table with numbers."""
    lines = []
    for one in names:
        shares: dict[str, list[float]] = {}
        for cell, record in found.items():
            if cell == Cell(cell.table, *one.at(cell.split)) and "covered" in record:
                shares.setdefault(cell.table, []).append(record["covered"])
        if shares:
            told = ", ".join(f"{table} {100 * statistics.mean(each):.1f} %" for table, each in shares.items())
            lines += [f"The 90 % intervals of {one.title}, contain this share of the test targets: {told}.", ""]
    return lines


def conditions(found: Found, given: argparse.Namespace) -> list[str]:
    """Return what the measurements were made with."""
    versions = dict(pair for record in found.values() for pair in record["versions"].items())
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    n_splits = len({cell.split for cell in found})
    splits = "One split" if n_splits == 1 else f"Means over {n_splits} splits"
    return [
        f"{splits}; at most {given.rows:,} rows of each table; {os.cpu_count()} × {processor()};",
        f"Python {platform.python_version()}; {told}.",
        f"fastbp has {given.threads} threads, the others have one.",
        "A number in brackets is the number of splits that a model finished, if it is smaller than that of the others.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=PUBLIC, metavar="FOLDER", help="has tables.json and its files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the tables")
    default = list(MODELS)
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", choices=default, default=default, help=", ".join(default)
    )
    parser.add_argument("--splits", type=int, default=3, help="random divisions of the rows, 80 : 20")
    parser.add_argument("--seconds", nargs="+", type=float, default=[10.0, 60.0], help="fastbp's limits")
    parser.add_argument("--threads", type=int, default=2, help="fastbp's")
    parser.add_argument("--rows", type=int, default=5000, help="at most so many rows of a table")
    parser.add_argument("--folder", type=Path, default=ROOT / ".tables" / "compare", help="keeps the measurements")
    parser.add_argument("--known", action="store_true", help="measure nothing more, show what is kept")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its picture")
    given = parser.parse_args()
    tables = tables_of(given.tables)
    if given.only:
        unknown = set(given.only) - {table.name for table in tables}
        if unknown:
            parser.error(f"--only: {', '.join(sorted(unknown))} not in {given.tables / 'tables.json'}")
        tables = [table for table in tables if table.name in given.only]
    found = run(tables, given)
    if not found:
        sys.exit("nothing is measured")
    names = [Name(model, s) for model in given.models for s in (given.seconds if model == "fastbp" else [0.0])]
    lines = page(found, [table for table in tables if any(cell.table == table.name for cell in found)], names, given)
    print("\n".join(lines))
    if given.write:
        write_between(lines, PAGE, MARKS)


if __name__ == "__main__":
    main()
