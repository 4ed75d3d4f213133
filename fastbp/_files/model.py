"""Save and load a trainer: weights, options, state of the optimizer, random state and history."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._names import NONE, Names
from .._records import check_fields, refused
from .._scaling import Scaling
from .._training import callback_states
from .._training.callback_states import CallbackState
from .._training.state import State
from ..activations import ACTIVATIONS
from ..history import History, LazyHistory
from ..losses import Loss, losses_with
from ..network import DTYPES, MAX_LAYERS
from ..optimizers import OPTIMIZERS
from . import archive
from .columns import Table
from .training_report import TrainingReport

Array = npt.NDArray[Any]

VERSION = 1  # version of the format
LATER = 2  # that of files of networks with layers, or with the options of `Settings`, which earlier versions don't know

FLAG, WHOLE, REAL, TEXT, LIST, RECORD, NOTHING = (bool,), (int,), (int, float), (str,), (list,), (dict,), (type(None),)
HEADER = {  # types of the fields in Python, after JSON is read
    "format": TEXT,
    "version": WHOLE,
    "options": RECORD,
    "steps": WHOLE,
    "random": WHOLE,
    "dropout_seed": WHOLE,
    "history": RECORD,
    "epochs": LIST,
    "interrupted": FLAG,
}
OPTIONAL = {  # fields that not every file has
    "table": RECORD,
    "callbacks": LIST,
    "names": RECORD,
    "report": RECORD,
    "scaling": RECORD,
    "settled": WHOLE + NOTHING,
}
OPTIONS = {
    "layer_sizes": LIST,
    "activation": LIST,
    "output_activation": TEXT,
    "loss": RECORD,
    "optimizer": RECORD,
    "learning_rate": REAL + NOTHING,
    "schedule": RECORD + NOTHING,
    "batch_size": WHOLE,
    "initializer": TEXT,
    "epsilon": REAL + TEXT,
    "use_bias": FLAG,
    "dropout": LIST,
    "l1": REAL,
    "l2": REAL,
    "clip_value": REAL + NOTHING,
    "clip_norm": REAL + NOTHING,
    "max_norm": REAL + NOTHING,
    "shuffle": FLAG,
    "dtype": TEXT,
    "seed": WHOLE + NOTHING,
    "n_threads": WHOLE + TEXT,
}
LATER_OPTIONS = {
    "activation": LIST + TEXT,
    "parameter_groups": RECORD,
    "frozen": LIST,
    "ema": REAL + NOTHING,
    "drop_last": FLAG,
    "dropout_schedule": RECORD + NOTHING,
    "weight_decay_schedule": RECORD + NOTHING,
}
OBJECTS = ("loss", "optimizer", "schedule")  # options that a file has as records
LATER_OBJECTS = ("dropout_schedule", "weight_decay_schedule")


class Saved(NamedTuple):
    """What a model file holds: the arguments of `Trainer`, what a training has changed, and the table."""

    options: dict[str, Any]
    header: dict[str, Any]
    arrays: dict[str, Array]
    states: list[CallbackState]
    names: Names
    scaling: Scaling | None
    table: Table | None

    def restore(self, state: State) -> None:
        """Set a state that was made from the options to what the training has changed."""
        header = self.header
        state.seed = self.options["seed"]  # even if ranks have drawn one: the validation split must stay the same
        state.network.unpack(self.arrays["parameters"])
        state.network.restore(self.arrays["raw"], header.get("settled"))
        memory = state.memory._replace(
            first=self.arrays["first"], second=self.arrays["second"], steps=np.array([header["steps"]], np.int64)
        )
        state.memory = state.engine.unpacked(memory)
        state.random[0], state.dropout_seed = header["random"], header["dropout_seed"]
        columns = {name: [float(number) for number in column] for name, column in header["history"].items()}
        state.history = LazyHistory(History.restored(columns, header["epochs"], header["interrupted"]))
        state.callback_states, state.column_names, state.scaling = self.states, self.names, self.scaling
        state.report = header.get("report")


def save(state: State, table: Table | None, path: str | os.PathLike[str]) -> None:
    """Save a state, and the table that it was trained on, to a file from which training continues bit-identically."""
    if state.ranks is not None and state.ranks.rank > 0:  # the first rank writes the file
        return
    memory = state.engine.packed(state.memory)
    arrays = {"parameters": state.network.packed(), "first": memory.first, "second": memory.second}
    for name, array in arrays.items():
        _checks.finite(f"trainer's {name}", array)  # don't replace a good file with one that can't be loaded
    version = VERSION if state.settings is None and not state.network.layers else LATER
    header = {"format": "fastbp", "version": version, "options": options_of(state)} | _changed(state)
    records, numbers = callback_states.to_file(state.current_callback_states(), state.network.dtype)
    if records:
        header["callbacks"] = records
    if numbers.size:
        arrays["states"] = numbers
    if (raw := state.network.packed_raw()).size:
        arrays["raw"] = raw
        header["settled"] = state.network.settled
    if table is not None:
        header["table"] = table.record()
    if state.column_names != NONE:
        header["names"] = state.column_names.record()
    if state.scaling is not None:
        header["scaling"] = state.scaling.record()
    if state.report is not None:
        header["report"] = state.report
    archive.write(path, header, arrays)


def load(path: str | os.PathLike[str]) -> Saved:
    """Read a file that `save` wrote, and check it. `argument_errors` goes around what is made from it."""
    with archive.opened(path) as file:
        header = _checked(file.header())
        options = header["options"]
        with argument_errors():
            for name in _objects(options):
                given = options[name]
                options[name] = None if given is None else unnamed(name, given, _kinds(name, given.get("name")))
            sizes, count = _sizes(options)
        dtype = np.dtype(options["dtype"])
        kept = 1 + options["optimizer"].n_moments  # how many of the three arrays have values; the others are empty
        arrays = {name: file.array(name, dtype, count if i < kept else 0) for i, name in enumerate(archive.ARRAYS)}
        records = header.get("callbacks", [])
        numbers = file.array("states", dtype, callback_states.count_of(records))
        arrays["raw"] = file.array("raw", dtype, count if options.get("ema") else 0)
    with argument_errors():
        n_targets = options["loss"].target_columns(sizes[-1])
    names = Names.from_record(header["names"], sizes[0], n_targets) if "names" in header else NONE
    states = callback_states.from_file(records, numbers)
    scaling = Scaling.from_record(header["scaling"], sizes[0], sizes[-1]) if "scaling" in header else None
    return Saved(options, header, arrays, states, names, scaling, _table_of(header, options, sizes))


def _sizes(options: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    """Return the layer sizes and the number of parameters. Records of layers become layers."""
    sizes = options["layer_sizes"]
    if all(type(size) is int for size in sizes):
        return tuple(sizes), sum((n + 1) * n_next for n, n_next in pairwise(sizes))
    from ..layers._lowering import lowered
    from ..layers._records import from_record

    options["layer_sizes"] = layers = from_record(sizes)
    activation, output = (
        _checks.one_of(name, options[name], ACTIVATIONS) for name in ("activation", "output_activation")
    )
    made = lowered(layers, activation, output, options["use_bias"])
    return made.layer_sizes, sum(math.prod(parameter.shape) for parameter in made.plan.parameters)


def _objects(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the options that are records in a file."""
    return OBJECTS + (LATER_OBJECTS if "ema" in options else ())


