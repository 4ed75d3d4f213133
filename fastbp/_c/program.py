"""What is exported: the plan of a network, its parameters, and the scaling around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._engine import plan as plans
from .._scaling import Scaling
from ..activations import ACTIVATIONS

if TYPE_CHECKING:
    from .._files.columns import Table
    from .._training.state import State
    from ..losses import Loss
    from ..network import Network

Array = npt.NDArray[Any]

NAMES = {activation.code: name for name, activation in ACTIVATIONS.items()}
LIKELIHOODS = ("gaussian_nll", "negative_binomial")  # losses with two outputs for each target
WITH_STD = (*LIKELIHOODS, "members")
CLASSES = ("cross_entropy", "binary_cross_entropy", "hinge")  # losses whose targets are classes


@dataclass(frozen=True)
class Program:
    """A network with numbers for its parameters.

    Attributes
    ----------
    plan : its operations
    arrays : one float64 array for each of plan.parameters
    scaling : of the inputs, and of the outputs into the units of y; or None
    output_activation : the name of the activation of the last tensor
    loss : computes the predictions from the outputs
    threshold : the output above which a single output is class 1; None if outputs are no classes
    separate : whether each output is a label of its own
    features : the names of the inputs, or None
    targets : the names of the outputs or classes, or None
    categories : the numbers of categories in the last columns of X
    dtype : of the network
    unit : one unit of the output, in units of the table's target, which `fastbp train` scales
    """

    plan: plans.Plan
    arrays: tuple[Array, ...]
    scaling: Scaling | None
    output_activation: str
    loss: Loss
    threshold: float | None
    separate: bool
    features: tuple[str, ...] | None
    targets: tuple[str, ...] | None
    categories: tuple[int, ...]
    dtype: np.dtype[Any]
    unit: float = 1.0

    @property
    def n_in(self) -> int:
        """n_1."""
        return self.plan.tensors[0]

    @property
    def has_std(self) -> bool:
        """Whether each answer comes with a standard deviation."""
        return self.loss.name in WITH_STD

    @property
    def n_answers(self) -> int:
        """Number of columns of what `predict` returns."""
        n, loss = self.plan.tensors[-1], self.loss
        if loss.name == "members":
            n, loss = n // loss.n_members, loss.loss  # type: ignore[attr-defined]
        return n // 2 if loss.name in LIKELIHOODS else n

    @property
    def n_out(self) -> int:
        """Number of outputs in C: the answers, and then their standard deviations if there are any."""
        return self.n_answers * (2 if self.has_std else 1)

    def answers(self, outputs: Array) -> Array:
        """Return what the C code makes of aᴸ in the units of y: answers, (n, n_out)."""
        if not self.has_std:
            return self.loss.answer(outputs)
        return np.concatenate([self.loss.answer(outputs), self.loss.std(outputs)], axis=1)


def program_of(state: State, table: Table | None) -> Program:
    """Return what a trainer's state computes.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    network, names = state.network, state.column_names
    plan, arrays = _parameters(network)
    for parameter, array in zip(plan.parameters, arrays, strict=True):
        _checks.finite(f"trainer's {parameter.name}", array)
    return Program(
        plan=plan,
        arrays=tuple(array.astype(np.float64) for array in arrays),
        scaling=state.scaling_of_outputs,
        output_activation=network.activations[-1],
        loss=state.loss,
        threshold=state.threshold if state.loss.of_targets.name in CLASSES else None,
        separate=state.multi_label,
        features=names.features if table is None else table.input_names,
        targets=names.targets if table is None else _target_names(table),
        categories=tuple(network.categories),
        dtype=network.dtype,
        unit=1.0 if table is None else getattr(table.target, "deviation", 1.0),
    )


def _parameters(network: Network) -> tuple[plans.Plan, list[Array]]:
    """Return the operations of a network, and the arrays of all parameters of the plan."""
    if hasattr(network, "plan"):
        views = network._layout.views(network._parameters)  # type: ignore[attr-defined]
        return network.plan, [views[parameter.name] for parameter in network.plan.parameters]
    codes = tuple(ACTIVATIONS[name].code for name in network.activations)
    plan = plans.of_sizes(network.layer_sizes, codes, (), network.use_bias)
    return plan, [array for pair in zip(network.weights, network.biases, strict=True) for array in pair]


def _target_names(table: Table) -> tuple[str, ...]:
    """Return the names of the classes, or of the column of numbers."""
    return tuple(getattr(table.target, "categories", (table.target.name,)))
