"""a¹ → zᴸ for one block of m samples."""

from .activations import activate
from .jit import kernel


@kernel
def layer(values, plan, l, m, first):
    """View layer l, (m, p_l), in a workspace whose first layer is `first` (a: 0, delta: 1)."""
    start = plan.columns[l] - plan.columns[first]
    return values[m * start : m * (start + plan.widths[l])].reshape(m, plan.widths[l])


@kernel
def transposed_weights(values, plan, l):
    """View Θˡ as it is stored, (n_l, p_{l+1}), in parameters or gradients."""
    rows, width = plan.sizes[l], plan.widths[l + 1]
    return values[plan.weights[l] : plan.weights[l] + rows * width].reshape(rows, width)


@kernel
def forward(plan, buffers, m):
    """Fill a from its first layer on: aˡ⁺¹ = f(aˡ Θˡᵀ + bˡ); the last layer is left as zᴸ. method.md, step 1."""
    last = plan.sizes.size - 1
    for l in range(last):
        a, z = layer(buffers.a, plan, l, m, 0), layer(buffers.a, plan, l + 1, m, 0)
        theta = transposed_weights(buffers.parameters, plan, l)
        n_in, n_out = plan.sizes[l], plan.sizes[l + 1]
        bias = buffers.parameters[plan.biases[l] : plan.biases[l] + n_out]
        for s in range(m):
            row = z[s, :n_out]
            row[:] = bias
            for k in range(n_in):
                for j in range(n_out):
                    row[j] += a[s, k] * theta[k, j]
            if l + 1 < last:
                activate(row, plan.activations[l + 1])
