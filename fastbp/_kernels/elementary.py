"""exp, sigmoid, tanh, log, softplus and the normal distribution of vectors: polynomials on a reduced range.

Errors are at most 3.5 ulp, and 1.5 ulp for exp, in both dtypes; tests/_kernels/test_elementary.py has each bound.
NaN gives NaN. Values that are too small for a normal number become 0 in sigmoid and softplus, but not in exp.
"""

import numpy as np

from .bits import (
    SHIFT,
    STEP_SHIFT,
    STEPS,
    constant,
    exponent_and_mantissa,
    greatest,
    polynomial,
    power_of_two,
    power_of_two_in_steps,
    quotient,
    with_sign,
)
from .jit import inlined
from .llvm import absolute, fma, splat, where_equal, where_less

LOG2_E = constant(1.4426950408889634)
# ln 2 in two parts. n times the first is exact for every n that occurs.
LN2_HIGH = constant(0.693359375, 6.93147180369123816490e-01)
LN2_LOW = constant(-2.12194440e-4, 1.90821492927058770002e-10)
LEAST_EXPONENT = constant(-88.0, -709.0)  # from here on, 2ⁿ is 0 for the nearest n ln 2
EXP_IS_ZERO = constant(-104.0, -746.0)
EXP_IS_INFINITE = constant(89.0, 710.0)
ONE = constant(1.0)
FAR = constant(87.33654, 708.3964185322641)  # e^−x is a normal number up to here
TINY = constant(1.1754943508222875e-38, 2.2250738585072014e-308)
SCALE = constant(2.0**25, 2.0**54)
SCALE_EXPONENT = constant(25.0, 54.0)
INFINITY = constant(float("inf"))
NAN = constant(float("nan"))

# (eʳ − 1 − r)/r² for |r| ≤ ½ ln 2. The relative error of eʳ − 1 is below 1.4e-8 and 2e-17.
EXP_TAIL = polynomial(
    (0.5, 0.1666654348373413, 0.04166628047823906, 0.008366582915186882, 0.0013946444960311055),
    (
        0.5000000000000006,
        0.16666666666666685,
        0.04166666666657331,
        0.008333333333315627,
        0.0013888888932456233,
        0.00019841269900718555,
        2.480150437123781e-05,
        2.7557230044908875e-06,
        2.7626351503287166e-07,
        2.5113808207041925e-08,
    ),
)
# The same for |r| ≤ ½ ln 2 / STEPS, with powers of 2 from a table. The error is below 6e-10 and 3e-17.
STEP_TAIL = polynomial(
    (0.5, 0.16666667),
    (0.5, 0.1666666666530169, 0.041666666664960356, 0.008333449701261542, 0.0013889034351363193),
)
if STEPS[32] == 1:
    STEP_TAIL = EXP_TAIL
# (artanh s / s − 1)/s² as a function of s² ≤ 1/9. The error is below 1.2e-10 and 2e-18.
ARTANH_TAIL = polynomial(
    (0.3333333730697632, 0.19999438524246216, 0.14308442175388336, 0.10713828355073929, 0.12150469422340393),
    (
        0.33333333333333154,
        0.20000000000078674,
        0.14285714273918984,
        0.11111111985345845,
        0.09090871947284165,
        0.076932802382991,
        0.06650483805581664,
        0.06053061703884346,
        0.0416999070826766,
        0.08509362235959146,
    ),
)
# eˣ² erfc x · (1 + 2x) as a function of (x − 2.5)/(x + 2.5) for x ≥ 0. The error is below 6.4e-8 and 1.4e-14.
ERFCX = polynomial(
    (
        1.26483818,
        -0.122357491,
        -0.0990244476,
        0.157644631,
        -0.102968894,
        0.0326763726,
        0.000942164442,
        -0.00417866144,
        0.000468581915,
        0.000404788142,
        -6.60132743e-05,
    ),
    (
        1.2648381843668604,
        -0.12235676308235824,
        -0.0990245395735862,
        0.15762991901982004,
        -0.10296705603025788,
        0.032760893346163965,
        0.0009318925654683916,
        -0.004382079186739373,
        0.0004918686962840821,
        0.0006321296412066817,
        -8.849639181391842e-05,
        -0.00011354321894437787,
        6.3260656988884725e-06,
        2.2753734850453454e-05,
        2.478099725684337e-06,
        -4.312347849783279e-06,
        -1.4047206245827762e-06,
        6.380395625727073e-07,
        3.7837817848393357e-07,
        -5.2397957524879073e-08,
        -4.790819022370224e-08,
    ),
)
ROOT_HALF = 0.7071067811865476
DENSITY_AT_0 = 0.3989422804014327  # 1/√(2π)


@inlined
def at_least(x, bound):
    """Return max(x, bound), but a NaN in x stays."""
    return where_less(x, bound, bound, x)


@inlined
def at_most(x, bound):
    """Return min(x, bound), but a NaN in x stays."""
    return where_less(bound, x, bound, x)


