"""--resume: which training to continue, and whether the options are the same."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace
from typing import Any

from .._files import TableError
from .._files.columns import Table
from .._files.model import options_of
from .._files.training_report import TrainingReport
from ..callbacks import EarlyStopping
from ..trainer import Trainer
from .files import load_model
from .plan import OPTIONS, Plan

OF_COMMAND = {name: (name,) for name in OPTIONS} | {  # what --resume compares, and the options that decide it
    "layer_sizes": ("hidden",),
    "learning_rate": ("learning_rate", "optimizer"),
    "schedule": ("schedule", "optimizer"),
    "seed": ("seed",),
}


def begun(arguments: Namespace, table: Table, comm: Any) -> Trainer | None:
    """Return the training to continue, or None if there is no file yet."""
    if not os.path.exists(arguments.out):
        return None
    trainer, known = load_model(arguments.out, comm, advice="; to train anew, use another --out")
    if not known.order:  # a file of an earlier version
        came = "one of an earlier version, which read tables in another way; train anew with another --out"
        raise TableError(f"{arguments.out}: expected a training of this version, got {came}")
    if known.record() != table.record():
        raise _differs(arguments, "columns of the table")
    return trainer


def same_training(arguments: Namespace, had: Trainer, wanted: Trainer, plan: Plan) -> tuple[Trainer, Plan]:
    """Return the training to continue and its plan, if the options that the command has are its own.

    Parameters
    ----------
    had : the training to continue
    wanted : a new one with the options of the command
    plan : of the new one
    """
    before, now = options_of(had._state), options_of(wanted._state)
    for name, options in OF_COMMAND.items():
        if before[name] != now[name] and any(getattr(arguments, option) is not None for option in options):
            raise _differs(arguments, name)
    report = TrainingReport.from_record(had._state.report) if had._state.report else None
    if report is not None:
        if report.class_weight != arguments.class_weight:
            raise _differs(arguments, "class_weight")
        if arguments.epochs is None:
            plan = replace(plan, epochs=report.epochs)
        if arguments.patience is None and plan.patience is not None:
            plan = replace(plan, patience=report.patience)
    had.n_threads = arguments.threads
    return had, plan


def restore_last(trainer: Trainer) -> None:
    """Give a trainer its last weights, if its file has those of the best epoch, which no callback will replace."""
    for name, state in trainer._state.callback_states:
        if name == EarlyStopping.__name__:
            stopping = EarlyStopping(restore_best_weights=False)
            stopping.load_state_dict(state)
            stopping.on_fit_begin(trainer, 0)


def _differs(arguments: Namespace, what: str) -> TableError:
    return TableError(f"{arguments.out}: to continue this training, use the same {what}, or another --out")
