"""The body of the C function that computes the outputs: one line for each operation, and the arrays that it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._engine.plan import Operation, Plan
from .._kernels.graph import nodes
from .program import LIKELIHOODS, NAMES, Program
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
        scales = program.scaling is not None and not self._only_integers_read_X()
        last = len(plan.tensors) - 1
        self._places, self.size = places(plan, (set() if scales else {0}) | (set() if self._has_members() else {last}))
        if self.integers:
            self.size_int8 = max(plan.tensors[plan.operations[i].source] for i in self.integers)
            self.lines.append("int8_t *const q = workspace->q;")
        for tensor, place in sorted(self._places.items()):
            self.lines.append(f"float *const a{tensor} = workspace->a{f' + {place}' if place else ''};")
        self.lines += [] if self.size or self.size_int8 else ["(void)workspace;"]
        self.lines.append("")
        if scales:
            self._standardize()
        for i, operation in enumerate(plan.operations):
            if operation.op == nodes.AFFINE:
                _affine(self, i, operation)
            else:
                WRITERS[operation.op](self, operation)
        self.activate(program.output_activation, self.tensor(last), plan.tensors[-1])
        self._unstandardize()
        self._answer()

    def _only_integers_read_X(self) -> bool:
        """Return whether all that reads X are quantized layers, whose weights contain the scaling."""
        readers = [i for i, operation in enumerate(self.program.plan.operations) if operation.source == 0]
        return bool(self.integers) and all(i in self.integers for i in readers)

    def _has_members(self) -> bool:
        return self.program.loss.name == "members"

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

    def size_of(self, tensor: int) -> int:
        """Return the number of columns of a tensor."""
        return self.program.plan.tensors[tensor]

    def ends(self, operation: Operation, n: int) -> tuple[str, int, str]:
        """Return the C expressions of the columns that an operation reads and writes, with a number between them."""
        x, y = self.tensor(operation.source), self.tensor(operation.target)
        x, y = (f"{a} + {k}" if k else a for a, k in ((x, operation.first), (y, operation.column)))
        return x, n, y

    def literal(self, value: float) -> str:
        """Return a number of the dtype, written for float."""
        return number(self.dtype.type(value), "f")

    def activate(self, activation: str, at: str, n: int) -> None:
        """Write the call of an activation."""
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
        scaling, plan = self.program.scaling, self.program.plan
        if scaling is None or scaling.target_mean is None or scaling.target_deviation is None:
            return
        mean = self.constant("target_mean", scaling.target_mean)
        deviation = self.constant("target_deviation", scaling.target_deviation)
        self.call("unstandardize", self.tensor(len(plan.tensors) - 1), mean, deviation, plan.tensors[-1])

    def _answer(self) -> None:
        """Write the calls that make answers of the outputs."""
        program, loss = self.program, self.program.loss
        if not self._has_members():
            if loss.name in LIKELIHOODS:
                self.call(f"answer_{loss.name}", "y", program.n_answers)
            return
        inner, k = loss.loss, loss.n_members  # type: ignore[attr-defined]
        n, at = program.plan.tensors[-1] // k, self.tensor(len(program.plan.tensors) - 1)
        for i in range(k):
            member = f"{at} + {i * n}" if i else at
            if inner.name in LIKELIHOODS:
                self.call(f"answer_{inner.name}", member, n // 2)
            else:
                self.activate(inner.output, member, n)
        kind = "distributions" if inner.name in LIKELIHOODS else "answers"
        self.call(f"mean_of_{kind}", at, k, program.n_answers, "y")


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
        body.call("quantize", "x" if integers.of_X else x, inverse, zero, n_in, "q")
    else:
        center, inverse = (body.constant(f"{layer}_{what}", getattr(integers, what)) for what in ("center", "inverse"))
        body.call("quantize_columns", "x" if integers.of_X else x, center, inverse, n_in, "q")
    names = [body.constant(f"{layer}_{what}", getattr(integers, what)) for what in ("weight", "factor", "bias")]
    body.call("affine_int8", *names, n_in, n_out, "q", y)


def _activation(body: Body, operation: Operation) -> None:
    name, n, at = NAMES[operation.code], body.size_of(operation.target), body.tensor(operation.target)
    if not operation.parameters:
        body.activate(name, at, n)
    elif name != "identity":
        body.call(f"apply_{name}_with_alpha", at, body.parameter(operation, 0), n)


def _add(body: Body, operation: Operation) -> None:
    body.call("add", body.tensor(operation.source), body.size_of(operation.target), body.tensor(operation.target))


def _copy(body: Body, operation: Operation) -> None:
    body.call("copy", body.tensor(operation.source), body.size_of(operation.target), body.tensor(operation.target))


def _scale(body: Body, operation: Operation) -> None:
    x, y, scale = body.tensor(operation.source), body.tensor(operation.target), body.parameter(operation, 0)
    body.call("scale", x, scale, body.size_of(operation.target), y)


def _layer_norm(body: Body, operation: Operation) -> None:
    x, y, gamma = body.tensor(operation.source), body.tensor(operation.target), body.parameter(operation, 0)
    epsilon, n = body.literal(operation.epsilon), body.size_of(operation.target)
    body.call("layer_norm", x, gamma, body.parameter(operation, 1), epsilon, n, y)


def _batch_norm(body: Body, operation: Operation) -> None:
    x, y = body.tensor(operation.source), body.tensor(operation.target)
    gamma, _, _, variance = (body.program.arrays[p] for p in operation.parameters)
    name = body.name(operation, 0).removesuffix("gamma")
    factor = body.constant(f"{name}factor", gamma / np.sqrt(variance + operation.epsilon))
    mean, beta = body.parameter(operation, 2), body.parameter(operation, 1)
    body.call("batch_norm", x, mean, factor, beta, body.size_of(operation.target), y)


def _numbers(body: Body, operation: Operation) -> None:
    body.call("copy", *body.ends(operation, operation.n_read))


def _embed(body: Body, operation: Operation) -> None:
    rows, n = body.program.arrays[operation.parameters[0]].shape
    x, _, y = body.ends(operation, n)
    body.call("embed", f"*({x})" if "+" in x else f"*{x}", body.parameter(operation, 0), rows, n, y)


def _pbld(body: Body, operation: Operation) -> None:
    x, n, y = body.ends(operation, operation.n_read)
    n_more = body.program.arrays[operation.parameters[2]].shape[1]
    body.call("pbld", x, *(body.parameter(operation, k) for k in range(4)), n, n_more, operation.inner, y)


def _periodic(body: Body, operation: Operation) -> None:
    x, n, y = body.ends(operation, operation.n_read)
    body.call("periodic", x, body.parameter(operation, 0), n, operation.inner, y)


def _piecewise(body: Body, operation: Operation) -> None:
    x, n, y = body.ends(operation, operation.n_read)
    body.call("piecewise", x, body.parameter(operation, 0), n, operation.inner, y)


WRITERS: dict[int, Callable[[Body, Operation], None]] = {
    nodes.ACTIVATE: _activation,
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


def places(plan: Plan, outside: Collection[int]) -> tuple[dict[int, int], int]:
    """Return where each tensor lies in the workspace, and how many numbers that has.

    Tensors that are not needed at the same time share a place. Those outside are not in it.
    """
    times: dict[int, list[int]] = {0: [-1]}
    for i, operation in enumerate(plan.operations):
        times.setdefault(operation.source, []).append(i)
        times.setdefault(operation.target, []).append(i)
    found: dict[int, int] = {}
    times[len(plan.tensors) - 1].append(len(plan.operations))
    chosen = [tensor for tensor in times if tensor not in outside]
    for tensor in sorted(chosen, key=lambda t: -plan.tensors[t]):
        place = 0
        for other in sorted(found, key=lambda t: found[t]):
            together = min(times[other]) <= max(times[tensor]) and min(times[tensor]) <= max(times[other])
            if together and place < found[other] + plan.tensors[other] and found[other] < place + plan.tensors[tensor]:
                place = found[other] + plan.tensors[other]
        found[tensor] = place
    return found, max((found[t] + plan.tensors[t] for t in found), default=0)
