"""Weights in safetensors files, under the names and in the orientation of PyTorch; the door to safetensors."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save
except ImportError as error:
    raise ImportError("fastbp.interop.safetensors needs safetensors: pip install 'fastbp[safetensors]'") from error

from .. import _checks
from .._model_file import check_fields, refused
from .._writing import replacing
from ..activations import hidden_activations
from ..checkpoint import named, unnamed
from ..losses import LOSSES, Custom
from ..trainer import Trainer
from ._layers import Stack, layers_of

Array = npt.NDArray[Any]

EXPECTED = "a safetensors file of dense layers"
FIELDS: dict[str, tuple[type, ...]] = {  # of the architecture, as JSON has it
    "version": (int,),
    "activation": (list,),
    "output_activation": (str,),
    "dropout": (list,),
    "loss": (dict, type(None)),
}
VERSION = 1


def save_safetensors(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write the weights, as layers.0.weight (n_out, n_in), layers.0.bias (n_out,), layers.1.weight …

    The file's metadata has activations, dropout and loss, from which `load_safetensors` makes a Trainer; one's own loss
    can't be among them. Neither is the state of training, nor a table's columns: those are `Trainer.save`'s. A crash
    leaves the old file or the new one, never half of it.

    Raises
    ------
    ValueError
        Where weights are not finite.
    """
    tensors: dict[str, Array] = {}
    for layer in layers_of(trainer):
        parts = {"weight": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})
        for name, view in parts.items():
            _checks.finite(f"trainer's {layer.place}.{name}", view)
            tensors[f"{layer.place}.{name}"] = np.ascontiguousarray(view)
    architecture = {
        "version": VERSION,
        "activation": trainer.activation,
        "output_activation": trainer.output_activation,
        "dropout": trainer.dropout,
        "loss": None if isinstance(trainer._loss, Custom) else named("loss", trainer._loss, LOSSES),
    }
    content = save(tensors, metadata={"fastbp": json.dumps(architecture)})
    with replacing(path) as file:
        file.write(content)


def load_safetensors(path: str | os.PathLike[str], **options: Any) -> Trainer:
    """A Trainer with the weights in a file, of `save_safetensors` or of anybody else's dense layers.

    Parameters
    ----------
    path : str or path
        Of tensors in pairs, <layer>.weight (n_out, n_in) and <layer>.bias (n_out,), or without any bias; layers are
        taken in the order of the numbers in their names. So come the weights of an nn.Sequential's ``state_dict()``.
    **options
        Of Trainer, as in `from_torch`. A file of others doesn't say what the activations are: it needs ``activation=``
        where there are hidden layers, and ``output_activation=`` where it isn't what goes with the loss.

    Raises
    ------
    ModelFileError
        For a file that is none of safetensors, or holds something else than dense layers.
    ValueError, TypeError
        For layers that don't fit each other, and for options out of their range.
    """
    tensors, metadata = _read(path)
    activation = None if "fastbp" in metadata else options.pop("activation", None)
    stack = Stack("the file", options)
    layers = _layers(tensors)
    if "fastbp" in metadata:
        architecture = _architecture(metadata["fastbp"], len(layers))
        names = [*architecture["activation"], architecture["output_activation"]]
        rates = architecture["dropout"]
        if architecture["loss"] is not None:
            options.setdefault("loss", unnamed("loss", architecture["loss"], LOSSES))
    elif activation is None and len(layers) > 1:
        raise ValueError(_checks.wrong("activation", "the hidden layers' activations, as the file has none", "none"))
    else:
        names = [*hidden_activations(activation or "identity", len(layers) - 1), "identity"]
        rates = [0.0] * (len(layers) - 1)
    for (place, weight, bias), name, rate in zip(layers, names, [*rates, 0.0], strict=True):
        stack.dense(place, weight, bias)
        stack.activation(place, name)
        stack.dropout(place, rate)
    return stack.trainer()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The file's tensors by name, and its metadata."""
    path = _checks.path("path", path)
    with open(path, "rb"):  # whose errors name the file
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # the latter of dtypes that NumPy doesn't have
        raise refused(f"{type(error).__name__}: {error}", EXPECTED) from error


def _layers(tensors: dict[str, Array]) -> list[tuple[str, Array, Array | None]]:
    """The name, weight and bias of each layer, in the order of the names' numbers."""
    names = sorted({name.rpartition(".")[0] for name in tensors}, key=_by_numbers)
    layers = []
    for name in names:
        weight, bias = tensors.pop(f"{name}.weight", None), tensors.pop(f"{name}.bias", None)
        if weight is None or weight.ndim != 2 or not weight.size:
            came = "none" if weight is None else f"shape {weight.shape}"
            raise refused(came, f"{EXPECTED}, with a matrix {name}.weight")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise refused(f"{name}.bias of shape {bias.shape}", f"{EXPECTED}, with one of {weight.shape[:1]}")
        layers.append((name, weight, bias))
    if tensors:
        raise refused(f"one with {_checks.shown(sorted(tensors)[0])}", EXPECTED)
    if not layers:
        raise refused("one without tensors", EXPECTED)
    return layers


def _by_numbers(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts numbers in names as numbers."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _architecture(text: str, n_layers: int) -> dict[str, Any]:
    """What `save_safetensors` wrote beside the weights."""
    try:
        record = json.loads(text)
    except ValueError as error:
        raise refused(f"metadata that are no JSON: {error}", EXPECTED) from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise refused(_checks.shown(record), f"metadata of version {VERSION}")
    check_fields("metadata", record, FIELDS)
    for name in ("activation", "dropout"):
        if len(record[name]) != n_layers - 1:
            raise refused(_checks.shown(record[name]), f"as many of {name} as there are hidden layers, {n_layers - 1}")
    return record
