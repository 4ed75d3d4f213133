"""Files of tables in all their forms: separators, encodings, compression, and the problems of a file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import threading
import zipfile

import numpy as np
import pandas
import pytest
from hypothesis import given, settings, strategies as st

from fastbp._files import TableError, delimited, rows, tables, writing


@pytest.fixture(params=["pyarrow", "csv"])
def reader(request, monkeypatch):
    """Read by pyarrow where it can, or by Python's csv module everywhere."""
    if request.param == "csv":
        monkeypatch.setattr(delimited, "_by_pyarrow", lambda *_: None)
    return request.param


def put(folder, data: str | bytes, name: str = "data.csv") -> str:
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(folder / name)


def cells(frame) -> list[list[str | None]]:
    """Return the rows, with None for a missing cell."""
    return [
        [None if cell is None or cell is pandas.NA or cell != cell else cell for cell in row]
        for row in frame.astype(object).to_numpy().tolist()
    ]


GOOD = "name;size\nred;1,5\nblue;2,5\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_recognized(tmp_path, reader, separator):
    text = "\n".join(separator.join(f'"{c}"' for c in ("when", "how", "a; b")) for _ in (0,)) + "\n"
    text += separator.join(("x y", '"1,5;2|3\t4"', "007")) + "\n" + separator.join(('"q ""w"""', "", "1.50")) + "\n"
    frame = tables.read(put(tmp_path, text))
    assert list(frame.columns) == ["when", "how", "a; b"]
    assert cells(frame) == [["x y", "1,5;2|3\t4", "007"], ['q "w"', None, "1.50"]]
    assert all(str(kind) == "category" for kind in frame.dtypes)


@pytest.mark.parametrize(
    ("text", "wanted", "names"),
    [
        ("a;b\n1,5;2,5\n1,5;2,5\n", (), ["a", "b"]),
        ("Name, first;Age\nSmith, Jo;3\n", ("Age",), ["Name, first", "Age"]),
        ("a b,c d\n1 2,3 4\n", (), ["a b", "c d"]),
        ("full name\nJo Smith\nAl Jones\n", (), ["full name"]),
        ("a,b\nx;y,1\nz;w,2\n", (), ["a", "b"]),
        ("sep=;\na;b\n1;2\n", (), ["a", "b"]),
        ("a,b,\n1,2,\n3,4,\n", (), ["a", "b"]),
        ("a,b\n1,2,\n3,4,\n", (), ["a", "b"]),
        ('"mpg","cyl"\n"Mazda",21,6\n"Datsun",22.8,4\n', (), ["column_1", "mpg", "cyl"]),
        ("\n\na,b\n\n1,2\n\n", (), ["a", "b"]),
        ("a,b\n", (), None),
        ("", (), None),
        ("\n\n", (), None),
    ],
)
def test_names(tmp_path, reader, text, wanted, names):
    path = put(tmp_path, text)
    if names is None:
        with pytest.raises(TableError, match=r"empty|expected at least one row"):
            tables.read(path)
    else:
        assert list(tables.read(path, wanted).columns) == names


def test_columns_may_be_aligned_by_spaces(tmp_path):
    frame = tables.read(put(tmp_path, ' x     y   "a b"\n 1   2.5    u  \n10   3.5  "v w"\n', "data.txt"))
    assert list(frame.columns) == ["x", "y", "a b"]
    assert cells(frame) == [["1", "2.5", "u"], ["10", "3.5", "v w"]]
    assert "spaces" in frame.attrs["notes"][0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# a comment, of two\n# and more\na,b,c,d,e\n1,2,3,4,5\n6,7,8,9,0\n", 3),
        ('Prices,,,,\n\n"Source: ""the, web""",,,,\na,b,c,d,e\n1,2,3,4,5\n6,7,8,9,0\n', 4),
        ("a,b,c,d,e\n1,2,3,4,5\n6,7,8,9,0\n", 1),
    ],
)
def test_titles_before_the_names_are_left_out(tmp_path, reader, text, line):
    frame = tables.read(put(tmp_path, text))
    assert list(frame.columns) == list("abcde")
    assert cells(frame) == [list("12345"), list("67890")]
    note = [f"the names are in line {line}; the lines before it are not part of the table"]
    assert frame.attrs["notes"] == (note if line > 1 else [])
    with pytest.raises(TableError, match=rf"^line {line + 3}: 6 cells, but there are 5 names$"):
        tables.read(put(tmp_path, text + "1,2,3,4,5,6\n"))


