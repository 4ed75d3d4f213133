"""Dates and times of day: the format of a column, and its values as days since 1970."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cells import Array, Cells, Flags
from ._numbers import Reading, are_enough

if TYPE_CHECKING:
    pass

ISO = "ISO8601"
COMPACT = "%Y%m%d"
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y", "%m.%d.%Y"),
    *("%m/%d/%y", "%d/%m/%y", "%m-%d-%y", "%d-%m-%y", "%d.%m.%y", "%y/%m/%d", "%y-%m-%d"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d%b%Y", "%d. %B %Y", "%d %b %y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%b. %d, %Y", "%Y %b %d", "%Y-%b-%d"),
    *("%a %d %b %Y", "%a, %d %b %Y", "%a %b %d %Y", "%A, %B %d, %Y", "%A %d %B %Y", "%a, %b %d, %Y"),
)
MONTHS = (
    *("%b %Y", "%B %Y", "%b-%Y", "%B-%Y", "%b, %Y", "%B, %Y", "%b-%y", "%b %y", "%b/%Y", "%Y %b", "%Y-%b", "%Y %B"),
    *("%m/%Y", "%Y/%m", "%Y-%m", "%m-%Y"),
)
OTHERS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S +0000 %Y", "%Y%m%dT%H%M%S", "%Y-%m-%d-%H.%M.%S")
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I %p", "%I%p")
TIME = re.compile(  # behind a date
    r".*?(?P<joint>T|, |: ?| +)(?P<clock>\d{1,2}:\d\d)(?P<seconds>:\d\d)?(?P<fraction>\.\d+)?(?P<half>( ?)[AaPp][Mm])?"
)
ZONE = re.compile(r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d)$")  # behind a time
MAY_HAVE_ZONE = re.compile(r"(?:[ZCT]|[+-]\d\d(?::?\d\d)?)$")
LOOKS = re.compile(r"(?=.*\d).*(?:\d[-/.: T]\d|[A-Za-z]{3})", re.ASCII | re.DOTALL)  # like a date, at a first glance
BLANK = re.compile(  # dates that many databases write where there is none
    r"(?:0{4}([-/.]?)00\1(?:00)?|00([-/.])00\2(?:0000|00)|9{4}([-/.]?)99\3(?:99)?|99([-/.])99\4(?:9999|99)"
    r"|9999-12-31|12/31/9999|31[./]12[./]9999|0001-01-01|01[./]01[./]0001)(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?"
)
BLANKS = (0, 99_999_999, 99_991_231)  # of integers
TRIED = 20  # texts on which each format is tried first
SHARE = 0.8  # of them that a format must read
FUTURE = (np.datetime64("2041-01-01") - np.datetime64("1970-01-01")).astype(int)  # a year of two digits is before it
CENTURY = 36_525  # days
YEARS = (1800, 2200)  # of integers such as 20200131


def recognise(cells: Cells, *, forced: bool = False) -> Reading | None:
    """Return the dates of a column, with their format as spelling, or None if it isn't one of dates.

    Parameters
    ----------
    cells : the column
    forced : whether one date is enough
    """
    if cells.values.dtype.kind == "M":
        return Reading(read(cells, ISO), ISO)
    if cells.values.dtype.kind in "iufbm":
        return None
    considered = ~cells.marked & ~blank(cells)
    known = np.flatnonzero(considered)
    if not len(known):
        return None
    sample = _without_zones(
        [cells.stripped[i] for i in known[np.unique(np.linspace(0, len(known) - 1, TRIED).astype(int))]]
    )
    if sum(bool(LOOKS.match(text)) and len(text) < 50 for text in sample) < 0.8 * len(sample):
        return None
    best, equal = None, list[str]()
    for format in _candidates(sample):
        days = read(cells, format)
        found = int((~np.isnan(days[considered])).sum())
        if best is None or found > best[0]:
            best, equal = (found, format, days), [format]
        elif found == best[0]:
            equal.append(format)
    if best is None or not (forced or are_enough(cells, ~np.isnan(best[2]), considered)):
        return None
    swapped = _swapped(best[1])
    note = f"if they are {swapped}, write them as 2024-12-31" if swapped in equal else ""
    return Reading(best[2], best[1], note=note)


def blank(cells: Cells) -> Flags:
    """Return which values stand for no date, such as 0000-00-00; (u,)."""
    if cells.values.dtype.kind in "bmM":
        return np.zeros(len(cells.values), bool)
    if cells.is_numeric:
        return np.isin(cells.plain, BLANKS)
    return np.fromiter((bool(BLANK.fullmatch(text)) or text == "0" for text in cells.stripped), bool, len(cells.values))


def read(cells: Cells, format: str) -> Array:
    """Return the values of a column as (u,) days since 1970 in a format; NaN for others. Zones are ignored."""
    days = _read(cells, format)
    if not is_clock(format):
        days[blank(cells)] = np.nan
    return days


def _read(cells: Cells, format: str) -> Array:
    import pandas

    values: Any = cells.values
    if format == COMPACT:
        return _read_compact(cells.plain)
    if values.dtype.kind == "M":
        local = values.dt.tz_localize(None) if getattr(values.dt, "tz", None) is not None else values
        moments = local
    else:
        texts = pandas.Series(_without_zones(cells.stripped), dtype=object)
        moments = pandas.to_datetime(texts, format=format, errors="coerce", utc=True).dt.tz_localize(None)
    stamps = moments.to_numpy("datetime64[us]")
    days = stamps.astype(np.int64) / 86_400e6
    days[np.isnat(stamps)] = np.nan
    if "%y" in format:  # strptime reads 68 as 2068, and 69 as 1969
        days[days >= FUTURE] -= CENTURY
    return days


def is_clock(format: str) -> bool:
    """Return whether a format has times of day, without a date."""
    return format in CLOCKS


def _without_zones(texts: list[str]) -> list[str]:
    """Return texts without the time zones behind their times."""
    return [ZONE.sub(r"\1", text) if MAY_HAVE_ZONE.search(text) else text for text in texts]


def _candidates(sample: list[str]) -> list[str]:
    """Return the formats that read nearly all of these texts, those that are preferred first."""
    times = dict.fromkeys(_time_of(text) for text in sample)
    formats = [*OTHERS, *CLOCKS]
    formats += [f"{day}{time}" for time in times for day in DAYS]
    formats += MONTHS if "" in times else []
    found = [format for format in formats if _share(sample, format) >= SHARE]
    iso = _iso_share(sample)
    return [ISO] if iso == 1 else [*([ISO] if iso >= SHARE else []), *found]


def _time_of(text: str) -> str:
    """Return the format of the time behind a date, with what is between them; "" if there is none."""
    match = TIME.fullmatch(text)
    if match is None:
        return ""
    if match["half"]:
        clock = "%I:%M" + (":%S" if match["seconds"] else "") + match[6] + "%p"
    else:
        clock = "%H:%M" + (":%S" if match["seconds"] else "") + (".%f" if match["fraction"] else "")
    return match["joint"] + clock


def _iso_share(sample: list[str]) -> float:
    """Return which share of these texts is in ISO 8601, at least with a month."""
    import pandas

    good = np.array([bool(re.match(r"\d{4}-\d\d", text)) for text in sample])
    read = (
        pandas.to_datetime(pandas.Series(sample, dtype=object), format=ISO, errors="coerce", utc=True)
        .notna()
        .to_numpy()
    )
    return float((read & good).mean())


def _share(sample: list[str], format: str) -> float:
    """Return which share of these texts a format reads."""
    missed = 0
    for text in sample:
        try:
            datetime.strptime(text, format)
        except ValueError:
            missed += 1
            if missed > (1 - SHARE) * len(sample):
                return 0.0
    return 1 - missed / len(sample)


def _swapped(format: str) -> str:
    """Return the format with day and month exchanged, or "" if it doesn't have both as numbers."""
    if "%d" not in format or "%m" not in format or format.startswith(("%Y", "%y")):
        return ""
    return format.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")


