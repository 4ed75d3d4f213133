"""The parts of an ensemble as records that a file can hold: JSON values and arrays. Records from files are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._files.columns import Categories, Column
from .._files.model import argument_errors
from .._records import check_fields, refused
from ..tables import n_numbers
from ._blocks import Block, Codes, Fourier, Logs, Lookup, Missing, Pieces, Rank, Scaled
from ._configurations import Configuration
from ._constant import Constant
from ._linear import LinearFit
from ._linear_member import LinearMember
from ._members import Member
from ._networks import Architecture, NetworkMember
from ._objectives import Objective
from ._targets import TargetTransform
from ._views import View

Array = npt.NDArray[Any]

BLOCKS: dict[str, type[Any]] = {
    "scaled": Scaled,
    "logs": Logs,
    "rank": Rank,
    "pieces": Pieces,
    "fourier": Fourier,
    "missing": Missing,
    "lookup": Lookup,
    "codes": Codes,
}
ARRAY, TEXT, WHOLE, NUMBER, RECORD = (np.ndarray,), (str,), (int,), (int, float), (dict,)
ABOUT = {"name": TEXT, "loss": NUMBER, "seconds": NUMBER}  # fields of every member
OF_MEMBERS: dict[str, dict[str, tuple[type, ...]]] = {
    "constant": {"value": ARRAY},
    "linear": {
        "view": WHOLE,
        "coefficients": ARRAY,
        "intercepts": ARRAY,
        "penalty": NUMBER,
        "transform": (dict, type(None)),
    },
    "network": {"view": WHOLE, "configuration": RECORD, "transform": (dict, type(None)), "parameters": ARRAY},
}
LARGEST = (1 << 63) - 1
F8, F4, I8 = (np.dtype(np.float64),), (np.dtype(np.float32),), (np.dtype(np.int64),)


@dataclass(frozen=True)
class Kind:
    """What the members of an ensemble have in common.

    Attributes
    ----------
    n_numbers : the rows of `RawColumns.numbers`
    places : u + 2 for each row of `RawColumns.places`
    objective : of the ensemble
    n_classes : k, or None for numbers
    n_folds : the models of each member
    """

    n_numbers: int
    places: tuple[int, ...]
    objective: Objective
    n_classes: int | None
    n_folds: int

    @classmethod
    def of(cls, columns: Sequence[Column], objective: Objective, n_classes: int | None, n_folds: int) -> Kind:
        """Return the kind of an ensemble for these columns."""
        places = tuple(len(column.places) + 2 for column in columns if isinstance(column, Categories))
        return cls(sum(map(n_numbers, columns)), places, objective, n_classes, n_folds)


def checked(what: str, record: Any, kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return a record that has exactly these fields, each with one of its types."""
    if type(record) is not dict:
        raise refused(_checks.shown(record), f"{what} of {', '.join(kinds)}")
    check_fields(what, record, kinds)
    for name, value in record.items():
        if type(value) is int and abs(value) > LARGEST:
            raise refused(_checks.shown(value), f"{name} as an integer of 64 bits")
    return record


def fits(what: str, good: bool) -> None:
    """Refuse a part whose values don't fit together."""
    if not good:
        raise refused("other values", what)


def is_array(array: Array, dtypes: Sequence[np.dtype[Any]], *shape: int | None) -> bool:
    """Return whether an array has one of the dtypes, this shape, in which None is any length, and finite numbers."""
    same = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    return same and array.dtype in dtypes and bool(np.isfinite(array).all())


def rises(knots: Array) -> bool:
    """Return whether numbers rise."""
    return bool((np.diff(knots) > 0).all())


# Blocks and views


def view_record(view: View) -> list[dict[str, Any]]:
    """Return the record of a view."""
    return [_block_record(block) for block in view.blocks]


def _block_record(block: Any) -> dict[str, Any]:
    name = next(name for name, kind in BLOCKS.items() if type(block) is kind)
    values = ((field.name, getattr(block, field.name)) for field in fields(block))
    return {"kind": name} | {name: _block_record(value) if is_dataclass(value) else value for name, value in values}


def view_of(record: Any, kind: Kind) -> View:
    """Return the view of a record."""
    if type(record) is not list or not record:
        raise refused(_checks.shown(record), "a list of blocks of features")
    return View(tuple(_block_of(block, kind) for block in record))


