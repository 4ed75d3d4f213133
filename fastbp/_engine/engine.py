"""Engine: runs the kernels for one network, with the workspaces and threads that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.calls import EvaluateCall, ReorderCall, TrainCall
from .._kernels.levels import LINE
from .._kernels.tuning import AWAKE_PAY, BLOCK, CALL_MULTIPLICATIONS, HEIGHT, ROWS_PAY, SOON_AFTER, TALL, UPDATE_PAYS
from .._library.library import library
from .._library.slots import Slots
from . import tiny
from .layout import Layout, aligned_zeros, up_to
from .nothing import NO_BOUNDS, NO_LOSSES, NO_SEED, NO_WATCH, PLAIN_RULE, ends_of
from .pool import by_team, crew_of
from .team import Rest, rows_of_range, rows_team_size, team_size
from .turn import Turn
from .workspace import Lent, Ranges, Workspace

Array = npt.NDArray[Any]

FEW = 32  # rows up to which a prediction is copied from the workspace, which takes less time than new memory
MANY = 1 << 30  # more parts than there are processors
TAIL = 2  # numbers sent after the gradients: the sum of the losses, and how many ranks want to end


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

    _by_blocks = False  # whether a thread always takes whole blocks of rows

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
        self._is_tiny = tiny.is_tiny(layout, objective)
        self._no_memory = self.memory(0, 0)
        self._idle: list[Workspace] = []
        self._soon = 0.0  # until then, the workers of the last call are awake
        self._rest = Rest()
        self._answer: tuple[Any, int] = (), 1  # what `_threads` was asked last, and what it said
        self._turn = Turn()
        self._latest_step: tuple[Any, Any] = None, None
        self._library: Any = None

    @property
    def library(self) -> Any:
        """The kernels, which are built if no file has them."""
        self.load()
        return self._library

    def load(self) -> None:
        """Load the kernels. They are built if no file has them."""
        if self._library is None:
            self._library = library(self.parameters.dtype.name)

    def data(
        self,
        X: Array,
        targets: Array | None = None,
        labels: Array | None = None,
        weights: Array | None = None,
        *,
        shuffle: bool = False,
        order: npt.NDArray[np.int64] | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> codes.Data:
        """Return checked arrays as the kernels' data.

        order: of the rows in each of some epochs, if given. rows: those that are the samples, if not all are.
        """
        n, chosen = (len(X), self._no_labels) if rows is None else (len(rows), rows)
        counted = weights if weights is None or rows is None else weights[rows]
        return codes.Data(
            X,
            self._no_targets if targets is None else targets,
            self._no_labels if labels is None else labels,
            np.empty(n, np.int64) if shuffle else chosen if order is None else order,
            self._no_weights if weights is None else weights,
            float(n) if counted is None else float(counted.sum(dtype=np.float64)),
            shuffle,
            n,
            chosen,
        )

    def with_own_order(self, data: codes.Data) -> codes.Data:
        """Return the data with its own memory for the order, which no other training shuffles."""
        return data._replace(order=np.empty(data.n, np.int64)) if data.shuffles else data

    def exclusively(self) -> Turn:
        """Return a context in which nothing else trains the network."""
        return self._turn

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
        return codes.Memory(first, second, np.zeros(2 * self.layout.chunks), np.array([kept], np.int64))

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
        if n > FEW:
            outputs = self._outputs(n)
            return outputs if self._for_rows(self.data(X), outputs, NO_LOSSES, n_threads) else None
        # The short way, because a service that predicts single rows spends its time here.
        workspace, evaluate = self._borrow(n), (self._library or self.library).evaluate
        if n * self.multiplications < AWAKE_PAY or self._by_blocks:
            output = workspace.predict(X, evaluate)
        else:
            started, work = perf_counter(), n * self.multiplications
            threads = 1 if self._rest.lasts(started) else self._threads(n_threads, work)
            output = workspace.predict(X, evaluate, threads)
            ended = perf_counter()
            self._soon = ended + SOON_AFTER
            if threads > 1:
                self._rest.record(ended, (ended - started) / work)
        self._idle.append(workspace)
        return output

    def evaluate(self, data: codes.Data, n_threads: int | str, *, predictions: bool) -> tuple[float, Array]:
        """Return J over all samples, and aᴸ in their order in X, (n, n_L), or (0, n_L) without predictions."""
        n = data.n
        output = self._outputs(n if predictions else 0)
        losses = np.zeros(-(-n // BLOCK))
        self._for_rows(data, output, losses, n_threads)
        total = float(np.add.accumulate(losses)[-1]) if n else 0.0  # in order, as in watching.py, and not by pairs
        return total / data.weight, output

    def gradients(self, data: codes.Data) -> tuple[float, list[Array], list[Array]]:
        """Return J and its gradients over all samples as one batch: [∂J/∂Θ¹, …], [∂J/∂b¹, …]."""
        n = len(data.X)
        step = codes.Step(PLAIN_RULE, NO_BOUNDS, np.zeros(1), NO_SEED, n, min(n, BLOCK), ends=codes.NEVER)
        progress = codes.Progress(np.zeros(2, np.int64), np.zeros(1, np.uint64), np.zeros(1))
        with self._workspace_for(step) as workspace:
            call = workspace.call(TrainCall)
            self._fill(call, data, self._no_memory, step, progress)
            call.keep("watch", NO_WATCH)
            blocks = 1 + int(CALL_MULTIPLICATIONS / (3 * self.multiplications * step.block))
            call.write("budget", blocks)
            while progress.position[codes.EPOCH] == 0 and np.isfinite(progress.losses[0]):
                by_team(self.library.train, call, 1)
            gradients = workspace.machine.gradients
            weights = [view.copy() for view in self.layout.weight_views(gradients)]
            biases = [view.copy() for view in self.layout.bias_views(gradients)]
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
        watch: codes.Watch = NO_WATCH,
    ) -> int:
        """Continue with some epochs for at most `budget` blocks. Return how many blocks were done.

        With a watch, each epoch is followed by a validation, which may end the training.
        """
        step = self._decided(step)
        with self._workspace_for(step, min(watch.rows.n, BLOCK)) as workspace:
            if (self._is_tiny and tiny.serves(step)) or tiny.serves_few(workspace, step):
                return tiny.train(self.library, workspace, data, memory, step, progress, budget, watch)
            return self._train_by_clock(workspace, data, memory, step, progress, budget, n_threads, watch)

    def _decided(self, step: codes.Step) -> codes.Step:
        """Return the step with how a batch ends. A run gives the same step again and again."""
        given, decided = self._latest_step
        if given is not step:
            ends = ends_of(step)
            decided = step._replace(ends=ends, parts=self.layout.parts(step.block) if ends == codes.AFTER_BATCH else 1)
            self._latest_step = step, decided
        return decided

    def _train_by_clock(
        self,
        workspace: Workspace,
        data: codes.Data,
        memory: codes.Memory,
        step: codes.Step,
        progress: codes.Progress,
        budget: int,
        n_threads: int | str,
        watch: codes.Watch = NO_WATCH,
    ) -> int:
        """Train in a workspace with the number of threads that is fastest by the clock."""
        size = team_size(self.layout.sizes, step.block, self.parameters.itemsize, n_threads, step.parts)
        threads, budget = size.choose(budget)
        call = workspace.call(TrainCall)
        self._fill(call, data, memory, step, progress)
        call.keep("watch", watch)
        call.write("budget", budget)
        train = self.library.train
        started = perf_counter()
        blocks = by_team(train, call, threads)
        size.record(threads, blocks, perf_counter() - started)
        return blocks

    @staticmethod
    def _fill(call: Slots, data: codes.Data, memory: codes.Memory, step: codes.Step, progress: codes.Progress) -> None:
        """Write what `train` and `update` read into their call, except the team and the budget."""
        call.write("data", data)
        call.keep("memory", memory)
        call.keep("step", step)
        call.write("progress", progress)

    def goes_with_others(self, step: codes.Step) -> bool:
        """Return whether `train_each` can train such networks: tiny ones whose batches are one block."""
        return self._is_tiny and tiny.serves(self._decided(step))

    def train_each(self, data: codes.Data, step: codes.Step, many: codes.Many, budget: int) -> int:
        """Continue with networks of this architecture, each with its own state in `many`. Return the blocks done."""
        step = self._decided(step)
        with self._workspace_for(step) as workspace:
            return tiny.train_each(self.library, workspace, data, self._no_memory, step, many, budget)

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
                workspace.machine.gradients[:] = 0
            while progress.position[codes.SAMPLE] < rows.stop and np.isfinite(progress.losses[0]):
                left = -(-(rows.stop - int(progress.position[codes.SAMPLE])) // step.block)
                self._train_by_clock(workspace, data, memory, step, progress, left, n_threads)

            def update(rate: float) -> float:
                threads = 1
                if self.layout.size * itemsize >= UPDATE_PAYS:
                    threads = team_size(self.layout.sizes, step.block, itemsize, n_threads).team
                call, penalty = workspace.call(TrainCall), np.zeros(1)
                self._fill(call, data, memory, step, progress)
                for name, value in (("rate", rate), ("weight", rows.weight), ("penalty", penalty)):
                    call.write(name, value)
                by_team(self.library.update, call, threads)
                memory.steps[0] += 1
                return float(penalty[0])

            yield workspace.machine.gradients[: self.layout.size + TAIL], float(progress.losses[0]), update

    def reordered(self, data: codes.Data, random: npt.NDArray[np.uint64]) -> codes.Data:
        """Return the data in the order of the next epoch."""
        if data.shuffles:
            call = Slots(ReorderCall)
            call.write("order", data.order)
            call.write("random", random)
            self.library.reorder(call.address, 0)
        return data._replace(shuffles=False)

    def _outputs(self, n: int) -> Array:
        """Return memory for aᴸ of n rows, (n, n_L)."""
        _checks.fits("X", f"{n} rows of {self.n_out} outputs each,", n * self.n_out * self.parameters.itemsize)
        return np.empty((n, self.n_out), self.parameters.dtype)

    def _for_rows(self, data: codes.Data, output: Array, losses: Array, n_threads: int | str) -> bool:
        """Evaluate all rows in the order of X, not in that of the last epoch. Return whether X is finite."""
        fields = {"data": data._replace(order=data.chosen), "output": output, "losses": losses}
        return self._in_ranges(self.library.evaluate, EvaluateCall, fields, self.multiplications, n_threads)

    def _in_ranges(
        self, kernel: Any, kind: Any, fields: dict[str, Any], multiplications: int, n_threads: int | str
    ) -> bool:
        """Call a kernel for ranges of rows, with threads if that pays. Return whether X is finite.

        fields: of its call, except the rows. multiplications: for a row.
        """
        n = fields["data"].n
        unit = BLOCK if self._by_blocks or len(fields.get("losses", ())) else TALL
        with crew_of(self._threads(n_threads, n * multiplications, -(-n // unit))) as crew:
            threads = crew.n_threads
            workspaces = [self._borrow(min(n, BLOCK)) for _ in range(threads)]
            try:
                ranges = Ranges(kernel, [workspace.call(kind) for workspace in workspaces], fields)
                count = rows_of_range(n, threads, unit)
                return ranges.run(crew, count, up_to(int(CALL_MULTIPLICATIONS * threads / multiplications) + 1, count))
            finally:
                self._idle.extend(workspaces)
                self._soon = perf_counter() + SOON_AFTER

    def _threads(self, n_threads: int | str, multiplications: int, parts: int = MANY) -> int:
        """Return how many threads share so much work in so many parts: more if workers of the last call are awake."""
        awake = perf_counter() < self._soon
        asked = n_threads, multiplications, parts, awake
        known, answer = self._answer
        if not awake or known != asked:  # asking the system for its processors takes 6 µs
            pays = ROWS_PAY // AWAKE_PAY if awake else 1
            answer = rows_team_size(n_threads, multiplications * pays, parts)
            self._answer = asked, answer
        return answer

    def free(self) -> None:
        """Free the workspaces. The next call allocates one again."""
        self._idle.clear()

    def _workspace_for(self, step: codes.Step, rows: int = 0) -> Lent:
        """Return a workspace for training, with so many rows at least.

        Kernels store gradients unless a batch ends at once.
        """
        return Lent(self._borrow(max(step.block, rows), step.ends != codes.AT_ONCE, step.parts), self._idle)

    def _borrow(self, rows: int, gradients: bool = False, parts: int = 1) -> Workspace:
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._new_workspace(rows, gradients, parts)
        if kept.rows < rows or (gradients and not kept.machine.gradients.size) or kept.parts < parts:
            return self._new_workspace(rows, gradients, parts)
        return kept

    def _new_workspace(self, rows: int, gradients: bool, parts: int) -> Workspace:
        machine, size = self.layout.machine(self.activations, self.objective, self.use_bias, rows, self.dropout)
        apart = up_to(self.layout.size + TAIL, LINE) if gradients else 0
        needed = parts * (size + apart) + self.layout.size
        _checks.fits("layer_sizes", f"a network and {rows} rows of X at a time", needed * self.parameters.itemsize)
        machine = machine._replace(
            parameters=self.parameters,
            work_apart=size,
            gradients_apart=apart,
            gradients=aligned_zeros(parts * apart, self.parameters.dtype),
            work=self.layout.workspace(machine, size, self.parameters.dtype, self.objective.parameter, parts),
            losses=aligned_zeros(-(-rows // HEIGHT), np.float64),
        )
        return Workspace(rows, machine, parts)
