"""The order in which configurations are tried: chosen greedily from what they predicted for several tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastbp.tabular._blend import greedy_weights
from fastbp.tabular._objectives import objective_of

STEPS = 20  # of the greedy weighting
RANDOM = 5  # random orders to compare with


@dataclass(frozen=True)
class Measured:
    """What the linear model (0) and candidates (1 …) predicted for a table.

    Attributes
    ----------
    table : its name
    classes : whether the target is classes
    oof, test : (m, n), the probability of the row's class, or the number; `test` of rows that nothing was trained on
    seconds : (m,), processor time
    y, test_y : the numbers, or zeros
    """

    table: str
    classes: bool
    oof: np.ndarray
    test: np.ndarray
    seconds: np.ndarray
    y: np.ndarray
    test_y: np.ndarray

    def losses(self, members: Sequence[int]) -> tuple[float, float]:
        """Return the log of the loss of the weighted members, out-of-fold and on the test rows."""
        objective = objective_of("log_loss" if self.classes else "rmse", classes=self.classes)
        oof, test = ([self._of(values[j]) for j in members] for values in (self.oof, self.test))
        weights = greedy_weights(oof, self.y, objective, steps=STEPS)
        both = []
        for predictions, y in ((oof, self.y), (test, self.test_y)):
            mixed = sum(w * p for w, p in zip(weights, predictions, strict=True) if w)
            both.append(float(np.log(objective.loss(y, mixed))))
        return both[0], both[1]

    def _of(self, values: np.ndarray) -> np.ndarray:
        """Return probabilities with one column, that of the row's class; or numbers."""
        return values[:, None].astype(np.float64) if self.classes else values.astype(np.float64)


def chosen(results: Sequence[Measured], length: int, thrift: float) -> tuple[list[int], list[float]]:
    """Return the numbers of candidates in order, and the mean log of the relative loss after each.

    The next one is that which lowers the mean, over the tables, of the log of the ensemble's out-of-fold loss most,
    divided by the time that it takes to the power of `thrift`. A time is relative to the median of the table.
    """
    tried = [0]
    present = np.array([one.losses(tried)[0] for one in results])
    start = present.copy()
    times = np.mean([one.seconds[1:] / np.median(one.seconds[1:]) for one in results], axis=0)
    order, reached = [], []
    left = set(range(len(times)))
    while left and len(order) < length:
        after = {j: np.array([one.losses([*tried, j + 1])[0] for one in results]) for j in left}
        gains = {j: float((present - losses).mean()) for j, losses in after.items()}
        best = max(sorted(left), key=lambda j: gains[j] / times[j] ** (thrift if gains[j] > 0 else 0))
        present = after[best]
        left.remove(best)
        order.append(best)
        tried.append(best + 1)
        reached.append(float((present - start).mean()))
    return order, reached


def orders_compared(
    results: Sequence[Measured], lengths: Sequence[int], thrift: float, seed: int
) -> dict[str, list[float]]:
    """Return the mean change of the test loss, from the linear model, by the first configurations of several orders.

    "its tables" chose the order; "other tables": of each table, all but it chose; "random": the mean of random orders.
    """
    length = max(lengths)
    whole, _ = chosen(results, length, thrift)
    others = [chosen([one for one in results if one is not left_out], length, thrift)[0] for left_out in results]
    rng = np.random.default_rng(seed)
    n = len(results[0].seconds) - 1
    random = [[rng.permutation(n)[:length] for _ in range(RANDOM)] for _ in results]
    start = [one.losses([0])[1] for one in results]

    def change(orders: Sequence[Sequence[Sequence[int]]]) -> list[float]:
        found = []
        for k in lengths:
            each = [
                np.mean([one.losses([0, *(j + 1 for j in order[:k])])[1] for order in several]) - first
                for one, several, first in zip(results, orders, start, strict=True)
            ]
            found.append(float(np.expm1(np.mean(each))))
        return found

    return {
        "its tables": change([[whole]] * len(results)),
        "other tables": change([[order] for order in others]),
        "random": change(random),
    }
