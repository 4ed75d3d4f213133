"""Integrated gradients of a network of layers, with the kernels of a copy in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..trainer import Trainer
from ._integrals import Answer

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def copy_of(trainer: Trainer) -> Trainer:
    """Return a float64 trainer with the same layers, parameters and scaling, whose `predict` returns aᴸ."""
    copied = Trainer(
        list(trainer.network.layers),
        activation="tanh",  # all layers name theirs
        output_activation=trainer.output_activation,
        use_bias=trainer.use_bias,
        dtype="float64",
        n_threads=trainer.n_threads,
        standardize=trainer.scaling is not None,
    )
    views = copied.named_parameters()
    for name, array in trainer.named_parameters().items():
        views[name][...] = array
    copied._state.scaling = trainer._state.scaling_of_outputs
    return copied


@dataclass(frozen=True)
class LayerLines:
    """The straight lines from a baseline to some samples, as `_integrals.Lines`, but in terms of X instead of z².

    Attributes
    ----------
    network : from `copy_of`
    start : (n_1,)
    X : (m, n_1)
    outputs, signs, answer : as in `Lines`
    """

    network: Trainer
    start: Array
    X: Array
    outputs: Integers
    signs: Array
    answer: Answer | None = None

    activations = ()  # kinks of layers aren't looked for: intervals around them are halved

    @property
    def width(self) -> int:
        """Number of values in all layers, about what a point takes in memory."""
        return sum(self.network.layer_sizes)

    def chosen(self, part: slice) -> LayerLines:
        """Return some of the lines."""
        return replace(self, X=self.X[part], outputs=self.outputs[part], signs=self.signs[part])

    def contributions(self, slopes: Array) -> Array:
        """Return the contributions of the inputs, (m, n_1), given ∫ ∂output/∂X along each line, (m, n_1)."""
        return self.ways * slopes

    @property
    def numbers(self) -> int:
        """Number of columns that are numbers. Categories keep the values of the samples."""
        return self.network.network.n_numbers

    @property
    def first(self) -> Array:
        """What is added to the start, at the start."""
        return np.zeros(self.X.shape[1])

    @property
    def ways(self) -> Array:
        """The way from the start to each sample, (m, n_1)."""
        ways = self.X - self.start
        ways[:, self.numbers :] = 0
        return ways

    @property
    def ends(self) -> tuple[Array, Array]:
        """What is integrated, at the start and at the end of each line, (m,)."""
        numbers, ways = np.arange(len(self.X)), self.ways
        starts, ends = (self.outputs_at(share * ways, numbers) for share in (0.0, 1.0))
        return starts, ends

    def outputs_at(self, z: Array, lines: Integers) -> Array:
        """Return the outputs, (p,), for what is added to the start at p points of these lines."""
        a = self.network.predict(self._points(z, lines))
        values = self.signs[lines] * a[np.arange(len(a)), self.outputs[lines]]
        return values if self.answer is None else self.answer(values)[0]

    def slopes(self, z: Array, lines: Integers) -> Array:
        """Return the derivatives of the outputs by X, (p, n_1), at p points of these lines."""
        points, picked = self._points(z, lines), (np.arange(len(z)), self.outputs[lines])
        vectors = np.zeros((len(z), self.network.layer_sizes[-1]))
        vectors[picked] = self.signs[lines]
        if self.answer is not None:
            vectors[picked] *= self.answer(self.signs[lines] * self.network.predict(points)[picked])[1]
        return self.network.vjp(points, vectors)

    def _points(self, z: Array, lines: Integers) -> Array:
        """Return the points, (p, n_1), with the categories of the samples."""
        points = self.start + z
        points[:, self.numbers :] = self.X[lines, self.numbers :]
        return points
