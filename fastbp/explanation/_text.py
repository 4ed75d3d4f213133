"""A whole explanation as text for a terminal and as LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from .._symbols import Symbol
from .._terminal import padded, shortened, width_of
from ._chains import aligned, latex_factor, latex_lines, latex_number, number, parameter
from ._records import Derivative, LayerValues, Quantities

MAX_ROWS = 200  # the most rows of a table
RUN = 4  # equal sizes or activations of layers that are written out
NAME = 30  # the most characters of a unit's name in a table

UNITS = ("layer", "sample", "unit", "name", "z", "a", "f′(z)", "δ = ∂J/∂z")
UPDATES = ("weight", "θ", "Σ paths", "reference", "kernel", "θ − η ∂J/∂θ")


class Rows(NamedTuple):
    """A table: the column names, the rows, and how many rows are left out."""

    shown: list[tuple[str, ...]]
    left_out: int


def count(n: int) -> str:
    """Return a number of paths with commas, or as a power of ten if it is very large."""
    return f"{n:,}" if n < 10**15 else f"some 10^{math.log10(n):.0f}"


def heading(explanation: Quantities) -> str:
    """Return the sizes, the activations, the loss and the number of samples."""
    m = len(explanation.layers[0].a)
    activations = ", ".join(_runs([str(layer.activation) for layer in explanation.layers[1:]]))
    samples = "one sample" if m == 1 else f"{m} samples"
    return f"{'-'.join(_runs(list(map(str, explanation.sizes))))}, {activations}; {explanation.loss}; {samples}"


def _runs(words: Sequence[str]) -> list[str]:
    """Return the words, with more than RUN equal ones in a row as one: 20 × 30."""
    runs = [(word, len(list(equal))) for word, equal in groupby(words)]
    return [text for word, n in runs for text in ([f"{word} × {n}"] if n > RUN else [word] * n)]


def unit_rows(explanation: Quantities) -> Rows:
    """Return z, a, f′ and δ of every unit for every sample, below the columns in UNITS.

    The column of samples is left out if there is only one, and the column of names if no unit has a name.
    """
    m = len(explanation.layers[0].a)
    rows: list[tuple[str, ...]] = [UNITS]
    for layer, s, i in islice(_units(explanation), MAX_ROWS):
        arrays, names = (layer.z, layer.a, layer.slopes, layer.delta), explanation.names_of(layer)
        values = (None if array is None else array[s, i] for array in arrays)
        name = shortened(names[i], NAME) if names else ""
        rows.append((str(layer.l), str(s + 1), str(i + 1), name, *map(number, values)))
    left_out = m * sum(explanation.sizes) - (len(rows) - 1)
    is_named = any(row[3] for row in rows[1:])
    kept = [j for j in range(len(UNITS)) if (j != 1 or m > 1) and (j != 3 or is_named)]
    return Rows([tuple(row[j] for j in kept) for row in rows], left_out)


def _units(explanation: Quantities) -> Iterator[tuple[LayerValues, int, int]]:
    """Yield (layer, sample, unit) for every unit of every layer. Samples and units count from 0."""
    return ((layer, s, i) for layer in explanation.layers for s, i in np.ndindex(layer.a.shape))


def update_rows(explanation: Quantities) -> Rows:
    """Return the gradients and the update of every weight, below the names in UPDATES."""
    return first_rows(UPDATES, [update_row(derivative) for derivative in explanation.gradients])


def update_row(g: Derivative) -> tuple[str, ...]:
    """Return the gradients and the update of one weight."""
    return (str(g.symbol), *map(number, (g.theta, g.sum, g.reference, g.kernel, g.updated)))


def first_rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Rows:
    """Return a table of the first MAX_ROWS rows."""
    return Rows([head, *rows[:MAX_ROWS]], max(0, len(rows) - MAX_ROWS))


def agreement(explanation: Quantities) -> tuple[str, str]:
    """Return how many paths there are, and how much the three gradients differ."""
    counted = (
        f"{count(explanation.n_paths)} path{'s' * (explanation.n_paths != 1)} from the weights to J, "
        f"with {count(explanation.n_derivatives)} derivatives in the chains."
    )
    sums = "sums over the paths" if explanation.view == "paths" else "products with δ"
    return counted, (
        f"Largest difference of the {sums} from fastbp.reference: {explanation.reference_difference:.2g}, "
        f"from the kernels: {explanation.kernel_difference:.2g}."
    )


def table(rows: Rows) -> str:
    """Return a table as text, with all columns aligned to the right."""
    widths = [max(map(width_of, column)) for column in zip(*rows.shown, strict=True)]
    lines = [
        "  ".join(padded(cell, w, right=True) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows.shown
    ]
    if rows.left_out:
        lines.append(f"… and {rows.left_out:,} more")
    return "\n".join(lines)


def text(explanation: Quantities) -> str:
    """Return the whole explanation for a terminal."""
    if explanation.view == "paths":
        chains = [derivative.text() for derivative in explanation.gradients]
    else:
        chains = matrices(explanation)
    blocks = [f"{heading(explanation)}\nJ = {number(explanation.J)}", table(unit_rows(explanation)), *chains]
    if explanation.gradients:
        blocks.append(f"η = {number(explanation.learning_rate)}\n{table(update_rows(explanation))}")
    return "\n\n".join([*blocks, "\n".join([*agreement(explanation), *explanation.remarks])])


def matrices(explanation: Quantities) -> list[str]:
    """Return ∂J/∂Θˡ and ∂J/∂bˡ, each as an array."""
    named = [("Θ", explanation.weight_gradients), ("b", explanation.bias_gradients)]
    texts = []
    for letter, gradients in named:
        for l, gradient in enumerate(gradients, start=1):
            lead = f"∂J/∂{Symbol(letter, l)} = "
            texts.append(lead + np.array2string(gradient, precision=6, threshold=100, max_line_width=110, prefix=lead))
    return texts


def latex(explanation: Quantities) -> str:
    """Return the units' values, then each weight's chains and update, in one aligned environment."""
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
        lines += [
            *latex_lines(derivative.symbol, derivative.paths),
            _update_latex(derivative, explanation.learning_rate),
        ]
    return aligned(lines)


def _unit_latex(explanation: Quantities, layer: LayerValues, s: int, i: int) -> str:
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


def _update_latex(derivative: Derivative, eta: float) -> str:
    """Return θ − η ∂J/∂θ in symbols and numbers."""
    theta = derivative.symbol.latex
    return (
        rf"{theta} - \eta \frac{{\partial J}}{{\partial {theta}}} &= {latex_number(derivative.theta)} - "
        rf"{latex_number(eta)} \cdot {latex_factor(derivative.sum)} = {latex_number(derivative.updated)}"
    )
