"""Weights in safetensors files, with PyTorch's names and orientation. Only this module imports safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._extras import not_installed

try:
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save
except ImportError as error:
    raise not_installed("fastbp.interop.safetensors needs safetensors", "safetensors") from error

from .. import _checks
from .._records import check_fields, refused
from .._writing import replacing
from ..activations import hidden_activations
from ..trainer import Trainer
from . import _safetensors_layers
from ._layers import Stack, layers_of
from ._order import Parameters, listed, ordered
from ._tree import has_layers

Array = npt.NDArray[Any]

STORED = "nothing, because the file stores the order"
EXPECTED = "a safetensors file of dense layers"
FIELDS: dict[str, tuple[type, ...]] = {  # of the architecture in JSON
    "version": (int,),
    "activation": (list,),
    "output_activation": (str,),
    "dropout": (list,),
    "loss": (dict, type(None)),
}
VERSION = 1


def save_safetensors(trainer: Trainer, path: str | os.PathLike[str]) -> None:
    """Write the weights as layers.0.weight (n_out, n_in), layers.0.bias (n_out,), layers.1.weight …

    The file's metadata stores the activations, the dropout and the loss, unless it is a custom loss. `load_safetensors`
    creates a Trainer from them. A trainer with a list of layers writes the names of `Trainer.named_parameters`, and the
    layers and the scaling as metadata. The state of training and a table's columns are not stored; use `Trainer.save`
    for these. A crash leaves the old file or the new one, never half of it.

    Raises
    ------
    ValueError
        If weights are not finite.
    """
    if has_layers(trainer):
        _write(path, *_safetensors_layers.parts(trainer))
        return
    tensors: dict[str, Array] = {}
    for layer in layers_of(trainer, "logits"):
        views = {"weight": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})
        for name, view in views.items():
            _checks.finite(f"trainer's {layer.place}.{name}", view)
            tensors[f"{layer.place}.{name}"] = np.ascontiguousarray(view)
    architecture = {
        "version": VERSION,
        "activation": trainer.activation,
        "output_activation": trainer.output_activation,
        "dropout": trainer.dropout,
        "loss": _safetensors_layers.loss_record(trainer),
    }
    _write(path, tensors, architecture)


def _write(path: str | os.PathLike[str], tensors: dict[str, Array], architecture: dict[str, Any]) -> None:
    """Write a file."""
    content = save(tensors, metadata={"fastbp": json.dumps(architecture)})
    with replacing(path) as file:
        file.write(content)


def load_safetensors(path: str | os.PathLike[str], *, order: Sequence[str] | None = None, **options: Any) -> Trainer:
    """Create a Trainer with the weights in a file of `save_safetensors`, or in another file of dense layers.

    Parameters
    ----------
    path : str or path
        A file with tensors <layer>.weight, of shape (n_out, n_in), and <layer>.bias, of shape (n_out,), or without any
        biases, such as the ``state_dict()`` of PyTorch's Linear layers. Keras's kernels have the shape (n_in, n_out).
        Transpose them before you write the file, because the shape of a square kernel doesn't show the difference.
    order : sequence of str, optional
        The names of the layers from first to last, without ".weight". Needed only if the file doesn't determine the
        order. It does if the names differ only in numbers ("fc1", "fc2", "fc10"; "net.0", "net.2"), or if the shapes
        fit in only one order. Several numbers between two dots must give the same order; "a1_2" and "a2_1" don't. A
        file of `save_safetensors` stores its order.
    **options
        Arguments of Trainer, as in `from_torch`. A file that `save_safetensors` did not write stores no activations.
        Pass ``activation=`` if there are hidden layers, and ``output_activation=`` if the output activation is not the
        default for the loss.

    Raises
    ------
    ModelFileError
        For a file that is not a safetensors file, or that has something other than dense layers.
    ValueError, TypeError
        If the file doesn't determine the order of the layers, if the layers don't fit each other, or if an option is
        invalid.
    """
    tensors, metadata = _read(path)
    if (record := _safetensors_layers.record_in(metadata)) is not None:
        if order is not None:
            raise ValueError(_checks.wrong("order", STORED, f"{_checks.shown(order)}; leave order= out"))
        return _safetensors_layers.trainer(tensors, record, options)
    activation = None if "fastbp" in metadata else options.pop("activation", None)
    stack = Stack("the file", options)
    layers = _layers(tensors)
    if "fastbp" in metadata:
        if order is not None:
            raise ValueError(_checks.wrong("order", STORED, f"{_checks.shown(order)}; leave order= out"))
        architecture = _architecture(metadata["fastbp"], len(layers))
        _check_own_names(layers)
        places = [f"layers.{i}" for i in range(len(layers))]
        names = [*architecture["activation"], architecture["output_activation"]]
        rates = architecture["dropout"]
        if architecture["loss"] is not None:
            options.setdefault("loss", _safetensors_layers.loss_in(architecture["loss"]))
    else:
        places = ordered(layers) if order is None else _given_order(order, layers)
        if activation is None and len(layers) > 1:
            raise ValueError(
                _checks.wrong("activation", "the hidden layers' activations, because the file has none", "none")
            )
        names = [*hidden_activations(activation or "identity", len(layers) - 1), "identity"]
        rates = [0.0] * (len(layers) - 1)
    for place, name, rate in zip(places, names, [*rates, 0.0], strict=True):
        stack.dense(place or "the layer", *layers[place])
        stack.activation(place, name)
        stack.dropout(place, rate)
    return stack.trainer()


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the file's tensors by name, and its metadata."""
    path = _checks.path("path", path)
    with open(path, "rb"):  # its errors name the file
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: _array(file, name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise refused(f"{type(error).__name__}: {error}", EXPECTED) from error


def _array(file: Any, name: str) -> Array:
    """Return a tensor as an array. Refuse bfloat16, which is not one of NumPy's types, even if ml_dtypes adds it."""
    array: Array | None
    try:
        array = file.get_tensor(name)
    except (TypeError, AttributeError):
        array = None
    if array is None or array.dtype.kind not in "biufc":
        expected = f"{EXPECTED} in float32 or float64, to which you can convert it"
        raise refused(f"{name} of {file.get_slice(name).get_dtype()}", expected)
    return array


def _layers(tensors: dict[str, Array]) -> dict[str, Parameters]:
    """Return the weight and bias of each layer by its name. The name is "" for a single Linear without a prefix."""
    layers: dict[str, Parameters] = {}
    for name in dict.fromkeys(name.rpartition(".")[0] for name in sorted(tensors)):
        prefix = f"{name}." if name else ""
        weight, bias = tensors.pop(f"{prefix}weight", None), tensors.pop(f"{prefix}bias", None)
        if weight is None or weight.ndim != 2 or not weight.size:
            came = "none" if weight is None else f"shape {weight.shape}"
            hint = "; a kernel is (n_in, n_out), so store its transpose as weight" * (f"{prefix}kernel" in tensors)
            raise refused(came, f"{EXPECTED}, with a matrix {prefix}weight{hint}")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise refused(f"{prefix}bias of shape {bias.shape}", f"{EXPECTED}, with a bias of shape {weight.shape[:1]}")
        for kind, array in (("weight", weight), ("bias", bias)):
            if array is not None and array.dtype.kind != "f":
                raise refused(f"{prefix}{kind} of {array.dtype}", f"{EXPECTED} of floating-point numbers")
        layers[name] = weight, bias
    if tensors:
        raise refused(f"one with {_checks.shown(sorted(tensors)[0])}", EXPECTED)
    if not layers:
        raise refused("one without tensors", EXPECTED)
    return layers


def _check_own_names(layers: Mapping[str, Parameters]) -> None:
    """Refuse names that `save_safetensors` doesn't write."""
    expected = {f"layers.{i}" for i in range(len(layers))}
    if others := sorted(set(layers) - expected):
        raise refused(_checks.shown(others[0]), f"layers.0 to layers.{len(layers) - 1}, because fastbp wrote the file")


def _given_order(order: Sequence[str], layers: Mapping[str, Parameters]) -> list[str]:
    """Return the caller's order, which must have each layer once."""
    expected = f"each of the file's layers once ({listed(list(layers))})"
    places = _checks.sequence("order", order, expected)
    if not all(isinstance(place, str) for place in places) or sorted(places) != sorted(layers):
        raise ValueError(_checks.wrong("order", expected, _checks.shown(places)))
    return places


def _architecture(text: str, n_layers: int) -> dict[str, Any]:
    """Return the architecture that `save_safetensors` stored with the weights."""
    try:
        record = json.loads(text)
    except ValueError as error:
        raise refused(f"metadata that is not JSON: {error}", EXPECTED) from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise refused(_checks.shown(record), f"metadata of version {VERSION}")
    check_fields("metadata", record, FIELDS)
    for name in ("activation", "dropout"):
        if len(record[name]) != n_layers - 1:
            raise refused(_checks.shown(record[name]), f"as many of {name} as there are hidden layers, {n_layers - 1}")
    return record
