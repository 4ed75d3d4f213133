"""Negative log-likelihoods of vectors of outputs, and their derivatives.

`tail` and `digamma_tail` are what Stirling's formulas for log Γ and ψ have beside logarithms. They are used from 8 on.
Smaller numbers move there by Γ(x) = Γ(x + 8) / Q(x), with Q(x) = x (x + 1) … (x + 7).
"""

from ..bits import polynomial
from ..elementary import at_least, exp, log, sigmoid, softplus_tail
from ..jit import inlined
from ..llvm import where_equal, where_less

SHIFT = 8
HALF_LOG_2PI = 0.9189385332046727
# Σ B₂ₖ / (2k (2k − 1)) tᵏ⁻¹ and Σ B₂ₖ / 2k tᵏ⁻¹ with Bernoulli's numbers and t = 1/x² (Abramowitz and Stegun,
# 6.1.40 and 6.3.18)
STIRLING = polynomial(
    (1 / 12, -1 / 360, 1 / 1260),
    (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400),
)
DIGAMMA = polynomial(
    (1 / 12, -1 / 120, 1 / 252),
    (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160),
)


@inlined
def gaussian(mean, s, y, beta):
    """½ (s + (y − μ)² e⁻ˢ) with s = log σ²; and its derivatives by μ and s, times σ^2β (Seitzer et al., 2022)."""
    precision, weight = exp(-s), exp(s * beta)
    e = mean - y
    square = e * e * precision
    return (s + square) * 0.5, e * precision * weight, (1 - square) * weight * 0.5


@inlined
def log_of_1_plus(x):
    """ln(1 + x), also of an x so small that 1 + x rounds (Kahan)."""
    u = x + 1
    return where_equal(u, 1, x, log(u) * (x / (u - 1)))


@inlined
def product(x):
    """Return Q(x) and Q′(x)/Q(x) for x below SHIFT, otherwise 1 and 0."""
    q, slope = x, x * 0 + 1
    for i in range(1, SHIFT):
        slope = slope * (x + i) + q
        q = q * (x + i)
    return where_less(x, SHIFT, q, 1), where_less(x, SHIFT, slope / q, 0)


@inlined
def tail(z):
    """log Γ(z) − ((z − ½) log z − z + ½ log 2π) for z ≥ SHIFT."""
    inverse = 1 / z
    return inverse * STIRLING(inverse * inverse)


@inlined
def digamma_tail(z):
    """log z − ψ(z) for z ≥ SHIFT."""
    inverse = 1 / z
    square = inverse * inverse
    return inverse * 0.5 + square * DIGAMMA(square)


@inlined
def log_gamma(x):
    """Log Γ(x) for x > 0."""
    z = where_less(x, SHIFT, x + SHIFT, x)
    q, _ = product(x)
    return (z - 0.5) * log(z) - z + HALF_LOG_2PI + tail(z) - log(q)


@inlined
def log_gamma_ratio(y, r):
    """Return log Γ(y + r) − log Γ(r) − y log r, and ψ(y + r) − ψ(r), for y ≥ 0.

    Both are precise also for a large r, where they go to 0, although the logarithms of Γ differ by little then.
    """
    top = y + r
    z, z_top = where_less(r, SHIFT, r + SHIFT, r), where_less(top, SHIFT, top + SHIFT, top)
    distance = where_less(r, SHIFT, -SHIFT, 0) + where_less(top, SHIFT, y * 0 + SHIFT, 0) + y  # z_top − z
    rise = log_of_1_plus(distance / z)
    (q, slope), (q_top, slope_top) = product(r), product(top)
    value = (z_top - 0.5) * rise + (distance - y) * log(z) + y * log(z / r) - distance
    value = value + (tail(z_top) - tail(z)) - log(q_top / q)
    return value, rise - (digamma_tail(z_top) - digamma_tail(z)) - (slope_top - slope)


@inlined
def negative_binomial(m, s, y):
    """−log P(y) of the negative binomial distribution with the mean μ = eᵐ and the variance μ + α μ², α = eˢ.

    Return it and its derivatives by m and s. With r = 1/α (Cameron and Trivedi, 2013, eq. 3.26)

        −log P = log Γ(y + 1) + log Γ(r) − log Γ(y + r) + (y + r) log(1 + α μ) − y log(α μ)
    """
    r, t, mean = exp(-s), m + s, exp(m)
    ratio, difference = log_gamma_ratio(y, r)
    log_1 = at_least(t, 0) + softplus_tail(t)  # log(1 + α μ)
    value = log_gamma(y + 1) - ratio + (r + y) * log_1 - y * m
    return value, (mean - y) * sigmoid(-t), (r + y) * sigmoid(t) - r * log_1 - (y - r * difference)
