"""The ONNX nodes of a network of layers, with operators that onnxruntime has in float32 and in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import layers as kinds
from ._pile import EPSILON
from ._tree import Node, Tree

Array = npt.NDArray[Any]

LAYER_NORM = 17  # the first opset with LayerNormalization


def network(graph: Any, tree: Tree, x: str) -> str:
    """Add the nodes of a network. Return the name of its value.

    Parameters
    ----------
    graph : `onnx.Graph`, with its methods ``add``, ``constant`` and ``activation``
    x : name of the input, (s, n_1)
    """
    count, inputs = tree.inputs.numbers, x
    graph.scope = "inputs"
    parts = []
    if count:
        x = columns(graph, inputs, 0, count) if tree.embeddings else inputs
        if tree.scaling is not None:
            mean, deviation = tree.scaling.mean[:count], tree.scaling.deviation[:count]
            x = graph.add("Div", graph.add("Sub", x, own(graph, mean)), own(graph, deviation))
        parts = [x] if tree.encoding is None else encoded(graph, tree.encoding, x, count)
    for i, table in enumerate(tree.embeddings):
        graph.scope = f"embedding{i + 1}"
        column = graph.add("Squeeze", columns(graph, inputs, count + i, count + i + 1), whole(graph, [1]))
        code = graph.add("Cast", column, to=7)  # INT64
        parts.append(graph.add("Gather", graph.constant(table, f"embedding{i + 1}.weight"), code, axis=0))
    graph.scope = "inputs"
    x = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    for node in tree.nodes:
        x = applied(graph, node, x)
    scaling = tree.scaling
    if scaling is not None and scaling.target_mean is not None and scaling.target_deviation is not None:
        graph.scope = "outputs"
        x = graph.add("Add", graph.add("Mul", x, own(graph, scaling.target_deviation)), own(graph, scaling.target_mean))
    return graph.add("Identity", x) if x == inputs else x


def own(graph: Any, value: Any, name: str | None = None) -> str:
    """Add a constant of the graph's data type."""
    return str(graph.constant(np.asarray(value, graph.dtype), name))


def whole(graph: Any, value: Any) -> str:
    """Add a constant of whole numbers."""
    return str(graph.constant(np.asarray(value, np.int64)))


def columns(graph: Any, x: str, start: int, stop: int) -> str:
    """Add a slice of columns."""
    bounds = (whole(graph, [number]) for number in (start, stop, 1))
    return str(graph.add("Slice", x, *bounds))


def encoded(graph: Any, node: Node, x: str, count: int) -> list[str]:
    """Add the nodes that encode numbers, (s, count). Return the names of what is then concatenated."""
    graph.scope = node.name
    n = len(next(iter(node.arrays.values())))
    numbers = x if n == count else columns(graph, x, 0, n)
    wide = graph.add("Unsqueeze", numbers, whole(graph, [2]))  # (s, n, 1)
    if isinstance(node.layer, kinds.PBLD):
        found = pbld(graph, node, wide)
    elif isinstance(node.layer, kinds.Periodic):
        angles = graph.add("Mul", wide, own(graph, 2 * math.pi * node.arrays["frequency"].astype(np.float64)))
        found = graph.add("Concat", *sines(graph, angles), axis=2)
    else:
        found = piecewise(graph, node.arrays["edges"].astype(np.float64), wide)
    flat = graph.add("Flatten", found, axis=1)
    return [flat] if n == count else [flat, columns(graph, x, n, count)]


def sines(graph: Any, angles: str) -> list[str]:
    """Add the sine and the cosine of angles."""
    return [graph.add("Sin", angles), graph.add("Cos", angles)]


def pbld(graph: Any, node: Node, x: str) -> str:
    """Add (x, W₂ cos(2π x w₁ + b₁) + b₂), (s, n, dim), for x of (s, n, 1)."""
    frequency = own(graph, 2 * math.pi * node.arrays["frequency"].astype(np.float64))
    angles = graph.add("Add", graph.add("Mul", x, frequency), own(graph, node.arrays["phase"], f"{node.name}.phase"))
    waves = graph.add("Unsqueeze", graph.add("Cos", angles), whole(graph, [2]))  # (s, n, 1, inner)
    weight = own(graph, np.swapaxes(node.arrays["weight"], 1, 2))  # (n, inner, k)
    values = graph.add("Squeeze", graph.add("MatMul", waves, weight), whole(graph, [2]))
    values = graph.add("Add", values, own(graph, node.arrays["bias"], f"{node.name}.bias"))
    return str(graph.add("Concat", x, values, axis=2))


