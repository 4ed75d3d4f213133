"""A table's columns in C: a struct with the values of a row, and the function that computes the inputs from it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files.categories import ABSENT, OTHER
from .._files.columns import Categories, Column, Dates, Numbers, Table
from .._terminal import shortened
from .text import array, comment, identifier, number

Array = npt.NDArray[Any]

LARGEST = float(np.finfo(np.float64).max)
SHOWN = 40  # characters of a category in a comment

CIVIL = """
/* The year, the month from 0 and the day from 1 of a number of days since 1970-01-01. */
static void civil(long days, long *year, long *month, long *day)
{
    const long shifted = days + 719468; /* since 0000-03-01 */
    const long era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const long of_era = shifted - era * 146097;
    const long y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const long of_year = of_era - (365 * y + y / 4 - y / 100);
    const long m = (5 * of_year + 2) / 153;

    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 2 : m - 10;
    *year = y + era * 400 + (m < 10 ? 0 : 1);
}
"""
CLIPPED = """
static double clipped(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}
"""
INTERPOLATED = """
/* The score of v between n rising knots. */
static double interpolated(double v, const double *knots, const double *scores, int n)
{
    int i = 1;

    if (v <= knots[0])
        return scores[0];
    if (v >= knots[n - 1])
        return scores[n - 1];
    while (v > knots[i])
        i++;
    return scores[i - 1] + (scores[i] - scores[i - 1]) * (v - knots[i - 1]) / (knots[i] - knots[i - 1]);
}
"""
ANGLES = {  # of parts of dates that are cycles
    "month": "(double)month * (6.283185307179586 / 12.0)",
    "weekday": "(whole + 3.0 - 7.0 * floor((whole + 3.0) / 7.0)) * (6.283185307179586 / 7.0)",
    "hour": "(seconds - 86400.0 * whole) * (6.283185307179586 / 86400.0)",
}
CLOCK_DAY = -25567.0  # 1900-01-01, the day of times without a date
VALUES = {"days": "v", "year": "(double)year", "day": "(double)day"}


class Encoder:
    """Writes the struct and the functions for a table.

    Parameters
    ----------
    table : the columns
    name : the prefix of all functions
    real : "float" or "double", the type of inputs
    """

    def __init__(self, table: Table, name: str, real: str) -> None:
        self.table, self.name, self.real = table, name, real
        self.dtype = np.dtype("float32" if real == "float" else "float64")
        self.fields = _names(table.columns, name.upper())
        self.constants: list[str] = []
        self.functions: dict[str, str] = {}
        self.code: list[str] = []
        for place, (column, field) in enumerate(zip(table.columns, self.fields, strict=True), 1):
            self.code += self._lines(column, field, place)

    def declarations(self) -> str:
        """Return what the header gets."""
        n, macro = self.name, self.name.upper()
        members = "\n".join(map(_member, self.table.columns, self.fields))
        target = self.table.target
        decode = ""
        if isinstance(target, Numbers):
            about = f"The predicted {comment(target.name)}, in its own units and within the range of training"
            decode = f"\n/* {about}, for outputs y. */\ndouble {n}_number(const {self.real} y[{macro}_OUTPUTS]);\n"
        return f"""
/* A row of the table. A missing number is NAN. A category is its number below, -1 for others, -2 for missing ones. */
typedef struct {{
{members}
}} {n}_row;

/* Computes the inputs x from a row. Returns 0, or the number, from 1, of a column whose value is not accepted. */
int {n}_encode(const {n}_row *row, {self.real} x[{macro}_INPUTS]);
{decode}"""

    def definitions(self) -> str:
        """Return what the source file gets."""
        n, macro = self.name, self.name.upper()
        lines = "\n".join(f"    {line}" if line else "" for line in self.code)
        target, decode = self.table.target, ""
        if isinstance(target, Numbers):
            value = f"(double)y[0] * {target.deviation!r} + {target.mean!r}"
            if target.low is not None and target.high is not None:
                self.functions["clipped"] = CLIPPED
                value = f"clipped({value}, {target.low!r}, {target.high!r})"
            decode = f"""
