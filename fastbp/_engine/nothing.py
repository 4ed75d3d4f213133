"""The arguments of kernels that say: nothing of this kind. Engine compares with them, or writes them into calls."""

from __future__ import annotations

import numpy as np

from .._kernels import codes

NO_NUMBERS, NO_INTEGERS, NO_WORDS = np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint64)
NO_LOSSES = NO_NUMBERS
NO_SEED = np.uint64(0)
NO_BOUNDS = codes.Bounds(0.0, 0.0, np.inf, np.inf, np.inf)
PLAIN_RULE = codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.0)
ALONE = codes.Team(np.zeros(codes.MEETING_SIZE, np.int64), 0, 1)
NO_WATCH = codes.Watch(
    codes.Data(NO_NUMBERS, NO_NUMBERS, NO_INTEGERS, NO_INTEGERS, NO_NUMBERS, 0.0, False, 0),
    weight=NO_NUMBERS,
    losses=NO_NUMBERS,
    best=NO_NUMBERS,
    counts=NO_INTEGERS,
    patience=0,
    min_delta=0.0,
    parameters=NO_NUMBERS,
    start=codes.Start(NO_NUMBERS, NO_NUMBERS, NO_NUMBERS, NO_INTEGERS, NO_WORDS),
)

NO_MANY = codes.Many(
    NO_NUMBERS,
    rates=NO_NUMBERS,
    seeds=NO_WORDS,
    first=NO_NUMBERS,
    second=NO_NUMBERS,
    steps=NO_INTEGERS,
    positions=NO_INTEGERS,
    randoms=NO_WORDS,
    losses=NO_NUMBERS,
)


def ends_of(step: codes.Step) -> int:
    """Return how a batch ends in training: at once if it is one block and its step is plain gradient descent."""
    plain = step.rule == PLAIN_RULE and step.bounds == NO_BOUNDS and step.alpha == 0
    return codes.AT_ONCE if plain and step.block >= step.batch_size else codes.AFTER_BATCH
