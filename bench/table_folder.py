"""Tables of a folder with a `tables.json`, divided into rows that train and rows that test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

PUBLIC = Path(__file__).parent / "public_tables"
TEST = 5  # every fifth row, of the rows in random order, is to test on
TINY = 1e-7  # the least probability that counts


@dataclass(frozen=True)
class Table:
    """A file, and what to predict in it.

    Attributes
    ----------
    name : what the pages call it
    file : the CSV file, also compressed, in the folder of `tables.json`
    header : whether the first row has the names of the columns; otherwise they are numbers
    target : the column to predict: its name or number
    classes : whether the target is classes
    left_out : columns that no model gets
    """

    name: str
    file: str
    header: bool
    target: str | int
    classes: bool
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """Rows that train and rows that test. The y of classes is 0 … k − 1."""

    X: pd.DataFrame
    y: np.ndarray
    test_X: pd.DataFrame
    test_y: np.ndarray
    n_classes: int  # 0 for numbers

    @property
    def categories(self) -> list[str]:
        """The columns that are not numbers."""
        return [name for name in self.X if self.X[name].dtype.kind not in "biuf"]


def tables_of(folder: Path) -> list[Table]:
    """Return the tables that a folder's `tables.json` lists."""
    records = json.loads((folder / "tables.json").read_text("utf-8"))
    return [Table(**{**record, "left_out": tuple(record.get("left_out", ()))}) for record in records]


def columns(folder: Path, table: Table) -> tuple[pd.DataFrame, np.ndarray]:
    """Return X and y of the rows whose target is known."""
    frame = pd.read_csv(folder / table.file, header=0 if table.header else None, skipinitialspace=True)
    frame = frame[frame[table.target].notna()].reset_index(drop=True)
    y = frame[table.target]
    X = frame.drop(columns=[table.target, *table.left_out])
    X.columns = [str(name) for name in X.columns]
    return X, pd.factorize(y)[0] if table.classes else y.to_numpy(float)


def task(folder: Path, table: Table, split: int, rows: int) -> Task:
    """Return at most `rows` random rows, divided 80 : 20. A split is a random order."""
    X, y = columns(folder, table)
    order = np.random.default_rng(split).permutation(len(y))[:rows]
    n = len(order) * (TEST - 1) // TEST
    train, test = order[:n], order[n:]
    return Task(
        X.iloc[train].reset_index(drop=True),
        y[train],
        X.iloc[test].reset_index(drop=True),
        y[test],
        int(y.max()) + 1 if table.classes else 0,
    )


def scores(given: Task, prediction: np.ndarray) -> dict[str, float]:
    """Return log loss and accuracy of probabilities (n, k), or RMSE / σ of numbers (n,). The first is what counts."""
    y = given.test_y
    if not given.n_classes:
        return {"rmse": float(np.sqrt(np.mean((np.ravel(prediction) - y) ** 2)) / y.std())}
    P = np.clip(prediction / prediction.sum(1, keepdims=True), TINY, 1)
    return {
        "log_loss": float(-np.log(P[np.arange(len(y)), y]).mean()),
        "accuracy": float((P.argmax(1) == y).mean()),
    }