def test_tabs_and_spaces_may_separate_the_same_cells(tmp_path):
    frame = tables.read(
        put(tmp_path, 'mpg\tweight\tname\n18.0   3504.\t"chevrolet malibu"\n15 3693\t"buick"\n', "t.data")
    )
    assert cells(frame) == [["18.0", "3504.", "chevrolet malibu"], ["15", "3693", "buick"]]


@pytest.mark.parametrize("wanted", [(), ("mpg",), ("horsepower",), ("name",)])
def test_spaces_separate_where_tabs_do_not_give_enough_cells(tmp_path, wanted):
    names = "mpg\thorsepower weight\tname\n"
    frame = tables.read(
        put(tmp_path, names + '18.0   130.0    3504.\t"buick (sw)"\n15 ?  3693\t"ford"\n', "a.data"), wanted
    )
    assert list(frame.columns) == ["mpg", "horsepower", "weight", "name"]
    assert cells(frame) == [["18.0", "130.0", "3504.", "buick (sw)"], ["15", "?", "3693", "ford"]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("wanted", [(), ("div",)])
def test_two_or_more_spaces_separate(tmp_path, wanted, end):
    lines = ["    id        heduc   heblack   div", "     9   12-15 years      No     No"]
    lines.append("    11   < 12 years  No    Yes  ")
    frame = tables.read(put(tmp_path, end.join([*lines, ""]), "a.dat"), wanted)
    assert list(frame.columns) == ["id", "heduc", "heblack", "div"]
    assert cells(frame) == [["9", "12-15 years", "No", "No"], ["11", "< 12 years", "No", "Yes"]]
    assert frame.attrs["notes"] == ["the separator is two or more spaces"]


def test_a_table_without_a_separator_is_refused_where_its_columns_are_needed(tmp_path):
    path = put(tmp_path, "x~y z~w\n1~2 3~4\n5~6~7\n", "a.txt")
    with pytest.raises(TableError, match=r"the first line 'x~y z~w', and no separator that .*; save it as CSV$"):
        tables.read(path, ["w"])
    assert list(tables.read(path).columns) == ["x~y z~w"]


def made(line: str, n: int = 40) -> str:
    return "x,g,y\n" + "".join(line.format(x=i % 7 + 0.25, g="pqr"[i % 3], y=["no", "yes"][i % 2]) for i in range(n))


def test_single_quotes_protect_separators_where_most_rows_have_them(tmp_path, reader):
    frame = tables.read(put(tmp_path, made("{x},'{g}, \\'z','{y}'\n")), ["y"])
    assert list(frame.columns) == ["x", "g", "y"]
    assert cells(frame)[:2] == [["0.25", "p, 'z", "no"], ["1.25", "q, 'z", "yes"]]
    notes = ["cells are between single quotes", "a backslash stands before single quotes in cells"]
    assert frame.attrs["notes"] == notes
    assert cells(tables.read(put(tmp_path, made("'{x}','{g}''s',{y}\n"))))[1] == ["1.25", "q's", "yes"]


@pytest.mark.parametrize("cell", ["'tis {g}", "{g}'s", "the '{g}' of"])
def test_single_quotes_are_text_elsewhere(tmp_path, reader, cell):
    frame = tables.read(put(tmp_path, made("{x}," + cell + ",{y}\n")))
    assert cells(frame)[1] == ["1.25", cell.format(g="q"), "yes"]
    assert frame.attrs["notes"] == []


def test_backslashes_protect_quotation_marks(tmp_path, reader):
    frame = tables.read(put(tmp_path, made('{x},"{g} \\"q\\" , z\\\\",{y}\n')), ["y"])
    assert list(frame.columns) == ["x", "g", "y"]
    assert cells(frame)[0] == ["0.25", 'p "q" , z\\', "no"]
    assert frame.attrs["notes"] == ["a backslash stands before quotation marks in cells"]


@pytest.mark.parametrize("cell", ['"C:\\{g}\\"', '"C:\\{g}\\"""', '"{g} ""x"" \\""y"""'])
def test_backslashes_are_text_elsewhere(tmp_path, reader, cell):
    frame = tables.read(put(tmp_path, made("{x}," + cell + ",{y}\n")))
    assert cells(frame)[1] == ["1.25", cell[1:-1].replace('""', '"').format(g="q"), "yes"]
    assert frame.attrs["notes"] == []


def test_rows_are_not_shifted_by_a_cell_too_many(tmp_path, reader):
    message = r"line 2: 4 cells, but there are 3 names\n(.*\n)+and 35 more\neach row has more cells than there are "
    with pytest.raises(TableError, match=message):
        tables.read(put(tmp_path, made("{x},{g}, z,{y}\n")), ["y"])
    named = made("{x},{g},{y}\n").split("\n")
    text = "\n".join([named[0], *(f"r{i},{line}" for i, line in enumerate(named[1:-1]))])
    assert list(tables.read(put(tmp_path, text), ["y"]).columns) == ["column_1", "x", "g", "y"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, reader, encoding):
    frame = tables.read(put(tmp_path, "größe,y\nß€,1\n".encode(encoding)))
    assert list(frame.columns) == ["größe", "y"]
    assert cells(frame) == [["ß€", "1"]]
    assert bool(frame.attrs["notes"]) == (not encoding.startswith("utf-8"))


def test_bytes_that_windows_leaves_open_are_latin_1(tmp_path):
    frame = tables.read(put(tmp_path, b"x,y\n\xe9\x81,1\n"))
    assert cells(frame) == [["é\x81", "1"]]


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._a.csv", b"x")
        archive.writestr("a.csv", data)
    return file.getvalue()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped}


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files(tmp_path, reader, suffix):
    packed = PACKERS[suffix](GOOD.encode())
    for name in (f"data.csv{suffix}", "data.csv"):
        assert cells(tables.read(put(tmp_path, packed, name))) == [["red", "1,5"], ["blue", "2,5"]]
    damaged = packed[: len(packed) // 2] if suffix != ".bz2" else packed[:20] + b"\0\0\0\0" + packed[24:]
    with pytest.raises(TableError, match="file is damaged or can't be decompressed: "):
        tables.read(put(tmp_path, damaged, f"data.csv{suffix}"))
    with pytest.raises(TableError, match="expected a file that is compressed with"):
        tables.read(put(tmp_path, GOOD, f"data.csv{suffix}"))


def test_a_zip_of_several_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("b.csv", GOOD)
    with pytest.raises(TableError, match=r"expected a \.zip file of one file, got 2 files: a\.csv, b\.csv; unpack it"):
        tables.read(str(tmp_path / "data.zip"))


def test_all_problems_of_a_file_are_listed_with_their_lines(tmp_path, reader):
    text = 'a,b\n1,2\n1,2,3\n"x\ny",2,3,4\n1,2\n'
    with pytest.raises(TableError) as caught:
        tables.read(put(tmp_path, text))
    assert str(caught.value).splitlines() == [
        "2 lines can't be read",
        "line 3: 3 cells, but there are 2 names",
        "line 4: 4 cells, but there are 2 names",
    ]
    many = "a,b\n1,2\n" + "1,2,3\n" * 3 + '4,"5\n' * 1
    with pytest.raises(TableError) as caught:
        tables.read(put(tmp_path, many))
    assert str(caught.value).splitlines()[-1] == "line 6: a quotation mark that has no end"
    with pytest.raises(TableError, match=r"^11 lines can't be read\n(line \d+: 3 cells.*\n){5}and 6 more$"):
        tables.read(put(tmp_path, "a,b\n" + "1,2\n" * 300 + "1,2,3\n" * 11))
    with pytest.raises(TableError, match=r"^line 3: a byte 0, which no text has$"):
        tables.read(put(tmp_path, "a,b\n1,2\n1,\0\n1,2\n"))


def test_rows_that_are_short_end_with_missing_cells(tmp_path, reader):
    frame = tables.read(put(tmp_path, "a,b,c\n1,2,3\n4\n5,6\n   \n7,8,9,,\n"))
    assert cells(frame) == [["1", "2", "3"], ["4", None, None], ["5", "6", None], ["7", "8", "9"]]
    assert frame.attrs["notes"] == ["rows with fewer cells than columns: 2; the cells at their end count as missing"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
CELLS = st.one_of(TEXTS, st.sampled_from(["", " ", " a", "a ", '"', '""', ",", ";", "\n", "\r\n", "\r", "1,5", "NA"]))


@settings(max_examples=300, deadline=None)
@given(
    table=st.integers(2, 4).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    every=st.booleans(),
    by_csv=st.booleans(),
)
def test_a_table_is_what_pythons_csv_module_reads(tmp_path_factory, table, separator, end, every, by_csv):
    names = [f"name {place}" for place in range(len(table[0]))]
    file = io.StringIO()
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    if not every:  # csv.writer doesn't quote it, although it ends a line
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    writer.writerows([names, *table])
    text = file.getvalue()
    expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True))[1:]
    expected = [[cell or None for cell in row] for row in expected if row]
    with pytest.MonkeyPatch.context() as patch:
        if by_csv:
            patch.setattr(delimited, "_by_pyarrow", lambda *_: None)
        frame = tables.read(put(tmp_path_factory.mktemp("csv"), text), names[:1])
    assert list(frame.columns) == names
    assert cells(frame) == expected


