"""Files of tables in all their forms: separators, encodings, compression, and the problems of a file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile

import pytest
from hypothesis import given, settings, strategies as st

from fastbp._files import TableError, delimited, rows, tables


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
    return [[None if cell != cell else cell for cell in row] for row in frame.astype(object).to_numpy().tolist()]


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
