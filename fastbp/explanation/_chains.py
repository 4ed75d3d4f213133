"""A chain of local derivatives along a path from a weight to the cost: its data, its text and its LaTeX.

Units and layers count from 1, like the method's symbols. The bias unit of a layer is unit 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .._symbols import Symbol

J = Symbol("J")


def parameter(l: int, j: int, k: int) -> Symbol:
    """Return the symbol of θˡ_jk, or of bˡ_j for k = 0."""
    return Symbol("θ", l, (j, k)) if k else Symbol("b", l, (j,))


class Factor(NamedTuple):
    """A local derivative ∂of/∂by and its value."""

    of: Symbol
    by: Symbol
    value: float

    @property
    def latex(self) -> str:
        """The derivative in LaTeX."""
        return rf"\frac{{\partial {self.of.latex}}}{{\partial {self.by.latex}}}"

    def __str__(self) -> str:
        return f"∂{self.of}/∂{self.by}"


class WeightPath(NamedTuple):
    """A path from a weight to the cost.

    Attributes
    ----------
    sample : number of the sample in the batch, from 1
    units : (k, j, …): the unit that the weight comes from (0: the bias unit), the one it goes to, … the output
    factors : the chain of local derivatives, from the cost back to the weight
    """

    sample: int
    units: tuple[int, ...]
    factors: tuple[Factor, ...]

    @property
    def product(self) -> float:
        """The product of the chain."""
        return math.prod(factor.value for factor in self.factors)


def total(paths: Sequence[WeightPath]) -> float:
    """Return the sum of the products of all paths, which is ∂J/∂θ."""
    return math.fsum(path.product for path in paths)


def number(value: float | None) -> str:
    """Return six digits, or "" for None."""
    return "" if value is None else f"{value + 0.0:.6g}"  # 0 for −0


def latex_number(value: float) -> str:
    """Return six digits, with a power of ten in place of e notation."""
    mantissa, _, exponent = number(value).partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def latex_factor(value: float) -> str:
    """Return a number as a factor, in brackets if it is negative."""
    return f"({latex_number(value)})" if value < 0 else latex_number(value)


def route(path: WeightPath, m: int) -> str:
    """Return the units on a path, such as 1 → 2 → 1; for a batch of m > 1 samples, also the sample."""
    units = " → ".join(str(unit) if unit else "bias" for unit in path.units)
    return f"sample {path.sample}: {units}" if m > 1 else units


def chain_rows(paths: Sequence[WeightPath]) -> list[tuple[WeightPath, str, str]]:
    """Return each path with its chain in symbols, and with the numbers aligned below the symbols."""
    n = len(paths)
    rows = [[str(factor) for factor in path.factors] for path in paths]
    rows += [[number(factor.value) for factor in path.factors] for path in paths]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    chains = [" · ".join(f"{cell:^{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    return list(zip(paths, chains[:n], chains[n:], strict=True))


def text(theta: Symbol, paths: Sequence[WeightPath]) -> str:
    """Return ∂J/∂θ: for each path the chain, the numbers below the symbols, and then the sum."""
    m, n = max(path.sample for path in paths), len(paths)
    lines = [f"∂J/∂{theta} = {number(total(paths))}{f', the sum over {n} paths' if n > 1 else ''}"]
    for path, symbols, numbers in chain_rows(paths):
        lead = f"  {route(path, m)}:  " if n > 1 else "  "
        lines += [f"{lead}{symbols}".rstrip(), f"{'':{len(lead)}}{numbers} = {number(path.product)}"]
    return "\n".join(lines)


def latex_lines(theta: Symbol, paths: Sequence[WeightPath]) -> list[str]:
    """Return ∂J/∂θ as lines of an aligned environment: each path in symbols, then in numbers, then the sum."""
    m = max(path.sample for path in paths)
    symbols = [r" \cdot ".join(factor.latex for factor in path.factors) for path in paths]
    numbers = [r" \cdot ".join(latex_factor(factor.value) for factor in path.factors) for path in paths]
    if m > 1:
        samples = [rf" \quad \text{{(sample {path.sample})}}" for path in paths]
        symbols = [chain + sample for chain, sample in zip(symbols, samples, strict=True)]
    lines = [*_latex_sum(symbols), *_latex_sum(numbers), f"&= {latex_number(total(paths))}"]
    return [rf"\frac{{\partial J}}{{\partial {theta.latex}}} {lines[0]}", *lines[1:]]


def _latex_sum(terms: Sequence[str]) -> list[str]:
    """Return one line for each term of a sum."""
    return [f"&= {terms[0]}", *(rf"&\quad {{}} + {term}" for term in terms[1:])]


def aligned(lines: Sequence[str]) -> str:
    """Return lines as an aligned environment of LaTeX."""
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])
