"""Tables without pandas: what is read without it is what pandas reads, and everything else is left to pandas."""

from __future__ import annotations

import io
import random

import numpy as np
import pandas
import pytest

from fastbp import tables
from fastbp._files import TableError, plain, tables as files
from fastbp._files.columns import Categories, Numbers, Table

TABLE = Table(
    (Numbers("a", 1.5, 0.7, False), Categories("c", ("u", "v w", "1", "NA"), None), Numbers("b", -3.0, 1e3, True)),
    Numbers("y", 0.0, 1.0, False),
)
NAMES = ["a", "c", "b"]


def both(path, text, table=TABLE):
    """Return the inputs that are read without pandas, or None, and those that are read with it, or its error."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    names = [column.name for column in table.columns]
    cells = plain.read(str(path), names)
    found = None if cells is None else tables.plain_inputs(table, cells)
    try:
        return found, tables.inputs(table, files.read(str(path), names), unknown="error")
    except TableError as error:
        return found, error


PLAIN = ["1", "-2", "+3", "007", "1.5", "-.25", "5.", "123456789012345", "0.1234567890123", "00.5", "-0.1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_plain_files_give_the_same_bits_as_with_pandas(tmp_path, end, mark):
    draw, new = random.Random(0), end or "\n"
    rows = [f"{draw.choice(PLAIN)},{draw.choice(('u', 'v w', '1', '1.0', 'NA'))},x y,{number}" for number in PLAIN]
    found, expected = both(tmp_path / "t.csv", mark + new.join(["b,c,other,a", *rows]) + end)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def test_random_numbers_are_the_same_as_with_pandas(tmp_path):
    draw, table = random.Random(0), Table((Numbers("a", 0.3, 1.7, False),), TABLE.target)
    cells = [
        f"{draw.choice(('', '-', '+'))}{draw.uniform(0, 10 ** draw.randrange(9)):.{draw.randrange(9)}f}"
        for _ in range(5000)
    ]
    cells = [cell for cell in cells if plain.numbers_of([cell])]
    found, expected = both(tmp_path / "t.csv", "a,z\n" + "".join(f"{cell},0\n" for cell in cells), table)
    assert len(cells) > 4000
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,c,b\n",
        "a,c\n1,u\n",
        "a,c,b\n1,u\n",
        "a,c,b\n1,u,2,3\n",
        "a,c,b\n,u,1\n",
        "a,c,b\n1,,2\n",
        "a,c,b\n\n1,u,2\n",
        "a,c,b\n1,u,2\n\n",
        "a,c,b\n1,u,-0\n",
        "a,c,b\n1,u,1e3\n",
        "a,c,b\n1,u,1_0\n",
        "a,c,b\n1,u,0x1\n",
        "a,c,b\nnan,u,1\n",
        "a,c,b\n1,u,inf\n",
        "a,c,b\n1,u,text\n",
        "a,c,b\n1,u,٣\n",
        "a,c,b\n1,u,1234567890123456\n",
        "a,c,b\n1,NULL,2\n",
        "a,c,b\n1,w,2\n",
        "a,c,b\n1, u,2\n",
        "a,c,b\n1,u ,2\n",
        'a,c,b\n1,"u",2\n',
        "a,c,b\n1,u,2\r1,u,2\n",
        "a,c,b\n1,u,2\x00\n",
        "a,a,c,b\n1,1,u,2\n",
        "a,c,,b\n1,u,3,2\n",
        b"a,c,b\n1,\xff,2\n",
        "a\tc\tb\n1\tu\t2\n",
    ],
)
def test_what_is_not_plain_is_left_to_pandas(tmp_path, text):
    assert both(tmp_path / "t.csv", text)[0] is None


def test_kinds_of_columns_give_the_same_bits_as_with_pandas(tmp_path):
    draw = random.Random(0)
    rows = [
        (draw.choice(("1", "2.5", "-3", "")), draw.choice(("yes", "no")), draw.choice(("a", "b", "c", "", "NA")), place)
        for place in (*("p", "q", "r") * 90, "s", "t", "u")
    ]
    frame = pandas.DataFrame(rows, columns=["n", "b", "c", "m"], dtype=str).replace("", None)
    frame["y"] = [draw.choice("pq") for _ in rows]
    for missing in ("indicator", "mean"):
        table = tables.recognise(frame, "y", missing=missing)
        text = "n,b,c,m\n" + "".join(",".join(row) + "\n" for row in rows)
        found, expected = both(tmp_path / "t.csv", text, table)
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


def test_what_needs_a_warning_or_an_error_is_left_to_pandas(tmp_path):
    frame = pandas.DataFrame({"n": ["1", "2"] * 20, "c": ["a", "b"] * 20, "d": ["1.2.2020", "3.4.2020"] * 20})
    frame["y"] = ["p", "p", "q", "q"] * 10
    for drop, good, bad in (
        (["c", "d"], "n,z\n1,0\n", ("n,z\n,0\n", "n,z\nx,0\n", "n,z\n$3,0\n")),
        (["n", "d"], "c,z\na,0\n", ("c,z\n,0\n", "c,z\nNA,0\n", "c,z\nx,0\n")),
    ):
        table = tables.recognise(frame, "y", drop=drop)
        names = [column.name for column in table.columns]
        for text, is_read in ((good, True), *((text, False) for text in bad)):
            (tmp_path / "t.csv").write_text(text)
            cells = plain.read(str(tmp_path / "t.csv"), names)
            assert (tables.plain_inputs(table, cells) is not None) == is_read
    assert tables.plain_inputs(tables.recognise(frame, "y", drop=["n", "c"]), {"d": ["1.2.2020"]}) is None


@pytest.mark.parametrize("header", ["1,2", "inf,1", "-Infinity,1", "3,1"])
def test_a_first_line_that_may_be_numbers_is_left_to_pandas(tmp_path, header):
    table = Table((Numbers("1", 0.0, 1.0, False),), TABLE.target)
    assert both(tmp_path / "t.csv", f"{header}\n5,6\n", table)[0] is None


def test_other_files_are_left_to_pandas(tmp_path):
    good = tmp_path / "t.csv"
    found, expected = both(good, "a,c,b\n1,u,2\n")
    np.testing.assert_array_equal(found, expected)
    for name in ("t.CSV", "t.parquet", ".csv"):
        (tmp_path / name).write_bytes(good.read_bytes())
        assert plain.read(str(tmp_path / name), NAMES) is None
    assert plain.read(str(tmp_path), NAMES) is None
    assert plain.read(str(tmp_path / "none.csv"), NAMES) is None
    good.write_text("a,c,b\n" + "1,u,2\n" * (plain.LARGEST // 6))
    assert plain.read(str(good), NAMES) is None


def test_what_is_written_is_what_pandas_writes(tmp_path):
    numbers = np.array([0.1, -0.0, 1e-5, 1e16, 123456.0, np.nan, np.inf, 1 / 3, 5e-324])
    texts = ['a"b', "c,d", " e", "f\ng", "", "NA", "1", "é", "h\r"]
    columns = {"y": numbers, "a,b": numbers.astype(np.float32), "text": np.array(texts, object)}
    out = io.StringIO()
    plain.write(columns, out)
    assert out.getvalue() == pandas.DataFrame(columns).to_csv(index=False, lineterminator="\n")
    plain.write({"y": texts}, str(tmp_path / "t.csv"))
    written = (tmp_path / "t.csv").read_bytes().decode()
    assert written == pandas.DataFrame({"y": texts}).to_csv(index=False, lineterminator="\n")


def test_spaces_after_a_category_are_none_of_it(tmp_path):
    table = Table((Categories("c", ("u", "v"), None), Numbers("b", 0.0, 1.0, True)), TABLE.target)
    without, _ = both(tmp_path / "a.csv", "c,b\nu,1\nv,2\n", table)
    found, pandas_own = both(tmp_path / "b.csv", "c,b\nu ,1\nv  ,2 \n", table)
    assert found is None
    assert without.tobytes() == pandas_own.tobytes()
