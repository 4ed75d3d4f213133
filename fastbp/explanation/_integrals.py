"""Integrated gradients (Sundararajan et al., 2017) of one output of a network, along straight lines in its inputs.

The first z of the network is linear along a line. So the lines are followed in terms of z², whose width is the only one
that matters, and the inputs come in again at the end. Everything is computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .. import reference

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Answer = Callable[[Array], tuple[Array, Array]]

KINKS = {  # where f′ jumps
    "relu": (0.0,),
    "leaky_relu": (0.0,),
    "elu": (0.0,),  # f″ jumps
    "selu": (0.0,),
    "hard_sigmoid": (-3.0, 3.0),
    "hard_tanh": (-1.0, 1.0),
}
NODES, SHARES = (array / 2 + shift for array, shift in zip(np.polynomial.legendre.leggauss(4), (0.5, 0.0), strict=True))
FIRST = 4  # the intervals that a line begins with
WITHIN = 1e-5  # the difference that is small enough, as a share of what the integral is
LEAST = 0.01  # and as a share of the sum of its parts without their signs, where they cancel
MOST = 20_000  # the most intervals of a line that are divided further
SMALLEST = 2.0**-40  # the shortest interval
NUMBERS = 2_000_000  # the most numbers of all layers that are computed at once


class Lines(NamedTuple):
    """The straight lines from a baseline to some samples, through a network.

    Attributes
    ----------
    weights, biases, activations : those of the network, as `reference.forward` takes them
    start : (n_1,)
    X : (m, n_1)
    outputs, signs : (m,) for each sample the unit of the last layer, and what it is multiplied by
    answer : what is explained of that unit: a function of a that returns the answer and its derivative; None for a
    """

    weights: Sequence[Array]
    biases: Sequence[Array]
    activations: Sequence[str]
    start: Array
    X: Array
    outputs: Integers
    signs: Array
    answer: Answer | None = None

    @property
    def width(self) -> int:
        """Number of units in all layers: what a point takes in memory."""
        return sum(len(b) for b in self.biases)

    def chosen(self, part: slice) -> Lines:
        """Return some of the lines."""
        return self._replace(X=self.X[part], outputs=self.outputs[part], signs=self.signs[part])

    def contributions(self, slopes: Array) -> Array:
        """Return the contributions of the inputs, (m, n_1), given ∫ ∂output/∂z² along each line, (m, n_2)."""
        return (self.X - self.start) * (slopes @ self.weights[0])

    @property
    def first(self) -> Array:
        """z² at the start, (n_2,)."""
        return self.start @ self.weights[0].T + self.biases[0]

    @property
    def ways(self) -> Array:
        """The way of z² from the start to each sample, (m, n_2)."""
        return (self.X - self.start) @ self.weights[0].T

    @property
    def ends(self) -> tuple[Array, Array]:
        """What is integrated, at the start and at the end of each line, (m,)."""
        numbers, first, ways = np.arange(len(self.X)), self.first, self.ways
        starts, ends = (self.outputs_at(first + share * ways, numbers) for share in (0.0, 1.0))
        return starts, ends

    def outputs_at(self, z: Array, lines: Integers) -> Array:
        """Return the outputs, (p,), for z² at p points of these lines."""
        a = reference.activation(self.forward(z)[-1], self.activations[-1])
        values = self.signs[lines] * a[np.arange(len(a)), self.outputs[lines]]
        return values if self.answer is None else self.answer(values)[0]

    def forward(self, z: Array) -> list[Array]:
        """Return [z², …, zᴸ] for z²."""
        all_z = [z]
        for theta, b, name in zip(self.weights[1:], self.biases[1:], self.activations[:-1], strict=True):
            all_z.append(reference.activation(all_z[-1], name) @ theta.T + b)
        return all_z

    def slopes(self, z: Array, lines: Integers) -> Array:
        """Return the derivatives of the outputs by z², (p, n_2), for z² at p points of these lines."""
        all_z = self.forward(z)
        a = reference.activation(all_z[-1], self.activations[-1])
        picked = np.arange(len(z)), self.outputs[lines]
        chosen = np.zeros_like(a)
        chosen[picked] = self.signs[lines]
        if self.answer is not None:
            chosen[picked] *= self.answer(self.signs[lines] * a[picked])[1]
        delta = reference.through_activation(chosen, all_z[-1], self.activations[-1])
        for l in reversed(range(len(all_z) - 1)):
            delta = reference.hidden_delta(delta, self.weights[l + 1], all_z[l], self.activations[l])
        return delta


class AnyLines(Protocol):
    """What `integrate` asks of straight lines, in terms of z² or of the inputs: see `Lines`."""

    @property
    def X(self) -> Array: ...
    @property
    def activations(self) -> Sequence[str]: ...
    @property
    def width(self) -> int: ...
    @property
    def first(self) -> Array: ...
    @property
    def ways(self) -> Array: ...
    @property
    def ends(self) -> tuple[Array, Array]: ...
    def chosen(self, part: slice) -> Any: ...
    def contributions(self, slopes: Array) -> Array: ...
    def outputs_at(self, z: Array, lines: Integers) -> Array: ...
    def slopes(self, z: Array, lines: Integers) -> Array: ...


class Integrals(NamedTuple):
    """For each of m lines the integral of the gradient times the way, by input, and the output at both ends."""

    values: Array  # (m, n_1)
    ends: Array  # (m,)
    starts: Array  # (m,)


class Intervals(NamedTuple):
    """Intervals of lines: the number of the line, and from where to where, in shares of it."""

    lines: Integers
    begin: Array
    end: Array

    def chosen(self, which: slice | npt.NDArray[np.bool_]) -> Intervals:
        """Return some of them."""
        return Intervals(self.lines[which], self.begin[which], self.end[which])

    @property
    def halves(self) -> Intervals:
        """Both halves of each."""
        middle = (self.begin + self.end) / 2
        return Intervals(
            np.concatenate([self.lines, self.lines]),
            np.concatenate([self.begin, middle]),
            np.concatenate([middle, self.end]),
        )


def integrate(lines: AnyLines) -> Integrals:
    """Return the integrals of all lines, some lines at a time."""
    at_once = max(1, NUMBERS // (lines.width * (FIRST + lines.width)))
    found = []
    for begin in range(0, len(lines.X), at_once):
        found.append(_integrate(lines.chosen(slice(begin, begin + at_once))))
    return Integrals(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def _integrate(lines: AnyLines) -> Integrals:
    """Divide each line at its kinks; then halve intervals until the integrals agree with the differences of outputs."""
    m, first, ways = len(lines.X), lines.first, lines.ways
    starts, ends = lines.ends
    totals = np.zeros_like(ways)  # ∫ ∂output/∂z²
    settled = np.zeros(m)  # the sum of the squares of the differences that are left
    tried = np.zeros(m, np.int64)  # intervals of each line, of all sizes
    waiting = _at_kinks(lines, first, ways)
    while waiting.lines.size:
        slopes, differences = _measured(lines, first, ways, waiting)
        numbers, error = waiting.lines, differences**2
        size = np.bincount(numbers, np.abs(slopes * ways[numbers]).sum(axis=1), m) + np.abs(totals * ways).sum(axis=1)
        allowed = (WITHIN * np.maximum(np.abs(ends - starts), LEAST * size)) ** 2
        count = np.bincount(numbers, minlength=m)
        tried += count
        is_done = (settled + np.bincount(numbers, error, m) <= allowed) | (tried > MOST)
        kept = (
            is_done[numbers]
            | (error <= allowed[numbers] / (4 * count[numbers]))
            | (waiting.end - waiting.begin < SMALLEST)
        )
        np.add.at(totals, numbers[kept], slopes[kept])
        settled += np.bincount(numbers[kept], error[kept], m)
        waiting = waiting.chosen(~kept).halves
    return Integrals(lines.contributions(totals), ends, starts)


def _measured(lines: AnyLines, first: Array, ways: Array, intervals: Intervals) -> tuple[Array, Array]:
    """Return ∫ ∂output/∂z² over each interval, (p, n_2), and how far its product with the way is from the truth."""
    slopes = np.empty((len(intervals.lines), len(first)))
    differences = np.empty(len(slopes))
    at_once = max(1, NUMBERS // (len(NODES) * lines.width))
    for start in range(0, len(slopes), at_once):
        part = slice(start, start + at_once)
        numbers, begin, end = intervals.chosen(part)
        length = end - begin
        places = (begin[:, None] + NODES * length[:, None]).ravel()
        repeated = np.repeat(numbers, len(NODES))
        delta = lines.slopes(first + places[:, None] * ways[repeated], repeated)
        slopes[part] = np.einsum("pqn,q->pn", delta.reshape(len(numbers), len(NODES), -1), SHARES) * length[:, None]
        last, before = (lines.outputs_at(first + places[:, None] * ways[numbers], numbers) for places in (end, begin))
        differences[part] = (slopes[part] * ways[numbers]).sum(axis=1) - (last - before)
    return slopes, differences


def _at_kinks(lines: Any, first: Array, ways: Array) -> Intervals:
    """Divide each line where a unit passes a kink. Between kinks of earlier layers, z is linear, or nearly so."""
    m = len(ways)
    numbers = np.repeat(np.arange(m), FIRST + 1)
    places = np.tile(np.linspace(0, 1, FIRST + 1), m)
    for l, kink in [(l, kink) for l, name in enumerate(lines.activations) for kink in KINKS.get(name, ())]:
        crossed, found = _crossings(lines, first, ways, numbers, places, l, kink)
        numbers, places = np.concatenate([numbers, numbers[crossed]]), np.concatenate([places, found])
        order = np.lexsort((places, numbers))
        numbers, places = numbers[order], places[order]
    whole = (numbers[1:] == numbers[:-1]) & (places[1:] > places[:-1])
    return Intervals(numbers[:-1][whole], places[:-1][whole], places[1:][whole])


def _crossings(
    lines: Lines, first: Array, ways: Array, numbers: Integers, places: Array, l: int, kink: float
) -> tuple[Integers, Array]:
    """Return the intervals between places in which a unit of a layer passes a kink, and where."""
    intervals, found = [], []
    at_once = max(1, NUMBERS // lines.width)
    for start in range(0, len(places) - 1, at_once):
        part = slice(start, start + at_once + 1)
        number, place = numbers[part], places[part]
        z = lines.forward(first + place[:, None] * ways[number])[l] - kink
        interval, unit = np.nonzero((z[:-1] * z[1:] < 0) & (number[1:] == number[:-1])[:, None])
        before, after = z[interval, unit], z[interval + 1, unit]
        intervals.append(start + interval)
        found.append(place[interval] + before / (before - after) * (place[interval + 1] - place[interval]))
    return np.concatenate(intervals), np.concatenate(found)
