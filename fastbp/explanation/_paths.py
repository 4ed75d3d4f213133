"""All paths from the weights of a network to the cost, with their chains of local derivatives.

Units and layers count from 1, like the method's symbols. The bias unit of a layer is unit 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .._symbols import Symbol
from ._chains import Factor, J, WeightPath, parameter
from ._records import LayerValues

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths through a network for some samples.

    Attributes
    ----------
    layers : the L layers
    weights : [Θ¹, …]
    use_bias : whether there are bias units
    cost_slopes : (m, n_L), ∂J/∂aᴸ; None if ∂J/∂zᴸ has one closed form, with which the chains then begin
    """

    layers: Sequence[LayerValues]
    weights: Sequence[Array]
    use_bias: bool
    cost_slopes: Array | None

    @property
    def n_paths(self) -> int:
        """Number of paths from all weights to the cost, over all samples."""
        return sum(n for n, _ in self._counts())

    @property
    def n_derivatives(self) -> int:
        """Number of local derivatives in the chains of all these paths."""
        return sum(n * length for n, length in self._counts())

    def _counts(self) -> Iterator[tuple[int, int]]:
        """Yield, for the weights of each layer, the number of paths and of local derivatives in each path."""
        n_onward, length = len(self.layers[0].a), (1 if self.cost_slopes is None else 2) + 1
        for theta in reversed(self.weights):
            n_onward *= len(theta)  # paths to J from the z of all units, each of which has as many weights
            yield n_onward * (theta.shape[1] + self.use_bias), length
            length += 2

    def parameters(self) -> Iterator[tuple[int, int, int]]:
        """Yield every weight as (l, j, k), sorted by the unit that it goes to, with the bias weight last."""
        for l, theta in enumerate(self.weights, start=1):
            sources = [*range(1, theta.shape[1] + 1), *([0] if self.use_bias else [])]
            for j, k in product(range(1, len(theta) + 1), sources):
                yield l, j, k

    def to_cost(self, l: int, j: int, k: int) -> tuple[WeightPath, ...]:
        """Return all paths of ∂J/∂θˡ_jk: one for each sample and choice of units in the layers after l + 1."""
        onward = [range(1, len(theta) + 1) for theta in self.weights[l:]]
        return tuple(
            WeightPath(s + 1, (k, j, *units), self._chain(s, l, (k, j, *units)))
            for s in range(len(self.layers[0].a))
            for units in product(*onward)
        )

    def to_delta(self, l: int, j: int, k: int) -> tuple[WeightPath, ...]:
        """Return paths that end with δ of unit j, one for each sample: ∂J/∂θˡ_jk = Σ_samples δˡ⁺¹_j aˡ_k."""
        z = Symbol("z", l + 1, (j,))
        return tuple(
            WeightPath(s + 1, (k, j), (Factor(J, z, _number(self.layers[l].delta, s, j)), self._last(s, l, j, k)))
            for s in range(len(self.layers[0].a))
        )

    def _chain(self, s: int, l: int, units: tuple[int, ...]) -> tuple[Factor, ...]:
        """Return the local derivatives along a path, from the cost back to the weight."""
        factors = self._output(s, units[-1])
        for layer in range(len(self.layers) - 1, l, -1):  # from zˡᵃʸᵉʳ⁺¹ back to zˡᵃʸᵉʳ
            to, unit = units[layer + 1 - l], units[layer - l]
            z, a = Symbol("z", layer + 1, (to,)), Symbol("a", layer, (unit,))
            factors.append(Factor(z, a, _number(self.weights[layer - 1], to - 1, unit)))
            factors.append(Factor(a, Symbol("z", layer, (unit,)), _number(self.layers[layer - 1].slopes, s, unit)))
        return (*factors, self._last(s, l, units[1], units[0]))

    def _output(self, s: int, i: int) -> list[Factor]:
        """Return ∂J/∂aᴸ_i and ∂aᴸ_i/∂zᴸ_i, or ∂J/∂zᴸ_i directly."""
        output = self.layers[-1]
        a, z = Symbol("a", output.l, (i,)), Symbol("z", output.l, (i,))
        if self.cost_slopes is None:
            return [Factor(J, z, _number(output.delta, s, i))]
        return [Factor(J, a, _number(self.cost_slopes, s, i)), Factor(a, z, _number(output.slopes, s, i))]

    def _last(self, s: int, l: int, j: int, k: int) -> Factor:
        """Return ∂zˡ⁺¹_j/∂θˡ_jk = aˡ_k, or 1 for the bias unit."""
        value = _number(self.layers[l - 1].a, s, k) if k else 1.0
        return Factor(Symbol("z", l + 1, (j,)), parameter(l, j, k), value)


def _number(array: Array | None, row: int, unit: int) -> float:
    """Return the value of a unit, from 1, in a row, from 0."""
    assert array is not None
    return float(array[row, unit - 1])
