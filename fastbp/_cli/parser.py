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
from .values import auto, counts, epochs, file, network, rows, sizes, threads, weight

COMMANDS = {  # and their help
    "train": "Train a model that predicts a table's target from its other columns, and save it.",
    "predict": "Predict the target for the rows of a table.",
    "evaluate": "Evaluate a model on a table with the target.",
    "explain": "Explain predictions for rows of a table: how much each column contributes.",
    "importance": "Show how much worse a model gets when the values of a column are shuffled.",
    "export": "Write a model as C or ONNX, for programs without Python.",
    "bench": "Time training and prediction on this machine, compared with other installed libraries.",
    "info": "Show what a model is, or without a model, the versions, the processor's level and the files with kernels.",
}
MODULES = {  # the others are in `commands`
    "train": "training",
    "predict": "prediction",
    "evaluate": "evaluation",
    "explain": "explaining",
    "importance": "importances",
    "export": "exporting",
}
EXAMPLE = "For example: fastbp train data.csv --target price, then fastbp predict data.model.npz new.csv"
TASKS = ("auto", "classes", "numbers")
MISSING = ("indicator", "mean", "refuse")
FILES = "CSV or TSV, .jsonl, .parquet, or .npz with arrays X and y"


class Parser(argparse.ArgumentParser):
    """A parser that raises an exception for bad arguments, so that `main` prints every error in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise the error, with the option or the command that may have been meant, and mention --help."""
        from difflib import get_close_matches

        _, unknown, rest = message.partition("unrecognized arguments: ")
        _, wrong, command = message.partition("argument command: invalid choice: ")
        near = get_close_matches(rest.split("=")[0].split(" ")[0], self._options(), 1) if unknown else []
        near = get_close_matches(command.split("'")[1], COMMANDS, 1) if wrong else near
        hint = f"; did you mean {near[0]}?" if near else ""
        raise TableError(f"{message}{hint or f'; see {self.prog} --help'}")

    def _options(self) -> list[str]:
        """Return the options of all commands."""
        choices: Any = self._subparsers._group_actions[0].choices if self._subparsers else {}
        return [option for command in choices.values() for option in command._option_string_actions]

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


def parser() -> Parser:
    """Return the parser of all commands."""
    whole = Parser(prog="fastbp", description="Train feed-forward networks on tables, fast on the CPU.", epilog=EXAMPLE)
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
    _add_importance(_command(subparsers, "importance"))
    _add_export(_command(subparsers, "export"))
    _add_bench(_command(subparsers, "bench"))
    _add_info(_command(subparsers, "info"))
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
    train.add_argument("data", type=file, help=f"a table with the target: {FILES}, or - for standard input")
    train.add_argument("--target", metavar="COLUMN", help="the column to predict; default: y, if there is one")
    train.add_argument(
        "--out", type=file, metavar="MODEL", help="where to write the model, .npz; default: DATA.model.npz, here"
    )
    _add_columns(train.add_argument_group("columns"))
    _add_best(train.add_argument_group("the best ensemble of many networks, in place of one network"))
    _add_network(train.add_argument_group("network and training; auto is chosen for the table"))
    group = train.add_argument_group("validation and reports")
    validation = "fraction of rows for validation, 0 for none; default: 0.2, or 0 with --best, which cross-validates"
    group.add_argument("--validation", type=auto(float), metavar="FRACTION", help=validation)
    folds = "also cross-validate: train K models, each tested on another part of the rows"
    group.add_argument("--folds", type=int, default=0, metavar="K", help=folds)
    _add_metrics(group)
    group.add_argument(
        "--plot", type=file, metavar="PICTURE", help="where to draw the learning curves, .png, .svg or .pdf"
    )
    group.add_argument("--quiet", action="store_true", help="print nothing")


