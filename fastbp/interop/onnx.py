"""Export of a Trainer's network to ONNX, with operators that onnxruntime supports."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .._extras import not_installed

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise not_installed("fastbp.interop.onnx needs onnx", "onnx") from error

from .. import _checks
from .._kernels.constants import GELU_CUBIC, GELU_INNER, LEAK, MISH_END, SELU_ALPHA, SELU_SCALE
from .._writing import replacing
from ..trainer import Trainer
from ._layers import DenseLayer, layers_of
from ._onnx_layers import network
from ._tree import has_layers, tree_of

OPSET = 13  # of a model, unless an operator needs a newer one
LARGE = (1 << 31) - (1 << 20)  # bytes of weights; protobuf's limit for one message is 2 GB
BOTH: dict[str, tuple[str, dict[str, Any]]] = {  # onnxruntime computes these in float32 and in float64
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "log_softmax": ("LogSoftmax", {"axis": 1}),
}
SINGLE: dict[str, tuple[str, dict[str, Any], int]] = {  # onnxruntime has these in float32 only; and their first opset
    "leaky_relu": ("LeakyRelu", {"alpha": LEAK}, OPSET),
    "elu": ("Elu", {"alpha": 1.0}, OPSET),
    "selu": ("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}, OPSET),
    "gelu": ("Gelu", {"approximate": "none"}, 20),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}, 20),
    "mish": ("Mish", {}, 18),
    "softplus": ("Softplus", {}, OPSET),
    "softsign": ("Softsign", {}, OPSET),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, OPSET),
}


def to_onnx(
    trainer: Trainer,
    path: str | os.PathLike[str] | None = None,
    *,
    output: str = "predict",
    input_name: str = "input",
    output_name: str = "output",
) -> Any:
    """Export the trainer's network as an ONNX model, for any number of rows.

    Parameters
    ----------
    trainer : Trainer
        If the command line trained it, only the network is exported. The model expects rows of numbers as
        `fastbp.tables.inputs` returns them, and its metadata lists the table's columns.
    path : str or path, optional
        A file to write. A crash leaves the old file or the complete new one. If the weights exceed 2 GB, they go into a
        second file beside it, whose name ends in .data, and a crash can leave either file incomplete.
    output : {"predict", "logits", "log_softmax"}
        What the model returns: the values of predict, the last layer's z, or the logarithm of a softmax.
    input_name, output_name : str
        Names of the (n, n_1) input and the (n, n_L) output, which both have the trainer's dtype.

    Returns
    -------
    onnx.ModelProto
        Its initializers are layers.0.weight, layers.0.bias …, in PyTorch's orientation.
    """
    layered = has_layers(trainer)
    layers = [] if layered else layers_of(trainer, output, {*BOTH, *COMPOSED})
    tree = tree_of(trainer, output) if layered else None
    for argument, name in (("input_name", input_name), ("output_name", output_name)):
        if not isinstance(name, str) or not name or name.startswith("layers."):
            expected = "a name that doesn't start with 'layers.', as the weights' names do"
            raise ValueError(_checks.wrong(argument, expected, _checks.kind_shown(name, str)))
    if input_name == output_name:
        raise ValueError(_checks.wrong("output_name", "a name other than input_name", repr(output_name)))
    graph, value = Graph(trainer.dtype), input_name
    for layer in layers:
        graph.scope = layer.place
        value = graph.layer(layer, value)
    if tree is not None:
        value = network(graph, tree, value)
    graph.nodes[-1].output[0] = output_name
    ends = [
        helper.make_tensor_value_info(name, graph.kind, ["batch", n])
        for name, n in ((input_name, trainer.layer_sizes[0]), (output_name, trainer.layer_sizes[-1]))
    ]
    opsets = [helper.make_opsetid("", graph.opset)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "fastbp", ends[:1], ends[1:], graph.constants),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="fastbp",
    )
    helper.set_model_props(model, _metadata(trainer, output))
    if path is not None:
        write(model, path, trainer.network.n_parameters * trainer.dtype.itemsize)
    return model


class Graph:
    """A graph to which nodes and constants are added.

    Parameters
    ----------
    dtype : data type of all numbers
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.kind = helper.np_dtype_to_tensor_dtype(dtype)
        self.opset = OPSET
        self.scope = ""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, op: str, *inputs: str | float, **attributes: Any) -> str:
        """Add a node, whose inputs are names of values or numbers. Return the name of its value."""
        names = [name if isinstance(name, str) else self.constant(self.dtype.type(name)) for name in inputs]
        value = f"{self.scope}.{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [value], name=value, **attributes))
        return value

    def constant(self, value: Any, name: str | None = None) -> str:
        """Add an array to the model's initializers. Return its name."""
        name = name or f"{self.scope}.constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def layer(self, layer: DenseLayer, x: str) -> str:
        """Add the nodes that compute f(x Θᵀ + b). Return the name of its value."""
        parameters = [self.constant(layer.weight, f"{layer.place}.weight")]
        if layer.bias is not None:
            parameters.append(self.constant(layer.bias, f"{layer.place}.bias"))
        return self.activation(self.add("Gemm", x, *parameters, transB=1), layer.activation)

    def activation(self, z: str, name: str) -> str:
        """Add the nodes that compute f(z). Return the name of its value."""
        if name in BOTH:
            op, attributes = BOTH[name]
            return self.add(op, z, **attributes)
        if name in SINGLE and self.dtype == np.float32:
            op, attributes, opset = SINGLE[name]
            self.opset = max(self.opset, opset)
            return self.add(op, z, **attributes)
        return COMPOSED[name](self, z)


