"""Several networks that train on different rows of a table, and the one network that they become.

Each network keeps the epoch that predicts a part of the rows best on which it doesn't train. The parts don't overlap,
so most rows, or all, are predicted by a network that has not seen them. The networks then become one: their hidden
units lie side by side, and its output, before its activation, is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files.columns import Categories, Numbers, Table
from ..callbacks import EarlyStopping
from ..history import History, LazyHistory
from ..many import Outcome, fit_many
from ..trainer import Trainer
from . import folds
from .fitting import Samples, balanced_weights
from .plan import Plan
from .split import Rows

Array = npt.NDArray[Any]

TINY = 1e-7  # the least probability whose logarithm counts
ENOUGH = 1_000  # rows that validate the first networks of each plan, so that they alone decide


@dataclass(frozen=True)
class Joined:
    """What several networks gave.

    Attributes
    ----------
    trainer : has the network that they became
    plan : of each of them
    losses : of each plan that was tried, from rows that the networks did not train on; by `Plan.kind`
    validated : numbers of the rows that validated
    output : their predictions, each by the network that did not train on the row
    ending : how their training ended, one of `ENDINGS`
    best_epochs : the epoch whose weights each of them had
    """

    trainer: Trainer
    plan: Plan
    losses: dict[str, float]
    validated: Rows
    output: Array
    ending: str
    best_epochs: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """What networks train on.

    Attributes
    ----------
    table : what the columns are
    samples : all rows
    parts : the rows that train and those that validate, for each network
    class_weight : "balanced" or None
    seed : of everything that is random
    n_threads : of all networks together
    """

    table: Table
    samples: Samples
    parts: Sequence[tuple[Rows, Rows]]
    class_weight: str | None
    seed: int
    n_threads: int | str

    def weights(self) -> npt.NDArray[np.float64] | None:
        """Return the weight of each class, if there is one."""
        n_classes = self.table.target.width if isinstance(self.table.target, Categories) else 0
        return balanced_weights(self.samples.y, n_classes) if self.class_weight else None

    def losses(self, rows: Rows, output: Array) -> npt.NDArray[np.float64]:
        """Return the loss of each prediction of some rows."""
        y = self.samples.y[rows]
        if isinstance(self.table.target, Numbers):
            return (output[:, 0].astype(np.float64) - y) ** 2 / 2
        classes = y.astype(np.int64)
        chances = np.hstack([1 - output, output]) if output.shape[1] == 1 else output
        losses = -np.log(np.maximum(chances[np.arange(len(rows)), classes], TINY, dtype=np.float64))
        weights = self.weights()
        return losses if weights is None else losses * weights[classes]


@dataclass(frozen=True)
class Tried:
    """The networks of a plan.

    Attributes
    ----------
    plan : the plan
    outcomes : of the networks that have trained
    rows : numbers of the rows that validate them
    output : what they predict for these rows
    losses : of these predictions
    interrupted : whether Ctrl-C came
    """

    plan: Plan
    outcomes: list[Outcome]
    rows: Rows
    output: Array
    losses: npt.NDArray[np.float64]
    interrupted: bool

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())


def parts_of(groups: Rows, fraction: float, count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Return the rows that train and those that validate, for each network; the validating parts don't overlap.

    Parameters
    ----------
    groups : (n,) from `strata`
    fraction : of the rows that validate each network
    count : the most networks
    """
    return list(islice(folds.parts(groups, max(2, round(1 / fraction)), seed), count))


def joined(task: Task, plans: Sequence[Plan], *, verbose: int) -> Joined:
    """Train networks of each plan, and join those of the best plan.

    Parameters
    ----------
    plans : all with the same epochs and patience
    verbose : as in `fit_many`
    """
    numbers = range(len(task.parts))
    enough = len(plans) > 1 and len(task.parts[0][1]) >= ENOUGH
    best, losses = _best(task, plans, numbers[:1] if enough else numbers, verbose)
    if enough and not best.interrupted:
        more = _fitted(task, [best.plan], numbers[1:], verbose)
        best = _tried(task, best.plan, [*best.outcomes, *more]) or best
    if best.interrupted:
        ending = "interrupted"
    else:
        ending = "patience" if all(one.epochs < best.plan.epochs for one in best.outcomes) else "epochs"
    epochs = tuple(int(np.nanargmin(one.history["val_loss"])) + 1 if one.epochs else 0 for one in best.outcomes)
    hidden = tuple(size * len(best.outcomes) for size in best.plan.hidden)
    trainer = replace(best.plan, hidden=hidden).trainer(task.table, seed=task.seed, n_threads=task.n_threads)
    join([_trainer(outcome) for outcome in best.outcomes], trainer)
    trainer._state.history = LazyHistory(_mean([outcome.history for outcome in best.outcomes], best.interrupted))
    return Joined(trainer, best.plan, losses, best.rows, best.output, ending, epochs)


def _best(task: Task, plans: Sequence[Plan], numbers: Sequence[int], verbose: int) -> tuple[Tried, dict[str, float]]:
    """Train networks of each plan for some of the parts. Return those of the best plan, and the loss of each plan."""
    outcomes, count = _fitted(task, plans, numbers, verbose), len(numbers)
    each = [outcomes[i * count : (i + 1) * count] for i in range(len(plans))]
    tried = [one for plan, those in zip(plans, each, strict=True) if (one := _tried(task, plan, those))]
    if not tried:
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        raise errors[0] if errors else KeyboardInterrupt
    best = chosen(tried)
    if any(outcome.interrupted for outcome in outcomes):
        best = replace(best, interrupted=True)
    return best, {one.plan.kind: one.loss for one in tried}


