"""Networks of layers in safetensors files: the parameters by name, and the layers in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._files.model import named, unnamed
from .._records import check_fields, refused
from .._scaling import Scaling
from ..layers._records import from_record, record as record_of
from ..losses import Loss, losses_with
from ..trainer import Trainer
from ._layers import refuse_options

Array = npt.NDArray[Any]

VERSION = 2  # of the metadata; 1 is a network of dense layers
FIELDS: dict[str, tuple[type, ...]] = {
    "version": (int,),
    "layers": (list,),
    "output_activation": (str,),
    "use_bias": (bool,),
    "scaling": (dict, type(None)),
    "loss": (dict, type(None)),
}


def loss_record(trainer: Trainer) -> dict[str, Any] | None:
    """Return a trainer's loss as JSON values; None for a loss of your own."""
    loss = trainer._state.loss
    known = losses_with(loss.name)
    return named("loss", loss, known) if loss.name in known else None


def loss_in(record: Any) -> Loss:
    """Return the loss that `loss_record` described."""
    loss: Loss = unnamed("loss", record, losses_with(record.get("name")))
    return loss


def parts(trainer: Trainer) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the tensors of a file by name, and its metadata."""
    tensors = {name: np.ascontiguousarray(array) for name, array in trainer.named_parameters().items()}
    for name, array in tensors.items():
        _checks.finite(f"trainer's {name}", array)
    state = trainer._state
    return tensors, {
        "version": VERSION,
        "layers": record_of(state.network.layers),
        "output_activation": trainer.output_activation,
        "use_bias": trainer.use_bias,
        "scaling": None if state.scaling is None else state.scaling.record(),
        "loss": loss_record(trainer),
    }


def record_in(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the metadata of a network of layers, None for other files."""
    try:
        record = json.loads(metadata.get("fastbp", "null"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.get("version") == VERSION and "layers" in record else None


def trainer(tensors: Mapping[str, Array], record: dict[str, Any], options: dict[str, Any]) -> Trainer:
    """Create the Trainer of a file.

    Raises
    ------
    ModelFileError
        For a file that `parts` cannot have made.
    ValueError, TypeError
        For an invalid option.
    """
    check_fields("metadata", record, FIELDS)
    refuse_options("the file", options)
    options = dict(options)
    if record["loss"] is not None:
        options.setdefault("loss", loss_in(record["loss"]))
    options.setdefault("dtype", np.result_type(*tensors.values()) if tensors else "float32")
    for name in ("output_activation", "use_bias"):
        if options.setdefault(name, record[name]) != record[name]:
            raise ValueError(_checks.wrong(name, f"{record[name]!r}, as in the file", repr(options[name])))
    if record["scaling"] is not None:
        options["standardize"] = True
    try:
        layers = from_record(record["layers"])
    except (ValueError, TypeError) as error:
        raise refused(str(error), "metadata with fastbp's layers") from error
    made = Trainer(list(layers), **options)
    _fill(made, tensors)
    if record["scaling"] is not None:
        made._state.scaling = Scaling.from_record(record["scaling"], made.layer_sizes[0], made.layer_sizes[-1])
    return made


def _fill(made: Trainer, tensors: Mapping[str, Array]) -> None:
    """Write a file's tensors into the parameters, after a check of all."""
    views = made.named_parameters()
    if views.keys() != tensors.keys():
        differs = sorted(views.keys() ^ tensors.keys())[0]
        raise refused(f"{'no ' if differs in views else ''}{differs}", f"the tensors {', '.join(views)}")
    for name, view in views.items():
        array = tensors[name]
        if array.shape != view.shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            expected = f"{name} as finite numbers of shape {view.shape}"
            raise refused(f"{array.dtype} of shape {array.shape}", expected)
    for name, view in views.items():
        view[...] = tensors[name]
