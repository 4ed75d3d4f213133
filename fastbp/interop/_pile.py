"""The layers of another library's model, which are added in order and become a Trainer with a list of layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks, layers as kinds
from ..trainer import Trainer
from ._layers import SCALABLE, refuse_options
from ._tree import encoding_name, nodes_of

Array = npt.NDArray[Any]

EPSILON, MOMENTUM = kinds.LayerNorm().epsilon, kinds.BatchNorm().momentum  # of the norm of a Dense


@dataclass
class Item:
    """A layer with its parameters, as `_tree.Node` has them.

    Attributes
    ----------
    place : its place in the model, such as "module[2]"
    layer : of fastbp.layers
    arrays : its parameters by the rest of their names
    frozen : names of those that the model doesn't train
    body : the layers inside of a residual block
    """

    place: str
    layer: Any
    arrays: dict[str, Array]
    frozen: list[str] = field(default_factory=list)
    body: list[Item] = field(default_factory=list)


class Pile:
    """Layers that are added in order.

    Parameters
    ----------
    argument : the name of the whole model in messages
    """

    def __init__(self, argument: str) -> None:
        self._argument = argument
        self.numbers: int | None = None
        self.tables: list[Item] = []
        self.encoding: Item | None = None
        self.items: list[Item] = []

    def table(self, place: str, table: Array, trained: bool) -> None:
        """Add the embedding of a category, (n, dim)."""
        self.tables.append(Item(place, None, {"weight": table}, [] if trained else ["weight"]))

    def add(
        self, place: str, layer: Any, arrays: Mapping[str, Array], frozen: Collection[str] = (), body: Any = ()
    ) -> None:
        """Add a layer. A norm, an activation or a dropout right after a dense layer becomes a part of it."""
        if layer == kinds.Activation("identity"):
            return
        for name, array in arrays.items():
            _checks.finite(f"{place}'s {name}", array)
        item = Item(place, layer, dict(arrays), list(frozen), list(body))
        if encoding_name(layer) is not None:
            if self.items or self.encoding is not None:
                came = f"a {type(layer).__name__} after other layers"
                raise ValueError(_checks.wrong(place, "the encoding of numbers directly after the inputs", came))
            self.encoding = item
        elif not (self.items and _joined(self.items[-1], item)):
            self.items.append(item)

    def trainer(self, options: dict[str, Any]) -> Trainer:
        """Create the Trainer."""
        refuse_options(self._argument, options)
        if "dropout" in options:
            raise ValueError(_checks.wrong("dropout", f"nothing, because {self._argument} has it", options["dropout"]))
        if not self.items:
            raise ValueError(_checks.wrong(self._argument, "at least one layer", "none"))
        options = dict(options)
        self._end(options)
        encoding = [] if self.encoding is None else [self.encoding]
        parts = [*encoding, *self.items]
        layers = [self._inputs(), *(item.layer for item in parts)]
        if frozen := self._frozen(parts):
            options.setdefault("frozen", frozen)
        arrays = [array for item in self.every() for array in item.arrays.values()]
        options.setdefault("dtype", np.result_type(*arrays))
        trainer = Trainer(layers, **options)
        self._load(trainer, parts)
        return trainer

    def every(self) -> list[Item]:
        """Return all items with parameters, also those inside of blocks."""
        found, waiting = [*self.tables], [*([] if self.encoding is None else [self.encoding]), *self.items]
        while waiting:
            item = waiting.pop(0)
            found.append(item)
            waiting = [*item.body, *waiting]
        return found

    def _inputs(self) -> Any:
        """Return the columns of X."""
        tables = [item.arrays["weight"] for item in self.tables]
        numbers = self.numbers
        if numbers is None:
            numbers = _width(self.items)
            if numbers is None:
                expected = "a first layer that determines the number of inputs"
                raise ValueError(_checks.wrong(self.items[0].place, expected, type(self.items[0].layer).__name__))
        dims = tuple(table.shape[1] for table in tables) or None
        return kinds.Inputs(numbers, tuple(len(table) for table in tables), dims)

    def _end(self, options: dict[str, Any]) -> None:
        """Take the activation of the last layer as that of the output."""
        last = self.items[-1]
        if isinstance(last.layer, kinds.Activation) and not last.arrays:
            name = last.layer.name
            self.items.pop()
        elif isinstance(last.layer, kinds.Dense):
            name = last.layer.activation or "identity"
            last.layer = replace(last.layer, activation=None)
        else:
            name = "identity"
        if name == "identity":
            return
        if options.get("output_activation", "auto") not in ("auto", name):
            expected = f"{name!r}, as in {self._argument}"
            raise ValueError(_checks.wrong("output_activation", expected, repr(options["output_activation"])))
        options["output_activation"] = name

    def _frozen(self, parts: Sequence[Item]) -> list[str]:
        """Return the names of the parameters that the model doesn't train."""
        found = [f"embedding{i + 1}.weight" for i, item in enumerate(self.tables) if item.frozen]
        for name, item in _named(parts, nodes_of([item.layer for item in parts], {})):
            found += [f"{name}.{key}" for key in item.frozen]
        return found

    def _load(self, trainer: Trainer, parts: Sequence[Item]) -> None:
        """Write the parameters into the trainer's."""
        views = trainer.named_parameters()
        for i, item in enumerate(self.tables):
            views[f"embedding{i + 1}.weight"][...] = item.arrays["weight"]
        for name, item in _named(parts, nodes_of([item.layer for item in parts], {})):
            for key, array in item.arrays.items():
                views[f"{name}.{key}"][...] = array


