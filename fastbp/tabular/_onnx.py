"""One ONNX graph for a whole ensemble: from the raw columns to the predictions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from .._checks import wrong
from .._files.columns import Column
from ..interop import onnx as graphs
from ..interop._layers import layers_of
from ..interop._onnx_layers import network
from ..interop._tree import has_layers, tree_of
from ..trainer import Trainer
from ._blocks import BEND, Block, Codes, Fourier, Logs, Lookup, Missing, Pieces, Rank, Scaled
from ._constant import Constant
from ._fitted import Fitted
from ._linear_member import LinearMember
from ._members import Member
from ._networks import NetworkMember
from ._onnx_inputs import ML, Inputs
from ._targets import TargetTransform
from ._views import View

Array = npt.NDArray[Any]

TINY = float(np.finfo(np.float64).tiny)


def to_onnx(estimator: Any, path: str | os.PathLike[str] | None) -> Any:
    """Return a fitted estimator as an ONNX model, and write it to a file if a path is given.

    Raises
    ------
    TypeError, ValueError
        If the ensemble has estimators of scikit-learn, or no inputs.
    """
    fitted: Fitted = estimator._fitted
    if not fitted.columns:
        raise ValueError(wrong("estimator", "one with a column that is an input", "one that predicts a constant"))
    drawing = Drawing(fitted.columns)
    prediction = drawing.ensemble(fitted)
    is_class = fitted.n_classes is not None
    divisor = estimator.class_prior_ if is_class and fitted.objective.name == "balanced_accuracy" else None
    model = drawing.finished(prediction, estimator.classes_ if is_class else None, divisor, fitted.objective.metric)
    if path is not None:
        graphs.write(model, path, model.ByteSize())
    return model


def realmlp_to_onnx(estimator: Any, path: str | os.PathLike[str] | None) -> Any:
    """Return a fitted RealMLP estimator as an ONNX model, and write it to a file if a path is given."""
    drawing = Drawing(estimator.columns_)
    output = drawing.network(estimator.trainer_, drawing.view(estimator._features.view))
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        prediction = drawing.backward(output, estimator._transform)
    else:
        prediction = drawing.shares(output, len(classes))
    model = drawing.finished(prediction, classes, None, "rmse" if classes is None else estimator.metric)
    if path is not None:
        graphs.write(model, path, model.ByteSize())
    return model


def _free(name: str, taken: set[str]) -> str:
    """Return the name of an output that no input has."""
    while name in taken:
        name += "_"
    return name


class Inner(graphs.Graph):
    """A part of a graph for the layers of a network, whose constants have names that start with `place`."""

    def __init__(self, place: str, graph: graphs.Graph) -> None:
        super().__init__(graph.dtype)
        self.place, self.nodes, self.constants = place, graph.nodes, graph.constants

    def constant(self, value: Any, name: str | None = None) -> str:
        """Add an array to the model's initializers. Return its name."""
        name = name or f"{self.scope}.constant_{len(self.constants)}"
        return super().constant(value, f"{self.place}.{name}")


