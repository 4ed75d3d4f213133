"""The command line: runs a command, prints its results and returns the exit code."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from . import _messages
from ._cli.answer import Answer
from ._cli.parser import parser
from ._files import TableError

FAILED, WRONG, INTERRUPTED = 1, 2, 130  # exit codes; shells use 130 after Ctrl-C
COMPLAINTS = (TableError, ValueError, TypeError, OverflowError, MemoryError, OSError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code of the process."""
    try:
        arguments = parser().parse_args(argv)
        results = arguments.run(arguments)
        if not arguments.quiet or arguments.json:
            text = results.text if isinstance(results, Answer) else "".join(_lines(results))
            _messages.result(_json(results) if arguments.json else text)
        _messages.result("")
    except KeyboardInterrupt as error:
        _messages.err(f"fastbp: {error if error.args else 'interrupted'}\n")
        return INTERRUPTED
    except BrokenPipeError:  # a reader such as head has closed the pipe; Python's own flush at exit would fail again
        with suppress(AttributeError, OSError, ValueError):  # the stream may have no file descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except COMPLAINTS as error:
        return _complain(error, WRONG)
    except Exception as error:
        if not _is_failure(error):
            raise
        return _complain(error, FAILED)
    return INTERRUPTED if results.get("interrupted") else 0


def _is_failure(error: Exception) -> bool:
    """Return whether the work of a command failed, in a way that its message explains."""
    from ._library.build import BuildError
    from .benchmark.turns import PeerError
    from .results import DivergenceError

    return isinstance(error, BuildError | DivergenceError | PeerError)


def _complain(error: BaseException, code: int) -> int:
    from . import distributed

    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    lines = text.splitlines() if isinstance(error, TableError) else [text]  # a line for each problem of a table
    for line in [" ".join(line.split()) for line in lines if line.strip()] or [type(error).__name__]:
        _messages.err(f"fastbp: {distributed.turn()}{line}\n")
    distributed.end_job(code)
    return code


def _json(results: dict[str, Any]) -> str:
    import json

    return json.dumps(_plain(results)) + "\n"


def _plain(value: Any) -> Any:
    """Replace NaN and infinity by None, because JSON has neither."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(results: dict[str, Any], indent: str = "") -> list[str]:
    """Return the results as lines of text, one for each value."""
    lines = []
    for name, value in results.items():
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
    if not isinstance(value, float):
        return str(value)
    from .progress import number_text

    return number_text(value)


if __name__ == "__main__":
    sys.exit(main())
