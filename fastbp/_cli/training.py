"""`fastbp train`: train a model on a table, or continue a training."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from .. import distributed, plots, tables
from .._files import TableError
from .._files.columns import Categories, Table
from .._files.model import options_of
from .._kernels import codes
from .._library.announce import announced_if
from ..callbacks import Callback, Checkpoint, EarlyStopping
from ..progress import interactive
from ..trainer import Trainer
from .files import about, check_place, load_model, read_table, target_facts

Samples = tuple[Any, Any]  # X and y


def train(arguments: Namespace) -> dict[str, Any]:
    """Train a model that predicts a table's target from its other columns, and save it."""
    comm = distributed.communicator()
    if comm is not None and comm.Get_rank() > 0:  # the first rank prints and writes
        arguments.quiet, arguments.json, arguments.plot = True, False, None
    check_place("--out", arguments.out, data=arguments.data)
    if arguments.plot:
        check_place("--plot", arguments.plot, data=arguments.data, out=arguments.out)
        plots.check_picture("--plot", arguments.plot)
    frame = read_table(arguments.data, [arguments.target])
    with about(arguments.data):
        table = tables.recognise(frame, arguments.target, arguments.task, fill=arguments.missing == "mean")
        X, y = tables.inputs(table, frame), tables.targets(table, frame)
    trainer = _new(arguments, table, comm)
    if arguments.resume and os.path.exists(arguments.out):
        trainer = _resumed(arguments, table, comm)
    metric = "accuracy" if isinstance(table.target, Categories) else "r2"
    training, validation = _split(trainer, X, y, metric, arguments.validation)
    trainer = _fitted(arguments, table, comm, trainer, training, validation_data=validation, metrics=metric)
    trainer.save(arguments.out)
    if arguments.plot:
        plots.save(trainer.history.plot(), arguments.plot)
    measured: dict[str, float] = {}
    if arguments.json or not arguments.quiet:  # the model's weights are not always those of the last epoch
        measured = trainer.evaluate(*training, metric)
        if validation is not None:
            measured |= {f"val_{name}": value for name, value in trainer.evaluate(*validation, metric).items()}
    return {
        "model": arguments.out,
        "rows": len(frame),
        "inputs": table.n_inputs,
        "target": target_facts(table),
        "parameters": trainer.n_parameters,
        "epochs": trainer.epochs_trained,
        "interrupted": trainer.history.interrupted,
        "measured": measured,
    }


def _new(arguments: Namespace, table: Table, comm: Any = None) -> Trainer:
    """Return an untrained trainer with the options of the command."""
    return Trainer(
        (table.n_inputs, *arguments.hidden, table.n_outputs),
        activation=arguments.activation,
        loss=table.loss,
        optimizer=arguments.optimizer,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        initializer="glorot",
        schedule=arguments.schedule,
        dropout=arguments.dropout,
        l2=arguments.l2,
        seed=arguments.seed,
        n_threads=arguments.threads,
        comm=comm,
    )


def _split(trainer: Trainer, X: Any, y: Any, metric: str, fraction: float) -> tuple[Samples, Samples | None]:
    """Return the training samples and the validation samples, as a fit with this validation_split splits them."""
    training, validation = trainer._intake.split(trainer._intake.data("X", X, "y", y, (metric,)), fraction)
    return _samples(training), None if validation is None else _samples(validation)


def _samples(data: codes.Data) -> Samples:
    """Return X and y as `Trainer.fit` accepts them."""
    return data.X, data.labels if data.labels.size else data.targets


def _fitted(
    arguments: Namespace, table: Table, comm: Any, trainer: Trainer, samples: Samples, **options: Any
) -> Trainer:
    """Fit the trainer and return the one to save: after Ctrl-C with --resume, that of the last complete epoch."""
    options["callbacks"] = callbacks = list[Callback]()
    if arguments.patience is not None:
        callbacks.append(EarlyStopping(patience=arguments.patience))
    if arguments.resume:
        callbacks.append(Checkpoint(arguments.out))
    shown = interactive() and not arguments.quiet and not arguments.json
    trainer._table = table
    done = trainer.epochs_trained
    with announced_if(not arguments.quiet):
        trainer.fit(*samples, epochs=arguments.epochs, initial_epoch=done, **options, verbose="auto" if shown else 0)
    if arguments.resume and trainer.history.interrupted:
        there = os.path.exists(arguments.out)
        trainer = _begun(arguments, comm)[0] if there else _new(arguments, table, comm)
        trainer._table, done = table, trainer.epochs_trained
        trainer.fit(*samples, epochs=done, initial_epoch=done, **options, verbose=0)  # restores the best weights
        trainer.history.interrupted = True
    return trainer


def _resumed(arguments: Namespace, table: Table, comm: Any) -> Trainer:
    """Return the training to continue, if the table and the options are the same."""
    trainer, known = _begun(arguments, comm)
    had, wanted = options_of(trainer._state), options_of(_new(arguments, table)._state)
    if arguments.seed is None:
        had["seed"] = wanted["seed"] = None
    differing = [name for name in had if had[name] != wanted[name]]
    if known.record() != table.record():
        differing = ["columns of the table", *differing]
    if differing:
        raise TableError(f"{arguments.out}: to continue this training, use the same {differing[0]}, or another --out")
    return trainer


def _begun(arguments: Namespace, comm: Any) -> tuple[Trainer, Table]:
    """Return the training to continue. Without --patience it gets its last weights, not those of its best epoch."""
    trainer, table = load_model(arguments.out, comm)
    if arguments.patience is None:
        for name, state in trainer._state.callback_states:
            if name == EarlyStopping.__name__:
                stopping = EarlyStopping(restore_best_weights=False)
                stopping.load_state_dict(state)
                stopping.on_fit_begin(trainer, 0)  # gives it the last weights
    return trainer, table
