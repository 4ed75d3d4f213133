"""Kernel calls: the settings of an update, and how much a call does, so that Ctrl-C and callbacks come in time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._kernels.tuning import BLOCK
from .state import State

Array = npt.NDArray[Any]

CHUNK_SECONDS = 0.1  # target duration of a kernel call; Ctrl-C, progress and callbacks are handled between calls
FIRST_CHUNK = 4e8  # weights times samples in the first kernel call, before the speed is known


class Budget:
    """The number of blocks that the next kernel call may do. It follows the speed of the last call.

    Parameters
    ----------
    blocks : for the first call
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks

    def spend(self, call: Callable[..., int], *args: Any, most: int | None = None) -> tuple[int, float]:
        """Call a kernel; its last argument is the budget, at most `most`. Return the blocks done, and the seconds."""
        started = perf_counter()
        blocks = call(*args, self.blocks if most is None else min(self.blocks, most))
        seconds = perf_counter() - started
        self.blocks = 1 + int(blocks / seconds * CHUNK_SECONDS)
        return blocks, seconds


def first_budget(state: State, block: int) -> Budget:
    """Return the budget before the speed is known, for blocks of so many samples."""
    return Budget(1 + int(FIRST_CHUNK / (block * state.network.n_parameters)))


def block_of(state: State, batch_size: int) -> int:
    """Return the rows of a block. Batch norm needs all of a batch.

    A batch of up to two blocks is one block instead, because plain SGD then stores no gradients.
    """
    whole = state.network.has_batch_norm or batch_size <= 2 * BLOCK
    return batch_size if whole else BLOCK


def step_of(state: State, batch_size: int, rates: Array) -> codes.Step:
    """Return the settings of an update, with the learning rate of each batch of an epoch."""
    block, seed = block_of(state, batch_size), np.uint64(state.dropout_seed)
    return codes.Step(state.optimizer.rule(), state.bounds, rates, seed, batch_size, block)


def constant_step(state: State, batch_size: int, rate: float) -> codes.Step:
    """Return the settings of updates with one learning rate: the same object as before if nothing has changed."""
    key = batch_size, rate, state.dropout_seed
    if state.last_step is None or state.last_step[0] != key:
        state.last_step = key, step_of(state, batch_size, np.array([rate]))
    return state.last_step[1]


def start_of(state: State, epochs: int) -> codes.Progress:
    """Return the progress before some epochs. For one epoch it is always the same object, to make short calls fast."""
    at = state.last_progress
    if at is None or epochs != 1:
        at = codes.Progress(np.zeros(2, np.int64), state.random, np.zeros(epochs))
        if epochs == 1:
            state.last_progress = at
        return at
    at.position.fill(0)
    at.losses.fill(0)
    return at


def drops_last(state: State) -> bool:
    """Return whether an epoch leaves out a last batch that is short."""
    return state.settings is not None and state.settings.drop_last


def batches_of(state: State, n: int) -> int:
    """Return the number of batches in an epoch over n samples."""
    batch_size = min(state.batch_size, n)
    return n // batch_size if drops_last(state) else -(-n // batch_size)


def whole_batches(state: State, data: codes.Data, batch_size: int) -> codes.Data:
    """Return a part of a Stream without a last batch that is short, if such a batch is left out."""
    n = len(data.X) // batch_size * batch_size
    if not drops_last(state) or n == len(data.X):
        return data
    weights = data.weights[:n]
    return data._replace(
        X=data.X[:n],
        targets=data.targets[:n],
        labels=data.labels[:n],
        weights=weights,
        weight=float(weights.sum(dtype=np.float64)) if weights.size else float(n),
        n=n,
    )


def with_factors(step: codes.Step, factors: tuple[Array, Array] | None) -> Any:
    """Return a step with factors of the weight decay and of the dropout of each batch, if there are schedules."""
    if factors is None:
        return step
    from .._engine.graph_engine import GraphStep

    return GraphStep(step, *factors)


def blocks_before(sample: int, step: codes.Step) -> int:
    """Return the number of blocks of an epoch before a sample at which a block starts or the epoch ends."""
    if sample == 0:
        return 0
    batches, rest = divmod(int(sample), step.batch_size)
    return batches * -(-step.batch_size // step.block) + -(-rest // step.block)
