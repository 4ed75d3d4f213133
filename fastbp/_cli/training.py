"""`fastbp train`: train a model on a table, or continue a training."""

from __future__ import annotations

import math
from argparse import Namespace
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _messages, distributed, plots, tables
from .._files import TableError
from .._files.columns import Categories, Table
from .._files.training_report import TrainingReport
from .._library.announce import announced_if
from .._memory_limit import return_large_blocks
from ..callbacks import Callback, Checkpoint
from ..progress import interactive
from ..tables._problems import numbered
from ..trainer import Trainer
from . import fitting, folds, joining, plan as plans, report, words
from .answer import Answer
from .choices import Choices
from .disguise import in_disguise
from .files import about, check_place, default_place, target_facts, told_interruption, told_warnings
from .fitting import Samples
from .reading import found, recognised
from .recipe import recipe
from .resuming import begun, restore_last, same_training
from .searching import check_alone, search
from .split import split, strata

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass
class Job:
    """What `train` works on.

    Attributes
    ----------
    arguments : those of the command
    choices : what they say about columns
    frame : the rows that have a target, if they are needed for folds; otherwise none of them
    table : what each column becomes
    samples : the rows as X and y
    without_target : number of rows that are left out
    about : what is said about the table
    seed : of everything that is random
    comm : the processes that train together, or None
    silent : whether this is a part of another job, which prints
    """

    arguments: Namespace
    choices: Choices
    frame: DataFrame
    table: Table
    samples: Samples
    without_target: int
    about: str
    seed: int
    comm: Any
    silent: bool = False

    @property
    def shows(self) -> bool:
        """Whether the command prints text while it works."""
        return not (self.silent or self.arguments.quiet or self.arguments.json)

    def say(self, text: str) -> None:
        """Print text, unless --quiet or --json is given."""
        if self.shows:
            _messages.result(text)


def train(arguments: Namespace) -> dict[str, Any]:
    """Train a model that predicts a table's target from its other columns, and save it."""
    return_large_blocks()
    comm = distributed.communicator()
    if comm is not None and comm.Get_rank() > 0:  # the first rank prints and writes
        arguments.quiet, arguments.json, arguments.plot = True, False, None
    if arguments.out is None:
        arguments.out = default_place(arguments.data)
    check_place("--out", arguments.out, data=arguments.data)
    if arguments.plot:
        check_place("--plot", arguments.plot, data=arguments.data, out=arguments.out)
        plots.check_picture("--plot", arguments.plot)
    if arguments.best:
        return search(arguments, comm)
    check_alone(arguments)
    plans.check(arguments)
    with told_warnings(silent=arguments.quiet), told_interruption(arguments):
        job = _read(arguments, comm)
        names = report.metric_names(arguments.metrics, job.table)
        plans.networks(arguments, len(job.samples), alone=_alone(job, resume=arguments.resume))  # checks --networks
        if arguments.resume:
            begun(arguments, job.table, comm)  # which refuses a file of another table before anything is printed
        job.say(job.about)
        tested = _cross_validated(job, names)
        return _trained(job, names, tested)


def _read(arguments: Namespace, comm: Any) -> Job:
    """Read the table, and decide what each column becomes."""
    read = found(arguments)
    frame, table = read.frame, read.table
    with about(arguments.data):
        folds.check_count(arguments.folds, len(frame))
        if arguments.class_weight and not isinstance(table.target, Categories):
            expected = "expected a target of classes, or --task classes"
            raise TableError(f"--class-weight: {expected}, got {table.target.name!r}, which is a number")
        with numbered(read.numbers):
            samples = _samples(arguments, table, frame, comm)
    seed = np.random.default_rng().integers(1 << 32) if arguments.seed is None else arguments.seed
    seed = int(seed if comm is None else comm.bcast(seed))
    kept = frame if arguments.folds else frame.iloc[:0].copy()  # a view would keep all rows
    some = fitting.spread(len(frame))
    text = read.about(arguments.data, in_disguise(table, frame.iloc[some], samples.X[some], samples.y[some]))
    return Job(arguments, read.choices, kept, table, samples, read.without_target, text, seed, comm)


