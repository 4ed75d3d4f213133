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
MIXTURES = 8192  # rows to predict at once


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
    first, outputs = predict(background), predict(rows)
    if p == 0:
        return np.zeros((len(rows), 0, outputs.shape[1])), outputs, first.mean(axis=0)
    orders = np.array([random.permutation(p) for _ in range((b + 1) // 2)])
    orders = np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, p)[:b]
    turns = np.argsort(orders, axis=1)  # of each column, (b, p)
    values = np.zeros((len(rows), p, first.shape[1]))
    together = max(1, MIXTURES // (b * p))
    for start in range(0, len(rows), together):
        part = rows.take(slice(start, start + together))
        path = np.empty((len(part), b, p + 1, first.shape[1]))
        path[:, :, 0], path[:, :, p] = first, outputs[start : start + together, None]
        if p > 1:
            path[:, :, 1:p] = _on_the_way(predict, part, background, turns).reshape(len(part), b, p - 1, -1)
        changes = np.take_along_axis(np.diff(path, axis=2), turns[None, :, :, None], axis=2)
        values[start : start + together] = changes.mean(axis=1)
    return values, outputs, first.mean(axis=0)


def _on_the_way(predict: Predict, rows: RawColumns, background: RawColumns, turns: Array) -> Array:
    """Return the predictions while columns change from those of the background to those of rows, (m · b · (p − 1), k).

    turns : (b, p) when each column changes, from 0
    """
    b, p = turns.shape
    flags = np.tile((turns[:, None, :] < np.arange(1, p)[None, :, None]).reshape(-1, p), (len(rows), 1))
    mixtures = background.take(np.tile(np.repeat(np.arange(b), p - 1), len(rows)))
    each = rows.take(np.repeat(np.arange(len(rows)), b * (p - 1)))
    found = []
    for start in range(0, len(flags), MIXTURES):
        part = slice(start, start + MIXTURES)
        found.append(predict(mixtures.take(part).mixed(each.take(part), flags[part])))
    return np.concatenate(found)
