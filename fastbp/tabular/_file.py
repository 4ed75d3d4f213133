"""Files of fitted estimators, which hold no code: an archive of arrays with a header of JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from .. import _checks
from .._files import archive
from .._files.columns import Categories, Column, Table, column_of, column_record, duplicates
from .._files.model import argument_errors
from .._records import ModelFileError, refused
from ..tables import RawColumns, owners_of
from ._blend import UNCHANGED, Line
from ._fitted import Fitted, Row
from ._intervals import Conformal
from ._objectives import objective_of
from ._records import (
    F8,
    I8,
    NUMBER,
    RECORD,
    TEXT,
    WHOLE,
    Kind,
    checked,
    fits,
    is_array,
    member_of,
    member_record,
    view_of,
    view_record,
)
from ._report import SearchReport
from ._sample import Sample
from ._views import View

Array = npt.NDArray[Any]

FORMAT, VERSION = "fastbp tabular", 1
MOST_MEMBERS, MOST_FOLDS = 10_000, 10_000
FLAG, LIST, ARRAY, NOTHING = (bool,), (list,), (np.ndarray,), (type(None),)
HEADER: dict[str, tuple[type, ...]] = {
    "format": TEXT,
    "version": WHOLE,
    "kind": TEXT,
    "parameters": RECORD,
    "features": WHOLE,
    "names": LIST + NOTHING,
    "columns": LIST,
    "left_out": LIST,
    "metric": TEXT,
    "classes": RECORD + NOTHING,
    "priors": ARRAY + NOTHING,
    "folds": WHOLE,
    "views": LIST,
    "members": LIST,
    "weights": ARRAY,
    "temperature": NUMBER,
    "line": ARRAY + NOTHING,
    "loss": NUMBER,
    "log": LIST,
    "interrupted": FLAG,
    "seed": WHOLE,
    "sample": RECORD,
    "intervals": RECORD + NOTHING,
    "table": RECORD + NOTHING,
    "report": RECORD + NOTHING,
}
ROW = {"name": str, "family": str, "loss": float, "seconds": float, "epochs": int, "complete": bool, "weight": float}
SAMPLE = {"numbers": ARRAY, "places": ARRAY, "y": ARRAY, "weights": ARRAY + NOTHING, "folds": ARRAY}
CLASSES = {"text": str, "integer": int, "boolean": bool, "number": float}  # kinds of classes
DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file. A crash or a full disk leaves the old file or the new one.

    Raises
    ------
    TypeError
        If it contains what a file without code can't hold: estimators of scikit-learn, or classes that are no text,
        numbers, or true and false.
    """
    check_is_fitted(estimator)
    fitted: Fitted = estimator._fitted
    views: list[View] = []

    def number(view: View) -> int:
        places = [i for i, other in enumerate(views) if other is view]
        if not places:
            views.append(view)
        return places[0] if places else len(views) - 1

    members = [member_record(member, number) for member in fitted.members]
    is_class, table = fitted.n_classes is not None, estimator._table
    names = getattr(estimator, "feature_names_in_", None)
    sample: Sample = estimator._sample
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": estimator._kind,
        "parameters": _parameters(estimator),
        "features": estimator.n_features_in_,
        "names": None if names is None else names.tolist(),
        "columns": list(map(column_record, fitted.columns)),
        "left_out": [list(pair) for pair in estimator.left_out_.items()],
        "metric": fitted.objective.metric,
        "classes": classes_record(estimator.classes_) if is_class else None,
        "priors": estimator.class_prior_ if is_class else None,
        "folds": len(fitted.members[0].spread(sample.raw.take(slice(0, 1)))),
        "views": list(map(view_record, views)),
        "members": members,
        "weights": fitted.weights,
        "temperature": float(fitted.temperature),
        "line": None if is_class else np.array(astuple(fitted.line)),
        "loss": float(fitted.loss),
        "log": [list(asdict(row).values()) for row in fitted.log],
        "interrupted": fitted.interrupted,
        "seed": estimator._seed,
        "sample": {"numbers": sample.raw.numbers, "places": sample.raw.places} | _rest(sample),
        "intervals": None if is_class else estimator._conformal.record(),
        "table": None if table is None else table.record(),
        "report": None if estimator._report is None else estimator._report.record(),
    }
    archive.write_nested(path, header)


def _rest(sample: Sample) -> dict[str, Any]:
    return {"y": sample.y, "weights": sample.weights, "folds": sample.folds}


