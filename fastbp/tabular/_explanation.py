"""Contributions of the columns to what an ensemble predicts: Shapley values by sampled orders of the columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns

Array = npt.NDArray[Any]
Predict = Callable[[RawColumns], Array]  # the numbers to explain, (n, k), for rows

BACKGROUND = 32  # training rows, each with an order of its own
MIXTURES = 4096  # rows to predict at once


def shapley(
    predict: Predict, rows: RawColumns, background: RawColumns, random: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return the contributions of each column, the predictions, and the mean prediction of the background.

    For each row of the background, the columns take the values of the explained row one after another, in a random
    order. A column's contribution is the mean change of the prediction at its turn (Štrumbelj and Kononenko, 2014). The
    changes of one order add up to the difference between the two predictions, so the contributions add up exactly.
    Every second order is the reverse of the one before, which makes the result more precise.

    Parameters
    ----------
    predict : returns (n, k) numbers for rows
    rows : the m rows to explain
    background : b rows with the same p columns

    Returns
    -------
    values : (m, p, k)
    outputs : (m, k)
    baseline : (k,)
    """
    b, p = len(background), len(rows.names)
    if p == 0:
        outputs = predict(rows)
        return np.zeros((len(rows), 0, outputs.shape[1])), outputs, outputs[0]
    orders = np.array([random.permutation(p) for _ in range((b + 1) // 2)]).reshape(-1, p)
    orders = np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, p)[:b]
    turns = np.argsort(orders, axis=1)  # of each column, (b, p)
    first, outputs = predict(background), predict(rows)
    values = np.zeros((len(rows), p, first.shape[1]))
    steps = np.arange(1, p)
    flags = (turns[:, None, :] < steps[None, :, None]).reshape(-1, p)  # (b · (p − 1), p), the columns that have changed
    which = np.repeat(np.arange(b), p - 1)
    for i in range(len(rows)):
        path = np.empty((b, p + 1, first.shape[1]))
        path[:, 0], path[:, p] = first, outputs[i]
        middle = np.empty((len(flags), first.shape[1]))
        for start in range(0, len(flags), MIXTURES):
            part = slice(start, start + MIXTURES)
            these = background.take(which[part])
            row = rows.take(np.full(len(these), i))
            middle[part] = predict(these.mixed(row, flags[part]))
        path[:, 1:p] = middle.reshape(b, p - 1, -1)
        changes = np.diff(path, axis=1)
        values[i] = np.take_along_axis(changes, turns[:, :, None], axis=1).mean(axis=0)
    return values, outputs, first.mean(axis=0)
