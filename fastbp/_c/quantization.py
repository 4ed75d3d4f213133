"""Weights and inputs of affine operations as 8-bit integers, and how much accuracy that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels.graph import nodes
from .program import Program
from .simulation import Quantized, Simulation

Array = npt.NDArray[Any]

LARGEST = 127  # of a weight; inputs go down to −128
MOST_INPUTS = ((1 << 31) - 1) // (128 * LARGEST)  # of a unit, whose sum of products then fits into 32 bits
MIXED = (nodes.NUMBERS, nodes.EMBED, nodes.PBLD, nodes.PERIODIC, nodes.PIECEWISE)  # whose columns differ in range
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the range of activations, to choose from
WORSE = 1.25  # variance of errors with a shared scale, relative to that with scales for each input
MARGIN = 0.1  # of a column's range, added to it: on new rows, the largest errors are a quarter of those without
KEPT = 2000  # rows that choose ranges and correct biases
ROWS = 1024  # to compute at once


def quantized(program: Program, X: Array) -> dict[int, Quantized]:
    """Return the integers of all affine operations, calibrated by rows of X."""
    low, high = _ranges(program, X)
    some = X[:: -(-len(X) // KEPT)]
    exact = _inputs(program, some, {})
    mixed = {operation.target for operation in program.plan.operations if operation.op in MIXED}
    found: dict[int, Quantized] = {}
    for i, operation in enumerate(program.plan.operations):
        if operation.op != nodes.AFFINE:
            continue
        weight, bias = (program.arrays[p] for p in operation.parameters)
        if weight.shape[1] > MOST_INPUTS:
            name = program.plan.parameters[operation.parameters[0]].name
            expected = f"a layer with at most {MOST_INPUTS:,} inputs for dtype='int8'"
            raise ValueError(_checks.wrong(f"trainer's {name}", expected, f"{weight.shape[1]:,}"))
        z = exact[i] @ weight.T + bias
        if operation.source == 0:
            chosen = _of_inputs(program, weight, bias, X, some, z)
        elif operation.source in mixed:
            chosen = _of_columns(weight, bias, low[i], high[i])
        else:
            chosen = _of_tensor(weight, bias, float(low[i].min()), float(high[i].max()), exact[i], z)
        x = some.astype(np.float32) if chosen.of_X else _inputs(program, some, found)[i]
        error = (chosen.outputs(x) - z).mean(axis=0)  # mean of all rounding up to here; measured: up to a third of it
        found[i] = replace(chosen, bias=(chosen.bias - error).astype(np.float32))
    return found


def _ranges(program: Program, X: Array) -> tuple[dict[int, Array], dict[int, Array]]:
    """Return the least and the largest inputs of each affine operation, (n_in,)."""
    low: dict[int, Array] = {}
    high: dict[int, Array] = {}

    def watch(i: int, x: Array) -> None:
        low[i] = np.minimum(low[i], x.min(axis=0)) if i in low else x.min(axis=0)
        high[i] = np.maximum(high[i], x.max(axis=0)) if i in high else x.max(axis=0)

    outputs = in_pieces(program, X, watch=watch)
    if not all(np.isfinite(values).all() for values in (outputs, *low.values(), *high.values())):
        raise ValueError(_checks.wrong("calibration", "rows with finite outputs", "NaN or infinity"))
    return low, high


def _inputs(program: Program, X: Array, integers: Mapping[int, Quantized]) -> dict[int, Array]:
    """Return the inputs of each affine operation for rows of X, (n, n_in)."""
    found: dict[int, Array] = {}
    Simulation(program, integers, found.__setitem__).outputs(X)
    return found


def _of_inputs(program: Program, weight: Array, bias: Array, X: Array, some: Array, z: Array) -> Quantized:
    """Return the integers of a layer that reads X. Its weights contain the standardization.

    Inputs share a scale if that is about as good as a scale for each, whose numbers would take 8 bytes for each input.
    """
    if program.scaling is not None:
        weight = weight / program.scaling.deviation
        bias = bias - weight @ program.scaling.mean
    apart = replace(_of_columns(weight, bias, X.min(axis=0), X.max(axis=0)), of_X=True)
    shared = replace(_of_range(weight, bias, float(X.min()), float(X.max())), of_X=True)
    x = some.astype(np.float32)
    return shared if _error(shared, x, z) <= WORSE * _error(apart, x, z) else apart


def _error(chosen: Quantized, x: Array, z: Array) -> float:
    """Return the variance of the errors of rows x, whose mean the biases will correct."""
    return float((chosen.outputs(x) - z).var(axis=0).mean())


def _of_columns(weight: Array, bias: Array, low: Array, high: Array) -> Quantized:
    """Return the integers of a layer whose inputs have a scale each, which is in the weights."""
    center = ((low.astype(np.float64) + high) / 2).astype(np.float32)
    step = (
        (1 + MARGIN) * (high.astype(np.float64) - low) / (2 * LARGEST)
    )  # 0: a column that the calibration holds constant stays so
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0).astype(np.float32)
    integers, factor = _integers(weight * step)
    return Quantized(integers, factor, (bias + weight @ center).astype(np.float32), center, inverse)


def _of_tensor(weight: Array, bias: Array, low: float, high: float, x: Array, z: Array) -> Quantized:
    """Return the integers of a layer whose inputs share a scale, that with the least error for x, whose z is known.

    If a few inputs are much larger than the others, a smaller range, to whose ends the few move, is better.
    """
    candidates = [_of_range(weight, bias, low * share, high * share) for share in SHARES]
    return min(candidates, key=lambda one: _error(one, x, z))


def _of_range(weight: Array, bias: Array, low: float, high: float) -> Quantized:
    """Return the integers of a layer for such a range. 0 is an integer, so that it stays exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255 or 1.0
    zero = float(np.clip(round(-128 - low / step), -128, 127))
    integers, factor = _integers(weight)
    factor = factor.astype(np.float64) * step
    shifted = bias - factor * zero * integers.sum(axis=1, dtype=np.float64)
    numbers = (factor.astype(np.float32), shifted.astype(np.float32))
    return Quantized(integers, *numbers, None, np.array(1 / step, np.float32), np.float32(zero))


def _integers(weight: Array) -> tuple[Array, Array]:
    """Return weights as integers, and the scale of each unit's, (n_out,) float32."""
    largest = np.abs(weight).max(axis=1)
    factor = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / factor[:, None].astype(np.float64)), -LARGEST, LARGEST).astype(np.int8), factor


def in_pieces(program: Program, X: Array, integers: Mapping[int, Quantized] | None = None, watch: Any = None) -> Array:
    """Return the outputs for rows of X, computed in pieces, so that they take little memory."""
    simulation = Simulation(program, integers, watch)
    return np.concatenate([simulation.outputs(X[i : i + ROWS]) for i in range(0, len(X), ROWS)])
