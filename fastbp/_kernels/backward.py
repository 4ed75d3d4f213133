"""δᴸ → δ², and ∂J/∂Θˡ, ∂J/∂bˡ, for one block of m samples."""

from .activations import multiply_by_derivative
from .forward import layer, transposed_weights
from .jit import kernel


@kernel
def add_gradients(plan, buffers, l, m):
    """∂J/∂Θˡ += (δˡ⁺¹)ᵀ aˡ and ∂J/∂bˡ += Σ δˡ⁺¹; method.md, step 3."""
    a, delta = layer(buffers.a, plan, l, m, 0), layer(buffers.delta, plan, l + 1, m, 1)
    gradient = transposed_weights(buffers.gradients, plan, l)
    n_in, n_out = plan.sizes[l], plan.sizes[l + 1]
    bias = buffers.gradients[plan.biases[l] : plan.biases[l] + n_out]
    for s in range(m):
        for k in range(n_in):
            for j in range(n_out):
                gradient[k, j] += a[s, k] * delta[s, j]
        if plan.use_bias:
            for j in range(n_out):
                bias[j] += delta[s, j]


@kernel
def propagate(plan, buffers, l, m):
    """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ), l > 1; method.md, step 3."""
    a = layer(buffers.a, plan, l, m, 0)
    delta, delta_next = layer(buffers.delta, plan, l, m, 1), layer(buffers.delta, plan, l + 1, m, 1)
    theta = transposed_weights(buffers.parameters, plan, l)
    n_in, n_out = plan.sizes[l], plan.sizes[l + 1]
    for s in range(m):
        for k in range(n_in):
            total = delta_next[s, 0] * theta[k, 0]
            for j in range(1, n_out):
                total += delta_next[s, j] * theta[k, j]
            delta[s, k] = total
        multiply_by_derivative(delta[s, :n_in], a[s, :n_in], plan.activations[l])


@kernel
def backward(plan, buffers, m):
    """From δᴸ to the gradients of all layers, which are added to what is in buffers.gradients."""
    for l in range(plan.sizes.size - 2, -1, -1):
        add_gradients(plan, buffers, l, m)
        if l > 0:
            propagate(plan, buffers, l, m)
