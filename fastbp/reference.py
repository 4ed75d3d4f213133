"""Reference implementation of the method in plain NumPy. The tests compare every kernel with it.

It is slow and simple on purpose, and imports no other module of fastbp. Symbols (docs/method.md): X = a¹ is (m, n_1),
zˡ and aˡ are (m, n_l), Θˡ is (n_{l+1}, n_l), bˡ is (n_{l+1},), y is (m, n_L), δˡ = ∂J/∂zˡ is (m, n_l). Lists start at
the first layer that has the item: ``weights[0]`` is Θ¹, ``activations[0]`` is the name of the f of layer 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Loss = str | Callable[[float, float], tuple[float, float]]  # a name, or a function (a, y) → (ℓ, ∂ℓ/∂a) of one output

SLOPE = 0.01  # slope of leaky_relu where z < 0
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017
GELU_LINEAR, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715  # Hendrycks and Gimpel, 2016


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ), without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def softplus(z: Array) -> Array:
    """Return log(1 + e^z), without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """Return e^z / Σ e^z, summed over the units of each sample."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normal_cdf(z: Array) -> Array:
    """Return Φ(z), the cumulative distribution function of the standard normal distribution."""
    return np.vectorize(math.erfc, otypes=[float])(-z / math.sqrt(2)) / 2


def normal_pdf(z: Array) -> Array:
    """Return Φ′(z), the density of the standard normal distribution."""
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(z: Array) -> tuple[Array, Array]:
    """Return tanh u, with which gelu_tanh approximates 2Φ(z) − 1, and u′; u = √(2/π) (z + 0.044715 z³)."""
    u = GELU_LINEAR * (z + GELU_CUBIC * z**3)
    return np.tanh(u), GELU_LINEAR * (1 + 3 * GELU_CUBIC * z**2)


def gelu_tanh_derivative(z: Array) -> Array:
    """Return f′(z) of gelu_tanh."""
    t, u_prime = gelu_tanh(z)
    return (1 + t) / 2 + z / 2 * (1 - t**2) * u_prime


def mish_derivative(z: Array) -> Array:
    """Return f′(z) of mish (Misra, 2019)."""
    t = np.tanh(softplus(z))
    return t + z * (1 - t**2) * sigmoid(z)


FORMULAS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {  # f and f′, elementwise
    "identity": (np.copy, np.ones_like),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, SLOPE * z), lambda z: np.where(z > 0, 1.0, SLOPE)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "gelu_tanh": (lambda z: z / 2 * (1 + gelu_tanh(z)[0]), gelu_tanh_derivative),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "mish": (lambda z: z * np.tanh(softplus(z)), mish_derivative),
    "softplus": (softplus, sigmoid),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
    "hard_sigmoid": (lambda z: np.clip(z + 3, 0, 6) / 6, lambda z: np.where(np.abs(z) < 3, 1 / 6, 0.0)),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1.0, 0.0)),
    "exponential": (np.exp, np.exp),
}


def activation(z: Array, name: str) -> Array:
    """Return f(z) for z of shape (m, n)."""
    if name == "softmax":
        return softmax(z)
    if name not in FORMULAS:
        raise ValueError(f"activation: no formula for {name!r}")
    return FORMULAS[name][0](z)


def through_activation(gradient: Array, z: Array, name: str) -> Array:
    """Return ∂J/∂z, given ∂J/∂a, both (m, n): elementwise times f′(z), or times the Jacobian of softmax."""
    if name == "softmax":
        a = softmax(z)
        return a * (gradient - (gradient * a).sum(axis=1, keepdims=True))
    return gradient * FORMULAS[name][1](z)


def forward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    masks: Sequence[Array | None] | None = None,
) -> tuple[list[Array], list[Array]]:
    """Step 1: zˡ⁺¹ = aˡ Θˡᵀ + bˡ and aˡ⁺¹ = f(zˡ⁺¹) ⊙ mask. Return [z², …, zᴸ] and [a¹, …, aᴸ]."""
    z, a = [], [X]
    for theta, b, name, mask in zip(weights, biases, activations, _all_masks(masks, len(weights)), strict=True):
        z.append(a[-1] @ theta.T + b)
        a.append(activation(z[-1], name) if mask is None else activation(z[-1], name) * mask)
    return z, a


def _all_masks(masks: Sequence[Array | None] | None, n: int) -> list[Array | None]:
    """Return one mask or None for each of the n layers 2 … L. The last layer has no mask."""
    return [None] * n if masks is None else [*masks, None]


def output_losses(a: Array, y: Array, loss: Loss, parameter: Any = None) -> tuple[Array, Array]:
    """Return ℓ and ∂ℓ/∂a of every output, both (m, n_L).

    The parameter is delta of huber (default 1), or the quantiles q of the outputs, (n_L,) (default 0.5).
    """
    e = a - y
    if callable(loss):
        pairs = [loss(float(a_i), float(y_i)) for a_i, y_i in zip(a.flat, y.flat, strict=True)]
        values, slopes = np.array(pairs).T
        return values.reshape(a.shape), slopes.reshape(a.shape)
    if loss == "squared_error":
        return e**2 / 2, e
    if loss == "absolute_error":
        return np.abs(e), np.sign(e)
    if loss == "huber":
        delta = 1.0 if parameter is None else parameter
        return np.where(np.abs(e) <= delta, e**2 / 2, delta * (np.abs(e) - delta / 2)), np.clip(e, -delta, delta)
    if loss == "quantile":
        q = 0.5 if parameter is None else np.asarray(parameter)
        return np.where(e < 0, -q * e, (1 - q) * e), np.where(e < 0, -q, np.where(e > 0, 1 - q, 0.0))
    if loss == "hinge":
        return np.maximum(0, 1 - y * a), np.where(y * a < 1, -y, 0.0)
    raise ValueError(f"loss: no formula for {loss!r}")


def losses(z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None) -> tuple[Array, Array]:
    """Return ℓ and ∂ℓ/∂z of every output, both (m, n_L), given zᴸ and y.

    Some losses are computed from zᴸ, because aᴸ could overflow, or the logarithm of 0 could be needed.
    """
    if loss == "cross_entropy":
        shifted = z - z.max(axis=1, keepdims=True)
        return y * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted), softmax(z) - y
    if loss == "binary_cross_entropy":
        return softplus(z) - z * y, sigmoid(z) - y
    if loss == "poisson":
        return np.exp(z) - y * z, np.exp(z) - y
    values, slopes = output_losses(activation(z, activation_name), y, loss, parameter)
    return values, through_activation(slopes, z, activation_name)


def shares(m: int, sample_weight: Array | None = None) -> Array:
    """Return w / Σ w of each sample, (m, 1): 1/m without weights, 0 if all weights are 0."""
    w = np.ones(m) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return (w / (w.sum() or 1))[:, None]


def cost(
    z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None, sample_weight: Array | None = None
) -> float:
    """Return J = Σ_samples w Σ_outputs ℓ / Σ_samples w, given zᴸ and y, both (m, n_L)."""
    values, _ = losses(z, y, activation_name, loss, parameter)
    return float((shares(len(y), sample_weight) * values).sum())


def output_delta(
    z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None, sample_weight: Array | None = None
) -> Array:
    """Step 2: δᴸ = ∂J/∂zᴸ. For the squared error the article writes y − aᴸ; the descent needs aᴸ − y."""
    _, slopes = losses(z, y, activation_name, loss, parameter)
    return shares(len(y), sample_weight) * slopes


def hidden_delta(delta_next: Array, theta: Array, z: Array, activation_name: str, mask: Array | None = None) -> Array:
    """Step 3: δˡ = (δˡ⁺¹ Θˡ) ⊙ mask ⊙ f′(zˡ)."""
    gradient = delta_next @ theta
    return through_activation(gradient if mask is None else gradient * mask, z, activation_name)


def gradients(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    loss: Loss = "squared_error",
    *,
    parameter: Any = None,
    sample_weight: Array | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    masks: Sequence[Array | None] | None = None,
) -> tuple[float, list[Array], list[Array]]:
    """Steps 1 to 3 for one mini-batch: J, [∂J/∂Θ¹, …] and [∂J/∂b¹, …].

    J includes the penalty ½ l2 Σ θ² + l1 Σ |θ| over the weights, not over the biases. The loss and its parameter are as
    in `output_losses`. sample_weight is (m,). masks has the dropout mask, (m, n_l), or None for each hidden layer.
    """
    z, a = forward(weights, biases, activations, X, masks)
    delta = output_delta(z[-1], y, activations[-1], loss, parameter, sample_weight)
    masks = _all_masks(masks, len(weights))
    weight_gradients: list[Array] = []
    bias_gradients: list[Array] = []
    for l in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ a[l] + l2 * weights[l] + l1 * np.sign(weights[l]))
        bias_gradients.insert(0, delta.sum(axis=0))
        if l > 0:
            delta = hidden_delta(delta, weights[l], z[l - 1], activations[l - 1], masks[l - 1])
    J = cost(z[-1], y, activations[-1], loss, parameter, sample_weight)
    J += sum(float(l2 / 2 * (theta**2).sum() + l1 * np.abs(theta).sum()) for theta in weights)
    return J, weight_gradients, bias_gradients


def clip(gradients: Sequence[Array], by_value: float | None = None, by_norm: float | None = None) -> None:
    """Clip the gradient of a batch in place: each component to ±by_value, then the norm of all to by_norm."""
    if by_value is not None:
        for gradient in gradients:
            np.clip(gradient, -by_value, by_value, out=gradient)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    if by_norm is not None and norm > by_norm:
        for gradient in gradients:
            np.multiply(gradient, by_norm / norm, out=gradient)


def limit_norms(weights: Sequence[Array], max_norm: float) -> None:
    """Scale the incoming weights of a unit, a row of Θˡ, in place to the norm max_norm if their norm is larger."""
    for theta in weights:
        norms = np.sqrt((theta**2).sum(axis=1, keepdims=True))
        np.multiply(theta, np.where(norms > max_norm, max_norm / np.maximum(norms, max_norm), 1), out=theta)


def dropout_mask(rate: float, seed: int, batch: int, layer: int, m: int, n: int) -> Array:
    """Return the dropout mask of a layer, (m, n): 0 for dropped units, 1/(1 − rate) for the others.

    A hash of the number of each unit and sample decides which units are dropped. Its key depends on the seed, the batch
    (from 0, over all epochs) and the layer (numbered as in the method). The key is computed with the last steps of
    SplitMix64 (Steele, Lea, Flood, 2014), the hash is the 32-bit "lowbias32" (Wellons, 2018,
    https://nullprogram.com/blog/2018/07/31/).
    """
    key = (seed + batch * 0x9E3779B97F4A7C15 + layer * 0xD1B54A32D192ED03) % 2**64
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
    key ^= key >> 31
    x = np.arange(m * n, dtype=np.uint64).reshape(m, n).astype(np.uint32)
    x = x * np.uint32(0x9E3779B9) ^ np.uint32(key % 2**32)
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    x = x ^ x >> np.uint32(16) ^ np.uint32(key >> 32)
    dropped = x >> np.uint32(8) < round(rate * 2**24)
    return np.where(dropped, 0.0, 1 / (1 - rate))


def _dropout_masks(
    rates: Sequence[float] | None, seed: int, batch: int, m: int, weights: Sequence[Array]
) -> list[Array | None] | None:
    """Return the dropout mask of each hidden layer for a batch of m samples, None for a layer without dropout."""
    if not rates:
        return None
    sizes = [len(theta) for theta in weights[:-1]]  # n_2 … n_{L−1}
    pairs = zip(rates, sizes, strict=True)
    return [dropout_mask(rate, seed, batch, l, m, n) if rate else None for l, (rate, n) in enumerate(pairs, start=2)]


def update(
    parameters: Sequence[Array],
    gradients: Sequence[Array],
    learning_rate: float,
    optimizer: str = "sgd",
    state: MutableMapping[str, Any] | None = None,
    *,
    momentum: float = 0.9,
    rho: float = 0.9,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Step 4, in place, after all gradients are computed: Θˡ ← Θˡ − η ∂J/∂Θˡ, or the rule of another optimizer.

    The rules are those of torch.optim: ε is outside the square root, and the momentum has no dampening. The state is a
    dict that is empty at first. It keeps the moments m and v, with the shapes of the parameters, and the number t of
    updates.
    """
    state = {} if state is None else state
    t = state["t"] = state.get("t", 0) + 1
    moments_1 = state.setdefault("m", [np.zeros_like(theta) for theta in parameters])
    moments_2 = state.setdefault("v", [np.zeros_like(theta) for theta in parameters])
    for theta, g, m, v in zip(parameters, gradients, moments_1, moments_2, strict=True):
        if optimizer == "sgd":
            step = g
        elif optimizer == "momentum":
            m[...] = momentum * m + g
            step = m
        elif optimizer == "nesterov":
            m[...] = momentum * m + g
            step = g + momentum * m
        elif optimizer == "rmsprop":
            v[...] = rho * v + (1 - rho) * g**2
            step = g / (np.sqrt(v) + epsilon)
        elif optimizer == "adagrad":
            v[...] = v + g**2
            step = g / (np.sqrt(v) + epsilon)
        elif optimizer == "adam":
            m[...] = beta_1 * m + (1 - beta_1) * g
            v[...] = beta_2 * v + (1 - beta_2) * g**2
            step = m / (1 - beta_1**t) / (np.sqrt(v) / math.sqrt(1 - beta_2**t) + epsilon)
        else:
            raise ValueError(f"optimizer: no formula for {optimizer!r}")
        np.subtract(theta, learning_rate * step, out=theta)


def train_epoch(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    *,
    loss: Loss = "squared_error",
    learning_rate: float | Sequence[float] = 0.1,
    batch_size: int = 32,
    use_bias: bool = True,
    parameter: Any = None,
    sample_weight: Array | None = None,
    optimizer: str = "sgd",
    state: MutableMapping[str, Any] | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    max_norm: float | None = None,
    weight_decay: float = 0.0,
    dropout: Sequence[float] | None = None,
    seed: int = 0,
    **hyperparameters: float,
) -> float:
    """Train one epoch in place, in the given order. Return the mean over the samples of the J of their batches.

    Parameters
    ----------
    weights, biases, activations, X, y, loss : as in `gradients`
    learning_rate : η, or the η of each batch
    batch_size : m; the last batch may be shorter
    use_bias : whether the biases are trained
    parameter : as in `gradients`
    sample_weight : (n,); also weights the returned mean
    optimizer : as in `update`
    state : as in `update`, to be passed from epoch to epoch; its t also counts the batches for the dropout
    l1, l2 : as in `gradients`
    clip_value, clip_norm : as in `clip`
    max_norm : as in `limit_norms`
    weight_decay : decoupled, before the optimizer's update: Θ ← Θ − η · weight_decay · Θ, not for biases
    dropout, seed : the rate of each hidden layer, and the seed as in `dropout_mask`
    hyperparameters : as in `update`
    """
    state = {} if state is None else state
    w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    starts = range(0, len(X), batch_size)
    total = 0.0
    for start, eta in zip(starts, np.broadcast_to(learning_rate, len(starts)), strict=True):
        batch = slice(start, start + batch_size)
        x, t, v = X[batch], y[batch], w[batch]
        masks = _dropout_masks(dropout, seed, state.get("t", 0), len(x), weights)
        J, dW, db = gradients(
            weights, biases, activations, x, t, loss, parameter=parameter, sample_weight=v, l1=l1, l2=l2, masks=masks
        )
        trained, gradient = ([*weights, *biases], [*dW, *db]) if use_bias else (list(weights), dW)
        clip(gradient, clip_value, clip_norm)
        for theta in weights:
            np.subtract(theta, eta * weight_decay * theta, out=theta)
        update(trained, gradient, eta, optimizer, state, **hyperparameters)
        if max_norm is not None:
            limit_norms(weights, max_norm)
        total += J * v.sum()
    return float(total / w.sum())