def _samples(arguments: Namespace, table: Table, frame: DataFrame, comm: Any) -> Samples:
    """Return the rows that train. L-BFGS, and several processes, need all of them in an array."""
    whole = arguments.optimizer == "lbfgs" or comm is not None
    return Samples.of(tables.training_encoding(table, frame), tables.targets(table, frame), whole=whole)


def _cross_validated(job: Job, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Train and test a model for each fold, and print the figures. The first rank does it alone."""
    count = job.arguments.folds
    if not count or (job.comm is not None and job.comm.Get_rank() > 0):
        return None
    tested = []
    for training, testing in folds.parts(strata(job.table, job.samples.y), count, job.seed):
        part = job.frame.iloc[training].reset_index(drop=True)
        table = recognised(job.arguments, job.choices, part)
        samples = _samples(job.arguments, table, part, None)
        alone = replace(job, frame=part, table=table, samples=samples, comm=None, silent=True)
        trainer = _fitted(alone, resume=False).trainer
        if trainer.history.interrupted:
            raise KeyboardInterrupt
        with told_warnings(silent=True):
            X = tables.encoded(table, job.frame.iloc[testing])
            y = tables.targets(table, job.frame.iloc[testing], unknown="other")
        tested.append(fitting.figures(trainer, table, Samples(X, y), names))
    means = folds.summary(tested)
    job.say(f"Cross-validation: each of {count} models is tested on rows that it was not trained on.\n")
    job.say(folds.text(tested, means) + "\n")
    return {"each": tested, "means": means}


@dataclass
class Trained:
    """What training a job gives.

    Attributes
    ----------
    trainer : has the weights of the best epoch
    plan : how it was trained
    training, validation : the rows; validation is None if there are none
    ending, best_epoch : from `fitting.ending`
    best_epochs : of each network, if the trainer has several that are joined
    output : what networks said of the validation rows, if several are joined
    """

    trainer: Trainer
    plan: plans.Plan
    training: Samples
    validation: Samples | None
    ending: str
    best_epoch: int | None
    best_epochs: tuple[int, ...] = ()
    output: Any = None


def _joined(job: Job, count: int) -> Trained:
    """Fit several networks, and join them to one."""
    arguments, table, samples = job.arguments, job.table, job.samples
    parts = joining.parts_of(strata(table, samples.y), plans.validation_fraction(arguments), count, job.seed)
    candidates = plans.candidates(arguments, len(parts[0][0]))
    job.say(words.networks(candidates, parts, job.seed))
    task = joining.Task(table, samples, parts, arguments.class_weight, job.seed, arguments.threads)
    with announced_if(not arguments.quiet):
        found = joining.joined(task, candidates, verbose=1 if interactive() and job.shows else 0)
    job.say(words.chosen(found.losses, found.plan.trainer(table, seed=job.seed), found.plan))
    told = TrainingReport(
        rows=len(samples),
        validation_rows=len(found.validated),
        without_target=job.without_target,
        epochs=found.plan.epochs,
        patience=found.plan.patience,
        class_weight=arguments.class_weight,
    )
    found.trainer._table, found.trainer._state.report = table, told.record()
    validation = samples.rows(found.validated)
    ended = found.ending, None, found.best_epochs, found.output
    training = samples.as_new(np.arange(len(samples)))
    return Trained(found.trainer, found.plan, training, validation, *ended)


def _alone(job: Job, *, resume: bool) -> str:
    """Return why only one network can train, or ""."""
    if resume or job.comm is not None:
        return "--resume" if resume else "MPI"
    return "inputs of more than 64 MB" if isinstance(job.samples.X, tables.Encoding) else ""


def _fitted(job: Job, *, resume: bool) -> Trained:
    """Fit a trainer, new or from the file that --resume names."""
    arguments, table, samples = job.arguments, job.table, job.samples
    if (count := plans.networks(arguments, len(samples), alone=_alone(job, resume=resume))) > 1:
        return _joined(job, count)
    going_on = begun(arguments, table, job.comm) if resume else None
    rng = np.random.default_rng(job.seed) if going_on is None else going_on._state.generator()
    rows = split(strata(table, samples.y), plans.validation_fraction(arguments), rng)
    plan = plans.planned(arguments, recipe(len(rows[0])), validates=len(rows[1]) > 0)
    trainer = plan.trainer(table, seed=job.seed, n_threads=arguments.threads, comm=job.comm)
    if going_on is not None:
        trainer, plan = same_training(arguments, going_on, trainer, plan)
        if plan.patience is None:
            restore_last(trainer)
    training, validation = samples.split(*rows) if len(rows[1]) else (samples.rows(rows[0]), None)
    told = TrainingReport(
        rows=len(rows[0]),
        validation_rows=len(rows[1]),
        without_target=job.without_target,
        epochs=plan.epochs,
        patience=plan.patience,
        class_weight=arguments.class_weight,
    )
    trainer._table, trainer._state.report = table, told.record()
    job.say(words.network(trainer, plan, len(rows[0]), len(rows[1])))
    callbacks: list[Callback] = [*fitting.stopping(plan)]
    if resume:
        callbacks.append(Checkpoint(arguments.out))
    options = {"callbacks": callbacks, "class_weight": arguments.class_weight}
    shown = interactive() and job.shows
    with announced_if(not arguments.quiet):
        fitting.fit(trainer, plan, training, validation, verbose="auto" if shown else 0, **options)
    if resume and trainer.history.interrupted:  # go back to the last complete epoch, and restore the best weights
        trainer = begun(arguments, table, job.comm) or plan.trainer(table, seed=job.seed, comm=job.comm)
        trainer._table, trainer._state.report = table, told.record()
        if plan.patience is None:
            restore_last(trainer)
        fitting.fit(trainer, replace(plan, epochs=trainer.epochs_trained), training, validation, verbose=0, **options)
        trainer.history.interrupted = True
    training = training if samples.crossed is None else samples.as_new(rows[0])
    return Trained(trainer, plan, training, validation, *fitting.ending(trainer, callbacks))


def _plotted(trainer: Trainer, path: str | None) -> str:
    """Draw the learning curves, if a path for them is given. Return why there are none, or ""."""
    if not path:
        return ""
    if not trainer.history.epochs:
        return f"\nNo picture is written to {path}: the model has no learning curves, because no epoch was trained.\n"
    plots.save(trainer.history.plot(), path)
    return ""


def _trained(job: Job, names: tuple[str, ...], tested: dict[str, Any] | None) -> Answer:
    """Train the model, write it, and return what there is to say about it."""
    arguments, table = job.arguments, job.table
    done = _fitted(job, resume=arguments.resume)
    trainer = done.trainer
    trainer.save(arguments.out)
    without_plot = _plotted(trainer, arguments.plot)
    parts = {}
    if done.validation is not None:
        output = fitting.outputs(trainer, done.validation) if done.output is None else done.output
        parts["validation"] = fitting.figures_of(table, output, done.validation.y, names)
    parts["training"] = fitting.figures(trainer, table, done.training, names)
    baseline = next(iter(parts.values()))["baseline"]
    told = replace(
        TrainingReport(**trainer._state.report or {}),
        trained=trainer.epochs_trained,
        best_epoch=done.best_epoch,
        best_epochs=list(done.best_epochs),
        ending=done.ending,
        measured={name: _finite(part["measured"]) for name, part in parts.items()} | {"baseline": _finite(baseline)},
    )
    trainer._state.report = told.record()
    trainer.save(arguments.out)
    results = {
        "model": arguments.out,
        "rows": len(job.samples),
        "without_target": job.without_target,
        "columns": [{"name": name, "kind": kind, "becomes": text} for name, kind, text in table.describe()],
        "inputs": table.n_inputs,
        "target": target_facts(table),
        "network": list(trainer.layer_sizes),
        "parameters": trainer.n_parameters,
        "seed": trainer.seed,
        "epochs": trainer.epochs_trained,
        "best_epoch": done.best_epoch,
        "best_epochs": list(done.best_epochs),
        "ending": done.ending,
        "interrupted": trainer.history.interrupted,
        **parts,
    }
    if arguments.plot:
        results["plot"] = None if without_plot else arguments.plot
    if tested is not None:
        results["folds"] = tested
    text = words.ended(told) + "\n" + report.text(parts, of_numbers=not isinstance(table.target, Categories))
    text += words.balanced(told) + without_plot
    return Answer(results, text + words.written(arguments.out, arguments.data, named=not arguments.no_header))


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Return the figures that can be measured, as JSON has them."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
