"""Tiny networks that one kernel call trains in turn, because Python would take longer than their epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._engine.layout import aligned_zeros
from .._kernels import codes
from .._library.library import is_finite
from .._training.run import AT_ONCE
from .._training.steps import Budget, step_of
from ..history import LazyHistory
from ..optimizers import LBFGS

if TYPE_CHECKING:
    from ..trainer import Trainer

Array = npt.NDArray[Any]

FIRST_BLOCKS = 20_000  # in the first call, before the speed is known: some milliseconds
FEW, MOST = 8, 64  # networks in a group


def kind(trainer: Trainer) -> Hashable:
    """Return what the networks of a group have in common; None if the network is trained alone."""
    if trainer.schedule is not None or trainer.standardize or isinstance(trainer.optimizer, LBFGS):
        return None
    engine, batch_size = trainer._state.engine, trainer.batch_size
    step = step_of(trainer._state, batch_size, np.zeros(1))
    if not engine.goes_with_others(step):
        return None
    network = engine.layout, engine.activations, engine.use_bias, engine.dropout
    return network, engine.objective, trainer.loss, batch_size, trainer.shuffle, step.rule, step.bounds


def groups(trainers: Sequence[Trainer | None], epochs: int, n_threads: int) -> list[list[int]]:
    """Return lists of the numbers of networks that are trained together. Others are alone in their lists."""
    same: dict[Hashable, list[int]] = {}
    for number, trainer in enumerate(trainers):
        alone = trainer is None or epochs == 0 or (common := kind(trainer)) is None
        same.setdefault((number,) if alone else common, []).append(number)
    cut = []
    for numbers in same.values():
        # Several groups per thread, and more for more networks, so that no thread waits long for the last one. A group
        # has no more losses than one call of fit.
        quarter, sixteenth = (-(-len(numbers) // (parts * n_threads)) for parts in (4, 16))
        most = max(1, min(max(min(FEW, quarter), sixteenth), MOST, AT_ONCE // max(epochs, 1)))
        cut += [numbers[i : i + most] for i in range(0, len(numbers), most)]
    return sorted(cut)


def train_together(
    trainers: Sequence[Trainer], data: codes.Data, epochs: int, halted: Callable[[], bool]
) -> list[LazyHistory | None]:
    """Train networks of one `kind` until they are done or halted.

    Returns
    -------
    The history of each network, or None if it diverged and was left unchanged.
    """
    first = trainers[0]
    engine, k = first._state.engine, len(trainers)
    batch_size = min(first.batch_size, len(data.X))
    step = step_of(first._state, batch_size, np.zeros(1))
    size, memory = engine.layout.size, first._state.memory
    many = codes.Many(
        parameters=aligned_zeros(k * size, first.dtype).reshape(k, -1),
        rates=np.array([[trainer.learning_rate] for trainer in trainers]),
        seeds=np.array([[trainer._state.dropout_seed] for trainer in trainers], np.uint64),
        first=aligned_zeros(k * memory.first.size, first.dtype).reshape(k, -1),
        second=aligned_zeros(k * memory.second.size, first.dtype).reshape(k, -1),
        steps=aligned_zeros(k, np.int64).reshape(k, 1),
        positions=aligned_zeros(k * 2, np.int64).reshape(k, 2),
        randoms=aligned_zeros(k, np.uint64).reshape(k, 1),
        losses=aligned_zeros(k * epochs, np.float64).reshape(k, epochs),
    )
    for i, trainer in enumerate(trainers):
        for own, start in _pairs(trainer, many, i):
            start[:] = own
    with ExitStack() as held:
        for trainer in trainers:
            held.enter_context(trainer._state.engine.exclusively())
        budget = Budget(FIRST_BLOCKS)
        while not halted():
            asked = budget.blocks
            blocks, _ = budget.spend(lambda most: engine.train_each(data, step, many, most))
            if blocks < asked:
                break
        return [_taken(trainer, many, i) for i, trainer in enumerate(trainers)]


def _pairs(trainer: Trainer, many: codes.Many, i: int) -> list[tuple[Array, Array]]:
    """Return pairs of arrays: what training changes of a trainer, and of network i."""
    own = many.parameters[i], many.first[i], many.second[i], many.steps[i], many.randoms[i]
    return list(zip(trainer._state.arrays(), own, strict=True))


def _taken(trainer: Trainer, many: codes.Many, i: int) -> LazyHistory | None:
    """Copy the result of network i into its trainer, and return its history."""
    epochs, finished = many.losses.shape[1], int(many.positions[i, codes.EPOCH])
    running = many.losses[i, finished] if finished < epochs else 0.0
    if not (math.isfinite(running) and is_finite(many.parameters[i])):
        return None
    for own, result in _pairs(trainer, many, i):
        own[:] = result
    trainer._state.stop, trainer._state.callback_states, log = False, [], LazyHistory()
    first, losses = trainer.epochs_trained + 1, many.losses[i, :finished].copy()
    for record in (log, trainer._state.history):
        record.extend(first, losses)
        record.interrupted = finished < epochs
    return log
