"""The comment at the beginning of the header."""

from __future__ import annotations

from .._kernels.graph import nodes
from ..results import Quantization
from .body import Body
from .functions import needs_math, text_of
from .program import NAMES, Program

SHOWN = 1000  # names


def about(program: Program, body: Body, header: str, report: Quantization | None, dtype: str, more: str) -> list[str]:
    """Return the sentences of the comment; more: other code than that of the body."""
    plan = program.plan
    sizes = "-".join(str(n) for n in plan.tensors)
    activations = [NAMES[o.code] for o in plan.operations if o.op == nodes.ACTIVATE]
    n_parameters = sum(array.size for array in program.arrays)
    told = [
        f"{header}: a neural network, exported by fastbp.",
        "",
        f"Sizes {sizes}; activations {', '.join([*activations, program.output_activation])}; trained with "
        f"{program.loss}; {n_parameters:,} parameters, {dtype}.",
        _math(text_of(body.functions) + more),
    ]
    if program.scaling is not None:
        told.append("Inputs are in the units of the training data. The network scales them itself.")
    told += _names("Inputs", program.features) + _names(_outputs(program), program.targets)
    return told if report is None else [*told, "", *str(report).splitlines()]


def _outputs(program: Program) -> str:
    return "Outputs" if program.threshold is None else "Classes"


def _math(code: str) -> str:
    if needs_math(code):
        return "It needs only the C library's math.h (link with -lm)."
    return "It needs no library, not even math.h."


def _names(what: str, names: tuple[str, ...] | None) -> list[str]:
    if names is None:
        return []
    shown = [f"    {j} = {name}" for j, name in enumerate(names[:SHOWN])]
    return ["", f"{what}:", *shown, *(["    …"] if len(names) > SHOWN else [])]
