"""Layers as JSON values, for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from .. import _checks
from ._classes import (
    DEEPEST,
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    Layer,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)

KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Inputs,
        PBLD,
        Periodic,
        PiecewiseLinear,
        Scale,
        Dense,
        LayerNorm,
        BatchNorm,
        Activation,
        Dropout,
        Residual,
    )
}


def record(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return layers as JSON values."""
    return [_record(layer) for layer in layers]


def from_record(records: Any, depth: int = 0) -> tuple[Layer, ...]:
    """Return the layers that `record` described.

    Raises
    ------
    ValueError, TypeError
        If something else is in the place of a layer, or of an argument.
    """
    if type(records) is not list or depth > DEEPEST:
        came = "deeper ones" if depth > DEEPEST else _checks.typed(records)
        raise TypeError(_checks.wrong("layers", f"a list of layers, at most {DEEPEST} deep", came))
    return tuple(_layer(item, depth) for item in records)


def _record(layer: Layer) -> dict[str, Any]:
    kind = type(layer)
    if kind not in KINDS.values():
        raise ValueError(_checks.wrong("layers", "fastbp's own, which a file can name", kind.__name__))
    values = {item.name: getattr(layer, item.name) for item in fields(layer)}
    if isinstance(layer, Residual) and isinstance(layer.layers, tuple):
        values["layers"] = record(layer.layers)
    return {"layer": kind.__name__} | values


def _layer(item: Any, depth: int) -> Layer:
    if not isinstance(item, Mapping):
        raise TypeError(_checks.wrong("layers", "records of layers", _checks.typed(item)))
    values = dict(item)
    kind = KINDS[_checks.one_of("layer", values.pop("layer", None), KINDS)]
    names = {field.name for field in fields(kind)}
    if values.keys() != names:
        raise ValueError(_checks.wrong(kind.__name__, f"the fields {sorted(names)}", _checks.shown(sorted(values))))
    if kind is Residual and isinstance(values["layers"], list):
        values["layers"] = from_record(values["layers"], depth + 1)
    return kind(**values)
