"""An Explanation as text for a terminal and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._symbols import Symbol
from ._chains import Layer, Path, count, parameter

if TYPE_CHECKING:
    from ._explanation import Derivative, Explanation

MAX_ROWS = 200  # the most rows of a table

UNITS = ("layer", "sample", "unit", "z", "a", "f′(z)", "δ = ∂J/∂z")
UPDATES = ("weight", "θ", "Σ paths", "reference", "kernel", "θ − η ∂J/∂θ")


class Rows(NamedTuple):
    """A table: the column names, the rows, and how many rows are left out."""

    shown: list[tuple[str, ...]]
    left_out: int


def number(value: float | None) -> str:
    """Return six digits, or "" for None."""
    return "" if value is None else f"{value + 0.0:.6g}"  # 0 for −0


def heading(explanation: Explanation) -> str:
    """Return the sizes, the activations, the loss and the number of samples."""
    m = len(explanation.layers[0].a)
    activations = ", ".join(str(layer.activation) for layer in explanation.layers[1:])
    samples = "one sample" if m == 1 else f"{m} samples"
    return f"{'-'.join(map(str, explanation.sizes))}, {activations}; {explanation.loss}; {samples}"


def unit_rows(explanation: Explanation) -> Rows:
    """Return UNITS and the z, a, f′ and δ of every unit for every sample, without a number for a single sample."""
    m = len(explanation.layers[0].a)
    rows: list[tuple[str, ...]] = [UNITS]
    for layer, s, i in islice(_units(explanation), MAX_ROWS):
        values = (None if part is None else part[s, i] for part in (layer.z, layer.a, layer.slopes, layer.delta))
        rows.append((str(layer.l), str(s + 1), str(i + 1), *map(number, values)))
    left_out = m * sum(explanation.sizes) - (len(rows) - 1)
    return Rows(rows if m > 1 else [(row[0], *row[2:]) for row in rows], left_out)


def _units(explanation: Explanation) -> Iterator[tuple[Layer, int, int]]:
    """Yield every unit of every layer for every sample; they count from 0."""
    return ((layer, s, i) for layer in explanation.layers for s, i in np.ndindex(layer.a.shape))


def update_rows(explanation: Explanation) -> Rows:
    """Return UPDATES and these values for every weight."""
    return first_rows(
        UPDATES,
        [
            (str(g.symbol), *map(number, (g.theta, g.sum, g.reference, g.kernel, g.updated)))
            for g in explanation.gradients
        ],
    )


def first_rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Rows:
    """Return as many rows as a table may have."""
    return Rows([head, *rows[:MAX_ROWS]], max(0, len(rows) - MAX_ROWS))


def agreement(explanation: Explanation) -> tuple[str, str]:
    """Return how many chains there are, and how much the three gradients differ."""
    counted = (
        f"{count(explanation.n_paths)} path{'s' * (explanation.n_paths != 1)} from the weights to J, "
        f"with {count(explanation.n_derivatives)} derivatives in the chains."
    )
    sums = "sums over the paths" if explanation.view == "paths" else "products with δ"
    return counted, (
        f"Largest difference of the {sums} from fastbp.reference: {explanation.reference_difference:.2g}, "
        f"from the kernels: {explanation.kernel_difference:.2g}."
    )


def route(path: Path, m: int) -> str:
    """Return the units on a path, such as 1 → 2 → 1; for a batch, also the sample."""
    way = " → ".join(str(unit) if unit else "bias" for unit in path.units)
    return f"sample {path.sample}: {way}" if m > 1 else way


def table(rows: Rows) -> str:
    """Return the columns with their names, aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows.shown, strict=True)]
    lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows.shown]
    if rows.left_out:
        lines.append(f"… and {rows.left_out:,} more")
    return "\n".join(lines)


def text(explanation: Explanation) -> str:
    """Return the whole explanation for a terminal."""
    if explanation.view == "paths":
        chains = [chains_text(derivative) for derivative in explanation.gradients]
    else:
        chains = matrices(explanation)
    parts = [f"{heading(explanation)}\nJ = {number(explanation.J)}", table(unit_rows(explanation)), *chains]
    if explanation.gradients:
        parts.append(f"η = {number(explanation.learning_rate)}\n{table(update_rows(explanation))}")
    return "\n\n".join([*parts, "\n".join([*agreement(explanation), *explanation.remarks])])