def _parameters(estimator: Any) -> dict[str, Any]:
    """Return the estimator's arguments as JSON values, without its `estimators`, of which no member has a weight."""
    found = estimator.get_params(deep=False) | {"metric": estimator._fitted.objective.metric}
    if estimator.metric == "auto":
        found["metric"] = "auto"
    del found["estimators"]
    found["drop"] = [str(name) for name in found["drop"]]
    found["types"] = None if found["types"] is None else [[str(a), str(b)] for a, b in found["types"].items()]
    if not isinstance(found["random_state"], int | np.integer):
        found["random_state"] = None
    return dict(found)


def classes_record(classes: Array) -> dict[str, Any]:
    """Return the names of classes as JSON values."""
    values = classes.tolist()
    for kind, expected in CLASSES.items():
        if all(type(value) is expected for value in values) and classes.dtype.kind in "biufUO":
            dtype = classes.dtype.name if classes.dtype.kind in "biuf" else classes.dtype.kind
            return {"kind": kind, "dtype": dtype, "values": values}
    allowed = "classes that are text, numbers, or True and False"
    came = f"{_checks.shown(values[:3])} of dtype {classes.dtype}; use pickle, or convert them with y.astype(str)"
    raise TypeError(_checks.wrong("classes_", allowed, came))


def load(path: str | os.PathLike[str], kinds: Mapping[str, type[Any]]) -> Any:
    """Return the estimator in a file. kinds: the classes that it may have, by their names.

    Raises
    ------
    ModelFileError
        If `save` did not write the file, or it has another kind of estimator.
    """
    return loaded(path, "a tabular estimator", lambda header: _estimator(header, kinds))


def loaded(path: str | os.PathLike[str], writer: str, estimator_of: Callable[[Any], Any]) -> Any:
    """Return what a function makes of the header of a file. writer: what messages call the estimator that wrote it."""
    if archive.kind_of(path) == "trainer":
        raise refused("the file of a Trainer; use Trainer.load", f"a file of {writer}")
    try:
        with archive.opened_nested(path) as file:
            header = file.header()
        return estimator_of(header)
    except ModelFileError as error:
        text = str(error).replace("a file that Trainer.save wrote", f"a file that {writer}'s save wrote")
        raise ModelFileError(text) from error.__cause__


def check_version(header: Any, name: str, version: int, writers: str) -> None:
    """Refuse a header of another format or version."""
    about = [header.get("format"), header.get("version")] if type(header) is dict else [None, None]
    if list(map(type, about)) != [str, int] or about != [name, version]:
        came = "format {}, version {}".format(*map(_checks.shown, about))
        raise refused(came, f"a file of fastbp's {writers}, version {version}")


def _estimator(header: Any, kinds: Mapping[str, type[Any]]) -> Any:
    check_version(header, FORMAT, VERSION, "tabular estimators")
    checked("a header", header, HEADER)
    if header["kind"] not in kinds:
        advice = "use fastbp.tabular.load, which returns the right one"
        raise refused(f"{_checks.shown(header['kind'])}; {advice}", f"a {' or '.join(kinds)}")
    with argument_errors():
        parameters = header["parameters"] | {"estimators": ()}
        parameters["drop"] = tuple(parameters.get("drop", ()))
        if parameters.get("types") is not None:
            parameters["types"] = dict(parameters["types"])
        estimator = kinds[header["kind"]](**parameters)
        estimator._validate_params()
        objective = objective_of(header["metric"], classes=header["classes"] is not None)
    if objective.classes != (header["kind"] == "classifier"):
        raise refused("other values", "classes of a classifier, or numbers of a regressor")
    if not 0 <= header["seed"] < 1 << 63 or not 1 <= header["folds"] <= MOST_FOLDS:
        raise refused("other values", "a seed, and a number of folds")
    classes = classes_of(header["classes"]) if objective.classes else None
    columns = tuple(map(column_of, header["columns"]))
    fits("columns of different names", not duplicates([column.name for column in columns]))
    kind = Kind.of(columns, objective, None if classes is None else len(classes), header["folds"])
    estimator._fitted = fitted = _fitted(header, columns, kind)
    set_names(estimator, header)
    estimator._seed, estimator._sample = header["seed"], _sample(header["sample"], columns, kind)
    estimator.columns_, estimator.metric_ = columns, objective.metric
    estimator.interrupted_ = fitted.interrupted
    if classes is None:
        fits("intervals of numbers", header["intervals"] is not None)
        estimator._conformal = Conformal.from_record(header["intervals"])
    else:
        fits("the share of each class", header["priors"] is not None and is_array(header["priors"], F8, len(classes)))
        estimator.classes_, estimator.class_prior_ = classes, header["priors"]
    estimator._table, estimator._report = _told(header, estimator)
    return estimator


