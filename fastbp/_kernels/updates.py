"""One optimizer step over a range of the buffer."""

from .jit import inner
from .llvm import at, fma, lanes, load, store


@inner
def update(parameters, gradients, start, length, eta):
    """Θ ← Θ − η ∂J/∂Θ over whole vectors from start on; method.md, step 4."""
    theta, gradient = at(parameters, start), at(gradients, start)
    for i in range(0, length, lanes(parameters, 1)):
        store(theta, i, fma(-eta, load(gradient, i, 1), load(theta, i, 1)))
