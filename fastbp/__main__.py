"""The command line: its arguments, what it prints, how it exits; the door to shtab."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from . import __version__, _commands, _messages, distributed
from ._table_files import TableError
from .benchmark import report
from .benchmark.turns import PeerError
from .progress import number_text
from .results import DivergenceError
from .tables import TASKS

FAILED, WRONG, INTERRUPTED = 1, 2, 130  # exit codes; 130 is the shell's for Ctrl-C
FILES = ("data", "model", "out", "plot")  # arguments that are files
COMPLAINTS = (TableError, ValueError, TypeError, OverflowError, MemoryError, OSError, ImportError)


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is an exception, so that every complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Raise it, with the place of the help."""
        raise TableError(f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help in any encoding."""
        with suppress(AttributeError, OSError):
            _messages.write(file or sys.stderr, message)


class Completion(argparse.Action):
    """Prints what a shell reads to complete commands, options and files."""

    def __call__(self, whole: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Print it, and end.

        Raises
        ------
        ImportError
            Where shtab is not installed.
        """
        try:
            import shtab
        except ImportError:
            raise ImportError("--print-completion needs shtab: pip install 'fastbp[cli]'") from None
        for command in whole._subparsers._group_actions[0].choices.values():
            for action in command._actions:
                if action.dest in FILES:
                    action.complete = shtab.FILE
        _messages.result(shtab.complete(whole, values) + "\n")
        whole.exit()


def sizes(text: str) -> tuple[int, ...]:
    """Hidden layers' sizes: 32,16; no layers for an empty text."""
    try:
        return tuple(int(size) for size in text.split(",")) if text else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected sizes such as 32,16, got {text!r}") from None


def network(text: str) -> tuple[int, ...]:
    """A network's sizes: 64-32-10."""
    parts = text.split("-")
    if len(parts) < 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected sizes such as 64-32-10, got {text!r}")
    return tuple(map(int, parts))


def counts(text: str) -> tuple[int, ...]:
    """Numbers of threads: 1,2."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers of threads such as 1,2, got {text!r}")
    return tuple(map(int, dict.fromkeys(parts)))


def rows(text: str) -> tuple[range, ...]:
    """Rows of a table: 3, or 1,5,9, or 1-4."""
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) > int(last or first):
            raise argparse.ArgumentTypeError(f"expected rows such as 3, 1,5,9 or 1-4, got {text!r}")
        found.append(range(int(first), int(last or first) + 1))
    return tuple(found)


def weight(text: str) -> tuple[int, ...]:
    """A weight's layer, the unit that it goes to, the one that it comes from: 1,2,1."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected a layer and two units such as 1,2,1, got {text!r}")
    return tuple(map(int, parts))


def threads(text: str) -> int | str:
    """How many, or auto."""
    return int(text) if text.isdigit() else text


def parser() -> Parser:
    """Of all commands."""
    whole = Parser(prog="fastbp", description="Train feed-forward networks on tables, fast, on the CPU.")
    whole.add_argument("--version", action="version", version=f"fastbp {__version__}")
    whole.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "tcsh", "fish"),
        action=Completion,
        help="what a shell reads to complete commands, options and files",
    )
    commands = whole.add_subparsers(required=True, metavar="command", title="commands")
    _add_train(commands)
    predict = _command(commands, "predict", _commands.predict)
    predict.add_argument("model", help="from fastbp train")
    predict.add_argument("data", help="a table with the model's columns")
    predict.add_argument("--out", metavar="CSV", help="default: standard output")
    predict.add_argument("--probabilities", action="store_true", help="a column more for each class")
    predict.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate = _command(commands, "evaluate", _commands.evaluate)
    evaluate.add_argument("model", help="from fastbp train")
    evaluate.add_argument("data", help="a table with the model's columns and the target")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    explain = _command(commands, "explain", _commands.explain)
    explain.add_argument("model", help="from fastbp train")
    explain.add_argument("data", help="a table with the model's columns and the target")
    explain.add_argument("--row", type=rows, default=(range(1, 2),), metavar="N", help="3, 1,5,9 or 1-4; default: 1")
    one = "the paths of one weight, of layer L to unit J from unit K; K = 0: the bias unit's"
    explain.add_argument("--weight", type=weight, metavar="L,J,K", help=one)
    explain.add_argument("--out", metavar="FILE", help=".html, a page to step through; .tex; .txt; default: print it")
    explain.add_argument("--json", action="store_true", help="print one JSON object")
    _add_bench(commands)
    info = _command(commands, "info", _commands.info)
    info.add_argument("--json", action="store_true", help="print one JSON object")
    return whole


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", _commands.train)
    train.add_argument("data", help="a table with the target: .csv, .parquet, or .npz with X and y")
    train.add_argument("--target", default="y", help="the column to learn; default: %(default)s")
    train.add_argument("--out", required=True, metavar="MODEL", help="where to write the model, .npz")
    train.add_argument("--task", choices=TASKS, default="auto", help="what the target is; default: %(default)s")
    train.add_argument("--hidden", type=sizes, default=(32, 16), metavar="N,N", help="hidden layers; default: 32,16")
    train.add_argument("--epochs", type=int, default=50, help="passes over the rows; default: %(default)s")
    train.add_argument("--batch-size", type=int, default=32, help="rows an update; default: %(default)s")
    train.add_argument("--learning-rate", type=float, help="default: the optimizer's")
    train.add_argument("--optimizer", default="adam", help="default: %(default)s")
    train.add_argument("--activation", default="relu", help="of the hidden layers; default: %(default)s")
    train.add_argument("--schedule", help="what the learning rate follows, such as cosine")
    train.add_argument("--dropout", type=float, default=0.0, help="part of the hidden units left out; default: 0")
    train.add_argument("--l2", type=float, default=0.0, help="penalty on the weights; default: 0")
    train.add_argument("--patience", type=int, metavar="EPOCHS", help="stop after so many that are no better")
    train.add_argument("--threads", type=threads, default="auto", help="that may work on it; default: auto")
    train.add_argument("--validation", type=float, default=0.2, help="part set aside; default: %(default)s")
    train.add_argument("--seed", type=int, help="the same seed gives the same model")
    train.add_argument("--missing", choices=("refuse", "mean"), default="refuse", help="mean: fill missing inputs")
    train.add_argument("--plot", metavar="PICTURE", help="where to draw the curves, .png, .svg or .pdf")
    train.add_argument("--resume", action="store_true", help="save each epoch; go on from MODEL where it is there")
    train.add_argument("--quiet", action="store_true", help="print nothing")
    train.add_argument("--json", action="store_true", help="print one JSON object")