def chain_rows(derivative: Derivative) -> list[tuple[Path, str, str]]:
    """Return each path with its chain in symbols, and with the numbers aligned below the symbols."""
    n = len(derivative.paths)
    rows = [[str(factor) for factor in path.factors] for path in derivative.paths]
    rows += [[number(factor.value) for factor in path.factors] for path in derivative.paths]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    chains = [" · ".join(f"{cell:^{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    return list(zip(derivative.paths, chains[:n], chains[n:], strict=True))


def chains_text(derivative: Derivative) -> str:
    """Return ∂J/∂θ: for each path the chain, the numbers below the symbols, and then the sum."""
    m, n = max(path.sample for path in derivative.paths), len(derivative.paths)
    lines = [f"∂J/∂{derivative.symbol} = {number(derivative.sum)}{f', the sum over {n} paths' if n > 1 else ''}"]
    for path, symbols, numbers in chain_rows(derivative):
        lead = f"  {route(path, m)}:  " if n > 1 else "  "
        lines += [f"{lead}{symbols}".rstrip(), f"{'':{len(lead)}}{numbers} = {number(path.product)}"]
    return "\n".join(lines)


def matrices(explanation: Explanation) -> list[str]:
    """Return ∂J/∂Θˡ and ∂J/∂bˡ, each as an array."""
    named = [("Θ", explanation.weight_gradients), ("b", explanation.bias_gradients)]
    texts = []
    for letter, gradients in named:
        for l, gradient in enumerate(gradients, start=1):
            lead = f"∂J/∂{Symbol(letter, l)} = "
            texts.append(lead + np.array2string(gradient, precision=6, threshold=100, max_line_width=110, prefix=lead))
    return texts


def latex(explanation: Explanation) -> str:
    """Return the units' values, then each weight's chains and step, in one aligned environment."""
    m = len(explanation.layers[0].a)
    lines = [rf"J &= {latex_number(explanation.J)}"]
    for layer, s, i in islice(_units(explanation), MAX_ROWS - 1):
        lines.append(_unit_latex(explanation, layer, s, i) + rf" \quad \text{{(sample {s + 1})}}" * (m > 1))
    if m * sum(explanation.sizes) > MAX_ROWS - 1:
        lines.append(r"&\;\,\vdots")
    if explanation.view == "delta":
        for l in range(1, len(explanation.layers)):
            theta = Symbol("Θ", l).latex
            lines.append(rf"\frac{{\partial J}}{{\partial {theta}}} &= (\delta^{{{l + 1}}})^{{\mathsf T}} a^{{{l}}}")
    for derivative in explanation.gradients if explanation.view == "paths" else ():
        lines += [*_chain_lines(derivative), _update_latex(derivative, explanation.learning_rate)]
    return _aligned(lines)


def chains_latex(derivative: Derivative) -> str:
    """Return ∂J/∂θ as the sum of its chains, first in symbols, then in numbers."""
    return _aligned(_chain_lines(derivative))


def latex_number(value: float) -> str:
    """Return six digits, with a power of ten in place of e notation."""
    mantissa, _, exponent = number(value).partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _factor_latex(value: float) -> str:
    """Return a number as a factor, in brackets if it is negative."""
    return f"({latex_number(value)})" if value < 0 else latex_number(value)


def _unit_latex(explanation: Explanation, layer: Layer, s: int, i: int) -> str:
    """Return z, a, f′ and δ of a unit for a sample, each with its formula."""
    z, a, delta = (Symbol(letter, layer.l, (i + 1,)).latex for letter in "zaδ")
    if layer.z is None or layer.delta is None:
        return f"{a} &= {latex_number(layer.a[s, i])}"
    before = layer.l - 1
    bias = rf" + {parameter(before, i + 1, 0).latex}" if explanation.bias_gradients else ""
    total = rf"\textstyle\sum_k \theta^{{{before}}}_{{{i + 1}k}} a^{{{before}}}_k{bias}"
    equations = [
        f"{z} &= {total} = {latex_number(layer.z[s, i])}",
        rf"{a} = f({z}) = {latex_number(layer.a[s, i])}",
    ]
    if layer.slopes is not None:
        equations.append(rf"f'({z}) = {latex_number(layer.slopes[s, i])}")
    equations.append(rf"{delta} = {latex_number(layer.delta[s, i])}")
    return r", \quad ".join(equations)


def _chain_lines(derivative: Derivative) -> list[str]:
    """Return the rows of an aligned environment: each path in symbols, then in numbers, then the sum."""
    m = max(path.sample for path in derivative.paths)
    symbols = [r" \cdot ".join(factor.latex for factor in path.factors) for path in derivative.paths]
    numbers = [r" \cdot ".join(_factor_latex(factor.value) for factor in path.factors) for path in derivative.paths]
    if m > 1:
        samples = [rf" \quad \text{{(sample {path.sample})}}" for path in derivative.paths]
        symbols = [chain + sample for chain, sample in zip(symbols, samples, strict=True)]
    rows = [*_sum_rows(symbols), *_sum_rows(numbers), f"&= {latex_number(derivative.sum)}"]
    return [rf"\frac{{\partial J}}{{\partial {derivative.symbol.latex}}} {rows[0]}", *rows[1:]]


def _sum_rows(terms: Sequence[str]) -> list[str]:
    """Return one row for each term."""
    return [f"&= {terms[0]}", *(rf"&\quad {{}} + {term}" for term in terms[1:])]


def _update_latex(derivative: Derivative, eta: float) -> str:
    """Return θ − η ∂J/∂θ in symbols and numbers."""
    theta = derivative.symbol.latex
    return (
        rf"{theta} - \eta \frac{{\partial J}}{{\partial {theta}}} &= {latex_number(derivative.theta)} - "
        rf"{latex_number(eta)} \cdot {_factor_latex(derivative.sum)} = {latex_number(derivative.updated)}"
    )


def _aligned(lines: Sequence[str]) -> str:
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])
