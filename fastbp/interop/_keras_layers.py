"""Keras layers for the layers that Keras lacks. Import fastbp.interop.keras before you load a model with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

REGISTERED = keras.saving.register_keras_serializable(package="fastbp")


class Own(keras.layers.Layer):
    """A layer whose arguments are attributes of the same names."""

    arguments: tuple[str, ...] = ()

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = True, **arguments: Any) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        for argument in self.arguments:
            setattr(self, argument, arguments[argument])

    def compute_output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of what `call` returns, that of its input unless a layer says otherwise."""
        return tuple(shape)

    def weight(self, name: str, *shape: int, trainable: bool = True) -> Any:
        """Return a new variable, 0 at first."""
        return self.add_weight(shape=shape, initializer="zeros", name=name, trainable=trainable)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as JSON values."""
        return super().get_config() | {name: getattr(self, name) for name in self.arguments}


@REGISTERED
class PBLD(Own):
    """For each number x: x, and W₂ cos(2π x w₁ + b₁) + b₂, in columns beside each other."""

    arguments = ("dim", "n_frequencies")

    def build(self, shape: Sequence[Any]) -> None:
        n, inner, k = shape[-1], self.n_frequencies, self.dim - 1
        self.frequency, self.phase = self.weight("frequency", n, inner), self.weight("phase", n, inner)
        self.kernel, self.bias = self.weight("weight", n, k, inner), self.weight("bias", n, k)
        self.built = True

    def compute_output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of what `call` returns."""
        return shape[0], shape[-1] * self.dim

    def call(self, x: Any) -> Any:
        waves = ops.cos(2 * math.pi * x[:, :, None] * self.frequency + self.phase)
        values = ops.einsum("sni,nki->snk", waves, self.kernel) + self.bias
        return ops.reshape(ops.concatenate([x[:, :, None], values], axis=2), (-1, x.shape[1] * self.dim))


@REGISTERED
class Periodic(Own):
    """For each number x: sin 2πwx for all frequencies w, then cos 2πwx."""

    arguments = ("n_frequencies",)

    def build(self, shape: Sequence[Any]) -> None:
        self.frequency = self.weight("frequency", shape[-1], self.n_frequencies)
        self.built = True

    def compute_output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of what `call` returns."""
        return shape[0], shape[-1] * 2 * self.n_frequencies

    def call(self, x: Any) -> Any:
        angles = 2 * math.pi * x[:, :, None] * self.frequency
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=2)
        return ops.reshape(waves, (-1, x.shape[1] * 2 * self.n_frequencies))


@REGISTERED
class PiecewiseLinear(Own):
    """For each number x and each bin from e to e′: (x − e)/(e′ − e), clipped to [0, 1]; the end bins are open."""

    arguments = ("bins",)

    def build(self, shape: Sequence[Any]) -> None:
        self.edges = self.weight("edges", shape[-1], self.bins + 1, trainable=False)
        self.built = True

    def compute_output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of what `call` returns."""
        return shape[0], shape[-1] * self.bins

    def call(self, x: Any) -> Any:
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        parts = (x[:, :, None] - low) / (high - low)
        above = [1.0] * (self.bins - 1) + [math.inf]
        below = [-math.inf] + [0.0] * (self.bins - 1)
        upper, lower = (ops.convert_to_tensor(values, dtype=parts.dtype) for values in (above, below))
        return ops.reshape(ops.minimum(ops.maximum(parts, lower), upper), (-1, x.shape[1] * self.bins))


@REGISTERED
class Inputs(Own):
    """The columns of X: numbers, of which an encoding may take the first, and tables for the categories behind them.

    Parameters
    ----------
    numbers : number of columns with numbers
    tables : (categories, dimension) of each table
    n_encoded : how many numbers the encoding takes
    encoding : a layer, or None
    """

    arguments = ("numbers", "tables", "n_encoded")

    def __init__(self, *, encoding: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.encoding = encoding

    def build(self, shape: Sequence[Any]) -> None:
        self.embeddings = [self.weight(f"embedding{i + 1}", *table) for i, table in enumerate(self.tables)]
        if self.encoding is not None and not self.encoding.built:
            self.encoding.build((None, self.n_encoded))
        self.built = True

    def compute_output_shape(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of what `call` returns."""
        width = self.numbers + sum(dim for _, dim in self.tables)
        if self.encoding is not None:
            width += self.encoding.compute_output_shape((None, self.n_encoded))[1] - self.n_encoded
        return shape[0], width

    def call(self, x: Any) -> Any:
        numbers = x[:, : self.numbers]
        parts = [numbers]
        if self.encoding is not None:
            parts = [self.encoding(numbers[:, : self.n_encoded]), numbers[:, self.n_encoded :]]
        for i, table in enumerate(self.embeddings):
            parts.append(ops.take(table, ops.cast(x[:, self.numbers + i], "int32"), axis=0))
        return ops.concatenate(parts, axis=1)

    def get_config(self) -> dict[str, Any]:
        encoding = None if self.encoding is None else keras.saving.serialize_keras_object(self.encoding)
        return super().get_config() | {"encoding": encoding}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the layer that `get_config` described."""
        encoding = config.pop("encoding")
        if encoding is not None:
            encoding = keras.saving.deserialize_keras_object(encoding)
        return cls(encoding=encoding, **config)


@REGISTERED
class Scale(Own):
    """s ⊙ x."""

    def build(self, shape: Sequence[Any]) -> None:
        self.scale = self.weight("scale", shape[-1])
        self.built = True

    def call(self, x: Any) -> Any:
        return x * self.scale


@REGISTERED
class Parametric(Own):
    """x + α (f(x) − x) with a trained α for each unit."""

    def __init__(self, *, function: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.function = function

    def build(self, shape: Sequence[Any]) -> None:
        self.alpha = self.weight("alpha", shape[-1])
        self.built = True

    def call(self, x: Any) -> Any:
        return x + self.alpha * (self.function(x) - x)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the layer that `get_config` described."""
        function = keras.saving.deserialize_keras_object(config.pop("function"))
        return cls(function=function, **config)


@REGISTERED
class Residual(Own):
    """x + F(x), where the body applies the layers of F in turn.

    Parameters
    ----------
    body : keras.Sequential
    """

    def __init__(self, *, body: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.body = body

    def build(self, shape: Sequence[Any]) -> None:
        if not self.body.built:
            self.body.build((None, shape[-1]))
        self.built = True

    def call(self, x: Any, training: Any = None) -> Any:
        return x + self.body(x, training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"body": keras.saving.serialize_keras_object(self.body)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the layer that `get_config` described."""
        body = keras.saving.deserialize_keras_object(config.pop("body"))
        return cls(body=body, **config)