def _add_columns(group: Any) -> None:
    _add_header(group)
    several = "; separate them with commas, or repeat the option"
    group.add_argument("--task", choices=TASKS, default="auto", help="type of the target; default: %(default)s")
    group.add_argument(
        "--drop", action="append", default=[], metavar="COLUMNS", help=f"columns that are not used{several}"
    )
    group.add_argument(
        "--features", action="append", default=[], metavar="COLUMNS", help=f"the only columns to use{several}"
    )
    group.add_argument(
        "--id",
        action="append",
        default=[],
        metavar="COLUMNS",
        help="columns to copy to predictions, not used as inputs",
    )
    group.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="COLUMN=TYPE",
        help="type of a column: number, category, date, boolean or text (not used); repeat it for each column",
    )
    missing = (
        "missing inputs: indicator adds an input that says so; mean replaces them by the mean or the most frequent "
        "category; refuse makes them an error; default: %(default)s"
    )
    group.add_argument("--missing", choices=MISSING, default="indicator", help=missing)


def _add_best(group: Any) -> None:
    best = "search for the best weighted ensemble of networks and linear models in the time of --seconds"
    group.add_argument("--best", action="store_true", help=best)
    group.add_argument("--seconds", type=float, metavar="N", help="time of the search, in seconds; default: 60")
    metric = (
        "metric to optimize: log_loss, roc_auc, accuracy or balanced_accuracy for classes; rmse, mae, r2, "
        "poisson or quantile:0.9 for numbers; default: log_loss or rmse"
    )
    group.add_argument("--metric", metavar="NAME", help=metric)


def _add_network(group: Any) -> None:
    hidden = "sizes of the hidden layers; '' is none, a linear model; default: auto"
    group.add_argument("--hidden", type=auto(sizes), metavar="N,N", help=hidden)
    several = "number of networks to train, each validated on other rows, and to join into one; default: auto"
    group.add_argument("--networks", type=auto(int), metavar="N", help=several)
    group.add_argument("--epochs", type=auto(int), metavar="N", help="the most passes over the rows; default: auto")
    patience = "epochs without a lower validation loss before training stops; never: train all epochs; default: auto"
    group.add_argument("--patience", type=auto(epochs), metavar="N", help=patience)
    group.add_argument("--batch-size", type=auto(int), metavar="N", help="rows per update; default: auto")
    group.add_argument("--learning-rate", type=auto(float), metavar="RATE", help="learning rate; default: auto")
    group.add_argument("--optimizer", type=auto(str), metavar="NAME", help="name of the optimizer; default: auto")
    group.add_argument(
        "--activation", type=auto(str), metavar="NAME", help="activation of the hidden layers; default: auto"
    )
    schedule = "learning rate schedule, such as cosine, or constant; default: auto"
    group.add_argument("--schedule", type=auto(str), metavar="NAME", help=schedule)
    dropout = "fraction of hidden units to drop; default: auto"
    group.add_argument("--dropout", type=auto(float), metavar="FRACTION", help=dropout)
    group.add_argument("--l2", type=auto(float), metavar="L2", help="l2 penalty on the weights; default: auto")
    balanced = "balanced gives all classes the same weight, however many rows they have; default: none"
    group.add_argument("--class-weight", choices=("balanced",), help=balanced)
    group.add_argument("--threads", type=threads, default="auto", help="number of threads to use; default: auto")
    group.add_argument("--seed", type=int, help="random seed; the same seed gives the same model, but for --best")
    resume = "save after each epoch, and continue from MODEL if it exists"
    group.add_argument("--resume", action="store_true", help=resume)


def _add_metrics(command: Any) -> None:
    metrics = "more metrics for the report, such as balanced_accuracy,f1; separate them with commas"
    command.add_argument("--metrics", action="append", default=[], metavar="NAMES", help=metrics)


def _add_unknown(command: argparse.ArgumentParser) -> None:
    unknown = (
        "a category that training did not have, and text among numbers: other counts them as other or as missing, and "
        "warns; error refuses them; default: %(default)s"
    )
    command.add_argument("--unknown", choices=("other", "error"), default="other", help=unknown)