def compact(cells: Cells) -> Reading | None:
    """Return the dates of integers such as 20200131, if all of several are dates."""
    plain = cells.plain
    known = plain[~np.isnan(plain) & ~blank(cells)]
    low, high = (year * 10_000 for year in YEARS)
    if len(known) < 10 or known.min() < low or known.max() > high or (known != np.round(known)).any():
        return None
    month, day = known // 100 % 100, known % 100
    if (month < 1).any() or (month > 12).any() or (day < 1).any() or (day > 31).any():
        return None
    days = _read_compact(plain)
    found = ~np.isnan(days)
    return Reading(np.where(blank(cells), np.nan, days), COMPACT) if found[np.isin(plain, known)].all() else None


def _read_compact(numbers: Array) -> Array:
    """Return integers such as 20200131 as days since 1970; NaN for others."""
    import pandas

    days = np.full(len(numbers), np.nan)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (numbers > 10_000_000) & (numbers < 100_000_000)
    texts = pandas.Series(numbers[whole].astype(np.int64).astype(str).astype(object), dtype=object)
    stamps = pandas.to_datetime(texts, format=COMPACT, errors="coerce").to_numpy("datetime64[us]")
    found = stamps.astype(np.int64) / 86_400e6
    found[np.isnat(stamps)] = np.nan
    days[whole] = found
    return days
