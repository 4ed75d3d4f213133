"""The body of the C function that computes the outputs: one line for each operation, and the arrays that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._engine.plan import Operation
from .._kernels.graph import nodes
from .program import NAMES, Program
from .simulation import Quantized
from .text import array, number

Array = npt.NDArray[Any]


@dataclass
class Body:
    """What an exported network computes, as C.

    Attributes
    ----------
    program, integers : the network, and the integers of its affine operations, or {}
    dtype : of the numbers in C
    functions : the names of the functions that the lines call
    constants : the definitions of arrays
    lines : the statements
    size, size_int8 : numbers in the workspace
    """

    program: Program
    integers: Mapping[int, Quantized]
    dtype: np.dtype[Any]
    functions: set[str] = field(default_factory=set)
    constants: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    size: int = 0
    size_int8: int = 0
    _places: dict[int, int] = field(default_factory=dict)

    def write(self) -> None:
        """Write all lines."""
        program, plan = self.program, self.program.plan
        integers_first = self._reads_integers_first()
        scales = program.scaling is not None and not integers_first
        self._places, self.size = places(plan, scales)
        if self.integers:
            self.size_int8 = max(plan.tensors[plan.operations[i].source] for i in self.integers)
            self.lines.append("int8_t *const q = workspace->q;")
        for tensor, place in sorted(self._places.items()):
            self.lines.append(f"float *const a{tensor} = workspace->a + {place};")
        self.lines.append("")
        if not self.size and not self.size_int8:
            self.lines.append("(void)workspace;")
        if scales:
            self._standardize()
        for i, operation in enumerate(plan.operations):
            WRITERS[operation.op](self, i, operation)
        self._activate(program.output_activation, "y", program.n_out)
        self._unstandardize()

    def _reads_integers_first(self) -> bool:
        """Return whether only quantized layers read X, whose weights contain the scaling."""
        readers = [i for i, operation in enumerate(self.program.plan.operations) if operation.source == 0]
        return bool(self.integers) and all(i in self.integers for i in readers)

    def tensor(self, index: int) -> str:
        """Return the C name of a tensor."""
        if index in self._places:
            return f"a{index}"
        return "x" if index == 0 else "y"

    def call(self, function: str, *arguments: object) -> None:
        """Write a call of one of the functions."""
        self.functions.add(function.removeprefix("apply_"))
        self.lines.append(f"{function}({', '.join(map(str, arguments))});")

    def constant(self, name: str, values: Array) -> str:
        """Define an array. Return its name."""
        if values.dtype != np.int8:
            _checks.finite_in(f"trainer's {name}", values, self.dtype)
            values = values.astype(self.dtype)
        self.constants.append(array(name, values))
        return name

    def parameter(self, operation: Operation, k: int) -> str:
        """Define a parameter of an operation as an array. Return its name."""
        index = operation.parameters[k]
        return self.constant(self.name(operation, k), self.program.arrays[index])

    def name(self, operation: Operation, k: int) -> str:
        """Return the C name of a parameter of an operation."""
        return self.program.plan.parameters[operation.parameters[k]].name.replace(".", "_")

    def literal(self, value: float) -> str:
        """Return a number of the dtype, written for float."""
        return number(self.dtype.type(value), "f")

    def _activate(self, activation: str, at: str, n: int) -> None:
        if activation == "softmax":
            self.call("softmax", at, n)
        elif activation != "identity":
            self.call(f"apply_{activation}", at, n)

    def _standardize(self) -> None:
        scaling, kind = self.program.scaling, self.dtype.type
        if scaling is None:
            return
        first = scaling.mean.astype(kind)
        mean = self.constant("input_mean", first)
        rest = self.constant("input_mean_rest", scaling.mean - first)
        inverse = self.constant("input_inverse_deviation", 1 / scaling.deviation)
        self.call("standardize", "x", mean, rest, inverse, self.program.n_in, "a0")

    def _unstandardize(self) -> None:
        scaling = self.program.scaling
        if scaling is None or scaling.target_mean is None or scaling.target_deviation is None:
            return
        mean = self.constant("target_mean", scaling.target_mean)
        deviation = self.constant("target_deviation", scaling.target_deviation)
        self.call("unstandardize", "y", mean, deviation, self.program.n_out)


def _affine(body: Body, i: int, operation: Operation) -> None:
    weight, bias = (body.program.arrays[p] for p in operation.parameters)
    (n_out, n_in), x, y = weight.shape, body.tensor(operation.source), body.tensor(operation.target)
    if i not in body.integers:
        name = body.parameter(operation, 0)
        body.call("affine", name, body.parameter(operation, 1) if bias.any() else "NULL", n_in, n_out, x, y)
        return
    integers = body.integers[i]
    layer = body.name(operation, 0).removesuffix("_weight")
    if integers.center is None:
        inverse, zero = body.literal(float(integers.inverse)), body.literal(float(integers.zero))
        body.call("quantize", x, inverse, zero, n_in, "q")
    else:
        center = body.constant(f"{layer}_center", integers.center)
        body.call("quantize_columns", "x", center, body.constant(f"{layer}_inverse", integers.inverse), n_in, "q")
    name = body.constant(f"{layer}_weight", integers.weight)
    factor = body.constant(f"{layer}_factor", integers.factor)
    body.call("affine_int8", name, factor, body.constant(f"{layer}_bias", integers.bias), n_in, n_out, "q", y)


def _activation(body: Body, i: int, operation: Operation) -> None:
    name, n, at = NAMES[operation.code], body.program.plan.tensors[operation.target], body.tensor(operation.target)
    if not operation.parameters:
        body._activate(name, at, n)
    elif name != "identity":
        body.call(f"apply_{name}_with_alpha", at, body.parameter(operation, 0), n)


WRITERS: dict[int, Callable[[Body, int, Operation], None]] = {nodes.AFFINE: _affine, nodes.ACTIVATE: _activation}


def places(plan: Any, scales: bool) -> tuple[dict[int, int], int]:
    """Return where each tensor lies in the workspace, and how many numbers that has.

    Tensors that are not needed at the same time share a place. X and the outputs are not in it, but scaled inputs are.
    """
    times: dict[int, list[int]] = {0: [-1]}
    for i, operation in enumerate(plan.operations):
        times.setdefault(operation.source, []).append(i)
        times.setdefault(operation.target, []).append(i)
    found: dict[int, int] = {}
    last = len(plan.tensors) - 1
    chosen = [tensor for tensor in times if tensor != last and (tensor or scales)]
    for tensor in sorted(chosen, key=lambda t: -plan.tensors[t]):
        place = 0
        for other in sorted(found, key=lambda t: found[t]):
            together = min(times[other]) <= max(times[tensor]) and min(times[tensor]) <= max(times[other])
            if together and place < found[other] + plan.tensors[other] and found[other] < place + plan.tensors[tensor]:
                place = found[other] + plan.tensors[other]
        found[tensor] = place
    return found, max((found[t] + plan.tensors[t] for t in found), default=0)