def _tried(task: Task, plan: Plan, outcomes: Sequence[Outcome]) -> Tried | None:
    """Return what the networks of a plan gave for the first parts; None if one of them failed or none has begun."""
    solved = not plan.hidden and isinstance(task.table.target, Numbers)  # before the first epoch
    begun = [one for one in zip(outcomes, task.parts, strict=False) if solved or one[0].epochs]
    if not begun or any(outcome.error for outcome in outcomes):
        return None
    rows = np.concatenate([part[1] for _, part in begun])
    order = np.argsort(rows)  # `Samples.rows` wants them in order
    outputs = [_trainer(one).predict(task.samples.validating(part[1]).X[:]) for one, part in begun]
    output = np.concatenate(outputs)[order]
    interrupted = any(outcome.interrupted for outcome in outcomes)
    losses = task.losses(rows[order], output)
    return Tried(plan, [one for one, _ in begun], rows[order], output, losses, interrupted)


def chosen(tried: Sequence[Tried]) -> Tried:
    """Return the plan with the lowest loss, or the linear model, unless the other is better by a standard error."""
    best = min(tried, key=lambda one: one.loss)
    for one in tried:
        if not one.plan.hidden and one is not best and len(one.rows) == len(best.rows):
            better = one.losses - best.losses
            if better.mean() < better.std() / np.sqrt(len(better)):
                return one
    return best


def _fitted(task: Task, plans: Sequence[Plan], numbers: Sequence[int], verbose: int) -> list[Outcome]:
    """Fit the networks of each plan, one for each of the parts with these numbers."""
    every = np.random.SeedSequence(task.seed).generate_state(len(task.parts)).tolist()
    seeds = [every[number] for number in numbers]
    training, validation = zip(*(task.samples.split(*task.parts[number]) for number in numbers), strict=True)
    weights = task.weights()
    weighted = [() if weights is None else (weights[part.y.astype(np.int64)],) for part in validation]
    trainers = []
    for plan in plans:
        for seed, part in zip(seeds, training, strict=True):
            trainers.append(plan.trainer(task.table, seed=seed))
            if not plan.hidden and isinstance(task.table.target, Numbers):
                trainers[-1].set_weights(least_squares(part, trainers[-1]._state.bounds.l2))
    again = len(plans)
    return fit_many(
        trainers,
        [part.X for part in training] * again,
        [part.y for part in training] * again,
        epochs=plans[0].epochs,
        callbacks=[] if plans[0].patience is None else [EarlyStopping(patience=plans[0].patience)],
        class_weight=None if weights is None else dict(enumerate(weights.tolist())),
        validation_data=[(part.X, part.y, *weight) for part, weight in zip(validation, weighted, strict=True)] * again,
        n_threads=task.n_threads,
        verbose=verbose,
    )


def _trainer(outcome: Outcome) -> Trainer:
    assert outcome.trainer is not None
    return outcome.trainer


def least_squares(samples: Samples, l2: float) -> list[Array]:
    """Return the weights and the bias of the linear model with the lowest penalized squared error."""
    X = np.hstack([samples.X[:], np.ones((len(samples), 1))], dtype=np.float64)
    normal = X.T @ X
    normal[np.arange(len(normal) - 1), np.arange(len(normal) - 1)] += l2 * len(samples)
    solution = np.linalg.lstsq(normal, X.T @ samples.y.astype(np.float64))[0]
    return [solution[None, :-1], solution[-1:]]


def join(parts: Sequence[Trainer], whole: Trainer) -> None:
    """Give a network the weights of several of the same shape, so that its output is the mean of theirs.

    Parameters
    ----------
    parts : with the same layers
    whole : the same layers, but as many times as many units in each hidden one
    """
    weights = [part.get_weights() for part in parts]
    new = [np.zeros_like(array) for array in whole.get_weights()]
    last = len(new) - 2
    for l in range(0, len(new), 2):
        for i, each in enumerate(weights):
            n, p = each[l].shape  # units of this layer, and of the one before
            units = slice(i * n, (i + 1) * n) if l < last else slice(None)
            before = slice(i * p, (i + 1) * p) if l else slice(None)
            share = len(parts) if l == last else 1
            new[l][units, before] += each[l] / share
            new[l + 1][units] += each[l + 1] / share
    whole.set_weights(new)


def _mean(histories: Sequence[History], interrupted: bool) -> History:
    """Return the mean of each epoch over the networks that still trained."""
    n = max(len(history.epochs) for history in histories)
    columns = {}
    for name in histories[0] if n else ():
        each = np.full((len(histories), n), np.nan)
        for row, history in zip(each, histories, strict=True):
            row[: len(history[name])] = history[name]
        known = (~np.isnan(each)).sum(axis=0)  # none in an epoch that Ctrl-C ended
        columns[name] = np.where(known, np.nansum(each, axis=0) / np.maximum(known, 1), np.nan).tolist()
    return History.restored(columns, range(1, n + 1), interrupted)