def _fitted(header: Mapping[str, Any], columns: tuple[Column, ...], kind: Kind) -> Fitted:
    """Return the ensemble of a header."""
    if not 1 <= len(header["members"]) <= MOST_MEMBERS:
        raise refused(f"{len(header['members']):,}", f"1 to {MOST_MEMBERS:,} members")
    views = [view_of(record, kind) for record in header["views"]]
    members = tuple(member_of(record, views, kind) for record in header["members"])
    weights = header["weights"]
    sums = is_array(weights, F8, len(members)) and bool((weights > 0).all()) and abs(weights.sum() - 1) < 1e-6
    fits(f"{len(members)} weights > 0 with the sum 1", sums)
    fits("a temperature", 1e-3 < header["temperature"] < 1e3)
    log = header["log"]
    fits(
        "rows of a leaderboard", all(type(row) is list and [type(v) for v in row] == list(ROW.values()) for row in log)
    )
    shape = (0,) if kind.n_classes is None else (0, kind.n_classes)
    rest = np.empty(shape), float(header["loss"]), tuple(Row(*row) for row in log), header["interrupted"]
    line = UNCHANGED
    if kind.n_classes is None:
        fits("the line of predictions", is_array(header["line"], F8, 4))
        line = Line(*header["line"].tolist())
        fits("the line of predictions", line.slope >= 1 and line.low <= line.high)
    return Fitted(columns, kind.objective, kind.n_classes, members, weights, float(header["temperature"]), *rest, line)


def set_names(estimator: Any, header: Mapping[str, Any]) -> None:
    """Set the number and the names of the columns that fit saw."""
    names, pairs = header["names"], header["left_out"]
    fits("a number of features ≥ 1", 1 <= header["features"] < 1 << 31)
    estimator.n_features_in_ = header["features"]
    if names is not None:
        fits("the name of each feature", _texts(names) and len(names) == len(set(names)) == header["features"])
        estimator.feature_names_in_ = np.array(names, dtype=object)
    fits("names and reasons of columns", all(type(pair) is list and len(pair) == 2 and _texts(pair) for pair in pairs))
    estimator.left_out_ = dict(pairs)


def _texts(values: Sequence[Any]) -> bool:
    return all(type(value) is str for value in values)


def _sample(record: Any, columns: Sequence[Column], kind: Kind) -> Sample:
    """Return the training rows that the file has."""
    checked("a sample", record, SAMPLE)
    numbers, places, y, weights, folds = (record[name] for name in SAMPLE)
    n = len(y) if y.ndim == 1 else 0
    limits = np.array(kind.places, np.int64)[:, None]
    good = (
        n > 0
        and numbers.shape == (kind.n_numbers, n)
        and numbers.dtype == np.float64  # NaN is missing
        and is_array(places, (np.dtype(np.int32),), len(kind.places), n)
        and bool(((places >= 0) & (places < limits)).all())
        and is_array(y, F8 if kind.n_classes is None else I8, n)
        and (kind.n_classes is None or bool(((y >= 0) & (y < kind.n_classes)).all()))
        and (weights is None or (is_array(weights, F8, n) and bool((weights >= 0).all()) and weights.any()))
        and is_array(folds, I8, n)
        and bool(((folds >= 0) & (folds < kind.n_folds)).all())
    )
    fits("rows of training", good)
    names = tuple(column.name for column in columns)
    return Sample(RawColumns(names, numbers, places, owners_of(columns)), y, weights, folds)


def classes_of(record: Any) -> Array:
    """Return the names of classes."""
    checked("classes", record, {"kind": TEXT, "dtype": TEXT, "values": LIST})
    kind, dtype, values = record["kind"], record["dtype"], record["values"]
    good = kind in CLASSES and dtype in (*DTYPES, "U", "O") and len(values) == len(set(map(str, values))) > 0
    if not good or not all(type(value) is CLASSES[kind] for value in values):
        raise refused(_checks.shown(record), "different classes of one kind")
    with argument_errors():
        classes = np.array(values, dtype)
    fits("classes of one kind", classes.tolist() == values)
    return classes


def _told(header: Mapping[str, Any], estimator: Any) -> tuple[Table | None, SearchReport | None]:
    """Return the table and the report of the command line, if it wrote the file."""
    if header["table"] is None:
        return None, None
    table = Table.from_record(header["table"])
    inputs = sorted(column.name for column in table.columns)
    fits("the table's columns", sorted(column.name for column in estimator.columns_) == inputs)
    classes = table.target.categories if isinstance(table.target, Categories) else None
    ours = tuple(estimator.classes_.tolist()) if header["kind"] == "classifier" else None
    fits("the table's target", classes == ours)
    return table, None if header["report"] is None else SearchReport.from_record(header["report"])
