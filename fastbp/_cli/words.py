"""What `train` and `info` say about a table, a network and a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .._files.columns import Categories, Table
from .._files.training_report import TrainingReport
from ..trainer import Trainer
from .plan import Plan
from .text import counted, described, paragraph, shortened

CLASSES = 12  # the most classes that are listed


def columns(table: Table) -> str:
    """Return a table of what each column becomes."""
    return described(table.describe(), ("column", "kind", "what it becomes"))


def head(data: str, n_rows: int, n_columns: int, without_target: int, renamed: Sequence[str] = ()) -> str:
    """Return the first lines of `train`."""
    name = "standard input" if data == "-" else Path(data).name
    text = f"{name}: {counted(n_rows + without_target, 'row')}, {counted(n_columns, 'column')}.\n"
    if without_target:
        are = "is" if without_target == 1 else "are"
        text += f"{counted(without_target, 'row')} without a target {are} left out.\n"
    return text + "".join(paragraph(line) for line in renamed) + "\n"


def target(table: Table) -> str:
    """Return a line about the target."""
    if not isinstance(table.target, Categories):
        return paragraph(f"The target is {table.target.name}, a number.")
    names = table.target.categories
    shown = ", ".join(shortened(name, 30) for name in names[:CLASSES])
    more = f" and {len(names) - CLASSES} more" if len(names) > CLASSES else ""
    return paragraph(f"The target is {table.target.name}, {len(names)} classes: {shown}{more}.")


def note(text: str) -> str:
    """Return a note, in lines of the terminal's width."""
    return paragraph(f"Note: {text}")


def network(trainer: Trainer, plan: Plan, training: int, validation: int) -> str:
    """Return what is trained on which rows."""
    rows = f"{counted(training, 'row')} train, and {validation:,} validate." if validation else ""
    rows = rows or f"All {counted(training, 'row')} train, and none validate."
    seed = f" The seed is {trainer.seed}." if trainer.seed is not None else ""
    return paragraph(rows + seed) + paragraph(f"Network: {network_text(trainer, plan.epochs)}.") + "\n"


def network_text(trainer: Trainer, epochs: int | None = None) -> str:
    """Return a network's sizes and how it is trained."""
    sizes = "-".join(map(str, trainer.layer_sizes))
    kinds = ", ".join(dict.fromkeys(trainer.activation)) if len(trainer.layer_sizes) > 2 else "no hidden layer"
    state = trainer._state
    parts = [f"{sizes} ({kinds}), {counted(trainer.n_parameters, 'parameter')}"]
    parts += [f"dropout {state.dropout[0]:g}"] if any(state.dropout) else []
    parts += [f"l2 {state.bounds.l2:g}"] if state.bounds.l2 else []
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
    n, best, validates = report.trained, report.best_epoch, report.validation_rows > 0
    loss = "validation loss" if validates else "loss"
    if report.ending == "patience":
        waited = counted(report.patience or 0, "epoch")
        text = f"Stopped after epoch {n}, because the {loss} had not improved for {waited}."
    elif report.ending == "interrupted":
        text = f"Interrupted after {counted(n, 'complete epoch')}."
    else:
        text = f"Trained {counted(n, 'epoch')}, the most that --epochs allows."
    if best is not None:
        text += f" The model has the weights of epoch {best}, which has the lowest {loss}."
        if report.ending == "epochs" and best == n:
            text += " More epochs may improve it."
    elif n:
        text += " The model has the last weights."
    return paragraph(text)


def written(path: str, data: str) -> str:
    """Return where the model is, and what to do next."""
    new = "NEW.csv" if data == "-" else f"NEW{''.join(Path(data).suffixes)}"
    return f"\nWrote {path}. To predict new rows: fastbp predict {path} {new}\n"