double {n}_number(const {self.real} y[{macro}_OUTPUTS])
{{
    return {value};
}}
"""
        constants = "\n".join(self.constants)
        return f"""
{constants}{"".join(self.functions.values())}
int {n}_encode(const {n}_row *row, {self.real} x[{macro}_INPUTS])
{{
{lines}
    return 0;
}}
{decode}"""

    def _lines(self, column: Column, field: str, place: int) -> list[str]:
        """Return the lines that make the inputs of a column, in a block."""
        if isinstance(column, Categories):
            lines = self._category(column, field, place)
        else:
            values = self._number(column, field) if isinstance(column, Numbers) else self._date(column)
            lines = self._gaps(column, field, place, values)
        block = ["{", *(f"    {line}" if line else "" for line in lines), f"    x += {column.width};", "}"]
        return [f"/* {comment(column.name)} */", *block]

    def _gaps(self, column: Numbers | Dates, field: str, place: int, values: Sequence[str]) -> list[str]:
        """Return lines for a number or date v, which may be missing, from those of its inputs."""
        n = column.width - column.indicator
        if column.indicator or column.lenient or column.fill:
            missing = [f"    x[{j}] = {self._literal(0.0)};" for j in range(n)]
            missing += [f"    x[{n}] = {self._literal(1.0)};"] if column.indicator else []
        else:
            missing = [f"    return {place};"]
        present = [f"x[{n}] = {self._literal(0.0)};"] if column.indicator else []
        clock = [f"v += {CLOCK_DAY!r} - floor(v);"] if _is_clock(column) else []
        setting = [*clock, *_clip(column, self.functions), *values, *present]
        head = [f"double v = row->{field};", "", "if (!(v - v == 0.0)) { /* missing */"]
        return [*head, *missing, "} else {", *(f"    {line}" for line in setting), "}"]

    def _number(self, column: Numbers, field: str) -> list[str]:
        scaled = f"(v - {_double(column.mean)}) / {column.deviation!r}"
        lines = [f"x[0] = {self._cast(scaled)};"]
        if column.knots:
            self.functions["interpolated"] = INTERPOLATED
            knots, scores = f"{field}_knots", f"{field}_scores"
            self.constants += [array(knots, np.array(column.knots)), array(scores, np.array(column.scores))]
            lines.append(f"x[1] = {self._cast(f'interpolated(row->{field}, {knots}, {scores}, {len(column.knots)})')};")
        return lines

    def _date(self, column: Dates) -> list[str]:
        lines, j = [], 0
        needs = set(column.parts)
        if needs - {"days"}:
            lines.append("const double seconds = floor(v * 86400.0 + 0.5), whole = floor(seconds / 86400.0);")
        if needs & {"year", "month", "day"}:
            self.functions["civil"] = CIVIL
            lines += ["long year, month, day;", "civil((long)whole, &year, &month, &day);"]
        lines += [f"const double of_{part} = {ANGLES[part]};" for part in column.parts if part in ANGLES]
        for part in column.parts:
            for value in [f"sin(of_{part})", f"cos(of_{part})"] if part in ANGLES else [VALUES[part]]:
                scaled = f"({value} - {_double(column.means[j])}) / {column.deviations[j]!r}"
                lines.append(f"x[{j}] = {self._cast(scaled)};")
                j += 1
        return lines

    def _category(self, column: Categories, field: str, place: int) -> list[str]:
        """Return lines that set x of a category: one input, or the row of an unknown or a missing one."""
        n, k, width = len(column.categories), len(column.categories) + len(column.others), column.width
        rows = {"other": _row(column, OTHER)}
        if column.absent or column.lenient or column.fill is not None:
            rows["missing"] = _row(column, ABSENT if column.fill is None else column.places[column.fill])
        lines = [f"const long c = row->{field};", "int j;", ""]
        for what, code in (("other", -1), ("missing", -2)):
            if what in rows:
                self.constants.append(array(f"{field}_{what}", rows[what].astype(self.dtype)))
                lines += [
                    f"if (c == {code})",
                    f"    for (j = 0; j < {width}; j++)",
                    f"        x[j] = {field}_{what}[j];",
                ]
        lines += [f"if (c < {-len(rows)} || c >= {k})", f"    return {place};", "if (c >= 0) {"]
        lines += [f"    for (j = 0; j < {width}; j++)", f"        x[j] = {self._literal(0.0)};"]
        if column.single:
            lines += [f"    x[0] = {self._literal(2.0)} * ({self.real})c - {self._literal(1.0)};"] if n == 2 else []
        elif column.others:
            lines += [f"    x[c < {n} ? c : {n}] = {self._literal(1.0)};"]
        else:
            lines += [f"    x[c] = {self._literal(1.0)};"]
        if m := column.n_statistics:
            self.constants.append(array(f"{field}_means", np.array(column.statistics).astype(self.dtype)))
            lines += [f"    for (j = 0; j < {m}; j++)", f"        x[{width - m} + j] = {field}_means[c * {m} + j];"]
        return [*lines, "}"]

    def _literal(self, value: float) -> str:
        return number(self.dtype.type(value), "f" if self.real == "float" else "")

    def _cast(self, value: str) -> str:
        return value if self.real == "double" else f"(float)({value})"


def _clip(column: Numbers | Dates, functions: dict[str, str]) -> list[str]:
    """Return the line that clips v to the range of training, widened by its width."""
    if column.low is None or column.high is None:
        return []
    functions["clipped"] = CLIPPED
    width = column.high - column.low
    low, high = (max(-LARGEST, min(LARGEST, end)) for end in (column.low - width, column.high + width))
    return [f"v = clipped(v, {_double(low)}, {_double(high)});"]


def _is_clock(column: Column) -> bool:
    """Return whether a column has times of day, which are read as times of one day."""
    return isinstance(column, Dates) and CLOCK_DAY <= column.low <= column.high < CLOCK_DAY + 1


def _row(column: Categories, code: int) -> Array:
    """Return the inputs of a code: a category, OTHER or ABSENT."""
    return column.rows(np.array([code]), np.array([max(code, -1)]))[0]


def _double(value: float) -> str:
    """Return a literal that can stand behind a minus."""
    return f"({value!r})" if value < 0 else repr(value)


def _names(columns: Sequence[Column], prefix: str) -> list[str]:
    """Return identifiers like the names of columns, all different, and other than the macros with this prefix."""
    found: list[str] = []
    macros = [f"{prefix}_{rest}" for rest in ("H", "INPUTS", "OUTPUTS", "TOLERANCE", "NO_SELF_TEST")]
    for column in columns:
        found.append(identifier(column.name, "column", [*macros, *found]))
    return found


def _member(column: Column, field: str) -> str:
    """Return the member of the struct for a column."""
    if isinstance(column, Categories):
        every = [*column.categories, *column.others]
        shown = ", ".join(f"{i}\u00a0=\u00a0{comment(shortened(text, SHOWN))}" for i, text in enumerate(every))
        lines = textwrap.wrap(f"{comment(column.name)}: {shown}", 100, break_on_hyphens=False)
        about = "\n     * ".join(lines).replace("\u00a0", " ")
        return f"    long {field}; /* {about} */"
    unit = f", in {column.unit}" if isinstance(column, Numbers) and column.unit else ""
    if isinstance(column, Dates):
        unit = (
            ", a time of day, in days: 0.5 is noon"
            if _is_clock(column)
            else ", in days since 1970-01-01, with fractions for times"
        )
    if isinstance(column, Numbers) and column.spelling == "duration":
        unit = ", in days"
    return f"    double {field}; /* {comment(column.name + unit)} */"
