"""Engine: runs the kernels for one network, with the workspaces and threads that they need."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes, epoch, small
from .._kernels.tasks import Program
from .._kernels.tuning import BLOCK, CALL_MULTIPLICATIONS, HEIGHT, UPDATE_PAYS
from .layout import Layout, aligned_zeros, up_to
from .program import program
from .team import rows_team_size, run_together, team_size

Array = npt.NDArray[Any]

_compiled: set[np.dtype[Any]] = set()  # dtypes for which the training kernel is ready in this process
NO_LOSSES = np.empty(0)
NO_BOUNDS = codes.Bounds(0.0, 0.0, np.inf, np.inf, np.inf)
NO_SEED = np.uint64(0)
PLAIN_RULE = codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.0)
SMALL_LOSSES = (codes.SQUARED_ERROR, codes.CROSS_ENTROPY, codes.BINARY_CROSS_ENTROPY)
TAIL = 2  # numbers sent after the gradients: the sum of the losses, and how many ranks want to end
ALONE = codes.Team(np.zeros(codes.MEETING_SIZE, np.int64), 0, 1)


class Workspace(NamedTuple):
    """The memory for a kernel call, with the plan that describes it."""

    rows: int
    plan: codes.Plan
    buffers: codes.Buffers
    flat: tuple[Array, ...]  # the parts of plan and buffers that epoch.evaluate takes
    programs: dict[int, Program]  # by the number of samples in a batch

    def program(self, m: int) -> Program:
        """Return small.py's tasks for a batch of m samples, which are made only once."""
        if m not in self.programs:
            self.programs[m] = program(self.plan, m, self.buffers.parameters.itemsize)
        return self.programs[m]


def ends_of(step: codes.Step) -> int:
    """Return how a batch ends in training: at once if it is one block and its step is plain gradient descent."""
    plain = step.rule == PLAIN_RULE and step.bounds == NO_BOUNDS and step.alpha == 0
    return codes.AT_ONCE if plain and step.block >= step.batch_size else codes.AFTER_BATCH


def _decided(step: codes.Step) -> codes.Step:
    return step._replace(ends=ends_of(step))


def _by_team(call: Callable[[codes.Team], Any], threads: int) -> Any:
    """Call a kernel in each of so many threads, and return the result of the first."""
    meeting = np.zeros(codes.MEETING_SIZE, np.int64)

    def abandon() -> None:
        meeting[codes.ABANDONED] = 1

    return run_together(lambda thread: call(codes.Team(meeting, thread, threads)), threads, abandon)


