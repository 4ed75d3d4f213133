"""The options of a training: those that the user gave, and the recipe's for all others."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from .._checks import fraction, whole
from .._files import TableError
from .._files.columns import Table
from ..trainer import Trainer
from .recipe import Recipe, candidates as recipes, recipe

VALIDATION = 0.2  # of the rows
NEVER = 1 << 40  # epochs of patience that nobody waits for
OPTIONS = ("activation", "learning_rate", "batch_size", "optimizer", "dropout", "l2", "schedule")


@dataclass(frozen=True)
class Plan:
    """How to train a network for a table.

    Attributes
    ----------
    hidden : sizes of the hidden layers
    epochs : the most epochs
    patience : epochs without improvement after which training stops, NEVER, or None to keep the last epoch
    options : the other arguments of `Trainer`
    """

    hidden: tuple[int, ...]
    epochs: int
    patience: int | None
    options: dict[str, Any]

    @property
    def kind(self) -> str:
        """What distinguishes its network from those of other plans, such as 64-64 tanh."""
        sizes = "-".join(map(str, self.hidden))
        return f"{sizes} {self.options['activation']}" if self.hidden else "no hidden layer"

    def trainer(self, table: Table, **options: Any) -> Trainer:
        """Return an untrained trainer for a table."""
        sizes = (table.n_inputs, *self.hidden, table.n_outputs)
        return Trainer(sizes, loss=table.loss, **self.options | options)


def planned(arguments: Namespace, usual: Recipe, *, validates: bool) -> Plan:
    """Return the plan of a command.

    Parameters
    ----------
    arguments : of the command; None means auto
    usual : for the options that are None
    validates : whether some rows validate
    """
    options = usual.options()
    hidden = usual.hidden if arguments.hidden is None else arguments.hidden
    if arguments.activation is not None:
        options["initializer"] = "glorot"  # that of the recipe suits its own activation
    if arguments.optimizer is not None:  # that of the recipe has another scale
        options |= {"learning_rate": None, "schedule": None}
    if arguments.optimizer == "lbfgs":
        options["dropout"] = 0.0
    if not hidden:
        options["dropout"] = 0.0
    options |= {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    epochs = usual.epochs if arguments.epochs is None else whole("--epochs", arguments.epochs, minimum=0)
    return Plan(hidden, epochs, _patience(arguments.patience, usual.patience, validates=validates), options)


def validation_fraction(arguments: Namespace) -> float:
    """Return the fraction of the rows that validate."""
    return VALIDATION if arguments.validation is None else fraction("--validation", arguments.validation)


def check(arguments: Namespace) -> None:
    """Check the options of a training that don't depend on the table, before it is read."""
    validation_fraction(arguments)
    plan = planned(arguments, recipe(1), validates=True)
    try:
        Trainer((1, *plan.hidden, 1), seed=arguments.seed, n_threads=arguments.threads, **plan.options)
    except (ValueError, TypeError) as error:
        name, colon, text = str(error).partition(":")
        option = {"layer_sizes": "hidden", "n_threads": "threads"}.get(name.split("[")[0], name.split("[")[0])
        raise ValueError(f"--{option.replace('_', '-')}{colon}{text}") from None


def _patience(asked: int | str | None, usual: int, *, validates: bool) -> int | None:
    """Return the patience. Without validation rows, training goes on to its end unless --patience is a number."""
    if asked is not None and asked != "never":
        return whole("--patience", asked, minimum=1)
    if not validates:
        return None
    return usual if asked is None else NEVER


def networks(arguments: Namespace, n_rows: int, *, alone: str) -> int:
    """Return how many networks are trained and joined.

    Parameters
    ----------
    arguments : of the command
    n_rows : number of rows that train or validate
    alone : the option or the launcher with which only one network can train, or ""
    """
    most, share = n_rows // 2, validation_fraction(arguments)
    if arguments.networks is None:
        one = alone or arguments.hidden is not None or share == 0 or arguments.epochs == 0
        return 1 if one else min(recipe(n_rows).networks, round(1 / share), most)
    count = whole("--networks", arguments.networks, minimum=1)
    if count == 1:
        return 1
    if alone:
        raise TableError(f"--networks: expected 1 with {alone}, got {count}; leave out --networks")
    parts = round(1 / share) if share else 1
    if count > min(parts, most):
        why = f"because --validation {share:g} divides the {n_rows:,} rows into as many parts"
        raise TableError(f"--networks: expected at most {min(parts, most)}, {why}, got {count}")
    return count


def candidates(arguments: Namespace, n_rows: int) -> list[Plan]:
    """Return the plans of networks to choose from; n_rows: of those that train each."""
    plan = planned(arguments, recipe(n_rows), validates=True)
    given = [name for name in OPTIONS if getattr(arguments, name) is not None]
    if given or arguments.hidden is not None:
        return [plan]
    return [planned(arguments, one, validates=True) for one in recipes(n_rows)]
