"""A run of fit in which each process has its own samples and contributes some to each batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from ..callbacks import Callback
from ..streams._feed import Feed
from .intake import Source
from .run import Run
from .shared_run import SharedRun, weight_of
from .state import State


class ShardedRun(SharedRun):
    """A run in which a batch has rows of every rank, in proportion to its number of samples."""

    has_all = False

    def _meet(self, source: Source, validation: codes.Data | Feed | None, metrics: Any) -> None:
        super()._meet(source, validation, metrics)
        assert isinstance(source, codes.Data)
        everyone = self.ranks.comm.allgather((len(source.X), source.weight))
        self.counts = [count for count, _ in everyone]
        self.weight = math.fsum(weight for _, weight in everyone)
        if self.weight == 0:
            expected = "a weight > 0 for some sample of some rank"
            self.ranks.fail(ValueError(_checks.wrong("sample_weight or class_weight", expected, "only 0")))

    def _seen(self, source: Source) -> str:
        assert isinstance(source, codes.Data)
        return "samples with weights" if source.weights.size else "samples without weights"

    def count(self, data: codes.Data) -> int:
        return sum(self.counts)

    def _ordered(self, data: codes.Data, random: npt.NDArray[np.uint64]) -> codes.Data:
        """Return this rank's own order. The random state advances equally on all ranks, however many rows they have."""
        if data.shuffles:
            states = np.random.SeedSequence(int(random[0])).generate_state(1 + self.ranks.size, np.uint64)
            data = self.state.engine.reordered(data, states[1 + self.ranks.rank :][:1].astype(np.uint64))
            random[:] = states[:1]
        return data._replace(weight=self.weight)

    def _parts(self, data: codes.Data, batch_size: int) -> Iterator[tuple[codes.Part, float]]:
        """Yield the parts. The k-th of K batches has the rows n k / K … n (k + 1) / K of each rank, in rank order."""
        rank, counts = self.ranks.rank, self.counts
        batches = -(-sum(counts) // batch_size)
        spans = [[(n * k // batches, n * (k + 1) // batches) for n in counts] for k in range(batches)]
        weights = np.sum(self.ranks.comm.allgather([weight_of(data, *span[rank]) for span in spans]), axis=0)
        for k, span in enumerate(spans):
            row = sum(stop - start for start, stop in span[:rank])
            first, stop = span[rank]
            yield codes.Part(first, stop, row, float(weights[k])), (k + 1) / batches


def run_of(
    state: State,
    told: Any,
    callbacks: Sequence[Callback],
    epochs: int,
    seconds: float = math.inf,
    before: int = 0,
    sharded: bool = False,
) -> Run:
    """Return a run of this process alone, or of all processes of the communicator; the arguments are those of `Run`."""
    kind = Run if state.ranks is None else ShardedRun if sharded else SharedRun
    return kind(state, told, callbacks, epochs, seconds, before)
