"""The computation of the C code in NumPy, to calibrate and measure integers, and for the values of the self-test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._engine.plan import Operation
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
    center : (n_in,) float32 if each column has its own scale, q = (x − center) · inverse, otherwise None
    inverse : (n_in,) float32; without a center () float32, and q = x · inverse + zero
    of_X : whether it reads X itself, because its weights contain the scaling
    """

    weight: Array
    factor: Array
    bias: Array
    center: Array | None
    inverse: Array
    zero: np.float32 = np.float32(0)  # noqa: RUF009
    of_X: bool = False

    def outputs(self, x: Array) -> Array:
        """Return y for rows of inputs, (n, n_out) float32."""
        v = x * self.inverse + self.zero if self.center is None else (x - self.center) * self.inverse
        q = np.clip(np.trunc(v + np.copysign(np.float32(0.5), v)), -128, 127)
        return (q.astype(np.float64) @ self.weight.T.astype(np.float64)).astype(np.float32) * self.factor + self.bias


class Simulation:
    """Computes the tensors of some rows, in float32.

    Parameters
    ----------
    program : the network
    quantized : the integers of some affine operations, by their numbers
    watch : called with the number of each affine operation and its inputs, (n, n_in)
    """

    def __init__(
        self,
        program: Program,
        quantized: Mapping[int, Quantized] | None = None,
        watch: Callable[[int, Array], None] | None = None,
    ) -> None:
        self.program, self.quantized, self.watch = program, quantized or {}, watch
        self.arrays = [array.astype(np.float32) for array in program.arrays]

    def outputs(self, X: Array) -> Array:
        """Return the outputs in C for rows of X, (n, n_out) float32."""
        program, scaling = self.program, self.program.scaling
        raw = X.astype(np.float64)
        scaled = raw if scaling is None else (raw - scaling.mean) / scaling.deviation
        tensors = [np.zeros((len(X), n), np.float32) for n in program.plan.tensors]
        tensors[0] = scaled.astype(np.float32)
        with np.errstate(over="ignore"):
            for i, operation in enumerate(program.plan.operations):
                if operation.op == nodes.AFFINE:
                    self._affine(i, operation, tensors, raw)
                else:
                    COMPUTE[operation.op](self, operation, tensors)
            last = CURVES[program.output_activation](tensors[-1])
        if scaling is not None:
            last = scaling.outputs(last, np.float32)
        return program.answers(last.astype(np.float32)).astype(np.float32)

    def _affine(self, i: int, operation: Operation, tensors: list[Array], raw: Array) -> None:
        x, integers = tensors[operation.source], self.quantized.get(i)
        if self.watch is not None:
            self.watch(i, x)
        if integers is None:
            weight, bias = (self.arrays[p] for p in operation.parameters)
            tensors[operation.target] = x @ weight.T + bias
        else:
            tensors[operation.target] = integers.outputs(raw.astype(np.float32) if integers.of_X else x)

    def parameters(self, operation: Operation) -> list[Array]:
        """Return the parameters of an operation."""
        return [self.arrays[p] for p in operation.parameters]


def _activate(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    z = tensors[operation.target]
    a = CURVES[NAMES[operation.code]](z).astype(np.float32)
    for alpha in self.parameters(operation):
        a = z + alpha * (a - z)
    tensors[operation.target] = a


def _add(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    tensors[operation.target] = tensors[operation.target] + tensors[operation.source]


def _copy(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    tensors[operation.target] = tensors[operation.source].copy()


def _scale(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    tensors[operation.target] = tensors[operation.source] * self.parameters(operation)[0]


def _layer_norm(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    x, (gamma, beta) = tensors[operation.source], self.parameters(operation)
    x = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(operation.epsilon))
    tensors[operation.target] = gamma * (x * inverse) + beta


def _batch_norm(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    gamma, beta, mean, variance = self.parameters(operation)
    factor = gamma / np.sqrt(variance + np.float32(operation.epsilon))
    tensors[operation.target] = (tensors[operation.source] - mean) * factor + beta


def _numbers(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    _write(operation, tensors, _read(operation, tensors))


def _embed(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    table = self.parameters(operation)[0]
    rows = _read(operation, tensors)[:, 0].astype(np.int64)
    _write(operation, tensors, table[np.clip(rows, 0, len(table) - 1)])


def _pbld(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    x, (frequency, phase, weight, bias) = _read(operation, tensors), self.parameters(operation)
    waves = np.cos(np.float32(2 * math.pi) * x[:, :, None] * frequency + phase)
    more = np.einsum("nif,ikf->nik", waves, weight) + bias
    _write(operation, tensors, np.concatenate([x[:, :, None], more], axis=2))


def _periodic(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    angles = np.float32(2 * math.pi) * _read(operation, tensors)[:, :, None] * self.parameters(operation)[0]
    _write(operation, tensors, np.concatenate([np.sin(angles), np.cos(angles)], axis=2))


def _piecewise(self: Simulation, operation: Operation, tensors: list[Array]) -> None:
    x, edges = _read(operation, tensors), self.parameters(operation)[0]
    shares = (x[:, :, None] - edges[:, :-1]) / np.diff(edges, axis=1)
    shares[:, :, 1:] = np.maximum(shares[:, :, 1:], 0)
    shares[:, :, :-1] = np.minimum(shares[:, :, :-1], 1)
    _write(operation, tensors, shares)


def _read(operation: Operation, tensors: list[Array]) -> Array:
    """Return the columns that an operation reads."""
    return tensors[operation.source][:, operation.first : operation.first + operation.n_read]


def _write(operation: Operation, tensors: list[Array], values: Array) -> None:
    """Write columns of the target."""
    values = values.reshape(len(values), -1)
    tensors[operation.target][:, operation.column : operation.column + values.shape[1]] = values


COMPUTE: dict[int, Callable[[Simulation, Operation, list[Array]], None]] = {
    nodes.ACTIVATE: _activate,
    nodes.ADD: _add,
    nodes.COPY: _copy,
    nodes.SCALE: _scale,
    nodes.LAYER_NORM: _layer_norm,
    nodes.BATCH_NORM: _batch_norm,
    nodes.NUMBERS: _numbers,
    nodes.EMBED: _embed,
    nodes.PBLD: _pbld,
    nodes.PERIODIC: _periodic,
    nodes.PIECEWISE: _piecewise,
}
