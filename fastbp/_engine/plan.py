"""A network of layers as a list of operations, before it has places in memory. `layers.lowered` makes it."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from .._kernels.graph import nodes

X = 0  # the index of the tensor that the network reads


class Parameter(NamedTuple):
    """An array of a network: a parameter that is trained, or numbers that training only measures."""

    name: str  # such as "dense1.weight", unique
    shape: tuple[int, ...]
    role: str  # "weight" (penalties apply), "bias", "embedding", "scale", "frequency", "alpha", "norm" or "statistic"
    by_row: bool = False  # an embedding whose update changes only rows that the batch has

    @property
    def trained(self) -> bool:
        """Whether it is a parameter that gradients change."""
        return self.role != "statistic"

    @property
    def decayed(self) -> bool:
        """Whether weight decay changes it by default."""
        return self.role not in ("bias", "norm", "statistic")


class Operation(NamedTuple):
    """An operation of `_kernels.graph.nodes`.

    Its parameters, as indices of Plan.parameters:

    AFFINE      weight (n_out, n_in), bias (n_out,); a plan has the bias also if it isn't trained
    ACTIVATE    () or alpha (n,)
    SCALE       scale (n,)
    LAYER_NORM  gamma (n,), beta (n,)
    BATCH_NORM  gamma (n,), beta (n,), mean (n,), variance (n,); the last two are statistics
    EMBED       table (categories, dimension)
    PBLD        frequency (n_read, inner), phase (n_read, inner), weight (n_read, k, inner), bias (n_read, k):
                each number takes 1 + k columns
    PERIODIC    frequency (n_read, inner); each number takes 2 · inner columns: its sines, then its cosines
    PIECEWISE   edges (n_read, inner + 1), a statistic; each number takes `inner` columns
    """

    op: int
    source: int  # the tensor that it reads
    target: int  # the tensor that it writes; ACTIVATE writes the one that it reads
    parameters: tuple[int, ...] = ()
    code: int = 0  # of the activation
    first: int = 0  # the first column of the source that is read
    column: int = 0  # the first column of the target that is written
    n_read: int = 0  # columns of X that are read
    inner: int = 0  # frequencies, or bins
    number: int = 0  # of the layer, for dropout
    rate: float = 0.0  # of dropout
    epsilon: float = 0.0  # of norms
    momentum: float = 0.0  # of running statistics: running ← (1 − momentum) running + momentum · batch, as in PyTorch


class Plan(NamedTuple):
    """A network: the sizes of its tensors, X first and the output last, its operations in order, its parameters."""

    tensors: tuple[int, ...]
    operations: tuple[Operation, ...]
    parameters: tuple[Parameter, ...]
    output: int  # the code of the activation of the last tensor, which is computed with the loss


def of_sizes(sizes: tuple[int, ...], activations: tuple[int, ...], dropout: tuple[float, ...], use_bias: bool) -> Plan:
    """Return the plan of a network without layers: what Engine trains, for options that only GraphEngine has.

    sizes: n_1 … n_L. activations: codes for the layers 2 … L. dropout: rates of the hidden layers, or ().
    """
    operations: list[Operation] = []
    parameters: list[Parameter] = []
    rates = dropout or (0.0,) * (len(sizes) - 2)
    for l, (n, n_next) in enumerate(pairwise(sizes)):
        parameters.append(Parameter(f"dense{l + 1}.weight", (n_next, n), "weight"))
        parameters.append(Parameter(f"dense{l + 1}.bias", (n_next,), "bias" if use_bias else "statistic"))
        operations.append(Operation(nodes.AFFINE, l, l + 1, (2 * l, 2 * l + 1)))
        if l + 2 < len(sizes):
            code, rate = activations[l], rates[l]
            operations.append(Operation(nodes.ACTIVATE, l + 1, l + 1, code=code, number=l + 2, rate=rate))
    return Plan(sizes, tuple(operations), tuple(parameters), activations[-1])