def _add_predict(predict: argparse.ArgumentParser) -> None:
    _add_model(predict, "a table with the model's columns")
    predict.add_argument(
        "--out",
        type=file,
        metavar="FILE",
        help="where to write the predictions, .csv, .tsv, .jsonl or .parquet; default: CSV to standard output",
    )
    predict.add_argument("--probabilities", action="store_true", help="add a column for each class")
    interval = "add the ends of an interval that contains such a share of targets, such as 0.9; for models of --best"
    predict.add_argument("--interval", type=float, metavar="SHARE", help=interval)
    _add_unknown(predict)


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    _add_model(evaluate, "a table with the model's columns and the target")
    _add_metrics(evaluate)
    _add_unknown(evaluate)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("model", type=file, help="a model that fastbp train or Trainer.save wrote")
    written = "the file to write; its ending is .c for a C99 file and its header, or .onnx for an ONNX model"
    export.add_argument("out", type=file, help=written)
    group = export.add_argument_group("C")
    group.add_argument("--header", type=file, metavar="FILE", help="the header to write; default: OUT with .h")
    group.add_argument("--name", metavar="NAME", help="the prefix of all names in the header; default: OUT without .c")
    dtype = "type of the numbers; int8 needs --calibration, and prints how much accuracy it costs; default: float32"
    group.add_argument("--dtype", choices=("float32", "float64", "int8"), help=dtype)
    rows = "a table of training rows that determine the ranges of int8; if it has the target, the accuracy is measured"
    group.add_argument("--calibration", type=file, metavar="FILE", help=rows)
    _add_header(group)


def _add_info(info: argparse.ArgumentParser) -> None:
    info.add_argument("model", type=file, nargs="?", help="a model that fastbp train wrote; default: this installation")


def _add_explain(explain: argparse.ArgumentParser) -> None:
    _add_model(explain, "a table with the model's columns; it need not have the target, except for --steps")
    some = "rows to explain, such as 3, 1,5,9 or 1-4; default: 1"
    explain.add_argument("--row", type=rows, default=(range(1, 2),), metavar="N", help=some)
    steps = "show one step of backpropagation instead, with every z, a, δ and ∂J/∂θ"
    explain.add_argument("--steps", action="store_true", help=steps)
    one = "show only the paths of the weight in layer L to unit J from unit K; K = 0 is the bias unit"
    explain.add_argument("--weight", type=weight, metavar="L,J,K", help=one)
    page = (
        "where to write: .html for an interactive page with the contributions and the steps, .txt for text, .tex for "
        "the steps as equations; default: standard output"
    )
    explain.add_argument("--out", type=file, metavar="FILE", help=page)
    _add_unknown(explain)


def _add_importance(importance: argparse.ArgumentParser) -> None:
    _add_model(
        importance, "a table with the model's columns and the target; take rows that the model was not trained on"
    )
    metric = "the metric to measure, such as accuracy, auc or mae; default: log_loss for classes, rmse for numbers"
    importance.add_argument("--metric", metavar="NAME", help=metric)
    repeats = "number of shuffles of each column; default: %(default)s"
    importance.add_argument("--repeats", type=int, default=5, metavar="N", help=repeats)
    most = "the most rows to use, chosen at random; default: up to 10,000, fewer of wide tables and large networks"
    importance.add_argument("--rows", type=int, metavar="N", help=most)
    importance.add_argument("--seed", type=int, default=0, help="random seed of the shuffles; default: %(default)s")
    importance.add_argument(
        "--plot", type=file, metavar="PICTURE", help="where to draw the importances, .png, .svg or .pdf"
    )
    _add_unknown(importance)


def _add_model(command: argparse.ArgumentParser, data: str) -> None:
    command.add_argument("model", type=file, help="a model that fastbp train wrote")
    command.add_argument("data", type=file, help=data)
    _add_header(command)


def _add_header(command: Any) -> None:
    header = "the first line of a text table is data; the columns are then called column_1, column_2 …"
    command.add_argument("--no-header", action="store_true", help=header)


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
        help=f"some of {', '.join(PEERS)}; default: all that are installed, except torch.compile and fann",
    )
    bench.add_argument("--rounds", type=int, default=3, help="rounds for each peer; default: %(default)s")