@inlined
def exp_parts(x):
    """Return n + SHIFT and p with eˣ = 2ⁿ(1 + p), n whole and |p| below ½."""
    shifted = fma(x, LOG2_E(x), SHIFT(x))
    n = shifted - SHIFT(x)
    r = fma(n, -LN2_LOW(x), fma(n, -LN2_HIGH(x), x))
    return shifted, fma(r * r, EXP_TAIL(r), r)


@inlined
def exp(x):
    """eˣ, down to denormal values and up to infinity."""
    shifted, p = exp_parts(at_most(at_least(x, EXP_IS_ZERO(x)), EXP_IS_INFINITE(x)))
    n = shifted - SHIFT(x)
    half = fma(n, 0.5, SHIFT(x))  # 2ⁿ itself may be out of range
    scale = power_of_two(half)
    return fma(scale, p, scale) * power_of_two(shifted - (half - SHIFT(x)))


@inlined
def exp_of_negative(x):
    """eˣ for x ≤ 0. Values below the normal numbers become 0."""
    shifted, p = exp_parts(at_least(x, LEAST_EXPONENT(x)))
    scale = power_of_two(shifted)
    return fma(scale, p, scale)


@inlined
def exp_less_1_of_negative(x):
    """eˣ − 1 for x ≤ 0, precise near 0."""
    shifted, p = exp_parts(at_least(x, LEAST_EXPONENT(x)))
    scale = power_of_two(shifted)
    return fma(scale, p, scale - 1)


@inlined
def sigmoid(x):
    """1/(1 + e⁻ˣ), computed without cancellation."""
    near = at_most(at_least(x, -FAR(x)), FAR(x))
    shifted = fma(near, -LOG2_E(x), STEP_SHIFT(x))  # of −x: to share exp's reduction would take two instructions more
    n = shifted - STEP_SHIFT(x)
    r = fma(n, -LN2_LOW(x), fma(n, -LN2_HIGH(x), -near))
    scale = power_of_two_in_steps(shifted)
    a = quotient(ONE(x), fma(scale, fma(r * r, STEP_TAIL(r), r), scale + 1))
    return where_less(x, -FAR(x), 0, a)


@inlined
def sigmoid_soon(x):
    """The same with a shorter chain of dependent instructions. For many vectors, its division takes more time.

    Where x is far from 0, it selects the result instead of limiting x.
    """
    shifted = fma(x, -LOG2_E(x), STEP_SHIFT(x))
    n = shifted - STEP_SHIFT(x)
    r = fma(n, -LN2_LOW(x), fma(n, -LN2_HIGH(x), -x))
    scale = power_of_two_in_steps(shifted)
    a = ONE(x) / fma(scale, fma(r * r, STEP_TAIL(r), r), scale + 1)
    return where_less(x, -FAR(x), 0, where_less(FAR(x), x, 1, a))


@inlined
def tanh(x):
    """(1 − e)/(1 + e) with e = e^−2|x|. It uses e − 1, which is precise for small x."""
    shifted, p = exp_parts(at_least(absolute(x) * -2, LEAST_EXPONENT(x)))
    scale = power_of_two(shifted)
    return with_sign(quotient(fma(scale, p, scale - 1), fma(scale, p, scale + 1)), x)


@inlined
def twice_artanh(s):
    """2 artanh s = ln((1 + s)/(1 − s)) for |s| ≤ 1/3."""
    square, twice = s * s, s + s
    return fma(twice * square, ARTANH_TAIL(square), twice)


@inlined
def log(x):
    """ln x; −∞ at 0, NaN below."""
    small = where_less(x, TINY(x), SCALE(x), 1)
    e, m = exponent_and_mantissa(x * small)
    e = e - where_less(x, TINY(x), SCALE_EXPONENT(x), 0)
    y = fma(e, LN2_HIGH(x), fma(e, LN2_LOW(x), twice_artanh((m - 1) / (m + 1))))
    y = where_less(x, INFINITY(x), y, x)
    return where_equal(x, 0, -INFINITY(x), where_less(x, 0, NAN(x), y))


@inlined
def log_of_number(x):
    """ln x of one number, as float64."""
    return greatest(log(splat(np.float64(x), 4)))  # equal lanes, as few as there are vectors of


@inlined
def softplus_tail(x):
    """ln(1 + e^−|x|), which is ln(1 + eˣ) − max(x, 0)."""
    e = exp_of_negative(-absolute(x))
    return twice_artanh(e / (e + 2))


@inlined
def normal(x):
    """Return Φ and φ, distribution and density of the standard normal distribution.

    Relative errors are within 1e-6 and 1e-13. Φ of x ≤ 0 is ½ erfc(−x/√2). Both tails come from e^−½x², so that
    neither cancels.
    """
    e = exp_of_negative(x * x * -0.5)
    distance = at_most(absolute(x) * ROOT_HALF, 100)
    tail = e * 0.5 * (ERFCX((distance - 2.5) / (distance + 2.5)) / (distance * 2 + 1))
    return where_less(x, 0, tail, 1 - tail), e * DENSITY_AT_0
