"""Tables in the files of other programs: those that pandas and pyarrow read safely, and advice for the others."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .. import _pyarrow
from . import TableError, parquet

if TYPE_CHECKING:
    from pandas import DataFrame

ARROW = (".feather", ".arrow", ".ipc", ".arrows")
STATA = ".dta"
SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
READERS = {
    **dict.fromkeys(SHEETS, "read_excel"),
    **dict.fromkeys((".sas7bdat", ".xpt"), "read_sas"),
    **dict.fromkeys((".h5", ".hdf", ".hdf5"), "read_hdf"),
    ".sav": "read_spss",
    ".orc": "read_orc",
    ".xml": "read_xml",
}
ADVICE = {
    ".pkl": "a pickle can run any code when it is opened; write the table with frame.to_parquet('{stem}.parquet')",
    ".rds": "in R, write it with write.csv(readRDS('{name}'), '{stem}.csv', row.names = FALSE)",
    ".rda": "in R, load it and write the table with write.csv(table, '{stem}.csv', row.names = FALSE)",
    ".npy": "write numpy.savez('{stem}.npz', X=X, y=y) with the inputs X and the target y",
    ".html": "write the table with pandas.read_html('{name}')[0].to_csv('{stem}.csv', index=False)",
    ".sqlite": "write it with pandas.read_sql('SELECT * FROM name', connection).to_csv('{stem}.csv', index=False)",
}
ADVICE |= {".pickle": ADVICE[".pkl"], ".rdata": ADVICE[".rda"], ".htm": ADVICE[".html"], ".db": ADVICE[".sqlite"]}


def refuse(path: str, suffix: str) -> NoReturn:
    """Raise the error that says how to convert a file of this type."""
    name, stem = Path(path).name, Path(path).stem
    advice = ADVICE.get(suffix, "").format(name=name, stem=stem)
    if suffix in READERS:
        line = f"import pandas; pandas.{READERS[suffix]}('{name}').to_csv('{stem}.csv', index=False)"
        advice = f'convert it: python -c "{line}"'
    if suffix in SHEETS:
        advice = f"save it as CSV UTF-8 in the spreadsheet program, or {advice}"
    kind = "spreadsheets" if suffix in SHEETS else f"{suffix} files"
    raise TableError(f"fastbp doesn't read {kind}; {advice}")


def read_arrow(path: str, wanted: Collection[str]) -> DataFrame:
    """Return the frame in a Feather or Arrow file."""
    _pyarrow.require_pyarrow("Arrow files need pyarrow", "cli")
    try:
        with _pyarrow.open_arrow(path, _pyarrow.is_file_format(path)) as file:
            table = file.read_all()
    except ValueError as error:
        raise TableError(f"this is not an Arrow file: {error}") from None
    return parquet.framed(table, wanted)


def read_stata(path: str, _wanted: Collection[str]) -> DataFrame:
    """Return the frame in a Stata file, with the labels of its values in place of their numbers."""
    import pandas

    try:
        try:
            frame = pandas.read_stata(path)
        except ValueError:  # two values have one label
            frame = pandas.read_stata(path, convert_categoricals=False)
    except OSError:
        raise
    except Exception as error:  # pandas has no error of its own for damaged files
        raise TableError(f"this is not a Stata file: {error}") from None
    frame.columns = frame.columns.astype(str)
    return frame
