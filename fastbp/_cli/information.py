"""`fastbp info model.npz`: what a model is, and how good it was when it was trained."""

from __future__ import annotations

from .._files.columns import Categories
from .._files.training_report import TrainingReport
from ..trainer import Trainer
from . import ensembles, report, words
from .answer import Answer
from .files import load_trainer, target_facts
from .text import counted, listed, paragraph


def about_model(path: str) -> Answer:
    """Return what the file of a model says."""
    if ensembles.is_ensemble(path):
        return ensembles.information(path)
    trainer = load_trainer(path, advice="")
    if (table := trainer._table) is None:
        return _without_table(path, trainer)
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
        "standardize": trainer.standardize,
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


def _without_table(path: str, trainer: Trainer) -> Answer:
    """Return what there is to say about a model of `Trainer.save`, whose inputs are numbers."""
    names = trainer.feature_names
    results = {
        "model": path,
        "loss": str(trainer.loss),
        "input_names": None if names is None else list(names),
        "inputs": trainer.layer_sizes[0],
        "network": list(trainer.layer_sizes),
        "parameters": trainer.n_parameters,
        "standardize": trainer.standardize,
        "epochs": trainer.epochs_trained,
    }
    text = paragraph(
        "Trainer.save wrote this model. It has no table: use it in Python, with Trainer.load, or write it as C or ONNX "
        "with fastbp export."
    )
    text += "\n"
    text += paragraph(f"Inputs: {listed(names)}.") if names else ""
    text += paragraph(f"Network: {words.network_text(trainer)}, loss {trainer.loss}.")
    return Answer(results, f"{text}It was trained for {counted(trainer.epochs_trained, 'epoch')}.\n")


def _figures(told: TrainingReport, *, of_numbers: bool) -> str:
    """Return the figures that `train` printed."""
    rows = {"validation": told.validation_rows, "training": told.rows}
    parts = {
        name: {"rows": rows[name], "measured": told.measured[name], "baseline": told.measured.get("baseline", {})}
        for name in rows
        if told.measured.get(name)
    }
    return report.text(parts, of_numbers=of_numbers) if parts else ""