def test_pyarrow_reads_blocks_that_have_different_texts(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(delimited, "BLOCK", 1 << 10)
    monkeypatch.setattr(rows, "read", None)  # fails if it is called
    table = [(str(i % 7), f"t{i // 40}", "" if i < 900 else "late", f'"{i},"') for i in range(2000)]
    text = "a,b,c,d\n" + "".join(",".join(row) + "\n" for row in table)
    frame = tables.read(put(tmp_path, text))
    assert cells(frame) == [[a, b, c or None, d[1:-1]] for a, b, c, d in table]
    assert list(frame["a"].cat.categories) == list("0123456")
    assert frame["b"].cat.codes.dtype == "int8"
    assert frame["d"].cat.codes.dtype == "int16"


def test_json_lines_keep_types(tmp_path):
    lines = [
        {"n": 1, "x": 1, "t": "a", "b": True, "o": {"u": 1, "v": {"w": "z"}}, "l": [1, "é"], "m": 1, "big": 10**400},
        {"n": None, "x": 2.5, "t": "", "b": False, "m": "q", "late": 7, "big": 1},
        {"n": 3, "x": None, "t": "a", "b": None, "m": None, "o": {}, "big": None},
    ]
    text = "\ufeff" + "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n"
    for name, data in (("data.jsonl", text), ("data.ndjson.gz", gzip.compress(text.encode())), ("data", text)):
        frame = tables.read(put(tmp_path, data, name))
        assert list(frame.columns) == ["n", "x", "t", "b", "o.u", "o.v.w", "l", "m", "big", "late"]
        assert cells(frame) == [
            [1, 1.0, "a", True, 1, "z", '[1, "é"]', 1, 10**400, None],
            [None, 2.5, "", False, None, None, None, "q", 1, 7],
            [3, None, "a", None, None, None, None, None, None, None],
        ]
        kinds = [
            "Int64",
            "float64",
            "category",
            "boolean",
            "Int64",
            "category",
            "category",
            "object",
            "object",
            "Int64",
        ]
        assert [str(kind) for kind in frame.dtypes] == kinds


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]',
        '{"a": [1, 2], "b": ["x", "y"]}',
        '{"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}}\n',
        '{\n  "a": [1, 2],\n  "b": ["x", "y"]\n}',
        '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}',
        '{"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}',
    ],
)
def test_json_in_other_forms(tmp_path, text):
    for name in ("data.json", "data.jsonl", "data"):
        frame = tables.read(put(tmp_path, text, name))
        assert (list(frame.columns), cells(frame)) == (["a", "b"], [[1, "x"], [2, "y"]])


