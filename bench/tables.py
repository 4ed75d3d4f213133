"""From raw files to predictions: `fastbp train`, `evaluate`, `predict` and `explain` on public tables: `make tables`.

Installs the packages that have the tables into a folder, divides each table's rows 80 : 20 into two files, and runs the
commands with no option but --target. It compares the predictions with those of scikit-learn, whose models get the
columns that somebody chose and prepared by hand.

    python -m bench.tables [--only NAME …] [--folder .tables] [--runs 1] [--no-rivals] [--json] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastbp._files.columns import label

from .raw_files import install, saved
from .raw_tables import TABLES, Raw

ROOT = Path(__file__).parent.parent
PAGE, MARKS = ROOT / "docs" / "raw-tables.md", ("<!-- tables -->", "<!-- /tables -->")
RIVALS = {"mlp": "scikit-learn's MLP", "linear": "linear model", "boosting": "boosted trees"}
MISSING = ["", "NA", "NaN", "nan", "N/A", "?", "None", "null"]
TINY = 1e-7  # the least probability that counts


def commands(raw: Raw, folder: Path, run: int) -> dict[str, Any]:
    """Run the commands of fastbp on a table's files. Return seconds of each, and what went wrong."""
    train, test = saved(raw, folder)
    model, predictions = folder / raw.name / f"model-{run}.npz", folder / raw.name / f"predictions-{run}.csv"
    for path in (model, predictions):
        path.unlink(missing_ok=True)
    probabilities = ["--probabilities"] if raw.classes else []
    steps = {
        "train": [str(train), "--target", raw.target, "--out", str(model)],
        "evaluate": [str(model), str(test)],
        "predict": [str(model), str(test), *probabilities, "--out", str(predictions)],
        "explain": [str(model), str(test), "--row", "1"],
    }
    found: dict[str, Any] = {"seconds": {}, "failures": {}, "bytes": os.path.getsize(train)}
    for name, arguments in steps.items():
        started = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-m", "fastbp", name, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
        )
        found["seconds"][name] = time.perf_counter() - started
        (folder / raw.name / f"{name}.txt").write_text(ended.stdout + ended.stderr)
        if ended.returncode:
            found["failures"][name] = ended.stderr.strip()[-1000:]
    if predictions.exists():
        found["predictions"] = str(predictions)
    return found


