"""Inside a vector: the bits of its numbers, the sum of its lanes, polynomials of it."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from .llvm import FEATURES, _call, _constant, _halves, _integers

MANTISSA = {32: 23, 64: 52}  # bits
BIAS = {32: 127, 64: 1023}
ROOT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # the bits of √½


@intrinsic
def power_of_two(typing, shifted):
    """2ⁿ of n + `SHIFT`, whole n from −127 to 128 (float64: −1023 to 1024); the ends give 0 and infinity."""

    def generate(context, builder, signature, args):
        # The sum holds n in its lowest bits: cheaper than a conversion, and a NaN does no harm.
        biased = builder.add(
            builder.bitcast(args[0], _integers(shifted)), _constant(shifted, BIAS[shifted.dtype.bitwidth], integer=True)
        )
        bits = builder.shl(biased, _constant(shifted, MANTISSA[shifted.dtype.bitwidth], integer=True))
        return builder.bitcast(bits, args[0].type)

    return shifted(shifted), generate


@intrinsic
def exponent_and_mantissa(typing, x):
    """Whole e and m in [√½, √2) with x = m·2ᵉ, of positive normal x."""

    def generate(context, builder, signature, args):
        width = x.dtype.bitwidth
        bits = builder.bitcast(args[0], _integers(x))
        shift = _constant(x, MANTISSA[width], integer=True)
        e = builder.ashr(builder.sub(bits, _constant(x, ROOT_HALF[width], integer=True)), shift)
        m = builder.bitcast(builder.sub(bits, builder.shl(e, shift)), args[0].type)
        return context.make_tuple(builder, signature.return_type, (builder.sitofp(e, args[0].type), m))

    return types.UniTuple(x, 2)(x), generate


@intrinsic
def with_sign(typing, x, y):
    """|x| with the sign of y."""

    def generate(context, builder, signature, args):
        return _call(builder, "copysign", args[0].type, args)

    return x(x, y), generate


def _reciprocals(builder, value):
    """1 ÷ value to 14 bits, a register at a time."""
    count = value.type.count
    if count > 16:
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count)))
        return builder.shuffle_vector(*(_reciprocals(builder, half) for half in _halves(builder, value)), lanes)
    mask = ir.IntType(max(count, 8))
    kind = ir.FunctionType(value.type, [value.type, value.type, mask])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx512.rcp14.ps.{count * 32}")
    return builder.call(function, [value, ir.Constant(value.type, None), ir.Constant(mask, -1)])


@intrinsic
def quotient(typing, a, b):
    """a ÷ b for b from 1 to 2, within an ulp and a half."""
    estimated = "+avx512vl" in FEATURES and b.dtype == types.float32 and b.lanes in (4, 8, 16, 32, 64)

    def generate(context, builder, signature, args):
        a_value, b_value = args
        if not estimated:
            return builder.fdiv(a_value, b_value)
        # An estimate of 14 bits and a step of Newton's: a third of a division's time
        guess = _reciprocals(builder, b_value)
        left = _call(builder, "fmuladd", b_value.type, (builder.fneg(b_value), guess, _constant(b, 1.0)))
        first = builder.fmul(a_value, guess)
        return _call(builder, "fmuladd", b_value.type, (first, left, first))

    return b(a, b), generate


def _fold(combine, doc):
    def folded(typing, x):
        def generate(context, builder, signature, args):
            value = args[0]
            while value.type.count > 1:
                value = combine(builder, *_halves(builder, value))
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return x.dtype(x), generate

    folded.__doc__ = doc
    return intrinsic(folded)


total = _fold(lambda builder, a, b: builder.fadd(a, b), "The sum of the lanes, halves upon halves: one fixed order.")
greatest = _fold(
    lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b), "The largest of the lanes."
)


def constant(single, double=None):
    """Make an intrinsic f(x): the number meant for x's dtype, in as many lanes as x has."""

    def chosen(typing, x):
        def generate(context, builder, signature, args):
            return _constant(x, single if x.dtype == types.float32 or double is None else double)

        return x(x), generate

    return intrinsic(chosen)


def polynomial(single, double):
    """Make an intrinsic f(x) = c₀ + c₁x + c₂x² + …, with the coefficients meant for x's dtype.

    By Estrin's scheme, neighbours first: shorter chains of dependent instructions than Horner's, as few more of them.
    """

    def evaluated(typing, x):
        coefficients = single if x.dtype == types.float32 else double

        def generate(context, builder, signature, args):
            terms, power = [_constant(x, c) for c in coefficients], args[0]
            while len(terms) > 1:
                odd = terms[-1:] if len(terms) % 2 else []
                terms = [
                    _call(builder, "fmuladd", power.type, (power, high, low))
                    for low, high in zip(terms[::2], terms[1::2], strict=False)
                ] + odd
                power = builder.fmul(power, power) if len(terms) > 1 else power
            return terms[0]

        return x(x), generate

    return intrinsic(evaluated)


SHIFT = constant(1.5 * 2.0**23, 1.5 * 2.0**52)  # x + SHIFT − SHIFT is x rounded to a whole number