class Engine:
    """The kernels of one network.

    Parameters
    ----------
    layout : the places of the parameters
    parameters : the buffer, of layout.size numbers
    activations : (L − 1,) codes for the layers 2 … L
    objective : the loss
    use_bias : bool
    dropout : rates of the hidden layers, or ()
    """

    def __init__(
        self,
        layout: Layout,
        parameters: Array,
        activations: tuple[int, ...],
        objective: codes.Objective,
        use_bias: bool,
        dropout: tuple[float, ...] = (),
    ) -> None:
        self.layout, self.parameters = layout, parameters
        self.activations, self.objective, self.use_bias, self.dropout = activations, objective, use_bias, dropout
        self.n_out, self.multiplications = layout.sizes[-1], layout.n_weights
        self._no_targets, self._no_labels = np.empty((0, self.n_out), parameters.dtype), np.empty(0, np.int64)
        self._no_weights = np.empty(0, parameters.dtype)
        basic = max(activations) < codes.LEAKY_RELU and not any(dropout)
        plain = objective._replace(parameter=(0.0,)) in (codes.Objective(code) for code in SMALL_LOSSES)
        self._may_be_small = layout.is_small and basic and plain
        self._no_memory = self.memory(0, 0)
        self._idle: list[Workspace] = []
        self._trains, self._process = Lock(), os.getpid()

    def data(
        self,
        X: Array,
        targets: Array | None = None,
        labels: Array | None = None,
        weights: Array | None = None,
        *,
        shuffle: bool = False,
        order: npt.NDArray[np.int64] | None = None,
    ) -> codes.Data:
        """Return checked arrays as the kernels' data; order: orders of the rows for consecutive epochs, if given."""
        return codes.Data(
            X,
            self._no_targets if targets is None else targets,
            self._no_labels if labels is None else labels,
            aligned_zeros(len(X), np.int64) if shuffle else self._no_labels if order is None else order,
            self._no_weights if weights is None else weights,
            float(len(X)) if weights is None else float(weights.sum(dtype=np.float64)),
            shuffle,
        )

    def with_own_order(self, data: codes.Data) -> codes.Data:
        """Return the data with its own memory for the order, which no other training shuffles."""
        return data._replace(order=aligned_zeros(len(data.X), np.int64)) if data.shuffles else data

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep the network for one training at a time.

        Raises
        ------
        RuntimeError
            If another thread trains the network, or the call comes from a callback of its training.
        """
        if self._process != os.getpid():  # before a fork, the parent may have been training
            self._trains, self._process = Lock(), os.getpid()
        if not self._trains.acquire(blocking=False):
            where = "in another thread or by the fit that called this callback"
            raise RuntimeError(f"this Trainer is already being trained, {where}")
        try:
            yield
        finally:
            self._trains.release()

    def memory(self, moments: int, kept: int) -> codes.Memory:
        """Return the state of an optimizer, all 0.

        Parameters
        ----------
        moments : how many moments each parameter has
        kept : number of batches so far
        """
        size, dtype = self.layout.size, self.parameters.dtype
        _checks.fits("optimizer", "one", size * dtype.itemsize * (1 + moments))
        first, second = (aligned_zeros(size if moments > i else 0, dtype) for i in range(2))
        return codes.Memory(first, second, np.zeros(2 * self.layout.chunks), np.array([kept]))

    def packed(self, memory: codes.Memory) -> codes.Memory:
        """Return the state without padding, which depends on the vectors of the host."""
        first, second = (self.layout.pack(moment) if moment.size else moment for moment in memory[:2])
        return codes.Memory(first, second, memory.sums, memory.steps)

    def unpacked(self, packed: codes.Memory) -> codes.Memory:
        """Return the state that `packed` was made from, in the layout of this host."""
        n_moments = (packed.first.size > 0) + (packed.second.size > 0)
        memory = self.memory(n_moments, int(packed.steps[0]))
        for numbers, moment in ((packed.first, memory.first), (packed.second, memory.second)):
            if numbers.size:
                self.layout.unpack(numbers, moment)
        return memory

    def predict(self, X: Array, n_threads: int | str) -> Array | None:
        """Return aᴸ, (n, n_L); None if X isn't finite. Everything else about X must be checked before."""
        n = len(X)
        output = self._outputs(n)
        if n > BLOCK:
            return output if self._for_rows(self.data(X), output, NO_LOSSES, n_threads) else None
        # The short way, because a service that predicts single rows spends its time here.
        workspace = self._borrow(n)
        nothing, flat = (self._no_targets, self._no_labels, self._no_weights), output.reshape(-1)
        finite = epoch.evaluate(*workspace.flat, X, *nothing, 0, n, BLOCK, flat, NO_LOSSES)
        self._idle.append(workspace)
        return output if finite else None

    def evaluate(self, data: codes.Data, n_threads: int | str, *, predictions: bool) -> tuple[float, Array]:
        """Return J over all samples, and aᴸ in the order of X, (n, n_L), or (0, n_L) without predictions."""
        n = len(data.X)
        output = self._outputs(n if predictions else 0)
        losses = np.zeros(-(-n // BLOCK))
        self._for_rows(data, output, losses, n_threads)
        return float(losses.sum()) / data.weight, output

    def gradients(self, data: codes.Data) -> tuple[float, list[Array], list[Array]]:
        """Return J and its gradients over all samples as one batch: [∂J/∂Θ¹, …], [∂J/∂b¹, …]."""
        n = len(data.X)
        step = codes.Step(PLAIN_RULE, NO_BOUNDS, np.zeros(1), NO_SEED, n, min(n, BLOCK), ends=codes.NEVER)
        progress = codes.Progress(np.zeros(2, np.int64), np.zeros(1, np.uint64), np.zeros(1))
        with self._workspace_for(step) as (_, plan, buffers, _, _):
            blocks = 1 + int(CALL_MULTIPLICATIONS / (3 * self.multiplications * step.block))
            while progress.position[codes.EPOCH] == 0 and np.isfinite(progress.losses[0]):
                epoch.train(plan, buffers, self._no_memory, data, step, progress, blocks, ALONE)
            weights = [view.copy() for view in self.layout.weight_views(buffers.gradients)]
            biases = [view.copy() for view in self.layout.bias_views(buffers.gradients)]
        if progress.position[codes.EPOCH] == 0 and step.block < n:  # the last blocks are missing if J isn't finite
            for gradient in (*weights, *biases):
                gradient.fill(np.nan)
        return float(progress.losses[0]), weights, biases

    def train(
        self,
        data: codes.Data,
        memory: codes.Memory,
        step: codes.Step,
        progress: codes.Progress,
        budget: int,
        n_threads: int | str,
    ) -> int:
        """Continue with some epochs for at most `budget` blocks. Return how many blocks were done."""
        step = _decided(step)
        if self._may_be_small and step.ends == codes.AT_ONCE and not data.weights.size:
            with self._workspace_for(step) as workspace:
                tasks = workspace.program(step.block)
                return int(small.train(workspace.plan, tasks, workspace.buffers, data, step, progress, budget))
        with self._workspace_for(step) as workspace:
            return self._train_by_clock(workspace, data, memory, step, progress, budget, n_threads)

    def _train_by_clock(
        self,
        workspace: Workspace,
        data: codes.Data,
        memory: codes.Memory,
        step: codes.Step,
        progress: codes.Progress,
        budget: int,
        n_threads: int | str,
    ) -> int:
        """Train in a workspace with the number of threads that is fastest by the clock."""
        size = team_size(self.layout.sizes, step.block, self.parameters.itemsize, n_threads)
        compiled = self.parameters.dtype in _compiled  # otherwise use only this thread, where Ctrl-C works
        threads, budget = size.choose(budget) if compiled else (1, 1)
        started = perf_counter()
        blocks = self._train_together(workspace, data, memory, step, progress, budget, threads)
        if compiled:
            size.record(threads, blocks, perf_counter() - started)
        _compiled.add(self.parameters.dtype)
        return blocks

    def goes_with_others(self, step: codes.Step) -> bool:
        """Return whether `train_each` can train such networks: tiny ones with plain gradient descent."""
        return self._may_be_small and ends_of(step) == codes.AT_ONCE

    def train_each(self, data: codes.Data, step: codes.Step, many: codes.Many, budget: int) -> int:
        """Continue with networks of this architecture, each with its own state in `many`. Return the blocks done."""
        step = _decided(step)
        with self._workspace_for(step) as workspace:
            tasks = workspace.program(step.block)
            return int(small.train_each(workspace.plan, tasks, workspace.buffers, data, step, many, budget))

    def _train_together(
        self,
        workspace: Workspace,
        data: codes.Data,
        memory: codes.Memory,
        step: codes.Step,
        progress: codes.Progress,
        budget: int,
        threads: int,
    ) -> int:
        def call(team: codes.Team) -> int:
            return epoch.train(workspace.plan, workspace.buffers, memory, data, step, progress, budget, team)

        blocks: int = _by_team(call, threads)
        return blocks

    @contextmanager
    def part(
        self, data: codes.Data, memory: codes.Memory, step: codes.Step, n_threads: int | str
    ) -> Iterator[tuple[Array, float, Callable[[float], float]]]:
        """Yield the gradients of step.part's rows, with space for TAIL more numbers, the sum of losses, and a function.

        Call the function with η when the gradients are those of the whole batch. It updates the parameters and returns
        what penalties add to J. The gradients are incomplete if the sum isn't finite.
        """
        rows, itemsize, step = step.part, self.parameters.itemsize, step._replace(ends=codes.BY_OTHERS)
        progress = codes.Progress(np.array([0, rows.first]), np.zeros(1, np.uint64), np.zeros(1))
        with self._workspace_for(step) as workspace:
            if rows.first == rows.stop:
                workspace.buffers.gradients[:] = 0
            while progress.position[codes.SAMPLE] < rows.stop and np.isfinite(progress.losses[0]):
                left = -(-(rows.stop - int(progress.position[codes.SAMPLE])) // step.block)
                self._train_by_clock(workspace, data, memory, step, progress, left, n_threads)

            def update(rate: float) -> float:
                threads = 1
                if self.layout.size * itemsize >= UPDATE_PAYS:
                    threads = team_size(self.layout.sizes, step.block, itemsize, n_threads).team
                plan, buffers = workspace.plan, workspace.buffers
                penalty: float = _by_team(
                    lambda team: epoch.update(plan, buffers, memory, step, rate, rows.weight, team), threads
                )
                memory.steps[0] += 1
                return penalty

            yield workspace.buffers.gradients, float(progress.losses[0]), update

    def reordered(self, data: codes.Data, random: npt.NDArray[np.uint64]) -> codes.Data:
        """Return the data in the order of the next epoch."""
        if data.shuffles:
            epoch.reorder(data.order, random)
        return data._replace(shuffles=False)

    def _outputs(self, n: int) -> Array:
        """Return memory for aᴸ of n rows, (n, n_L)."""
        _checks.fits("X", f"{n} rows of {self.n_out} outputs each,", n * self.n_out * self.parameters.itemsize)
        return np.empty((n, self.n_out), self.parameters.dtype)

    def _for_rows(self, data: codes.Data, output: Array, losses: Array, n_threads: int | str) -> bool:
        """Call epoch.evaluate for all rows, in ranges of whole blocks, with threads if that pays."""
        n, flat = len(data.X), output.reshape(-1)
        per_call = max(BLOCK, up_to(int(CALL_MULTIPLICATIONS / self.multiplications), BLOCK))
        threads = rows_team_size(n_threads, n * self.multiplications, -(-n // BLOCK))
        per_call = min(per_call, up_to(-(-n // threads), BLOCK))
        starts = deque(range(0, n, per_call))
        bad: list[int] = []
        given = data.X, data.targets, data.labels, data.weights

        def call(_: int) -> None:
            with self._workspace(min(n, BLOCK)) as workspace:
                while starts:
                    try:
                        start = starts.popleft()
                    except IndexError:  # another thread took the last one
                        return
                    stop = min(start + per_call, n)
                    if not epoch.evaluate(*workspace.flat, *given, start, stop, BLOCK, flat, losses):
                        bad.append(start)

        run_together(call, threads, starts.clear)
        return not bad

    def _workspace_for(self, step: codes.Step) -> AbstractContextManager[Workspace]:
        """Return a workspace for training: kernels store gradients unless a batch ends at once."""
        return self._workspace(step.block, gradients=step.ends != codes.AT_ONCE)

    @contextmanager
    def _workspace(self, rows: int, *, gradients: bool = False) -> Iterator[Workspace]:
        """A workspace for blocks of so many rows, which only the caller uses. It is kept for the next caller."""
        workspace = self._borrow(rows, gradients=gradients)
        try:
            yield workspace
        finally:
            self._idle.append(workspace)

    def _borrow(self, rows: int, *, gradients: bool = False) -> Workspace:
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._new_workspace(rows, gradients)
        if kept.rows < rows or (gradients and not kept.buffers.gradients.size):
            return self._new_workspace(rows, gradients)
        return kept

    def _new_workspace(self, rows: int, gradients: bool) -> Workspace:
        plan, size = self.layout.plan(self.activations, self.objective, self.use_bias, rows, self.dropout)
        needed = size + self.layout.size * (1 + gradients) + TAIL
        _checks.fits("layer_sizes", f"a network and {rows} rows of X at a time", needed * self.parameters.itemsize)
        buffers = codes.Buffers(
            parameters=self.parameters,
            gradients=aligned_zeros(self.layout.size + TAIL if gradients else 0, self.parameters.dtype),
            work=self.layout.workspace(plan, size, self.parameters.dtype, self.objective.parameter),
            losses=aligned_zeros(-(-rows // HEIGHT), np.float64),
        )
        flat = (*codes.in_arrays(plan), buffers.parameters, buffers.work, buffers.losses)
        return Workspace(rows, plan, buffers, flat, {})
