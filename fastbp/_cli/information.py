"""`fastbp info model.npz`: what a model is, and how good it was when it was trained."""

from __future__ import annotations

from .._files.columns import Categories
from .._files.training_report import TrainingReport
from . import report, words
from .answer import Answer
from .files import load_model, target_facts
from .text import counted, paragraph


def about_model(path: str) -> Answer:
    """Return what the file of a model says."""
    trainer, table = load_model(path, advice="")
    record = trainer._state.report
    told = None if record is None else TrainingReport.from_record(record)
    if told is not None and told.trained != trainer.epochs_trained:
        told = None  # it was trained further, or its first training is not finished
    results = {
        "model": path,
        "target": target_facts(table),
        "columns": [{"name": name, "kind": kind, "becomes": text} for name, kind, text in table.describe()],
        "inputs": table.n_inputs,
        "network": list(trainer.layer_sizes),
        "parameters": trainer.n_parameters,
        "epochs": trainer.epochs_trained,
        "training": None if told is None else told.record(),
    }
    text = words.columns(table, every=True) + "\n"
    text += paragraph(f"Network: {words.network_text(trainer)}.")
    if told is None:
        text += (
            f"It was trained for {counted(trainer.epochs_trained, 'epoch')}. The file has no figures of the result.\n"
        )
        return Answer(results, text)
    text += words.ended(told)
    if told.class_weight:
        text += f"Class weights: {told.class_weight}.\n"
    return Answer(results, text + "\n" + _figures(told, of_numbers=not isinstance(table.target, Categories)))


def _figures(told: TrainingReport, *, of_numbers: bool) -> str:
    """Return the figures that `train` printed."""
    rows = {"validation": told.validation_rows, "training": told.rows}
    parts = {
        name: {"rows": rows[name], "measured": told.measured[name], "baseline": told.measured.get("baseline", {})}
        for name in rows
        if told.measured.get(name)
    }
    return report.text(parts, of_numbers=of_numbers) if parts else ""
