"""The order of dense layers in a file that stores them by name, determined by names or shapes without guessing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np

from .. import _checks

Array = np.ndarray[Any, np.dtype[Any]]
Parameters = tuple[Array, Array | None]  # a weight (n_out, n_in), and a bias (n_out,) or None

MAX_SEARCHED = 50  # the most layers for a search by shapes
MAX_TRIES = 2_000  # the most orders, whole or partial, that it tries
MAX_LISTED = 20  # the most names in a message


def ordered(layers: Mapping[str, Parameters]) -> list[str]:
    """Return the names of the layers from the first to the last.

    Parameters
    ----------
    layers : weight and bias by name

    Raises
    ------
    ValueError
        If neither the names nor the shapes determine the order.
    """
    names = sorted(layers, key=_numbers_of)
    if all(_is_numbered(one, next_one) for one, next_one in pairwise(names)):
        _check_fit(names, layers)
        return names
    by_shapes = _by_shapes(layers)
    if by_shapes is None:
        expected = "the layer names from first to last, because neither names nor shapes determine the order"
        raise ValueError(_checks.wrong("order", expected, f"none for {listed(names)}"))
    return by_shapes


def listed(names: Sequence[str]) -> str:
    """Return the first names for a message."""
    return ", ".join(map(repr, names[:MAX_LISTED])) + " …" * (len(names) > MAX_LISTED)


def _numbers_of(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts numbers in names as numbers."""
    runs = re.split(r"(\d+)", name)  # digits and other text in turn
    return [(run.isdecimal(), int(run) if run.isdecimal() else 0, run) for run in runs]


def _is_numbered(one: str, other: str) -> bool:
    """Return whether numbers order two names.

    The first fields between dots that differ must differ only in numbers. If such a field has several numbers, none may
    decrease while another increases.
    """
    for field, other_field in zip(one.split("."), other.split("."), strict=False):
        if field != other_field:
            if re.split(r"\d+", field) != re.split(r"\d+", other_field):
                return False
            values, other_values = ([int(n) for n in re.findall(r"\d+", text)] for text in (field, other_field))
            return values != other_values and all(a <= b for a, b in zip(values, other_values, strict=True))
    return False  # one name is a prefix of the other


def _check_fit(names: list[str], layers: Mapping[str, Parameters]) -> None:
    """Refuse an order in which the inputs of a layer don't fit the outputs of the layer before it."""
    for one, other in pairwise(names):
        n_out, n_in = len(layers[one][0]), layers[other][0].shape[1]
        if n_in != n_out:
            message = _checks.wrong(other, f"{n_out} inputs, because {one} has {n_out} outputs", n_in)
            raise ValueError(f"{message}; pass order= if the numbers in the names are not the order of the layers")


def _by_shapes(layers: Mapping[str, Parameters]) -> list[str] | None:
    """Return the only order in which the shapes fit; None if there are several such orders, or none.

    At least one non-square matrix must have a bias. Otherwise matrices (n_in, n_out) would fit in the reverse order.
    """
    if len(layers) > MAX_SEARCHED:
        return None
    if not any(bias is not None and weight.shape[0] != weight.shape[1] for weight, bias in layers.values()):
        return None
    found = list(islice(_fitting({name: weight.shape for name, (weight, _) in layers.items()}), 2))
    return found[0] if len(found) == 1 else None


def _fitting(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[str] | None]:
    """Yield the orders in which the shapes fit; None, twice, if the search takes too long."""
    taking: dict[int, list[str]] = {}
    for name, (_, n_in) in shapes.items():
        taking.setdefault(n_in, []).append(name)
    begun = [[name] for name in shapes]  # orders that may be continued
    for _ in range(MAX_TRIES):
        if not begun:
            return
        order = begun.pop()
        if len(order) == len(shapes):
            yield order
        begun.extend([*order, name] for name in taking.get(shapes[order[-1]][0], ()) if name not in order)
    yield from (None, None)
