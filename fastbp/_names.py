"""Column names of frames, and the check that they are those that a trainer was fitted with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _checks
from ._records import check_fields, refused

SHOWN = 5  # names of each kind in a message, as in scikit-learn
MOST = 20  # names in the advice
NO_NAME = re.compile(r"__index_level_\d+__")  # pandas' column name for an unnamed index in a file

Labels = tuple[str, ...]


class Names(NamedTuple):
    """The column names that a trainer knows: those of the frame or Stream that it was first fitted with."""

    features: Labels | None = None
    targets: Labels | None = None  # None for a single target

    def inputs(self, argument: str, X: Any) -> Any:
        """Return X after a check of its column names. An Arrow table loses the index column that pandas wrote.

        Raises
        ------
        ValueError, TypeError
            As in scikit-learn's `validate_data`: if names or their order differ, or if only some names are strings.
        """
        if type(X) is np.ndarray:
            return X
        X = without_index(X)
        self.check(argument, Names(labels_of(X)))
        return X

    def or_else(self, others: Names) -> Names:
        """Return these names, with those of `others` in place of unknown ones."""
        if others is NONE:  # arrays have no names, and every microsecond counts
            return self
        features = others.features if self.features is None else self.features
        return Names(features, others.targets if self.targets is None else self.targets)

    def check(self, argument: str, came: Names, target_argument: str = "y") -> None:
        """Refuse names that differ from these, if both are known."""
        for name, what, known, given in (
            (argument, "feature", self.features, came.features),
            (target_argument, "target", self.targets, came.targets),
        ):
            if known is not None and given is not None and known != given:
                raise ValueError(_difference(name, what, known, given))

    def record(self) -> dict[str, Any]:
        """Return the names as JSON values."""
        return {name: None if labels is None else list(labels) for name, labels in self._asdict().items()}

    @classmethod
    def from_record(cls, record: dict[str, Any], n_in: int, n_out: int) -> Names:
        """Return the names in a record from the file of a network with n_in inputs and n_out outputs.

        Raises
        ------
        ModelFileError
            For a record that `record` cannot have made.
        """
        check_fields("names", record, {"features": (list, type(None)), "targets": (list, type(None))})
        for name, count in (("features", n_in), ("targets", n_out)):
            labels = record[name]
            if labels is not None and (len(labels) != count or any(type(label) is not str for label in labels)):
                raise refused(_checks.shown(labels), f"{count} strings as names of {name}")
        return cls(*(None if record[name] is None else tuple(record[name]) for name in cls._fields))


NONE = Names()


def names_of(X: Any, y: Any) -> Names:
    """Return the column names of frames. A single target has no name here, because it has no order to check."""
    if type(X) is np.ndarray and type(y) is np.ndarray:  # for a batch or a row, every microsecond counts
        return NONE
    targets = labels_of(without_index(y), strict=False)
    return Names(labels_of(without_index(X)), targets if targets and len(targets) > 1 else None)


def labels_of(value: Any, *, strict: bool = True) -> Labels | None:
    """Return the column names of a frame (pandas, polars, pyarrow, …) if all are strings, as in scikit-learn; or None.

    strict : whether a mixture of strings and other names is an error
    """
    if type(value) in (np.ndarray, list, tuple):
        return None
    columns: Any = getattr(value, "column_names" if hasattr(type(value), "column_names") else "columns", None)
    return _texts(columns, strict=strict) if _checks.is_sequence(columns) else None


def labels_of_row(value: Any) -> Labels | None:
    """Return the index of a pandas Series, which is one row of a frame, if all labels are strings; or None."""
    index: Any = getattr(value, "index", None)
    return _texts(index, strict=False) if getattr(value, "ndim", 0) == 1 and _checks.is_sequence(index) else None


def _texts(labels: Iterable[Any], *, strict: bool) -> Labels | None:
    names = tuple(labels)
    are_text = [isinstance(name, str) for name in names]
    if strict and any(are_text) and not all(are_text):
        kinds = sorted({type(name).__qualname__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{kinds} as feature name / column name types. Convert them to strings, with "
            "X.columns = X.columns.astype(str) for example, or pass X.to_numpy(), which has no names."
        )
    return names if names and all(are_text) else None


def index_columns(schema: Any) -> set[str]:
    """Return the columns of an Arrow schema that hold the index of a pandas frame."""
    import json

    found = {name for name in schema.names if NO_NAME.fullmatch(name)}
    with suppress(ValueError, TypeError, KeyError, AttributeError):  # metadata that pandas didn't write
        said = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        found |= {name for name in said if isinstance(name, str)}  # a RangeIndex is a dict, not a column
    return found & set(schema.names)


def without_index(X: Any) -> Any:
    """Return X. An Arrow table or record batch loses the index columns of the frame that it was made from."""
    if not hasattr(type(X), "column_names") or not hasattr(X, "schema"):
        return X
    index = index_columns(X.schema)
    return X.select([i for i, name in enumerate(X.column_names) if name not in index]) if index else X


def _difference(argument: str, what: str, known: Sequence[str], given: Sequence[str]) -> str:
    """Return the argument's name, scikit-learn's message, and what to do."""
    text = f"{argument}: The {what} names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(given) - set(known)), sorted(set(known) - set(given))
    if unseen:
        text += f"{what.capitalize()} names unseen at fit time:\n{_listed(unseen)}"
    if missing:
        text += f"{what.capitalize()} names seen at fit time, yet now missing:\n{_listed(missing)}"
    if not unseen and not missing:
        text += f"{what.capitalize()} names must be in the same order as they were in fit.\n"
    advice = ". For a Stream of files, pass them as features=. Arrays have no names and are matched by position."
    names = ", ".join(map(repr, known[:MOST])) + (", …" if len(known) > MOST else "")
    return f"{text}Pass these columns in this order: {names}" + (advice if what == "feature" else ".")


def _listed(names: Sequence[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:SHOWN]) + ("- ...\n" if len(names) > SHOWN else "")


def rows_of(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    """Return some rows of an array, a list, or a frame or series of any library, which stays one."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "take") and hasattr(values, "schema"):  # a table of pyarrow
        return values.take(rows)
    return (
        values[rows] if hasattr(values, "dtype") or hasattr(values, "to_numpy") else _checks.numbers("y", values)[rows]
    )
