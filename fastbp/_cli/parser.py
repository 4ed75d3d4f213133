"""The arguments of each command. Only this module imports shtab."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from .. import __version__, _messages
from .._extras import not_installed
from .._files import TableError
from ..benchmark import PEERS, USUAL

COMMANDS = {  # and their help
    "train": "Train a model that predicts a table's target from its other columns, and save it.",
    "predict": "Predict the target for the rows of a table, and write CSV.",
    "evaluate": "Evaluate a model on a table with the target.",
    "explain": "Show one step of backpropagation for rows of a table, with every z, a, δ and ∂J/∂θ.",
    "bench": "Time training and prediction on this machine, compared with other installed libraries.",
    "info": "Show versions, the processor's level and the files with kernels.",
}
MODULES = {"train": "training", "explain": "explaining"}  # the others are in `commands`
TASKS = ("auto", "classes", "numbers")


class Parser(argparse.ArgumentParser):
    """A parser that raises an exception for bad arguments, so that `main` prints every error in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise the error and mention --help."""
        raise TableError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the help, also to a stream whose encoding lacks some of its characters."""
        with suppress(AttributeError, OSError):
            _messages.write(file or sys.stderr, message)


class Completion(argparse.Action):
    """An option that prints the shell script for completing commands, options and files."""

    def __call__(self, whole: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Print the script and exit.

        Raises
        ------
        ImportError
            If shtab is not installed.
        """
        try:
            import shtab
        except ImportError:
            raise not_installed("--print-completion needs shtab", "cli") from None
        for command in whole._subparsers._group_actions[0].choices.values():
            for action in command._actions:
                if action.type is file:
                    action.complete = shtab.FILE
        _messages.result(shtab.complete(whole, values) + "\n")
        whole.exit()


def file(text: str) -> str:
    """Return a path as it is. This type tells the shell to complete names of files."""
    return text


def sizes(text: str) -> tuple[int, ...]:
    """Parse the sizes of hidden layers: 32,16. An empty text means no hidden layers."""
    try:
        return tuple(int(size) for size in text.split(",")) if text else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected sizes such as 32,16, got {text!r}") from None


def network(text: str) -> tuple[int, ...]:
    """Parse the sizes of a network: 64-32-10."""
    parts = text.split("-")
    if len(parts) < 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected sizes such as 64-32-10, got {text!r}")
    return tuple(map(int, parts))


def counts(text: str) -> tuple[int, ...]:
    """Parse a list of thread counts: 1,2."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers of threads such as 1,2, got {text!r}")
    return tuple(map(int, dict.fromkeys(parts)))


def rows(text: str) -> tuple[range, ...]:
    """Parse rows of a table: 3, or 1,5,9, or 1-4."""
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) > int(last or first):
            raise argparse.ArgumentTypeError(f"expected rows such as 3, 1,5,9 or 1-4, got {text!r}")
        found.append(range(int(first), int(last or first) + 1))
    return tuple(found)


