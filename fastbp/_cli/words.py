"""What `train` and `info` say about a table, a network and a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._files.columns import Table
from .._files.training_report import TrainingReport
from ..trainer import Trainer
from .plan import Plan
from .text import counted, described, paragraph

COLUMNS = 100  # the most inputs that `train` lists


def columns(table: Table, *, every: bool = False) -> str:
    """Return a table of what each column becomes. Of very many inputs it has the first ones, unless every is set."""
    rows = table.describe()
    inputs = [row for row in rows if row[0] in table.slices]
    hidden = set() if every else {name for name, _, _ in inputs[COLUMNS:]}
    text = described([row for row in rows if row[0] not in hidden], ("column", "kind", "what it becomes"))
    return text + (f"… and {len(hidden):,} more columns that are inputs; fastbp info lists them\n" if hidden else "")


def head(data: str, about: Mapping[Any, Any], n_rows: int, n_columns: int, without_target: int, left_out: str) -> str:
    """Return the first lines of `train`.

    Parameters
    ----------
    data : the path of the table
    about : the attrs of the frame that `_files.tables.read` returned
    n_rows, n_columns : the size of the frame without rows that have no target
    without_target, left_out : the number of these rows, and a sentence about them, or ""
    """
    name = "standard input" if data == "-" else Path(data).name
    text = f"{name}: {counted(n_rows + without_target, 'row')}, {counted(n_columns, 'column')}.\n"
    text += paragraph(left_out) if left_out else ""
    text += "".join(paragraph(line[:1].upper() + line[1:] + ".") for line in about.get("notes", []))
    for new, old in about.get("renamed", {}).items():
        why = "has no name in the file" if not old else f"is another one called {old!r} in the file"
        text += paragraph(f"Column {new!r} {why}.")
    return text + "\n"


def advice() -> str:
    """Return how to change what columns become."""
    return "\n" + paragraph("To change a column, use --type COLUMN=TYPE, or leave it out with --drop COLUMN.")


def balanced(report: TrainingReport) -> str:
    """Return how to read the figures of a model that was trained with balanced classes."""
    if report.class_weight is None:
        return ""
    text = (
        "--class-weight balanced gives rare classes larger probabilities than their share of the rows. Judge the model "
    )
    text += "by AUC, recall and f1. Its accuracy and log loss may be worse than those of the class frequencies."
    return "\n" + note(text)


def note(text: str) -> str:
    """Return a note, in lines of the terminal's width."""
    return paragraph(f"Note: {text}")


def network(trainer: Trainer, plan: Plan, training: int, validation: int) -> str:
    """Return what is trained on which rows."""
    rows = f"{counted(training, 'row')} train, and {validation:,} validate." if validation else ""
    rows = rows or f"All {counted(training, 'row')} train, and none validate."
    seed = f" The seed is {trainer.seed}." if trainer.seed is not None else ""
    return paragraph(rows + seed) + paragraph(f"Network: {network_text(trainer, plan.epochs)}.") + "\n"


def networks(plans: Sequence[Plan], parts: Sequence[tuple[Any, Any]], seed: int) -> str:
    """Return what networks are trained and joined; plans: to choose from; parts: the rows that train and validate."""
    n, validating = len(parts[0][0]) + len(parts[0][1]), len(parts[0][1])
    text = f"{len(parts)} networks train and become one model. Each validates on {validating:,} of the {n:,} rows, "
    text += f"different ones for each network, and trains on the others. The seed is {seed}."
    if len(plans) > 1:
        kinds = ", ".join(plan.kind for plan in plans)
        text += f" fastbp tries {len(plans)} kinds of hidden layers ({kinds}) and keeps the best."
    return paragraph(text) + "\n"


def chosen(losses: Mapping[str, float], trainer: Trainer, plan: Plan) -> str:
    """Return what networks the model joins.

    Parameters
    ----------
    losses : the validation loss of each kind that was tried
    trainer, plan : of one of the networks
    """
    text = ""
    if len(losses) > 1:
        found = ", ".join(f"{loss:.4g} with {name}" for name, loss in losses.items())
        text = f"Validation loss: {found}. The model has {plan.kind}"
        best = losses[plan.kind] <= min(losses.values())
        text = paragraph(f"{text}." if best else f"{text}, because no other kind is clearly better.")
    return text + paragraph(f"Each network: {network_text(trainer, plan.epochs)}.") + "\n"


def network_text(trainer: Trainer, epochs: int | None = None) -> str:
    """Return a network's sizes and how it is trained."""
    sizes = "-".join(map(str, trainer.layer_sizes))
    kinds = ", ".join(dict.fromkeys(trainer.activation)) if len(trainer.layer_sizes) > 2 else "no hidden layer"
    state = trainer._state
    layers = ", ".join(map(repr, state.network.layers))
    parts = [f"{layers or f'{sizes} ({kinds})'}, {counted(trainer.n_parameters, 'parameter')}"]
    parts += [f"dropout {state.dropout[0]:g}"] if any(state.dropout) else []
    parts += [f"l2 {state.bounds.l2:.3g}"] if state.bounds.l2 else []
    parts += ["standardize=True"] if state.standardize else []
    parts.append(state.optimizer.name)
    if state.optimizer.name != "lbfgs":
        parts += [f"learning rate {state.learning_rate:g}", f"batches of {counted(state.batch_size, 'row')}"]
    if state.schedule is not None:
        parts.append(f"schedule {type(state.schedule).__name__}")
    if epochs is not None:
        parts.append(f"at most {counted(epochs, 'epoch')}")
    return ", ".join(parts)


def ended(report: TrainingReport) -> str:
    """Return why a training ended, and which epoch's weights the model has."""
    if report.best_epochs:
        return paragraph(_joined(report))
    n, best, validates = report.trained, report.best_epoch, report.validation_rows > 0
    loss = "validation loss" if validates else "loss"
    if report.ending == "patience":
        waited = counted(report.patience or 0, "epoch")
        text = f"Stopped after epoch {n}, because the {loss} had not improved for {waited}."
    elif report.ending == "interrupted":
        text = f"Interrupted after {counted(n, 'epoch')}."
    else:
        text = f"Trained {counted(n, 'epoch')}, the most that --epochs allows."
    if best is not None:
        text += f" The model has the weights of epoch {best}, which has the lowest {loss}."
        if report.ending == "epochs" and best == n:
            text += " More epochs may improve it."
    elif n:
        text += " The model has the last weights."
    return paragraph(text)


def _joined(report: TrainingReport) -> str:
    """Return why the trainings of joined networks ended."""
    epochs = ", ".join(map(str, report.best_epochs))
    if not any(report.best_epochs):
        text = "Each network has the weights with the least squared error, which need no training epochs. "
        return text + "The model has the mean of these weights."
    if report.ending == "interrupted":
        text = f"Interrupted. The model joins {counted(len(report.best_epochs), 'network')} with the weights"
    elif report.ending == "patience":
        waited = counted(report.patience or 0, "epoch")
        text = (
            f"Each network stopped when its validation loss had not improved for {waited}. The model joins the weights"
        )
    else:
        text = f"No network trained more than the {counted(report.epochs, 'epoch')} that --epochs allows. "
        text += "The model joins the weights"
    return f"{text} of their best epochs: {epochs}."


def written(path: str, data: str, *, named: bool) -> str:
    """Return where the model is, and what to do next."""
    new = "NEW.csv" if data == "-" else f"NEW{''.join(Path(data).suffixes)}"
    return f"\nWrote {path}. To predict new rows: fastbp predict {path} {new}{'' if named else ' --no-header'}\n"