def test_a_first_line_of_lists_may_be_a_row(tmp_path):
    frame = tables.read(put(tmp_path, '{"a": [1, 2], "b": [3, 4]}\n{"a": [5], "b": []}\n', "data.jsonl"))
    assert cells(frame) == [["[1, 2]", "[3, 4]"], ["[5]", "[]"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": 1}\n[2]\n{"a": \n',
            r"^2 lines can't be read\nline 2: expected an object .*got \[2\]\nline 3: not JSON: ",
        ),
        ('{"a": 1}\n{"a": ' + "9" * 5000 + "}", "line 2: not JSON: "),
        ("[" * 100_000, "this is not JSON: "),
        ('{"a": ' + "[" * 100_000, "not JSON: "),
        ("[1, 2]", r"expected a list of objects, .*\n2 objects can't be read\nobject 1: got 1"),
        ("3", "line 1: expected an object"),
        ("", "not JSON"),
        (b'{"a": "\xff"}', "expected JSON in UTF-8: "),
        ('{"a": "\\ud800"}', "column 'a' has half of a surrogate pair"),
    ],
)
def test_json_that_is_no_table(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        tables.read(put(tmp_path, text, "data.json"))


def test_standard_input(tmp_path, monkeypatch):
    texts = (GOOD, gzip.compress(GOOD.encode()), '{"name": "red", "size": "1,5"}\n{"name": "blue", "size": "2,5"}')
    for data in texts:
        raw = data if isinstance(data, bytes) else data.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        assert cells(tables.read("-")) == [["red", "1,5"], ["blue", "2,5"]]
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(TableError, match="standard input is closed"):
        tables.read("-")


def test_parquet_on_standard_input(monkeypatch):
    pytest.importorskip("pyarrow")
    file = io.BytesIO()
    pandas.DataFrame({"a": [1, 2]}).to_parquet(file)
    file.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
    assert cells(tables.read("-")) == [[1], [2]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_text, args=(GOOD,), daemon=True).start()
    assert cells(tables.read(str(tmp_path / "pipe"))) == [["red", "1,5"], ["blue", "2,5"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "t.xlsx",
            r"fastbp doesn't read spreadsheets; save it as CSV UTF-8 in .*read_excel\('t.xlsx'\)\.to_csv\('t.csv'",
        ),
        ("t.ODS", "doesn't read spreadsheets"),
        ("t.sav", r"fastbp doesn't read \.sav files; convert it: python -c .*read_spss\('t.sav'\)"),
        ("t.pickle", r"a pickle can run any code .*to_parquet\('t.parquet'\)"),
        ("t.RData", r"write\.csv"),
        ("t.png", r"expected a file of type \.csv, \.tsv, "),
    ],
)
def test_files_of_other_programs_are_refused_with_advice(tmp_path, name, message):
    for path in (put(tmp_path, b"\x89PNG\0\0", name), str(tmp_path / "none" / name)):
        with pytest.raises(TableError, match=message):
            tables.read(path)


