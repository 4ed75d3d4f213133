"""A column of categories: what the model file stores about it, and the inputs that its values become."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import check_fields, refused
from .._terminal import shortened
from .fields import are_finite, arguments, with_defaults
from .spellings import same

Array = npt.NDArray[Any]

LONGEST = 40  # characters of a category that are printed
OTHER, ABSENT = -1, -2  # codes of a category that has no number of its own, and of a missing one


@dataclass(frozen=True)
class Categories:
    """A column of categories, one-hot encoded.

    Attributes
    ----------
    name : name of the column
    categories : each category with a number of its own once, as text
    fill : the category that replaces a missing one; None refuses missing ones, unless `absent`
    others : rare categories, which share one input
    absent : whether a missing category is a category of its own
    single : whether two categories share one input, −1 or 1
    counts : rows in training of each category, of the others together, and of missing ones
    statistics : scaled mean targets in training of each category and of each of the others
    lenient : whether a missing category counts as other, because training had none
    note : what training noticed about the column
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None
    others: tuple[str, ...] = ()
    absent: bool = False
    single: bool = False
    counts: tuple[int, ...] = ()
    statistics: tuple[tuple[float, ...], ...] = ()
    lenient: bool = False
    note: str = ""

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        named = len(self.categories) - 1 if self.single else len(self.categories)
        return named + bool(self.others) + self.absent + self.n_statistics

    @property
    def n_statistics(self) -> int:
        """Number of inputs that are mean targets."""
        return len(self.statistics[0]) if self.statistics else 0

    @property
    def input_names(self) -> tuple[str, ...]:
        """One text for each input."""
        named = self.categories[1:] if self.single else self.categories
        return (
            *(f"{self.name} = {category}" for category in named),
            *([f"{self.name}: other"] if self.others else []),
            *([f"{self.name}: missing"] if self.absent else []),
            *(
                f"{self.name}: mean target {j + 1}" if j else f"{self.name}: mean target"
                for j in range(self.n_statistics)
            ),
        )

    @cached_property
    def baseline(self) -> Array:
        """The (width,) inputs of a row that says nothing: the mean row of training."""
        shares = np.zeros(self.width)
        if not self.counts:
            shares[:] = 1 / self.width
        elif self.single:
            total = sum(self.counts)
            if len(self.categories) == 2:
                shares[0] = (self.counts[1] - self.counts[0]) / total
            if self.absent:
                shares[-1] = self.counts[-1] / total
        else:
            shares[: len(shares) - self.n_statistics] = np.array(self._inputs_counts) / sum(self.counts)
        return shares

    @property
    def _inputs_counts(self) -> list[int]:
        """Rows in training of each input."""
        k = len(self.categories)
        others = [self.counts[k]] if self.others else []
        return [*self.counts[:k], *others, *([self.counts[-1]] if self.absent else [])]

    @property
    def words(self) -> str:
        """What the column is, for people."""
        return self.described("value", "values")

    def described(self, one: str, several: str) -> str:
        """Return what the column is; one, several: what people call its categories."""
        shown = ", ".join(shortened(text, LONGEST) for text in self.categories[:5])
        shown += ", …" if len(self.categories) > 5 else ""
        about = [f"{len(self.categories):,} {one if len(self.categories) == 1 else several}: {shown}"]
        about += [f"{len(self.others)} rare ones together"] if self.others else []
        about += ["missing values are a category"] if self.absent else []
        about += ["also their mean targets"] if self.statistics else []
        return "; ".join([*about, *([self.note] if self.note else [])])

    def rows(self, codes: Array, places: Array | None = None) -> Array:
        """Return the (u, width) inputs of categories.

        Parameters
        ----------
        codes : number of each category; OTHER, or ABSENT
        places : places of the categories in `statistics`; −1 for one that isn't there
        """
        rows, k = np.zeros((len(codes), self.width), np.float32), len(self.categories)
        named = codes >= 0
        if self.single:
            if k == 2:
                rows[named, 0] = 2.0 * codes[named] - 1
            k -= 1
        else:
            rows[named, codes[named]] = 1
        if self.others:
            rows[codes == OTHER, k] = 1
        elif not self.single:
            rows[codes == OTHER] = self.baseline
        k += bool(self.others)
        if self.absent:
            rows[codes == ABSENT, k] = 1
        elif not self.single:
            rows[codes == ABSENT] = self.baseline
        if self.statistics and places is not None:
            known = places >= 0
            rows[:, -self.n_statistics :] = 0
            rows[known, -self.n_statistics :] = self._means[places[known]]
        return rows

    @cached_property
    def _means(self) -> Array:
        return np.array(self.statistics)

    @cached_property
    def codes(self) -> dict[str, int]:
        """The number of each category."""
        return {category: i for i, category in enumerate(self.categories)}

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each category and of each of the others in `statistics`."""
        return {category: i for i, category in enumerate((*self.categories, *self.others))}

    @cached_property
    def _spelled(self) -> dict[str, int]:
        """The place of each category by `same`, if no other category has the same value."""
        shared = Counter(map(same, self.places))
        return {same(text): i for text, i in self.places.items() if shared[same(text)] == 1}

    def place(self, text: str) -> int:
        """Return the place of a category in any spelling of its value, or -1 if training did not have it."""
        for known in (text, text.strip()):
            if known in self.places:
                return self.places[known]
        return self._spelled.get(same(text), -1)

    def code(self, text: str) -> int:
        """Return the number of a category in any spelling of its value, or -1 if it has none."""
        place = self.place(text)
        return place if place < len(self.categories) else OTHER

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Categories:
        """Return the column in a record from a file, as in `Table.from_record`."""
        record = with_defaults(cls, record, ("name", "categories", "fill"))
        kinds: dict[str, tuple[type, ...]] = {"kind": (str,), "name": (str,), "categories": (list,)}
        kinds |= {"fill": (str, type(None)), "others": (list, tuple), "absent": (bool,), "single": (bool,)}
        kinds |= {"counts": (list, tuple), "statistics": (list, tuple), "lenient": (bool,), "note": (str,)}
        check_fields("a column", record, kinds)
        name, categories, others = _checks.shown(record["name"]), record["categories"], record["others"]
        every = [*categories, *others]
        if not all(type(text) is str for text in every) or not len(every) == len(set(every)) > 0:
            raise refused(_checks.shown(categories), f"different texts as categories of {name}")
        if not categories or (record["single"] and (others or len(categories) > 2)):
            raise refused(_checks.shown(categories), f"as many categories of {name} as its inputs need")
        if record["fill"] is not None and record["fill"] not in categories:
            raise refused(_checks.shown(record["fill"]), f"a fill among the categories of {name}")
        _check_counts(record)
        _check_statistics(record)
        column = cls(**arguments(record))
        if not column.width:
            raise refused("none", f"one input or more of {name}")
        return column


def _check_counts(record: dict[str, Any]) -> None:
    counts = record["counts"]
    if not counts:
        return
    good = len(counts) == len(record["categories"]) + 2 and all(type(n) is int and n >= 0 for n in counts)
    if not good or not 0 < sum(counts) < 1 << 53:
        raise refused(_checks.shown(counts), f"counts of each category of {_checks.shown(record['name'])}")


def _check_statistics(record: dict[str, Any]) -> None:
    statistics = record["statistics"]
    if not statistics:
        return
    rows = len(record["categories"]) + len(record["others"])
    good = len(statistics) == rows and all(isinstance(row, list | tuple) and len(row) > 0 for row in statistics)
    if not good or not all(are_finite(row, len(statistics[0])) for row in statistics):
        raise refused(_checks.shown(statistics), f"finite mean targets of {_checks.shown(record['name'])}")
