"""A run of fit in which processes share each batch: each computes its rows, and all add up the gradients."""

from __future__ import annotations

import math
import signal
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._kernels.levels import REGISTER
from .._kernels.tuning import BLOCK
from ..distributed import Ranks
from ..losses import Loss, losses_with
from ..streams._feed import Feed
from .batches import Batches
from .intake import Source
from .measures import measured_of
from .passes import OutOfTime
from .run import Run, stopped
from .steps import CHUNK_SECONDS, batches_of, drops_last, step_of, with_factors

Array = npt.NDArray[Any]

MAY_DIFFER = ("seed", "n_threads", "epsilon")  # options that ranks need not share; `Ranks.seed` compares the seeds
GIVEN_UP = -2  # stands for the number of rows if a rank stopped waiting for a batch


class SharedRun(Run):
    """A run in which each rank computes its rows of every batch, and all update with the sum of the gradients.

    Only the first rank's callbacks are called. Their changes of weights, rates and batch sizes apply on all ranks.
    """

    by_epochs = True
    wants = ""  # why this rank wants to end the fit, or ""
    ending = False  # whether some rank wanted to end it at the last batch
    shown = 0.0  # when callbacks were last called with the progress

    @property
    def ranks(self) -> Ranks:
        """The ranks of the state."""
        assert self.state.ranks is not None
        return self.state.ranks

    @property
    def speaks(self) -> bool:  # type: ignore[override]
        """Whether this is the first rank, which alone prints."""
        return self.ranks.rank == 0

    def ends(self) -> ExitStack:
        return ExitStack()

    def begin(self, ends: ExitStack | None, source: Source, validation: codes.Data | Feed | None, metrics: Any) -> None:
        assert ends is not None
        ranks = self.ranks
        self._meet(source, validation, metrics)
        self._take_the_first_ranks_state()
        self.reports_rate = ranks.of_first(lambda: self.reports_rate)
        ends.enter_context(self._interrupts_wait())
        ends.callback(self._take_the_first_ranks_state)  # after callbacks that restore weights
        ranks.of_first(lambda: super(SharedRun, self).begin(ends, source, validation, metrics))
        self._take_the_first_ranks_state()  # the callbacks may have changed it

    def _meet(self, source: Source, validation: codes.Data | Feed | None, metrics: Any) -> None:
        """Raise an error on all ranks if they can't train together."""
        self.ranks.meet(self._facts(source, validation, metrics))

    def _facts(self, source: Source, validation: codes.Data | Feed | None, metrics: Any) -> dict[str, str]:
        """Return what must be the same on all ranks, by argument."""
        state = self.state
        options = {name: _told(value) for name, value in state.options().items() if name not in MAY_DIFFER}
        return options | {
            "sharded": repr(not self.has_all),
            "epochs": repr(self.epochs),
            "initial_epoch": repr(self.before),
            "epochs trained before": repr(state.epochs_trained),
            "X, y or sample_weight": self._seen(source),
            "validation_data": "None" if validation is None else _shown(validation),
            "metrics": f"{len(metrics)} of them",
            "names of X's and y's columns": repr(tuple(state.column_names)),
            "means and deviations": "" if state.scaling is None else repr(state.scaling.record()),
            "bytes of the processor's vectors": f"{REGISTER}",  # they decide how parameters are padded
        }

    def _seen(self, source: Source) -> str:
        """Return what must be the same about the training samples."""
        return _shown(source)

    def go(self, *arguments: Any) -> None:
        try:
            super().go(*arguments)
        except BaseException as error:
            self.ranks.end_unless_agreed(error)
            raise

    def train_on_batch(self, data: codes.Data, rate: float) -> float:
        self.ranks.meet({"X, y or sample_weight": _shown(data), "learning_rate": repr(rate)})
        return super().train_on_batch(data, rate)

    def over_batches(self, batches: Iterable[codes.Data], steps: int | None, done: int) -> None:
        super().over_batches(self._alike(iter(batches)), steps, done)

    def _alike(self, batches: Iterator[codes.Data]) -> Iterator[codes.Data]:
        """Yield the batches, which must be as many, with the same numbers of rows, on all ranks."""
        while True:
            data, count = self.ranks.each(lambda: _next(batches))
            counts = self.ranks.comm.allgather(count)
            if GIVEN_UP in counts:
                self._end()
            self.ranks.same("rows of a batch (−1: there is none)", counts)
            if data is None:
                return
            yield data

    def measure(self, data: codes.Data | Feed, metrics: Any) -> dict[str, float]:
        """Evaluate a part of the rows on each rank; the first computes the result, and alone evaluates a Stream."""
        if isinstance(data, Feed):
            return cast("dict[str, float]", self.ranks.of_first(lambda: super(SharedRun, self).measure(data, metrics)))
        ranks, state, n = self.ranks, self.state, len(data.X)
        blocks = -(-n // BLOCK)
        start, stop = (min(blocks * r // ranks.size * BLOCK, n) for r in (ranks.rank, ranks.rank + 1))
        rows = slice(start, stop)
        part = data._replace(
            X=data.X[rows],
            targets=data.targets[rows],
            labels=data.labels[rows],
            weights=data.weights[rows],
            n=max(0, stop - start),
        )
        mine: tuple[float, Array | None] = 0.0, None
        if start < stop:
            J, output = state.engine.evaluate(part, state.n_threads, predictions=bool(metrics))
            mine = J, output if metrics else None
        parts = ranks.comm.gather(mine, root=0)

        def measured() -> dict[str, float]:
            outputs = [output for _, output in parts if output is not None]
            none = np.empty((0, state.network.layer_sizes[-1]), state.network.dtype)
            whole = np.concatenate(outputs) if outputs else none
            return measured_of(state, data, metrics, math.fsum(J for J, _ in parts), whole)

        return cast("dict[str, float]", ranks.of_first(measured))

    def stopped(self) -> bool:
        state, ranks = self.state, self.ranks
        parameters = state.network.trained
        digest = zlib.crc32(parameters.data)
        ranks.same("a digest of the weights", ranks.comm.allgather(digest))

        def told() -> tuple[Any, ...]:
            ends = stopped(self.told, self.callbacks, self.history)
            return ends, state.learning_rate, state.batch_size, zlib.crc32(parameters.data) != digest

        ends, state.learning_rate, state.batch_size, changed = ranks.of_first(told)
        if changed:
            ranks.comm.Bcast(parameters, root=0)
        return bool(ends)

    def _calls(self, data: codes.Data, step: codes.Step, at: codes.Progress, done: float, share: float = 1.0) -> None:
        """Train for an epoch, or a slab of one, batch by batch."""
        data, total = self._ordered(data, at.random), float(at.losses[0])
        n = batches_of(self.state, len(data.X)) * step.batch_size
        if drops_last(self.state) and n < len(data.X):
            data = data._replace(weight=weight_of(data, 0, n))
        for k, (part, over) in enumerate(self._parts(data, step.batch_size)):
            total += self._share(data, step, part, float(step.rates[min(k, len(step.rates) - 1)]), k)
            at.losses[0] = total if over < 1 else total / data.weight
            if not math.isfinite(total):
                return
            at.position[:] = (0, k + 1) if over < 1 else (1, 0)
            self._between_calls(done + share * over, True)

    def _ordered(self, data: codes.Data, random: npt.NDArray[np.uint64]) -> codes.Data:
        """Return the data in the order of the next epoch."""
        return self.state.engine.reordered(data, random)

    def _parts(self, data: codes.Data, batch_size: int) -> Iterator[tuple[codes.Part, float]]:
        """Yield the rank's part of each batch, and which share of the data is done after it."""
        n = len(data.X)
        n = n // batch_size * batch_size if drops_last(self.state) else n
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            yield self._part(data, start, stop), stop / n

    def _part(self, data: codes.Data, start: int, stop: int) -> codes.Part:
        """Return the rank's part of the rows start … stop in the epoch's order."""
        first, last = (start + (stop - start) * r // self.ranks.size for r in (self.ranks.rank, self.ranks.rank + 1))
        return codes.Part(first, last, first - start, weight_of(data, start, stop))

    def _descend(self, data: codes.Data, rate: float) -> float:
        n = len(data.X)
        total = self._share(data, step_of(self.state, n, np.array([rate])), self._part(data, 0, n), rate)
        return total / data.weight if data.weight > 0 else total

    def _share(self, data: codes.Data, step: codes.Step, part: codes.Part, rate: float, k: int = 0) -> float:
        """Update once with a batch, of which this rank computes its part. Return the sum of J over the whole batch."""
        state, ranks, weight = self.state, self.ranks, part.weight
        if ranks.rank == 0 and perf_counter() > self.deadline:
            self.wants = self.wants or "time"
        step = step._replace(part=part, block=max(1, min(BLOCK, part.stop - part.first)))
        factors = self.factors
        if factors is not None:
            decays, dropouts = (run[min(k, len(run) - 1) :][:1] for run in factors)
            factors = decays, dropouts
        with state.engine.part(data, state.memory, with_factors(step, factors), state.n_threads) as (
            gradients,
            loss,
            update,
        ):
            gradients[-2:] = loss, bool(self.wants)
            ranks.comm.Allreduce(None, gradients)  # None: in place
            total, self.ending = float(gradients[-2]), bool(gradients[-1] > 0)
            return total + weight * update(rate) if math.isfinite(total) else total

    def _between_calls(self, done: float, unfinished: bool) -> None:
        if self.ranks.rank == 0 and perf_counter() - self.shown > CHUNK_SECONDS:
            super()._between_calls(done, False)
            self.shown = perf_counter()
        if unfinished:
            self._look_at_the_clock()

    def _while_waiting(self) -> None:
        """Stop waiting if this rank wants to end the fit. The ranks meet before they train with the next slab."""
        if self.wants or perf_counter() > self.deadline:
            raise OutOfTime

    def _look_at_the_clock(self) -> None:
        """End the fit on all ranks if one of them asked for it with the last sum of gradients."""
        if self.ending:
            self._end()

    def _end(self) -> NoReturn:
        """End the fit on all ranks."""
        interrupted = "interrupt" in self.ranks.comm.allgather(self.wants)
        self.ranks.fail(KeyboardInterrupt() if interrupted else OutOfTime())

    def _take_the_first_ranks_state(self) -> None:
        state, comm = self.state, self.ranks.comm
        for array in state.arrays():
            comm.Bcast(array, root=0)
        names = ("learning_rate", "batch_size", "stop", "dropout_seed", "scaling")
        for name, value in zip(names, comm.bcast([getattr(state, name) for name in names], root=0), strict=True):
            setattr(state, name, value)

    @contextmanager
    def _interrupts_wait(self) -> Iterator[None]:
        """Let Ctrl-C end the fit on all ranks after the batch. A second Ctrl-C ends the whole job at once."""
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def heard(*_: Any) -> None:
            if self.wants == "interrupt":
                raise KeyboardInterrupt
            self.wants = "interrupt"

        signal.signal(signal.SIGINT, heard)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _next(batches: Iterator[codes.Data]) -> tuple[codes.Data | None, int]:
    """Return the next batch and its number of rows; None if there is none, or if this rank stopped waiting."""
    try:
        data = next(batches, None)
    except OutOfTime:
        return None, GIVEN_UP
    return data, -1 if data is None else len(data.X)


def weight_of(data: codes.Data, start: int, stop: int) -> float:
    """Return the weight of the rows start … stop in the epoch's order."""
    if not data.weights.size:
        return float(stop - start)
    rows = data.order[start:stop] if data.order.size else slice(start, stop)
    return float(data.weights[rows].sum(dtype=np.float64))


def _told(option: Any) -> str:
    """Return an option as text that is the same in every process."""
    from ..schedules import SCHEDULES, Schedule

    known = (*losses_with(getattr(option, "name", None)).values(), *SCHEDULES.values())
    is_own = isinstance(option, Loss | Schedule) and type(option) not in known
    return type(option).__name__ if is_own else repr(option)  # the repr of a user's own contains an address


def _shown(source: Source) -> str:
    """Return the number of samples and a digest of them; for samples on disk, of about a hundred of them."""
    if isinstance(source, Feed):
        return f"{source.stream!r}"
    if isinstance(source, Batches):
        return f"batches, {source.steps} an epoch"
    n, digest = len(source.X), 0
    X = source.X[:: max(1, n // 100)] if _is_mapped(source.X) else source.X
    for array in (X, source.targets, source.labels, source.weights):
        if array.size:
            digest = zlib.crc32(np.ascontiguousarray(array).data.cast("B"), digest)
    return f"{n} rows (digest {digest:08x})"


def _is_mapped(array: Any) -> bool:
    """Return whether the array is in a mapped file, which the ranks shouldn't have to read completely."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False
