"""sin 2πu and cos 2πu of vectors: polynomials on a quarter turn.

Errors are at most 3 ulp for |u| below 2²¹ (float64: 2⁵⁰). Beyond, where numbers lie a quarter turn or more apart, u
counts as whole. NaN and infinity give NaN.
"""

from numba.extending import intrinsic

from ..bits import SHIFT, constant, polynomial
from ..jit import inlined
from ..llvm import _constant, _integers, absolute, fma, where_less

COARSE = constant(2.0**21, 2.0**50)
TURN = constant(6.2831854820251465, 6.283185307179586)
TURN_LOW = constant(-1.7484556000744971e-7, 2.4492935982947064e-16)  # 2π less the number above
# (sin(2πr)/r − 2π)/r² and (cos(2πr)/(1 − 16 r²) − 1)/r² as functions of r² ≤ 1/16. With these, the relative errors of
# sin and cos are below 6.1e-9 and 2.8e-19, and below 1.2e-9 and 1.9e-17.
SINE_TAIL = polynomial(
    (-41.3416845885, 81.6026337853, -76.5834360553, 39.7700979009),
    (
        -41.3417022403997575,
        81.6052492760736927,
        -76.7058597528270223,
        42.0586939252879143,
        -15.0946416654216155,
        3.81992781552990322,
        -0.717730501594386886,
        0.100882138505554956,
    ),
)
COSINE_TAIL = polynomial(
    (-3.73920826364, 5.1119715414, -3.66008243866, 1.54774613651),
    (
        -3.73920880217869323,
        5.11205318779921415,
        -3.66396620044822394,
        1.62118205952708729,
        -0.487339559740257145,
        0.106000835472100095,
        -0.0169293218405799467,
    ),
)


@intrinsic
def negated_if_odd(typing, x, shifted):
    """Return −x where a whole number, given as n + `SHIFT`, is odd, else x."""

    def generate(context, builder, signature, args):
        bits, kind = x.dtype.bitwidth, _integers(x)
        sign = builder.shl(builder.bitcast(args[1], kind), _constant(x, bits - 1, integer=True))
        return builder.bitcast(builder.xor(builder.bitcast(args[0], kind), sign), args[0].type)

    return x(x, x), generate


@inlined
def remainder(u):
    """Return r within ±¼ and n + `SHIFT`, with u = r + n/2."""
    near = where_less(absolute(u), COARSE(u), u, u * 0)
    shifted = fma(near, 2, SHIFT(u))
    return fma(shifted - SHIFT(u), -0.5, near), shifted


@inlined
def half_cosine(r):
    """cos 2πr for r within ±¼. Both factors that are 0 at the ends are exact there."""
    square, ends = r * r, (1 - r * 4) * (r * 4 + 1)
    return fma(ends, square * COSINE_TAIL(square), ends)


@inlined
def half_sine(r):
    """sin 2πr for r within ±¼."""
    square = r * r
    return fma(r, TURN(r), r * fma(square, SINE_TAIL(square), TURN_LOW(r)))


@inlined
def cosine_of_turns(u):
    """cos 2πu."""
    r, shifted = remainder(u)
    return negated_if_odd(half_cosine(r), shifted)


@inlined
def sine_and_cosine_of_turns(u):
    """sin 2πu and cos 2πu."""
    r, shifted = remainder(u)
    return negated_if_odd(half_sine(r), shifted), negated_if_odd(half_cosine(r), shifted)
