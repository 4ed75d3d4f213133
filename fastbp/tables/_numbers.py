"""Numbers in the spellings of public files: $1,234.50, 12 %, 1.234,5, (12), 3 kg, and durations."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np

from ._cells import Array, Cells, Flags
from ._problems import rows_of, texts_of

SPACES = "\u0020\u00a0\u2009\u202f"
SIGNS = "$€£¥₹₽₩₺₫₴₦¢฿₪₱₲₡₵₸"
CODES = "USD|EUR|GBP|JPY|CHF|INR|CNY|RUB|SEK|NOK|DKK|PLN|BRL|AUD|CAD|kr\\.?|Rs\\.?|zł"
CURRENCY = re.compile(rf"[A-Z]{{0,3}}[{SIGNS}]|{CODES}")
CELL = re.compile(
    rf"(?P<open>\()?(?P<sign>[+−-])?[{SPACES}]?(?P<before>(?:[A-Z]{{0,3}}[{SIGNS}]|{CODES})?)[{SPACES}]?"
    rf"(?P<inner>[+−-])?(?P<digits>[0-9.,{SPACES}'’]*[0-9][.,]?)(?P<power>[eE][+−-]?[0-9]{{1,3}})?"
    rf"[{SPACES}]?(?P<after>(?:[^\W\d_]|[%‰°µ{SIGNS}])[^0-9()+−]{{0,15}})?(?P<close>\))?"
)
POINT = re.compile(
    rf"(?:[1-9][0-9]{{0,2}}(?:([,{SPACES}'’])(?:[0-9]{{2,3}}\1)*[0-9]{{3}})|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
)
COMMA = re.compile(rf"(?:[1-9][0-9]{{0,2}}(?:([.{SPACES}'’])[0-9]{{3}}(?:\1[0-9]{{3}})*)|[0-9]+)(?:,[0-9]*)?|,[0-9]+")
DURATION = re.compile(r"-?[0-9]+ days?(?:,? [+-]?[0-9]+:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?)?|[0-9]+:[0-9]{2}:[0-9]{2}")
MAGNITUDES = {"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "mn": 1e6, "b": 1e9, "B": 1e9, "bn": 1e9, "T": 1e12}
SURE = {"k", "K", "M", "mn", "bn"}  # without one of these, m may be metres
MAGNITUDE = re.compile(
    rf"(?P<sign>[+−-])?(?P<unit>(?:[A-Z]{{0,3}}[{SIGNS}]|{CODES})?)[{SPACES}]?"
    rf"(?P<digits>[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]+|[0-9]*\.[0-9]+)[{SPACES}]?(?P<magnitude>{'|'.join(MAGNITUDES)})?"
)
ENOUGH = 0.9  # the share of numbers, or of dates, in a column of them
FEW = 30  # with at most so many different values, texts that aren't rare make a column one of categories
TINY = 1e-150  # whose squares are 0 in float64
SEVERAL = 5  # and fewer different numbers are categories, too


@dataclass(frozen=True)
class Reading:
    """The distinct values of a column as numbers, or as days since 1970.

    Attributes
    ----------
    numbers : (u,) float64; NaN for what can't be read, and for infinite numbers
    spelling, unit : of numbers, as `Numbers` stores them; for dates, the spelling is their format
    note : what the reader should know
    """

    numbers: Array
    spelling: str = "plain"
    unit: str = ""
    note: str = ""


def are_enough(cells: Cells, readable: Flags, considered: Flags) -> bool:
    """Return whether a column is one of numbers or dates: others among them are few."""
    found = readable & considered
    if not found.any():
        return False
    if (found == considered).all():
        return True
    share, of_rows = found.sum() / considered.sum(), cells.counts[found].sum() / cells.counts[considered].sum()
    if considered.sum() <= FEW:
        return bool(of_rows >= ENOUGH and found.sum() >= SEVERAL)
    return bool(share >= ENOUGH or of_rows >= ENOUGH)


def read(cells: Cells, spelling: str, unit: str = "") -> Array:
    """Return the values of a column as (u,) float64 in one spelling; NaN for others."""
    if cells.values.dtype.kind == "m":
        return cells.values.dt.total_seconds().to_numpy(np.float64) / 86_400
    if cells.is_numeric or spelling == "plain":
        return cells.plain.copy()
    if spelling == "duration":
        return _durations(cells)
    if spelling == "magnitude":
        return _magnified(cells, unit)[0]
    numbers = _spelled(_parsed(cells), spelling, unit)
    return np.where(np.isnan(numbers), cells.plain, numbers) if spelling == "point" and not unit else numbers


def recognise(cells: Cells, *, forced: bool = False) -> Reading | None:
    """Return the numbers of a column in the spelling that reads the most, or None if it isn't one of numbers.

    Parameters
    ----------
    cells : the column
    forced : whether one number is enough
    """
    if cells.values.dtype.kind == "m":
        return Reading(read(cells, "duration"), "duration")
    if cells.values.dtype.kind == "b":
        return None
    considered = ~cells.marked
    best = Reading(cells.plain.copy())
    if not cells.is_numeric and np.isnan(best.numbers[considered]).any():
        parsed = _parsed(cells)
        unit = _unit(parsed)
        for spelling, sign in (("point", ""), ("point", unit), ("comma", ""), ("comma", unit)):
            numbers = _spelled(parsed, spelling, sign)
            if spelling == "point" and not sign:
                numbers = np.where(np.isnan(numbers), cells.plain, numbers)
            best = _better(best, Reading(numbers, spelling, sign), considered)
        if np.isnan(best.numbers[considered]).any() and (magnified := _recognised_magnitudes(cells, considered)):
            return magnified
    return best if _is_column(cells, best, considered, forced) else None


def _recognised_magnitudes(cells: Cells, considered: Flags) -> Reading | None:
    """Return the numbers of a column that is written as 1.2k, 850 or €3.4M in all rows, or None."""
    units = {match["unit"] for text in cells.stripped if (match := MAGNITUDE.fullmatch(text))} - {""}
    unit = min(units, default="")
    numbers, magnitudes = _magnified(cells, unit)
    if len(units) > 1 or magnitudes.isdisjoint(SURE) or np.isnan(numbers[considered]).any():
        return None
    return Reading(numbers, "magnitude", unit)


def _magnified(cells: Cells, unit: str) -> tuple[Array, set[str]]:
    """Return numbers with magnitudes, (u,), NaN for others, and the magnitudes that there are."""
    numbers, magnitudes = np.full(len(cells.values), np.nan), set[str]()
    for i, match in enumerate(map(MAGNITUDE.fullmatch, cells.stripped)):
        if match is None or match["unit"] not in ("", unit):
            continue
        magnitude = match["magnitude"]
        magnitudes.update([magnitude] if magnitude else [])
        value = float(match["digits"].replace(",", "")) * MAGNITUDES.get(magnitude, 1.0)
        numbers[i] = -value if (match["sign"] or "+") != "+" else value
    return numbers, magnitudes


def durations(cells: Cells, *, forced: bool = False) -> Reading | None:
    """Return the days in a column of durations, or None if it isn't one."""
    considered = ~cells.marked
    found = Reading(read(cells, "duration"), "duration")
    return found if _is_column(cells, found, considered, forced) else None


