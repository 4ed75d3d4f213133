"""The memory layout of a network of layers: its parameters in the flat buffer, and its tensors in the workspace."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._kernels.graph import nodes
from .._kernels.levels import LINE, REGISTER
from .._kernels.shapes import room, space, space_of_copies
from .._kernels.tuning import CHUNK, HEIGHT, TALL, WIDE
from .layout import _Counter, aligned_zeros, padded, up_to
from .plan import Operation, Parameter, Plan

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

NOWHERE = -1
KEEPS = (nodes.LAYER_NORM, nodes.BATCH_NORM)  # besides activations


class Place(NamedTuple):
    """Where a parameter is in the buffer: `rows` rows of n numbers, `width` apart."""

    start: int
    rows: int
    n: int
    width: int
    chunk: int
    transposed: bool


class Memory(NamedTuple):
    """The workspace of a block: places of the tensors, of ∂J/∂ them, and of what each operation keeps."""

    machine: codes.Machine  # without memory
    a: tuple[int, ...]
    d: tuple[int, ...]
    kept: tuple[tuple[int, int, int, int], ...]  # for each operation: mirror, kept, kept_too, statistics
    room: int
    size: int


class GraphLayout:
    """The places of all numbers of a network of layers.

    Each parameter begins at a cache line. It lies row by row, with its last axis padded, but the weights of AFFINE
    are transposed, as in `Layout`. The padding stays zero.

    Parameters
    ----------
    plan : the network
    itemsize : number of bytes per number
    """

    is_small = False  # small.py knows no layers

    def __init__(self, plan: Plan, itemsize: int) -> None:
        self.plan, self.itemsize = plan, itemsize
        self.widths = tuple(padded(n, itemsize) for n in plan.tensors)
        self._affine = [operation for operation in plan.operations if operation.op == nodes.AFFINE]
        transposed = {operation.parameters[0] for operation in self._affine}
        counter, places, chunk = _Counter(self._unit), [], 0
        for i, parameter in enumerate(plan.parameters):
            place = self._place(parameter, i in transposed, counter, chunk)
            places.append(place)
            unit = max(CHUNK // place.width, 1) * place.width if parameter.by_row else CHUNK
            chunk += -(-place.rows * place.width // unit)
        self.places, self.size, self.chunks = tuple(places), counter.used, chunk

    def _place(self, parameter: Parameter, transposed: bool, counter: _Counter, chunk: int) -> Place:
        *rows, n = parameter.shape[::-1] if transposed else parameter.shape
        count = int(np.prod(rows, dtype=np.int64))
        # A row that is updated on its own fills whole vectors.
        width = up_to(n, REGISTER // self.itemsize) if parameter.by_row else padded(n, self.itemsize)
        return Place(counter.take(count * width), count, n, width, chunk, transposed)

    @property
    def _unit(self) -> int:
        return max(2 * REGISTER, LINE) // self.itemsize

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """n_1, the number of units of each AFFINE operation, and n_L: the sizes of the layers of a plain network."""
        sizes = (self.plan.tensors[0], *(self.plan.tensors[operation.target] for operation in self._affine))
        return sizes if len(sizes) > 1 and sizes[-1] == self.plan.tensors[-1] else (*sizes, self.plan.tensors[-1])

    @cached_property
    def n_weights(self) -> int:
        """Number of weights of AFFINE operations, or at least 1: the multiplications in a forward pass."""
        tensors = self.plan.tensors
        return max(sum(tensors[affine.source] * tensors[affine.target] for affine in self._affine), 1)

    @cached_property
    def whole_batch(self) -> bool:
        """Whether a batch is one block: batch norm's statistics are those of all of its samples."""
        return any(operation.op == nodes.BATCH_NORM for operation in self.plan.operations)

    # Parameters

    def view(self, buffer: Array, i: int) -> Array:
        """Return a writable view of parameter i of the plan."""
        place, shape = self.places[i], self.plan.parameters[i].shape
        stored = buffer[place.start : place.start + place.rows * place.width].reshape(place.rows, place.width)
        if place.transposed:
            return stored[:, : place.n].T
        return stored.reshape(*shape[:-1], place.width)[..., : place.n]

    def views(self, buffer: Array) -> dict[str, Array]:
        """Return writable views of all parameters by their names, in the order of the plan."""
        return {parameter.name: self.view(buffer, i) for i, parameter in enumerate(self.plan.parameters)}

    def weight_views(self, buffer: Array) -> list[Array]:
        """Return the weights of the AFFINE operations, each a writable view of shape (n_out, n_in)."""
        return [self.view(buffer, operation.parameters[0]) for operation in self._affine]

    def bias_views(self, buffer: Array) -> list[Array]:
        """Return the biases of the AFFINE operations, each a writable view of shape (n_out,)."""
        return [self.view(buffer, operation.parameters[1]) for operation in self._affine]

    def pack(self, buffer: Array) -> Array:
        """Return a copy of all parameters without padding, in the order of the plan."""
        return np.concatenate([view.ravel() for view in self.views(buffer).values()])

    def unpack(self, packed: Array, buffer: Array) -> None:
        """Write the numbers from `pack` into a buffer of this layout."""
        start = 0
        for view in self.views(buffer).values():
            view[...] = packed[start : start + view.size].reshape(view.shape)
            start += view.size

    # Kernels

    def memory(self, objective: codes.Objective, rows: int) -> Memory:
        """Return the places in the workspace of blocks of so many rows."""
        rows = up_to(rows, max(HEIGHT, REGISTER // self.itemsize))  # kernels write whole vectors past the last row
        counter, tensors, nothing = _Counter(self._unit), self.plan.tensors, np.empty(0)
        zeros = counter.take(self._unit)
        a, d = (tuple(counter.take(rows * width) for width in self.widths) for _ in range(2))
        kept = tuple(self._kept(i, operation, counter, rows) for i, operation in enumerate(self.plan.operations))
        width, output = self.widths[-1], self.plan.output
        slope = counter.take(rows * width) if output >= codes.LEAKY_RELU else 0
        layers = (
            codes.Layer(tensors[0], self.widths[0], 0, a[0], d[0], 0, codes.IDENTITY, 0),
            codes.Layer(tensors[-1], width, 0, a[-1], d[-1], 0, output, slope),
        )
        places = {name: counter.take(rows * width) for name in ("targets", "weights")}
        places |= {name: counter.take(HEIGHT * width) for name in ("mask", "parameter")}
        a_room, packed = self._packed(rows)
        machine = codes.Machine(
            np.array(layers, np.int64).ravel(),
            len(layers),
            objective.code,
            True,
            zeros,
            **places,
            label_off=objective.label_off,
            label_on=objective.label_on,
            dropout=np.zeros(len(layers)),
            foreign=objective.foreign,
            packed=counter.take(packed),
            work_apart=0,
            gradients_apart=0,
            parameters=nothing,
            gradients=nothing,
            work=nothing,
            losses=nothing,
        )
        return Memory(machine, a, d, kept, a_room, counter.used)

    def _kept(self, i: int, operation: Operation, counter: _Counter, rows: int) -> tuple[int, int, int, int]:
        """Return the places of an operation's mirror, of what it keeps in rows, and of its statistics."""
        width, mirror, kept, kept_too, statistics = self.widths[operation.target], *[NOWHERE] * 4
        if operation.op == nodes.AFFINE:
            mirror = counter.take(width * self.widths[operation.source])
        elif operation.op == nodes.ACTIVATE:
            # f′ comes from a, unless another operation changes a
            changed = any(later.target == operation.target for later in self.plan.operations[i + 1 :])
            plain = operation.code < codes.LEAKY_RELU and not changed
            if not plain or operation.rate > 0 or operation.parameters:
                kept = counter.take(rows * width)
            if operation.parameters:
                kept_too = counter.take(rows * width)
        elif operation.op in KEEPS:
            kept = counter.take(rows * width)
            statistics = counter.take(rows + 4 * width)
        return mirror, kept, kept_too, statistics

    def _packed(self, rows: int) -> tuple[int, int]:
        """Return the room for HEIGHT rows of a thread's packed A, and the space for all products of wide.py."""
        lanes, a_room, most = REGISTER // self.itemsize, 0, 0
        for affine in self._affine:
            n, n_next = self.plan.tensors[affine.source], self.plan.tensors[affine.target]
            if self.widths[affine.target] * self.itemsize >= WIDE:
                a_room, most = max(a_room, room(n, lanes)), max(most, space(n, rows, lanes))
            if self.widths[affine.source] * self.itemsize >= WIDE:
                a_room = max(a_room, room(n_next, lanes))
            if min(n, n_next) >= nodes.TURNS_FROM and max(n, n_next) <= nodes.TURNS_TO:
                a_room = max(a_room, TALL * (n + n_next))
        return a_room, max(most + space_of_copies(self.itemsize) if most else 0, -(-rows // HEIGHT) * a_room)

    def workspace(self, machine: codes.Machine, size: int, dtype: npt.DTypeLike, parameter: Any) -> Array:
        """Return the workspace of a machine, with its constants; parameter: the parameter of the objective."""
        work = aligned_zeros(size, dtype)
        for place, number in ((machine.mask, 1), (machine.parameter, parameter)):
            rows = work[place : place + HEIGHT * self.widths[-1]].reshape(HEIGHT, -1)
            rows[:, : self.plan.tensors[-1]] = number
        return work

    def graph(
        self,
        memory: Memory,
        factors: npt.NDArray[np.float64],
        average: Array,
        ema: float,
        drops_last: bool,
        pulls: bool,
    ) -> nodes.Graph:
        """Return the operations in the kernels' form.

        factors: (T, 2) of η and of the decay, for each parameter of the plan. A parameter whose η is 0 doesn't learn.
        pulls: whether the way back goes down to X, and no parameter learns.
        """
        used = [i for operation in self.plan.operations for i in operation.parameters]
        learns = [
            parameter.trained and factor > 0 and not pulls
            for parameter, factor in zip(self.plan.parameters, factors[:, 0], strict=True)
        ]
        touched, tensors = 0, []
        for i in used:
            place, parameter = self.places[i], self.plan.parameters[i]
            own = (learns[i], parameter.role == "weight", parameter.by_row, touched if parameter.by_row else NOWHERE)
            tensors.append(nodes.Tensor(place.start, place.rows, place.n, place.width, place.chunk, *own))
            touched += nodes.TOUCHED + 2 * place.rows if parameter.by_row else 0
        one = np.ones(1)
        return nodes.Graph(
            np.array(self._nodes(memory, learns, pulls), np.int64).ravel(),
            len(self.plan.operations),
            np.array(tensors, np.int64).reshape(-1),
            len(tensors),
            np.array([_reals(operation) for operation in self.plan.operations]).ravel(),
            np.ascontiguousarray(factors[used].ravel()),
            np.zeros(max(touched, 1), np.int64),
            one,
            one,
            average,
            ema,
            drops_last,
            pulls,
            memory.room,
        )

    def _nodes(self, memory: Memory, learns: list[bool], pulls: bool) -> list[nodes.Node]:
        operations, tensors = self.plan.operations, self.plan.tensors
        needs = [pulls, *[False] * (len(tensors) - 1)]  # whether ∂J/∂ the tensor is computed
        for operation in operations:
            needs[operation.target] |= needs[operation.source] or any(learns[i] for i in operation.parameters)
        found: list[nodes.Node] = []
        written = {0}  # ∂J/∂X starts with 0, and all add to it
        parameters = sum(len(operation.parameters) for operation in operations)
        for i, operation in reversed(list(enumerate(operations))):
            source, target = operation.source, operation.target
            parameters -= len(operation.parameters)
            mirror, kept, kept_too, statistics = memory.kept[i]
            node = nodes.Node(
                op=operation.op,
                code=operation.code,
                n_in=tensors[source],
                n_out=tensors[target],
                in_width=self.widths[source],
                out_width=self.widths[target],
                a_in=memory.a[source],
                a_out=memory.a[target],
                d_in=memory.d[source] if needs[source] else NOWHERE,
                d_out=memory.d[target] if needs[target] else NOWHERE,
                adds=source in written,
                learns=any(learns[k] for k in operation.parameters),
                parameters=parameters,
                n_parameters=len(operation.parameters),
                mirror=mirror,
                kept=kept,
                kept_too=kept_too,
                statistics=statistics,
                first=operation.first,
                column=operation.column,
                n_read=operation.n_read,
                inner=operation.inner,
                number=operation.number,
                real=i,
            )
            found.append(node)
            if operation.op != nodes.ACTIVATE:
                written.add(source)
        return found[::-1]


def _reals(operation: Operation) -> tuple[float, float]:
    """Return the real numbers of an operation."""
    return (operation.rate, 0.0) if operation.op == nodes.ACTIVATE else (operation.epsilon, operation.momentum)