def piecewise(graph: Any, edges: Array, x: str) -> str:
    """Add (x − e)/(e′ − e) of each bin, clipped to [0, 1] but for the open ends, (s, n, bins), for x of (s, n, 1)."""
    low, width = edges[:, :-1], np.diff(edges, axis=1)
    parts = graph.add("Div", graph.add("Sub", x, own(graph, low)), own(graph, width))
    lower, upper = np.zeros_like(low), np.ones_like(low)
    most = np.finfo(graph.dtype).max
    lower[:, 0], upper[:, -1] = -most, most
    return str(graph.add("Min", graph.add("Max", parts, own(graph, lower)), own(graph, upper)))


def applied(graph: Any, node: Node, x: str) -> str:
    """Add the nodes of a layer. Return the name of its value."""
    layer, arrays = node.layer, node.arrays
    graph.scope = node.name
    if isinstance(layer, kinds.Residual):
        y = x
        for inner in node.body:
            y = applied(graph, inner, y)
        graph.scope = node.name
        return str(graph.add("Add", x, y))
    if isinstance(layer, kinds.Dense):
        return dense(graph, node, x)
    if isinstance(layer, kinds.LayerNorm):
        return layer_norm(graph, node.name, arrays, layer.epsilon, x)
    if isinstance(layer, kinds.BatchNorm):
        return batch_norm(graph, arrays, layer.epsilon, x)
    if isinstance(layer, kinds.Scale):
        return str(graph.add("Mul", x, own(graph, arrays["scale"], f"{node.name}.scale")))
    if isinstance(layer, kinds.Dropout):
        return x
    return activated(graph, layer.name, arrays.get("alpha"), x)


def dense(graph: Any, node: Node, x: str) -> str:
    """Add an affine layer with its norm and its activation."""
    layer, arrays = node.layer, node.arrays
    names = [own(graph, arrays[part], f"{node.name}.{part}") for part in ("weight", "bias") if part in arrays]
    z = graph.add("Gemm", x, *names, transB=1)
    norm = {name[5:]: array for name, array in arrays.items() if name.startswith("norm.")}
    if layer.norm == "layer":
        z = layer_norm(graph, f"{node.name}.norm", norm, EPSILON, z)
    elif layer.norm == "batch":
        z = batch_norm(graph, norm, EPSILON, z)
    return activated(graph, layer.activation or "identity", arrays.get("alpha"), z)


def layer_norm(graph: Any, name: str, arrays: dict[str, Array], epsilon: float, x: str) -> str:
    """Add a layer norm."""
    graph.opset = max(graph.opset, LAYER_NORM)
    parameters = [own(graph, arrays[part], f"{name}.{part}") for part in ("gamma", "beta")]
    return str(graph.add("LayerNormalization", x, *parameters, axis=1, epsilon=epsilon))


def batch_norm(graph: Any, arrays: dict[str, Array], epsilon: float, x: str) -> str:
    """Add a batch norm with its running statistics, as one product and one sum."""
    gamma, beta, mean, variance = (arrays[part].astype(np.float64) for part in ("gamma", "beta", "mean", "variance"))
    factor = gamma / np.sqrt(variance + epsilon)
    return str(graph.add("Add", graph.add("Mul", x, own(graph, factor)), own(graph, beta - mean * factor)))


def activated(graph: Any, name: str, alpha: Array | None, z: str) -> str:
    """Add an activation, with α if there is one."""
    if name == "identity" and alpha is None:
        return z
    a = str(graph.activation(z, name))
    if alpha is None:
        return a
    return str(graph.add("Add", z, graph.add("Mul", own(graph, alpha), graph.add("Sub", a, z))))
