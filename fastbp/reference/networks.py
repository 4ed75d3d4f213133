"""Networks of layers: J, its gradients by name, and the gradients with respect to X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .activations import through_activation
from .blocks import Array, Gradients, Layer, Parameters, Pass, forward
from .costs import Loss, cost, output_delta


@dataclass(frozen=True)
class Network:
    """A network: its layers, and the activation of its outputs, which is computed with the loss.

    The last of the layers has the activation "identity": it computes zᴸ.
    """

    layers: tuple[Layer, ...]
    output: str = "identity"
    loss: Loss = "squared_error"
    parameter: Any = None

    def gradients(
        self, p: Parameters, X: Array, y: Array, sample_weight: Array | None = None, how: Pass | None = None
    ) -> tuple[float, Gradients]:
        """Return J and ∂J/∂parameter by name. By default batch norms use the batch, and running statistics stay."""
        z, back = forward(self.layers, p, X, how or Pass(training=True))
        J = cost(z, y, self.output, self.loss, self.parameter, sample_weight)
        return J, back(output_delta(z, y, self.output, self.loss, self.parameter, sample_weight))[1]

    def input_gradients(self, p: Parameters, X: Array, y: Array, sample_weight: Array | None = None) -> Array:
        """Return ∂J/∂X, (m, n_1), as in prediction: without dropout, and with the running statistics."""
        z, back = forward(self.layers, p, X)
        return back(output_delta(z, y, self.output, self.loss, self.parameter, sample_weight))[0]

    def vjp(self, p: Parameters, X: Array, V: Array) -> Array:
        """Return Σ_j V_ij ∂aᴸ_ij/∂X_ik for each sample i, (m, n_1), as in prediction. V is (m, n_L)."""
        z, back = forward(self.layers, p, X)
        return back(through_activation(V, z, self.output))[0]

    def jacobian(self, p: Parameters, X: Array) -> Array:
        """Return ∂aᴸ_ij/∂X_ik for each sample i, (m, n_L, n_1), as in prediction."""
        n_outputs = forward(self.layers, p, X[:1])[0].shape[1]
        return np.stack([self.vjp(p, X, np.tile(one, (len(X), 1))) for one in np.eye(n_outputs)], axis=1)
