"""Conversion of Keras's Sequential to a Trainer and back. Only this module imports Keras 3."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._extras import not_installed

try:
    import keras
except ModuleNotFoundError as error:
    if error.name != "keras":  # the backend is missing; Keras's own error names it
        raise
    raise not_installed(
        "fastbp.interop.keras needs Keras 3", "keras", ", and the backend that KERAS_BACKEND names"
    ) from error

from .. import _checks, layers
from .._kernels.constants import LEAK
from .._messages import warn
from ..trainer import Trainer
from ._keras_network import OTHERS, add_other, freeze, model_of
from ._layers import Stack, layers_of
from ._pile import Pile
from ._tree import frozen_names, has_layers, tree_of

DTYPES = ("float32", "float64")
NAMES = {  # Keras's activations with the same formulas as fastbp's
    "linear": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "elu": "elu",
    "selu": "selu",
    "gelu": "gelu",
    "silu": "silu",
    "mish": "mish",
    "softplus": "softplus",
    "softsign": "softsign",
    "hard_sigmoid": "hard_sigmoid",
    "hard_tanh": "hard_tanh",
    "exponential": "exponential",
    "softmax": "softmax",
    "log_softmax": "softmax",
}
ACTIVATION_LAYERS: dict[type, tuple[str, dict[str, Any]]] = {  # fastbp's name, and attributes of the same formula
    keras.layers.ReLU: ("relu", {"max_value": None, "negative_slope": 0, "threshold": 0}),
    keras.layers.LeakyReLU: ("leaky_relu", {"negative_slope": LEAK}),
    keras.layers.ELU: ("elu", {"alpha": 1}),
    keras.layers.Softmax: ("softmax", {"axis": -1}),
}
ENDS = {**{ours: name for name, ours in NAMES.items()}, "softmax": "softmax", "log_softmax": "log_softmax"}
LAYERS = "Dense, Activation, Dropout, ReLU, LeakyReLU, ELU, Softmax, Flatten"
PENALTIES = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")


@keras.saving.register_keras_serializable(package="fastbp")
def gelu_tanh(z: Any) -> Any:
    """GELU with the tanh approximation, for which Keras has no name."""
    return keras.activations.gelu(z, approximate=True)


def from_keras(model: Any, **options: Any) -> Trainer:
    """Create a Trainer with the layers of a keras.Sequential and a copy of its weights.

    Parameters
    ----------
    model : keras.Sequential
        A built model of Dense layers. Each may have one activation, its own or that of the next layer, followed by
        one Dropout. Nested Sequentials and Flatten are allowed; X is already flat. log_softmax is imported as softmax,
        so predict returns probabilities. A LoRA adapter is merged into the weights of its layer. Quantized layers are
        refused. A layer with a mixed-precision policy keeps its float32 weights, and the trainer uses float32.
        LayerNormalization, BatchNormalization and the layers that `to_keras` makes are allowed, too; the trainer then
        has a list of layers. Variables that aren't trainable become the trainer's ``frozen``.
    **options
        Arguments of Trainer: ``loss=``, ``optimizer=`` … except ``layer_sizes``, ``activation`` and ``initializer``,
        which come from the model. The default ``dtype`` is the model's. ``dropout`` replaces the model's. If the model
        returns logits, without a final activation, the output activation is ``output_activation``, or the default for
        the loss, such as softmax with the cross entropy. The arguments of the model's ``compile`` are ignored.

    Raises
    ------
    ValueError, TypeError
        For a model that a Trainer can't represent. The message names the layer, where it is and what is supported.

    Warns
    -----
    UserWarning
        If a layer has a regularizer or a constraint. They are not imported.

    Examples
    --------
    >>> trainer = from_keras(model, loss="cross_entropy", optimizer="adam", batch_size=64)
    """
    parts = list(_flat("model", model))
    if any(isinstance(layer, OTHERS) for _, layer in parts):
        pile = Pile("model")
        _pile_up(pile, "model", model)
        return pile.trainer(options)
    stack, denses = Stack("model", options), set()
    for place, layer in parts:
        _check_plain(place, layer)
        kind = type(layer)
        if kind is keras.layers.Dense:
            if id(layer) in denses:
                came = f"{layer.name!r} twice; use two layers"
                raise ValueError(_checks.wrong(place, "a layer with its own weights", came))
            denses.add(id(layer))
            stack.dense(place, *_parameters_of(place, layer))
            stack.activation(place, _name_of(place, layer))
        elif kind is keras.layers.Activation or kind in ACTIVATION_LAYERS:
            stack.activation(place, _activation_name(place, layer))
        elif kind is keras.layers.Dropout:
            _require(place, layer, noise_shape=None)
            stack.dropout(place, layer.rate)
        elif kind is keras.layers.Flatten:
            _require(place, layer, data_format="channels_last")  # channels_first moves the channels before it flattens
        else:
            expected = f"a Sequential of {LAYERS}"
            hint = "; if it applies its layers in turn, keras.Sequential(model.layers) does"
            came = f"{kind.__name__} {layer.name!r}" + hint * (place == "model")
            raise ValueError(_checks.wrong(place, expected, came))
    return stack.trainer()


def to_keras(trainer: Trainer, *, output: str = "predict") -> Any:
    """Create a keras.Sequential that returns what predict returns, with a copy of the weights.

    Parameters
    ----------
    trainer : Trainer
    output : {"predict", "logits", "log_softmax"}
        What the model returns. "predict" is what predict returns. "logits" leaves the output activation out, for losses
        with ``from_logits=True``. "log_softmax" is the logarithm of a softmax.

    Returns
    -------
    keras.Sequential
        Built but not compiled. Layers that Keras lacks are layers of fastbp. Keras converts inputs to
        keras.config.floatx(), float32 by default, whatever the trainer's dtype is; JAX supports float64 only with
        jax_enable_x64. Variables that the trainer's ``frozen`` matches aren't trainable. To load a saved model with
        gelu_tanh or with layers of fastbp, import this module first.
    """
    dtype, frozen = trainer.dtype.name, frozen_names(trainer)
    if has_layers(trainer):
        functions = functools.partial(_activation_layers, dtype=dtype)
        return model_of(tree_of(trainer, output), dtype, functions, frozen)
    known = {*ENDS, "gelu_tanh", "leaky_relu"}
    model = keras.Sequential([keras.Input((trainer.layer_sizes[0],), dtype=dtype)])
    for l, layer in enumerate(layers_of(trainer, output, known), 1):
        leaky = layer.activation == "leaky_relu"
        function: Any = gelu_tanh if layer.activation == "gelu_tanh" else ENDS.get(layer.activation)
        use_bias = layer.bias is not None
        zeros = "zeros"  # random initial weights aren't needed
        dense = keras.layers.Dense(
            len(layer.weight), activation=function, use_bias=use_bias, kernel_initializer=zeros, dtype=dtype
        )
        model.add(dense)
        arrays = [layer.weight.T, layer.bias] if use_bias else [layer.weight.T]
        dense.set_weights([np.ascontiguousarray(array) for array in arrays])
        variables = {f"dense{l}.weight": dense.kernel} | ({f"dense{l}.bias": dense.bias} if use_bias else {})
        freeze(dense, variables, frozen)
        if leaky:
            model.add(keras.layers.LeakyReLU(negative_slope=LEAK, dtype=dtype))
        if layer.rate:
            model.add(keras.layers.Dropout(layer.rate, dtype=dtype))
    return model


def _activation_layers(name: str, dtype: str) -> list[Any]:
    """Return the layers of Keras that compute an activation: one, or none for the identity."""
    if name == "identity":
        return []
    if name == "leaky_relu":
        return [keras.layers.LeakyReLU(negative_slope=LEAK, dtype=dtype)]
    return [keras.layers.Activation(gelu_tanh if name == "gelu_tanh" else ENDS[name], dtype=dtype)]


def _pile_up(pile: Pile, place: str, model: Any) -> None:
    """Add the layers of a model to those of a Trainer with a list of layers."""
    for inner, layer in _flat(place, model):
        _check_plain(inner, layer)
        kind = type(layer)
        if kind is keras.layers.Dense:
            weight, bias, frozen = _parameters_of(inner, layer)
            arrays = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
            dense = layers.Dense(len(weight), _name_of(inner, layer), use_bias=bias is not None)
            pile.add(inner, dense, arrays, frozen)
        elif kind is keras.layers.Activation or kind in ACTIVATION_LAYERS:
            pile.add(inner, layers.Activation(_activation_name(inner, layer)), {})
        elif kind is keras.layers.Dropout:
            _require(inner, layer, noise_shape=None)
            pile.add(inner, layers.Dropout(layer.rate), {})
        elif kind in OTHERS:
            add_other(pile, inner, layer, _array_of, _activation_name, _pile_up)
        else:
            expected = f"a Sequential of {LAYERS}, {', '.join(other.__name__ for other in OTHERS)}"
            raise ValueError(_checks.wrong(inner, expected, f"{kind.__name__} {layer.name!r}"))


def _activation_name(place: str, layer: Any) -> str:
    """Return fastbp's name of what an activation layer computes."""
    if type(layer) in ACTIVATION_LAYERS:
        name, attributes = ACTIVATION_LAYERS[type(layer)]
        _require(place, layer, **attributes)
        return name
    if type(layer) is not keras.layers.Activation:
        raise ValueError(_checks.wrong(place, "an activation", type(layer).__name__))
    return _name_of(place, layer)


