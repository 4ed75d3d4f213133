"""`fastbp export`: write a model as C or ONNX."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files import TableError
from ..trainer import Trainer
from . import ensembles
from .answer import Answer
from .files import about, check_place, input_names, load_trainer, read_rows, read_table, rows_with_target, told_warnings
from .text import paragraph

if TYPE_CHECKING:
    from ..results import CSource

Array = npt.NDArray[Any]

ENDINGS = (".c", ".onnx")
OF_C = ("header", "name", "dtype", "calibration")


def export(arguments: Namespace) -> dict[str, Any]:
    """Write a model as C or ONNX, for programs without Python."""
    ending = Path(arguments.out).suffix.lower()
    if ending not in ENDINGS:
        raise TableError(f"out: expected a file that ends in {' or '.join(ENDINGS)}, got {arguments.out!r}")
    others = {"model": arguments.model} | ({"calibration": arguments.calibration} if arguments.calibration else {})
    check_place("out", arguments.out, **others)
    return _as_onnx(arguments) if ending == ".onnx" else _as_c(arguments, others)


def _as_onnx(arguments: Namespace) -> dict[str, Any]:
    """Write ONNX."""
    for option in OF_C:
        if getattr(arguments, option) is not None:
            raise TableError(f"--{option}: expected an output that ends in .c, got {arguments.out!r}")
    if ensembles.is_ensemble(arguments.model):
        ensembles.load(arguments.model)[0].to_onnx(arguments.out)
    else:
        from ..interop import to_onnx

        trainer = load_trainer(arguments.model, advice="")
        if trainer._state.loss.needs_graph:
            expected = f"a file that ends in .c for the loss {trainer._state.loss.name!r}"
            advice = "or, in Python, fastbp.interop.to_onnx with output='logits'"
            raise TableError(f"out: expected {expected}, {advice}, got {arguments.out!r}")
        to_onnx(trainer, arguments.out)
    return Answer({"model": arguments.model, "onnx": arguments.out}, f"Wrote {arguments.out}.\n")


def _as_c(arguments: Namespace, others: dict[str, str]) -> dict[str, Any]:
    """Write C."""
    if ensembles.is_ensemble(arguments.model):
        came = f"{arguments.model!r}, an ensemble of --best"
        raise TableError(f"out: expected a file that ends in .onnx for {came}, got {arguments.out!r}")
    header = arguments.header or str(Path(arguments.out).with_suffix(".h"))
    check_place("--header" if arguments.header else "out", header, **others)
    trainer = load_trainer(arguments.model, advice="")
    dtype = arguments.dtype or "float32"
    if dtype == "int8" and arguments.calibration is None:
        raise TableError("--dtype int8: expected --calibration with a table of training rows, got none")
    if dtype != "int8" and arguments.calibration is not None:
        raise TableError(f"--calibration: expected --dtype int8, which needs it, got --dtype {dtype}")
    rows = None if arguments.calibration is None else _calibration(trainer, arguments)
    made = trainer.to_c(
        arguments.out,
        header=arguments.header,
        name=arguments.name,
        dtype=dtype,
        calibration=rows,
    )
    return _answer(arguments, header, dtype, made)


def _answer(arguments: Namespace, header: str, dtype: str, made: CSource) -> Answer:
    report = None if made.report is None else asdict(made.report)
    results = {"model": arguments.model, "source": arguments.out, "header": header, "dtype": dtype, "accuracy": report}
    text = paragraph(f"Wrote {arguments.out} and {header}, which describes the functions.")
    return Answer(results, text + "".join(map(paragraph, str(made.report).splitlines() if made.report else ())))


def _calibration(trainer: Trainer, arguments: Namespace) -> Any:
    """Return rows of inputs, with their targets if the table has them."""
    arguments.data = arguments.calibration
    table = trainer._table
    if table is None:
        return _of_numbers(trainer, arguments)
    with told_warnings():
        frame = read_table(arguments, [*input_names(table), table.target.name])
        if table.target.name not in frame.columns:
            frame = read_rows(arguments, input_names(table))
            with about(arguments.data):
                return _inputs(tables.encoded(table, frame))
        frame = read_rows(arguments, [*input_names(table), table.target.name])
        with about(arguments.data):
            frame = frame[rows_with_target(table, frame)[0]].reset_index(drop=True)
            return _inputs(tables.encoded(table, frame)), tables.targets(table, frame)


def _inputs(encoded: Any) -> Array:
    """Return the inputs of all rows of a table."""
    rows: Array = encoded if isinstance(encoded, np.ndarray) else encoded.through(lambda X: X)
    return rows


def _of_numbers(trainer: Trainer, arguments: Namespace) -> Any:
    """Return rows of a table of numbers, for a trainer that was not trained on a table."""
    frame, n_in = read_table(arguments, []), trainer.layer_sizes[0]
    names = list(trainer.feature_names or ())
    target = frame["y"].to_numpy() if "y" in frame.columns and "y" not in names else None
    if names:
        frame = read_rows(arguments, names)[names]
    elif target is not None:
        frame = frame.drop(columns="y")
    if frame.shape[1] != n_in:
        raise TableError(f"{arguments.data}: expected {n_in} columns of inputs, got {frame.shape[1]}")
    return frame if target is None else (frame, target)
