"""Names of columns: a frame's, and whether they are those that a trainer was fitted with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from . import _checks
from ._model_file import check_fields, refused

SHOWN = 5  # names of a kind in a message, as many as scikit-learn lists
MOST = 20  # of all names, in the advice
NO_NAME = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name in a file

Labels = tuple[str, ...]


class Names(NamedTuple):
    """The columns' names that a trainer knows: of the frame or Stream that it was first fitted with."""

    features: Labels | None = None
    targets: Labels | None = None  # where there are two or more

    def inputs(self, argument: str, X: Any) -> Any:
        """X, whose columns must be these; of an Arrow table without pandas' index.

        Raises
        ------
        ValueError, TypeError
            As scikit-learn's `validate_data`: for other names or another order; for names that are text only in part.
        """
        if type(X) is np.ndarray:
            return X
        X = without_index(X)
        self.check(argument, Names(labels_of(X)))
        return X

    def or_else(self, others: Names) -> Names:
        """These; others where there are none."""
        if others is NONE:  # as of arrays, where every microsecond counts
            return self
        features = others.features if self.features is None else self.features
        return Names(features, others.targets if self.targets is None else self.targets)

    def check(self, argument: str, came: Names, target_argument: str = "y") -> None:
        """Refuse other names than these, where both are known."""
        for name, what, known, given in (
            (argument, "feature", self.features, came.features),
            (target_argument, "target", self.targets, came.targets),
        ):
            if known is not None and given is not None and known != given:
                raise ValueError(_difference(name, what, known, given))

    def record(self) -> dict[str, Any]:
        """It all, as JSON takes it."""
        return {name: None if labels is None else list(labels) for name, labels in self._asdict().items()}

    @classmethod
    def from_record(cls, record: dict[str, Any], n_in: int, n_out: int) -> Names:
        """The inverse of `record`, for a record out of the file of a network with so many inputs and outputs.

        Raises
        ------
        ModelFileError
            For whatever `record` doesn't make.
        """
        check_fields("names", record, {"features": (list, type(None)), "targets": (list, type(None))})
        for name, count in (("features", n_in), ("targets", n_out)):
            labels = record[name]
            if labels is not None and (len(labels) != count or any(type(label) is not str for label in labels)):
                raise refused(_checks.shown(labels), f"{count} texts as names of {name}")
        return cls(*(None if record[name] is None else tuple(record[name]) for name in cls._fields))


NONE = Names()


def feature_names(trainer: Any) -> tuple[str, ...] | None:
    """The names of X's columns in the first `fit` that had some, from a frame or a Stream; None where none had."""
    names: Names = trainer._names
    return names.features


def names_of(X: Any, y: Any) -> Names:
    """Those of frames; of a single target there is none, as its name says nothing of an order."""
    if type(X) is np.ndarray and type(y) is np.ndarray:  # of a batch, or a row, every microsecond counts
        return NONE
    targets = labels_of(without_index(y), strict=False)
    return Names(labels_of(without_index(X)), targets if targets and len(targets) > 1 else None)


def labels_of(value: Any, *, strict: bool = True) -> Labels | None:
    """The names of a frame's columns (pandas, polars, pyarrow, …) where all are text, as scikit-learn has it; or None.

    strict : whether names that are text only in part are an error
    """
    if type(value) in (np.ndarray, list, tuple):
        return None
    columns: Any = getattr(value, "column_names" if hasattr(type(value), "column_names") else "columns", None)
    return _texts(columns, strict=strict) if _checks.is_sequence(columns) else None


def labels_of_row(value: Any) -> Labels | None:
    """The index of a pandas Series, which is one row of a frame, where all of it is text; or None."""
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
    """The columns of an Arrow schema that are the index of a pandas frame."""
    found = {name for name in schema.names if NO_NAME.fullmatch(name)}
    with suppress(ValueError, TypeError, KeyError, AttributeError):  # metadata that pandas didn't write
        said = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        found |= {name for name in said if isinstance(name, str)}  # a range is a dict, and no column
    return found & set(schema.names)


def without_index(X: Any) -> Any:
    """X; of an Arrow table or record batch without the index of the frame that it was made from."""
    if not hasattr(type(X), "column_names") or not hasattr(X, "schema"):
        return X
    index = index_columns(X.schema)
    return X.select([i for i, name in enumerate(X.column_names) if name not in index]) if index else X


def _difference(argument: str, what: str, known: Sequence[str], given: Sequence[str]) -> str:
    """scikit-learn's words, after the argument's name; and what to do."""
    text = f"{argument}: The {what} names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(given) - set(known)), sorted(set(known) - set(given))
    if unseen:
        text += f"{what.capitalize()} names unseen at fit time:\n{_listed(unseen)}"
    if missing:
        text += f"{what.capitalize()} names seen at fit time, yet now missing:\n{_listed(missing)}"
    if not unseen and not missing:
        text += f"{what.capitalize()} names must be in the same order as they were in fit.\n"
    advice = "; a Stream of files takes them as features=. An array has no names, and is taken by position."
    names = ", ".join(map(repr, known[:MOST])) + (", …" if len(known) > MOST else "")
    return f"{text}Pass these columns in this order: {names}" + (advice if what == "feature" else ".")


def _listed(names: Sequence[str]) -> str:
    return "".join(f"- {name}\n" for name in names[:SHOWN]) + ("- ...\n" if len(names) > SHOWN else "")