def frames(raw: Raw, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and to test on, in which a person has seen to each column's type."""
    text = [pd.read_pickle(path.parent / f"{path.stem.split('.')[0]}.pkl") for path in saved(raw, folder)]
    both = pd.concat(text, ignore_index=True).apply(lambda column: column.str.strip())
    both = both.mask(both.isin(MISSING))
    for name in both.columns.difference([raw.target] if raw.classes else []):
        column = both[name]
        if name in raw.numbers or name == raw.target:
            both[name] = pd.to_numeric(column.str.replace(r"[,$%\s]", "", regex=True), errors="coerce")
        elif name in raw.dates:
            moments = pd.to_datetime(column, format="mixed", dayfirst=raw.day_first, errors="coerce", utc=True)
            both[name] = (moments - moments.min()) / pd.Timedelta(days=1)
            both[f"{name}, month"] = moments.dt.month
        else:
            numbers = pd.to_numeric(column, errors="coerce")
            if not (numbers.isna() & column.notna()).any():
                both[name] = numbers
    both = both.drop(columns=list(raw.left_out))
    return both.iloc[: len(text[0])], both.iloc[len(text[0]) :].reset_index(drop=True)


def rivals(raw: Raw, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    """Fit scikit-learn's models. Return the predictions for the rows to test on, and the seconds of each."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train = train[train[raw.target].notna()]
    y, X = train[raw.target], train.drop(columns=raw.target).dropna(axis=1, how="all")
    numbers = [name for name in X if X[name].dtype.kind in "if"]
    categories = [name for name in X if name not in numbers]
    both = pd.concat([X, test[X.columns]])[categories].astype("category")
    frequent = {name: both[name].value_counts().index[:250] for name in categories}  # as many as boosting takes

    def prepared(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame[X.columns].copy()
        for name in categories:
            frame[name] = pd.Categorical(frame[name], categories=frequent[name])
        return frame

    known = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
    )
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("numbers", scaled, numbers), ("categories", known, categories)])
    models: dict[str, Any]
    if raw.classes:
        models = {
            "mlp": make_pipeline(columns, MLPClassifier(random_state=0)),
            "linear": make_pipeline(columns, LogisticRegression(max_iter=1000)),
            "boosting": HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0),
        }
    else:
        models = {
            "mlp": make_pipeline(columns, MLPRegressor(random_state=0)),
            "linear": make_pipeline(columns, Ridge()),
            "boosting": HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0),
        }
    found: dict[str, Any] = {}
    for name, model in models.items():
        started = time.perf_counter()
        rows = prepared(X) if name == "boosting" else X.astype(dict.fromkeys(categories, object))
        others = prepared(test) if name == "boosting" else test[X.columns].astype(dict.fromkeys(categories, object))
        whole = model if raw.classes else TransformedTargetRegressor(model, transformer=StandardScaler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 200 epochs were not enough
            whole.fit(rows, y)
        if raw.classes:
            answer = pd.DataFrame(whole.predict_proba(others), columns=whole.classes_)
        else:
            answer = pd.DataFrame({raw.target: np.ravel(whole.predict(others))})
        found[name] = {"score": score(raw, answer, train, test), "seconds": time.perf_counter() - started}
    return found


def score(raw: Raw, answer: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the log loss of classes, or the RMSE of numbers relative to their standard deviation."""
    y = test[raw.target]
    if not raw.classes:
        there = y.notna().to_numpy()
        errors = answer[raw.target].to_numpy(float)[there] - y.to_numpy(float)[there]
        return float(np.sqrt((errors**2).mean()) / y.to_numpy(float)[there].std())
    there = y.isin(train[raw.target].dropna().unique()).to_numpy()  # nobody can predict a class that is new
    names = {label(str(name)): j for j, name in enumerate(answer.columns)}
    chances = answer.to_numpy(float)[there]
    chances = np.clip(chances / chances.sum(1, keepdims=True), TINY, 1)
    numbers = [names.get(label(text), -1) for text in y[there]]
    each = [chances[i, j] if j >= 0 else TINY for i, j in enumerate(numbers)]
    return float(-np.log(each).mean())


def answers(raw: Raw, path: str) -> pd.DataFrame:
    """Return the predictions that `fastbp predict` wrote: the probability of each class, or numbers."""
    written = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not raw.classes:
        return written[[raw.target]].astype(float)
    chances = written[[name for name in written if name.startswith("probability_")]].astype(float)
    return chances.rename(columns=lambda name: name.removeprefix("probability_"))


def measure(raw: Raw, folder: Path, runs: int, with_rivals: bool) -> dict[str, Any]:
    """Return a table's facts, scores and seconds."""
    train, test = frames(raw, folder)
    found: dict[str, Any] = {
        "rows": len(train) + len(test),
        "columns": len(pd.read_pickle(folder / raw.name / "train.pkl").columns),
    }
    each = [commands(raw, folder, run) for run in range(runs)]
    found["failures"] = {name: text for one in each for name, text in one["failures"].items()}
    found["seconds"] = {name: statistics.median(one["seconds"][name] for one in each) for name in each[0]["seconds"]}
    scores = [score(raw, answers(raw, one["predictions"]), train, test) for one in each if "predictions" in one]
    found["fastbp"] = statistics.median(scores) if scores else None
    kept = folder / raw.name / "rivals.json"
    if with_rivals and not kept.exists():
        kept.write_text(json.dumps(rivals(raw, train, test)))
    if kept.exists():
        found["rivals"] = json.loads(kept.read_text())
    return found


def line(raw: Raw, found: dict[str, Any]) -> str:
    """Return a table's row of the page."""
    others = [found.get("rivals", {}).get(name) for name in RIVALS]
    scores = [found["fastbp"], *(other and other["score"] for other in others)]
    cells = ["–" if value is None else f"{value:.3f}" for value in scores]
    seconds = f"{found['seconds']['train']:.1f}"
    rival = "–" if others[0] is None else f"{others[0]['seconds']:.1f}"
    what = "log loss" if raw.classes else "RMSE / σ"
    facts = [raw.name, f"`{raw.target}`", f"{found['rows']:,}", str(found["columns"]), what, f"**{cells[0]}**"]
    return "| " + " | ".join([*facts, *cells[1:], seconds, rival]) + " |"


def page(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table of all tables, and how many criteria they meet."""
    heads = ["table", "target", "rows", "columns", "measure", "fastbp", *RIVALS.values(), "fastbp, s", "MLP, s"]
    lines = ["| " + " | ".join(heads) + " |", "| --- | --- | ---: | ---: | --- |" + " ---: |" * 6]
    by_name = {raw.name: raw for raw in TABLES}
    lines += [line(by_name[name], found) for name, found in results.items()]
    both = [found for found in results.values() if found.get("rivals") and found["fastbp"] is not None]
    ahead = sum(found["fastbp"] <= found["rivals"]["mlp"]["score"] for found in both)
    far = sum(found["fastbp"] > 1.05 * found["rivals"]["linear"]["score"] for found in both)
    return [
        *lines,
        "",
        f"fastbp is no worse than scikit-learn's MLP on {ahead} of {len(both)} tables. "
        f"It is more than 5 % worse than the linear model on {far}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [raw.name for raw in TABLES]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, default=names, help=", ".join(names))
    parser.add_argument("--folder", type=Path, default=ROOT / ".tables", help="where packages, tables and models lie")
    parser.add_argument("--runs", type=int, default=1, help="how often each table is trained; medians are reported")
    parser.add_argument("--no-rivals", action="store_true", help="without scikit-learn's models")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    install(given.folder)
    results = {}
    for raw in TABLES:
        if raw.name in given.only:
            results[raw.name] = found = measure(raw, given.folder, given.runs, not given.no_rivals)
            if not given.json:
                print(line(raw, found), flush=True)
                for name, text in found["failures"].items():
                    print(f"  {name} failed: {text}", flush=True)
    lines = page(results)
    print(json.dumps(results) if given.json else "\n".join(lines[-1:]))
    if given.write:
        before, rest = PAGE.read_text().split(MARKS[0])
        PAGE.write_text(before + "\n".join([MARKS[0], *lines, MARKS[1]]) + rest.split(MARKS[1])[1])
    if any(found["failures"] for found in results.values()):
        sys.exit("some commands failed")


if __name__ == "__main__":
    main()
