"""Linear models as members of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns
from ._linear import LinearFit, fit_linear, predict_linear_folds
from ._objectives import Objective
from ._problem import PLAIN, Problem
from ._targets import TargetTransform
from ._views import View, ViewSpec

Array = npt.NDArray[Any]

RICH = ViewSpec(rank=True, log=True, means=True)
CURVED = ViewSpec(pieces=8)
VIEWS = (("scaled", PLAIN), ("with ranks and logarithms", RICH), ("piecewise", CURVED))
ITERATIONS = 100.0  # passes over the features that a fit takes, about
SPEED = 1e9  # multiplications in a second, at least
SLACK = 1.0  # seconds after the deadline that a fit may take, because there is an answer then


class LinearMember:
    """A linear model of a view, one for each fold.

    Attributes
    ----------
    name, family, oof, loss, seconds : as in `Member`
    view : what the models see
    fit : the models
    objective : what they minimize
    transform : of the target, or None
    """

    family = "linear"

    def __init__(
        self, name: str, view: View, fit: LinearFit, objective: Objective, transform: TargetTransform | None
    ) -> None:
        self.name, self.view, self.fit, self.objective, self.transform = name, view, fit, objective, transform
        self.oof: Array = np.empty(0)
        self.loss, self.seconds = np.inf, 0.0

    def spread(self, rows: RawColumns) -> Array:
        """Return the predictions of each fold's model, (f, n, k) or (f, n)."""
        predictions = predict_linear_folds(self.fit, self.view.matrix(rows), self.objective)
        return predictions if self.transform is None else self.transform.backward(predictions)

    def predict(self, rows: RawColumns) -> Array:
        """Return the mean of the models' predictions."""
        return self.spread(rows).mean(axis=0)


def linear_members(problem: Problem, deadline: float) -> list[Callable[[], LinearMember | None]]:
    """Return functions that fit the linear candidates; those but the first return None after the deadline."""
    if not problem.columns:
        return []
    targets: list[str | None] = [kind for kind in problem.transforms if kind in ("identity", "log")] or [None]
    kinds = [(name, spec, target) for target in targets for name, spec in VIEWS]
    return [partial(_fitted, problem, *kind, deadline, needed=kind == kinds[0]) for kind in kinds]


def _fitted(
    problem: Problem, name: str, spec: ViewSpec, target: str | None, deadline: float, *, needed: bool
) -> LinearMember | None:
    """Return a linear member; None if there is no time for it."""
    started, worked = perf_counter(), thread_time()
    if started > deadline and not needed:
        return None
    work = ITERATIONS * len(problem) * problem.width(spec) * (problem.n_classes or 1)
    if started + work / SPEED > deadline + SLACK:
        return None
    view, X = problem.view(spec)
    transform = None if target is None else problem.transform(target)
    y = problem.y if transform is None else transform.forward(problem.y)
    fit = fit_linear(
        X, y, problem.folds, problem.objective, problem.weights, n_classes=problem.n_classes, deadline=deadline
    )
    name = f"linear: {name}" + (f", {target} of the target" if target not in (None, "identity") else "")
    member = LinearMember(name, view, fit, problem.objective, transform)
    member.oof = fit.oof.astype(np.float32) if transform is None else transform.backward(fit.oof)
    member.loss = problem.objective.loss(problem.y, member.oof, problem.weights)
    member.seconds = thread_time() - worked
    return member