def _elu(graph: Graph, z: str) -> str:
    """Return max(z, 0) + e^min(z, 0) − 1."""
    return graph.add("Add", graph.add("Max", z, 0.0), graph.add("Sub", graph.add("Exp", graph.add("Min", z, 0.0)), 1.0))


def _selu(graph: Graph, z: str) -> str:
    """Return λ max(z, 0) + λ α (e^min(z, 0) − 1)."""
    below = graph.add("Sub", graph.add("Exp", graph.add("Min", z, 0.0)), 1.0)
    above = graph.add("Mul", graph.add("Max", z, 0.0), SELU_SCALE)
    return graph.add("Add", above, graph.add("Mul", below, SELU_SCALE * SELU_ALPHA))


def _gelu(graph: Graph, z: str) -> str:
    """Return ½ z (1 + erf(z/√2)). erf is computed in float32, because onnxruntime has no other."""
    single = graph.add("Cast", graph.add("Mul", z, math.sqrt(0.5)), to=TensorProto.FLOAT)
    erf = graph.add("Cast", graph.add("Erf", single), to=graph.kind)
    return graph.add("Mul", graph.add("Mul", z, 0.5), graph.add("Add", erf, 1.0))


def _gelu_tanh(graph: Graph, z: str) -> str:
    """Return z σ(2u), with u = √(2/π) (z + 0.044715 z³)."""
    square = graph.add("Mul", z, z)
    inner = graph.add("Mul", z, graph.add("Add", graph.add("Mul", square, GELU_CUBIC), 1.0))
    return graph.add("Mul", z, graph.add("Sigmoid", graph.add("Mul", inner, 2 * GELU_INNER)))


def _silu(graph: Graph, z: str) -> str:
    """Return z/(1 + e^−z). Older versions of onnxruntime fuse z σ(z) into an operator that lacks float64."""
    return graph.add("Div", z, graph.add("Add", graph.add("Exp", graph.add("Neg", z)), 1.0))


def _mish(graph: Graph, z: str) -> str:
    """Return z n/(n + 2), with n = eᶻ (eᶻ + 2)."""
    e = graph.add("Exp", graph.add("Min", z, MISH_END))
    n = graph.add("Mul", e, graph.add("Add", e, 2.0))
    return graph.add("Mul", z, graph.add("Div", n, graph.add("Add", n, 2.0)))


def _softplus(graph: Graph, z: str) -> str:
    """Return max(z, 0) + ln(1 + e^−|z|)."""
    e = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    return graph.add("Add", graph.add("Max", z, 0.0), graph.add("Log", graph.add("Add", e, 1.0)))


def _hard_tanh(graph: Graph, z: str) -> str:
    """Return min(max(z, −1), 1). onnxruntime can't load a Clip in float64 that follows a Relu."""
    if graph.dtype == np.float32:
        return graph.add("Clip", z, -1.0, 1.0)
    return graph.add("Min", graph.add("Max", z, -1.0), 1.0)


COMPOSED: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "leaky_relu": lambda graph, z: graph.add("Max", z, graph.add("Mul", z, LEAK)),
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "softsign": lambda graph, z: graph.add("Div", z, graph.add("Add", graph.add("Abs", z), 1.0)),
    "hard_sigmoid": lambda graph, z: graph.add("Clip", graph.add("Add", graph.add("Mul", z, 1 / 6), 0.5), 0.0, 1.0),
    "hard_tanh": _hard_tanh,
}


def _metadata(trainer: Trainer, output: str) -> dict[str, str]:
    """Return a description of the model as text."""
    about: dict[str, Any] = {
        "layer_sizes": trainer.layer_sizes,
        "activation": trainer.activation,
        "output_activation": trainer.output_activation,
        "loss": trainer.loss,
        "output": output,
    }
    if trainer._table is not None:
        about["table"] = trainer._table.record()
    return {f"fastbp.{name}": value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}


def write(model: Any, path: str | os.PathLike[str], n_bytes: int) -> None:
    """Write one file, or two if one can't hold the weights."""
    if n_bytes < LARGE:
        with replacing(path) as file:
            file.write(model.SerializeToString())
        return
    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # saving removes the weights from the model that it gets
    beside = f"{os.path.basename(path)}.data"
    onnx.save_model(copy, os.fspath(path), save_as_external_data=True, location=beside)