def weight(text: str) -> tuple[int, ...]:
    """Parse the layer of a weight, the unit that it goes to and the unit that it comes from: 1,2,1."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected a layer and two units such as 1,2,1, got {text!r}")
    return tuple(map(int, parts))


def threads(text: str) -> int | str:
    """Parse a number of threads, or auto."""
    return int(text) if text.isdigit() else text


def parser() -> Parser:
    """Return the parser of all commands."""
    whole = Parser(prog="fastbp", description="Train feed-forward networks on tables, fast on the CPU.")
    whole.add_argument("--version", action="version", version=f"fastbp {__version__}")
    whole.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh", "fish"),
        action=Completion,
        help="print a script that lets the shell complete commands, options and files",
    )
    subparsers = whole.add_subparsers(required=True, metavar="command", title="commands")
    _add_train(_command(subparsers, "train"))
    _add_predict(_command(subparsers, "predict"))
    _add_evaluate(_command(subparsers, "evaluate"))
    _add_explain(_command(subparsers, "explain"))
    _add_bench(_command(subparsers, "bench"))
    _command(subparsers, "info")
    for command in subparsers.choices.values():
        command.add_argument("--json", action="store_true", help="print one JSON object")
    return whole


def _command(subparsers: Any, name: str) -> argparse.ArgumentParser:
    """Add a command: a function of the parsed arguments."""

    def run(arguments: argparse.Namespace) -> dict[str, Any]:
        """Run it. Only now its module is imported, and with it NumPy, so that --help answers at once."""
        module = import_module(f".{MODULES.get(name, 'commands')}", __package__)
        found: dict[str, Any] = getattr(module, name)(arguments)
        return found

    text = COMMANDS[name]
    command: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
    command.set_defaults(run=run, quiet=False)
    return command


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("data", type=file, help="a table with the target: .csv, .parquet, or .npz with arrays X and y")
    train.add_argument("--target", default="y", help="the column to predict; default: %(default)s")
    train.add_argument("--out", type=file, required=True, metavar="MODEL", help="where to write the model, .npz")
    train.add_argument("--task", choices=TASKS, default="auto", help="type of the target; default: %(default)s")
    hidden = "sizes of the hidden layers; default: 32,16"
    train.add_argument("--hidden", type=sizes, default=(32, 16), metavar="N,N", help=hidden)
    train.add_argument("--epochs", type=int, default=50, help="passes over the rows; default: %(default)s")
    train.add_argument("--batch-size", type=int, default=32, help="rows per update; default: %(default)s")
    train.add_argument("--learning-rate", type=float, help="learning rate; default: that of the optimizer")
    train.add_argument("--optimizer", default="adam", help="name of the optimizer; default: %(default)s")
    train.add_argument("--activation", default="relu", help="activation of the hidden layers; default: %(default)s")
    train.add_argument("--schedule", help="learning rate schedule, such as cosine; default: constant")
    train.add_argument("--dropout", type=float, default=0.0, help="fraction of hidden units to drop; default: 0")
    train.add_argument("--l2", type=float, default=0.0, help="l2 penalty on the weights; default: 0")
    patience = "stop after this many epochs without improvement; default: never"
    train.add_argument("--patience", type=int, metavar="EPOCHS", help=patience)
    train.add_argument("--threads", type=threads, default="auto", help="number of threads to use; default: auto")
    validation = "fraction of rows for validation; default: %(default)s"
    train.add_argument("--validation", type=float, default=0.2, help=validation)
    train.add_argument("--seed", type=int, help="random seed; with the same seed, you get the same model")
    missing = "refuse missing inputs, or replace them by the mean or most frequent category; default: %(default)s"
    train.add_argument("--missing", choices=("refuse", "mean"), default="refuse", help=missing)
    train.add_argument(
        "--plot", type=file, metavar="PICTURE", help="where to draw the learning curves, .png, .svg or .pdf"
    )
    resume = "save after each epoch, and continue from MODEL if it exists"
    train.add_argument("--resume", action="store_true", help=resume)
    train.add_argument("--quiet", action="store_true", help="print nothing")


def _add_predict(predict: argparse.ArgumentParser) -> None:
    _add_model(predict, "a table with the model's columns")
    predict.add_argument(
        "--out", type=file, metavar="CSV", help="where to write the predictions; default: standard output"
    )
    predict.add_argument("--probabilities", action="store_true", help="add a column for each class")


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    _add_model(evaluate, "a table with the model's columns and the target")


def _add_explain(explain: argparse.ArgumentParser) -> None:
    _add_model(explain, "a table with the model's columns and the target")
    some = "rows to explain, such as 3, 1,5,9 or 1-4; default: 1"
    explain.add_argument("--row", type=rows, default=(range(1, 2),), metavar="N", help=some)
    one = "show only the paths of the weight in layer L to unit J from unit K; K = 0 is the bias unit"
    explain.add_argument("--weight", type=weight, metavar="L,J,K", help=one)
    page = "where to write: .html for an interactive page, .tex or .txt for text; default: standard output"
    explain.add_argument("--out", type=file, metavar="FILE", help=page)


def _add_model(command: argparse.ArgumentParser, data: str) -> None:
    command.add_argument("model", type=file, help="a model that fastbp train wrote")
    command.add_argument("data", type=file, help=data)


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("--sizes", type=network, nargs="+", metavar="N-N", help="networks, such as 64-32-10 784-128-10")
    batch = "samples per update; default: 32 with --sizes, otherwise each network's own"
    bench.add_argument("--batch", type=int, help=batch)
    bench.add_argument("--quick", action="store_true", help="use shorter rounds, and only one network without --sizes")
    dtype = "data type of parameters and computation; default: %(default)s"
    bench.add_argument("--dtype", choices=("float32", "float64"), default="float32", help=dtype)
    cores = "numbers of threads to try; default: 1 and all processor cores"
    bench.add_argument("--threads", type=counts, metavar="N,N", help=cores)
    bench.add_argument(
        "--peers",
        nargs="+",
        choices=tuple(PEERS),
        default=USUAL,
        metavar="NAME",
        help=f"some of {', '.join(PEERS)}; default: all that are installed, except torch.compile",
    )
    bench.add_argument("--rounds", type=int, default=3, help="rounds for each peer; default: %(default)s")