def _block_of(record: Any, kind: Kind) -> Block:
    name = record.get("kind") if type(record) is dict else None
    if type(name) is not str or name not in BLOCKS:
        raise refused(_checks.shown(record), f"a block of a kind among {', '.join(BLOCKS)}")
    values = dict(checked("a block", record, {"kind": TEXT} | {name: FIELDS[name] for name in _names(name)}))
    del values["kind"]
    if name == "fourier":
        values["scaled"] = _block_of(values["scaled"], kind)
    block = BLOCKS[name](**values)
    fits(f"a block of kind {name}", GOOD[name](block, kind))
    return cast(Block, block)


def _names(kind: str) -> list[str]:
    return [field.name for field in fields(BLOCKS[kind])]


FIELDS: dict[str, tuple[type, ...]] = dict.fromkeys(
    ("columns", "centers", "factors", "units", "knots", "scores", "frequencies", "phases", "values"), ARRAY
) | {"column": WHOLE, "count": WHOLE, "scaled": RECORD}


def _are_columns(columns: Array, kind: Kind) -> bool:
    """Return whether these are numbers of rows of `RawColumns.numbers`."""
    return (
        is_array(columns, I8, None) and len(columns) > 0 and bool(((columns >= 0) & (columns < kind.n_numbers)).all())
    )


def _is_scaled(block: Any, kind: Kind) -> bool:
    if type(block) is not Scaled or not _are_columns(block.columns, kind):
        return False
    return is_array(block.centers, F8, block.width) and is_array(block.factors, F8, block.width)


def _is_logs(block: Logs, kind: Kind) -> bool:
    if not _are_columns(block.columns, kind):
        return False
    arrays = (block.units, block.centers, block.factors)
    return all(is_array(array, F8, block.width) for array in arrays) and bool((block.units > 0).all())


def _is_rank(block: Rank, kind: Kind) -> bool:
    size = block.knots.size
    same = size > 0 and is_array(block.knots, F8, size) and is_array(block.scores, F8, size)
    return same and 0 <= block.column < kind.n_numbers and rises(block.knots)


def _is_pieces(block: Pieces, kind: Kind) -> bool:
    return (
        is_array(block.knots, F8, None)
        and block.width > 0
        and 0 <= block.column < kind.n_numbers
        and rises(block.knots)
    )


def _is_fourier(block: Fourier, kind: Kind) -> bool:
    size = block.scaled.width
    return all(is_array(array, F8, size, None) for array in (block.frequencies, block.phases)) and (
        block.frequencies.shape == block.phases.shape and block.width > 0
    )


def _is_lookup(block: Lookup, kind: Kind) -> bool:
    return (
        0 <= block.column < len(kind.places)
        and is_array(block.values, F4 + F8, kind.places[block.column], None)
        and block.width > 0
    )


def _is_codes(block: Codes, kind: Kind) -> bool:
    return 0 <= block.column < len(kind.places) and block.count == kind.places[block.column] - 1


GOOD: dict[str, Callable[[Any, Kind], bool]] = {
    "scaled": _is_scaled,
    "logs": _is_logs,
    "rank": _is_rank,
    "pieces": _is_pieces,
    "fourier": _is_fourier,
    "missing": lambda block, kind: _are_columns(block.columns, kind),
    "lookup": _is_lookup,
    "codes": _is_codes,
}


# Members


def member_record(member: Member, view: Callable[[View], int]) -> dict[str, Any]:
    """Return the record of a member; view: returns the number of a view in the file.

    Raises
    ------
    TypeError
        If the member is an estimator of scikit-learn.
    """
    about = {"kind": member.family, "name": member.name, "loss": float(member.loss), "seconds": float(member.seconds)}
    if isinstance(member, Constant):
        return about | {"value": member.value}
    if isinstance(member, LinearMember):
        transform = None if member.transform is None else member.transform.record()
        return about | {
            "view": view(member.view),
            "coefficients": member.fit.fold_coefficients,
            "intercepts": member.fit.fold_intercepts,
            "penalty": float(member.fit.penalty),
            "transform": transform,
        }
    if isinstance(member, NetworkMember):
        kind = member.architecture
        return about | {
            "view": view(member.view),
            "configuration": {name: v for name, v in kind.configuration.record().items() if name != "view"},
            "transform": None if kind.transform is None else kind.transform.record(),
            "parameters": member.parameters,
        }
    raise TypeError(
        f"the ensemble contains {member.name!r} of estimators=, which a file that can't run code does not hold; "
        "use pickle or joblib.dump, or fit without estimators="
    )


