"""The benchmark on raw public tables: what it reads, divides, measures and prints. It fetches nothing here."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from bench import raw_files, tables
from bench.raw_tables import PACKAGES, TABLES, Raw

CELLS = "id,when,price,colour,sold\n" + "".join(
    f'{i},2024-0{1 + i % 9}-11,"{1000 + i:,}",{"red" if i % 3 else ""},{"yes" if i % 2 else "no"}\n' for i in range(50)
)
OF_CLASSES = Raw("shop", ("a", "shop.csv"), "sold", classes=True, left_out=("id",), dates=("when",), numbers=("price",))
OF_NUMBERS = Raw("prices", ("a", "prices.zip!shop.csv"), "price", left_out=("id",), dates=("when",))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(PACKAGES, "a", "1")
    place = tmp_path / "packages" / "a-1"
    place.mkdir(parents=True)
    (place / "shop.csv").write_text(CELLS)
    with zipfile.ZipFile(place / "prices.zip", "w") as archive:
        archive.writestr("shop.csv", CELLS)
    return tmp_path


def test_each_table_has_a_name_and_a_package_of_a_known_version():
    assert len(TABLES) >= 30
    assert len({raw.name for raw in TABLES}) == len(TABLES)
    assert {raw.source[0] for raw in TABLES} == set(PACKAGES)


@pytest.mark.parametrize("raw", [OF_CLASSES, OF_NUMBERS])
def test_rows_are_divided_and_keep_their_text(folder, raw):
    train, test = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in raw_files.saved(raw, folder))
    assert (len(train), len(test)) == (40, 10)
    both = pd.concat([train, test]).sort_values("id", key=lambda column: column.astype(int))
    lines = both.to_csv(index=False).splitlines()
    assert lines == CELLS.splitlines()


def test_a_german_spreadsheet(folder):
    raw = Raw("german", ("a", "shop.csv"), "sold", kind="german.csv", header=("id", "when", "price", "colour", "sold"))
    cells = pd.DataFrame({"a": ["1.5", ""], "b": ["Müller", "x"]}, dtype=object)
    raw_files.write(folder / f"train.{raw.kind}", raw.kind, cells)
    assert (folder / "train.german.csv").read_bytes().decode("cp1252").splitlines() == ["a;b", "1,5;Müller", ";x"]


def test_a_person_prepares_dates_and_numbers(folder):
    train, test = tables.frames(OF_CLASSES, folder)
    assert list(train) == ["when", "price", "colour", "sold", "when, month"]
    assert train["price"].between(1000, 1049).all()
    assert train["when, month"].between(1, 9).all()
    assert pd.concat([train, test])["colour"].isna().sum() == 17
    monthly = pd.concat([train, test])["when, month"].value_counts()
    assert monthly.sort_index().tolist() == [6, 6, 6, 6, 6, 5, 5, 5, 5]


def test_scores():
    train = pd.DataFrame({"y": ["a", "b", "b"]})
    test = pd.DataFrame({"y": ["a", "b", "new", None]})
    raw = Raw("x", ("a", "x"), "y", classes=True)
    answer = pd.DataFrame({"a": [0.5, 0.2, 1, 1], "b": [0.5, 0.8, 0, 0]})
    assert tables.score(raw, answer, train, test) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    numbers = pd.DataFrame({"y": [1.0, 2.0, 3.0, np.nan]})
    raw = Raw("x", ("a", "x"), "y")
    answer = pd.DataFrame({"y": [1.0, 2.0, 4.0, 9.0]})
    assert tables.score(raw, answer, numbers, numbers) == pytest.approx(np.sqrt(1 / 3) / np.std([1, 2, 3]))


@pytest.mark.parametrize("raw", [OF_CLASSES, OF_NUMBERS])
def test_commands_and_rivals(folder, raw):
    found = tables.measure(raw, folder, 1, True)
    assert found["failures"] == {}
    assert (found["rows"], found["columns"]) == (50, 5)
    assert 0 <= found["fastbp"] < 2
    assert set(found["rivals"]) == set(tables.RIVALS)
    assert set(found["seconds"]) == {"train", "evaluate", "predict", "explain"}
    assert json.loads((folder / raw.name / "rivals.json").read_text()) == found["rivals"]
    cells = tables.line(raw, found).split(" | ")
    assert cells[:2] == [f"| {raw.name}", f"`{raw.target}`"]


def test_what_fails_is_reported(folder):
    found = tables.commands(Raw("shop", ("a", "shop.csv"), "nothing"), folder, 0)
    assert "nothing" in found["failures"]["train"]
    assert "predictions" not in found
