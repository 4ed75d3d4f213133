"""Derivatives of a plain network with respect to its inputs, by the kernels of networks of layers."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .engine import Engine
from .graph_engine import GraphEngine, GraphOptions
from .graph_layout import GraphLayout
from .layout import aligned_zeros
from .plan import of_sizes

Array = npt.NDArray[Any]


class Puller:
    """A GraphEngine with a copy of an engine's parameters, which each call renews.

    Parameters
    ----------
    engine : of a network without layers of other types
    """

    def __init__(self, engine: Engine) -> None:
        plan = of_sizes(engine.layout.sizes, engine.activations, (), engine.use_bias)
        layout = GraphLayout(plan, engine.parameters.itemsize)
        memory = aligned_zeros(layout.size, engine.parameters.dtype)
        pairs = zip(_views(layout, memory), _views(engine.layout, engine.parameters), strict=True)
        self._copies = list(pairs)
        self._engine = GraphEngine(layout, memory, engine.objective, GraphOptions())
        self._lock = Lock()  # another thread must not see a copy that is half new

    def pull(
        self, data: codes.Data, mode: int, vectors: Array | None = None, *, n_threads: int | str = "auto"
    ) -> Array | None:
        """Return the derivatives as `GraphEngine.pull` does, with the engine's current parameters."""
        with self._lock:
            for copy, view in self._copies:
                np.copyto(copy, view)
            return self._engine.pull(data, mode, vectors, n_threads=n_threads)


def _views(layout: Any, buffer: Array) -> list[Array]:
    """Return views of all weights and biases in a buffer."""
    return [*layout.weight_views(buffer), *layout.bias_views(buffer)]
