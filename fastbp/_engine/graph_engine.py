"""GraphEngine: runs the kernels for a network of layers, as Engine does for a plain network."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.calls import EvaluateCall, TrainCall, slot_of
from .._kernels.graph import nodes
from .._kernels.graph.nodes import GraphCall, GraphEvaluateCall, PullCall
from .._kernels.tuning import BLOCK, CALL_MULTIPLICATIONS, HEIGHT
from .._library.library import library
from .._library.slots import Slots, address_of
from .engine import TAIL, Engine
from .graph_layout import GraphLayout
from .layout import aligned_zeros
from .nothing import NO_BOUNDS, NO_NUMBERS, NO_SEED, NO_WATCH, PLAIN_RULE
from .pool import by_team
from .workspace import Workspace

Array = npt.NDArray[Any]
Reals = npt.NDArray[np.float64]

KINDS = {TrainCall: GraphCall, EvaluateCall: GraphEvaluateCall}
ONE = np.ones(1)
DECAYS, DROPOUTS = (slot_of(GraphCall, "graph", name) for name in ("decays", "dropouts"))


class GraphOptions(NamedTuple):
    """What only networks of layers have."""

    factors: Reals | None = None  # (T, 2) of η and of the weight decay, for each parameter of the plan
    ema: float = 0.0  # the moving average of the parameters ← ema · average + (1 − ema) · parameters
    average: Array | None = None  # (layout.size,) that average, if there is one: it predicts
    drops_last: bool = False  # whether epochs leave out a last batch that is short


PLAIN = GraphOptions()


class GraphStep(NamedTuple):
    """A step with factors that change from batch to batch."""

    step: codes.Step
    decays: Reals = ONE  # of the weight decay, for each batch as Step.rates
    dropouts: Reals = ONE  # of the rates of dropout


class GraphWorkspace(Workspace):
    """The memory for a kernel call, with the records that describe it.

    Parameters
    ----------
    rows : the most rows of a block
    machine : the network and the memory
    graph : its operations
    pulls : its operations if the way back goes down to X
    """

    def __init__(self, rows: int, machine: codes.Machine, graph: nodes.Graph, pulls: nodes.Graph) -> None:
        super().__init__(rows, machine)
        self.graph, self.pulls = graph, pulls

    def _new_call(self, kind: Any) -> Slots:
        slots = Slots(KINDS.get(kind, kind))
        slots.write("machine", self.machine)
        slots.write("graph", self.pulls if kind is PullCall else self.graph)
        return slots


class GraphEngine(Engine):
    """The kernels of a network of layers.

    Parameters
    ----------
    layout : the places of the parameters
    parameters : the buffer that training moves, of layout.size numbers
    objective : the loss
    options : what only such networks have
    """

    layout: GraphLayout  # type: ignore[assignment]
    _by_blocks = True

    def __init__(
        self, layout: GraphLayout, parameters: Array, objective: codes.Objective, options: GraphOptions = PLAIN
    ) -> None:
        super().__init__(layout, parameters, (layout.plan.output,), objective, use_bias=True)  # type: ignore[arg-type]
        self.options = options
        factors = options.factors
        if factors is None:
            factors = np.array([(1.0, parameter.decayed) for parameter in layout.plan.parameters])
        self._factors: Reals = np.asarray(factors, np.float64).reshape(-1, 2)
        self._schedules = GraphStep(None)  # type: ignore[arg-type]

    def load(self) -> None:
        """Load the kernels. They are built if no file has them."""
        if self._library is None:
            self._library = library(self.parameters.dtype.name, "graph")

    def goes_with_others(self, step: codes.Step) -> bool:
        """Return False: only tiny plain networks train together in one call."""
        return False

    def gradients(self, data: codes.Data) -> tuple[float, list[Array], list[Array]]:
        """Return J and the gradients of all AFFINE operations over all samples as one batch, as Engine does."""
        loss, gradients = self._gradients(data)
        return loss, self.layout.weight_views(gradients), self.layout.bias_views(gradients)

    def named_gradients(self, data: codes.Data) -> tuple[float, dict[str, Array]]:
        """Return J and its gradients by the names of the parameters, for those that training changes."""
        loss, gradients = self._gradients(data)
        views = self.layout.views(gradients)
        return loss, {
            parameter.name: views[parameter.name] for parameter in self.layout.plan.parameters if parameter.trained
        }

    def _gradients(self, data: codes.Data) -> tuple[float, Array]:
        """Return J and the buffer of its gradients, which are 0 for parameters that don't learn."""
        n = len(data.X)
        block = n if self.layout.whole_batch else min(n, BLOCK)
        step = codes.Step(PLAIN_RULE, NO_BOUNDS, np.zeros(1), NO_SEED, n, block, ends=codes.NEVER)
        progress = codes.Progress(np.zeros(2, np.int64), np.zeros(1, np.uint64), np.zeros(1))
        self._schedules = GraphStep(step)
        with self._workspace_for(step) as workspace:
            workspace.machine.gradients[:] = 0
            call = workspace.call(TrainCall)
            self._fill(call, data, self._no_memory, step, progress)
            call.keep("watch", NO_WATCH)
            call.write("budget", 1 + int(CALL_MULTIPLICATIONS / (3 * self.multiplications * block)))
            while progress.position[codes.EPOCH] == 0 and np.isfinite(progress.losses[0]):
                by_team(self.library.train, call, 1)
            gradients = workspace.machine.gradients[: self.layout.size].copy()
        if progress.position[codes.EPOCH] == 0 and block < n:  # the last blocks are missing if J isn't finite
            gradients.fill(np.nan)
        return float(progress.losses[0]), gradients

    def _decided(self, step: Any) -> codes.Step:
        """Return the step with how a batch ends, and remember its schedules."""
        self._schedules = step if isinstance(step, GraphStep) else GraphStep(step)
        plain = self._schedules.step
        given, decided = self._latest_step
        if given is not plain:
            block = plain.batch_size if self.layout.whole_batch else plain.block
            decided = plain._replace(ends=codes.AFTER_BATCH, block=block)
            self._latest_step = plain, decided
        return decided

    def _fill(  # type: ignore[override]
        self, call: Slots, data: codes.Data, memory: codes.Memory, step: codes.Step, progress: codes.Progress
    ) -> None:
        Engine._fill(call, data, memory, step, progress)
        for slot, run in ((DECAYS, self._schedules.decays), (DROPOUTS, self._schedules.dropouts)):
            call.integers[slot], call.integers[slot + 1] = address_of(run), run.size

    def part(  # type: ignore[override]
        self, data: codes.Data, memory: codes.Memory, step: Any, n_threads: int | str
    ) -> AbstractContextManager[tuple[Array, float, Callable[[float], float]]]:
        """Return the context of `Engine.part`, for a Step or a GraphStep."""
        self._schedules = step if isinstance(step, GraphStep) else GraphStep(step)
        return super().part(data, memory, self._schedules.step, n_threads)

    def pull(
        self, data: codes.Data, mode: int, vectors: Array | None = None, n_threads: int | str = "auto"
    ) -> Array | None:
        """Return derivatives by X; None if X isn't finite. Everything else must be checked before.

        mode: OF_LOSS for ∂J/∂X, (n, n_1), with J over all rows; OF_VECTORS for V ∂aᴸ/∂X, (n, n_1), with V of (n, n_L);
        OF_OUTPUTS for ∂aᴸ/∂X, (n, n_L, n_1). Statistics are the running ones.
        """
        n, n_in = data.n, self.layout.plan.tensors[0]
        shape = (n, self.n_out, n_in) if mode == nodes.OF_OUTPUTS else (n, n_in)
        _checks.fits("X", f"derivatives for {n} rows", math.prod(shape) * self.parameters.itemsize)
        output = np.empty(shape, self.parameters.dtype)
        given: Any = NO_NUMBERS if vectors is None else vectors
        fields = {"data": data._replace(order=data.chosen), "mode": mode, "weight": data.weight}
        fields |= {"vectors": given, "output": output}
        passes = 1 + 2 * (self.n_out if mode == nodes.OF_OUTPUTS else 1)
        finite = self._in_ranges(self.library.pull, PullCall, fields, self.multiplications * passes, n_threads)
        return output if finite else None

    def _new_workspace(self, rows: int, gradients: bool, parts: int = 1) -> Workspace:
        layout, dtype = self.layout, self.parameters.dtype
        memory = layout.memory(self.objective, rows)
        needed = memory.size + layout.size * (1 + gradients) + TAIL
        _checks.fits("layers", f"a network and {rows} rows of X at a time", needed * dtype.itemsize)
        machine = memory.machine._replace(
            parameters=self.parameters,
            gradients=aligned_zeros(layout.size + TAIL if gradients else 0, dtype),
            work=layout.workspace(memory.machine, memory.size, dtype, self.objective.parameter),
            losses=aligned_zeros(-(-rows // HEIGHT), np.float64),
        )
        options = self.options
        average = np.empty(0, dtype) if options.average is None else options.average
        graphs = (
            layout.graph(memory, self._factors, average, options.ema, options.drops_last, pulls)
            for pulls in (False, True)
        )
        return GraphWorkspace(rows, machine, *graphs)
