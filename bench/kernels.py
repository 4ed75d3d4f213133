"""asv: the kernels that training consists of, below the public API. Commits with other kernels are skipped."""

from __future__ import annotations

import os
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np

from .workloads import median_seconds, uniform

CALL = 1e-3  # seconds that one timed call of a driver takes, approximately


def kernels() -> SimpleNamespace:
    """Return the kernels that the drivers call."""
    try:
        from numba import njit

        from fastbp._engine import layout, team as teams
        from fastbp._kernels import activations, blocks, codes, llvm, team, tile, wide

        return SimpleNamespace(
            njit=njit,
            codes=codes,
            at=llvm.at,
            padded=layout.padded,
            aligned_zeros=layout.aligned_zeros,
            multiply=tile.multiply,
            multiples=blocks.multiples,  # commits without it have two products, for A in rows and in columns
            wide=wide,
            activate=activations.activate_output,
            meet=team.meet,
            new_meeting=getattr(teams, "new_meeting", lambda: np.zeros(codes.MEETING_SIZE, np.int64)),
        )
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error


def compiled(driver: Any, *arguments: Any) -> None:
    """Compile a driver by its first call."""
    from numba import TypingError

    try:
        driver(*arguments)
    except TypingError as error:
        raise NotImplementedError(f"different in this commit: {error}") from error


def padded_matrix(of: SimpleNamespace, rows: int, columns: int, dtype: str) -> np.ndarray:
    """Return random numbers, (rows, padded columns), in the layout of the kernels."""
    width = of.padded(columns, np.dtype(dtype).itemsize)
    matrix = of.aligned_zeros(rows * width, dtype).reshape(rows, width)
    matrix[:, :columns] = uniform(rows, columns, dtype) - 0.5
    return matrix


class Tile:
    """The matrix products of one layer with m samples, n inputs and k outputs, in one thread."""

    params = (
        ["128 × 512 × 512", "127 × 509 × 509", "32 × 64 × 32", "31 × 61 × 31", "10 × 784 × 30"],
        ["a Θᵀ", "δᵀ a"],
        ["float32", "float64"],
    )
    param_names = ("m × n × k", "product", "dtype")
    timeout = 120

    def setup(self, shape: str, product: str, dtype: str) -> None:
        of = kernels()
        at, Operand, zero = of.at, of.codes.Operand, np.dtype(dtype).type(0)
        multiply, in_rows = of.multiply, product == "a Θᵀ"

        @of.njit(nogil=True)
        def driver(c, a, b, room, extent, repeats):
            for _ in range(repeats):
                multiply(
                    Operand(at(c.reshape(-1), 0), c.shape[1], 1),
                    Operand(at(a.reshape(-1), 0), a.shape[1] if in_rows else 1, 1 if in_rows else a.shape[1]),
                    Operand(at(b.reshape(-1), 0), b.shape[1], 1),
                    extent,
                    Operand(at(room, 0), 0, 0),
                    zero,
                    0,
                )

        self.prepare(of, driver, shape, product, dtype, 64)

    def prepare(self, of: SimpleNamespace, driver: Any, shape: str, product: str, dtype: str, room: int) -> None:
        """Create the operands, call the driver for the first time, and check its result."""
        m, n, k = map(int, shape.split(" × "))
        forward = product == "a Θᵀ"
        rows, inner = (m, n) if forward else (n, m)
        c, b = padded_matrix(of, rows, k, dtype), padded_matrix(of, inner, k, dtype)
        a = padded_matrix(of, m, n, dtype)
        self.flop = 2 * m * n * k
        self.repeats = 1 + int(CALL * 50e9 / self.flop)
        self.driver = driver
        self.arguments = c, a, b, of.aligned_zeros(room, dtype), of.codes.Extent(rows, k, inner)
        compiled(driver, *self.arguments, 1)
        A = a[:, :n]
        np.testing.assert_allclose(c[:, :k], (A if forward else A.T) @ b[:, :k], rtol=1e-2, atol=1e-4)

    def track_gflop_per_s(self, *_) -> float:
        seconds = median_seconds(lambda: self.driver(*self.arguments, self.repeats), 0.2)
        return self.repeats * self.flop / seconds * 1e-9

    track_gflop_per_s.unit = "GFLOP/s"  # type: ignore[attr-defined]


