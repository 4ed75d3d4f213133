"""asv: the parts that training is made of, below the public API; a commit that has them otherwise is skipped."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from .workloads import median_seconds, uniform

CALL = 1e-3  # seconds, roughly, that one timed call of a driver takes


def parts() -> SimpleNamespace:
    """What the drivers call."""
    try:
        from numba import njit

        from fastbp import _layout, _team
        from fastbp._kernels import activations, codes, llvm, team, tile

        return SimpleNamespace(
            njit=njit,
            codes=codes,
            at=llvm.at,
            padded=_layout.padded,
            aligned_zeros=_layout.aligned_zeros,
            multiply=tile.multiply,
            activate=activations.activate_output,
            meet=team.meet,
            run_together=_team.run_together,
        )
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error


def compiled(driver: Any, *arguments: Any) -> None:
    """Call a driver a first time."""
    from numba import TypingError

    try:
        driver(*arguments)
    except TypingError as error:
        raise NotImplementedError(f"otherwise in this commit: {error}") from error


def padded_matrix(of: SimpleNamespace, rows: int, columns: int, dtype: str) -> np.ndarray:
    """Random numbers as the layout has them, (rows, padded columns)."""
    width = of.padded(columns, np.dtype(dtype).itemsize)
    matrix = of.aligned_zeros(rows * width, dtype).reshape(rows, width)
    matrix[:, :columns] = uniform(rows, columns, dtype) - 0.5
    return matrix


class Tile:
    """The products of one layer with m samples, n inputs and k outputs, one thread."""

    params = (
        ["128 × 512 × 512", "127 × 509 × 509", "32 × 64 × 32", "31 × 61 × 31", "10 × 784 × 30"],
        ["a Θᵀ", "δᵀ a"],
        ["float32", "float64"],
    )
    param_names = ("m × n × k", "product", "dtype")
    timeout = 120

    def setup(self, shape: str, product: str, dtype: str) -> None:
        of = parts()
        at, multiply, Operand, Extent = of.at, of.multiply, of.codes.Operand, of.codes.Extent

        @of.njit(nogil=True)
        def driver(c, a, row, step, b, zeros, extent, repeats):
            for _ in range(repeats):
                multiply(
                    Operand(at(c.reshape(-1), 0), c.shape[1], 1),
                    Operand(at(a.reshape(-1), 0), row, step),
                    Operand(at(b.reshape(-1), 0), b.shape[1], 1),
                    extent,
                    Operand(at(zeros, 0), 0, 0),
                    c.dtype.type(0),
                )

        m, n, k = map(int, shape.split(" × "))
        a = padded_matrix(of, m, n, dtype)
        zeros = of.aligned_zeros(64, dtype)
        if product == "a Θᵀ":
            c, b, row, step, extent = (
                padded_matrix(of, m, k, dtype),
                padded_matrix(of, n, k, dtype),
                a.shape[1],
                1,
                (m, k, n),
            )
        else:
            c, b, row, step, extent = (
                padded_matrix(of, n, k, dtype),
                padded_matrix(of, m, k, dtype),
                1,
                a.shape[1],
                (n, k, m),
            )
        self.flop = 2 * m * n * k
        self.repeats = 1 + int(CALL * 50e9 / self.flop)
        self.driver, self.arguments = driver, (c, a, row, step, b, zeros, Extent(*extent))
        compiled(driver, *self.arguments, 1)
        A = a[:, :n]
        np.testing.assert_allclose(c[:, :k], (A if product == "a Θᵀ" else A.T) @ b[:, :k], rtol=1e-2, atol=1e-4)

    def track_gflop_per_s(self, *_) -> float:
        seconds = median_seconds(lambda: self.driver(*self.arguments, self.repeats), 0.2)
        return self.repeats * self.flop / seconds * 1e-9

    track_gflop_per_s.unit = "GFLOP/s"  # type: ignore[attr-defined]


class Activation:
    """a = f(z) in place for rows that are in the first-level cache, one thread."""

    params = (
        ["sigmoid", "tanh", "relu", "softmax", "elu", "gelu", "silu", "mish"],
        ["8 × 512", "8 × 10"],
        ["float32", "float64"],
    )
    param_names = ("f", "rows × columns", "dtype")
    timeout = 120

    def setup(self, name: str, shape: str, dtype: str) -> None:
        of = parts()
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
    """Two threads that do nothing but wait for each other."""

    timeout = 120
    meetings = 20_000

    def setup(self) -> None:
        if (os.cpu_count() or 1) < 2:
            raise NotImplementedError("takes two processors")
        of = parts()
        meet = of.meet

        @of.njit(nogil=True)
        def driver(team, meetings):
            for _ in range(meetings):
                meet(team)

        self.of, self.driver = of, driver
        compiled(driver, of.codes.Team(np.zeros(of.codes.MEETING_SIZE, np.int64), 0, 1), 1)

    def meet(self) -> None:
        meeting = np.zeros(self.of.codes.MEETING_SIZE, np.int64)

        def call(thread: int) -> None:
            self.driver(self.of.codes.Team(meeting, thread, 2), self.meetings)

        self.of.run_together(call, 2, lambda: None)

    def track_ns_per_meeting(self) -> float:
        return median_seconds(self.meet) / self.meetings * 1e9

    track_ns_per_meeting.unit = "ns"  # type: ignore[attr-defined]
