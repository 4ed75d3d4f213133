"""The formulas of the activations: f(z) and f′(z) of a vector at once, because they share most of the work.

At ±∞ each has its limit. Factors of z are kept within ±FAR, beyond which f′ is constant and f is 0 or z.
"""

from .bits import quotient
from .codes import (
    ELU,
    EXPONENTIAL,
    GELU,
    GELU_TANH,
    HARD_SIGMOID,
    HARD_TANH,
    LEAKY_RELU,
    MISH,
    RELU,
    SELU,
    SIGMOID,
    SILU,
    SOFTPLUS,
    SOFTSIGN,
    TANH,
)
from .constants import GELU_CUBIC, GELU_INNER, LEAK, MISH_END, SELU_ALPHA, SELU_SCALE
from .elementary import ONE, at_least, at_most, exp, exp_less_1_of_negative, normal, sigmoid, softplus_tail, tanh
from .jit import inlined
from .llvm import absolute, where_less

FAR = 1000.0


@inlined
def sigmoid_slope(a):
    """f′ of the sigmoid from a = f(z): a (1 − a)."""
    return a - a * a


@inlined
def tanh_slope(a):
    """f′ of tanh from a = f(z): 1 − a²."""
    return 1 - a * a


@inlined
def relu_slope(a):
    """f′ of ReLU from a = f(z): 1 where a > 0, else 0."""
    return where_less(0, a, 1, 0)


@inlined
def elu(z, scale, alpha):
    """Return z, or α (eᶻ − 1) below 0, times a scale, and f′; Clevert et al., 2015."""
    less_1 = exp_less_1_of_negative(at_most(z, 0))
    below = less_1 * (scale * alpha)
    return where_less(0, z, z * scale, below), where_less(0, z, scale, below + scale * alpha)


@inlined
def gelu(z):
    """z Φ(z)."""
    distribution, density = normal(z)
    return at_least(z, -FAR) * distribution, distribution + at_most(at_least(z, -FAR), FAR) * density


@inlined
def gelu_tanh(z):
    """½ z (1 + tanh u), u = √(2/π) (z + 0.044715 z³), which is z σ(2u)."""
    near = at_most(at_least(z, -FAR), FAR)
    square = near * near
    s = sigmoid(near * (square * GELU_CUBIC + 1) * (2 * GELU_INNER))
    inner = (square * (3 * GELU_CUBIC) + 1) * (2 * GELU_INNER)
    return at_least(z, -FAR) * s, s + near * (s - s * s) * inner


@inlined
def silu(z):
    """z σ(z)."""
    s = sigmoid(z)
    return at_least(z, -FAR) * s, s + at_most(at_least(z, -FAR), FAR) * (s - s * s)


@inlined
def mish(z):
    """z tanh(ln(1 + eᶻ)), which is z n/(n + 2) with n = eᶻ (eᶻ + 2); Misra, 2019."""
    e = exp(at_most(z, MISH_END))
    n = e * (e + 2)
    reciprocal = quotient(ONE(z), n + 2)  # one division and one eᶻ for both: half of the time
    t = n * reciprocal
    near = at_most(at_least(z, -FAR), FAR)
    return at_least(z, -FAR) * t, t + near * (e * (e + 1) * 4 * reciprocal * reciprocal)


@inlined
def softsign(z):
    """z/(1 + |z|)."""
    reciprocal = 1 / (absolute(z) + 1)
    a = where_less(0, z, 1 - reciprocal, reciprocal - 1)
    return where_less(absolute(z), 1, z * reciprocal, a), reciprocal * reciprocal


@inlined
def curve(z, activation):
    """Return f(z) and f′(z), which are z and 1 for the identity."""
    a, slope = z, where_less(z, 0, 1, 1)
    if activation == SIGMOID:
        a = sigmoid(z)
        slope = sigmoid_slope(a)
    elif activation == TANH:
        a = tanh(z)
        slope = tanh_slope(a)
    elif activation == RELU:
        a = at_least(z, 0)
        slope = relu_slope(a)
    elif activation == LEAKY_RELU:
        a, slope = where_less(0, z, z, z * LEAK), where_less(0, z, slope, LEAK)
    elif activation == ELU:
        a, slope = elu(z, 1.0, 1.0)
    elif activation == SELU:
        a, slope = elu(z, SELU_SCALE, SELU_ALPHA)
    elif activation == GELU:
        a, slope = gelu(z)
    elif activation == GELU_TANH:
        a, slope = gelu_tanh(z)
    elif activation == SILU:
        a, slope = silu(z)
    elif activation == MISH:
        a, slope = mish(z)
    elif activation == SOFTPLUS:
        a, slope = at_least(z, 0) + softplus_tail(z), sigmoid(z)
    elif activation == SOFTSIGN:
        a, slope = softsign(z)
    elif activation == HARD_SIGMOID:
        a = at_most(at_least((z + 3) / 6, 0), 1)
        slope = where_less(absolute(z), 3, slope / 6, 0)
    elif activation == HARD_TANH:
        a, slope = at_most(at_least(z, -1), 1), where_less(absolute(z), 1, slope, 0)
    elif activation == EXPONENTIAL:
        a = exp(z)
        slope = a
    return a, slope
