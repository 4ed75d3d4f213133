"""The calibration rows of integers, and how far their outputs are from those of floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics
from .._training.intake import Intake
from .._training.measures import metrics_in_own_units
from ..results import Quantization
from .program import Program
from .quantization import in_pieces
from .simulation import Quantized

if TYPE_CHECKING:
    from .._training.state import State

Array = npt.NDArray[Any]


def calibration_rows(state: State, calibration: Any, dtype: str) -> tuple[Array, Any]:
    """Return X, (n, n_1), and y or None. X has no rows if there is nothing to calibrate."""
    n_in = state.network.layer_sizes[0]
    if dtype != "int8":
        if calibration is not None:
            raise ValueError(_checks.wrong("calibration", f"None, because dtype is {dtype!r}", "rows"))
        return np.zeros((0, n_in)), None
    if calibration is None:
        raise ValueError(_checks.wrong("calibration", "rows of the training data, because dtype is 'int8'", "None"))
    X, y = calibration if isinstance(calibration, tuple) and len(calibration) == 2 else (calibration, None)
    X = state.column_names.inputs("calibration", X)
    rows = _checks.matrix("calibration", X, n_in, np.dtype(np.float64))
    state.network.check_inputs("calibration", rows)
    return rows, y


def measured(state: State, program: Program, integers: Mapping[int, Quantized], X: Array, y: Any) -> Quantization:
    """Return how far the outputs of integers are from those of the network, and what that changes for the answers."""
    exact, came = program.answers(state.outputs(X)), in_pieces(program, X, integers)
    difference = came.astype(np.float64) - exact
    agreement = None
    answers = exact[:, : program.n_answers], came[:, : program.n_answers]
    if program.threshold is not None:
        decided = [metrics.classes(output, program.threshold, program.separate) for output in answers]
        agreement = float((decided[0] == decided[1]).mean())
    scale = float(np.abs(exact).max()) or 1.0
    return Quantization(
        len(X),
        float(np.abs(difference).max()) / scale,
        float(np.sqrt((difference**2).mean())) / (float(exact.std(axis=0).max()) or scale),
        agreement,
        *(() if y is None else _metric(state, program, X, y, answers)),
    )


def _metric(state: State, program: Program, X: Array, y: Any, answers: tuple[Array, Array]) -> tuple[str, float, float]:
    """Return the name of a metric of answers, and its values for both outputs."""
    name = "rmse" if program.threshold is None else "accuracy"
    data = Intake(state).data("calibration[0]", X, "calibration[1]", y, (name,))
    if state.scaling is not None:
        data = data._replace(targets=state.scaling.outputs(data.targets, np.float64))
    values = [metrics_in_own_units(state, data, (name,), output)[name] for output in answers]
    unit = program.unit if name == "rmse" else 1.0
    return name, values[0] * unit, values[1] * unit
