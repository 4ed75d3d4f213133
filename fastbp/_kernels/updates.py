"""One optimizer step over a range of the buffer."""

from .jit import kernel


@kernel
def update(parameters, gradients, learning_rate):
    """Θ ← Θ − η ∂J/∂Θ over two slices of the same range; method.md, step 4."""
    eta = parameters.dtype.type(learning_rate)
    for i in range(parameters.size):
        parameters[i] -= eta * gradients[i]
