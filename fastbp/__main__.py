"""The command line: runs a command, prints its results and returns the exit code."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from . import _messages, distributed
from ._cli.parser import parser
from ._files.cells import TableError
from .benchmark.turns import PeerError
from .progress import number_text
from .results import DivergenceError

FAILED, WRONG, INTERRUPTED = 1, 2, 130  # exit codes; shells use 130 after Ctrl-C
COMPLAINTS = (TableError, ValueError, TypeError, OverflowError, MemoryError, OSError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code of the process."""
    try:
        arguments = parser().parse_args(argv)
        results = arguments.run(arguments)
        if not arguments.quiet or arguments.json:
            _messages.result(json.dumps(_plain(results)) + "\n" if arguments.json else "".join(_lines(results)))
        _messages.result("")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # a reader such as head has closed the pipe; Python's own flush at exit would fail again
        with suppress(AttributeError, OSError, ValueError):  # the stream may have no file descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (DivergenceError, PeerError) as error:
        return _complain(error, FAILED)
    except COMPLAINTS as error:
        return _complain(error, WRONG)
    return INTERRUPTED if results.get("interrupted") else 0


def _complain(error: BaseException, code: int) -> int:
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    _messages.err(f"fastbp: {distributed.turn()}{' '.join(text.split()) or type(error).__name__}\n")
    distributed.end_job(code)
    return code


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
    return number_text(value) if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