def _checked(header: Any) -> dict[str, Any]:
    """Check the types and ranges of the header. Trainer checks the remaining options."""
    about = (header.get("format"), header.get("version")) if isinstance(header, dict) else (None, None)
    if about[0] != "fastbp" or type(about[1]) is not int or about[1] not in (VERSION, LATER):
        came = "format {}, version {}".format(*map(_checks.shown, about))
        raise refused(came, f"a file of fastbp's format version {VERSION} or {LATER}")
    check_fields("a header", header, HEADER | {name: kinds for name, kinds in OPTIONAL.items() if name in header})
    options = header["options"]
    kinds = OPTIONS | (LATER_OPTIONS if header["version"] == LATER else {})
    check_fields("options", options, kinds | ({"standardize": FLAG} if "standardize" in options else {}))
    if "scaling" in header and not options.get("standardize"):
        raise refused("a scaling", "standardize=True in a file with a scaling")
    sizes = options["layer_sizes"]
    if len(sizes) < 2:
        raise refused(_checks.shown(sizes), "two or more layer_sizes")
    if len(sizes) > MAX_LAYERS:
        raise refused(f"{len(sizes):,}", f"no more than {MAX_LAYERS:,} layer_sizes")
    if header["version"] == VERSION or not all(type(size) is dict for size in sizes):
        for size in sizes:
            _in_range("layer_sizes", size, 1, 1 << 63)
    names = [dtype.name for dtype in DTYPES]
    if options["dtype"] not in names:
        raise refused(_checks.shown(options["dtype"]), f"dtype as one of {', '.join(names)}")
    if options["initializer"] != "zeros":
        raise refused(_checks.shown(options["initializer"]), "initializer 'zeros', as the weights are in the file")
    for name, limit in (("steps", 1 << 63), ("random", 1 << 64), ("dropout_seed", 1 << 64)):
        _in_range(name, header[name], 0, limit)
    if "report" in header:
        TrainingReport.from_record(header["report"])
    for epoch in header["epochs"]:
        _in_range("epochs", epoch, 1, 1 << 63)
    _check_history(header["history"], len(header["epochs"]))
    return header