def _flat(place: str, layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers in order, each with its place; nested Sequentials are flattened."""
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(_checks.wrong(place, "a keras.Sequential", _checks.kind_shown(layer, keras.layers.Layer)))
    if not isinstance(layer, keras.Sequential):
        yield place, layer
        return
    _check_plain(place, layer)
    if type(layer).call is not keras.Sequential.call or type(layer).__call__ is not keras.Sequential.__call__:
        came = f"{type(layer).__name__} {layer.name!r}, which overrides call"
        raise ValueError(_checks.wrong(place, "a Sequential that applies its layers in turn", came))
    for i, child in enumerate(layer.layers):
        yield from _flat(f"{place}.layers[{i}]", child)


def _check_plain(place: str, layer: Any) -> None:
    """Refuse a layer that doesn't compute what its class computes."""
    hooks = [name for name in ("_forward_hooks", "_forward_pre_hooks") if getattr(layer, name, None)]  # PyTorch's
    if "call" in vars(layer) or hooks:
        came = f"{type(layer).__name__} {layer.name!r} with {'forward hooks' if hooks else 'a replaced call'}"
        raise ValueError(_checks.wrong(place, "a layer that computes what its class does", came))


def _parameters_of(place: str, layer: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """Return the weights (n_out, n_in) of a Dense layer, its biases or None, and names of those that aren't trained."""
    if not layer.built:
        raise ValueError(
            _checks.wrong(place, "a built model; call model.build((None, n)) first", "one without weights")
        )
    if (mode := getattr(layer, "quantization_mode", None)) is not None:
        came = f"one that is quantized to {mode}; convert the model before you quantize it"
        raise ValueError(_checks.wrong(place, "a Dense layer without quantization", came))
    shape = (layer.get_build_config() or {}).get("input_shape")
    if shape is not None and len(shape) != 2:
        raise ValueError(_checks.wrong(place, "inputs of shape (n, n_in)", f"{shape}; put a Flatten before the layer"))
    if found := [name for name in PENALTIES if getattr(layer, name, None) is not None]:
        text = f"{place}: {', '.join(found)} cannot be imported; use l1=, l2= or max_norm= of Trainer instead"
        warn(text, stacklevel=_checks.level_outside())
    given = {"weight": layer.kernel} | ({"bias": layer.bias} if layer.use_bias else {})
    frozen = tuple(name for name, value in given.items() if not getattr(value, "trainable", True))
    bias = _array_of(place, layer.bias) if layer.use_bias else None
    return _array_of(place, layer.kernel).T, bias, frozen


def _array_of(place: str, value: Any) -> Any:
    """Return a variable as an array. A kernel with LoRA is a tensor, not a variable."""
    dtype = keras.backend.standardize_dtype(value.dtype)
    if dtype not in DTYPES:
        raise TypeError(_checks.wrong(place, "float32 or float64 weights", dtype))
    tensor = value.value if isinstance(value, keras.Variable) else value
    if hasattr(tensor, "detach"):  # a PyTorch tensor; NumPy warns about Keras's own conversion
        return tensor.detach().cpu().numpy()
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _name_of(place: str, layer: Any) -> str:
    """Return fastbp's name of a layer's activation function."""
    if layer.activation is gelu_tanh:
        return "gelu_tanh"
    for name, ours in NAMES.items():
        if layer.activation is getattr(keras.activations, name):
            return ours
    came = getattr(layer.activation, "__name__", _checks.shown(layer.activation))
    hint = f"; leaky_relu only as LeakyReLU(negative_slope={LEAK})" if came == "leaky_relu" else ""
    raise ValueError(_checks.wrong(place, f"an activation among {', '.join(NAMES)}{hint}", came))


def _require(place: str, layer: Any, **expected: Any) -> None:
    """Refuse a layer with an attribute that differs from fastbp's formula."""
    for name, value in expected.items():
        came = getattr(layer, name)
        if came != value and not (isinstance(value, float) and np.isclose(came, value)):
            raise ValueError(_checks.wrong(place, f"a {type(layer).__name__} with {name}={value}", f"{name}={came}"))
