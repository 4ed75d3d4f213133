"""One file for a trainer: weights, options, the optimizer's state, the random state and the history."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checks
from .history import History
from .losses import LOSSES, Loss
from .optimizers import OPTIMIZERS
from .schedules import SCHEDULES, Schedule

if TYPE_CHECKING:
    from .trainer import Trainer

VERSION = 1  # of the format


class ModelFileError(ValueError):
    """A file that no trainer can be made from."""


def save(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write the file beside its place, flush it to disk, and rename it: a crash leaves the old file or the new one."""
    header = json.dumps({"format": "fastbp", "version": VERSION, "options": _options(trainer)} | _state(trainer))
    memory = trainer._engine.packed(trainer._memory)
    arrays = {
        "header": np.frombuffer(header.encode(), np.uint8),
        "parameters": trainer.network.packed(),
        "first": memory.first,
        "second": memory.second,
    }
    place = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(kind: type[Trainer], path: str | os.PathLike[str]) -> Trainer:
    """A trainer that goes on where the saved one was."""
    header, arrays = _read(path)
    options = header["options"]
    for name, kinds in (("loss", LOSSES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        if options[name] is not None:
            options[name] = kinds[options[name].pop("name")](**options[name])
    trainer = kind(**options)
    trainer.network.unpack(arrays["parameters"])
    memory = trainer._memory
    trainer._memory = trainer._engine.unpacked(
        memory._replace(first=arrays["first"], second=arrays["second"], steps=np.array([header["steps"]]))
    )
    trainer._random[0], trainer._dropout_seed = header["random"], header["dropout_seed"]
    trainer.history = History.restored(header["history"], header["epochs"], header["interrupted"])
    return trainer


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """The header and the arrays of a file."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]))
            arrays = {name: file[name] for name in ("parameters", "first", "second")}
        version = header.get("format"), header.get("version")
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib, json and numpy each have their own for a file that isn't one of ours
        raise ModelFileError(_checks.wrong("path", "a file that Trainer.save wrote", f"{error}")) from error
    if version != ("fastbp", VERSION):
        came = f"format {version[0]!r}, version {version[1]!r}"
        raise ModelFileError(_checks.wrong("path", f"a file of fastbp's format version {VERSION}", came))
    return header, arrays


def _named(argument: str, item: Any, kinds: dict[str, Any]) -> dict[str, Any] | None:
    """A record as a name and its fields."""
    if item is None:
        return None
    names = [name for name, kind in kinds.items() if type(item) is kind]
    if not names:
        raise ValueError(_checks.wrong(argument, "one of fastbp's own, which a file can name", _checks.shown(item)))
    return {"name": names[0]} | {field.name: getattr(item, field.name) for field in fields(item) if field.init}


def _options(trainer: Trainer) -> dict[str, Any]:
    """Arguments of Trainer."""
    loss: Loss = trainer._loss
    schedule: Schedule | None = trainer.schedule
    bounds = {name: None if limit == np.inf else limit for name, limit in trainer._bounds._asdict().items()}
    return bounds | {
        "layer_sizes": trainer.layer_sizes,
        "activation": trainer.activation,
        "output_activation": trainer.output_activation,
        "loss": _named("loss", loss, LOSSES),
        "optimizer": _named("optimizer", trainer.optimizer, OPTIMIZERS),
        "schedule": _named("schedule", schedule, SCHEDULES),
        "learning_rate": None if trainer.optimizer.name == "lbfgs" else trainer.learning_rate,
        "batch_size": trainer.batch_size,
        "initializer": "zeros",
        "epsilon": trainer.epsilon,
        "use_bias": trainer.use_bias,
        "dropout": trainer.dropout,
        "shuffle": trainer.shuffle,
        "dtype": trainer.dtype.name,
        "seed": trainer.seed,
        "n_threads": trainer.n_threads,
    }


def _state(trainer: Trainer) -> dict[str, Any]:
    history = trainer.history
    return {
        "steps": int(trainer._memory.steps[0]),
        "random": int(trainer._random[0]),
        "dropout_seed": trainer._dropout_seed,
        "history": history.to_dict(),
        "epochs": history.epochs,
        "interrupted": history.interrupted,
    }
