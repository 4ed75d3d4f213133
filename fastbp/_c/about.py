"""The comment at the beginning of the header."""

from __future__ import annotations

from .._kernels.graph import nodes
from .._library.sources import version
from ..results import Quantization
from .body import Body
from .functions import needs_math, text_of
from .program import NAMES, Program

SHOWN = 1000  # names


def about(program: Program, body: Body, header: str, report: Quantization | None, dtype: str, more: str) -> list[str]:
    """Return the sentences of the comment; more: other code than that of the body."""
    n_parameters = sum(array.size for array in program.arrays)
    told = [
        f"{header}: a neural network, exported by fastbp {version()}.",
        "",
        f"{_described(program)}; trained with {program.loss.name}; {n_parameters:,} parameters, {dtype}.",
        _math(text_of(body.functions) + more),
    ]
    if program.scaling is not None:
        told.append("Inputs are in the units of the training data. The code scales them.")
    first = program.n_in - len(program.categories)
    for column, n in enumerate(program.categories, first):
        told.append(f"Input {column} is the number of a category, from 0 to {n - 1}.")
    told += _names("Inputs", program.features) + _outputs(program)
    return told if report is None else [*told, "", *str(report).splitlines()]


def _described(program: Program) -> str:
    """Return the sizes and activations of a plain network, or the operations of another one."""
    operations, sizes = program.plan.operations, "-".join(str(n) for n in program.plan.tensors)
    if {operation.op for operation in operations} <= {nodes.AFFINE, nodes.ACTIVATE}:
        names = [NAMES[operation.code] for operation in operations if operation.op == nodes.ACTIVATE]
        return f"Sizes {sizes}; activations {', '.join([*names, program.output_activation])}"
    return f"{program.n_in} inputs, {len(operations)} operations, output activation {program.output_activation}"


def _math(code: str) -> str:
    if needs_math(code):
        return "The code needs only the C library's math.h (link with -lm)."
    return "The code needs no library, not even math.h."


def _outputs(program: Program) -> list[str]:
    """Return what the outputs are."""
    names, n = program.targets, program.n_answers
    what = "Outputs" if program.threshold is None else "Classes"
    if program.has_std:
        return [
            "",
            f"Outputs 0 to {n - 1} are the predictions. Outputs {n} to {2 * n - 1} are their standard deviations.",
            *_names(what, names),
        ]
    return _names(what, names)


def _names(what: str, names: tuple[str, ...] | None) -> list[str]:
    if names is None:
        return []
    shown = [f"    {j} = {name}" for j, name in enumerate(names[:SHOWN])]
    return ["", f"{what}:", *shown, *(["    …"] if len(names) > SHOWN else [])]