class Wide(Tile):
    """The same products for wide layers. A is packed in each repetition."""

    params = (["256 × 1024 × 1024", "128 × 512 × 512", "127 × 509 × 509"], ["a Θᵀ", "δᵀ a"], ["float32", "float64"])

    def setup(self, shape: str, product: str, dtype: str) -> None:
        of = kernels()
        at, Operand, zero, alone = of.at, of.codes.Operand, np.dtype(dtype).type(0), of.codes.Team
        pack, multiply = of.wide.pack_rows if product == "a Θᵀ" else of.wide.pack_columns, of.wide.multiply_wide

        @of.njit(nogil=True)
        def driver(c, a, b, room, extent, repeats):
            packed = at(room, 64)
            for _ in range(repeats):
                pack(
                    packed,
                    Operand(at(a.reshape(-1), 0), a.shape[1], 1),
                    extent.rows,
                    extent.inner,
                    alone(packed, 0, 1),
                )
                multiply(
                    Operand(at(c.reshape(-1), 0), c.shape[1], 1),
                    packed,
                    Operand(at(b.reshape(-1), 0), b.shape[1], 1),
                    extent,
                    Operand(at(room, 0), 0, 0),
                    zero,
                    0,
                )

        m, n, _ = map(int, shape.split(" × "))
        self.prepare(of, driver, shape, product, dtype, 64 + 2 * m * n + 64 * max(m, n))


class Activation:
    """a = f(z) in place, for rows in the first-level cache, in one thread."""

    params = (
        ["sigmoid", "tanh", "relu", "softmax", "elu", "gelu", "silu", "mish"],
        ["8 × 512", "8 × 10"],
        ["float32", "float64"],
    )
    param_names = ("f", "rows × columns", "dtype")
    timeout = 120

    def setup(self, name: str, shape: str, dtype: str) -> None:
        of = kernels()
        at, activate, Operand = of.at, of.activate, of.codes.Operand
        rows, columns = map(int, shape.split(" × "))
        z, slope, t, mask = (padded_matrix(of, rows, columns, dtype) for _ in range(4))
        t[:, 0], mask[:, :columns] = 1, 1

        @of.njit(nogil=True)
        def driver(z, slope, t, mask, columns, activation, repeats):
            for _ in range(repeats):
                out, f1 = Operand(at(z.reshape(-1), 0), z.shape[1], 1), at(slope.reshape(-1), 0)
                activate(out, f1, at(t.reshape(-1), 0), at(mask.reshape(-1), 0), z.shape[0], columns, activation)

        self.elements = rows * columns
        self.repeats = 1 + int(CALL * 1e9 / self.elements)
        self.driver = driver
        self.arguments = z, slope, t, mask, columns, getattr(of.codes, name.upper())
        compiled(driver, *self.arguments, 1)

    def track_ns_per_element(self, *_) -> float:
        seconds = median_seconds(lambda: self.driver(*self.arguments, self.repeats), 0.2)
        return seconds / (self.repeats * self.elements) * 1e9

    track_ns_per_element.unit = "ns/element"  # type: ignore[attr-defined]


class Barrier:
    """Two threads that only wait for each other."""

    timeout = 120
    meetings = 20_000

    def setup(self) -> None:
        if (os.cpu_count() or 1) < 2:
            raise NotImplementedError("needs two processors")
        of = kernels()
        meet = of.meet

        @of.njit(nogil=True)
        def driver(team, meetings):
            for _ in range(meetings):
                meet(team)

        self.of, self.driver = of, driver
        compiled(driver, of.codes.Team(of.new_meeting(), 0, 1), 1)

    def meet(self) -> None:
        meeting = self.of.new_meeting()

        def call(thread: int) -> None:
            self.driver(self.of.codes.Team(meeting, thread, 2), self.meetings)

        other = Thread(target=call, args=(1,))
        other.start()
        call(0)
        other.join()

    def track_ns_per_meeting(self) -> float:
        return median_seconds(self.meet) / self.meetings * 1e9

    track_ns_per_meeting.unit = "ns"  # type: ignore[attr-defined]
