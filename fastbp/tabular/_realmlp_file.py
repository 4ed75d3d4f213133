"""Files of fitted RealMLP estimators, which hold no code: an archive of arrays with a header of JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import _checks
from .._files import archive
from .._files.columns import column_of, column_record, duplicates
from .._files.model import argument_errors
from .._records import refused
from ._file import check_version, classes_of, classes_record, loaded, set_names
from ._objectives import objective_of
from ._realmlp import new_trainer, set_parameters, sizes_of
from ._realmlp_inputs import Features
from ._records import F4, F8, NUMBER, RECORD, TEXT, WHOLE, Kind, checked, fits, is_array, view_of, view_record
from ._targets import TargetTransform

FORMAT, VERSION = "fastbp RealMLP", 1
HEADER: dict[str, tuple[type, ...]] = {
    "format": TEXT,
    "version": WHOLE,
    "kind": TEXT,
    "parameters": RECORD,
    "features": WHOLE,
    "names": (list, type(None)),
    "columns": (list,),
    "left_out": (list,),
    "classes": (dict, type(None)),
    "transform": (dict, type(None)),
    "view": (list,),
    "network": RECORD,
    "best_epoch": WHOLE,
    "validation_losses": (np.ndarray,),
    "smoothing": NUMBER,
    "interrupted": (bool,),
}


def parameters_of(estimator: Any) -> dict[str, Any]:
    """Return the parameters of an estimator as values that a file can hold."""
    parameters = estimator.get_params(deep=False)
    parameters["hidden_layer_sizes"] = [int(n) for n in parameters["hidden_layer_sizes"]]
    parameters["drop"] = [str(name) for name in parameters["drop"]]
    if parameters["types"] is not None:
        parameters["types"] = [[str(a), str(b)] for a, b in parameters["types"].items()]
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    return dict(parameters)


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file. A crash or a full disk leaves the old file or the new one."""
    check_is_fitted(estimator)
    names, is_class = getattr(estimator, "feature_names_in_", None), estimator._kind == "classifier"
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": estimator._kind,
        "parameters": dict(estimator._asked),  # later ones may not fit the network
        "features": estimator.n_features_in_,
        "names": None if names is None else names.tolist(),
        "columns": list(map(column_record, estimator.columns_)),
        "left_out": [list(pair) for pair in estimator.left_out_.items()],
        "classes": classes_record(estimator.classes_) if is_class else None,
        "transform": None if is_class else estimator._transform.record(),
        "view": view_record(estimator._features.view),
        "network": {name: np.array(view) for name, view in estimator.trainer_.named_parameters().items()},
        "best_epoch": estimator.best_epoch_,
        "validation_losses": estimator.validation_losses_,
        "smoothing": estimator._smoothing,
        "interrupted": estimator.interrupted_,
    }
    archive.write_nested(path, header)


def load(path: str | os.PathLike[str], kinds: Mapping[str, type[Any]]) -> Any:
    """Return the estimator in a file. kinds: the classes that it may have, by their names.

    Raises
    ------
    ModelFileError
        If `save` did not write the file, or it has another kind of estimator.
    """
    return loaded(path, "a RealMLP estimator", lambda header: _estimator(header, kinds))


def is_realmlp(path: str | os.PathLike[str]) -> bool:
    """Return whether a file looks like one of `save`."""
    if archive.kind_of(path) != "ensemble":
        return False
    with archive.opened_nested(path) as file:
        header = file.header()
    return type(header) is dict and type(header.get("format")) is str and header["format"] == FORMAT


def _estimator(header: Any, kinds: Mapping[str, type[Any]]) -> Any:
    check_version(header, FORMAT, VERSION, "RealMLP estimators")
    checked("a header", header, HEADER)
    if header["kind"] not in kinds:
        raise refused(_checks.shown(header["kind"]), f"a {' or '.join(kinds)}")
    with argument_errors():
        parameters = dict(header["parameters"])
        parameters["drop"] = tuple(parameters.get("drop", ()))
        parameters["hidden_layer_sizes"] = tuple(parameters.get("hidden_layer_sizes", ()))
        if parameters.get("types") is not None:
            parameters["types"] = dict(parameters["types"])
        estimator = kinds[header["kind"]](**parameters)
        estimator._validate_params()
    is_class = header["kind"] == "classifier"
    fits("classes of a classifier, or targets of a regressor", (header["classes"] is None) != is_class)
    fits("targets of a regressor", (header["transform"] is None) == is_class)
    columns = tuple(map(column_of, header["columns"]))
    fits("columns of different names", not duplicates([column.name for column in columns]))
    estimator.columns_ = columns
    set_names(estimator, header)
    if is_class:
        estimator.classes_ = classes_of(header["classes"])
    else:
        estimator._transform = TargetTransform.from_record(header["transform"])
    _set_network(estimator, header)
    losses = header["validation_losses"]
    fits("a loss for each epoch", is_array(losses, F8, None) and 1 <= header["best_epoch"] <= len(losses))
    estimator.validation_losses_, estimator.best_epoch_ = losses, header["best_epoch"]
    estimator.interrupted_, estimator._asked = header["interrupted"], parameters_of(estimator)
    estimator.n_iter_, estimator.validation_loss_ = len(losses), float(losses[header["best_epoch"] - 1])
    return estimator


def _set_network(estimator: Any, header: Mapping[str, Any]) -> None:
    """Build the network and give it the parameters of the file, whose sizes are compared first."""
    is_class = header["kind"] == "classifier"
    n_classes = len(estimator.classes_) if is_class else None
    objective = objective_of("log_loss" if is_class else "rmse", classes=is_class)
    view = view_of(header["view"], Kind.of(estimator.columns_, objective, n_classes, 1))
    estimator._features = features = Features.of_view(view)
    with argument_errors():
        recipe = estimator._recipe(header["smoothing"])
    network = header["network"]
    sizes = [*sizes_of(recipe, features), n_classes or 1]
    for i, (n, n_next) in enumerate(pairwise(sizes), 1):
        weight = network.get(f"dense{i}.weight")
        fits(f"weights of {n} × {n_next}", isinstance(weight, np.ndarray) and weight.shape == (n_next, n))
    with argument_errors():
        estimator.trainer_ = new_trainer(recipe, features, n_classes, recipe.batch_size, 0)
    named = estimator.trainer_.named_parameters()
    same = named.keys() == network.keys() and all(
        isinstance(network[name], np.ndarray) and is_array(network[name], F4, *view.shape)
        for name, view in named.items()
    )
    fits("the parameters of the network", same)
    set_parameters(estimator.trainer_, network)
    estimator._smoothing = float(header["smoothing"])
