"""Predictions by onnxruntime, with an ONNX graph of Gemm and Sigmoid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .workloads import Predict, Workload, parameters


def predict(work: Workload, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with an InferenceSession."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    sizes = work.sizes
    nodes, constants, name = [], [], "a1"
    for l, (w, b) in enumerate(zip(*parameters(sizes, dtype), strict=True), 1):
        constants += [numpy_helper.from_array(w, f"w{l}"), numpy_helper.from_array(b, f"b{l}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{l}", f"b{l}"], [f"z{l + 1}"], transB=1))
        name = f"a{l + 1}"
        nodes.append(helper.make_node("Sigmoid", [f"z{l + 1}"], [name]))
    kind = TensorProto.DOUBLE if np.dtype(dtype) == np.float64 else TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(end, kind, ["n", n]) for end, n in (("a1", sizes[0]), (name, sizes[-1]))]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [name]
    return lambda X: session.run(names, {"a1": X})[0]