def _table_of(header: dict[str, Any], options: dict[str, Any], sizes: tuple[int, ...]) -> Table | None:
    """Return the table that the network was trained on, or None. Refuse one that doesn't fit the network."""
    if "table" not in header:
        return None
    table, loss = Table.from_record(header["table"]), options["loss"].name
    n_in, n_out = sizes[0], sizes[-1]
    if (table.n_inputs, table.n_outputs) != (n_in, n_out) or table.loss != loss:
        came = f"{n_in} and {n_out} with the loss {loss!r}"
        expected = (
            f"{table.n_inputs} inputs and {table.n_outputs} outputs with the loss {table.loss!r}, as the table has"
        )
        raise refused(came, expected)
    return table


def _in_range(name: str, value: Any, low: int, limit: int) -> None:
    """Check that a value is an integer in [low, limit)."""
    if type(value) is not int or not low <= value < limit:
        raise refused(_checks.shown(value), f"{name} as integers from {low} to {limit - 1}")


def _check_history(columns: Mapping[str, Any], n_epochs: int) -> None:
    """Check that the history has one number per epoch for each name."""
    if "loss" not in columns:
        raise refused("none", "a history of the loss")
    for name, column in columns.items():
        expected = f"a list of {n_epochs} numbers as history of {_checks.shown(name)}"
        if type(column) is not list or len(column) != n_epochs:
            raise refused(_checks.shown(column), expected)
        odd = [number for number in column if type(number) not in REAL]  # NaN is allowed: not measured
        if odd:
            raise refused(_checks.shown(odd[0]), expected)


def unnamed(argument: str, record: dict[str, Any] | None, kinds: Mapping[str, type[Any]]) -> Any:
    """Return the object that `named` described."""
    if record is None:
        return None
    kind = kinds[_checks.one_of(f"{argument}'s name", record.pop("name", None), kinds)]
    names = {field.name for field in fields(kind) if field.init}
    if record.keys() != names:
        raise ValueError(_checks.wrong(argument, f"the fields {sorted(names)}", _checks.shown(sorted(record))))
    others = {name: other for name, other in kinds.items() if other is not kind}  # Members has another loss as a field
    values = {name: unnamed(name, value, others) if type(value) is dict else value for name, value in record.items()}
    return kind(**values)


@contextmanager
def argument_errors() -> Iterator[None]:
    """Turn errors about arguments into errors about the file that they were read from."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise refused(f"one with {str(error) or type(error).__name__}") from error


def named(argument: str, item: Any, kinds: dict[str, Any]) -> dict[str, Any] | None:
    """Describe an object of fastbp by its name and its fields."""
    if item is None:
        return None
    names = [name for name, kind in kinds.items() if type(item) is kind]
    if not names:
        raise ValueError(_checks.wrong(argument, "one of fastbp's own, which a file can name", _checks.shown(item)))
    values = {field.name: getattr(item, field.name) for field in fields(item) if field.init}
    return {"name": names[0]} | {
        name: named(name, value, kinds) if isinstance(value, Loss) else value for name, value in values.items()
    }


def options_of(state: State) -> dict[str, Any]:
    """Return the arguments of `Trainer` as JSON values."""
    options = state.options() | {"initializer": "zeros"}
    if not state.standardize:
        del options["standardize"]  # versions without this option can then load the file
    if state.network.layers:
        from ..layers._records import record

        options["layer_sizes"] = record(state.network.layers)
    if state.network.layers and state.settings is None:
        from .._training.settings import Settings

        options |= Settings().options()
    for name in _objects(options):
        given = options[name]
        kinds = _kinds(name, getattr(given, "name", None))
        options[name] = None if given is None else named(name, given, kinds)
    return options


def _kinds(option: str, name: Any) -> dict[str, Any]:
    """Return the classes that a file can name as an option of `Trainer`, with the one of this name."""
    if option.endswith("schedule"):  # which most trainers don't have
        from ..schedules import SCHEDULES

        return dict(SCHEDULES)
    return dict(losses_with(name) if option == "loss" else OPTIMIZERS)


def _changed(state: State) -> dict[str, Any]:
    """Return what training has changed, except arrays, as JSON values."""
    history = state.history.read()
    return {
        "steps": int(state.memory.steps[0]),
        "random": int(state.random[0]),
        "dropout_seed": state.dropout_seed,
        "history": history.to_dict(),
        "epochs": history.epochs,
        "interrupted": history.interrupted,
    }