def _add_bench(commands: Any) -> None:
    bench = _command(commands, "bench", _commands.bench)
    bench.add_argument("--sizes", type=network, nargs="+", metavar="N-N", help="networks, such as 64-32-10 784-128-10")
    bench.add_argument("--batch", type=int, help="samples an update; default: 32 for --sizes, else each network's own")
    bench.add_argument("--quick", action="store_true", help="shorter rounds, and one network unless --sizes says which")
    bench.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default: %(default)s")
    bench.add_argument("--threads", type=counts, metavar="N,N", help="to try; default: 1 and all processors")
    bench.add_argument(
        "--peers",
        nargs="+",
        choices=tuple(report.PEERS),
        default=report.USUAL,
        metavar="NAME",
        help=f"some of {', '.join(report.PEERS)}; default: all but torch.compile, as far as they are installed",
    )
    bench.add_argument("--rounds", type=int, default=3, help="that each peer has; default: %(default)s")
    bench.add_argument("--json", action="store_true", help="print one JSON object")


def _command(commands: Any, name: str, run: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
    command.set_defaults(run=run, quiet=False, json=False)
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what it returns is the process's exit code."""
    try:
        arguments = parser().parse_args(argv)
        found = arguments.run(arguments)
        if not arguments.quiet or arguments.json:
            _messages.result(json.dumps(_plain(found)) + "\n" if arguments.json else "".join(_lines(found)))
        _messages.result("")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # a reader such as head has seen enough; Python's own flush at the end would fail again
        with suppress(AttributeError, OSError, ValueError):  # of a stream that is none of the system's
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (DivergenceError, PeerError) as error:
        return _complain(error, FAILED)
    except COMPLAINTS as error:
        return _complain(error, WRONG)
    return INTERRUPTED if found.get("interrupted") else 0


def _complain(error: BaseException, code: int) -> int:
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    _messages.err(f"fastbp: {distributed.turn()}{' '.join(text.split()) or type(error).__name__}\n")
    distributed.end_job(code)
    return code


def _plain(value: Any) -> Any:
    """The same for JSON, which has no NaN."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(found: dict[str, Any], indent: str = "") -> list[str]:
    """A line a fact."""
    lines = []
    for name, value in found.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}\n", *_lines(value, indent + "  ")]
        elif value is not None:
            lines.append(f"{indent}{name:<14} {_text(value)}\n")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return ", ".join(map(str, value)) or "none"
    return number_text(value) if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
