"""The values of options: each function parses the text of one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def file(text: str) -> str:
    """Return a path as it is. This type tells the shell to complete names of files."""
    return text


def sizes(text: str) -> tuple[int, ...]:
    """Parse the sizes of hidden layers: 32,16. An empty text means no hidden layers."""
    try:
        return tuple(int(size) for size in text.split(",")) if text else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected sizes such as 32,16, got {text!r}") from None


def auto(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser of a value of that kind; auto is None, as if the option is not given."""

    def parsed(text: str) -> Any:
        try:
            return None if text == "auto" else kind(text)
        except ValueError:
            expected = "an integer" if kind is int else "a number" if kind is float else "an integer, never"
            raise argparse.ArgumentTypeError(f"expected {expected} or auto, got {text!r}") from None

    return parsed


def epochs(text: str) -> int | str:
    """Parse a number of epochs, or never."""
    return text if text == "never" else int(text)


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