class Drawing:
    """A graph that computes the features of rows, and what the members predict. Equal features are computed once.

    Parameters
    ----------
    columns : what each raw column is

    Attributes
    ----------
    double, single : the same graph, for numbers of 64 and of 32 bits
    raw : the inputs
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.double, self.single = graphs.Graph(np.dtype(np.float64)), graphs.Graph(np.dtype(np.float32))
        self.single.nodes, self.single.constants = self.double.nodes, self.double.constants
        self.double.scope = self.single.scope = "fastbp"
        self.columns, self.raw = columns, Inputs(self.double, columns)
        self._known: dict[Any, str] = {}
        self._all = self.double.add("Concat", *self.raw.numbers, axis=1) if self.raw.numbers else ""

    def finished(self, prediction: str, classes: Array | None, divisor: Array | None, metric: str) -> Any:
        """Return the model of predictions: probabilities of classes, (n, k), or numbers, (n, 1).

        divisor: of probabilities before the decision, or None.
        """
        taken = {column.name for column in self.columns}
        names = [_free(name, taken) for name in (("prediction",) if classes is None else ("label", "probabilities"))]
        if classes is not None:
            label, kind = self.label(prediction, classes, divisor)
            ends = [helper.make_tensor_value_info(names[0], kind, ["batch"])]
            ends.append(helper.make_tensor_value_info(names[1], TensorProto.DOUBLE, ["batch", len(classes)]))
            results = [label, prediction]
        else:
            results = [self.double.add("Reshape", prediction, self.whole([-1]))]
            ends = [helper.make_tensor_value_info(names[0], TensorProto.DOUBLE, ["batch"])]
        for value, name in zip(results, names, strict=True):
            self.double.nodes.append(helper.make_node("Identity", [value], [name], name=f"fastbp.end.{name}"))
        model = self.model(ends)
        about = {"columns": [column.name for column in self.columns], "metric": metric}
        helper.set_model_props(model, {f"fastbp.{name}": json.dumps(value) for name, value in about.items()})
        return model

    def model(self, outputs: list[Any]) -> Any:
        """Return the model."""
        opsets = [helper.make_opsetid("", max(self.double.opset, self.single.opset)), helper.make_opsetid(ML, 2)]
        graph = helper.make_graph(self.double.nodes, "fastbp", self.raw.inputs, outputs, self.double.constants)
        version = helper.find_min_ir_version_for(opsets[:1])
        return helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="fastbp")

    def whole(self, values: Sequence[int]) -> str:
        """Return a constant of integers."""
        return self.double.constant(np.array(values, np.int64))

    # Features

    def view(self, view: View) -> str:
        """Return the features of a view, (n, width) of float32."""
        key = tuple(map(_key, view.blocks))
        if key not in self._known:
            self._known[key] = self.single.add("Concat", *map(self._block, view.blocks), axis=1)
        return self._known[key]

    def _block(self, block: Block) -> str:
        """Return the features of a block, (n, width) of float32."""
        key = _key(block)
        if key not in self._known:
            self._known[key] = BLOCKS[type(block)](self, block)
        return self._known[key]

    def _cast(self, value: str) -> str:
        return self.double.add("Cast", value, to=TensorProto.FLOAT)

    def _without_nan(self, value: str, test: str) -> str:
        """Return 0 where `test` is NaN, as float32."""
        return self._cast(self.double.add("Where", self.double.add("IsNaN", test), 0.0, value))

    def _selected(self, columns: Array) -> str:
        """Return some of the numbers, (n, w)."""
        return self.double.add("Gather", self._all, self.double.constant(np.asarray(columns, np.int64)), axis=1)

    def _clipped(self, z: str) -> str:
        add = self.double.add
        ratio = add("Div", z, BEND)
        return add("Div", z, add("Sqrt", add("Add", add("Mul", ratio, ratio), 1.0)))

    def _scaled(self, block: Scaled) -> str:
        constant = self.double.constant
        shifted = self.double.add("Sub", self._selected(block.columns), constant(block.centers))
        z = self._clipped(self.double.add("Mul", shifted, constant(block.factors)))
        return self._without_nan(z, z)

    def _logs(self, block: Logs) -> str:
        add, constant = self.double.add, self.double.constant
        x = self._selected(block.columns)
        size = add("Add", add("Div", add("Abs", x), constant(block.units)), 1.0)
        shifted = add("Sub", add("Mul", add("Sign", x), add("Log", size)), constant(block.centers))
        z = add("Mul", shifted, constant(block.factors))
        z = add("Mul", self._clipped(add("Div", z, 2.0)), 2.0)
        return self._without_nan(z, z)

    def _missing(self, block: Missing) -> str:
        return self._cast(self.double.add("IsNaN", self._selected(block.columns)))

    def _shares(self, x: str, knots: Array) -> str:
        """Return how far x, (n, 1), is inside of each interval between knots, from 0 to 1."""
        add, constant = self.double.add, self.double.constant
        inside = add("Div", add("Sub", x, constant(knots[:-1])), constant(np.diff(knots)))
        return add("Clip", inside, 0.0, 1.0)

    def _interpolated(self, x: str, knots: Array, values: Array) -> str:
        """Return the values at x, (n, 1), linear between the knots."""
        if len(knots) == 1:
            return self.double.add("Add", self.double.add("Mul", x, 0.0), float(values[0]))
        rises = self.double.constant(np.diff(values)[:, None])
        return self.double.add("Add", self.double.add("MatMul", self._shares(x, knots), rises), float(values[0]))

    def _rank(self, block: Rank) -> str:
        x = self.raw.numbers[block.column]
        return self._without_nan(self._interpolated(x, block.knots, block.scores), x)

    def _pieces(self, block: Pieces) -> str:
        x = self.raw.numbers[block.column]
        return self._without_nan(self._shares(x, block.knots), x)

    def _fourier(self, block: Fourier) -> str:
        add, constant = self.single.add, self.single.constant
        w, b = (2 * np.pi * block.frequencies).astype(np.float32), block.phases.astype(np.float32)
        z = add("Reshape", self._block(block.scaled), self.whole([-1, block.scaled.width, 1]))
        waves = add("Cos", add("Add", add("Mul", z, constant(w)), constant(b)))
        return add("Reshape", waves, self.whole([-1, block.width]))

    def _codes(self, block: Codes) -> str:
        add, last = self.double.add, self.whole([block.count - 1])
        return self._cast(add("Reshape", add("Min", self.raw.places[block.column], last), self.whole([-1, 1])))

    def _lookup(self, block: Lookup) -> str:
        values = self.single.constant(block.values.astype(np.float32))
        return self.single.add("Gather", values, self.raw.places[block.column], axis=0)

    # Members and the ensemble

    def ensemble(self, fitted: Fitted) -> str:
        """Return the predictions, (n, k) or (n, 1)."""
        add = self.double.add
        parts = [
            add("Mul", self._member(member), float(weight))
            for member, weight in zip(fitted.members, fitted.weights, strict=True)
        ]
        mean = add("Sum", *parts)
        if fitted.n_classes is None:
            line = fitted.line
            on_line = add("Add", add("Mul", mean, float(line.slope)), float(line.shift))
            return add("Clip", on_line, float(line.low), float(line.high))
        if fitted.temperature != 1:
            logits = add("Div", add("Log", add("Max", mean, TINY)), float(fitted.temperature))
            return add("Softmax", logits, axis=1)
        return self.shares(mean, fitted.n_classes)

    def shares(self, values: str, n_classes: int) -> str:
        """Return values, (n, k), divided by their sum."""
        ones = self.double.constant(np.ones((n_classes, 1)))
        return self.double.add("Div", values, self.double.add("MatMul", values, ones))

    def label(self, probabilities: str, classes: Array, divisor: Array | None) -> tuple[str, int]:
        """Return the names of the predicted classes, and their type; divisor: of probabilities before the decision."""
        add = self.double.add
        if divisor is not None:
            factors = np.divide(1, divisor, out=np.zeros_like(divisor), where=divisor > 0)
            probabilities = add("Mul", probabilities, self.double.constant(factors))
        numbers = add("ArgMax", probabilities, axis=1, keepdims=0)
        values = classes.tolist()
        kinds = {bool: (TensorProto.BOOL, bool), int: (TensorProto.INT64, np.int64), float: (TensorProto.DOUBLE, float)}
        kind, dtype = kinds.get(type(values[0]), (TensorProto.STRING, None))
        name = "fastbp.classes"
        if dtype is None:
            tensor = helper.make_tensor(name, kind, [len(values)], [str(value).encode() for value in values])
        else:
            tensor = helper.make_tensor(name, kind, [len(values)], np.array(values, dtype).tolist())
        self.double.constants.append(tensor)
        return add("Gather", name, numbers, axis=0), kind

    def _member(self, member: Member) -> str:
        """Return the mean prediction of the folds' models, (n, k) or (n, 1), as float64."""
        if isinstance(member, Constant):
            return self._constant(member)
        if isinstance(member, NetworkMember):
            parts = self._networks(member)
        elif isinstance(member, LinearMember):
            parts = self._linear(member)
        else:
            advice = "ONNX has no operator for it; fit without estimators="
            raise TypeError(f"the ensemble contains {member.name!r} of estimators=; {advice}")
        return self.double.add("Div", self.double.add("Sum", *parts), float(len(parts)))

    def _constant(self, member: Constant) -> str:
        add = self.double.add
        first = self.raw.numbers[0] if self.raw.numbers else self.raw.places[0]
        rows = add("Gather", add("Shape", first), self.whole([0]), axis=0)
        value = np.atleast_1d(member.value)[None]
        shape = add("Concat", rows, self.whole([value.shape[1]]), axis=0)
        return add("Expand", self.double.constant(value), shape)

    def _networks(self, member: NetworkMember) -> list[str]:
        X, architecture = self.view(member.view), member.architecture
        trainer, found = architecture.trainer(0, 1), []
        for parameters in member.parameters:
            trainer.network.unpack(parameters)
            found.append(self.backward(self.network(trainer, X), architecture.transform))
        return found

    def network(self, trainer: Trainer, X: str) -> str:
        """Return the output of a network for features, as float64."""
        value, place = X, f"fastbp.network_{len(self.double.nodes)}"
        if has_layers(trainer):
            inner = Inner(place, self.single)
            value = network(inner, tree_of(trainer), X)
            self.single.opset = max(self.single.opset, inner.opset)
        else:
            for layer in layers_of(trainer, "predict", {*graphs.BOTH, *graphs.COMPOSED}):
                value = self.single.layer(replace(layer, place=f"{place}.{layer.place}"), value)
        self.single.scope = "fastbp"
        return self.single.add("Cast", value, to=TensorProto.DOUBLE)

    def _linear(self, member: LinearMember) -> list[str]:
        X, add, found = self.view(member.view), self.double.add, []
        for coefficients, intercepts in zip(member.fit.fold_coefficients, member.fit.fold_intercepts, strict=True):
            product = self.single.add("MatMul", X, self.single.constant(coefficients.astype(np.float32)))
            z = add("Add", add("Cast", product, to=TensorProto.DOUBLE), self.double.constant(intercepts))
            if member.objective.classes:
                z = add("Concat", add("Mul", z, 0.0), z, axis=1) if len(intercepts) == 1 else z
                z = add("Softmax", z, axis=1)
            elif member.objective.name == "poisson":
                z = add("Exp", z)
            found.append(self.backward(z, member.transform))
        return found

    def backward(self, z: str, transform: TargetTransform | None) -> str:
        """Return predictions in the units of the target."""
        if transform is None:
            return z
        add = self.double.add
        z = add("Add", add("Mul", z, transform.scale), transform.center)
        if transform.kind == "log":
            low, high = transform._raw(np.array([transform.low, transform.high])).tolist()
            z = add("Sub", add("Exp", add("Clip", z, low, high)), transform.offset)
        elif transform.kind == "quantile":
            z = self._interpolated(z, transform.scores, transform.values)
        return add("Clip", z, transform.low, transform.high)


BLOCKS: dict[type[Any], Callable[[Drawing, Any], str]] = {
    Scaled: Drawing._scaled,
    Logs: Drawing._logs,
    Rank: Drawing._rank,
    Pieces: Drawing._pieces,
    Fourier: Drawing._fourier,
    Missing: Drawing._missing,
    Lookup: Drawing._lookup,
    Codes: Drawing._codes,
}


def _key(block: Any) -> Any:
    """Return what equal blocks have in common."""
    return type(block), *map(_hashable, astuple(block))


def _hashable(value: Any) -> Any:
    """Return bytes in place of arrays."""
    if isinstance(value, tuple):  # the fields of a block inside of a block
        return tuple(map(_hashable, value))
    return value.tobytes() if isinstance(value, np.ndarray) else value
