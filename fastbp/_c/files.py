"""Makes the texts of the two C files from a trainer's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..results import CSource
from .about import about
from .accuracy import calibration_rows, measured
from .body import Body
from .columns import Encoder
from .program import Program, program_of
from .quantization import in_pieces, quantized
from .simulation import Quantized
from .source import Files, SelfTest

if TYPE_CHECKING:
    from .._files.columns import Table
    from .._training.state import State

Array = npt.NDArray[Any]

TOLERANCES = {"float32": 1e-5, "float64": 1e-12, "int8": 0.02}  # of the self-test; math.h differs between systems


def files_of(state: State, table: Table | None, name: str, header: str, dtype: str, calibration: Any) -> CSource:
    """Return the texts. The arguments are those of `to_c`, checked, and the name of the header."""
    program = program_of(state, table)
    X, y = calibration_rows(state, calibration, dtype)
    integers = quantized(program, X) if dtype == "int8" else {}
    body = Body(program, integers, np.dtype("float32" if dtype == "int8" else dtype))
    body.write()
    report = measured(state, program, integers, X, y) if dtype == "int8" else None
    test = _self_test(state, program, integers, X, dtype)
    encoder = None if table is None else Encoder(table, name, "double" if dtype == "float64" else "float")
    more = "" if encoder is None else encoder.definitions()
    files = Files(name, header, about(program, body, header, report, dtype, more), test, program, body, encoder)
    return CSource(files.definitions(), files.declarations(), report)


def _self_test(state: State, program: Program, integers: Mapping[int, Quantized], X: Array, dtype: str) -> SelfTest:
    """Return a row and its outputs. For integers, the outputs are those of integers."""
    if integers:
        outputs = in_pieces(program, X, integers)
        scale = _scale(outputs)
        return SelfTest(X[0], outputs[0], scale, TOLERANCES[dtype])
    for spread in (1.0, 0.1, 0.0):
        rows = _random_rows(program, spread).astype(np.float32 if dtype == "float32" else np.float64)
        outputs = program.answers(state.outputs(rows))
        if np.isfinite(outputs).all():
            break
    else:
        expected = "a network with finite outputs for a row of zeros"
        raise ValueError(_checks.wrong("trainer", expected, "NaN or infinity"))
    scale = _scale(outputs)
    tolerance = TOLERANCES["float32" if program.dtype == np.float32 else dtype]
    rounding = float(np.abs(in_pieces(program, rows) - outputs).max()) / scale if tolerance > 1e-6 else 0.0
    return SelfTest(rows[0], outputs[0], scale, max(tolerance, 8 * rounding))


def _scale(outputs: Array) -> float:
    """Return the size of outputs."""
    return float(np.abs(outputs).max()) or 1.0


def _random_rows(program: Program, spread: float) -> Array:
    """Return 16 rows of normal numbers in the units of X, and of categories."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, spread, (16, program.n_in))
    if program.scaling is not None:
        rows = rows * program.scaling.deviation + program.scaling.mean
    for column, n in enumerate(program.categories, program.n_in - len(program.categories)):
        rows[:, column] = rng.integers(0, n, len(rows))
    return rows
