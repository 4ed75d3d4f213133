"""Minimization of several smooth functions at once by L-BFGS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MEMORY = 8  # steps that the approximation of the curvature remembers
SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
NOISE = 1e-7  # relative rounding of the functions, whose sums are in float32


def minimized(
    evaluate: Callable[[Array], tuple[Array, Array]],
    start: Array,
    *,
    tolerance: float,
    iterations: int,
    deadline: float = math.inf,
    least: int = 0,
) -> Array:
    """Return points where the functions are close to their minima.

    The functions should have curvatures of about 1, so that ½ |gradient|² is about what is left to gain.

    Parameters
    ----------
    evaluate : function of points (b, d) that returns the values (b,) and gradients (b, d) of b functions
    start : (b, d), the first points
    tolerance : what may be left to gain
    iterations : how many steps to take, at most
    deadline : time of `time.perf_counter` after which no step begins
    least : steps to take even after the deadline
    """
    x = start
    value, gradient = evaluate(x)
    history: list[tuple[Array, Array, Array]] = []
    active = np.ones(len(x), bool)
    for taken in range(iterations):
        active &= 0.5 * (gradient**2).sum(axis=1) > tolerance
        if not active.any() or (taken >= least and time.perf_counter() > deadline):
            break
        direction = np.where(active[:, None], -_natural(gradient, history), 0)
        slope = (direction * gradient).sum(axis=1)
        step = np.ones(len(x))
        for _ in range(12):
            ahead = x + step[:, None] * direction
            new_value, new_gradient = evaluate(ahead)
            low = new_value <= value + SUFFICIENT * step * slope + NOISE * np.abs(value)  # False for NaN
            if low.all():
                break
            step[~low] *= 0.3
        active &= low  # where no step helps, rounding is all that is left
        ahead, new_value = np.where(low[:, None], ahead, x), np.where(low, new_value, value)
        new_gradient = np.where(low[:, None], new_gradient, gradient)
        history = [*history[1 - MEMORY :], _pair(ahead - x, new_gradient - gradient)]
        x, value, gradient = ahead, new_value, new_gradient
    return x


def _pair(s: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return a step, the change of the gradient, and 1 / sᵀy; 0 for a pair that has no positive curvature."""
    product = (s * y).sum(axis=1)
    return s, y, np.divide(1, product, out=np.zeros_like(product), where=product > 1e-30)


def _natural(gradient: Array, history: list[tuple[Array, Array, Array]]) -> Array:
    """Return the approximate inverse Hessian times the gradient: the two loops of L-BFGS."""
    q = gradient.copy()
    shares = []
    for s, y, inverse in reversed(history):
        share = inverse * (s * q).sum(axis=1)
        q -= share[:, None] * y
        shares.append(share)
    if history:
        s, y, inverse = history[-1]
        scale = np.divide(1, inverse * (y**2).sum(axis=1), out=np.ones(len(q)), where=inverse > 0)
        q *= scale[:, None]
    for (s, y, inverse), share in zip(history, reversed(shares), strict=True):
        q += (share - inverse * (y * q).sum(axis=1))[:, None] * s
    return q