def test_what_is_called_csv_and_is_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(TableError, match="this is a spreadsheet or another office document"):
        tables.read(str(tmp_path / "a.csv"))
    with pytest.raises(TableError, match="fastbp doesn't read spreadsheets"):
        tables.read(put(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)))
    with pytest.raises(TableError, match="this is a web page or XML"):
        tables.read(put(tmp_path, "\n<!DOCTYPE html><html>"))


def test_arrow_files(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_feather(tmp_path / "t.feather")
    with pyarrow.ipc.new_stream(tmp_path / "t.arrows", pyarrow.schema({"a": "int64"})) as file:
        file.write_table(pyarrow.table({"a": [1, 2]}))
    assert cells(tables.read(str(tmp_path / "t.feather"))) == [[1, "x"], [2, None]]
    assert cells(tables.read(str(tmp_path / "t.arrows"))) == [[1], [2]]
    with pytest.raises(TableError, match="this is not an Arrow file: "):
        tables.read(put(tmp_path, b"ARROW1\0\0 and more", "t.arrow"))


def test_stata_files(tmp_path):
    frame = pandas.DataFrame({"a": [1, 2], "b": pandas.Categorical(["low", "high"]), "c": ["x", "é"]})
    frame.to_stata(tmp_path / "t.dta", write_index=False, version=118)
    assert cells(tables.read(str(tmp_path / "t.dta"))) == [[1, "low", "x"], [2, "high", "é"]]
    for data in (b"", b"not Stata", (tmp_path / "t.dta").read_bytes()[:300]):
        with pytest.raises(TableError, match="this is not a Stata file: "):
            tables.read(put(tmp_path, data, "t.dta"))


COLUMNS = {"y, z": np.array([1.5, np.nan, -0.1]), "p": np.array([0.1, 1, 2], np.float32), "é": ["a\tb", 'q"', "ü"]}


@pytest.mark.parametrize(
    "name", ["t.csv", "t", "t.v2.txt", "T.CSV.gz", "t.tsv", "t.tsv.gz", "t.jsonl", "t.jsonl.gz", "t.parquet"]
)
def test_what_is_written_is_read_back(tmp_path, name, monkeypatch):
    monkeypatch.setattr("fastbp._files.plain.ROWS", 2)
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    writing.write(COLUMNS, path := str(tmp_path / name))
    frame = tables.read(path, ["p"])
    texts = name.lower().startswith(("t.jsonl", "t.parquet"))
    expected = [[1.5, 0.1, "a\tb"], [None, 1.0, 'q"'], [-0.1, 2.0, "ü"]]
    assert list(frame.columns) == ["y, z", "p", "é"]
    assert cells(frame) == (expected if texts else [[c if c is None else str(c) for c in row] for row in expected])
    before = (tmp_path / name).read_bytes()
    writing.write(COLUMNS, path)
    assert (tmp_path / name).read_bytes() == before
    assert os.listdir(tmp_path) == [name]


def test_a_stream_takes_text():
    for kind, first in (
        (None, '"y, z",p,é'),
        (".tsv", "y, z\tp\té"),
        (".jsonl", '{"y, z": 1.5, "p": 0.1, "é": "a\\tb"}'),
    ):
        writing.write(COLUMNS, file := io.StringIO(), kind)
        assert file.getvalue().splitlines()[0] == first


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet.gz", "t.png", "t.xlsx.gz"])
def test_other_types_are_not_written(name):
    with pytest.raises(TableError, match=r"expected a file of type \.csv, \.tsv, \.jsonl, \.parquet, or one with \.gz"):
        writing.type_of(name)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,a\n2,b\n2,b\n", [["1", "a"], ["2", "b"], ["2", "b"]]),
        ("1\ta\n2\tb\n", [["1", "a"], ["2", "b"]]),
        ('1, "a,b"\n2,b\n', [["1", "a,b"], ["2", "b"]]),
        ("red;1\nred;2\n\n", [["red", "1"], ["red", "2"]]),
        ("1\n2\n", [["1"], ["2"]]),
        ("from 2024\n1,a,x\n2,b,y\n3,c,z\n", [["1", "a", "x"], ["2", "b", "y"], ["3", "c", "z"]]),
    ],
)
def test_a_text_table_without_names(tmp_path, text, rows):
    (tmp_path / "t.csv").write_text(text)
    frame = tables.read(str(tmp_path / "t.csv"), named=False)
    assert list(frame.columns) == [f"column_{place + 1}" for place in range(len(rows[0]))]
    assert frame.astype(object).to_numpy().tolist() == rows
    assert any("the rows begin in line 2" in note for note in frame.attrs["notes"]) == text.startswith("from")


def test_a_longer_row_of_a_table_without_names_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("1,a\n2,b\n2,b,3\n")
    with pytest.raises(TableError, match="line 3: 3 cells, but there are 2 columns"):
        tables.read(str(tmp_path / "t.csv"), named=False)
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(TableError, match="--no-header: expected a text table"):
        tables.read(str(tmp_path / "t.jsonl"), named=False)