def _better(one: Reading, other: Reading, considered: Flags) -> Reading:
    """Return the reading of more values, the first one of equals."""
    counts = [int((~np.isnan(reading.numbers[considered])).sum()) for reading in (one, other)]
    return other if counts[1] > counts[0] else one


def _is_column(cells: Cells, reading: Reading, considered: Flags, forced: bool) -> bool:
    readable = ~np.isnan(reading.numbers)
    return bool(readable.any()) if forced else are_enough(cells, readable, considered)


def _durations(cells: Cells) -> Array:
    """Return durations in days."""
    import pandas

    texts = cells.stripped
    good = np.array([bool(DURATION.fullmatch(text)) for text in texts], bool)
    days = np.full(len(texts), np.nan)
    if good.any():
        durations = [text.replace(",", "") for text, is_good in zip(texts, good, strict=True) if is_good]
        found = pandas.to_timedelta(pandas.Series(durations, dtype=object), errors="coerce")
        days[good] = found.dt.total_seconds().to_numpy(np.float64) / 86_400
    return days


@dataclass(frozen=True)
class _Parsed:
    """A number in a text: its digits with separators, its unit, and whether it is negative."""

    digits: str
    power: str
    unit: str
    is_negative: bool


def _parsed(cells: Cells) -> list[_Parsed | None]:
    """Return the number in each text, or None."""
    return list(map(_parse, cells.stripped))


def _parse(text: str) -> _Parsed | None:
    match = CELL.fullmatch(text)
    if match is None or (match["open"] is None) != (match["close"] is None):
        return None
    before, after, sign, inner = match.group("before", "after", "sign", "inner")
    if (before and after) or (sign and inner) or (match["open"] and (sign or inner)):
        return None
    power = (match["power"] or "").replace("−", "-")
    negative = bool(match["open"]) or (sign or inner or "+") != "+"
    return _Parsed(match["digits"].strip(), power, before or (after or "").strip(), negative)


def _unit(parsed: list[_Parsed | None]) -> str:
    """Return the sign or word that most of the distinct numbers have beside them, or ""."""
    units = Counter(number.unit for number in parsed if number and number.unit)
    return max(units, key=lambda unit: units[unit], default="")


@cache
def _may_lack(unit: str) -> bool:
    """Return whether a number without the unit has the same: an amount of money."""
    return bool(CURRENCY.fullmatch(unit))


def _spelled(parsed: list[_Parsed | None], spelling: str, unit: str) -> Array:
    """Return the numbers in one spelling and unit, (u,); NaN for others."""
    body, other, mark = (COMMA, ".", ",") if spelling == "comma" else (POINT, ",", ".")
    separators = str.maketrans(dict.fromkeys(f"{other}{SPACES}'’", "") | {mark: "."})
    numbers = np.full(len(parsed), np.nan)
    for i, number in enumerate(parsed):
        if number is None or not body.fullmatch(number.digits):
            continue
        value = float(number.digits.translate(separators) + number.power)
        if number.unit == unit or (not number.unit and (value == 0 or _may_lack(unit))):
            numbers[i] = -value if number.is_negative else value
    return numbers


def without_infinity(cells: Cells, reading: Reading) -> tuple[Array, str]:
    """Return the finite numbers, NaN for others, and a note that says which values count as missing."""
    numbers = reading.numbers.copy()
    unread = (np.isnan(numbers) | np.isinf(numbers)) & ~cells.null
    numbers[np.isinf(numbers)] = np.nan
    if not unread.any():
        return numbers, reading.note
    many = int(unread.sum()) > 1
    counts = "count" if many else "counts"
    note = f"{texts_of(cells, unread)} in {rows_of(cells.rows(unread))} {counts} as missing"
    return numbers, "; ".join(filter(None, [reading.note, note]))


def too_close(numbers: Array, mean: float, deviation: float) -> str:
    """Return why numbers that differ can't be scaled, and what to do, or ""."""
    if deviation > 1e-12 * abs(mean):
        return ""
    largest = float(np.abs(numbers).max())
    if largest < TINY:
        return f"are too small (at most {largest:g}); multiply them by a constant"
    return f"differ by less than a millionth of a millionth of their mean, {mean:g}; subtract a constant from them"