def _named(items: Sequence[Item], nodes: Sequence[Any]) -> list[tuple[str, Item]]:
    """Return all items with their names."""
    found = []
    for item, node in zip(items, nodes, strict=True):
        found.append((node.name, item))
        found += _named(item.body, node.body)
    return found


def _width(items: Sequence[Item]) -> int | None:
    """Return the number of inputs of some layers, or None if no parameter tells it."""
    for item in items:
        if item.body:
            width = _width(item.body)
            if width is not None:
                return width
        elif "weight" in item.arrays:
            return int(item.arrays["weight"].shape[1])
        elif item.arrays:
            return len(next(iter(item.arrays.values())))
    return None


def _joined(before: Item, item: Item) -> bool:
    """Make a layer a part of the dense layer before it, if it can be one, and return whether it is."""
    dense, layer = before.layer, item.layer
    if not isinstance(dense, kinds.Dense):
        return False
    if dense.dropout:
        return _scalable(before, item)
    bare = dense.activation == "identity" and not dense.parametric
    if isinstance(layer, kinds.LayerNorm | kinds.BatchNorm) and bare and dense.norm is None:
        if layer.epsilon != EPSILON or getattr(layer, "momentum", MOMENTUM) != MOMENTUM:
            return False
        before.layer = replace(dense, norm="layer" if isinstance(layer, kinds.LayerNorm) else "batch")
        prefix = "norm."
    elif isinstance(layer, kinds.Activation) and bare:
        before.layer = replace(dense, activation=layer.name, parametric=layer.parametric)
        prefix = ""
    elif isinstance(layer, kinds.Dropout):
        before.layer = replace(dense, dropout=layer.rate)
        prefix = ""
    else:
        return False
    before.arrays |= {f"{prefix}{name}": array for name, array in item.arrays.items()}
    before.frozen += [f"{prefix}{name}" for name in item.frozen]
    return True


def _scalable(before: Item, item: Item) -> bool:
    """Make an activation after a dropout a part of the dense layer, if f(s z) = s f(z) for s ≥ 0."""
    dense, layer = before.layer, item.layer
    if not isinstance(layer, kinds.Activation) or layer.parametric or dense.activation != "identity":
        return False
    if layer.name not in SCALABLE or dense.parametric:
        return False
    before.layer = replace(dense, activation=layer.name)
    return True