def member_of(record: Any, views: Sequence[View], kind: Kind) -> Member:
    """Return the member of a record."""
    family = record.get("kind") if type(record) is dict else None
    if type(family) is not str or family not in OF_MEMBERS:
        raise refused(_checks.shown(record), f"a member of a kind among {', '.join(OF_MEMBERS)}")
    record = checked("a member", record, {"kind": TEXT} | ABOUT | OF_MEMBERS[family])
    if family == "constant":
        return cast(Member, _constant(record, kind))
    if not 0 <= record["view"] < len(views):
        raise refused(_checks.shown(record["view"]), f"one of {len(views)} views")
    view = views[record["view"]]
    transform = None if record["transform"] is None else TargetTransform.from_record(record["transform"])
    if kind.n_classes is not None:
        fits("a member without a transform of the target", transform is None)
    member = (_linear if family == "linear" else _network)(record, view, transform, kind)
    member.loss, member.seconds = float(record["loss"]), float(record["seconds"])
    return member


def _constant(record: Mapping[str, Any], kind: Kind) -> Constant:
    value = record["value"]
    fits("a constant", is_array(value, F8, *([] if kind.n_classes is None else [kind.n_classes])))
    oof = np.empty((0, *value.shape))
    return Constant(value, oof, float(record["loss"]), kind.n_folds, float(record["seconds"]), record["name"])


def _linear(record: Mapping[str, Any], view: View, transform: TargetTransform | None, kind: Kind) -> LinearMember:
    coefficients, intercepts = record["coefficients"], record["intercepts"]
    k = 1 if kind.n_classes is None or kind.n_classes == 2 else kind.n_classes
    shapes = is_array(coefficients, F8, kind.n_folds, view.width, k) and is_array(intercepts, F8, kind.n_folds, k)
    fits(f"a linear model of {view.width} features in {kind.n_folds} folds", shapes)
    k_or_none = [] if kind.n_classes is None else [kind.n_classes]
    fit = LinearFit(np.empty((0, *k_or_none)), coefficients, intercepts, float(record["penalty"]))
    return LinearMember(record["name"], view, fit, kind.objective, transform)


def _network(record: Mapping[str, Any], view: View, transform: TargetTransform | None, kind: Kind) -> NetworkMember:
    configuration = _configuration(record["configuration"])
    fits("a network with a transform of the target", (transform is None) == (kind.n_classes is not None))
    architecture = Architecture(configuration, kind.objective, view.width, view.n_scaled, kind.n_classes, transform)
    parameters, sizes = record["parameters"], [view.width, *configuration.hidden, architecture.n_outputs]
    least = sum((n + 1) * n_next for n, n_next in pairwise(sizes))
    fits(f"{kind.n_folds} networks", is_array(parameters, F4, kind.n_folds, None) and least <= parameters.shape[1])
    with argument_errors():
        count = architecture.trainer(0, 1).network.n_parameters
    fits(f"{kind.n_folds} networks of {count:,} parameters", parameters.shape[1] == count)
    return NetworkMember(record["name"], view, architecture, parameters)


def _configuration(record: dict[str, Any]) -> Configuration:
    """Return the configuration of a record, without its view, because the file has the view's features.

    A field that the file lacks has its usual value. A trainer checks the values that it gets.
    """
    kinds = _types_of(Configuration(), hidden=(list,))
    del kinds["view"]
    usual = Configuration().record()
    record = checked("a configuration", {name: usual[name] for name in kinds} | record, kinds)
    hidden, numbers = record["hidden"], [record[name] for name in ("batch_size", "epochs", "patience")]
    fits("sizes of hidden layers", all(type(n) is int and 0 < n < 1 << 31 for n in hidden))
    fits("batch_size, epochs and patience as integers ≥ 1", all(0 < n < 1 << 63 for n in numbers))
    fits("a finite learning rate", math.isfinite(record["learning_rate"]))
    return Configuration.from_record(record | {"view": {}})


def _types_of(usual: Any, **other: tuple[type, ...]) -> dict[str, tuple[type, ...]]:
    """Return the types of a dataclass's fields: those of its usual values. A float may be an integer in JSON."""
    values = ((field.name, getattr(usual, field.name)) for field in fields(usual))
    return {name: NUMBER if type(value) is float else (type(value),) for name, value in values} | other
