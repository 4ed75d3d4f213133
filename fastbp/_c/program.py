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

Array = npt.NDArray[Any]

NAMES = {activation.code: name for name, activation in ACTIVATIONS.items()}
CLASSES = ("cross_entropy", "binary_cross_entropy", "hinge")  # losses whose targets are classes


@dataclass(frozen=True)
class Program:
    """A network with numbers for its parameters.

    Attributes
    ----------
    plan : its operations
    arrays : one float64 array for each of plan.parameters
    scaling : of inputs and targets, or None
    output_activation : the name of the activation of the last tensor
    threshold : the output above which a single output is class 1; None if outputs are no classes
    separate : whether each output is a label of its own
    features : the names of the inputs, or None
    targets : the names of the outputs or classes, or None
    loss : its name
    dtype : of the network
    unit : an output's unit in that of the table's target, which `fastbp train` scales
    """

    plan: plans.Plan
    arrays: tuple[Array, ...]
    scaling: Scaling | None
    output_activation: str
    threshold: float | None
    separate: bool
    features: tuple[str, ...] | None
    targets: tuple[str, ...] | None
    loss: str
    dtype: np.dtype[Any]
    unit: float = 1.0

    @property
    def n_in(self) -> int:
        """n_1."""
        return self.plan.tensors[0]

    @property
    def n_out(self) -> int:
        """n_L."""
        return self.plan.tensors[-1]


def program_of(state: State, table: Table | None) -> Program:
    """Return what a trainer's state computes.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    network, loss = state.network, state.loss
    codes = tuple(ACTIVATIONS[name].code for name in network.activations)
    plan = plans.of_sizes(network.layer_sizes, codes, (), network.use_bias)
    arrays = [array.astype(np.float64) for pair in zip(network.weights, network.biases, strict=True) for array in pair]
    for parameter, array in zip(plan.parameters, arrays, strict=True):
        _checks.finite(f"trainer's {parameter.name}", array)
    names = state.column_names
    return Program(
        plan,
        tuple(arrays),
        state.scaling,
        network.activations[-1],
        state.threshold if loss.name in CLASSES else None,
        state.multi_label,
        names.features if table is None else table.input_names,
        names.targets if table is None else _target_names(table),
        loss.name,
        network.dtype,
        1.0 if table is None else getattr(table.target, "deviation", 1.0),
    )


def _target_names(table: Table) -> tuple[str, ...]:
    """Return the names of the classes, or of the column of numbers."""
    return tuple(getattr(table.target, "categories", (table.target.name,)))
