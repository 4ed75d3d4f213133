"""The task lists of online.py: what training with batches of a few samples does for each batch, vector by vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from .._kernels import codes, tasks
from .._kernels.levels import REGISTER
from .._kernels.shapes import SIDE
from .._kernels.tuning import ONLINE_WEIGHTS
from .layout import aligned_zeros, up_to

NO = tasks.Tasks(np.empty(0, np.int64), 0)
NOT_ONLINE = tasks.Online(0, 0, 0, 0, 0, 0, NO, NO, NO, NO, NO, NO, NO, np.empty(0))


class _Connection:
    """The weights between two layers, and the places of what belongs to them."""

    def __init__(self, layer: codes.Layer, above: codes.Layer, below: int, width: int, few: bool) -> None:
        self.layer, self.above, self.below, self.width, self.few = layer, above, below, width, few
        self.x = self.a = self.e = self.w = self.b = self.v = 0


def _flat(items: Sequence[tuple[int, ...]]) -> tasks.Tasks:
    """Return a list of tasks in one array, in which each has room for tasks.ONLINE_FIELDS numbers."""
    rows = np.zeros((len(items), tasks.ONLINE_FIELDS), np.int64)
    for row, task in zip(rows, items, strict=True):
        row[: len(task)] = task
    return tasks.Tasks(rows.ravel(), len(items))


class Planner:
    """Assigns places in the workspace, and lists the tasks.

    Parameters
    ----------
    machine : the network
    m : samples of a batch
    itemsize : bytes of a number
    """

    def __init__(self, machine: codes.Machine, m: int, itemsize: int) -> None:
        layers = [codes.Layer(*row) for row in machine.layers.reshape(-1, codes.LAYER_FIELDS)]
        self.m, self.use_bias, self.full, self.used = m, machine.use_bias, REGISTER // itemsize, 0
        m = len(ONLINE_WEIGHTS) if m > 1 else 1  # rows of samples that aren't there are 0
        self.half = max(self.full // 2, 1)
        last = layers[-1]
        self.few = len(layers) > 2 and last.n <= SIDE and last.activation != codes.SOFTMAX
        widths = [self.half if layer.n <= self.half else up_to(layer.n, self.full) for layer in layers]
        self.x_row = widths[0] = up_to(layers[0].n, self.full)
        self.y_row = widths[-1] = last.n if self.few else up_to(widths[-1], SIDE)  # losses take SIDE at a time
        x = self.x = self._take(m * self.x_row)
        self.connections = []
        for l, (layer, above) in enumerate(pairwise(layers)):
            leads = self.few and above is last
            c = _Connection(layer, above, widths[l], widths[l + 1], leads)
            c.x = x
            if above is not last:
                x = c.a = self._take(m * c.width)
                c.e = self._take(m * c.width)
            if not leads:
                c.w = self._take(layer.n * c.width)
            c.b = self._take(c.width)
            if l > 0:
                c.v = self._take(above.n * c.below)
            self.connections.append(c)
        self.y_size = up_to(m * self.y_row + SIDE, 2 * self.full)
        self.y = self._take(4 * self.y_size)
        self.connections[-1].a, self.connections[-1].e = self.y + 2 * self.y_size, self.y + 3 * self.y_size

    def _take(self, size: int) -> int:
        place = self.used
        self.used += up_to(size + self.half, 2 * self.full)
        return place

    def _vectors(self, width: int) -> tuple[range, int]:
        """Return the first numbers of the vectors of a row, and whether they are full."""
        is_full = width > self.half or self.half == self.full
        return range(0, width, self.full if is_full else self.half), int(is_full)

    def copies(self) -> list[tasks.CopyTask]:
        """Return the tasks that copy all parameters."""
        out = []
        for c in self.connections:
            theta, row, n, units = c.layer.theta, c.above.width, c.layer.n, c.above.n
            out.append(tasks.CopyTask(theta + n * row, 0, 1, units, c.b, 0, 1, 1))
            if not c.few:
                out.append(tasks.CopyTask(theta, row, n, units, c.w, c.width, 1, 1))
            if c is not self.connections[0]:
                out.append(tasks.CopyTask(theta, row, n, units, c.v, 1, c.below, int(c.few)))
        return out

    def ahead(self) -> list[tasks.AheadTask]:
        """Return the tasks of the way forward, up to z of the last layer if it has W."""
        out = []
        for c in self.connections[: -1 if self.few else None]:
            starts, full = self._vectors(c.width)
            activation = c.above.activation if c is not self.connections[-1] else codes.SOFTMAX
            for j, s in product(starts, range(self.m)):
                z, x = c.a + s * c.width + j, c.x + s * c.below
                out.append(tasks.AheadTask(z, x, c.w + j, c.width, c.layer.n, c.b + j, activation, c.above.n - j, full))
        return out

    def errors(self) -> tuple[list[tasks.FewTask], list[tasks.ErrorTask]]:
        """Return the tasks of the last layer."""
        few: list[tasks.FewTask] = []
        c, out = self.connections[-1], []
        n = c.above.n
        full = self._vectors(c.below)[1]
        if not self.few:
            for s, j in product(range(self.m), range(0, n, SIDE)):
                out.append(tasks.ErrorTask(self.y + s * self.y_row + j, min(SIDE, n - j), s, n, j))
            return few, out
        for p in range(0, self.m * n, SIDE):
            places = min(SIDE, self.m * n - p)
            pairs = [divmod(min(p + i, self.m * n - 1), n) for i in range(SIDE)]
            terms = [term for s, j in pairs for term in (c.x + s * c.below, c.v + j * c.below, c.b + j)]
            few.append(tasks.FewTask._make((c.below, places, *terms, full)))
            out.append(tasks.ErrorTask(self.y + p, places, 0, n, p))
        return few, out

    def back(self) -> list[tasks.BackTask]:
        """Return the tasks of the way back."""
        out = []
        for below, c in reversed(list(pairwise(self.connections))):
            starts, full = self._vectors(c.below)
            for k, s in product(starts, range(self.m)):
                place = s * c.below + k
                incoming, activation = c.e + s * c.width, c.layer.activation
                out.append(
                    tasks.BackTask(
                        below.e + place, below.a + place, c.v + k, c.below, incoming, c.above.n, activation, full
                    )
                )
        return out

    def rows(self) -> list[tasks.RowsTask]:
        """Return the tasks that move W, b and V."""
        out = []
        for c in self.connections:
            units = c.above.n
            if not c.few and (self.m > 1 or c is self.connections[-1]):
                out += self._rows_of(c)
            elif c.few and self.use_bias:
                starts, full = self._vectors(units)
                out += [tasks.RowsTask(c.b + j, 0, 0, c.x, c.below, c.e + j, c.width, c.b + j, full) for j in starts]
            if c is not self.connections[0]:
                starts, full = self._vectors(c.below)
                for k in starts:
                    v, x = c.v + k, c.x + k
                    out.append(tasks.RowsTask(v, c.below, units, c.e, c.width, x, c.below, -1, full))
        return out

    def _rows_of(self, c: _Connection) -> list[tasks.RowsTask]:
        starts, full = self._vectors(c.width)
        return [
            tasks.RowsTask(
                c.w + j, c.width, c.layer.n, c.x, c.below, c.e + j, c.width, c.b + j if self.use_bias else -1, full
            )
            for j in starts
        ]

    def along(self) -> list[tasks.RowsTask]:
        """Return the tasks that move W as soon as its e is there, in the order of `back`."""
        if self.m > 1:
            return []
        return [task for c in reversed(self.connections[:-1]) for task in self._rows_of(c)]

    def online(self, dtype: Any) -> tasks.Online:
        """Return the tasks and their memory."""
        few, errors = self.errors()
        return tasks.Online(
            self.m,
            self.x,
            self.x_row,
            self.y,
            self.y_row,
            self.y_size,
            _flat(self.ahead()),
            _flat(few),
            _flat(errors),
            _flat(self.back()),
            _flat(self.along()),
            _flat(self.rows()),
            _flat(self.copies()),
            work=aligned_zeros(self.used + self.full, dtype),
        )


def _is_served(machine: codes.Machine, m: int) -> bool:
    """Return whether online.py has all that a network and batches of m samples need, and is faster."""
    layers = [codes.Layer(*row) for row in machine.layers.reshape(-1, codes.LAYER_FIELDS)]
    basic = max(layer.activation for layer in layers) < codes.LEAKY_RELU and not machine.dropout.any()
    is_softmax = layers[-1].activation == codes.SOFTMAX
    pairs = {
        codes.SQUARED_ERROR: not is_softmax,
        codes.CROSS_ENTROPY: is_softmax,
        codes.BINARY_CROSS_ENTROPY: layers[-1].activation == codes.SIGMOID,
    }
    n_weights = sum(layer.n * above.n for layer, above in pairwise(layers))
    return basic and pairs.get(machine.loss, False) and n_weights <= ONLINE_WEIGHTS[m - 1]


def online(machine: codes.Machine, m: int) -> tasks.Online:
    """Return what online.py does with batches of up to m samples, if it serves the network."""
    if not 0 < m <= len(ONLINE_WEIGHTS) or not _is_served(machine, m):
        return NOT_ONLINE
    dtype = machine.parameters.dtype
    return Planner(machine, m, dtype.itemsize).online(dtype)
