"""What the C code computes, in NumPy: to calibrate and measure integers, and to know the values of the self-test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels.constants import GELU_CUBIC, GELU_INNER, LEAK, MISH_END, SELU_ALPHA, SELU_SCALE
from .._kernels.graph import nodes
from .program import NAMES, Program

Array = npt.NDArray[Any]


def _erfc(z: Array) -> Array:
    return np.array([math.erfc(value) for value in z.ravel().tolist()], z.dtype).reshape(z.shape)


def _mish(z: Array) -> Array:
    e = np.exp(np.minimum(z, z.dtype.type(MISH_END)))
    n = e * (e + 2)
    return z * (n / (n + 2))


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


CURVES: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, LEAK * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: 0.5 * z * _erfc(-math.sqrt(0.5) * z),
    "gelu_tanh": lambda z: z / (1 + np.exp(-2 * GELU_INNER * z * (1 + GELU_CUBIC * z * z))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": _mish,
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "hard_sigmoid": lambda z: np.clip((z + 3) / 6, 0, 1),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "exponential": np.exp,
    "softmax": _softmax,
}


@dataclass(frozen=True)
class Quantized:
    """The integers of an affine operation: y = factor ⊙ (W q) + bias.

    Attributes
    ----------
    weight : (n_out, n_in) int8
    factor, bias : (n_out,) float32
    center, inverse : (n_in,) float32 of each column of X, q = (x − center) · inverse; None behind the first layer
    zero, scale : q = x · (1 / scale) + zero, where there is no center
    """

    weight: Array
    factor: Array
    bias: Array
    center: Array | None
    inverse: Array
    zero: np.float32 = np.float32(0)  # noqa: RUF009

    def outputs(self, raw: Array, x: Array) -> Array:
        """Return y for rows of X, or for rows of inputs of a later layer, (n, n_out) float32."""
        if self.center is None:
            v = x * self.inverse + self.zero
        else:
            v = (raw.astype(np.float32) - self.center) * self.inverse
        q = np.clip(np.trunc(v + np.copysign(np.float32(0.5), v)), -128, 127)
        return (q.astype(np.float64) @ self.weight.T.astype(np.float64)).astype(np.float32) * self.factor + self.bias


def outputs(
    program: Program,
    X: Array,
    quantized: Mapping[int, Quantized] | None = None,
    watch: Callable[[int, Array], None] | None = None,
) -> Array:
    """Return the outputs for rows of X, (n, n_L) float32.

    Parameters
    ----------
    quantized : the integers of some operations, by their numbers
    watch : called with the number of each affine operation and its inputs, (n, n_in)
    """
    plan, quantized = program.plan, quantized or {}
    tensors: list[Array] = [np.zeros((len(X), n), np.float32) for n in plan.tensors]
    raw, scaling = X.astype(np.float64), program.scaling
    tensors[0] = (raw if scaling is None else (raw - scaling.mean) / scaling.deviation).astype(np.float32)
    with np.errstate(over="ignore"):
        for i, operation in enumerate(plan.operations):
            if operation.op == nodes.AFFINE:
                x = tensors[operation.source]
                if watch is not None:
                    watch(i, x)
                integers = quantized.get(i)
                weight, bias = (program.arrays[p].astype(np.float32) for p in operation.parameters)
                y = x @ weight.T + bias if integers is None else integers.outputs(raw, x)
                tensors[operation.target] = y
            else:
                _compute(program, operation, tensors)
        last = CURVES[program.output_activation](tensors[-1])
    if scaling is not None and scaling.target_mean is not None and scaling.target_deviation is not None:
        last = last * scaling.target_deviation + scaling.target_mean
    return np.asarray(last).astype(np.float32)


def _compute(program: Program, operation: Any, tensors: list[Array]) -> None:
    """Compute one operation other than AFFINE."""
    if operation.op == nodes.ACTIVATE:
        z = tensors[operation.target]
        a = CURVES[NAMES[operation.code]](z).astype(np.float32)
        if operation.parameters:
            a = z + program.arrays[operation.parameters[0]].astype(np.float32) * (a - z)
        tensors[operation.target] = a
    else:
        raise NotImplementedError(operation.op)
